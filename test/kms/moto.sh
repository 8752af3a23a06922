#!/bin/sh
# Runs moto (a third-party imitation of AWS) with its signature and IAM checks
# turned on.  See run_moto.py for the protocol.
. "$(dirname "$0")/install.sh"
exec "$python" "$here/run_moto.py" "$@"
