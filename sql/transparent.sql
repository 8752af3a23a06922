--
-- Statements that the client itself sends return base types; nested ones, COPY,
-- definitions and pgseal.transparent = off keep the sealed form.
--
SET client_min_messages = warning;
CREATE SCHEMA transp;
SET search_path = transp, public;
CREATE TABLE t (id int, v encrypted_text, n encrypted_int4, d encrypted_date);
CREATE TABLE plain (id int, v text, n int, d date);
INSERT INTO plain VALUES (1, 'ada', 10, '2001-01-01'), (2, 'bob', 20, '2002-02-02'), (3, 'ada', 30, '2003-03-03'),
	(4, NULL, NULL, NULL), (5, 'eve', 20, '2001-01-01');
INSERT INTO t SELECT * FROM plain;

CREATE FUNCTION pg_temp.is_sealed(text) RETURNS bool LANGUAGE SQL RETURN $1 LIKE 'pgseal:1:%';

-- plain columns and their types
SELECT * FROM t ORDER BY id;
SELECT * FROM t ORDER BY id \gdesc
SELECT v, n + 1 AS n1, pg_typeof(v) FROM t WHERE id = 1;
SELECT t.* FROM t WHERE v = 'bob';
SELECT v FROM t WHERE v LIKE 'a%' AND n > 10;
TABLE t ORDER BY 1 LIMIT 1;
VALUES ('x'::encrypted_text, 1), ('y', 2);
VALUES ('x'::encrypted_text, 1), ('y', 2) \gdesc
SELECT 'x'::encrypted_text AS v, '5'::encrypted_int4 AS n \gdesc

-- ORDER BY, GROUP BY, grouping sets, HAVING
SELECT v, n FROM t ORDER BY v DESC NULLS LAST, n;
SELECT v FROM t ORDER BY n DESC, id;
SELECT id FROM t ORDER BY v COLLATE "C", id;
SELECT v, count(*), sum(n), max(n), min(d) FROM t GROUP BY v ORDER BY v;
SELECT v AS name, count(*) FROM t GROUP BY name HAVING count(*) > 1;
SELECT v, n, count(*) FROM t GROUP BY GROUPING SETS ((v), (n), ()) ORDER BY 1, 2, 3;
SELECT coalesce(v, 'none') AS v, grouping(v), count(*) FROM t GROUP BY ROLLUP (v) ORDER BY 2, 1;
SELECT coalesce(v, 'none'::encrypted_text) AS v, count(*) FROM t GROUP BY CUBE (1) ORDER BY 2, 1;
SELECT upper(v), count(*) FROM t GROUP BY upper(v) ORDER BY 1;
SELECT v, array_agg(n ORDER BY n), string_agg(v, ',') FROM t GROUP BY v ORDER BY v;
SELECT v, sum(sum(n)) OVER (ORDER BY v) FROM t GROUP BY v ORDER BY v;

-- DISTINCT, DISTINCT ON, set operations, LIMIT, WITH TIES
SELECT DISTINCT v FROM t ORDER BY v;
SELECT DISTINCT v, n FROM t ORDER BY n DESC NULLS LAST, v LIMIT 2;
SELECT DISTINCT ON (v) v, id FROM t ORDER BY v, id DESC;
SELECT count(DISTINCT v), count(DISTINCT n), count(v) FROM t;
SELECT v::text FROM t UNION SELECT v FROM plain ORDER BY 1;
SELECT v FROM t UNION SELECT 'new' ORDER BY 1;
SELECT v FROM t UNION ALL SELECT v FROM t WHERE id = 2 ORDER BY v LIMIT 3;
SELECT v FROM t INTERSECT SELECT v FROM t WHERE id > 2 ORDER BY 1;
SELECT v FROM t EXCEPT SELECT v FROM t WHERE id = 1 ORDER BY 1;
(SELECT v, id FROM t ORDER BY id LIMIT 1) UNION ALL (SELECT v, id FROM t ORDER BY id DESC LIMIT 1);
SELECT v, n FROM t UNION SELECT v, n FROM t \gdesc
SELECT n FROM t ORDER BY n FETCH FIRST 2 ROWS WITH TIES;
SELECT v FROM t ORDER BY id OFFSET 1 LIMIT 1;

-- window functions
SELECT id, v, lag(v) OVER (ORDER BY id), first_value(v) OVER (PARTITION BY n ORDER BY id), rank() OVER (ORDER BY v)
	FROM t ORDER BY id;
SELECT v, row_number() OVER w FROM t WINDOW w AS (PARTITION BY v ORDER BY n) ORDER BY v, 2;

-- joins, LATERAL, subqueries, CTEs
SELECT a.id, b.id, a.v FROM t a JOIN t b USING (v) WHERE a.id < b.id;
SELECT a.id, a.v, b.v FROM t a LEFT JOIN plain b ON a.v = b.v AND a.id = b.id ORDER BY 1;
SELECT v FROM t a FULL JOIN t b USING (v) ORDER BY v LIMIT 2;
SELECT x.v FROM t, LATERAL (SELECT t.v FROM t u WHERE u.id = t.id) x ORDER BY t.id LIMIT 1;
SELECT (SELECT v FROM t WHERE id = 1), ARRAY(SELECT v FROM t WHERE id < 3 ORDER BY id), EXISTS (SELECT v FROM t) AS e;
SELECT id FROM t WHERE v IN (SELECT v FROM t WHERE id = 1) ORDER BY 1;
SELECT id FROM t WHERE v IN ('ada', 'eve') ORDER BY 1;
SELECT id FROM t WHERE v = ANY (ARRAY['ada', 'eve']) ORDER BY 1;
SELECT id FROM t WHERE (v, n) = ('ada', 10);
SELECT id FROM t WHERE v NOT IN (SELECT v FROM plain WHERE v <> 'eve') ORDER BY 1;
SELECT id FROM t WHERE v BETWEEN 'b' AND 'c' OR n BETWEEN 25 AND 35 ORDER BY 1;
SELECT id FROM t WHERE v IS DISTINCT FROM 'ada' ORDER BY 1;
SELECT CASE v WHEN 'ada' THEN v ELSE 'other' END FROM t ORDER BY id LIMIT 2;
SELECT nullif(v, 'ada'), greatest(n, '15'), least(v, 'b') FROM t WHERE id <= 2 ORDER BY id;
WITH c AS (SELECT v, count(*) FROM t GROUP BY v) SELECT * FROM c WHERE v = 'ada';
WITH RECURSIVE r AS (SELECT id, v, 1 AS depth FROM t WHERE id = 1 UNION ALL SELECT t.id, t.v, depth + 1 FROM r JOIN t ON t.id = r.id + 1)
	SELECT * FROM r ORDER BY depth;
WITH RECURSIVE r AS (SELECT v FROM t WHERE id = 1 UNION SELECT t.v FROM r JOIN t ON t.v > r.v) SELECT DISTINCT v FROM r ORDER BY 1;
WITH w AS (INSERT INTO t VALUES (6, 'fay', 60) RETURNING id, v) SELECT * FROM w;
WITH w AS (UPDATE t SET v = 'gus' WHERE id = 6 RETURNING v) SELECT DISTINCT v FROM w;
WITH w AS (UPDATE t SET v = 'hal' WHERE id = 6 RETURNING v), x AS (SELECT v FROM t WHERE id = 1)
	SELECT v FROM w UNION SELECT v FROM x UNION SELECT v FROM w ORDER BY v;
WITH w AS (DELETE FROM t WHERE id = 6 RETURNING *) SELECT v, (SELECT count(*) FROM w) FROM w UNION ALL SELECT v, 0 FROM w;

-- RETURNING
INSERT INTO t VALUES (7, 'ivy', 70), (8, 'jon', 80) RETURNING *;
INSERT INTO t (id, v) VALUES (9, 'kim') RETURNING v, upper(v), n;
UPDATE t SET n = n + 1 WHERE id = 7 RETURNING id, v, n;
DELETE FROM t WHERE id > 6 RETURNING v;
WITH x AS (SELECT 1) INSERT INTO t (id, v) SELECT 10, 'lou' RETURNING t.v;
DELETE FROM t USING plain p WHERE t.id = 10 RETURNING t.v, p.v IS NULL AS none;

-- FOR UPDATE, cursors
BEGIN;
SELECT v FROM t WHERE id = 1 FOR UPDATE;
SELECT v FROM t WHERE id < 3 ORDER BY v FOR SHARE OF t SKIP LOCKED;
DECLARE c SCROLL CURSOR FOR SELECT id, v FROM t ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH LAST FROM c;
MOVE ABSOLUTE 1 IN c;
FETCH NEXT FROM c;
DECLARE u CURSOR FOR SELECT v FROM t WHERE id = 2 FOR UPDATE;
FETCH u;
UPDATE t SET v = v || '!' WHERE CURRENT OF u RETURNING v;
DECLARE _pg_dump_cursor CURSOR FOR SELECT v FROM t WHERE id = 1;
CREATE FUNCTION fetch_dump() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := '_pg_dump_cursor';
	v text;
BEGIN
	FETCH c INTO v;
	RETURN v = 'ada';		-- assigned to text, so opened here
END $$;
SELECT fetch_dump() AS "opened by assignment";
ROLLBACK;
DECLARE h CURSOR WITH HOLD FOR SELECT v, n FROM t ORDER BY id;
FETCH 2 FROM h;
CLOSE h;

-- set-returning functions, arrays, domains, composite types, records
CREATE DOMAIN mail AS encrypted_text;
CREATE TYPE comp AS (v encrypted_text, n int);
CREATE TABLE k (id int, a encrypted_text[], m mail, c comp, b encrypted_int4[][]);
INSERT INTO k VALUES (1, '{x,NULL,z}', 'm', ROW('c', 1), '{{1,2},{3,4}}');
SELECT a, m, b FROM k;
SELECT a, m, b FROM k \gdesc
SELECT unnest(a) FROM k;
SELECT a[1], a[2:3], array_length(a, 1), b[2][1] FROM k;
SELECT generate_series(1, 2), v FROM t WHERE id = 1;
SELECT (c).v, (c).n FROM k;
SELECT (c).* FROM k;
SELECT c::text AS "composite" FROM k;
SELECT r::text AS "row output" FROM (SELECT v FROM t WHERE id = 1) r;
SELECT array_agg(v)::text AS "text of an array" FROM t WHERE id = 1;
CREATE FUNCTION setof_t() RETURNS SETOF t LANGUAGE SQL AS 'SELECT * FROM t WHERE id < 3 ORDER BY id';
CREATE FUNCTION table_v() RETURNS TABLE (v encrypted_text, w text) LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT t.v, t.v::text FROM t WHERE id < 3 ORDER BY id; END';
CREATE FUNCTION scalar_v(int) RETURNS encrypted_text LANGUAGE SQL AS 'SELECT v FROM t WHERE id = $1';
CREATE FUNCTION out_v(OUT v encrypted_text, OUT n encrypted_int4) LANGUAGE SQL AS $$ SELECT 'o', 5::encrypted_int4 $$;
SELECT v, n FROM setof_t();
SELECT * FROM table_v();
SELECT scalar_v(1), (setof_t()).v LIMIT 1;
SELECT * FROM out_v();
SELECT * FROM ROWS FROM (setof_t(), generate_series(1, 2)) AS r(id, v, n, d, g);

-- views and their definitions
CREATE VIEW w AS SELECT id, v, upper(v) AS u FROM t WHERE n > 5;
SELECT replace(pg_get_viewdef('w'::regclass), 't.', '') AS "as it was written"; -- since 16 without "t."
SELECT v, u FROM w ORDER BY id LIMIT 1;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'w'::regclass ORDER BY attnum;
CREATE RULE r AS ON UPDATE TO w DO INSTEAD SELECT v FROM t WHERE id = 1;
CREATE FUNCTION body() RETURNS SETOF encrypted_text BEGIN ATOMIC SELECT v FROM t; END;
SELECT prosrc = '', position('open_result' IN pg_get_functiondef(oid)) FROM pg_proc WHERE proname = 'body';
SELECT count(*) AS "no result is opened in a stored query" FROM pg_rewrite WHERE ev_action ~ (SELECT string_agg(':funcid ' || oid || ' ', '|') FROM pg_proc WHERE proname = 'open_result');

-- nested: sealed in PL/pgSQL, DO, EXECUTE, triggers; opened by assignment to a base type
DO $$
DECLARE
	r record;
	v encrypted_text;
	s text;
BEGIN
	SELECT t.v INTO r FROM t WHERE id = 1;
	RAISE INFO 'record: %, type %', left(r.v::text, 3), pg_typeof(r.v);
	SELECT t.v INTO v FROM t WHERE id = 1;
	RAISE INFO 'variable: %', substr(pgseal_internal.encrypted_text_out(v)::text, 1, 9);
	EXECUTE 'SELECT v FROM transp.t WHERE id = 1' INTO s;
	RAISE INFO 'text: %', s;
	FOR r IN EXECUTE 'SELECT v FROM transp.t WHERE id = 1' LOOP
		RAISE INFO 'loop: %', pg_typeof(r.v);
	END LOOP;
	FOR r IN SELECT t.v || '!' AS v FROM t WHERE id = 1 LOOP
		RAISE INFO 'expression: %', r.v;
	END LOOP;
END $$;
CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	SELECT v INTO r FROM t WHERE id = 1;
	RAISE INFO 'trigger: % % %', pg_typeof(NEW.v), pg_typeof(r.v), NEW.v = 'ada';
	RETURN NEW;
END $$;
CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.v = 'ada') EXECUTE FUNCTION tr();
UPDATE t SET v = v WHERE id = 1;
DROP TRIGGER tr ON t;

-- COPY gives what is stored
\getenv dir PG_ABS_BUILDDIR
\set file :dir '/results/transparent.data'
COPY (SELECT v FROM t WHERE id = 1) TO :'file';
CREATE TEMP TABLE lines (line text);
COPY lines FROM :'file';
COPY t (v) TO :'file';
COPY lines FROM :'file';
COPY (UPDATE t SET n = n WHERE id = 1 RETURNING v) TO :'file';
COPY lines FROM :'file';
SELECT bool_and(pg_temp.is_sealed(line)) AS "all sealed" FROM lines WHERE line IS NOT NULL;

-- EXPLAIN: opened last, above sort, limit and unique
EXPLAIN (COSTS OFF, VERBOSE) SELECT v FROM t ORDER BY v LIMIT 1;
EXPLAIN (COSTS OFF) SELECT DISTINCT v FROM t;
EXPLAIN (COSTS OFF, VERBOSE) INSERT INTO t SELECT * FROM t RETURNING v;
EXPLAIN (COSTS OFF) CREATE TABLE x AS SELECT v FROM t;
CREATE FUNCTION pg_temp.analyze(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE line text; BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		RETURN NEXT replace(line, '.00', '');	-- so since 18
	END LOOP; END $$;
SELECT pg_temp.analyze('SELECT v FROM t WHERE id = 1');

-- PREPARE and EXECUTE, across DDL and the setting
PREPARE p AS SELECT v, n FROM t WHERE id = 1;
PREPARE q (int) AS SELECT v FROM t WHERE id = $1;
PREPARE ins (int, text) AS INSERT INTO t (id, v) VALUES ($1, $2) RETURNING v;
PREPARE d AS SELECT DISTINCT v FROM t WHERE id = 1;
EXECUTE p;
EXECUTE q (2);
EXECUTE ins (20, 'new');
EXECUTE d;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE p;
SET pgseal.transparent = off;
EXECUTE p;
EXECUTE q (2);
ALTER TABLE t ADD x int;
EXECUTE p;
EXECUTE q (2);
EXECUTE d;
EXECUTE ins (21, 'new');
PREPARE off AS SELECT v FROM t WHERE id = 1;
CREATE TABLE off AS EXECUTE off;
RESET pgseal.transparent;
ALTER TABLE t DROP x;
CREATE TABLE off2 AS EXECUTE off;
CREATE INDEX ON t (id);
ANALYZE t;
EXECUTE p;
EXECUTE q (3);
EXECUTE d;
EXECUTE ins (22, 'new');
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid IN ('off'::regclass, 'off2'::regclass) AND attnum > 0;
DO $$ BEGIN EXECUTE 'PREPARE inner_p AS SELECT v FROM transp.t WHERE id = 1'; END $$;
EXECUTE inner_p \gdesc
DEALLOCATE ALL;
DELETE FROM t WHERE id >= 20;

-- off: sealed for the client
SET pgseal.transparent = off;
SELECT v FROM t WHERE id = 1 \gdesc
SELECT pg_temp.is_sealed(pgseal_internal.encrypted_text_out(v)::text) AS sealed, v = 'ada' AS "compares", v::text AS "cast opens" FROM t WHERE id = 1;
RESET pgseal.transparent;

-- several statements in one string, and one that fails
SELECT v FROM t WHERE id = 1\; SELECT n FROM t WHERE id = 1;
SELECT 1/0 FROM t WHERE id = 1;
SELECT v FROM t WHERE id = 1;
BEGIN;
SAVEPOINT s;
SELECT nosuch FROM t;
ROLLBACK TO s;
SELECT v FROM t WHERE id = 1;
COMMIT;

-- procedures
CREATE PROCEDURE pr(INOUT v encrypted_text) LANGUAGE plpgsql AS $$ BEGIN v := v || '!'; END $$;
DO $$ DECLARE x encrypted_text := 'p'; BEGIN CALL transp.pr(x); RAISE INFO '%', x::text; END $$;

-- tables without rows, no columns
SELECT FROM t LIMIT 1;
SELECT v FROM t WHERE false;

-- NOT IN and other subselects that are hashed by themselves
SELECT id FROM t WHERE v NOT IN (SELECT v FROM t WHERE id IN (1, 2)) ORDER BY 1;
SELECT id, v IN (SELECT v FROM plain WHERE id = 2) AS "in" FROM t ORDER BY 1;
SELECT id, n NOT IN (SELECT n FROM plain WHERE n > 10) AS "not in", d IN (SELECT d FROM t WHERE id = 1) AS "in" FROM t ORDER BY 1;
SELECT id FROM plain WHERE v NOT IN (SELECT v FROM t WHERE id IN (1, 2)) ORDER BY 1;

-- what is spilled to disk is sealed
CREATE TABLE big AS SELECT i, pgseal.seal('canary-' || repeat('x', 200) || i, 'transp.t') AS v FROM generate_series(1, 3000) i;
CREATE FUNCTION canaries_in_temp_files() RETURNS TABLE (files bool, canaries bigint) LANGUAGE SQL AS $$
	SELECT count(*) > 0, count(*) FILTER (WHERE position('canary'::bytea IN pg_read_binary_file('base/pgsql_tmp/' || name, 0, size, true)) > 0)
	FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql_tmp' || pg_backend_pid() || '.%' $$;
SET work_mem = '64kB';
BEGIN;
DECLARE sorted CURSOR FOR SELECT v FROM big ORDER BY v;
FETCH 1 FROM sorted \g /dev/null
SELECT * FROM canaries_in_temp_files();
DECLARE grouped CURSOR FOR SELECT v, count(*) FROM big GROUP BY v;
FETCH 1 FROM grouped \g /dev/null
SELECT * FROM canaries_in_temp_files();
DECLARE joined CURSOR FOR SELECT a.v FROM big a JOIN big b USING (v);
FETCH 1 FROM joined \g /dev/null
SELECT * FROM canaries_in_temp_files();
ROLLBACK;
RESET work_mem;

SET client_min_messages = error;
DROP SCHEMA transp CASCADE;
