#!/bin/sh
# Builds pgseal in a scratch directory and runs a command there:
#
#   sh test/scratch.sh COMMAND [ARGUMENT ...]
#
# The command is run in a copy of the checkout, as an ordinary user, with
# pgseal built and installed into a private PostgreSQL whose programs come
# first in PATH.  Afterwards the scratch directory is
# deleted and whatever still runs in it is ended.  The machine is left as it
# was, but for Debian packages that had to be installed.
#
# Why a copy of the checkout: PostgreSQL refuses to run as root, so root hands
# the work to the user postgres, who must be able to write where it works; and
# nobody then leaves files of another owner, or half-built ones, in the
# checkout.  Why a private PostgreSQL: a server finds extensions only beside
# itself, where a user may not write and a test should not.  PostgreSQL's
# programs look for everything else relative to themselves, so a tree of
# symbolic links with real copies of the programs (13 MB) is a PostgreSQL of
# its own, whatever the layout of the original.
#
# Environment:
#   PG_CONFIG    the PostgreSQL to use; else the newest of 15 to 18 that is
#                installed, else the one that Debian has
#   TMPDIR       where the scratch directory is made (default /tmp, also where
#                its path has a blank or is longer than 50 characters)
#   PGSEAL_KEEP  if set, the scratch directory stays, for a look at the logs

set -u
umask 022
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA CDPATH

checkout=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
scratch=
child=

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf 'pgseal: %s\n' "$*" >&2
	exit 1
}

# ---- cleaning up

# The processes whose program or working directory is in the scratch directory.
strays()
{
	find /proc -mindepth 2 -maxdepth 2 '(' -name exe -o -name cwd ')' \
		'(' -lname "$scratch" -o -lname "$scratch/*" ')' -printf '%h\n' 2>/dev/null |
		sed 's,^/proc/,,' | sort -u
}

cleanup()
{
	status=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$child" ]
	then
		kill -TERM -- "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null
		wait "$child" 2>/dev/null
	fi
	if [ -n "$scratch" ]
	then
		# SIGQUIT is PostgreSQL's immediate shutdown: it still removes its
		# shared memory, which SIGKILL would leave behind.
		tries=0
		while pids=$(strays) && [ -n "$pids" ] && [ $tries -lt 50 ]
		do
			[ $((tries % 25)) -eq 0 ] && kill -QUIT $pids 2>/dev/null
			tries=$((tries + 1))
			sleep 0.1
		done
		[ -n "$pids" ] && kill -KILL $pids 2>/dev/null
		if [ -n "${PGSEAL_KEEP:-}" ]
		then
			say "kept $scratch"
		else
			rm -rf "$scratch"
		fi
	fi
	exit $status
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- which PostgreSQL, and what is missing

missing=

# need PACKAGE...: notes the Debian packages that are not installed.
need()
{
	for package
	do
		case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
			*"install ok installed"*) ;;
			*) missing="$missing $package" ;;
		esac
	done
}

debian=
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null && debian=yes

if [ -z "${PG_CONFIG:-}" ]
then
	for version in 18 17 16 15
	do
		if [ -x /usr/lib/postgresql/$version/bin/postgres ]
		then
			PG_CONFIG=/usr/lib/postgresql/$version/bin/pg_config
			break
		fi
	done
	if [ -n "${PG_CONFIG:-}" ]
	then
		[ -n "$debian" ] && need postgresql-$version postgresql-server-dev-$version
	elif command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/postgres" ]
	then
		PG_CONFIG=$(command -v pg_config)
	elif [ -n "$debian" ]
	then
		need postgresql
		version=$(. /etc/os-release; case ${VERSION_ID:-} in 12) echo 15 ;; 13) echo 17 ;; *) echo 18 ;; esac)
	else
		die "found no PostgreSQL 15 to 18; name one with PG_CONFIG=/path/to/pg_config"
	fi
fi

if [ -n "$debian" ]
then
	# The tests of drivers install theirs with these tools; the vectors are
	# NIST's, for test/t/core/vectors.pl.
	case $* in
		*test/suite.pl*)
			need python3-cryptography-vectors libyaml-libyaml-perl
			[ -z "${version:-}" ] || need "postgresql-$version-pgaudit" \
				"postgresql-plperl-$version" "postgresql-plpython3-$version" "postgresql-pltcl-$version"
			command -v node >/dev/null || need nodejs
			command -v npm >/dev/null || need npm
			python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
			;;
	esac
	need gcc libc6-dev make libssl-dev libcurl4-openssl-dev perl libipc-run-perl python3 openssl
	if [ -n "$missing" ]
	then
		root=
		if [ "$(id -u)" -ne 0 ]
		then
			root="sudo -n"
			if ! sudo -n true 2>/dev/null
			then
				[ -t 2 ] && command -v sudo >/dev/null ||
					die "Debian packages are missing; as root, do: sh test/packages.sh$missing"
				root=sudo
			fi
		fi
		say "installing Debian packages:$missing"
		log=$($root sh "$checkout/test/packages.sh" $missing 2>&1) || {
			printf '%s\n' "$log" | tail -n 8 >&2
			die "could not install Debian packages: is there a network, and a mirror in /etc/apt? When there is, say the same again; or as root, do: sh test/packages.sh$missing"
		}
	fi
fi

if [ -z "${PG_CONFIG:-}" ]
then
	PG_CONFIG=$(ls -d /usr/lib/postgresql/1[5-8]/bin/pg_config 2>/dev/null | tail -n 1)
	[ -n "$PG_CONFIG" ] || die "this Debian has no PostgreSQL 15 to 18"
fi
"$PG_CONFIG" --version >/dev/null || die "cannot run PG_CONFIG, $PG_CONFIG"
[ -e "$("$PG_CONFIG" --pgxs)" ] || die "$PG_CONFIG has no PGXS: install the server's development files"
for command in make perl prove python3 openssl
do
	command -v $command >/dev/null || die "$command is missing"
done

# ---- the scratch directory, and the user who works there

# make knows no path with a blank in it, and that of a socket must be short.
where=${TMPDIR:-/tmp}
if [ ${#where} -gt 50 ] || printf '%s' "$where" | grep -q '[^A-Za-z0-9/._+-]'
then
	say "PostgreSQL cannot be built and run in \"$where\": in /tmp instead"
	where=/tmp
fi
scratch=$(mktemp -d "$where/pgseal.XXXXXX") || exit 1
scratch=$(cd "$scratch" && pwd -P)
mkdir "$scratch/src" "$scratch/pg" "$scratch/tmp" "$scratch/home" "$scratch/log"

become=
if [ "$(id -u)" -eq 0 ]
then
	user=postgres
	id $user >/dev/null 2>&1 || user=nobody
	become="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
fi

# inside COMMAND...: runs it in the copy of the checkout, as that user.  It gets
# a process group of its own, so that a signal to this script can end all of it.
inside()
{
	(cd "$scratch/src" && exec setsid $become env --default-signal=INT,QUIT \
		HOME="$scratch/home" TMPDIR="$scratch/tmp" LANG=C.UTF-8 \
		PATH="$bindir:$PATH" PG_CONFIG="$bindir/pg_config" PGSEAL_SCRATCH="$scratch" \
		"$@" </dev/null) &
	child=$!
	wait "$child"
	status=$?
	child=
	return $status
}

# build WHAT COMMAND...: a step whose output is of interest only if it fails.
build()
{
	what=$1
	shift
	inside "$@" >"$scratch/log/build" 2>&1 && return
	tail -n 40 "$scratch/log/build" >&2
	die "could not $what"
}

say "$("$PG_CONFIG" --version), a private copy in $scratch"

# Not the scripts that make has made, also of the version before; but those of upgrades
tar -C "$checkout" -cf "$scratch/tmp/src.tar" --exclude=./.git --exclude='./sql/pgseal--?.?.sql' \
	--exclude=tmp_check --exclude='*.o' --exclude='*.bc' --exclude='*.so' . &&
	tar -C "$scratch/src" -xf "$scratch/tmp/src.tar" --no-same-owner &&
	rm "$scratch/tmp/src.tar" || die "could not copy the checkout"

# Sample data and test vectors that may lie beside the checkout: where tests
# look for them, and readable for the user.
for part in data vectors
do
	[ -d "$checkout/../shared/$part" ] || continue
	mkdir -p "$scratch/shared"
	cp -R "$checkout/../shared/$part" "$scratch/shared/" || die "could not copy ../shared/$part"
	chmod -R u+w,a+rX "$scratch/shared"
done

# Programs resolve symbolic links to find out where they are: copies.
bindir=$scratch/pg$("$PG_CONFIG" --bindir)
for directory in --pkglibdir --sharedir --includedir --pkgincludedir --includedir-server
do
	directory=$("$PG_CONFIG" $directory)
	if [ ! -e "$scratch/pg$directory" ]
	then
		mkdir -p "$scratch/pg${directory%/*}"
		cp -as "$directory" "$scratch/pg$directory" || exit 1
	fi
done
mkdir -p "$bindir"
cp -L "$("$PG_CONFIG" --bindir)"/* "$bindir/" || exit 1
[ -n "$become" ] && chown -hR "$user" "$scratch"
$become test -w "$scratch/src" || die "$user cannot work in $scratch: choose another TMPDIR"
[ "$("$bindir/pg_config" --bindir)" = "$bindir" ] || die "this PostgreSQL cannot be relocated"

# ---- build, and run the command

unset LANGUAGE LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME
say "building"
build "build pgseal" make -s -j"$(nproc)" all
build "install pgseal" make -s install
for module in "$checkout"/test/module*/Makefile
do
	[ -e "$module" ] || continue
	module=${module#"$checkout/"}
	build "build ${module%/Makefile}" make -s -C "${module%/Makefile}" install
done

inside "$@"
