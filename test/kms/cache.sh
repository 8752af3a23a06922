# Sourced by the scripts here: where what they install lives.  Prints why a
# server can't be had and exits with 77, which the tests take for "skip".
set -eu
cache=${PGSEAL_KMS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pgseal-kms}
mkdir -p "$cache" 2>/dev/null || true
here=$(cd "$(dirname "$0")" && pwd)

unavailable()
{
	echo "$1" >&2
	exit 77
}
