#!/bin/sh
# Runs OpenBao, the real server.  See run_openbao.py for the protocol.
. "$(dirname "$0")/install.sh"
exec "$python" "$here/run_openbao.py" "$@"
