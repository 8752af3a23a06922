--
-- Parameters whose type a statement doesn't say are of the types that those of
-- the same statement on plain columns are, and values of them are looked for by
-- the same indexes.
--
SET client_min_messages = warning;
CREATE SCHEMA parameters;
SET search_path = parameters, public;
CREATE TABLE plain (id int PRIMARY KEY, c_text text, c_bytea bytea, c_bool bool, c_int2 int2, c_int4 int4, c_int8 int8,
	c_float4 float4, c_float8 float8, c_numeric numeric, c_date date, c_time time, c_timestamp timestamp,
	c_timestamptz timestamptz, c_interval interval, c_uuid uuid, c_inet inet, c_jsonb jsonb,
	texts text[], ints int4[], numerics numeric[], days date[]);
CREATE TABLE sealed (id int PRIMARY KEY, c_text encrypted_text, c_bytea encrypted_bytea, c_bool encrypted_bool, c_int2 encrypted_int2,
	c_int4 encrypted_int4, c_int8 encrypted_int8, c_float4 encrypted_float4, c_float8 encrypted_float8,
	c_numeric encrypted_numeric, c_date encrypted_date, c_time encrypted_time, c_timestamp encrypted_timestamp,
	c_timestamptz encrypted_timestamptz, c_interval encrypted_interval, c_uuid encrypted_uuid, c_inet encrypted_inet,
	c_jsonb encrypted_jsonb,
	texts encrypted_text[], ints encrypted_int4[], numerics encrypted_numeric[], days encrypted_date[]);
INSERT INTO plain VALUES (1, 'a', '\x00ff', true, 1, 1, 1, 1.5, 1.5, 1.50, '2024-02-29', '12:00', '2024-02-29 12:00',
	'2024-02-29 12:00+00', '1 day', '123e4567-e89b-12d3-a456-426614174000', '10.0.0.1', '{"a": 1}',
	'{a,b}', '{1,2}', '{1.5}', '{2024-02-29}');
INSERT INTO plain (id) VALUES (2);
INSERT INTO sealed SELECT * FROM plain;

-- TAB is the table
CREATE TABLE statements (n serial PRIMARY KEY, sql text);
INSERT INTO statements (sql)
SELECT replace(sql, 'COLUMN', quote_ident(a.attname))
FROM (VALUES (1, 'INSERT INTO TAB (id, COLUMN) VALUES ($1, $2)'), (2, 'UPDATE TAB SET COLUMN = $1 WHERE id = $2'),
	(3, 'SELECT id FROM TAB WHERE COLUMN = $1'), (4, 'SELECT id FROM TAB WHERE $1 >= COLUMN'), (5, 'SELECT id FROM TAB WHERE COLUMN <> $1'),
	(6, 'SELECT id FROM TAB WHERE COLUMN IN ($1, $2)'), (7, 'SELECT id FROM TAB WHERE COLUMN = ANY ($1)'),
	(8, 'SELECT id FROM TAB WHERE COLUMN BETWEEN $1 AND $2'), (9, 'SELECT id FROM TAB WHERE COLUMN IS DISTINCT FROM $1'),
	(10, 'SELECT coalesce(COLUMN, $1), nullif(COLUMN, $2), CASE WHEN id = $3 THEN COLUMN ELSE $4 END FROM TAB'),
	(11, 'SELECT CASE COLUMN WHEN $1 THEN $2::int END FROM TAB'), (12, 'SELECT greatest(COLUMN, $1), ARRAY[COLUMN, $2] FROM TAB'),
	(13, 'INSERT INTO TAB (id, COLUMN) SELECT $1, $2'), (14, 'INSERT INTO TAB (id, COLUMN) VALUES ($1, $2), ($3, $4)'),
	(15, 'INSERT INTO TAB (id, COLUMN) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET COLUMN = coalesce(excluded.COLUMN, $3) WHERE TAB.COLUMN = $4'),
	(16, 'SELECT id FROM TAB WHERE (COLUMN, id) = ($1, $2)'), (17, 'SELECT id FROM TAB WHERE (COLUMN, id) > ($1, $2) ORDER BY COLUMN LIMIT $3 OFFSET $4'),
	(18, 'SELECT id FROM TAB WHERE (COLUMN, id) IN (($1, $2), ($3, $4))'), (19, 'SELECT COLUMN FROM TAB UNION ALL SELECT $1'),
	(20, 'WITH w AS (SELECT id, COLUMN FROM TAB WHERE COLUMN = $1) SELECT * FROM w JOIN TAB USING (id) WHERE TAB.COLUMN = $2'),
	(21, 'SELECT lag(COLUMN, 1, $1) OVER (ORDER BY id) FROM TAB'), (22, 'SELECT max(COLUMN) FILTER (WHERE COLUMN = $1) FROM TAB HAVING count(COLUMN) > $2'),
	(23, 'DELETE FROM TAB WHERE COLUMN = $1 RETURNING COLUMN'), (24, 'SELECT id FROM TAB WHERE id = $1 AND COLUMN = $2 AND COLUMN = $2'),
	(25, 'MERGE INTO TAB USING (SELECT $1::int AS id) s ON s.id = TAB.id WHEN MATCHED THEN UPDATE SET COLUMN = $2 WHEN NOT MATCHED THEN INSERT (id, COLUMN) VALUES ($3, $4)')
	) x (place, sql), pg_attribute a
WHERE a.attrelid = 'plain'::regclass AND a.attnum > 1 AND (place, a.attname) <> (22, 'c_bytea') -- max(bytea) came with 18
ORDER BY a.attnum, place;
INSERT INTO statements (sql) VALUES
	('SELECT c_int4 + $1, c_int8 * $2, c_numeric / $3, c_text || $4, c_date + $5, c_jsonb -> $6, c_int2 - c_int2 = $7 FROM TAB'),
	('SELECT upper(c_text) = $1, c_text LIKE $2, c_text ~ $3, length(c_text) = $4, substr(c_text, $5, $6), lower($7) FROM TAB'),
	('SELECT c_jsonb @> $1, c_jsonb ? $2, c_inet << $3, c_jsonb ->> $4, c_jsonb #> $5 FROM TAB'),
	('SELECT date_trunc($1, c_timestamp), extract(year FROM c_date) = $2, age(c_timestamptz, $3), c_timestamptz AT TIME ZONE $4 FROM TAB'),
	('SELECT texts @> $1 FROM TAB'), ('SELECT texts && $1 FROM TAB'), ('SELECT texts || $1 FROM TAB'), ('SELECT ints || $1 FROM TAB'),
	('SELECT $1 = ANY (texts), $2 = ANY (ints), array_length(ints, $3), ints[$4], texts[1] = $5, array_append(texts, $6) FROM TAB'),
	('SELECT concat(c_text, $1), format($2, c_text), $3 FROM TAB'),
	('SELECT * FROM TAB a JOIN plain b ON a.c_text = b.c_text AND b.c_text = $1 AND a.c_text = $2'),
	('SELECT b.id FROM plain b WHERE b.c_int4 = $1 AND EXISTS (SELECT FROM TAB a WHERE a.c_int4 = $1 AND a.c_int8 = $2)'),
	('SELECT id FROM TAB WHERE c_int4 = $1 AND c_int4 = $1 + $2'),
	('SELECT id FROM TAB WHERE c_int8 = $1 AND c_int4 = $2 AND c_text = $3::varchar');

-- Prepares what can be prepared; what can't be is to fail on both
CREATE FUNCTION prepare(statement int, tab text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('PREPARE %I AS %s', tab || statement, (SELECT replace(sql, 'TAB', tab) FROM statements WHERE n = statement));
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END $$;
CREATE TEMP TABLE prepared AS SELECT n, tab, prepare(n, tab) AS error FROM statements, unnest('{plain,sealed}'::text[]) tab;
SELECT count(*) AS statements, count(error) AS fail FROM prepared WHERE tab = 'plain';
\echo -- where one of them fails
SELECT p.n, sql, p.error AS plain, s.error AS sealed
FROM statements JOIN prepared p USING (n) JOIN prepared s USING (n)
WHERE p.tab = 'plain' AND s.tab = 'sealed' AND p.error IS DISTINCT FROM s.error ORDER BY n;
\echo -- where the types of parameters differ
CREATE VIEW types AS
	SELECT n, sql, p.parameter_types AS plain, s.parameter_types AS sealed
	FROM statements JOIN pg_prepared_statements p ON p.name = 'plain' || n JOIN pg_prepared_statements s ON s.name = 'sealed' || n;
SELECT regexp_replace(sql, '\m(texts|ints|numerics|days)\M', 'ARRAY', 'g') AS sql, count(*)
FROM types WHERE plain <> sealed GROUP BY 1 ORDER BY min(n);
SELECT count(*) AS prepared, count(*) FILTER (WHERE plain = sealed) AS same FROM types;
\echo -- analyzed again, they are what they were
ALTER TABLE sealed ALTER c_int4 SET STATISTICS 10;
CREATE FUNCTION execute_with_nulls(statement int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	args text;
BEGIN
	SELECT string_agg('NULL', ', ') INTO args FROM types, unnest(sealed) WHERE n = statement;
	EXECUTE format('EXPLAIN EXECUTE %I (%s)', 'sealed' || statement, args);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlerrm;
END $$;
SELECT n, sql, execute_with_nulls(n) FROM types WHERE execute_with_nulls(n) IS NOT NULL ORDER BY n;
DEALLOCATE ALL;

--
-- Values
--
PREPARE p_row AS INSERT INTO plain VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) RETURNING *;
PREPARE s_row AS INSERT INTO sealed VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) RETURNING *;
\x on
EXECUTE p_row (3, 'x', 'a\101', 'f', '32767', '-1', '9007199254740993', '0.1', '0.1', '0.10', 'yesterday'::date - current_date + '2024-01-02'::date, '23:59', '2024-01-01 00:30',
	'2024-01-01 00:30+05:30', '1 mon', '{123e4567e89b12d3a456426614174000}', '::1', '"s"', '{x,NULL}', '{}', '{0.10}', '{2024-01-01}');
EXECUTE s_row (3, 'x', 'a\101', 'f', '32767', '-1', '9007199254740993', '0.1', '0.1', '0.10', 'yesterday'::date - current_date + '2024-01-02'::date, '23:59', '2024-01-01 00:30',
	'2024-01-01 00:30+05:30', '1 mon', '{123e4567e89b12d3a456426614174000}', '::1', '"s"', '{x,NULL}', '{}', '{0.10}', '{2024-01-01}');
\x off
SELECT (pgseal.inspect(c_text)).key, (pgseal.inspect(texts[1])).key, (pgseal.inspect(c_bytea)).key FROM sealed WHERE id = 3;
\echo -- no value is a sealed one
SET pgseal.transparent = off;
SELECT c_text AS sealed_text FROM sealed WHERE id = 3 \gset
RESET pgseal.transparent;
PREPARE s_text AS UPDATE sealed SET c_text = $1 WHERE id = 3 RETURNING c_text LIKE 'pgseal:1:%' AS "just text";
EXECUTE s_text (:'sealed_text');
PREPARE s_int AS UPDATE sealed SET c_int4 = $1 WHERE id = 3;
EXECUTE s_int ('pgseal:1:AQEAAQIDBAUGBwABAgMEBQYHCAkKCwABAgMEBQYHCAkKCwwNDg8=');

--
-- Indexes, by a custom plan and by a generic one
--
CREATE TABLE people (id int, ssn encrypted_text, salary encrypted_numeric, born encrypted_date, hashed encrypted_int4, ranged encrypted_int8);
INSERT INTO people SELECT g, 's' || g, g, '2000-01-01'::date + g, g, g FROM generate_series(1, 2000) g;
CREATE INDEX people_ssn ON people (blind_index(ssn));
CREATE INDEX people_salary ON people (blind_index(salary));
CREATE INDEX people_born ON people (blind_index(born));
CREATE INDEX people_hashed ON people USING hash (hashed);
CREATE INDEX people_ranged ON people USING sealed (ranged);
ANALYZE people;
CREATE FUNCTION indexes(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text = '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN coalesce((SELECT string_agg(m[1], ' ' ORDER BY m[1]) FROM regexp_matches(lines, '(?:using|Index Scan on) (people_\w+)', 'g') m), 'none');
END $$;
CREATE TABLE lookups (n serial, sql text, args text);
INSERT INTO lookups (sql, args) VALUES
	('SELECT id FROM people WHERE ssn = $1', $$'s7'$$),
	('SELECT id FROM people WHERE $1 = ssn AND id = $2', $$'s7', 7$$),
	('SELECT id FROM people WHERE ssn IN ($1, $2) ORDER BY 1', $$'s7', 's8'$$),
	('SELECT id FROM people WHERE ssn = ANY ($1) ORDER BY 1', $$'{s7,s8}'$$),
	('SELECT id FROM people WHERE ssn IN (VALUES ($1), ($2)) ORDER BY 1', $$'s7', 's8'$$),
	('SELECT id FROM people WHERE ssn IS NOT DISTINCT FROM $1', $$'s7'$$),
	('SELECT id FROM people WHERE (ssn, id) = ($1, $2)', $$'s7', 7$$),
	('SELECT id FROM people WHERE salary = $1', $$'7.0'$$),
	('SELECT id FROM people WHERE salary = ANY ($1) ORDER BY 1', $$'{7,8}'$$),
	('SELECT id FROM people WHERE salary IN ($1, $2) ORDER BY 1', $$'7', '8'$$),
	('SELECT id FROM people WHERE born = $1', $$'2000-01-08'$$),
	('SELECT id FROM people WHERE born = ANY ($1)', $$'{2000-01-08}'$$),
	('SELECT id FROM people WHERE hashed = $1', $$'7'$$),
	('SELECT id FROM people WHERE ranged = $1', $$'7'$$),
	('SELECT id FROM people WHERE ranged < $1 ORDER BY 1', $$'3'$$),
	('SELECT id FROM people WHERE ranged BETWEEN $1 AND $2 ORDER BY 1', $$'3', '4'$$),
	('SELECT id FROM people WHERE ranged = ANY ($1) ORDER BY 1', $$'{3,4}'$$),
	('UPDATE people SET salary = $1 WHERE ssn = $2 RETURNING id', $$7, 's7'$$),
	('SELECT p.id FROM (VALUES (7)) v (id) JOIN people p ON p.id = v.id AND p.ssn = $1', $$'s7'$$);
SELECT format('PREPARE l%s AS %s', n, sql) FROM lookups ORDER BY n \gexec
SET plan_cache_mode = force_custom_plan;
SELECT n, sql, indexes(format('EXECUTE l%s (%s)', n, args)) AS custom FROM lookups ORDER BY n;
SET plan_cache_mode = force_generic_plan;
SELECT n, indexes(format('EXECUTE l%s (%s)', n, args)) AS generic FROM lookups ORDER BY n;
\t on
SELECT format('EXECUTE l%s (%s)', n, args) FROM lookups ORDER BY n \gexec
\t off
RESET plan_cache_mode;

--
-- What keeps the encrypted type
--
PREPARE named (encrypted_text) AS SELECT id FROM people WHERE ssn = $1 AND hashed = $2;
SET pgseal.transparent = off;
PREPARE off AS SELECT id FROM people WHERE ssn = $1;
RESET pgseal.transparent;
SET pgseal.sealed_input = on;
PREPARE input AS UPDATE sealed SET c_text = $1 WHERE id = 3 RETURNING c_text;
EXECUTE input (:'sealed_text');
RESET pgseal.sealed_input;
CREATE FUNCTION takes(encrypted_text, int) RETURNS text LANGUAGE SQL RETURN $1::text || $2;
PREPARE called AS SELECT takes($1, $2) FROM people WHERE ssn = $3 AND id = $4;
SELECT name, parameter_types FROM pg_prepared_statements WHERE name IN ('named', 'off', 'input', 'called') ORDER BY name;
EXECUTE named ('s7', 7);
EXECUTE called ('a', 1, 's7', 7);
ALTER TABLE people ADD more int;
EXECUTE named ('s7', 7);
EXECUTE called ('a', 1, 's7', 7);

\echo -- domains
CREATE DOMAIN ssn AS encrypted_text CHECK (VALUE::text LIKE 's%');
CREATE TABLE members (ssn ssn, ssns ssn[]);
PREPARE domain AS INSERT INTO members VALUES ($1, $2) RETURNING *;
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'domain';
EXECUTE domain ('s1', '{s2}');
EXECUTE domain ('x1', '{s2}');
EXECUTE domain ('s1', '{x2}');

\echo -- several statements in one string, from a function, and what fails
PREPARE x1 AS SELECT id FROM people WHERE ssn = $1\; EXECUTE x1 ('s3')\; PREPARE x2 AS SELECT id FROM people WHERE hashed = $1 AND ssn = $2\; EXECUTE x2 (4, 's4');
DO $$ BEGIN EXECUTE 'PREPARE x3 AS SELECT id FROM parameters.people WHERE ssn = $1'; END $$;
EXECUTE x3 ('s5');
PREPARE x4 AS SELECT id FROM people WHERE ssn = $1 AND nosuch = $2;
PREPARE x5 AS SELECT id FROM people WHERE ssn = $1 AND hashed = $1;
PREPARE x6 AS SELECT id FROM people WHERE ssn = $2;
BEGIN;
PREPARE x7 AS SELECT takes($1, 1), ssn FROM people WHERE ssn = $2;
EXECUTE x7 ('a', 's6');
COMMIT;
EXECUTE x7 ('a', 's6');

\echo -- what there is to say is said once
RESET client_min_messages;
PREPARE x8 AS SELECT ssn AS a_name_that_is_longer_than_the_sixty_three_bytes_that_a_name_may_have FROM people WHERE ssn = $1 AND ssn <> E'\\';
SET client_min_messages = warning;

\echo -- a prepared statement follows the setting
SET pgseal.transparent = off;
EXECUTE x7 ('a', 's6');
EXECUTE x1 ('s3');
RESET pgseal.transparent;
EXECUTE x7 ('a', 's6');

DEALLOCATE ALL;
DROP SCHEMA parameters CASCADE;
