# The sealed index beside a btree on the same values in plain.

sql <<SQL
DROP TABLE IF EXISTS plain, sealed;
CREATE TABLE plain AS SELECT i AS id, (i * 7919::bigint % 100000)::int AS salary,
	timestamptz '2020-01-01' + i * interval '1 minute' AS ts, 'user' || i || '@example.org' AS email FROM generate_series(1, $rows) i;
CREATE TABLE sealed (id int, salary encrypted_int4, ts encrypted_timestamptz, email encrypted_text);
INSERT INTO sealed SELECT * FROM plain;
VACUUM (FREEZE, ANALYZE) plain, sealed;
CHECKPOINT;
SQL
contestants="plain sealed"
method() { case $1 in plain) echo btree ;; *) echo sealed ;; esac; }
row "sealed index on $rows rows" "sealed" "" "btree"

for column in salary ts email
do
	build() { sql -c "DROP INDEX IF EXISTS $1_$column"; ms "CREATE INDEX $1_$column ON $1 USING $(method $1) ($column);"; }
	turns build
	row "build on $column" "$(figure "\$2" "%.0f ms")" "" "$(figure "\$1" "%.0f ms")"
	row "  size" "$(sql -c "SELECT pg_size_pretty(pg_relation_size('sealed_$column'))")" "" \
		"$(sql -c "SELECT pg_size_pretty(pg_relation_size('plain_$column'))")"
done
sql -c "VACUUM ANALYZE plain, sealed"

# microseconds COUNT QUERY: microseconds of CPU time of one, run in a loop with i from 1 on
microseconds()
{
	ms "DO \$\$ DECLARE i int; r record; BEGIN FOR i IN 1..$1 LOOP FOR r IN $2 LOOP END LOOP; END LOOP; END \$\$;" |
		awk -v n="$1" '{ printf "%.1f\n", $1 * 1000 / n }'
}
compare()
{
	count=$2
	query=$3
	ask() { microseconds "$count" "$(echo "$query" | sed "s/@t/$1/")"; }
	turns ask
	row "$1" "$(figure "\$2" "%.1f us")" "" "$(figure "\$1" "%.1f us")"
}
compare "= by a value that one row has" 20000 "SELECT id FROM @t WHERE ts = timestamptz '2020-01-01' + i * interval '1 minute'"
compare "BETWEEN that finds nothing" 20000 "SELECT id FROM @t WHERE salary BETWEEN 200000 + i AND 200010 + i"
compare "a day of ts" 500 "SELECT id FROM @t WHERE ts >= timestamptz '2020-02-01' + i * interval '1 minute' AND ts < timestamptz '2020-02-02' + i * interval '1 minute'"
compare "ORDER BY ts DESC LIMIT 20" 5000 "SELECT id FROM @t ORDER BY ts DESC LIMIT 20"

# BRIN on both, for a column that grows with the table
build() { sql -c "DROP INDEX IF EXISTS $1_ts, $1_brin"; ms "CREATE INDEX $1_brin ON $1 USING brin (ts);"; }
turns build
row "build BRIN on ts" "$(figure "\$2" "%.0f ms")" "" "$(figure "\$1" "%.0f ms")"
row "  size" "$(sql -c "SELECT pg_size_pretty(pg_relation_size('sealed_brin'))")" "" \
	"$(sql -c "SELECT pg_size_pretty(pg_relation_size('plain_brin'))")"
compare "a day of ts by BRIN" 100 "SELECT id FROM @t WHERE ts >= timestamptz '2020-02-01' + i * interval '1 minute' AND ts < timestamptz '2020-02-02' + i * interval '1 minute'"
compare "  none, as the table ends before" 1000 "SELECT id FROM @t WHERE ts >= timestamptz '2030-01-01' + i * interval '1 minute'"

# Parts of values, beside pg_trgm and jsonb_path_ops
sql <<SQL
CREATE EXTENSION IF NOT EXISTS pg_trgm;
DROP TABLE IF EXISTS docs_plain, docs_sealed;
CREATE TABLE docs_plain AS SELECT id, jsonb_build_object('a', id % 1000, 'n', id, 'tags', jsonb_build_array('t' || id % 50)) AS doc FROM plain;
CREATE TABLE docs_sealed (id int, doc encrypted_jsonb);
INSERT INTO docs_sealed SELECT * FROM docs_plain;
SQL
parts() { case $1 in plain) echo "gin ($2 $3)" ;; *) echo "sealed ($2 $4)" ;; esac; }
build() { sql -c "DROP INDEX IF EXISTS $1_trgm"; ms "CREATE INDEX $1_trgm ON $1 USING $(parts $1 email gin_trgm_ops sealed_trgm_ops);"; }
turns build
row "build trigrams" "$(figure "\$2" "%.0f ms")" "" "$(figure "\$1" "%.0f ms")"
build() { sql -c "DROP INDEX IF EXISTS $1_path"; ms "CREATE INDEX $1_path ON docs_$1 USING $(parts $1 doc jsonb_path_ops sealed_path_ops);"; }
turns build
row "build paths" "$(figure "\$2" "%.0f ms")" "" "$(figure "\$1" "%.0f ms")"
for index in trgm path
do
	row "  size of $index" "$(sql -c "SELECT pg_size_pretty(pg_relation_size('sealed_$index'))")" "" \
		"$(sql -c "SELECT pg_size_pretty(pg_relation_size('plain_$index'))")"
done
sql -c "VACUUM (ANALYZE) plain, sealed, docs_plain, docs_sealed"
compare "LIKE '%r777%'" 1000 "SELECT id FROM @t WHERE email LIKE '%r777' || i % 10 || '%'"
compare "ILIKE '%R7777%'" 1000 "SELECT id FROM @t WHERE email ILIKE '%R777' || i % 10 || '%'"
compare "~ 'user77[0-9]8@'" 200 "SELECT id FROM @t WHERE email ~ ('user77[0-9]' || i % 10 || '@')"
compare "@> that finds a row" 2000 "SELECT id FROM docs_@t WHERE doc @> jsonb_build_object('n', i)"
compare "@> that finds a thousandth" 200 "SELECT id FROM docs_@t WHERE doc @> jsonb_build_object('a', i)"

# Beyond the row: with the index less without it; microseconds, and bytes of WAL when
# no page is written for the first time after a checkpoint
insert()
{
	sql -c "DROP TABLE IF EXISTS into_$1" -c "CREATE TABLE into_$1 (LIKE $1)" -c "INSERT INTO into_$1 SELECT * FROM $1 LIMIT 100000"
	[ -z "$2" ] || sql -c "CREATE INDEX ON into_$1 USING $2"
	sql -c "CHECKPOINT" -c "INSERT INTO into_$1 SELECT * FROM $1 OFFSET 100000 LIMIT 5000"
	before=$(sql -c "SELECT pg_current_wal_insert_lsn()")
	used=$(ms "INSERT INTO into_$1 SELECT * FROM $1 OFFSET 105000 LIMIT 50000;")
	echo "$used" "$(sql -c "SELECT pg_current_wal_insert_lsn() - '$before'")"
}
insert_beyond()
{
	echo "$(insert "$2" "") $(insert "$2" "$1")" | awk '{ printf "%.2f %.0f\n", ($3 - $1) * 1000 / 50000, ($4 - $2) / 50000 }'
}
compare_inserts()
{
	turns beside_of "$2" "$3"
	row "$1" "$(figure "\$3" "%.1f us")$(figure "\$4" " %.0f B")" "" "$(figure "\$1" "%.1f us")$(figure "\$2" " %.0f B")"
}
# beside_of INDEX-OF-PLAIN INDEX-OF-SEALED CONTESTANT
beside_of()
{
	case $3 in plain) insert_beyond "$1" plain ;; *) insert_beyond "$2" sealed ;; esac
}
compare_inserts "insert of salary, beyond the row" "btree (salary)" "sealed (salary)"
compare_inserts "  in nodes of 2 kB" "btree (salary)" "sealed (salary) WITH (node_size = 2048)"
compare_inserts "insert of ts, beyond the row" "btree (ts)" "sealed (ts)"
compare_inserts "  in nodes of 2 kB" "btree (ts)" "sealed (ts) WITH (node_size = 2048)"
# In one range, so that there is a summary for each row; of ts, each is the greatest so far
compare_inserts "insert of salary into BRIN" "brin (salary) WITH (pages_per_range = 131072)" "brin (salary) WITH (pages_per_range = 131072)"
compare_inserts "insert of ts into BRIN" "brin (ts) WITH (pages_per_range = 131072)" "brin (ts) WITH (pages_per_range = 131072)"
compare_inserts "insert of trigrams, beyond the row" "gin (email gin_trgm_ops)" "sealed (email sealed_trgm_ops)"

# Of rows with an index on salary, each in a transaction of its own; its values are bound,
# as drivers do it, or two of them stand in the statement
saved_clients=$clients
clients=4
inserts()
{
	sql -c "DROP TABLE IF EXISTS into_$2" -c "CREATE TABLE into_$2 (LIKE $2)" -c "INSERT INTO into_$2 SELECT * FROM $2 LIMIT 100000" \
		-c "CREATE INDEX ON into_$2 USING $(method "$2") (salary)"
	variables="-D ts=2020-01-01 -D email=user" tps "\\set i random(1, 1000000)
INSERT INTO into_$2 VALUES (:i, (:i * 7919::bigint % 100000)::int, $1);"
}
turns inserts ":ts, :email"
row "inserts of four clients, of those into plain" "$(share)"
turns inserts "'2020-01-01', 'user'"
row "  with literals" "$(share)"
clients=$saved_clients
