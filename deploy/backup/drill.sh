#!/bin/sh
# A restore drill: are the backups and the copy of the keyring enough?
#
#   drill.sh KEYRING COMMAND...
#
# COMMAND restores into the directory $PGDATA, such as
#   pgbackrest --stanza=main --pg1-path=… restore
# and is given it as {} too.  The restored server runs with KEYRING, in a scratch
# directory, listens to nobody and archives nothing.  Every key must be unwrapped and
# every encrypted value open.  As PostgreSQL's user; its programs in PATH.

set -eu
umask 077

keyring=$(realpath "${1:?which keyring}")
shift
scratch=$(mktemp -d)
PGDATA=$scratch/data
export PGDATA
trap 'pg_ctl -s -m immediate stop 2>/dev/null || :; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

mkdir "$PGDATA"
for argument
do
	case $argument in
		*{}*) argument=${argument%%\{\}*}$PGDATA${argument#*\{\}} ;;
	esac
	shift
	set -- "$@" "$argument"
done
"$@"

# On one line: pg_ctl hands it to a shell
options="-c listen_addresses='' -c unix_socket_directories='$scratch' -c archive_mode=off -c ssl=off"
options="$options -c pgseal.keyring_file='$keyring'"
pg_ctl -s -w -t 86400 -l "$scratch/log" start -o "$options" ||
	{ tail -n 20 "$scratch/log" >&2; exit 1; }

sql()
{
	psql -XAtq -h "$scratch" -v ON_ERROR_STOP=1 "$@"
}

# Until all WAL is replayed
until [ "$(sql -d postgres -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]
do
	pg_ctl status >/dev/null || { tail -n 20 "$scratch/log" >&2; exit 1; }
	sleep 1
done

failed=
checked=0
sql -d postgres -c "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate" >"$scratch/databases"
while IFS= read -r database <&3
do
	[ "$(sql -d "$database" -c "SELECT count(*) FROM pg_extension WHERE extname = 'pgseal'")" -eq 1 ] || continue
	bad=$(sql -d "$database" -F ': ' -c "SELECT object, status, detail FROM pgseal.check() WHERE status NOT IN ('ok', 'shown')")
	[ -z "$bad" ] || { printf '%s: %s\n' "$database" "$bad" >&2; failed=yes; }
	sql -d "$database" -c "SELECT DISTINCT \"table\"::regclass::text FROM pgseal.columns" >"$scratch/tables"
	while IFS= read -r table
	do
		# \x3a: a table's name may hold anything
		sql -d "$database" -v name="$table" >"$scratch/result" <<-'SQL' || failed=yes
			SELECT "column" || E'\x3a ' || sealed || ' values, ' || broken || ' broken', broken = 0
			FROM pgseal.verify_table(:'name'::regclass);
		SQL
		sed "s/|[tf]\$//; s/^/$database: /" "$scratch/result"
		! grep -q '|f$' "$scratch/result" || failed=yes
		checked=$((checked + 1))
	done <"$scratch/tables"
done 3<"$scratch/databases"
[ -z "$failed" ] || { echo 'drill: NOT everything could be read' >&2; exit 1; }
[ "$checked" -gt 0 ] || { echo 'drill: there was nothing to read: no table has an encrypted column' >&2; exit 1; }
echo 'drill: everything could be read'
