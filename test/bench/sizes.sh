#!/bin/sh
# What encryption costs on the disk:  sh test/scratch.sh sh test/bench/sizes.sh
#
# The same values lie in a plain column, in an encrypted one, and as bytea of
# pgcrypto's pgp_sym_encrypt() (what its manual recommends) and encrypt() (raw
# AES-CBC without authentication), each in a table with an id.  Printed is
# pg_total_relation_size, with TOAST, for ROWS rows (100000; fewer of the long
# values).  Texts are made of PostgreSQL's own comments on its functions, so that
# they compress as English does.  The output is the table in docs/performance.md.

set -u

rows=${ROWS:-100000}
data=$PGSEAL_SCRATCH/sizes
export PGHOST="$PGSEAL_SCRATCH/tmp" PGPORT=5432 PGDATABASE=postgres PGUSER=postgres
export PSQLRC=/dev/null PGOPTIONS="-c client_min_messages=warning"

die()
{
	printf 'pgseal: %s\n' "$*" >&2
	exit 1
}

sql()
{
	psql -qAtX -v ON_ERROR_STOP=1 "$@" || die "a statement failed"
}

initdb -D "$data" --username=postgres --auth=trust --locale=C.UTF-8 >"$PGSEAL_SCRATCH/log/sizes" 2>&1 ||
	die "initdb failed"
cat >>"$data/postgresql.conf" <<CONF
shared_preload_libraries = 'pgseal'
listen_addresses = ''
unix_socket_directories = '$PGHOST'
max_wal_size = 4GB
fsync = off
autovacuum = off
jit = off
CONF
pg_ctl -D "$data" -w -l "$PGSEAL_SCRATCH/log/sizes" start >/dev/null || die "the server does not start"
trap 'pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1' EXIT

sql <<'SQL'
CREATE EXTENSION pgseal;
CREATE EXTENSION pgcrypto;
SELECT setseed(0.5);
CREATE TABLE comments AS SELECT row_number() OVER () AS n, description FROM pg_description;
CREATE FUNCTION prose(bytes int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := '';
BEGIN
	WHILE octet_length(result) < bytes LOOP
		result := result || (SELECT string_agg(description, '; ') FROM comments
			WHERE n BETWEEN start AND start + bytes / 20)
			FROM (SELECT 1 + floor(random() * (SELECT max(n) FROM comments))::int AS start OFFSET 0) x;
	END LOOP;
	RETURN left(result, bytes);
END $$;
CREATE FUNCTION document() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_build_object('id', gen_random_uuid(), 'name', prose(40), 'items', jsonb_agg(jsonb_build_object(
		'sku', substr(md5(random()::text), 1, 8), 'quantity', floor(random() * 100), 'price', round((random() * 1000)::numeric, 2),
		'description', prose(60)))) FROM generate_series(1, 28)
$$;
CREATE INDEX ON comments (n);
ANALYZE comments;
SQL

size()
{
	sql -c "SELECT pg_size_pretty(pg_total_relation_size('$1'))"
}

# measure WHAT TYPE ROWS EXPRESSION
measure()
{
	sql <<SQL
DROP TABLE IF EXISTS plain, sealed, pgp, raw;
CREATE TABLE plain AS SELECT i AS id, ($4)::$2 AS v FROM generate_series(1, $3) i;
CREATE TABLE sealed (id int, v encrypted_$2);
INSERT INTO sealed SELECT id, v FROM plain;
CREATE TABLE pgp AS SELECT id, pgp_sym_encrypt(v::text, 'secret') AS v FROM plain;
CREATE TABLE raw AS SELECT id, encrypt(convert_to(v::text, 'UTF8'), '0123456789abcdef0123456789abcdef', 'aes') AS v FROM plain;
VACUUM FREEZE plain, sealed, pgp, raw;
SQL
	printf '| %s | %s | %s | %s | %s |\n' "$1" "$(size plain)" "$(size sealed)" "$(size pgp)" "$(size raw)"
}

few=$((rows / 10))
fewest=$((rows / 200))
echo '| rows | plain | pgseal | pgcrypto, `pgp_sym_encrypt` | pgcrypto, `encrypt` |'
echo '|-|-|-|-|-|'
measure "$rows integers" int4 "$rows" 'random() * 2e9'
measure "$rows numerics" numeric "$rows" 'round((random() * 1e7)::numeric, 2)'
measure "$rows texts of 16 bytes" text "$rows" 'substr(md5(i::text), 1, 16)'
for index in 'btree, plain (v)' 'btree, sealed (blind_index(v))' 'hash, sealed USING hash (v)'
do
	sql -c "CREATE INDEX i ON ${index#*, }" -c "SELECT '$index: ' || pg_size_pretty(pg_relation_size('i'))" -c 'DROP INDEX i' >>"$PGSEAL_SCRATCH/tmp/indexes"
done
measure "$rows texts of 200 bytes" text "$rows" 'prose(200)'
measure "$few documents (\`jsonb\`) of 4 kB" jsonb "$few" "document()"
measure "$fewest texts of 100 kB" text "$fewest" 'prose(100000)'
echo
echo "Indexes on the $rows texts of 16 bytes:"
cat "$PGSEAL_SCRATCH/tmp/indexes"
