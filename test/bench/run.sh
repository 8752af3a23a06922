#!/bin/sh
# The benchmarks (make bench).  Run through test/scratch.sh.
#
# Each compares an encrypted column with a plain one in the same run, taking
# turns, and prints the best of $RUNS turns beside the budget.  Nothing fails
# here: what is slow on one machine is not on another, and the ratios need a
# quiet one.
#
#   ROWS (default 1000000), RUNS (5), SECONDS_EACH (10, for pgbench), CLIENTS (1)

set -u

rows=${ROWS:-1000000}
runs=${RUNS:-5}
seconds=${SECONDS_EACH:-10}
clients=${CLIENTS:-1}
data=$PGSEAL_SCRATCH/bench
export PGHOST="$PGSEAL_SCRATCH/tmp" PGPORT=5432 PGDATABASE=postgres PGUSER=postgres
export PSQLRC=/dev/null PGOPTIONS="-c client_min_messages=warning"

die()
{
	printf 'pgseal: %s\n' "$*" >&2
	exit 1
}

sql()
{
	psql -qAtX -v ON_ERROR_STOP=1 "$@" || die "a benchmark's statement failed"
}

# ms [-c STATEMENT]...: the time that the last statement took.
ms()
{
	out=$(psql -qAtX -v ON_ERROR_STOP=1 -c '\timing on' "$@") || die "a benchmark's statement failed"
	printf '%s\n' "$out" | awk '/^Time: / { t = $2 } END { print t }'
}

# tps SCRIPT: transactions a second of pgbench; negative, so that the least is the best.
tps()
{
	printf '%s\n' "$1" >"$PGSEAL_SCRATCH/tmp/script"
	pgbench -n -M prepared -c "$clients" -j "$clients" -T "$seconds" -D rows="$rows" -f "$PGSEAL_SCRATCH/tmp/script" \
		>"$PGSEAL_SCRATCH/tmp/tps" 2>>"$PGSEAL_SCRATCH/log/bench" || die "pgbench failed: $1"
	awk '/^tps = / { print -$3 }' "$PGSEAL_SCRATCH/tmp/tps"
}

least()
{
	sort -n | head -n 1
}

# turns COMMAND ARGUMENT...: runs it for t_plain and t_sealed in turn (the table
# is the last argument), leaves the lowest figures in $plain and $sealed.
turns()
{
	rm -f "$PGSEAL_SCRATCH/tmp/plain" "$PGSEAL_SCRATCH/tmp/sealed"
	for turn in $(seq "$runs")
	do
		"$@" plain >>"$PGSEAL_SCRATCH/tmp/plain"
		"$@" sealed >>"$PGSEAL_SCRATCH/tmp/sealed"
	done
	plain=$(least <"$PGSEAL_SCRATCH/tmp/plain")
	sealed=$(least <"$PGSEAL_SCRATCH/tmp/sealed")
}

# row WHAT FIGURE BUDGET
row()
{
	printf '%-46s %14s   %s\n' "$1" "$2" "$3"
}

per_value()
{
	echo "$sealed $plain $rows" | awk '{ printf "%.0f ns", ($1 - $2) * 1e6 / $3 }'
}

initdb -D "$data" --username=postgres --auth=trust --locale=C.UTF-8 >"$PGSEAL_SCRATCH/log/bench" 2>&1 ||
	die "initdb failed"
cat >>"$data/postgresql.conf" <<CONF
shared_preload_libraries = 'pgseal'
listen_addresses = ''
unix_socket_directories = '$PGHOST'
shared_buffers = 512MB
max_wal_size = 8GB
work_mem = 256MB
maintenance_work_mem = 512MB
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
synchronous_commit = off
autovacuum = off
jit = off
CONF
pg_ctl -D "$data" -w -l "$PGSEAL_SCRATCH/log/bench" start >/dev/null || die "the server does not start"
trap 'pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1' EXIT

sql <<'SQL'
CREATE EXTENSION pgseal;
CREATE TABLE plain (id int, v text);
CREATE TABLE sealed (id int, v encrypted_text);
SQL
sql -c "COPY (SELECT i, substr(md5(i::text), 1, 16) FROM generate_series(1, $rows) i) TO STDOUT" \
	>"$PGSEAL_SCRATCH/tmp/rows"

row "$rows rows, 16-byte values" "measured" "budget"

copy_in() { ms -c "TRUNCATE $1" -c "\\copy $1 FROM '$PGSEAL_SCRATCH/tmp/rows'"; }
turns copy_in
row "COPY in, a value, over plain" "$(per_value)" "<= 450 ns"

sql -c 'VACUUM (FREEZE, ANALYZE) plain' -c 'VACUUM (FREEZE, ANALYZE) sealed'

scan() { ms -c "SELECT max(octet_length(v)) FROM $1"; }
turns scan
row "sequential scan, a value opened, over plain" "$(per_value)" "<= 350 ns"

order() { ms -c "SELECT v FROM $1 ORDER BY v OFFSET $rows"; }
turns order
row "ORDER BY" "$(echo "$sealed $plain" | awk '{ printf "%.2f x", $1 / $2 }')" "<= 2 x plain"

index()
{
	case $1 in
		plain) on=v ;;
		sealed) on='blind_index(v)' ;;
	esac
	ms -c "DROP INDEX IF EXISTS $1_v" -c "CREATE INDEX $1_v ON $1 ($on)"
}
turns index
row "building the blind index, a row, over btree" "$(per_value)" "<= 1000 ns"

sql -c 'CREATE UNIQUE INDEX ON plain (id)' -c 'CREATE UNIQUE INDEX ON sealed (id)' -c 'ANALYZE plain' -c 'ANALYZE sealed' -c CHECKPOINT

share()
{
	echo "$sealed $plain" | awk '{ printf "%.1f %%", 100 * $1 / $2 }'
}

by_id() { tps "\\set i random(1, :rows)
SELECT v FROM $1 WHERE id = :i;"; }
turns by_id
row "point SELECT by id, of plain" "$(share)" ">= 97 %"

# The value is computed by the server for both alike.
by_value() { tps "\\set i random(1, :rows)
SELECT id FROM $1 WHERE v = substr(md5((:i::int)::text), 1, 16);"; }
turns by_value
row "equality lookup through the blind index, of plain" "$(share)" ">= 90 %"

pgbench -i -q -s 10 >>"$PGSEAL_SCRATCH/log/bench" 2>&1 || die "pgbench -i failed"
sql <<'SQL'
ALTER TABLE pgbench_accounts ADD COLUMN plain text DEFAULT 'sixteen bytes ok';
ALTER TABLE pgbench_accounts ADD COLUMN sealed encrypted_text;
VACUUM (FREEZE, ANALYZE) pgbench_accounts;
SQL
tpcb() { tps "\\set aid random(1, 100000 * 10)
\\set bid random(1, 10)
\\set tid random(1, 100)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta, $1 = 'sixteen bytes ok' WHERE aid = :aid;
SELECT abalance, $1 FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;"; }
turns tpcb
row "pgbench TPC-B with such a column, of plain" "$(share)" ">= 97 %"
