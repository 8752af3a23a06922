--
-- ANALYZE keeps numbers of encrypted columns, no values and no tokens; the
-- planner does with them what it does for plain columns.
--
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA stats;
SET search_path = stats, public;

-- Every type, frequent and rare values, with each kind of index
CREATE TABLE every (id int, t encrypted_text, b encrypted_bytea, o encrypted_bool, i2 encrypted_int2, i4 encrypted_int4, i8 encrypted_int8, f4 encrypted_float4,
	f8 encrypted_float8, n encrypted_numeric, d encrypted_date, ti encrypted_time, ts encrypted_timestamp, tz encrypted_timestamptz, iv encrypted_interval,
	u encrypted_uuid, ip encrypted_inet, j encrypted_jsonb, token bytea GENERATED ALWAYS AS (blind_index(t)) STORED);
INSERT INTO every SELECT i, 'lingonberry' || m, convert_to('lingonberry' || m, 'UTF8'), m % 2 = 0, m, m, m, m, m, m, date '2000-01-01' + m, time '12:00' + m * interval '1 s',
	timestamp '2000-01-01' + m * interval '1 h', timestamptz '2000-01-01' + m * interval '1 h', m * interval '1 h', md5(m::text)::uuid, inet '10.0.0.0' + m,
	jsonb_build_object('lingonberry', m)
	FROM (SELECT i, CASE WHEN i % 3 = 0 THEN 7 ELSE i % 50 END AS m FROM generate_series(1, 1000) i) x;
CREATE INDEX every_blind ON every (blind_index(t), blind_index(i4));
CREATE INDEX every_lower ON every (blind_index(t, 'lower'));
CREATE INDEX every_hash ON every USING hash (j);
CREATE INDEX every_partial ON every (id) WHERE t IS NOT NULL;
ANALYZE every;
SELECT count(*) AS columns, count(*) FILTER (WHERE num_nonnulls(stavalues1, stavalues2, stavalues3, stavalues4, stavalues5, stanumbers1, stanumbers2, stanumbers3) > 0) AS "keep values",
	count(*) FILTER (WHERE stanullfrac = 0 AND stawidth > 38) AS widths, count(*) FILTER (WHERE stadistinct = 50) AS fifty, count(*) FILTER (WHERE stadistinct = 2) AS two
	FROM pg_statistic JOIN pg_attribute ON attrelid = starelid AND attnum = staattnum WHERE starelid = 'every'::regclass AND attname <> 'id';
-- no byte of a value or of a token, in any row that ANALYZE has written
SELECT count(*) AS "rows", count(*) FILTER (WHERE s::text ~* 'lingonberry|6c696e676f6e6265727279|pgseal:') AS values,
	count(*) FILTER (WHERE EXISTS (SELECT FROM every e WHERE position(encode(e.token, 'hex') IN s::text) > 0 OR position(encode(blind_index(e.i4), 'hex') IN s::text) > 0)) AS tokens
	FROM pg_statistic s WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'stats'::regnamespace);

-- Joins seem to be as large as those of plain columns, so that they are put in
-- the same order (where it matters more than what kinds of scans cost)
CREATE TABLE countries (code encrypted_text('stats'), name text);
CREATE TABLE customers (id int, country encrypted_text('stats'), email encrypted_text('stats'));
CREATE TABLE orders (id int, email encrypted_text('stats'), state encrypted_text('stats'));
CREATE TABLE countries_p (code text, name text);
CREATE TABLE customers_p (id int, country text, email text);
CREATE TABLE orders_p (id int, email text, state text);
INSERT INTO countries_p SELECT 'c' || i, 'country ' || i FROM generate_series(1, 100) i;
INSERT INTO customers_p SELECT i, 'c' || i % 100, 'e' || i FROM generate_series(1, 2000) i;
INSERT INTO orders_p SELECT i, 'e' || i % 2000, 'state ' || i % 4 FROM generate_series(1, 6000) i;
INSERT INTO countries SELECT * FROM countries_p;
INSERT INTO customers SELECT * FROM customers_p;
INSERT INTO orders SELECT * FROM orders_p;
CREATE UNIQUE INDEX ON customers (blind_index(email));
CREATE INDEX ON customers (blind_index(country));
CREATE INDEX ON orders (blind_index(email));
CREATE UNIQUE INDEX ON customers_p (email);
CREATE INDEX ON customers_p (country);
CREATE INDEX ON orders_p (email);
VACUUM ANALYZE countries, customers, orders, countries_p, customers_p, orders_p;

-- The tables in the order in which a plan visits them, and its number of rows
CREATE FUNCTION visits(query text, OUT tables text, OUT "rows" numeric) LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	tables := '';
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		"rows" := coalesce("rows", substring(line FROM 'rows=(\d+)')::numeric);
		tables := tables || coalesce(' ' || substring(line FROM '(?: on |using \S+ on )(countries|customers|orders)(?:_p)?\y'), '');
	END LOOP;
END $$;
CREATE TABLE query (n int, query text);
INSERT INTO query VALUES
	(1, 'SELECT 1 FROM countries/ c JOIN customers/ k ON k.country = c.code JOIN orders/ o ON o.email = k.email WHERE c.name = ''country 7'''),
	(2, 'SELECT 1 FROM orders/ o JOIN customers/ k ON o.email = k.email JOIN countries/ c ON k.country = c.code WHERE k.email = ''e7'''),
	(3, 'SELECT 1 FROM orders/ o JOIN customers/ k ON o.email = k.email WHERE o.state = ''state 1'' AND k.country = ''c5'''),
	(4, 'SELECT 1 FROM customers/ k JOIN orders/ o ON o.email = k.email WHERE k.id < 5');
SELECT n, CASE WHEN n IN (1, 4) THEN p.tables = e.tables END AS "the same order", e.rows BETWEEN p.rows / 2 - 1 AND p.rows * 2 + 1 AS "similar numbers"
	FROM query, visits(replace(query, '/', '_p')) p, visits(replace(query, '/', '')) e ORDER BY n;
-- Estimates of conditions, against those of the plain column
SELECT condition, e.rows BETWEEN p.rows * 0.8 - 1 AND p.rows * 1.2 + 1 AS similar FROM
	(VALUES ('customers', 'country = ''c5'''), ('customers', 'country <> ''c5'''), ('customers', 'email = ''e7'''), ('customers', 'country IN (''c1'', ''c2'', ''c3'')'),
		('customers', 'country IS NULL'), ('orders', 'state = ''state 2'''), ('orders', 'email = ''e9''')) c (name, condition),
	visits(format('SELECT 1 FROM %s_p WHERE %s', name, condition)) p, visits(format('SELECT 1 FROM %s WHERE %s', name, condition)) e;
SELECT e.rows = p.rows AS "groups are counted" FROM visits('SELECT country FROM customers_p GROUP BY country') p, visits('SELECT country FROM customers GROUP BY country') e;

-- Columns that no index serves
SELECT "table", "column", equality_index FROM pgseal.columns WHERE "table"::text ~ '^(customers|orders|every)$' AND "column" IN ('country', 'email', 'state', 't', 'j', 'n') ORDER BY 1, 2;

SET client_min_messages = error;
DROP SCHEMA stats CASCADE;
