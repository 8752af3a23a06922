# What statements on plain columns cost in a database with pgseal's objects,
# parsed and planned each time, of the same in a database without them.

row "statements on plain columns, with the extension" "of without"
for database in plain sealed
do
	sql -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
	sql -d $database -c "CREATE TABLE t AS SELECT i AS id, i::text AS a, i::text AS b, i::numeric AS n FROM generate_series(1, 100) i" \
		-c 'CREATE UNIQUE INDEX ON t (id)' -c 'VACUUM ANALYZE t'
done
sql -d sealed -c 'CREATE EXTENSION pgseal' -c 'VACUUM ANALYZE'
sql -d plain -c 'VACUUM ANALYZE'

contestants="plain sealed"
mode=simple
while IFS='@' read -r what statement
do
	statement_in() { PGDATABASE=$1 tps "$statement"; }
	turns statement_in
	row "$what" "$(share)"
done <<'STATEMENTS'
1 + 1, 'a' || 'x', length('a')@SELECT 1 + 1, 'a'::text || 'x', length('a');
a || b, n * 1.5, lower(a) by id@SELECT a || b, n * 1.5, lower(a) FROM t WHERE id = 42;
n = '1', a LIKE, ORDER BY@SELECT a FROM t WHERE n = '1' AND a LIKE '1%' ORDER BY b;
STATEMENTS
mode=

# A backend's first statement fills its caches.
first() { sql -d "$1" -c "SELECT a || b, n * 1.5, lower(a) FROM t WHERE id = 42" -c "SELECT $cpu" | tail -n 1; }
turns first
row "a new session and its first statement, CPU" "$(figure '100 * $1 / $2' '%.1f %%')"
sql -c 'DROP DATABASE plain' -c 'DROP DATABASE sealed'
