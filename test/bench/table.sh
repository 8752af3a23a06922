# Statements on a whole table of two columns.

sql <<'SQL'
DROP TABLE IF EXISTS plain, sealed, pgcrypto, raw, pgp;
CREATE TABLE plain (id int, v text);
CREATE TABLE sealed (id int, v encrypted_text);
CREATE TABLE pgcrypto (id int, v bytea);
SQL
sql -c "COPY (SELECT i, substr(md5(i::text), 1, 16) FROM generate_series(1, $rows) i) TO STDOUT" >"$tmp/rows"
row "$rows rows, 16-byte values" "pgseal" "budget" "pgcrypto"

# COPY can't call encrypt(): from a table that holds the plaintext
copy_in()
{
	case $1 in
		copied) ms "INSERT INTO copied SELECT id, v FROM plain;" "TRUNCATE copied;" ;;
		pgcrypto) ms "INSERT INTO pgcrypto SELECT id, encrypt(v::bytea, $secret, 'aes') FROM plain;" "TRUNCATE pgcrypto;" ;;
		*) ms "\\copy $1 FROM '$tmp/rows'" "TRUNCATE $1;" ;;
	esac
}
sql -c 'CREATE TABLE copied (id int, v text)'
contestants="plain sealed copied pgcrypto"
turns copy_in
row "COPY in, a value, over plain" "$(per_value)" "<= 450 ns" "$(figure "(\$4 - \$3) * 1e6 / $rows" '%.0f ns')"
sql -c 'DROP TABLE copied' -c 'VACUUM (FREEZE, ANALYZE) plain, sealed, pgcrypto'

contestants="plain sealed pgcrypto"
opened()
{
	case $1 in
		pgcrypto) echo "decrypt(v, $secret, 'aes')" ;;
		*) echo v ;;
	esac
}

scan() { ms "SELECT max(octet_length($(opened $1))) FROM $1;"; }
turns scan
row "sequential scan, a value opened, over plain" "$(per_value)" "<= 350 ns" "$(per_value 3)"

# What is decrypted is bytea, which sorts faster than text
order()
{
	value=$(opened $1)
	[ $1 != pgcrypto ] || value="convert_from($value, 'UTF8')"
	ms "SELECT v FROM (SELECT $value AS v FROM $1) t ORDER BY v OFFSET $rows;"
}
turns order
row "ORDER BY, of plain" "$(ratio)" "<= 2 x" "$(ratio 3)"

group() { ms "SELECT count(*) FROM (SELECT v FROM (SELECT $(opened $1) AS v FROM $1) t GROUP BY v OFFSET 0) g;"; }
turns group
row "GROUP BY, of plain" "$(ratio)" "" "$(ratio 3)"

join()
{
	case $1 in
		pgcrypto) on="hmac(decrypt(a.v, $secret, 'aes'), 'k', 'sha256') = hmac(decrypt(b.v, $secret, 'aes'), 'k', 'sha256')" ;;
		*) on='a.v = b.v' ;;
	esac
	ms "SELECT count(*) FROM $1 a JOIN $1 b ON $on;"
}
turns join
row "hash join with itself, of plain" "$(ratio)" "" "$(ratio 3)"

equality_index()
{
	case $1 in
		plain) echo "plain (v)" ;;
		sealed) echo "sealed (blind_index(v))" ;;
		pgcrypto) echo "pgcrypto (hmac(decrypt(v, $secret, 'aes'), 'k', 'sha256'))" ;;
	esac
}
build_index() { ms "CREATE INDEX $1_v ON $(equality_index $1);" "DROP INDEX IF EXISTS $1_v;"; }
turns build_index
row "building the blind index, a row, over btree" "$(per_value)" "<= 1000 ns" "$(per_value 3)"
size() { sql -c "SELECT pg_relation_size('$1')"; }
row "its size, of btree's" "$(echo "$(size sealed_v) $(size plain_v)" | awk '{ printf "%.2f x", $1 / $2 }')"

contestants="plain sealed"
build_hash() { ms "CREATE INDEX $1_h ON $1 USING hash (v);" "DROP INDEX IF EXISTS $1_h;"; }
turns build_hash
row "building a hash index, a row, over plain's" "$(per_value)"
sql -c 'DROP INDEX plain_h, sealed_h, plain_v, sealed_v, pgcrypto_v'

if [ -n "${ROWS_BIG:-}" ]
then
	sql <<SQL
CREATE UNLOGGED TABLE big_plain AS SELECT i AS id, substr(md5(i::text), 1, 16) AS v FROM generate_series(1, $ROWS_BIG) i;
CREATE UNLOGGED TABLE big_sealed (id int, v encrypted_text('bench'));
INSERT INTO big_sealed SELECT id, v FROM big_plain;
VACUUM ANALYZE big_plain, big_sealed;
SQL
	# CPU time, and how long it took
	big()
	{
		start=$(date +%s)
		used=$(ms "CREATE INDEX big_v ON $1;")
		echo "$used $(($(date +%s) - start))" | awk '{ printf "%.0f s (%.0f)", $1 / 1000, $2 }'
		sql -c 'DROP INDEX big_v'
	}
	row "$ROWS_BIG rows: blind index (plain: btree)" "$(big 'big_sealed (blind_index(v))')" "" "plain $(big 'big_plain (v)')"
	row "$ROWS_BIG rows: hash index" "$(big 'big_sealed USING hash (v)')" "" "plain $(big 'big_plain USING hash (v)')"
	sql -c 'DROP TABLE big_plain, big_sealed'
fi
