#!/bin/sh
# Runs vendor_clients.py with the vendors' own client libraries.
. "$(dirname "$0")/install.sh"
exec "$python" "$here/vendor_clients.py"
