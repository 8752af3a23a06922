-- Functions that print what a query given to them returns.
CREATE SCHEMA printing;
SET search_path = printing, public;
CREATE EXTENSION tablefunc;
CREATE EXTENSION hstore;
CREATE TABLE sales (region encrypted_text, quarter encrypted_text, amount encrypted_numeric);
INSERT INTO sales VALUES ('east', 'q1', 1.50), ('east', 'q2', 2), ('west', 'q1', 3);
CREATE TABLE tree (id encrypted_text, parent encrypted_text);
INSERT INTO tree VALUES ('root', NULL), ('leaf', 'root'), ('twig', 'root'), ('bud', 'twig');

SELECT * FROM crosstab('SELECT region, quarter, amount FROM sales ORDER BY 1, 2') AS t(region text, q1 numeric, q2 numeric);
SELECT * FROM crosstab('SELECT region, quarter, amount FROM sales ORDER BY 1, 2', 'SELECT DISTINCT quarter FROM sales ORDER BY 1') AS t(region text, q1 numeric, q2 numeric);
SELECT * FROM connectby('tree', 'id', 'parent', 'root', 0, '/') AS t(id text, parent text, level int, branch text);

SELECT query_to_xml('SELECT region, amount FROM sales ORDER BY amount', true, false, '');
SELECT table_to_xml('tree', false, true, '');
SELECT schema_to_xml('printing', false, false, '')::text LIKE '%<amount>1.50</amount>%' AS "schema", query_to_xmlschema('SELECT amount FROM sales', false, false, '')::text LIKE '%type="NUMERIC"%' AS "its type";
CREATE VIEW report AS SELECT query_to_xml('SELECT amount FROM sales WHERE amount > 2', false, true, '') AS x;
SELECT * FROM report;
SELECT pg_get_viewdef('report'::regclass);
CREATE FUNCTION report() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN query_to_xml('SELECT amount FROM sales WHERE amount > 2', false, true, ''); END $$;
SELECT report();
DECLARE c CURSOR WITH HOLD FOR SELECT amount FROM sales ORDER BY 1;
SELECT cursor_to_xml('c', 1, false, true, '');
CLOSE c;

-- takes what its query returns for rows of the table: sealed
CREATE EXTENSION dblink;
CREATE TABLE keyed (id int PRIMARY KEY, region encrypted_text, amount encrypted_int4);
INSERT INTO keyed VALUES (1, 'east', 7);
SELECT regexp_replace(dblink_build_sql_insert('keyed', '1', 1, '{1}', '{2}'), '[A-Za-z0-9+/=]{30,}', '...', 'g');

SELECT hstore(s) FROM sales s WHERE amount = 2;
SELECT hstore(s) -> 'region' FROM sales s WHERE amount = 2;

-- SQL functions that PostgreSQL would inline
CREATE FUNCTION listed(VARIADIC encrypted_text[]) RETURNS text LANGUAGE sql AS $$ SELECT array_to_string($1, ',') $$;
CREATE FUNCTION exclaimed(encrypted_text) RETURNS text LANGUAGE sql AS $$ SELECT concat($1, '!') $$;
CREATE FUNCTION row_text(sales) RETURNS text LANGUAGE sql AS $$ SELECT $1::text $$;
CREATE FUNCTION as_xml() RETURNS text LANGUAGE sql AS $$ SELECT query_to_xml('SELECT amount FROM printing.sales WHERE amount > 2', false, true, '')::text $$;
CREATE FUNCTION is_east(encrypted_text) RETURNS bool LANGUAGE sql AS $$ SELECT $1 = 'east' $$;
CREATE FUNCTION any_text(anyelement) RETURNS text LANGUAGE sql AS $$ SELECT FORMAT('%s', $1) $$;
CREATE FUNCTION any_array(anyarray) RETURNS text LANGUAGE sql AS $$ SELECT array_to_string($1, ',') $$;
CREATE FUNCTION any_pair(anycompatible, anycompatible) RETURNS text LANGUAGE sql AS $$ SELECT concat($1, $2) $$;
CREATE FUNCTION any_joined(anyelement) RETURNS text LANGUAGE sql AS $$ SELECT 'the ' || $1 $$;
CREATE FUNCTION any_is(anyelement, text) RETURNS bool LANGUAGE sql AS $$ SELECT concat($1) = $2 $$;
CREATE FUNCTION same(anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION reads_east(encrypted_text) RETURNS bool LANGUAGE sql AS $$ SELECT concat($1) = 'east' $$;
CREATE PROCEDURE nothing() BEGIN ATOMIC END;
CALL nothing();
SELECT listed(region, quarter), exclaimed(region), row_text(sales), as_xml() FROM sales WHERE amount = 3;
SELECT any_text(region), any_text(amount), any_array(ARRAY[region, quarter]), any_pair(amount, 1), any_joined(region), any_text(sales), any_joined(sales), any_text(same(region)), same(region) FROM sales WHERE amount = 3;
SELECT amount FROM sales WHERE is_east(region) ORDER BY 1;
SELECT amount FROM sales WHERE reads_east(region) AND any_is(region, 'east') ORDER BY 1;
SELECT 'a' || sales, sales || 'b', 'c' || ROW(region, 1), textanycat('d', sales) FROM sales WHERE amount = 3;
EXPLAIN (VERBOSE, COSTS OFF) SELECT same(region) FROM sales;	-- inlined
-- Not only by names: a cast in the form of a call, by the declared type of the result, an alias of a function in another spelling
CREATE FUNCTION any_name(anyarray) RETURNS text LANGUAGE sql AS $$ SELECT name($1) $$;
CREATE FUNCTION any_result(anyelement) RETURNS varchar LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION any_columns(anyelement, OUT a text, OUT b int) LANGUAGE sql AS $$ SELECT $1, 1 $$;
CREATE FUNCTION any_rows(anyarray) RETURNS TABLE (a text, b int) LANGUAGE sql STABLE AS $$ SELECT $1, 1 $$;
CREATE FUNCTION any_spelt(anyelement) RETURNS text LANGUAGE sql AS $$ SELECT U&"c\006Fncat"($1, '!') $$;
CREATE FUNCTION any_or(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT CASE WHEN $1 = $2 THEN $1 ELSE coalesce($2, $1) END /* format */ $$;
SELECT any_name(ARRAY[region]), any_result(ARRAY[region, quarter]), any_result(sales), any_result(region), any_columns(sales), any_rows(ARRAY[region]), any_spelt(region) FROM sales WHERE amount = 3;
SELECT a, b FROM sales, any_rows(ARRAY[region, quarter]) WHERE amount = 3;
EXPLAIN (VERBOSE, COSTS OFF) SELECT any_or(region, quarter) FROM sales;	-- inlined
DO $$ DECLARE r record; t text; BEGIN
	SELECT * INTO r FROM sales WHERE amount = 3;
	t := r;
	RAISE NOTICE '% % %', t, concat(r), format('%s', r);
	SELECT 1 AS a, NULL AS b INTO r;
	t := r;
	RAISE NOTICE '% %', t, concat(r);
END $$;

-- what runs inside such a function isn't what it prints
CREATE FUNCTION inner_type() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT region INTO r FROM sales LIMIT 1; RETURN pg_typeof(r.region); END $$;
SELECT query_to_xml('SELECT inner_type()', false, true, '');
SELECT inner_type();
SELECT query_to_xml('SELECT 1/0', false, true, '');
SELECT inner_type();

-- who may not open or not call it
CREATE ROLE printing_reader;
GRANT USAGE ON SCHEMA printing TO printing_reader;
GRANT SELECT ON sales TO printing_reader;
SET ROLE printing_reader;
SELECT query_to_xml('SELECT region FROM sales', false, true, '');
SELECT * FROM crosstab('SELECT region, quarter, amount FROM sales ORDER BY 1, 2') AS t(region text, q1 numeric, q2 numeric);
RESET ROLE;
BEGIN;
REVOKE EXECUTE ON FUNCTION query_to_xml(text, boolean, boolean, text) FROM PUBLIC;
SET ROLE printing_reader;
SELECT query_to_xml('SELECT 1', false, true, '');
ROLLBACK;
SET pgseal.transparent = off;
SELECT query_to_xml('SELECT region FROM sales', false, true, '')::text LIKE '%pgseal:1:%' AS "sealed";
RESET pgseal.transparent;

SET client_min_messages = warning;
DROP SCHEMA printing CASCADE;
DROP ROLE printing_reader;
