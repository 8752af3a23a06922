-- Equality finds the blind index by itself: plans, and their results.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
\pset format unaligned
\pset tuples_only on

-- The plan of a statement, sealed constants masked
CREATE FUNCTION plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement
	LOOP
		line := regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]*', 'sealed', 'g');
		line := regexp_replace(line, ', (\d+), ''''::text, 120\)', ', key)', 'g');
		-- What PostgreSQL versions print differently: subplans, the sides of an equality
		line := replace(replace(line, '(InitPlan 1).col1', '$0'), '(InitPlan 2).col1', '$1');
		line := regexp_replace(line, ' \(returns \$\d\)', '');
		line := replace(line, '(ANY (ssn = (hashed SubPlan 1).col1))', '(hashed SubPlan 1)');
		line := regexp_replace(line, '\(ssn = (\w\.ssn)\)', '(\1 = ssn)');
		line := regexp_replace(line, '(pgseal_internal\.token\(ssn, key\)) = (blind_index\(\w\.ssn\))', '\2 = \1');
		RETURN NEXT line;
	END LOOP;
END $$;

-- 2,000 people; every ssn differs, every city has 200 of them
CREATE TABLE people (id int PRIMARY KEY, ssn encrypted_text, city encrypted_text,
	email encrypted_text, plain text);
INSERT INTO people SELECT i, 's' || i, 'c' || i % 10, 'User' || i || '@Example.org', 's' || i
	FROM generate_series(1, 2000) i;
CREATE UNIQUE INDEX people_ssn ON people (blind_index(ssn));
CREATE INDEX people_city ON people (blind_index(city));
CREATE INDEX people_email ON people (blind_index(email, 'lower'));
VACUUM ANALYZE people;

\echo -- literal, on either side
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'$$);
SELECT id FROM people WHERE ssn = 's77';
SELECT plan($$SELECT id FROM people WHERE 's77' = ssn$$);
SELECT id FROM people WHERE 's77' = ssn;
SELECT id FROM people WHERE ssn = 'nobody';
SELECT id FROM people WHERE ssn = NULL;

\echo -- typed expressions
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'::text$$);
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'::varchar$$);
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'::char(5)$$);
SELECT plan($$SELECT id FROM people WHERE ssn = 's' || 77$$);
SELECT id FROM people WHERE ssn = 's77'::text;
SELECT id FROM people WHERE ssn = 's77'::varchar;
SELECT id FROM people WHERE ssn = 's77'::char(5);
SELECT id FROM people WHERE ssn = 's' || 77;

\echo -- parameters, custom and generic plans
PREPARE by_unknown AS SELECT id FROM people WHERE ssn = $1;
PREPARE by_text(text) AS SELECT id FROM people WHERE ssn = $1;
PREPARE by_varchar(varchar) AS SELECT id FROM people WHERE ssn = $1;
PREPARE by_bpchar(char(5)) AS SELECT id FROM people WHERE ssn = $1;
SET plan_cache_mode = force_custom_plan;
SELECT plan($$EXECUTE by_unknown('s77')$$);
SELECT plan($$EXECUTE by_text('s77')$$);
SELECT plan($$EXECUTE by_varchar('s77')$$);
SELECT plan($$EXECUTE by_bpchar('s77')$$);
EXECUTE by_unknown('s77');
EXECUTE by_text('s77');
EXECUTE by_varchar('s77');
EXECUTE by_bpchar('s77');
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE by_unknown('s77')$$);
SELECT plan($$EXECUTE by_text('s77')$$);
SELECT plan($$EXECUTE by_varchar('s77')$$);
SELECT plan($$EXECUTE by_bpchar('s77')$$);
EXECUTE by_unknown('s77');
EXECUTE by_text('s77');
EXECUTE by_varchar('s77');
EXECUTE by_bpchar('s77');
EXECUTE by_text(NULL);
RESET plan_cache_mode;

\echo -- IN, = ANY
SELECT plan($$SELECT id FROM people WHERE ssn IN ('s1', 's2', 's3') ORDER BY id$$);
SELECT id FROM people WHERE ssn IN ('s1', 's2', 's3') ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = ANY ('{s1,s2,NULL}') ORDER BY id$$);
SELECT id FROM people WHERE ssn = ANY ('{s1,s2,NULL}') ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = ANY (ARRAY['s1', 's2']::text[]) ORDER BY id$$);
SELECT id FROM people WHERE ssn = ANY (ARRAY['s1', 's2']::text[]) ORDER BY id;
PREPARE by_array(text[]) AS SELECT id FROM people WHERE ssn = ANY ($1) ORDER BY id;
PREPARE by_varchars(varchar[]) AS SELECT id FROM people WHERE ssn = ANY ($1) ORDER BY id;
PREPARE by_some AS SELECT id FROM people WHERE ssn IN ($1, $2) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE by_array('{s1,s2}')$$);
SELECT plan($$EXECUTE by_varchars('{s1,s2}')$$);
SELECT plan($$EXECUTE by_some('s1', 's2')$$);
EXECUTE by_array('{s1,s2,nobody}');
EXECUTE by_array('{}');
EXECUTE by_array(NULL);
EXECUTE by_varchars('{s1,s2}');
EXECUTE by_some('s1', 's2');
RESET plan_cache_mode;
SELECT plan($$SELECT id FROM people WHERE ssn = ANY (ARRAY(SELECT 's' || g FROM generate_series(1, 3) g)) ORDER BY id$$);
SELECT id FROM people WHERE ssn = ANY (ARRAY(SELECT 's' || g FROM generate_series(1, 3) g)) ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = (SELECT 's' || 5)$$);
SELECT id FROM people WHERE ssn = (SELECT 's' || 5);

\echo -- negations and three-valued logic agree with the plain column
SELECT count(*) = 1998 AS not_in FROM people WHERE ssn NOT IN ('s1', 's2');
SELECT count(*) = 0 AS not_in_null FROM people WHERE ssn NOT IN ('s1', NULL);
SELECT count(*) = 1998 AS not_of_in FROM people WHERE NOT (ssn IN ('s1', 's2'));
SELECT count(*) = 0 AS not_of_in_null FROM people WHERE NOT (ssn IN ('s1', NULL));
SELECT count(*) = 1999 AS not_equal FROM people WHERE ssn <> 's1';
SELECT count(*) = 1999 AS not_of_equal FROM people WHERE NOT (ssn = 's1');
SELECT count(*) = 1999 AS in_is_unknown FROM people WHERE (ssn IN ('s1', NULL)) IS NULL;
SELECT count(*) = 2000 AS equal_is_unknown FROM people WHERE (ssn = NULL::text) IS NULL;
SELECT count(*) = 1 AS not_distinct FROM people WHERE ssn IS NOT DISTINCT FROM 's1';
SELECT count(*) = 1999 AS distinct FROM people WHERE ssn IS DISTINCT FROM 's1';
SELECT count(*) = 0 AS not_distinct_null FROM people WHERE ssn IS NOT DISTINCT FROM NULL;
SELECT id, ssn = 's1', ssn IN ('s2', 's3'), ssn IN ('s9', NULL),
	CASE ssn WHEN 's1' THEN 'one' WHEN 's2' THEN 'two' END FROM people WHERE id < 4 ORDER BY id;

\echo -- AND, OR
SELECT plan($$SELECT id FROM people WHERE ssn = 's77' OR email = 'User78@Example.org' ORDER BY id$$);
SELECT id FROM people WHERE ssn = 's77' OR email = 'User78@Example.org' ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = 's77' OR ssn IN ('s78', 's79') ORDER BY id$$);
SELECT id FROM people WHERE ssn = 's77' OR ssn IN ('s78', 's79') ORDER BY id;
SELECT plan($$SELECT id FROM people WHERE ssn = 's77' AND city = 'c7'$$);
SELECT id FROM people WHERE ssn = 's77' AND city = 'c7';
SELECT id FROM people WHERE ssn = 's77' AND city = 'c8';

\echo -- a normalized index picks, the comparison itself decides
SELECT plan($$SELECT id FROM people WHERE email = 'User5@Example.org'$$);
SELECT id FROM people WHERE email = 'User5@Example.org';
SELECT id FROM people WHERE email = 'user5@example.org';
SELECT plan($$SELECT id FROM people WHERE blind_index(email, 'lower') = blind_index('USER5@example.ORG', key => 'public.people', normalizer => 'lower')$$);
SELECT id FROM people WHERE blind_index(email, 'lower') = blind_index('USER5@example.ORG', key => 'public.people', normalizer => 'lower');

\echo -- joins: one side, both sides of one key, both sides of different keys
CREATE TABLE visits (id int PRIMARY KEY, ssn encrypted_text, plain text);
INSERT INTO visits SELECT i, 's' || i * 100, 's' || i * 100 FROM generate_series(1, 20) i;
CREATE TABLE cards (id int PRIMARY KEY, ssn encrypted_text('public.people'));
INSERT INTO cards SELECT i, 's' || i * 100 FROM generate_series(1, 20) i;
CREATE INDEX cards_ssn ON cards (blind_index(ssn));
ANALYZE visits, cards;
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id;
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.plain WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.plain WHERE v.id < 3 ORDER BY v.id;
SELECT plan($$SELECT c.id, p.id FROM cards c JOIN people p ON p.ssn = c.ssn WHERE c.id < 3 ORDER BY c.id$$);
SELECT c.id, p.id FROM cards c JOIN people p ON p.ssn = c.ssn WHERE c.id < 3 ORDER BY c.id;
SELECT plan($$SELECT c.id, p.id FROM cards c JOIN people p ON p.ssn = c.ssn WHERE p.ssn = 's200'$$);
SELECT c.id, p.id FROM cards c JOIN people p ON p.ssn = c.ssn WHERE p.ssn = 's200';
CREATE INDEX visits_ssn ON visits (blind_index(ssn));
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id;
SELECT count(*) FROM visits v JOIN people p ON p.ssn = v.ssn;
SELECT plan($$SELECT v.id, p.id FROM visits v LEFT JOIN people p ON p.ssn = v.ssn AND p.id < 150 WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, p.id FROM visits v LEFT JOIN people p ON p.ssn = v.ssn AND p.id < 150 WHERE v.id < 3 ORDER BY v.id;
SELECT count(*), count(v.id), count(p.id) FROM visits v FULL JOIN people p ON p.ssn = v.ssn;
SELECT plan($$SELECT v.id FROM visits v WHERE v.id < 3 AND EXISTS (SELECT FROM people p WHERE p.ssn = v.ssn) ORDER BY v.id$$);
SELECT v.id FROM visits v WHERE v.id < 3 AND EXISTS (SELECT FROM people p WHERE p.ssn = v.ssn) ORDER BY v.id;
SELECT plan($$SELECT p.id FROM people p WHERE p.ssn IN (SELECT v.ssn FROM visits v WHERE v.id < 3) ORDER BY p.id$$);
SELECT p.id FROM people p WHERE p.ssn IN (SELECT v.ssn FROM visits v WHERE v.id < 3) ORDER BY p.id;
SELECT plan($$SELECT v.id FROM visits v WHERE v.id < 3 AND NOT EXISTS (SELECT FROM people p WHERE p.ssn = v.ssn AND p.id < 150) ORDER BY v.id$$);
SELECT v.id FROM visits v WHERE v.id < 3 AND NOT EXISTS (SELECT FROM people p WHERE p.ssn = v.ssn AND p.id < 150) ORDER BY v.id;
-- a hashed subplan: an index is of no use to it
SELECT plan($$SELECT count(*) FROM people p WHERE p.ssn NOT IN (SELECT v.ssn FROM visits v)$$);
SELECT count(*) FROM people p WHERE p.ssn NOT IN (SELECT v.ssn FROM visits v);

\echo -- LATERAL, subqueries, CTEs
SELECT plan($$SELECT v.id, l.id FROM visits v, LATERAL (SELECT id FROM people WHERE ssn = v.ssn LIMIT 1) l WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, l.id FROM visits v, LATERAL (SELECT id FROM people WHERE ssn = v.ssn LIMIT 1) l WHERE v.id < 3 ORDER BY v.id;
SELECT plan($$SELECT v.id, (SELECT p.id FROM people p WHERE p.ssn = v.ssn) FROM visits v WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, (SELECT p.id FROM people p WHERE p.ssn = v.ssn) FROM visits v WHERE v.id < 3 ORDER BY v.id;
SELECT plan($$SELECT id FROM (SELECT id, ssn FROM people OFFSET 0) p WHERE ssn = 's77'$$);
SELECT plan($$SELECT id FROM (SELECT id, ssn FROM people) p WHERE ssn = 's77'$$);
SELECT id FROM (SELECT id, ssn FROM people) p WHERE ssn = 's77';
SELECT plan($$WITH p AS (SELECT id, ssn FROM people) SELECT id FROM p WHERE ssn = 's77'$$);
WITH p AS (SELECT id, ssn FROM people) SELECT id FROM p WHERE ssn = 's77';
SELECT plan($$WITH p AS MATERIALIZED (SELECT id, ssn FROM people WHERE ssn = 's77') SELECT id FROM p$$);
WITH p AS MATERIALIZED (SELECT id, ssn FROM people WHERE ssn = 's77') SELECT id FROM p;
-- not through the fence of a materialized CTE, as for any index
SELECT plan($$WITH p AS MATERIALIZED (SELECT id, ssn FROM people) SELECT id FROM p WHERE ssn = 's77'$$);
WITH p AS MATERIALIZED (SELECT id, ssn FROM people) SELECT id FROM p WHERE ssn = 's77';

\echo -- views: simple, of joins, aggregates, UNION ALL
CREATE VIEW people_view AS SELECT id, ssn, city FROM people;
CREATE VIEW join_view AS SELECT p.id, p.ssn, c.id AS card FROM people p LEFT JOIN cards c ON c.id = p.id;
CREATE VIEW aggregate_view AS SELECT ssn, count(*) AS n FROM people GROUP BY ssn;
CREATE VIEW union_view AS SELECT id, ssn FROM people UNION ALL SELECT id, ssn FROM cards;
CREATE VIEW union_keys_view AS SELECT id, ssn FROM people UNION ALL SELECT id, ssn FROM visits;
CREATE VIEW union_distinct_view AS SELECT id, ssn FROM people UNION SELECT id, ssn FROM cards;
SELECT plan($$SELECT id FROM people_view WHERE ssn = 's77'$$);
SELECT id FROM people_view WHERE ssn = 's77';
SELECT plan($$SELECT id FROM people_view WHERE ssn IN ('s77', 's78')$$);
SELECT plan($$SELECT id, card FROM join_view WHERE ssn = 's7'$$);
SELECT id, card FROM join_view WHERE ssn = 's7';
SELECT plan($$SELECT n FROM aggregate_view WHERE ssn = 's77'$$);
SELECT n FROM aggregate_view WHERE ssn = 's77';
SET enable_seqscan = off;	-- cards is small
SELECT plan($$SELECT id FROM union_view WHERE ssn = 's200' ORDER BY id$$);
SELECT id FROM union_view WHERE ssn = 's200' ORDER BY id;
SELECT plan($$SELECT id FROM union_view WHERE ssn IN ('s200', 's300') ORDER BY id$$);
SELECT id FROM union_view WHERE ssn IN ('s200', 's300') ORDER BY id;
SELECT plan($$SELECT id FROM union_keys_view WHERE ssn = 's200' ORDER BY id$$);
SELECT id FROM union_keys_view WHERE ssn = 's200' ORDER BY id;
SELECT plan($$SELECT id FROM union_keys_view WHERE ssn IN ('s200', 's300') ORDER BY id$$);
SELECT id FROM union_keys_view WHERE ssn IN ('s200', 's300') ORDER BY id;
SELECT plan($$SELECT id FROM union_distinct_view WHERE ssn = 's200' ORDER BY id$$);
SELECT id FROM union_distinct_view WHERE ssn = 's200' ORDER BY id;
RESET enable_seqscan;

\echo -- functions
CREATE FUNCTION sql_inlined(text) RETURNS SETOF int LANGUAGE sql STABLE
	AS 'SELECT id FROM public.people WHERE ssn = $1';
CREATE FUNCTION sql_called(text) RETURNS int LANGUAGE sql VOLATILE
	AS 'SELECT id FROM public.people WHERE ssn = $1';
CREATE FUNCTION plpgsql_called(value text, OUT id int, OUT plan text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT p.id INTO id FROM people p WHERE p.ssn = value;
	SELECT string_agg(l, ' | ') INTO plan FROM plan(format('SELECT id FROM people p WHERE p.ssn = %L::text', value)) l;
END $$;
SELECT plan($$SELECT * FROM sql_inlined('s77')$$);
SELECT * FROM sql_inlined('s77');
SELECT * FROM plpgsql_called('s77');
SELECT sql_called('s77');
\echo -- row security, also with a policy that compares an encrypted column
CREATE ROLE lookup_reader;
GRANT USAGE ON FOREIGN SERVER local_keyring TO lookup_reader;
GRANT SELECT, UPDATE, DELETE, INSERT ON people, visits, cards TO lookup_reader;
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_id ON people USING (id < 1000);
SET ROLE lookup_reader;
SELECT plan($$SELECT id FROM people WHERE ssn = 's77'$$);
SELECT id FROM people WHERE ssn = 's77';
SELECT id FROM people WHERE ssn = 's1077';
SELECT plan($$SELECT id FROM people WHERE ssn IN ('s77', 's1078')$$);
SELECT id FROM people WHERE ssn IN ('s77', 's1078');
SELECT plan($$SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id$$);
SELECT v.id, p.id FROM visits v JOIN people p ON p.ssn = v.ssn WHERE v.id < 3 ORDER BY v.id;
RESET ROLE;
DROP POLICY by_id ON people;
CREATE POLICY by_ssn ON people USING (ssn = current_setting('app.ssn', true));
SET app.ssn = 's77';
SET ROLE lookup_reader;
SELECT plan($$SELECT id FROM people$$);
SELECT id FROM people;
SELECT plan($$SELECT id FROM people WHERE city = 'c7'$$);
SELECT id FROM people WHERE city = 'c7';
RESET ROLE;
DROP POLICY by_ssn ON people;
ALTER TABLE people DISABLE ROW LEVEL SECURITY;

\echo -- a security barrier
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, ssn FROM people WHERE id < 1000;
SELECT plan($$SELECT id FROM barrier WHERE ssn = 's77'$$);
SELECT id FROM barrier WHERE ssn = 's77';
SELECT id FROM barrier WHERE ssn = 's1077';

\echo -- UPDATE, DELETE, MERGE, ON CONFLICT
SELECT plan($$UPDATE people SET plain = 'x' WHERE ssn = 's77'$$);
UPDATE people SET plain = 'x' WHERE ssn = 's77' RETURNING id, plain;
SELECT plan($$DELETE FROM people WHERE ssn = 's2000'$$);
DELETE FROM people WHERE ssn = 's2000' RETURNING id;
SELECT plan($$UPDATE people p SET plain = 'y' FROM visits v WHERE p.ssn = v.ssn AND v.id = 1$$);
UPDATE people p SET plain = 'y' FROM visits v WHERE p.ssn = v.ssn AND v.id = 1 RETURNING p.id;
SELECT replace(plan, 'pgseal_internal.recheck(ssn, ''s77''::text)', '(ssn = ''s77''::text)') AS plan	-- so since 17
FROM plan($$MERGE INTO people p USING (VALUES ('s77')) AS n (ssn) ON p.ssn = n.ssn WHEN MATCHED THEN UPDATE SET plain = 'z'$$);
MERGE INTO people p USING (VALUES ('s77')) AS n (ssn) ON p.ssn = n.ssn WHEN MATCHED THEN UPDATE SET plain = 'z';
SELECT id, plain FROM people WHERE ssn = 's77';
INSERT INTO people (id, ssn) VALUES (3000, 's77') ON CONFLICT (blind_index(ssn)) DO UPDATE SET plain = 'upsert' RETURNING id, plain;
INSERT INTO people (id, ssn) VALUES (3000, 's77') ON CONFLICT (blind_index(ssn)) DO NOTHING RETURNING id;
\set VERBOSITY terse
INSERT INTO people (id, ssn) VALUES (3000, 's77');
INSERT INTO people (id, ssn) VALUES (3000, 's3000') ON CONFLICT (blind_index(ssn)) DO NOTHING RETURNING id, ssn;

\echo -- partial, multicolumn, covering indexes
CREATE TABLE partial (id int, tenant int, ssn encrypted_text, gone bool);
INSERT INTO partial SELECT i, i % 4, 's' || i % 500, i % 2 = 0 FROM generate_series(1, 2000) i;
CREATE INDEX partial_idx ON partial (blind_index(ssn)) WHERE NOT gone;
ANALYZE partial;
SELECT plan($$SELECT id FROM partial WHERE ssn = 's7' AND NOT gone ORDER BY id$$);
SELECT id FROM partial WHERE ssn = 's7' AND NOT gone ORDER BY id;
SELECT plan($$SELECT id FROM partial WHERE ssn = 's7' ORDER BY id$$);
SELECT id FROM partial WHERE ssn = 's7' ORDER BY id;
DROP INDEX partial_idx;
CREATE INDEX multi_idx ON partial (tenant, blind_index(ssn)) INCLUDE (id);
SELECT plan($$SELECT id FROM partial WHERE tenant = 3 AND ssn = 's7' ORDER BY id$$);
SELECT id FROM partial WHERE tenant = 3 AND ssn = 's7' ORDER BY id;

\echo -- a beacon: few bits, many false positives, none in the result
DROP INDEX multi_idx;
CREATE INDEX beacon_idx ON partial (blind_index(ssn, 6));
ANALYZE partial;
SELECT plan($$SELECT id FROM partial WHERE ssn = 's7' ORDER BY id$$);
SELECT id FROM partial WHERE ssn = 's7' ORDER BY id;
SELECT count(DISTINCT blind_index(ssn, 6)) <= 64 AS few FROM partial;
-- the more exact index is chosen
CREATE INDEX exact_idx ON partial (blind_index(ssn));
SELECT plan($$SELECT id FROM partial WHERE ssn = 's7' ORDER BY id$$);

\echo -- a generated column, UNIQUE, as target of a foreign key
CREATE TABLE parents (id int, ssn encrypted_text('family'), token bytea GENERATED ALWAYS AS (blind_index(ssn)) STORED UNIQUE);
CREATE TABLE children (id int, ssn encrypted_text('family'), token bytea GENERATED ALWAYS AS (blind_index(ssn)) STORED REFERENCES parents (token));
INSERT INTO parents (id, ssn) SELECT i, 's' || i FROM generate_series(1, 1000) i;
ANALYZE parents;
SELECT plan($$SELECT id FROM parents WHERE ssn = 's7'$$);
SELECT id FROM parents WHERE ssn = 's7';
SELECT plan($$SELECT id FROM parents WHERE ssn IN ('s7', 's8')$$);
INSERT INTO children VALUES (1, 's7') RETURNING id, ssn;
\set VERBOSITY terse
DO $$BEGIN INSERT INTO children VALUES (2, 'orphan'); EXCEPTION WHEN foreign_key_violation THEN RAISE WARNING 'orphan refused'; END$$;
DO $$BEGIN INSERT INTO parents VALUES (1001, 's7'); EXCEPTION WHEN unique_violation THEN RAISE WARNING 'duplicate refused'; END$$;
DO $$BEGIN DELETE FROM parents WHERE ssn = 's7'; EXCEPTION WHEN foreign_key_violation THEN RAISE WARNING 'parent kept'; END$$;
SELECT c.id, p.id FROM children c JOIN parents p USING (ssn);

\echo -- partitions: index of the parent, of a partition alone, pruning beside it
CREATE TABLE measured (day date, id int, ssn encrypted_text) PARTITION BY RANGE (day);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE measured_2 PARTITION OF measured FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO measured SELECT date '2026-01-01' + i % 59, i, 's' || i FROM generate_series(1, 2000) i;
CREATE INDEX measured_2_ssn ON measured_2 (blind_index(ssn));
ANALYZE measured;
SELECT plan($$SELECT id FROM measured WHERE ssn = 's31'$$);
SELECT id FROM measured WHERE ssn = 's31';
SELECT plan($$SELECT id FROM measured WHERE ssn IN ('s31', 's40') ORDER BY id$$);
SELECT id FROM measured WHERE ssn IN ('s31', 's40') ORDER BY id;
CREATE INDEX measured_ssn ON measured (blind_index(ssn));
SELECT plan($$SELECT id FROM measured WHERE ssn = 's31'$$);
SELECT id FROM measured WHERE ssn = 's31';
SELECT plan($$SELECT id FROM measured WHERE ssn = 's31' AND day = '2026-02-01'$$);
SELECT id FROM measured WHERE ssn = 's31' AND day = '2026-02-01';
CREATE TABLE hashed (id int, ssn encrypted_text) PARTITION BY HASH (ssn);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT i, 's' || i FROM generate_series(1, 1000) i;
CREATE INDEX hashed_ssn ON hashed (blind_index(ssn));
ANALYZE hashed;
SELECT count(*) FILTER (WHERE p ~ 'Index Scan') AS one_partition FROM plan($$SELECT id FROM hashed WHERE ssn = 's31'$$) p;
SELECT id FROM hashed WHERE ssn = 's31';

\echo -- inheritance
CREATE TABLE base (id int, ssn encrypted_text);
CREATE TABLE derived (extra int) INHERITS (base);
INSERT INTO base SELECT i, 's' || i FROM generate_series(1, 1000) i;
INSERT INTO derived SELECT i, 's' || i FROM generate_series(1001, 2000) i;
CREATE INDEX base_ssn ON base (blind_index(ssn));
CREATE INDEX derived_ssn ON derived (blind_index(ssn));
ANALYZE base, derived;
SELECT plan($$SELECT id FROM base WHERE ssn = 's1500'$$);
SELECT id FROM base WHERE ssn = 's1500';

\echo -- a domain
CREATE DOMAIN social AS encrypted_text('socials');
CREATE TABLE domains (id int, ssn social);
INSERT INTO domains SELECT i, 's' || i FROM generate_series(1, 1000) i;
CREATE UNIQUE INDEX domains_ssn ON domains (blind_index(ssn));
ANALYZE domains;
SELECT plan($$SELECT id FROM domains WHERE ssn = 's7'$$);
SELECT id FROM domains WHERE ssn = 's7';
SELECT plan($$SELECT id FROM domains WHERE ssn = 's7'::text$$);
SELECT plan($$SELECT id FROM domains WHERE ssn IN ('s7', 's8')$$);
SELECT id FROM domains WHERE ssn IN ('s7', 's8') ORDER BY id;

\echo -- other types, with parameters of their relatives
CREATE TABLE typed (id int, i encrypted_int4, n encrypted_numeric, d encrypted_date, u encrypted_uuid);
INSERT INTO typed SELECT i, i, i + 0.50, date '2000-01-01' + i, md5(i::text)::uuid FROM generate_series(1, 1000) i;
CREATE INDEX typed_i ON typed (blind_index(i));
CREATE INDEX typed_n ON typed (blind_index(n));
CREATE INDEX typed_d ON typed (blind_index(d));
CREATE INDEX typed_u ON typed (blind_index(u));
ANALYZE typed;
SELECT plan($$SELECT id FROM typed WHERE i = 7$$);
SELECT plan($$SELECT id FROM typed WHERE i IN (7, 8)$$);
SELECT plan($$SELECT id FROM typed WHERE n = 7.5$$);
SELECT plan($$SELECT id FROM typed WHERE d = '2000-01-08'$$);
SELECT plan($$SELECT id FROM typed WHERE d = date '2000-01-08'$$);
SELECT plan($$SELECT id FROM typed WHERE u = '8f14e45f-ceea-167a-5a36-dedd4bea2543'$$);
SELECT id FROM typed WHERE i = 7;
SELECT id FROM typed WHERE i IN (7, 8) ORDER BY id;
SELECT id FROM typed WHERE n = 7.5;
SELECT id FROM typed WHERE n = 7.500::numeric;
SELECT id FROM typed WHERE d = '2000-01-08';
SELECT id FROM typed WHERE u = '8f14e45f-ceea-167a-5a36-dedd4bea2543';
PREPARE by_int2(int2) AS SELECT id FROM typed WHERE i = $1;
PREPARE by_int4(int4) AS SELECT id FROM typed WHERE i = $1;
PREPARE by_int8(int8) AS SELECT id FROM typed WHERE i = $1;
PREPARE by_numeric(numeric) AS SELECT id FROM typed WHERE n = $1;
PREPARE n_by_int4(int4) AS SELECT id FROM typed WHERE n = $1 + 0.5;
SET plan_cache_mode = force_generic_plan;
SELECT plan('EXECUTE by_int2(7)');
SELECT plan('EXECUTE by_int4(7)');
SELECT plan('EXECUTE by_int8(7)');
SELECT plan('EXECUTE by_numeric(7.5)');
SELECT plan('EXECUTE n_by_int4(7)');
EXECUTE by_int2(7);
EXECUTE by_int4(7);
EXECUTE by_int8(7);
EXECUTE by_numeric(7.5);
EXECUTE n_by_int4(7);
EXECUTE by_int8(4294967303);	-- 7, if it were cut
RESET plan_cache_mode;
SELECT id FROM typed WHERE i = 7.0;
SELECT id FROM typed WHERE 7::int8 = i;
SELECT count(*) FROM typed WHERE i = 7.5;
SELECT count(*) FROM typed WHERE i = 'NaN'::numeric OR i = 'Infinity'::numeric OR i = 1e30;
INSERT INTO typed (id) VALUES (0);
SELECT count(*) FROM typed WHERE NOT (i = 4294967303);
SELECT count(*) FROM typed WHERE (i = 4294967303) IS NULL;
SELECT count(*) FROM typed WHERE (i = NULL::int8) IS NULL;
SELECT count(*) FROM typed t JOIN generate_series(5, 9::int8) g ON t.i = g;

\echo -- arrays of a related type have the tokens of the type of the column
ANALYZE typed;
SELECT plan($$SELECT id FROM typed WHERE i = ANY ('{7,8}'::int8[])$$);
PREPARE by_int8s(int8[]) AS SELECT id FROM typed WHERE i = ANY ($1) ORDER BY id;
PREPARE by_ints(int4[]) AS SELECT id FROM typed WHERE n = ANY ($1) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE by_int8s('{7,8}')$$);
EXECUTE by_int8s('{7,8,4294967303,NULL}');
RESET plan_cache_mode;
SELECT id FROM typed WHERE i = ANY ('{7,8}'::int2[]) ORDER BY id;
SELECT id FROM typed WHERE i = ANY ('{7,8.0,8.5,NaN,1e30}'::numeric[]) ORDER BY id;
SELECT id FROM typed WHERE i IN (7, 8::int8) ORDER BY id;
SELECT id FROM typed WHERE i = ANY ('{7,8}'::float8[]) ORDER BY id;
UPDATE typed SET n = 7 WHERE id = 7;
SELECT plan($$EXECUTE by_ints('{7}')$$);
EXECUTE by_ints('{7,8}');
SELECT id FROM typed WHERE n = ANY ('{7}'::int8[]);
SELECT count(*) FROM typed WHERE d = ANY ('{2000-01-08}'::timestamp[]);
SELECT count(*) FROM typed WHERE d = ANY ('{2000-01-08 00:00}'::timestamptz[]);
CREATE TABLE typed_too (id int, b encrypted_int8, s encrypted_int2, f encrypted_float8, t encrypted_text, z encrypted_timestamptz);
INSERT INTO typed_too SELECT i, i, i, i, 's' || i, timestamptz '2000-01-01' + i * interval '1 day' FROM generate_series(1, 1000) i;
CREATE INDEX ON typed_too (blind_index(b));
CREATE INDEX ON typed_too (blind_index(s));
CREATE INDEX ON typed_too (blind_index(f));
CREATE INDEX ON typed_too (blind_index(t));
CREATE INDEX ON typed_too (blind_index(z));
ANALYZE typed_too;
SELECT id FROM typed_too WHERE b = ANY ('{7,8}'::int4[]) AND b = ANY ('{8,9}'::numeric[]) AND b = ANY ('{8}'::int2[]);
SELECT id FROM typed_too WHERE s = ANY ('{7,8,70000}'::int4[]) AND s = ANY ('{8,9}'::numeric[]) AND s = ANY ('{8}'::int8[]);
SELECT id FROM typed_too WHERE f = ANY ('{8}'::float4[]) AND t = ANY ('{s8}'::name[]) AND t = ANY ('{s8}'::varchar[]) AND z = ANY ('{2000-01-09}'::date[]);
SELECT plan($$SELECT id FROM typed_too WHERE t = ANY ('{s8}'::name[])$$);
DROP TABLE typed_too;

\echo -- IN over VALUES is ANY over an array, with parameters and references too
SELECT plan($$SELECT id FROM people WHERE ssn IN (VALUES ('s77'), ('s78'))$$);
SELECT id FROM people WHERE ssn IN (VALUES ('s77'), ('s78'), (NULL)) ORDER BY id;
PREPARE values_of_parameters (text, text) AS SELECT id FROM people WHERE ssn IN (VALUES ($1), ($2)) ORDER BY id;
EXECUTE values_of_parameters ('s79', 's77');
SELECT x, (SELECT count(*) FROM people WHERE ssn IN (VALUES (x), ('s1'))) FROM unnest(ARRAY['s77', 's78', 'none', NULL]) x;
SELECT x FROM unnest(ARRAY['s77', 'none']) x
 WHERE EXISTS (SELECT 1 FROM people p WHERE EXISTS (SELECT 1 FROM people q WHERE q.id = p.id AND q.ssn IN (VALUES (x), ('absent'))));
SELECT id FROM people WHERE ssn IN (VALUES ('s77'::varchar), ('s78')) ORDER BY id;
SELECT id FROM people WHERE ssn IN (VALUES ('s79'), ('s77'), ('s78') ORDER BY 1 LIMIT 2) ORDER BY id;
SELECT count(*) FROM people WHERE ssn NOT IN (VALUES ('s77'), ('s78')) AND id < 100;

\echo -- other forms: rows, lists of values, set-returning functions, USING, locks
SELECT plan($$SELECT id FROM people WHERE (ssn, id) = ('s77', 77)$$);
SELECT id FROM people WHERE (ssn, id) IN (('s77', 77), ('s78', 78), ('s79', 1)) ORDER BY id;
SELECT plan($$SELECT p.id FROM people p JOIN (VALUES ('s77'), ('s78')) v (x) ON p.ssn = v.x$$);
SELECT p.id FROM people p JOIN (VALUES ('s77'), ('s78')) v (x) ON p.ssn = v.x ORDER BY id;
SELECT plan($$SELECT p.id FROM unnest(ARRAY['s77', 's78']) x JOIN people p ON p.ssn = x$$);
SELECT plan($$SELECT id FROM people WHERE ssn = 's77' FOR UPDATE$$);
SELECT plan($$DELETE FROM people p USING (VALUES ('s77')) v (x) WHERE p.ssn = v.x$$);
SELECT plan($$WITH gone AS (DELETE FROM people WHERE ssn = 's77' RETURNING id) SELECT id FROM gone$$);

\echo -- an index that is not valid, or not yet for this snapshot
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'people_ssn'::regclass;
SELECT plan($$SELECT id FROM people WHERE ssn = 's78'$$);
SELECT id FROM people WHERE ssn = 's78';
SELECT id FROM people WHERE ssn IN ('s78', 's79') ORDER BY id;
ROLLBACK;
BEGIN;
UPDATE pg_index SET indcheckxmin = true WHERE indexrelid = 'people_ssn'::regclass;
SELECT plan($$SELECT id FROM people WHERE ssn = 's78'$$);
SELECT id FROM people WHERE ssn = 's78';
SELECT id FROM people WHERE ssn IN ('s78', 's79') ORDER BY id;
ROLLBACK;
BEGIN;
ALTER TABLE people DISABLE TRIGGER ALL;
DROP INDEX people_ssn;
SELECT id FROM people WHERE ssn = 's78';
ROLLBACK;
SELECT plan($$SELECT id FROM people WHERE ssn = 's78'$$);

\echo -- collations: what is equal to the comparison must be equal to the index
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE collated (id int, a encrypted_text COLLATE ignore_case, b encrypted_text);
INSERT INTO collated SELECT i, 'S' || i, 'S' || i FROM generate_series(1, 1000) i;
CREATE INDEX collated_a ON collated (blind_index(a));
CREATE INDEX collated_b ON collated (blind_index(b));
ANALYZE collated;
SELECT plan($$SELECT id FROM collated WHERE a = 's7'$$);
SELECT id FROM collated WHERE a = 's7';
SELECT id FROM collated WHERE a IN ('s7', 's8') ORDER BY id;
SELECT plan($$SELECT id FROM collated WHERE b = 'S7' COLLATE "C"$$);
SELECT plan($$SELECT id FROM collated WHERE b = 's7' COLLATE ignore_case$$);
SELECT id FROM collated WHERE b = 's7' COLLATE ignore_case;
SELECT id FROM collated WHERE b IN ('s7' COLLATE ignore_case, 's8') ORDER BY id;
SELECT plan($$SELECT id FROM collated WHERE a = 'S7' COLLATE "C"$$);
SELECT id FROM collated WHERE a = 'S7' COLLATE "C";
SELECT id FROM collated WHERE a = 's7' COLLATE "C";

\echo -- an index comes, breaks and goes while a plan is prepared
CREATE TABLE moving (id int, ssn encrypted_text);
INSERT INTO moving SELECT i, 's' || i % 999 FROM generate_series(1, 1000) i;
ANALYZE moving;
SET plan_cache_mode = force_generic_plan;
PREPARE moving_one(text) AS SELECT id FROM moving WHERE ssn = $1;
PREPARE moving_some(text[]) AS SELECT id FROM moving WHERE ssn = ANY ($1) ORDER BY id;
SELECT plan($$EXECUTE moving_one('s7')$$);
EXECUTE moving_one('s7');
CREATE INDEX moving_idx ON moving (blind_index(ssn));
SELECT plan($$EXECUTE moving_one('s7')$$);
SELECT plan($$EXECUTE moving_some('{s7,s8}')$$);
EXECUTE moving_one('s7');
EXECUTE moving_some('{s7,s8}');
DROP INDEX moving_idx;
SELECT plan($$EXECUTE moving_one('s7')$$);
EXECUTE moving_one('s7');
EXECUTE moving_some('{s7,s8}');
CREATE UNIQUE INDEX CONCURRENTLY moving_idx ON moving (blind_index(ssn));
SELECT indisvalid FROM pg_index WHERE indexrelid = 'moving_idx'::regclass;
SELECT plan($$EXECUTE moving_one('s7')$$);
EXECUTE moving_one('s7');
RESET plan_cache_mode;

DROP TABLE people, visits, cards, partial, parents, children, measured, hashed, base, derived,
	domains, typed, collated, moving CASCADE;
DROP DOMAIN social;
DROP COLLATION ignore_case;
DROP FUNCTION sql_inlined, sql_called, plpgsql_called, plan;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM lookup_reader;
DROP ROLE lookup_reader;
