# Rows that are signed as they are written and verified as they are read.

sql <<'SQL'
DROP TABLE IF EXISTS plain, verified;
CREATE TABLE plain (id int, v text, n int8, at timestamptz, price numeric);
CREATE TABLE verified (id int, v text, n int8, at timestamptz, price numeric, signature row_signature);
SQL
row "$rows rows of five columns, over plain" "pgseal" "budget"

contestants="plain verified"
write()
{
	ms "INSERT INTO $1 SELECT i, substr(md5(i::text), 1, 16), i, now(), i * 1.5 FROM generate_series(1, $rows) i;" \
		"TRUNCATE $1;"
}
turns write
row "INSERT, a row signed" "$(per_value)" "<= 2000 ns"
sql -c 'VACUUM (FREEZE, ANALYZE) plain, verified'

read_all() { ms "SELECT count(*) FROM $1 WHERE n > 0;"; }
turns read_all
row "sequential scan, a row verified" "$(per_value)" "<= 800 ns"

update() { ms "UPDATE $1 SET n = n + 1;" "VACUUM $1;"; }
turns update
row "UPDATE, a row verified twice and signed" "$(per_value)"
sql -c 'DROP TABLE plain, verified'
