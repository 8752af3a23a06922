#!/bin/sh
# Installs a package into a fresh Debian and uses it there:
#
#   sh debian/try.sh FILE.deb
#   sh debian/try.sh OLD.deb FILE.deb     what the old version left, upgraded to the new
#
# As root.  Needs debootstrap; MIRROR, or the one that apt uses.
set -eu
fail()
{
	printf 'try: %s\n' "$*" >&2
	exit 1
}

[ $# -eq 1 ] || [ $# -eq 2 ] || fail "which package? As in: sh debian/try.sh ../postgresql-15-pgseal_1.0.0_amd64.deb (make deb builds it)"
for package
do
	[ -f "$package" ] || fail "there is no $package; make deb builds packages in the directory above the checkout"
done
[ "$(id -u)" -eq 0 ] || fail "debootstrap and chroot need root"
command -v debootstrap >/dev/null || fail "there is no debootstrap; as root, do: sh test/packages.sh debootstrap"
old='' package=$1
[ $# -eq 1 ] || { old=$1 package=$2; }
here=$(cd "$(dirname "$0")" && pwd)
version=$(basename "$package" | sed 's/^postgresql-\([0-9]*\)-.*/\1/')
. /etc/os-release
mirror=${MIRROR:-$(apt-cache policy | sed -n "s|^ *500 \(http[^ ]*\) $VERSION_CODENAME/main .*|\1|p" | head -1)}
root=$(mktemp -d)
trap 'umount "$root/proc" 2>/dev/null; rm -rf --one-file-system "$root"' EXIT
chmod 755 "$root"
debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >"$root.log" || { tail "$root.log"; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
cp -R /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
# With the updates that the package was built with, instead of debootstrap's list
if [ -s /etc/apt/sources.list ] || [ -s /etc/apt/sources.list.d/debian.sources ]
then
	rm -f "$root/etc/apt/sources.list"
	cp /etc/apt/sources.list "$root/etc/apt/" 2>/dev/null || true
	cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/" 2>/dev/null || true
fi
cp "$package" "$root/tmp/"
if [ -n "$old" ]
then
	mkdir "$root/tmp/old"
	cp "$old" "$root/tmp/old/old.deb"
	cp "$package" "$root/tmp/old/new.deb"
	cp "$here/try_upgrade.sh" "$root/tmp/"
	chroot "$root" sh /tmp/try_upgrade.sh "$version" /tmp/old/old.deb /tmp/old/new.deb
	exit
fi
cat >"$root/tmp/try" <<EOF
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -q >/dev/null
apt-get install -qy --no-install-recommends "/tmp/$(basename "$package")" >/dev/null
dpkg -L postgresql-$version-pgseal | grep -c .
conf=/etc/postgresql/$version/main
echo "shared_preload_libraries = 'pgseal'" >>\$conf/postgresql.conf
pg_ctlcluster $version main start
su postgres -c "psql -XAtqv ON_ERROR_STOP=1" <<'SQL'
CREATE EXTENSION pgseal;
CREATE TABLE t (v encrypted_text);
INSERT INTO t VALUES ('plain');
SELECT v FROM t WHERE v = 'plain';
SELECT extversion FROM pg_extension WHERE extname = 'pgseal';
SQL
su postgres -c "psql -XAtqc 'COPY t TO STDOUT'" | grep -q '^pgseal:1:'
pg_ctlcluster $version main stop
echo installed, used
EOF
chroot "$root" sh /tmp/try
