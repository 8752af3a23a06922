#!/bin/sh
# The benchmarks (make bench).  Run through test/scratch.sh.
#
# Each compares an encrypted column with a plain one, and with what pgcrypto's
# users do, in the same run, taking turns, and prints the median of $RUNS turns
# beside the budget.  Nothing fails here: what is slow on one machine is not on
# another, and the ratios need a quiet one.
#
# pgcrypto stands there twice: encrypt() is raw AES-CBC without authentication,
# its fastest; pgp_sym_encrypt() is what its manual recommends.
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

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# turns COMMAND ARGUMENT...: runs it for "plain" and "sealed" in turn (the last
# argument), and for "pgcrypto" if $with_pgcrypto says so; leaves the medians in
# variables of these names.
with_pgcrypto=
turns()
{
	rm -f "$PGSEAL_SCRATCH"/tmp/of.*
	for turn in $(seq "$runs")
	do
		for contestant in plain sealed $with_pgcrypto
		do
			"$@" $contestant >>"$PGSEAL_SCRATCH/tmp/of.$contestant"
		done
	done
	plain=$(median <"$PGSEAL_SCRATCH/tmp/of.plain")
	sealed=$(median <"$PGSEAL_SCRATCH/tmp/of.sealed")
	pgcrypto=
	if [ -n "$with_pgcrypto" ]
	then
		pgcrypto=$(median <"$PGSEAL_SCRATCH/tmp/of.pgcrypto")
	fi
}

# row WHAT PGSEAL BUDGET PGCRYPTO
row()
{
	printf '%-46s %12s   %-14s %s\n' "$1" "$2" "$3" "${4:-}"
}

# Time beyond plain, a value; of $sealed or another figure
per_value()
{
	echo "${1:-$sealed} $plain $rows" | awk '{ printf "%.0f ns", ($1 - $2) * 1e6 / $3 }'
}

# Times plain
ratio()
{
	echo "${1:-$sealed} $plain" | awk '{ printf "%.2f x", $1 / $2 }'
}

# Share of plain's throughput
share()
{
	echo "${1:-$sealed} $plain" | awk '{ printf "%.1f %%", 100 * $1 / $2 }'
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
CREATE EXTENSION pgcrypto;
SELECT pgseal.create_key('bench');
SQL
secret="'0123456789abcdef0123456789abcdef'::bytea"

# ---- one value in a query, against OpenSSL alone

row "ns for one value in a query" "pgseal" "budget" "bare OpenSSL; pgcrypto encrypt(), pgp_sym"
cc -O2 -D_GNU_SOURCE -Isrc -I"$(pg_config --includedir-server)" -o "$PGSEAL_SCRATCH/tmp/crypto_bench" \
	test/bench/crypto_bench.c src/crypto.c src/envelope.c -lcrypto -lssl || die "crypto_bench does not compile"
"$PGSEAL_SCRATCH/tmp/crypto_bench" >"$PGSEAL_SCRATCH/tmp/bare"

column=4
for size in 16 64 1024
do
	n=$((rows * 64 / (size + 64)))
	few=$((n / 200 + 1))
	sql <<SQL
DROP TABLE IF EXISTS plain, sealed, raw, pgp;
CREATE UNLOGGED TABLE plain AS
	SELECT left(repeat(md5(i::text), 32), $size) AS v FROM generate_series(1, $n) i;
CREATE UNLOGGED TABLE sealed (v encrypted_text('bench'));
INSERT INTO sealed SELECT v FROM plain;
CREATE UNLOGGED TABLE raw AS SELECT encrypt(v::bytea, $secret, 'aes') AS v FROM plain;
CREATE UNLOGGED TABLE pgp AS SELECT pgp_sym_encrypt(v, 'secret') AS v FROM plain LIMIT $few;
ALTER TABLE plain ALTER v SET STORAGE PLAIN;
VACUUM ANALYZE plain, sealed, raw, pgp;
SQL
	rm -f "$PGSEAL_SCRATCH"/tmp/of.*
	typmod=$(sql -c "SELECT atttypmod FROM pg_attribute WHERE attrelid = 'sealed'::regclass AND attname = 'v'")
	for turn in $(seq "$runs")
	do
		ms -c "SELECT max(octet_length(v)) FROM plain" >>"$PGSEAL_SCRATCH/tmp/of.plain"
		ms -c "SELECT max(octet_length(pgseal.encrypted_text_send(pgseal.seal_cast(v, $typmod, false)))) FROM plain" >>"$PGSEAL_SCRATCH/tmp/of.seal"
		ms -c "SELECT max(octet_length(pgseal.open(v))) FROM sealed" >>"$PGSEAL_SCRATCH/tmp/of.open"
		ms -c "SELECT max(octet_length(encrypt(v::bytea, $secret, 'aes'))) FROM plain" >>"$PGSEAL_SCRATCH/tmp/of.raw_seal"
		ms -c "SELECT max(octet_length(decrypt(v, $secret, 'aes'))) FROM raw" >>"$PGSEAL_SCRATCH/tmp/of.raw_open"
	done
	pgp_seal=$(ms -c "SELECT max(octet_length(pgp_sym_encrypt(v, 'secret'))) FROM (SELECT v FROM plain LIMIT $few) few")
	pgp_open=$(ms -c "SELECT max(octet_length(pgp_sym_decrypt(v, 'secret'))) FROM pgp")
	plain=$(median <"$PGSEAL_SCRATCH/tmp/of.plain")
	for what in seal open
	do
		bare=$(awk -v what="OpenSSL $what" -v c=$column 'index($0, what) == 1 { print $(c - 1) }' "$PGSEAL_SCRATCH/tmp/bare")
		ours=$(median <"$PGSEAL_SCRATCH/tmp/of.$what")
		raw=$(median <"$PGSEAL_SCRATCH/tmp/of.raw_$what")
		eval pgp=\$pgp_$what
		echo "$ours $raw $pgp $plain $n $few $bare" | awk -v what="$what, $size bytes" '{
			printf "%-46s %12s   %-14s %d; %d, %d\n", what, sprintf("%d ns", ($1 - $4) * 1e6 / $5),
				sprintf("<= %d ns", $7 + 150), $7, ($2 - $4) * 1e6 / $5, $3 * 1e6 / $6 }'
	done
	column=$((column + 1))
done

# ---- a table of two columns

sql <<'SQL'
DROP TABLE plain, sealed, raw, pgp;
CREATE TABLE plain (id int, v text);
CREATE TABLE sealed (id int, v encrypted_text);
CREATE TABLE pgcrypto (id int, v bytea);
SQL
sql -c "COPY (SELECT i, substr(md5(i::text), 1, 16) FROM generate_series(1, $rows) i) TO STDOUT" \
	>"$PGSEAL_SCRATCH/tmp/rows"

echo
row "$rows rows, 16-byte values" "pgseal" "budget" "pgcrypto encrypt()"

copy_in() { ms -c "TRUNCATE $1" -c "\\copy $1 FROM '$PGSEAL_SCRATCH/tmp/rows'"; }
turns copy_in
# COPY can't call encrypt(): from a table that holds the plaintext
crypto_copy=$(ms -c "INSERT INTO pgcrypto SELECT id, encrypt(v::bytea, $secret, 'aes') FROM plain")
plain_copy=$(ms -c "CREATE TABLE copied AS SELECT * FROM plain")
row "COPY in, a value, over plain" "$(per_value)" "<= 450 ns" \
	"$(echo "$crypto_copy $plain_copy $rows" | awk '{ printf "%.0f ns", ($1 - $2) * 1e6 / $3 }')"

sql -c 'VACUUM (FREEZE, ANALYZE) plain' -c 'VACUUM (FREEZE, ANALYZE) sealed' -c 'VACUUM (FREEZE, ANALYZE) pgcrypto'
with_pgcrypto=pgcrypto

opened()
{
	case $1 in
		pgcrypto) echo "decrypt(v, $secret, 'aes')" ;;
		*) echo v ;;
	esac
}

scan() { ms -c "SELECT max(octet_length($(opened $1))) FROM $1"; }
turns scan
row "sequential scan, a value opened, over plain" "$(per_value)" "<= 350 ns" "$(per_value $pgcrypto)"

order() { ms -c "SELECT v FROM (SELECT $(opened $1) AS v FROM $1) t ORDER BY v OFFSET $rows"; }
turns order
row "ORDER BY" "$(ratio)" "<= 2 x plain" "$(ratio $pgcrypto)"

group() { ms -c "SELECT count(*) FROM (SELECT v FROM (SELECT $(opened $1) AS v FROM $1) t GROUP BY v OFFSET 0) g"; }
turns group
row "GROUP BY" "$(ratio)" "" "$(ratio $pgcrypto)"

join()
{
	case $1 in
		pgcrypto) on="hmac(decrypt(a.v, $secret, 'aes'), 'k', 'sha256') = hmac(decrypt(b.v, $secret, 'aes'), 'k', 'sha256')" ;;
		*) on='a.v = b.v' ;;
	esac
	ms -c "SELECT count(*) FROM $1 a JOIN $1 b ON $on"
}
turns join
row "hash join with itself" "$(ratio)" "" "$(ratio $pgcrypto)"

index()
{
	case $1 in
		plain) on='(v)' ;;
		sealed) on='(blind_index(v))' ;;
		pgcrypto) on="(hmac(decrypt(v, $secret, 'aes'), 'k', 'sha256'))" ;;
	esac
	ms -c "DROP INDEX IF EXISTS $1_v" -c "CREATE INDEX $1_v ON $1 $on"
}
turns index
row "building the blind index, a row, over btree" "$(per_value)" "<= 1000 ns" "$(per_value $pgcrypto)"

sql -c 'CREATE UNIQUE INDEX ON plain (id)' -c 'CREATE UNIQUE INDEX ON sealed (id)' \
	-c 'CREATE UNIQUE INDEX ON pgcrypto (id)' -c 'ANALYZE plain' -c 'ANALYZE sealed' -c 'ANALYZE pgcrypto' -c CHECKPOINT

by_id() { tps "\\set i random(1, :rows)
SELECT $(opened $1) FROM $1 WHERE id = :i;"; }
turns by_id
row "point SELECT by id, of plain" "$(share)" ">= 97 %" "$(share $pgcrypto)"

# The value is computed by the server for all alike.
by_value()
{
	value="substr(md5((:i::int)::text), 1, 16)"
	case $1 in
		pgcrypto) where="hmac(decrypt(v, $secret, 'aes'), 'k', 'sha256') = hmac($value, 'k', 'sha256')" ;;
		*) where="v = $value" ;;
	esac
	tps "\\set i random(1, :rows)
SELECT id FROM $1 WHERE $where;"
}
turns by_value
row "equality lookup through the blind index, of plain" "$(share)" ">= 90 %" "$(share $pgcrypto)"

with_pgcrypto=
sql -c 'DROP INDEX sealed_v' -c 'CREATE INDEX sealed_v ON sealed USING hash (v)'
turns by_value
row "equality lookup through a hash index, of plain" "$(share)" ">= 90 %"

pgbench -i -q -s 10 >>"$PGSEAL_SCRATCH/log/bench" 2>&1 || die "pgbench -i failed"
sql <<'SQL'
ALTER TABLE pgbench_accounts ADD COLUMN plain text DEFAULT 'sixteen bytes ok';
ALTER TABLE pgbench_accounts ADD COLUMN sealed encrypted_text;
UPDATE pgbench_accounts SET sealed = plain;
VACUUM (FULL, FREEZE, ANALYZE) pgbench_accounts;
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
