#!/bin/sh
# Packages for the PostgreSQLs of debian/pgversions whose headers are installed:
#
#   sh debian/build.sh [DIRECTORY]
#
# Builds in a copy of the checkout; the packages go to DIRECTORY, by default the
# one above the checkout.  Needs debhelper, postgresql-server-dev-N for each N,
# libssl-dev, libcurl4-openssl-dev.
set -eu
cd "$(dirname "$0")/.."
for tool in git dpkg-buildpackage dh
do
	command -v $tool >/dev/null || { echo "pgseal: $tool is missing; as root, do: sh test/packages.sh git dpkg-dev debhelper postgresql libssl-dev libcurl4-openssl-dev" >&2; exit 1; }
done
[ -d "${1:-..}" ] || { echo "pgseal: there is no directory $1" >&2; exit 1; }
out=$(cd "${1:-..}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/pgseal"
git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - | tar xf - -C "$scratch/pgseal"
cd "$scratch/pgseal"
: >debian/control.body
for version in $(cat debian/pgversions)
do
	[ -x "/usr/lib/postgresql/$version/bin/pg_config" ] && [ -d "/usr/include/postgresql/$version/server" ] || continue
	echo "$version" >>debian/control.body
done
mv debian/control.body debian/pgversions
[ -s debian/pgversions ] || { echo 'pgseal: no postgresql-server-dev-N is installed; as root, do: sh test/packages.sh postgresql' >&2; exit 1; }
sed '/^Package: /,$d' debian/control.in >debian/control
for version in $(cat debian/pgversions)
do
	sed -n "/^Package: /,\$p" debian/control.in | sed "s/PGVERSION/$version/g"
	echo
done >>debian/control
# One of each major version must do, not all that there are
sed -i 's/, postgresql-server-dev-all//' debian/control
dpkg-buildpackage -b -us -uc
cp ../*.deb ../*.buildinfo ../*.changes "$out"
