#!/bin/sh
# Installs Debian packages, as root, without a question: sh test/packages.sh PACKAGE...
#
# `postgresql` stands for the server and the development files of Debian's
# PostgreSQL.  A newly installed server package would create a database cluster
# and start it; here it must not, nobody asked for one.

set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

apt()
{
	apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null 9<&-
}

# Two runs at once take turns: both change createcluster.conf.
exec 9</etc/apt
flock 9

known()
{
	for package
	do
		apt-cache show "$package" >/dev/null 2>&1 || return 1
	done
}

known "$@" || apt update

packages=
for package
do
	if [ "$package" = postgresql ]
	then
		server=$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9][0-9]*\)$/\1/p')
		package="$server postgresql-server-dev-${server#postgresql-}"
	fi
	packages="$packages $package"
done

# install PACKAGE...: once more with fresh lists where they were out of date.
install()
{
	apt install --no-install-recommends "$@" ||
		{ apt update && apt install --no-install-recommends "$@"; }
}

case $packages in
	*" postgresql-1"*)
		install postgresql-common
		conf=/etc/postgresql-common/createcluster.conf
		cp -p $conf $conf.pgseal
		trap 'mv -f $conf.pgseal $conf' EXIT
		trap 'exit 1' INT TERM HUP
		echo 'create_main_cluster = false' >>$conf
		;;
esac
install $packages
