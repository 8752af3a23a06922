-- CREATE TABLE AS EXECUTE: what is made is as CREATE TABLE AS SELECT makes it, whoever opens
-- the results of the prepared statement.
CREATE SCHEMA made;
SET search_path = made, public;
CREATE TABLE s (id int, t encrypted_text, n encrypted_int4, a encrypted_text[]);
INSERT INTO s VALUES (1, 'jade-canary', 5, '{jade-canary,b}'), (2, 'y', 6, NULL);
CREATE TABLE p (id int, t text, n int, a text[]);
INSERT INTO p VALUES (1, 'jade-canary', 5, '{jade-canary,b}'), (2, 'y', 6, NULL);
-- The columns of a table, and whether its bytes show what is in it
CREATE FUNCTION columns_of(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
	CHECKPOINT;
	RETURN (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = name::regclass AND attnum > 0) ||
		CASE WHEN encode(pg_read_binary_file(pg_relation_filepath(name)), 'escape') ~ 'canary' THEN ' SHOWN' ELSE '' END;
END $$;

PREPARE q (int) AS SELECT id, t, n, a FROM s WHERE n >= $1 ORDER BY t;
CREATE TABLE m1 AS EXECUTE q (5);
SELECT columns_of('m1');
SELECT * FROM m1 ORDER BY id;
CREATE TABLE m2 (x) AS EXECUTE q (6) WITH NO DATA;
SELECT columns_of('m2'), count(*) FROM m2;
CREATE TABLE IF NOT EXISTS m1 AS EXECUTE q (5);
CREATE TABLE IF NOT EXISTS m3 AS EXECUTE q (5);
SELECT columns_of('m3'), count(*) FROM m3;
CREATE TEMPORARY TABLE m4 ON COMMIT DROP AS EXECUTE q (5);
CREATE UNLOGGED TABLE m5 AS EXECUTE q (5);
SELECT columns_of('m5'), count(*) FROM m5;

-- Distinct, a union, a row, a value that has no key, and parameters in the results
PREPARE q2 AS SELECT DISTINCT t FROM s;
PREPARE q3 (text) AS SELECT t, $1 AS k FROM s UNION SELECT $1, 'jade';
PREPARE q4 AS SELECT s AS r FROM s;
PREPARE q5 (text) AS SELECT t, $1 AS k, 'jade-canary'::encrypted_text AS l, $1::encrypted_text AS m FROM s WHERE t = $1;
PREPARE q6 AS WITH w AS (SELECT t, row_number() OVER (ORDER BY t) AS i FROM s) SELECT * FROM w;
CREATE TABLE m6 AS EXECUTE q2;
CREATE TABLE m7 AS EXECUTE q3 ('k');
CREATE TABLE m8 AS EXECUTE q4;
CREATE TABLE m9 AS EXECUTE q5 ('jade-' || 'canary');
CREATE TABLE m10 AS EXECUTE q6;
SELECT name, columns_of(name) FROM (VALUES ('m6'), ('m7'), ('m8'), ('m10')) v (name);
SELECT columns_of('m9'); -- k is a parameter, of type text
SELECT count(*) FROM m7 WHERE t = 'k';
SELECT r FROM m8 ORDER BY (r).id;
SELECT * FROM m9;

-- EXPLAIN makes it only with ANALYZE, and then the same
EXPLAIN (COSTS OFF) CREATE TABLE m11 AS EXECUTE q5 ('jade-canary');
SELECT to_regclass('m11'), count(*) FROM pgseal.keys WHERE name = 'made.m11';
EXPLAIN (COSTS OFF) CREATE TABLE m11 AS EXECUTE q (6);
\o /dev/null
EXPLAIN (ANALYZE) CREATE TABLE m11 AS EXECUTE q (6);
\o
SELECT columns_of('m11'), count(*) FROM m11;
EXPLAIN (COSTS OFF) CREATE TABLE m12 AS SELECT t, 'jade-canary'::encrypted_text AS l FROM s;
\o /dev/null
EXPLAIN (ANALYZE) CREATE TABLE m12 AS SELECT t, 'jade-canary'::encrypted_text AS l FROM s;
\o
SELECT columns_of('m12');
BEGIN READ ONLY;
CREATE TABLE m13 AS EXECUTE q (5);
ROLLBACK;
BEGIN READ ONLY;
EXPLAIN (COSTS OFF) CREATE TABLE m13 AS EXECUTE q (5);
\o /dev/null
EXPLAIN (ANALYZE) CREATE TABLE m13 AS EXECUTE q (5);
\o
SELECT columns_of('m13');
ROLLBACK;
EXPLAIN (COSTS OFF) EXECUTE q (6);
\o /dev/null
EXPLAIN (ANALYZE) EXECUTE q (6);
\o

-- The same refusals as of a plain table's
PREPARE pq (int) AS SELECT id, t, n, a FROM p WHERE n >= $1 ORDER BY t;
CREATE TABLE m14 AS EXECUTE pq;
CREATE TABLE m14 AS EXECUTE q;
CREATE TABLE m14 AS EXECUTE pq (1, 2);
CREATE TABLE m14 AS EXECUTE q (1, 2);
CREATE TABLE m14 AS EXECUTE pq (ARRAY[1]);
CREATE TABLE m14 AS EXECUTE q (ARRAY[1]);
CREATE TABLE m14 AS EXECUTE pq ((SELECT 1));
CREATE TABLE m14 AS EXECUTE q ((SELECT 1));
CREATE TABLE m14 AS EXECUTE pq ('x');
CREATE TABLE m14 AS EXECUTE q ('x');
CREATE TABLE m14 (a, b, c, d, e) AS EXECUTE pq (1);
CREATE TABLE m14 (a, b, c, d, e) AS EXECUTE q (1);
PREPARE pi AS INSERT INTO p VALUES (3) RETURNING t;
PREPARE si AS INSERT INTO s VALUES (3) RETURNING t;
CREATE TABLE m14 AS EXECUTE pi;
CREATE TABLE m14 AS EXECUTE si;

-- Another search path, another setting, plans that were thrown away, within a block
SET search_path = '';
CREATE TABLE made.m15 AS EXECUTE q2;
SET search_path = made, public;
CREATE TABLE m15 AS EXECUTE q2;
SET pgseal.transparent = off;
CREATE TABLE m16 AS EXECUTE q2;
RESET pgseal.transparent;
DISCARD PLANS;
CREATE TABLE m17 AS EXECUTE q2;
DO $$ BEGIN EXECUTE 'CREATE TABLE m18 AS EXECUTE q2'; END $$;
SELECT name, columns_of(name) FROM (VALUES ('m15'), ('m16'), ('m17'), ('m18')) v (name);

-- One that was prepared before its columns were encrypted
CREATE TABLE later (t varchar(20), i int);
INSERT INTO later VALUES ('jade-canary', 1);
PREPARE q7 AS SELECT t, i FROM later;
EXECUTE q7;
ALTER TABLE later ALTER t TYPE encrypted_text USING t::encrypted_text;
CREATE TABLE m19 AS EXECUTE q7;
SELECT columns_of('m19');
EXECUTE q7;

-- A role that may not open, or not read
PREPARE q8 AS SELECT id, t FROM s WHERE id > 0;
CREATE ROLE made_clerk;
GRANT USAGE, CREATE ON SCHEMA made TO made_clerk;
GRANT SELECT ON s, p TO made_clerk;
SET ROLE made_clerk;
CREATE TABLE m20 AS EXECUTE q8;
SELECT * FROM m20;
SELECT id FROM m20;
CREATE TABLE m21 AS EXECUTE q7;
RESET ROLE;
SELECT columns_of('m20');
SELECT * FROM m20;
DEALLOCATE ALL;
SET client_min_messages = error;
DROP SCHEMA made CASCADE;
DROP ROLE made_clerk;
