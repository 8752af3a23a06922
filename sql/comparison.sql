--
-- Comparison, sorting, grouping, hash indexes, json, ||: as for the base type.
--
SET client_min_messages = warning;
SET jit = off;	-- without statistics, each join would be compiled
CREATE SCHEMA cmp;
SET search_path = cmp, public;

-- A table of values of each type, plain and encrypted; every query is run on both
CREATE FUNCTION differences(type text, vals text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	query text;
	plain text;
	sealed text;
	result text := '';
	key text := 'cmp_' || type;
BEGIN
	EXECUTE format('CREATE TABLE p (id int, v %s)', type);
	EXECUTE format('CREATE TABLE e (id int, v encrypted_%s, w encrypted_%1$s(''cmp_other''))', type);
	EXECUTE format('INSERT INTO p SELECT ordinality, v::%s FROM unnest(%L::text[]) WITH ORDINALITY u(v)', type, vals);
	INSERT INTO e SELECT id, v, v FROM p;
	FOREACH query IN ARRAY ARRAY[
		'SELECT string_agg(id::text, '','') FROM (SELECT id FROM T ORDER BY v, id) x',
		'SELECT string_agg(id::text, '','') FROM (SELECT id FROM T ORDER BY v DESC NULLS LAST, id) x',
		'SELECT string_agg(id::text, '','') FROM (SELECT id FROM T ORDER BY v LIMIT 2) x',
		'SELECT string_agg(n::text, '','' ORDER BY n) FROM (SELECT count(*) n FROM T GROUP BY v) x',
		'SELECT count(*)::text FROM (SELECT DISTINCT v FROM T) x',
		'SELECT count(DISTINCT v)::text FROM T',
		'SELECT count(*)::text FROM (SELECT v FROM T UNION SELECT v FROM T WHERE id > 1) x',
		'SELECT count(*)::text FROM (SELECT v FROM T EXCEPT SELECT v FROM T WHERE id > 1) x',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM T a JOIN T b ON a.v = b.v',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM T a JOIN p b ON a.v = b.v',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM p a JOIN T b ON a.v = b.v',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM T a JOIN T b ON a.v < b.v',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM T a JOIN p b ON a.v >= b.v',
		'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM T a JOIN p b ON a.v <> b.v',
		'SELECT string_agg(id::text, '','' ORDER BY id) FROM T WHERE v IN (SELECT v FROM p WHERE id < 3)',
		'SELECT string_agg(id::text, '','' ORDER BY id) FROM T WHERE v NOT IN (SELECT v FROM p WHERE id < 3)',
		'SELECT string_agg(id::text, '','' ORDER BY id) FROM T WHERE v = (SELECT v FROM p WHERE id = 2)',
		'SELECT string_agg(rank::text, '','' ORDER BY id) FROM (SELECT id, rank() OVER (ORDER BY v) FROM T) x',
		'SELECT string_agg(to_json(v)::text, '','' ORDER BY id) FROM T',
		'SELECT jsonb_agg(v ORDER BY id)::text FROM T',
		'SELECT jsonb_object_agg(id, v)::text FROM T',
		'SELECT to_jsonb(array_agg(v ORDER BY id))::text FROM T',
		'SELECT json_build_object(''v'', v)::text FROM T WHERE id = 1']
	LOOP
		EXECUTE replace(query, ' T', ' p') INTO plain;
		EXECUTE replace(query, ' T', ' e') INTO sealed;
		IF plain IS DISTINCT FROM sealed THEN
			result := result || E'\n  ' || query || E'\n    plain: ' || coalesce(plain, 'null') || E'\n    sealed: ' || coalesce(sealed, 'null');
		END IF;
		SET enable_hashjoin = off; SET enable_hashagg = off;
		EXECUTE replace(query, ' T', ' e') INTO sealed;
		RESET enable_hashjoin; RESET enable_hashagg;
		IF plain IS DISTINCT FROM sealed THEN
			result := result || E'\n  (sorted) ' || query || E'\n    plain: ' || coalesce(plain, 'null') || E'\n    sealed: ' || coalesce(sealed, 'null');
		END IF;
	END LOOP;
	-- the same value under another key; through a hash index
	EXECUTE 'SELECT count(*) FILTER (WHERE NOT v = w OR v <> w OR v < w OR v > w)::text FROM e WHERE v IS NOT NULL' INTO sealed;
	IF sealed <> '0' THEN result := result || E'\n  across keys'; END IF;
	CREATE INDEX ON e USING hash (v);
	SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
	EXECUTE 'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM p a JOIN p b ON a.v = b.v' INTO plain;
	EXECUTE 'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM p a JOIN e b ON a.v = b.v' INTO sealed;
	IF plain <> sealed THEN result := result || E'\n  hash index, base value'; END IF;
	EXECUTE 'SELECT string_agg(a.id || '':'' || b.id, '','' ORDER BY a.id, b.id) FROM e a JOIN e b ON a.w = b.v' INTO sealed;
	IF plain <> sealed THEN result := result || E'\n  hash index, sealed value'; END IF;
	RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;
	DROP TABLE p, e;
	RETURN CASE WHEN result = '' THEN 'none' ELSE result END;
END $$;
SELECT type, differences(type, vals) FROM (VALUES
	('text', '{b,a,B,"",NULL,a,"a ",ä,z,Z,10,9}'),
	('bytea', '{b,a,"\\\\x00",NULL,a,"\\\\xff",""}'),
	('bool', '{t,f,NULL,t}'),
	('int2', '{3,-1,NULL,3,32767}'),
	('int4', '{3,-1,NULL,3,2147483647,-2147483648}'),
	('int8', '{3,-1,NULL,3,9223372036854775807}'),
	('float4', '{1.5,-0,0,NULL,NaN,NaN,Infinity,-Infinity,1.5}'),
	('float8', '{1.5,-0,0,NULL,NaN,NaN,Infinity,-Infinity,1.5}'),
	('numeric', '{1.5,1.50,NULL,NaN,-1,0,0.00,1e10,10000000000,NaN,Infinity}'),
	('date', '{2000-01-01,1999-12-31,NULL,infinity,-infinity,2000-01-01,"0044-03-15 BC"}'),
	('time', '{12:00,00:00,NULL,24:00,12:00:00.000001}'),
	('timestamp', '{2000-01-01,1999-12-31 23:59:59,NULL,infinity,2000-01-01}'),
	('timestamptz', '{2000-01-01 00:00+00,2000-01-01 01:00+01,NULL,-infinity}'),
	('interval', '{1 mon,30 days,720:00,NULL,-1 day,0,1 day -24:00}'),
	('uuid', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,00000000-0000-0000-0000-000000000000,NULL,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
	('inet', '{10.0.0.1,10.0.0.0/8,NULL,::1,10.0.0.1,10.0.0.1/32}'),
	('jsonb', '{"{}","null","\"a\"","{\"a\": 1.0}","{\"a\": 1.00}",NULL,"[1, 2]","{\"b\":1,\"a\":2}","{\"a\":2,\"b\":1}"}')) t(type, vals);

-- || , with each kind of operand
CREATE TABLE t (id int, v encrypted_text, b encrypted_bytea, w encrypted_text('cmp_other'));
INSERT INTO t VALUES (1, 'va', '\x01', 'wa'), (2, NULL, NULL, 'wb');
SELECT v || 'x', 'x' || v, v || w, v || 'y'::text, 'z'::text || v || 'z', b || '\x02', '\x00'::bytea || b, b || b FROM t ORDER BY id;
SELECT v || 1::text, v || ' ' || w || E'\n' FROM t WHERE id = 1;

SELECT v || 'x', b || b FROM t \gdesc
INSERT INTO t (id, v) SELECT 3, v || '-' || w FROM t WHERE id = 1 RETURNING v;

-- json of rows and nested values
SELECT row_to_json(t) FROM t WHERE id = 1;
SELECT to_jsonb(t) - 'b' FROM t WHERE id = 2;
SELECT json_agg(json_build_object('id', id, 'v', v) ORDER BY id) FROM t;
SELECT jsonb_pretty(jsonb_build_object('row', t.*)) FROM t WHERE id = 1;
SELECT (SELECT json_agg(x) FROM (SELECT v, w FROM t WHERE id = 1) x);
-- a cast to json parses text, as of plain text; bytea has one on encrypted columns only
SELECT v::json FROM t WHERE id = 1;
SELECT ('"' || v || '"')::json, v::text::json FROM t WHERE id = 1;
SELECT '"va"'::text::json, ('["' || v || '"]')::encrypted_text::json FROM t WHERE id = 1;
SELECT b::json FROM t WHERE id = 1;

CREATE TABLE j (v encrypted_jsonb);
INSERT INTO j VALUES ('{"a": {"b": [1, 2]}, "c": "d"}');
SELECT v -> 'a' -> 'b', v ->> 'c', v #> '{a,b}', v @> '{"c": "d"}', v ? 'c', jsonb_typeof(v), to_jsonb(v) = v FROM j;
SELECT * FROM j, jsonb_each(v) e ORDER BY key;

-- plans: hash index, no sort of opened values, hash aggregation on sealed ones
CREATE TABLE plans AS SELECT i AS id, pgseal.seal('v' || i, 'cmp_other') AS v FROM generate_series(1, 500) i;
ALTER TABLE plans ALTER v TYPE encrypted_text('cmp_other');
CREATE INDEX plans_v ON plans USING hash (v);
ANALYZE plans;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]+', '<sealed>', 'g');
	END LOOP;
END $$;
SET enable_seqscan = off;
SELECT plan_of('SELECT id FROM plans WHERE v = ''v7''');
SELECT plan_of('SELECT id FROM plans WHERE v = ''v7''::text');
SELECT id FROM plans WHERE v = 'v7';
SELECT id FROM plans WHERE v = 'v7'::text;
SELECT id FROM plans WHERE 'v7' = v;
SELECT id FROM plans WHERE v = 'nobody';
PREPARE lookup (text) AS SELECT id FROM plans WHERE v = $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE lookup ('v8');
EXECUTE lookup ('v8');
SELECT count(*) FROM plans a JOIN plans b ON a.v = b.v WHERE a.id < 20;
REINDEX INDEX plans_v;
SELECT id FROM plans WHERE v = 'v9';
UPDATE plans SET v = 'changed' WHERE id = 9;
DELETE FROM plans WHERE id = 10;
VACUUM plans;
SELECT id FROM plans WHERE v IN ('v9', 'v10', 'v11', 'changed') ORDER BY 1;
RESET enable_seqscan;

-- aggregates with DISTINCT see equal values as equal
SELECT count(DISTINCT v), mode() WITHIN GROUP (ORDER BY v), percentile_disc(0) WITHIN GROUP (ORDER BY v)
	FROM (SELECT pgseal.seal('v' || i % 3, 'cmp_other') AS v FROM generate_series(1, 300) i) x;
SELECT count(DISTINCT v) FROM (SELECT pgseal.seal(CASE WHEN i % 2 = 0 THEN 0.0::float8 ELSE '-0'::float8 END, 'cmp_other') AS v FROM generate_series(1, 30) i) x;
-- big sorts spill and stay right
SET work_mem = '64kB';
SELECT count(*) FILTER (WHERE v < prev) AS "out of order", count(*) FROM
	(SELECT v::text COLLATE "C" AS v, lag(v::text COLLATE "C") OVER (ORDER BY v COLLATE "C") AS prev
	 FROM (SELECT pgseal.seal(md5(i::text), 'cmp_other') AS v FROM generate_series(1, 5000) i) x) y;
SELECT count(*), sum(n) FROM (SELECT v, count(*) AS n FROM (SELECT pgseal.seal(md5((i % 2000)::text), 'cmp_other') AS v FROM generate_series(1, 6000) i) x GROUP BY v) y;
-- so many long values aren't kept open at a time
CREATE TABLE long_values AS SELECT pgseal.seal((SELECT string_agg(md5((i % 200) || ':' || j), '') FROM generate_series(1, 100) j), 'cmp_other') AS v
	FROM generate_series(1, 400) i;
SELECT count(*) FILTER (WHERE v < prev) AS "out of order", count(*), count(DISTINCT v) FROM
	(SELECT v::text COLLATE "C" AS v, lag(v::text COLLATE "C") OVER (ORDER BY v COLLATE "C") AS prev FROM long_values) y;
SELECT count(DISTINCT v) FROM long_values;

SET client_min_messages = error;
DROP SCHEMA cmp CASCADE;
