-- The hash class: indexes USING hash (column), EXCLUDE, GROUP BY, DISTINCT,
-- UNION, hash joins.
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse

-- (amvalidate() would have the families hold the = of the base types, too; then
-- plain columns would be hashed by them.)
CREATE FUNCTION plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement
	LOOP
		RETURN NEXT regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]*', 'sealed', 'g');
	END LOOP;
END $$;

CREATE TABLE people (id int, ssn encrypted_text, city encrypted_text, born encrypted_date, n encrypted_numeric);
INSERT INTO people SELECT i, 's' || i, 'c' || i % 10, date '2000-01-01' + i, i + 0.5 FROM generate_series(1, 2000) i;
INSERT INTO people (id) VALUES (2001), (2002);
CREATE INDEX people_ssn ON people USING hash (ssn);
CREATE INDEX people_born ON people USING hash (born);
CREATE INDEX people_n ON people USING hash (n);
ANALYZE people;

\echo -- literal, typed expression, parameters
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'$$);
SELECT id FROM people WHERE ssn = 's77';
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'::text$$);
SELECT id FROM people WHERE ssn = 's77'::text;
SELECT plan($$SELECT id FROM people WHERE born = date '2000-01-08'$$);
SELECT id FROM people WHERE born = date '2000-01-08';
SELECT plan($$SELECT id FROM people WHERE n = 7.50$$);
SELECT id FROM people WHERE n = 7.50;
PREPARE by_unknown AS SELECT id FROM people WHERE ssn = $1;
PREPARE by_text(text) AS SELECT id FROM people WHERE ssn = $1;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE by_unknown('s77')$$);
SELECT plan($$EXECUTE by_text('s77')$$);
EXECUTE by_unknown('s77');
EXECUTE by_text('s77');
RESET plan_cache_mode;
SELECT id FROM people WHERE ssn = 'nobody';
SELECT plan($$SELECT id FROM people WHERE ssn IN ('s77', 's78')$$);
SELECT id FROM people WHERE ssn IN ('s77', 's78') ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = 's77' OR born = '2000-01-08' ORDER BY id$$);
SELECT id FROM people WHERE ssn = 's77' OR born = '2000-01-08' ORDER BY id;

\echo -- after updates and deletes
UPDATE people SET ssn = 'moved' WHERE ssn = 's77';
SELECT id FROM people WHERE ssn = 's77';
SELECT id FROM people WHERE ssn = 'moved';
DELETE FROM people WHERE ssn = 'moved';
SELECT id FROM people WHERE ssn = 'moved';

\echo -- joins between tables of different keys
CREATE TABLE visits (id int, ssn encrypted_text('hash_visits'), plain text);
INSERT INTO visits SELECT i, 's' || i * 100, 's' || i * 100 FROM generate_series(1, 10) i;
ANALYZE visits;
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn$$);
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn ORDER BY 1;
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.plain ORDER BY 1;
SET enable_nestloop = off;
SET enable_mergejoin = off;
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn$$);
SELECT count(*), sum(p.id) FROM visits v JOIN people p ON p.ssn = v.ssn;
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.plain$$);
SELECT count(*), sum(p.id) FROM visits v JOIN people p ON p.ssn = v.plain;
SELECT count(*), count(v.id), count(p.id) FROM visits v FULL JOIN people p ON p.ssn = v.ssn;
SELECT count(*) FROM people p WHERE NOT EXISTS (SELECT FROM visits v WHERE v.ssn = p.ssn);
SELECT count(*) FROM people p WHERE p.ssn IN (SELECT v.ssn FROM visits v);
RESET enable_nestloop;
RESET enable_mergejoin;

\echo -- GROUP BY, DISTINCT, UNION, INTERSECT, EXCEPT
SET enable_sort = off;
SELECT plan($$SELECT city, count(*) FROM people GROUP BY city$$);
SELECT city, n FROM (SELECT city, count(*) AS n FROM people GROUP BY city) x ORDER BY city::text NULLS LAST;
SELECT plan($$SELECT DISTINCT city FROM people$$);
SELECT count(*) FROM (SELECT DISTINCT city FROM people) x;
SELECT count(DISTINCT city), count(city) FROM people;
SELECT plan($$SELECT city FROM people UNION SELECT ssn FROM people$$);
SELECT count(*) FROM (SELECT city FROM people UNION SELECT ssn FROM people) x;
SELECT count(*) FROM (SELECT ssn FROM people INTERSECT SELECT ssn FROM visits) x;
SELECT count(*) FROM (SELECT ssn FROM people EXCEPT SELECT ssn FROM visits) x;
RESET enable_sort;

\echo -- EXCLUDE: unique without a blind index
CREATE TABLE excluded (id int, ssn encrypted_text, EXCLUDE USING hash (ssn WITH =));
INSERT INTO excluded VALUES (1, 's1'), (2, 's2'), (3, NULL), (4, NULL);
INSERT INTO excluded VALUES (5, 's1');
INSERT INTO excluded VALUES (5, 's1') ON CONFLICT DO NOTHING;
SELECT id, ssn FROM excluded ORDER BY id;

\echo -- what would keep an order is refused
CREATE INDEX ON people (ssn);
CREATE UNIQUE INDEX ON people (ssn);
ALTER TABLE people ADD PRIMARY KEY (ssn);

\echo -- a value that is in the table under an older version of its key
SELECT pgseal.rotate_key('public.people');
INSERT INTO people VALUES (3000, 's78');
SELECT id FROM people WHERE ssn = 's78' ORDER BY id;
SELECT count(*) FROM people GROUP BY ssn HAVING count(*) = 2 AND ssn IS NOT NULL;

\echo -- nobody may call the hash itself
CREATE ROLE hash_caller;
GRANT USAGE ON SCHEMA pgseal_internal TO hash_caller;
SET ROLE hash_caller;
SELECT pgseal_internal.hash('x'::text);
SELECT pgseal_internal.hash('x'::encrypted_text, 0);
RESET ROLE;
REVOKE USAGE ON SCHEMA pgseal_internal FROM hash_caller;
DROP ROLE hash_caller;

DROP TABLE people, visits, excluded;
DROP FUNCTION plan;
