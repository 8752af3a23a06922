-- Functions of one name: an encrypted value is taken by the one that takes the base type,
-- also where PostgreSQL prefers another, as float8 and timestamptz
SET client_min_messages = warning;
SET datestyle = iso;
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

-- Where the result is of another type, beside literals and parameters without a type, of
-- aggregates and operators, too
CREATE FUNCTION twice(p int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT p * 2 $$;
CREATE FUNCTION twice(p float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT p * 2.5 $$;
CREATE FUNCTION least_of(p int, q int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'int' $$;
CREATE FUNCTION least_of(p float8, q float8) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'float8' $$;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE AGGREGATE total(float8) (SFUNC = float8pl, STYPE = float8, INITCOND = '0.5');
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = least_of);
CREATE OPERATOR <+> (LEFTARG = float8, RIGHTARG = float8, FUNCTION = least_of);
CREATE FUNCTION both_ways(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
	FOR r IN EXECUTE format(query, 'plain') LOOP RETURN NEXT 'plain ' || r; END LOOP;
	FOR r IN EXECUTE format(query, 'sealed') LOOP RETURN NEXT 'sealed ' || r; END LOOP;
END $$;
SELECT twice(n) FROM sealed;
SELECT least_of(n, '5') FROM sealed;
SELECT number(p => n) FROM sealed;
SELECT total(n) FROM sealed;
SELECT total(n) OVER () FROM sealed;
SELECT n <+> n, n <+> '5', '5' <+> n FROM sealed;
SELECT least_of(n, 5), least_of(n, 5.5), least_of(n, '5'::float8), least_of(q => '5', p => n) FROM sealed;
SELECT both_ways('SELECT (twice(n), pg_typeof(twice(n)), total(n) FILTER (WHERE twice(n) = 6), least_of(max(n), ''1''))::text FROM %s GROUP BY n, twice(n) HAVING total(n) > 0');
SELECT both_ways('SELECT (SELECT twice(n) + total(n))::text FROM %s GROUP BY n ORDER BY twice(n)');
SELECT both_ways('SELECT DISTINCT (twice(n), least_of(n, ''5''), count(*) OVER (ORDER BY twice(n)))::text FROM %s GROUP BY twice(n), least_of(n, ''5'') HAVING twice(n) > 0');
SELECT both_ways('SELECT (twice(n) + 1)::text FROM %s GROUP BY ROLLUP (twice(n)) ORDER BY twice(n)');
PREPARE p1 AS SELECT least_of(n, $1), day(d) FROM plain;
PREPARE s1 AS SELECT least_of(n, $1), day(d) FROM sealed;
PREPARE s2 (float8) AS SELECT least_of(n, $1) FROM sealed;
PREPARE s3 AS SELECT least_of(n, $1), $2 || t FROM sealed WHERE n = $1 AND t = $3;
SELECT name, parameter_types FROM pg_prepared_statements WHERE name IN ('p1', 's1', 's2', 's3') ORDER BY name;
EXECUTE p1 ('5');
EXECUTE s1 ('5');
EXECUTE s2 (5);
EXECUTE s3 (3, 'a', 'x');
ALTER TABLE sealed ADD added int;
EXECUTE s1 ('5');
EXPLAIN (VERBOSE, COSTS OFF) SELECT 1 FROM sealed WHERE least_of(n, '5') = t;
CREATE VIEW v AS SELECT twice(n) AS n, least_of(n, '5') FROM sealed;
SELECT *, pg_typeof(n) FROM v;
CREATE TABLE made AS SELECT twice(id) FROM (SELECT 1 AS id) s;
DECLARE c CURSOR WITH HOLD FOR SELECT twice(n) FROM sealed;
FETCH c;
CLOSE c;
SELECT 1 AS one\; SELECT twice(n) FROM sealed\; SELECT 2 AS two;
CREATE FUNCTION twice_of() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT twice(n) FROM sealed WHERE least_of(n, '1') = 'int' $$;
SELECT twice_of();
-- A numeric one can only have been a typed literal: between int and numeric there is no choice for others
CREATE FUNCTION most_of(p int, q int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
CREATE FUNCTION most_of(p numeric, q numeric) RETURNS text LANGUAGE sql AS $$ SELECT 'numeric' $$;
SELECT most_of(n, '5'::numeric), most_of(n, 5.5) FROM sealed;

-- In expressions of PL/pgSQL, which are no statements, and in bodies in standard form, which no hook sees
CREATE FUNCTION in_expressions(plain) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; v plain.n%TYPE := $1.n; x float8; a int[]; BEGIN
	SELECT n, d INTO r FROM plain; x := twice(r.n); a[twice(v)] := twice(v) + twice($1.n);
	IF twice(v) = 6 AND least_of(q => '7', p => v) = 'int' THEN RETURN concat_ws(' ', least_of(r.n, '5'), day(r.d), x, a, pg_typeof(twice(v))); END IF;
	RETURN 'wrong'; END $$;
CREATE FUNCTION in_expressions(sealed) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; v sealed.n%TYPE := $1.n; x float8; a int[]; BEGIN
	SELECT n, d INTO r FROM sealed; x := twice(r.n); a[twice(v)] := twice(v) + twice($1.n);
	IF twice(v) = 6 AND least_of(q => '7', p => v) = 'int' THEN RETURN concat_ws(' ', least_of(r.n, '5'), day(r.d), x, a, pg_typeof(twice(v))); END IF;
	RETURN 'wrong'; END $$;
SELECT in_expressions(plain) FROM plain;
SELECT in_expressions(sealed) FROM sealed;
CREATE FUNCTION in_body() RETURNS float8 LANGUAGE sql RETURN (SELECT twice(n) FROM sealed);
CREATE FUNCTION in_body(a text, p encrypted_int4, OUT o text) LANGUAGE sql BEGIN ATOMIC
	SELECT twice(p); SELECT concat(a, ' ', least_of(n, '5'), ' ', day(d), ' ', twice(p), ' ', pg_typeof(twice(p))) FROM sealed WHERE twice(n) = 6; END;
CREATE PROCEDURE in_procedure(p encrypted_int4, OUT o text) LANGUAGE sql BEGIN ATOMIC SELECT concat(twice(p), pg_typeof(twice(p))); END;
SELECT in_body(), in_body('a', n) FROM sealed;
CALL in_procedure(4::encrypted_int4, NULL);

-- NULLIF is of the type that "=" takes, or else of the first argument's
CREATE FUNCTION nullifs(of text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', nullif(n, 3.5), pg_typeof(nullif(n, 3.5)), nullif(3, m), pg_typeof(nullif(3, m)), nullif(n, m) IS NULL, nullif(i8, n), nullif(d, ts), nullif(m, ''1''))
		FROM (SELECT n, i8, d, ts, %s AS m FROM %s) AS s', CASE of WHEN 'plain' THEN '3.00' ELSE '3.00::encrypted_numeric' END, of); END $$;
SELECT nullifs('plain'), nullifs('sealed');

-- What is stored: checks, defaults, policies, conditions of triggers, of COPY, of rules, domains
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% of % fires', TG_NAME, TG_TABLE_NAME; RETURN NEW; END $$;
CREATE FUNCTION of_both(statement text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE replace(replace(statement, '{t}', 'plain'), '{e}', '');
	EXECUTE replace(replace(statement, '{t}', 'sealed'), '{e}', 'encrypted_');
END $$;
SELECT of_both('CREATE TABLE {t}_c (n {e}int4 CHECK (number(n) LIKE ''int%''), d {e}date, t {e}text, CHECK (day(d) LIKE ''date%'' AND concat(t) <> ''no''), CHECK (twice(n) = 6 OR least_of(n, ''5'') <> ''int''))');
SELECT of_both('INSERT INTO {t}_c VALUES (3, ''2024-02-29'', ''x'')');
SELECT of_both('INSERT INTO {t}_c VALUES (3, ''2024-02-29'', ''no'')');
\set VERBOSITY terse
INSERT INTO sealed_c VALUES (3, '2024-02-29', 'no');
\set VERBOSITY default
SELECT of_both('ALTER TABLE {t} ADD CHECK (number(n) LIKE ''int%'' AND concat(t, d) LIKE ''x2%''), ADD COLUMN more {e}text DEFAULT concat(''a'', number(1)) CHECK (concat(more) LIKE ''aint%'')');
SELECT of_both('ALTER TABLE {t} ADD CHECK (number(n) LIKE ''float%'')');
SELECT of_both('CREATE TABLE {t}_l (LIKE {t}_c INCLUDING ALL, CHECK (number(n) LIKE ''int%''))');
SELECT of_both('CREATE TABLE {t}_i (CHECK (number(n) LIKE ''int%'')) INHERITS ({t}_c)');
SELECT of_both('INSERT INTO {t}_i VALUES (3, ''2024-02-29'', ''x'')');
SELECT of_both('CREATE TRIGGER w BEFORE UPDATE ON {t} FOR EACH ROW WHEN (number(NEW.n) LIKE ''int%'' AND concat(OLD.t) = ''x'' AND OLD.d::text = ''2024-02-29'') EXECUTE FUNCTION fires()');
SELECT of_both('UPDATE {t} SET n = 3');
SELECT of_both('CREATE RULE r AS ON INSERT TO {t}_c WHERE concat(NEW.t) = ''y'' DO ALSO INSERT INTO {t}_l VALUES (twice(NEW.n) / 2, NEW.d, concat(''by rule, '', NEW.t))');
SELECT of_both('INSERT INTO {t}_c VALUES (3, ''2024-02-29'', ''y'')');
SELECT * FROM plain_l;
SELECT * FROM sealed_l;
SELECT of_both('CREATE DOMAIN {t}_d AS {e}int4 CHECK (number(VALUE) LIKE ''int%'')');
SELECT of_both('ALTER DOMAIN {t}_d ADD CHECK (concat(value) <> ''7'' AND twice(VALUE) = 2 * 3)');
SELECT 3::plain_d, 3::sealed_d;
SELECT 7::plain_d;
SELECT 7::sealed_d;
COPY plain (n, t, d) FROM stdin WHERE number(n) LIKE 'int%' AND concat(t) = 'x';
3	x	2024-01-01
3	y	2024-01-01
\.
COPY sealed (n, t, d) FROM stdin WHERE number(n) LIKE 'int%' AND concat(t) = 'x';
3	x	2024-01-01
3	y	2024-01-01
\.
SELECT both_ways('SELECT count(*)::text FROM %s');
CREATE ROLE overloads_reader;
GRANT USAGE ON SCHEMA overloads TO overloads_reader;
GRANT USAGE ON FOREIGN SERVER local_keyring TO overloads_reader;
SELECT of_both('GRANT SELECT ON {t} TO overloads_reader; ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {t} USING (number(n) LIKE ''int%'' AND concat(d) = ''2024-01-01'')');
SET ROLE overloads_reader;
SELECT both_ways('SELECT count(*)::text FROM %s');
RESET ROLE;
SELECT of_both('ALTER POLICY p ON {t} USING (EXISTS (SELECT 1 WHERE twice(n) = 6))');
SET ROLE overloads_reader;
SELECT both_ways('SELECT count(*)::text FROM %s');
RESET ROLE;
-- Who may not change the table isn't told more of it than PostgreSQL tells
SET ROLE overloads_reader;
ALTER TABLE sealed ADD CHECK (concat(nothing) = 'x');
RESET ROLE;
-- What can't be analyzed is PostgreSQL's to say
ALTER TABLE sealed ADD CHECK (concat(nothing) = 'x');
-- The definitions say which function it is, whoever reads them
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'sealed_c'::regclass ORDER BY conname;
SET client_min_messages = error;
DROP SCHEMA overloads CASCADE;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM overloads_reader;
DROP ROLE overloads_reader;
