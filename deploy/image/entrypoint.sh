#!/bin/sh
# The image's entry point: makes a database cluster where there is none, says
# where keys could be lost, and starts the server.
#
# Its environment is that of the official image of PostgreSQL:
#
#   POSTGRES_PASSWORD, POSTGRES_PASSWORD_FILE   the superuser's; one of them is
#                                  needed to make a cluster
#   POSTGRES_USER, POSTGRES_DB     the superuser (postgres), his database
#   POSTGRES_INITDB_ARGS           further arguments of initdb
#   POSTGRES_HOST_AUTH_METHOD      what pg_hba.conf asks of the network
#                                  (scram-sha-256); "trust" needs no password
#   /docker-entrypoint-initdb.d    *.sh, *.sql and *.sql.gz, run in a new cluster
#
# A new cluster has the extension in template1, and so in every database.

set -eu

say()
{
	printf 'pgseal: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# ---- a new cluster

# psql as the superuser, by the socket of the server that only this script sees
run_sql()
{
	psql -Xqv ON_ERROR_STOP=1 --no-password -h "$private" -U "$POSTGRES_USER" "$@"
}

run_scripts()
{
	for script in /docker-entrypoint-initdb.d/*
	do
		case $script in
			*.sh) PGHOST=$private PGUSER=$POSTGRES_USER PGDATABASE=$POSTGRES_DB sh -e "$script" ;;
			*.sql) run_sql -d "$POSTGRES_DB" -f "$script" ;;
			*.sql.gz) gunzip -c "$script" | run_sql -d "$POSTGRES_DB" ;;
			*) continue ;;
		esac || die "$script failed"
	done
}

# The password never is an argument or in the server's environment.
make_cluster()
{
	: "${POSTGRES_USER:=postgres}"
	: "${POSTGRES_DB:=$POSTGRES_USER}"
	: "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}"
	if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]
	then
		POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
	fi
	[ -n "${POSTGRES_PASSWORD:-}" ] || [ "$POSTGRES_HOST_AUTH_METHOD" = trust ] ||
		die "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must give the superuser's password to make a cluster in $PGDATA"

	say "making a database cluster in $PGDATA"
	mkdir -p "$PGDATA"
	: >"$unfinished" || die "cannot write beside $PGDATA: mount a volume at /var/lib/postgresql"
	private=$(mktemp -d)
	(umask 077 && printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$private/password")
	set -- --username="$POSTGRES_USER" --encoding=UTF8 --auth-local=trust --auth-host="$POSTGRES_HOST_AUTH_METHOD"
	[ -z "${POSTGRES_PASSWORD:-}" ] || set -- "$@" --pwfile="$private/password"
	# Unquoted: several arguments
	initdb "$@" --data-checksums ${POSTGRES_INITDB_ARGS:-} >"$private/log" || { cat "$private/log" >&2; die "initdb failed"; }
	rm "$private/password"
	unset POSTGRES_PASSWORD
	printf 'host all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"

	pg_ctl -w -t 300 -s -l "$private/log" -o "-c listen_addresses='' -c unix_socket_directories='$private'" start ||
		{ cat "$private/log" >&2; die "the new cluster does not start"; }
	for database in template1 postgres
	do
		run_sql -d $database -c 'CREATE EXTENSION pgseal'
	done
	if [ "$POSTGRES_DB" != postgres ]
	then
		printf 'CREATE DATABASE :"name";\n' | run_sql -d postgres -v name="$POSTGRES_DB"
	fi
	run_scripts
	pg_ctl -w -t 300 -s -m fast stop
	rm -r "$private" "$unfinished"
}

# ---- where the keyring lies

# is_kept DIRECTORY: it survives the container.  A volume without a name (docker's
# and podman's names of such are 64 hexadecimal digits, and Kubernetes has no
# other for a VOLUME of an image) stays with nobody when the container goes.
is_kept()
{
	point=$(stat -c %m "$1")
	[ "$point" != / ] &&
		! awk -v point="$point" '$5 == point { print $4 }' /proc/self/mountinfo | grep -Eq '[0-9a-f]{64}'
}

look_at_keyring()
{
	server=$(postgres -C pgseal.default_server "$@" 2>/dev/null) || server=
	keyring=$(postgres -C pgseal.keyring_file "$@" 2>/dev/null) || keyring=
	keyring=${keyring:-$PGDATA.keyring}
	directory=$(dirname "$keyring")
	if [ ! -e "$keyring" ]
	then
		if [ -e "$PGDATA/pgseal.keyrings" ]
		then
			say "WARNING: there is no keyring $keyring, but this cluster has had one." \
				"Put it back from its backup: without it what it encrypted can't be read."
			return
		fi
		case $server in
			''|local_keyring) ;;
			*) return ;;
		esac
	fi
	if [ ! -d "$directory" ]
	then
		say "WARNING: there is no directory $directory for the keyring. Mount a volume there."
	elif ! is_kept "$directory"
	then
		say "WARNING: the keyring $keyring is lost with this container, and with it all that is encrypted." \
			"Mount a volume with a name at $directory, a Secret, or use a KMS."
	elif [ "$(stat -c %m "$directory")" = "$(stat -c %m "$PGDATA")" ]
	then
		say "WARNING: the keyring $keyring is in the volume of the data:" \
			"who has a copy or a snapshot of one has both. Mount another volume at $directory."
	fi
}

# ----

case ${1:-} in
	-*) set -- postgres "$@" ;;
esac
[ "${1:-}" = postgres ] || exec "$@"

# Started as root (docker run --user root) it takes over what was mounted.
if [ "$(id -u)" -eq 0 ]
then
	mkdir -p "$PGDATA"
	chown -R postgres:postgres /var/lib/postgresql /var/lib/pgseal "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

unfinished=$PGDATA.unfinished
[ ! -e "$unfinished" ] ||
	die "the cluster in $PGDATA was never finished: something stopped its making. Remove it and $unfinished, and start again."
[ -s "$PGDATA/PG_VERSION" ] || make_cluster
unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE
shift
look_at_keyring "$@"
exec postgres "$@"
