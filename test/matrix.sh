#!/bin/sh
# Runs the tests on several releases of PostgreSQL, as root:
#
#   sh test/matrix.sh 15 17 18                          all tests on each
#   sh test/matrix.sh 17 18 -- test/t/core/regress.pl    these test files
#   sh test/matrix.sh upgrade 15 17 18                  pg_upgrade from each to the next
#
# Each release is the one of a Debian release, in a root directory of its own
# that debootstrap makes and that is kept in the cache (see test/cache.sh; half a
# GB each), from the mirror that this machine's apt uses.  The tests run there in
# namespaces of their own for processes, mounts and shared memory: what they leave
# ends with them.
#
# No Debian release has PostgreSQL 16.  PGSEAL_ROOT_16=DIRECTORY names a root
# directory that has it; the same goes for the others, PGSEAL_ROOT_15 and so on.
#
# Environment of test/run.sh is passed on (REGRESS, PGSEAL_KEEP ...).

here=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
. "$here/test/cache.sh"
umask 022

fail()
{
	printf 'matrix: %s\n' "$*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || fail "debootstrap and chroot need root"
unset PGSEAL_CACHE XDG_CACHE_HOME PG_CONFIG TMPDIR PIP_FIND_LINKS

releases=
export upgrade='' old_root=''
while [ $# -gt 0 ]
do
	case $1 in
		15|16|17|18) releases="$releases $1" ;;
		upgrade)
			upgrade=$(mktemp -d) && chmod 0777 "$upgrade" || exit 1
			trap 'rm -rf "$upgrade"' EXIT
			;;
		--) shift; break ;;
		*) fail "no such release of PostgreSQL: $1" ;;
	esac
	shift
done
[ -n "$releases" ] || fail "which releases? sh test/matrix.sh 15 17 18"

suite_of()
{
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo forky ;;
		*) fail "no Debian release has PostgreSQL $1; name a root directory with PGSEAL_ROOT_$1" ;;
	esac
}

# The mirror of Debian's packages that this machine's apt uses.
mirror()
{
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $3 !~ /-/ { print $2; exit }'
}

# Called by once(), in a new directory of the cache.
make_root()
{
	suite=$(suite_of "$release")
	from=$(mirror)
	[ -n "$from" ] || { echo "apt has no Debian mirror" >&2; return 1; }
	# Releases younger than this debootstrap are made as unstable is.
	script=/usr/share/debootstrap/scripts/$suite
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	umask 022
	chmod 755 "$1" &&
		debootstrap --variant=minbase --include=perl,python3,python3-venv,procps \
			"$suite" "$1" "$from" "$script" &&
		mkdir "$1/mnt/pgseal" "$1/mnt/pgseal/checkout" "$1/mnt/pgseal/shared"
}

# Sets $root to the release's root directory.
find_root()
{
	release=$1
	eval "root=\${PGSEAL_ROOT_$release:-}"
	[ -z "$root" ] || return 0
	command -v debootstrap >/dev/null || sh "$here/test/packages.sh" debootstrap >/dev/null ||
		fail "could not install debootstrap; as root, do: sh test/packages.sh debootstrap"
	once "matrix-$release" make_root
	root=$installed
}

# What runs in the new namespaces, before the root directory is entered: mounts
# made here are nobody else's, and are gone at the end.
enter='
	root=$1 checkout=$2
	shift 2
	mount --make-rprivate / &&
	mount --bind "$root" "$root" &&
	mount -t proc proc "$root/proc" &&
	mount --rbind /dev "$root/dev" &&
	mount -t tmpfs -o size=16g,mode=1777 tmpfs "$root/tmp" &&
	mkdir -p "$root/mnt/pgseal/checkout" "$root/mnt/pgseal/shared" &&
	mount --bind -o ro "$checkout" "$root/mnt/pgseal/checkout" || exit 1
	if [ -d "$checkout/../shared" ]
	then
		mount --bind -o ro "$checkout/../shared" "$root/mnt/pgseal/shared" || exit 1
	fi
	if [ -n "${upgrade:-}" ]
	then
		mkdir -p "$root/mnt/pgseal/upgrade" "$root/mnt/pgseal/old_root" &&
			mount --bind "$upgrade" "$root/mnt/pgseal/upgrade" || exit 1
		[ -z "${old_root:-}" ] ||
			mount --bind -o ro "$old_root" "$root/mnt/pgseal/old_root" || exit 1
	fi
	cat /etc/resolv.conf >"$root/etc/resolv.conf"
	mkdir -p "$root/etc/ssl/certs"
	cat /etc/ssl/certs/ca-certificates.crt >"$root/etc/ssl/certs/ca-certificates.crt"
	exec chroot "$root" /usr/bin/env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		LANG=C.UTF-8 sh -c "cd /mnt/pgseal/checkout && exec \"\$@\"" sh "$@"
'

# in_root ROOT COMMAND...
in_root()
{
	inside=$1
	shift
	unshare --mount --pid --ipc --fork --kill-child sh -c "$enter" sh "$inside" "$here" "$@" </dev/null
}

failed=
for release in $releases
do
	find_root "$release"
	printf '==== PostgreSQL %s\n' "$release"
	if [ -z "$upgrade" ]
	then
		in_root "$root" sh test/run.sh "$@" || failed="$failed $release"
	else
		in_root "$root" sh test/run.sh test/matrix/upgrade.pl || fail "the upgrade to $release failed"
		old_root=$root
	fi
done
[ -z "$failed" ] || fail "tests failed on$failed"
printf '==== all tests passed on%s\n' "$releases"
