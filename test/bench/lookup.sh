# Single rows, by pgbench with prepared statements.

sql <<SQL
DROP TABLE IF EXISTS plain, sealed, pgcrypto, raw, pgp;
CREATE TABLE plain AS SELECT i AS id, (1000000000000000 + i)::text AS v FROM generate_series(1, $rows) i;
CREATE TABLE sealed (id int, v encrypted_text);
INSERT INTO sealed SELECT id, v FROM plain;
CREATE TABLE pgcrypto AS SELECT id, encrypt(v::bytea, $secret, 'aes') AS v FROM plain;
CREATE UNIQUE INDEX ON plain (id);
CREATE UNIQUE INDEX ON sealed (id);
CREATE UNIQUE INDEX ON pgcrypto (id);
CREATE INDEX ON plain (v);
CREATE INDEX sealed_v ON sealed (blind_index(v));
CREATE INDEX ON pgcrypto (hmac(decrypt(v, $secret, 'aes'), 'k', 'sha256'));
VACUUM (FREEZE, ANALYZE) plain, sealed, pgcrypto;
CHECKPOINT;
SQL
row "transactions per CPU second (per second), of plain" "pgseal" "budget" "pgcrypto"

# loop QUERY: many of it inside the server, for each its own id i and value v
lookups=20000
loop()
{
	ms "DO \$\$ DECLARE i int; x text; BEGIN
		FOR n IN 1..$lookups LOOP
			i := n * 7919::bigint % $rows + 1;
			x := 1000000000000000 + i;
			PERFORM $1;
		END LOOP; END \$\$;"
}

contestants="plain sealed pgcrypto"
column()
{
	case $1 in
		pgcrypto) echo "decrypt(v, $secret, 'aes')" ;;
		*) echo v ;;
	esac
}
by_id()
{
	tps "\\set i random(1, :rows)
SELECT $(column $1) FROM $1 WHERE id = :i;"
}
turns by_id
row "point SELECT by id" "$(share)" ">= 97 %" "$(share 3)"

loop_by_id() { loop "octet_length($(column $1)) FROM $1 WHERE id = i"; }
turns loop_by_id
row "  CPU without client and protocol, over plain" "$(count=$lookups per_value)" "" "$(count=$lookups per_value 3)"

where_value()
{
	case $1 in
		pgcrypto) echo "hmac(decrypt(v, $secret, 'aes'), 'k', 'sha256') = hmac($2::text, 'k', 'sha256')" ;;
		*) echo "v = $2" ;;
	esac
}
# As drivers send it: a parameter without a type.
by_value()
{
	tps "\\set v 1000000000000000 + random(1, :rows)
SELECT id FROM $1 WHERE $(where_value $1 :v);"
}
loop_by_value() { loop "id FROM $1 WHERE $(where_value $1 x)"; }
turns by_value
row "equality lookup through the blind index" "$(share)" ">= 90 %" "$(share 3)"
turns loop_by_value
row "  CPU without client and protocol, over plain" "$(count=$lookups per_value)" "" "$(count=$lookups per_value 3)"

contestants="plain sealed"
sql -c 'DROP INDEX sealed_v' -c 'CREATE INDEX sealed_v ON sealed USING hash (v)' -c CHECKPOINT
turns by_value
row "equality lookup through a hash index" "$(share)" ">= 90 %"
turns loop_by_value
row "  CPU without client and protocol, over plain" "$(count=$lookups per_value)"

pgbench -i -q -s 10 >>"$log" 2>&1 || die "pgbench -i failed"
sql <<'SQL'
ALTER TABLE pgbench_accounts ADD COLUMN plain text DEFAULT 'sixteen bytes ok';
ALTER TABLE pgbench_accounts ADD COLUMN sealed encrypted_text;
UPDATE pgbench_accounts SET sealed = plain;
VACUUM (FULL, FREEZE, ANALYZE) pgbench_accounts;
SQL
tpcb()
{
	sql -c 'VACUUM pgbench_accounts, pgbench_tellers, pgbench_branches' -c 'TRUNCATE pgbench_history' -c CHECKPOINT
	tps "\\set aid random(1, 100000 * 10)
\\set bid random(1, 10)
\\set tid random(1, 100)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta, $1 = 'sixteen bytes ok' WHERE aid = :aid;
SELECT abalance, $1 FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;"
}
turns tpcb
row "pgbench TPC-B with such a column" "$(share)" ">= 97 %"
sql -c 'DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers'
