#!/bin/sh
# Runs moto (a third-party imitation of AWS) with its signature and IAM checks
# turned on; installs it from PyPI on first use.  See run_moto.py for the protocol.
. "$(dirname "$0")/cache.sh"

python=$cache/venv/bin/python
if ! "$python" -c 'import moto.server, boto3' 2>/dev/null
then
	python3 -m venv "$cache/venv" && "$python" -m pip install -q 'moto[server]==5.*' boto3 ||
		unavailable 'moto cannot be installed from PyPI'
fi
exec "$python" "$here/run_moto.py"
