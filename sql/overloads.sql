-- Functions of one name: an encrypted value is taken by the one that takes the base type,
-- also where PostgreSQL prefers another, as float8 and timestamptz
SET client_min_messages = warning;
CREATE SCHEMA overloads;
SET search_path = overloads, public;
CREATE TABLE plain (n int, i8 bigint, d date, ts timestamp, t text);
CREATE TABLE sealed (n encrypted_int4, i8 encrypted_int8, d encrypted_date, ts encrypted_timestamp, t encrypted_text);
INSERT INTO plain VALUES (3, 8, '2024-02-29', '2024-02-29 12:00', 'x');
INSERT INTO sealed SELECT * FROM plain;
CREATE FUNCTION number(p int) RETURNS text LANGUAGE sql AS $$ SELECT 'int ' || p $$;
CREATE FUNCTION number(p float8) RETURNS text LANGUAGE sql AS $$ SELECT 'float8 ' || p $$;
CREATE FUNCTION big(p bigint, q text DEFAULT 'd') RETURNS text LANGUAGE sql AS $$ SELECT 'bigint ' || p || q $$;
CREATE FUNCTION big(p float8, q text DEFAULT 'd') RETURNS text LANGUAGE sql AS $$ SELECT 'float8 ' || p || q $$;
CREATE FUNCTION day(p date) RETURNS text LANGUAGE sql AS $$ SELECT 'date ' || p $$;
CREATE FUNCTION day(p timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT 'timestamptz ' || p $$;
CREATE FUNCTION bucket(i interval, p timestamp) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'timestamp ' || p $$;
CREATE FUNCTION bucket(i interval, p timestamptz) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'timestamptz ' || p $$;

SELECT number(n), big(i8), big(i8, 'q'), day(d), bucket('1 day', ts) FROM plain;
SELECT number(n), big(i8), big(i8, 'q'), day(d), bucket('1 day', ts) FROM sealed;
SELECT number(n + 0), number(n::float8), day(d::timestamptz) = day('2024-02-29'::timestamptz), upper(number(n)) FROM sealed;
SELECT b FROM sealed, bucket('1 day', ts) AS b WHERE number(n) LIKE 'int%' AND EXISTS (SELECT day(d));

-- In functions, both kinds, and views, also after a change of these
CREATE VIEW numbers AS SELECT number(n) FROM sealed;
CREATE FUNCTION atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT day(d) FROM sealed; END;
CREATE FUNCTION body() RETURNS text LANGUAGE sql AS $$ SELECT day(d) FROM sealed $$;
CREATE FUNCTION procedural() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT n INTO r FROM sealed; RETURN number(r.n); END $$;
SELECT *, atomic(), body(), procedural() FROM numbers;
PREPARE big AS SELECT big(i8) FROM sealed WHERE big(i8, $1) LIKE 'bigint%';
EXECUTE big('x');

-- Where that can't be, an error and not another answer
CREATE FUNCTION twice(p int) RETURNS int LANGUAGE sql AS $$ SELECT p * 2 $$;
CREATE FUNCTION twice(p float8) RETURNS float8 LANGUAGE sql AS $$ SELECT p * 2.5 $$;
CREATE FUNCTION least_of(p int, q int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
CREATE FUNCTION least_of(p float8, q float8) RETURNS text LANGUAGE sql AS $$ SELECT 'float8' $$;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE AGGREGATE total(float8) (SFUNC = float8pl, STYPE = float8, INITCOND = '0.5');
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = least_of);
CREATE OPERATOR <+> (LEFTARG = float8, RIGHTARG = float8, FUNCTION = least_of);
SELECT twice(n) FROM sealed;
SELECT least_of(n, '5') FROM sealed;
SELECT number(p => n) FROM sealed;
SELECT total(n) FROM sealed;
SELECT total(n) OVER () FROM sealed;
SELECT n <+> n FROM sealed;
SELECT twice(n::int), least_of(n, 5), least_of(n::int, '5'), number(p => n::int), n::int <+> n::int FROM sealed;
SELECT total(n::int) FROM sealed;
-- A numeric one can only have been a typed literal: between int and numeric there is no choice for others
CREATE FUNCTION most_of(p int, q int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
CREATE FUNCTION most_of(p numeric, q numeric) RETURNS text LANGUAGE sql AS $$ SELECT 'numeric' $$;
SELECT most_of(n, '5'::numeric), most_of(n, 5.5) FROM sealed;
DROP SCHEMA overloads CASCADE;
