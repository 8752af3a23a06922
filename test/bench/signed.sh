# Rows that are signed as they are written and verified as they are read, and those
# that are recorded in a ledger, too.

sql <<'SQL'
DROP TABLE IF EXISTS plain, verified, recorded;
CREATE TABLE plain (id int, v text, n int8, at timestamptz, price numeric);
CREATE TABLE verified (id int, v text, n int8, at timestamptz, price numeric, signature row_signature);
CREATE TABLE recorded (id int, v text, n int8, at timestamptz, price numeric, signature row_signature);
SELECT pgseal.sign_table('recorded', ledger => true);
SQL
row "$rows rows of five columns, over plain" "pgseal" "budget"

contestants="plain verified recorded"
write()
{
	ms "INSERT INTO $1 SELECT i, substr(md5(i::text), 1, 16), i, now(), i * 1.5 FROM generate_series(1, $rows) i;" \
		"TRUNCATE $1;"
}
turns write
row "INSERT, a row signed" "$(per_value)" "<= 2000 ns"
row "INSERT, a row signed and recorded" "$(per_value 3)"
sql -c 'VACUUM (FREEZE, ANALYZE) plain, verified, recorded'

read_all() { ms "SELECT count(*) FROM $1 WHERE n > 0;"; }
turns read_all
row "sequential scan, a row verified" "$(per_value)" "<= 800 ns"

update() { ms "UPDATE $1 SET n = n + 1;" "VACUUM $1;"; }
turns update
row "UPDATE, a row verified twice and signed" "$(per_value)"
row "UPDATE, a row recorded, too" "$(per_value 3)"

count_ledger() { ms "SELECT count(*) FROM pgseal.verify_table('$1', ledger => '$1' = 'recorded') WHERE broken = 0;"; }
contestants="verified recorded"
turns count_ledger
row "verify_table(), a row; with the ledger" "$(figure "\$1 * 1e6 / $rows" '%.0f ns'); $(figure "\$2 * 1e6 / $rows" '%.0f ns')"

# One row a transaction
sql <<'SQL'
TRUNCATE plain, verified, recorded;
INSERT INTO plain SELECT i, 'v', i, now(), i FROM generate_series(1, 10000) i;
INSERT INTO verified SELECT * FROM plain;
INSERT INTO recorded SELECT * FROM plain;
CREATE INDEX ON plain (id);
CREATE INDEX ON verified (id);
CREATE INDEX ON recorded (id);
SQL
contestants="plain verified recorded"
change()
{
	tps "\\set id random(1, 10000)
UPDATE $1 SET n = n + 1 WHERE id = :id;"
}
turns change
row "UPDATE of one row by its index: transactions a second of CPU, of plain" "$(figure '$4 * 100 / $2' '%.0f %%')"
row "with a ledger" "$(figure '$6 * 100 / $2' '%.0f %%')"
look() { tps "\\set id random(1, 10000)
SELECT * FROM $1 WHERE id = :id;"; }
turns look
row "SELECT of one row by its index, of plain" "$(figure '$4 * 100 / $2' '%.0f %%')"
sql -c 'DROP TABLE plain, verified, recorded'
