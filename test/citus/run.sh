#!/bin/sh
# Tries statements on encrypted tables of Citus, beside plain ones:
#
#   sh test/citus/run.sh [STATEMENT ...]
#
# PG_CONFIG names a PostgreSQL in which Citus and pgseal are installed.  A
# coordinator and two workers are started, which have one keyring and the
# coordinator's keys by publication (docs/citus.md); then each line of statements.sql
# is run twice, as an ordinary role, on tables that differ in the types of their
# columns alone.  It works if both print the same.  At the end it says how many do,
# and fails if that is less than WANTED.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
wanted=${WANTED:-120}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/pgseal-citus.XXXXXX")
port=${PORT:-27000}
PGHOST=$scratch PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c client_min_messages=error'
export PGHOST PGUSER PGDATABASE PGOPTIONS

stop()
{
	status=$?
	trap - EXIT
	for node in 0 1 2
	do
		"$bindir/pg_ctl" -D "$scratch/$node" -m immediate stop >/dev/null 2>&1 || :
	done
	[ -n "${PGSEAL_KEEP:-}" ] || rm -rf "$scratch"
	exit $status
}
trap stop EXIT INT TERM

on()
{
	node=$1
	shift
	"$bindir/psql" -AtXq -v ON_ERROR_STOP=1 -p $((port + node)) "$@"
}

# ---- three nodes

for node in 0 1 2
do
	"$bindir/initdb" -D "$scratch/$node" -U postgres -A trust -N >/dev/null
	cat >>"$scratch/$node/postgresql.conf" <<END
shared_preload_libraries = 'citus, pgseal'
pgseal.keyring_file = '$scratch/keyring'
pgseal.worker_interval = 1
port = $((port + node))
unix_socket_directories = '$scratch'
wal_level = logical
max_connections = 100
fsync = off
citus.enable_statistics_collection = off
END
	"$bindir/pg_ctl" -w -D "$scratch/$node" -l "$scratch/$node.log" start >/dev/null
	on $node -c 'CREATE EXTENSION citus'
done
on 0 -c "SELECT citus_set_coordinator_host('localhost', $port)" \
	-c "SELECT citus_add_node('localhost', $((port + 1)))" \
	-c "SELECT citus_add_node('localhost', $((port + 2)))" >/dev/null

# ---- one set of keys

on 0 -c 'CREATE EXTENSION pgseal' \
	-c 'SET citus.enable_ddl_propagation = off; CREATE PUBLICATION pgseal_keys FOR TABLE pgseal.key, pgseal.key_version'
for node in 1 2
do
	on $node -c 'SET citus.enable_ddl_propagation = off' \
		-c "CREATE SUBSCRIPTION pgseal_keys_$node CONNECTION 'host=localhost port=$port dbname=postgres user=postgres' PUBLICATION pgseal_keys"
done
on 0 -c 'CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE postgres TO app'
for node in 0 1 2
do
	on $node -c 'GRANT USAGE ON FOREIGN SERVER local_keyring TO app'
done

keys()
{
	on "$1" -c 'SELECT count(*) FROM pgseal.key_version'
}

same_keys()
{
	until [ "$(keys 0)" = "$(keys 1)" ] && [ "$(keys 0)" = "$(keys 2)" ]
	do
		sleep 0.2
	done
}

PGUSER=app
for schema in plain sealed
do
	encrypted=$([ $schema = sealed ] && echo 1 || echo 0)
	on 0 -c "CREATE SCHEMA $schema"
	PGOPTIONS="$PGOPTIONS -c search_path=$schema" on 0 -v encrypted=$encrypted -f "$here/tables.sql"
	PGUSER=postgres same_keys
	PGOPTIONS="$PGOPTIONS -c search_path=$schema" on 0 \
		-c "SELECT create_distributed_table('people', 'id')" \
		-c "SELECT create_distributed_table('visits', 'person', colocate_with => 'people')" \
		-c "SELECT create_distributed_table('archive', 'id', colocate_with => 'people')" \
		-c "SELECT create_reference_table('cities')" >/dev/null
done
PGUSER=postgres same_keys

# ---- the statements

try()
{
	PGOPTIONS="$PGOPTIONS -c search_path=$1" on 0 -f "$here/rows.sql" >/dev/null
	printf '%s;\n' "$2" | tr '#' '\n' | PGOPTIONS="$PGOPTIONS -c search_path=$1" \
		"$bindir/psql" -AtXq -p "$port" 2>&1 | sed "s/$1\.//g" || :
}

tried=0
good=0
while IFS= read -r statement
do
	case $statement in
		--* | '') continue ;;
	esac
	tried=$((tried + 1))
	plain=$(try plain "$statement")
	sealed=$(try sealed "$statement")
	case $plain in
		*ERROR:*)
			printf 'not on plain tables: %s\n%s\n' "$statement" "$plain"
			continue
			;;
	esac
	if [ "$plain" = "$sealed" ]
	then
		good=$((good + 1))
	else
		printf 'differs: %s\n%s\n' "$statement" "$sealed" | cut -c 1-300
	fi
done <<END
$(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else cat "$here/statements.sql"; fi)
END
echo "$good of $tried"
[ $# -gt 0 ] || [ $good -ge "$wanted" ]
