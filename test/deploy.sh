#!/bin/sh
# Tests deploy/: sh test/deploy.sh [PART...], as root on a Debian machine.
#
#   image       the server's image: its data, its keyring, its dumps, a restore
#   extension   the image of the extension alone, mounted on PostgreSQL 18
#   compose     the development set-ups
#   pod         the StatefulSet's pod, with volumes and with a Secret
#   keyring     keyring.sh
#   manifests   Kubernetes' and CloudNativePG's, the chart
#   backup      pgBackRest, Barman, WAL-G, each with a restore drill
#   patroni     two nodes, and one takes over
#
# It installs the Debian packages that are missing; what comes from PyPI and from Go's
# module proxy goes to the cache (test/cache.sh).  Images are built by buildah and run
# by podman with runc, in a storage of their own, on bases that debootstrap makes: no
# registry and no daemon is needed.  All of it is deleted at the end.
#
# The commands of docs/deploying.md are run from the page itself, with a "docker" that
# is podman (test/deploy/docker.sh).
#
# PGSEAL_STORAGE=DIRECTORY keeps images for the next run.

here=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
cd "$here" || exit 1
umask 022
passed=0 failed=0 skipped=0

# is EXPECTED GOT NAME
is()
{
	if [ "$1" = "$2" ]
	then
		passed=$((passed + 1)); printf 'ok - %s\n' "$3"
	else
		failed=$((failed + 1)); printf 'not ok - %s: expected "%s", got "%s"\n' "$3" "$1" "$2"
	fi
}

# works NAME COMMAND...: what it prints is of interest only if it fails.
works()
{
	name=$1
	shift
	"$@" >"$work/log" 2>&1
	status=$?
	[ $status -eq 0 ] || tail -n 30 "$work/log" | sed 's/^/# /'
	is 0 $status "$name"
	return $status
}

skip()
{
	skipped=$((skipped + 1)); printf 'skipped - %s\n' "$*"
}

[ "$(id -u)" -eq 0 ] || { echo "deploy: containers and debootstrap need root" >&2; exit 1; }
work=$(mktemp -d /var/tmp/pgseal-deploy.XXXXXX) || exit 1
trap 'remove_containers; rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' INT TERM HUP
. test/deploy/tools.sh
. test/deploy/containers.sh

for part in ${*:-image extension compose pod keyring manifests backup patroni}
do
	printf '==== %s\n' "$part"
	. "test/deploy/parts/$part.sh"
done
printf '%s passed, %s failed, %s skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
