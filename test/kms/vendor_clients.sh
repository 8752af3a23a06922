#!/bin/sh
# Runs vendor_clients.py with the vendors' own client libraries, installed from
# PyPI on first use.
. "$(dirname "$0")/cache.sh"

python=$cache/venv/bin/python
if ! "$python" -c 'import boto3, hvac, azure.keyvault.keys, google.cloud.kms, google_crc32c' 2>/dev/null
then
	python3 -m venv "$cache/venv" &&
		"$python" -m pip install -q boto3 hvac azure-keyvault-keys google-cloud-kms google-crc32c ||
		unavailable "the vendors' clients cannot be installed from PyPI"
fi
exec "$python" "$here/vendor_clients.py"
