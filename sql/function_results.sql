-- What functions answer: the declared types, whatever the columns they read are.
CREATE SCHEMA answers;
SET search_path = answers, public;
SET pgseal.sealed_input = off;
CREATE TABLE a (id int, e encrypted_text, n encrypted_int4, l encrypted_text[]);
INSERT INTO a VALUES (1, 'one', 10, '{x,y}'), (2, 'two', 20, '{}'), (3, NULL, NULL, NULL);
CREATE TABLE b (id int, e encrypted_text, n encrypted_int4, l encrypted_text[]);
CREATE TABLE plain (id int, e text, n int, l text[]);

-- RETURN QUERY into plain types, sealed ones, and the rows of other tables
CREATE FUNCTION to_table() RETURNS TABLE (id int, e text, n int, l text[]) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.id, a.e, a.n, a.l FROM a ORDER BY a.id; END $$;
SELECT * FROM to_table();
SELECT e FROM to_table() \gdesc
CREATE FUNCTION to_text() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.e FROM a ORDER BY a.e; END $$;
SELECT * FROM to_text();
CREATE FUNCTION to_varchar() RETURNS SETOF varchar LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.e FROM a ORDER BY 1 DESC; END $$;
SELECT * FROM to_varchar();
CREATE FUNCTION to_distinct() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT DISTINCT a.e FROM a UNION SELECT 'zero' ORDER BY 1; END $$;
SELECT * FROM to_distinct();
CREATE FUNCTION to_b() RETURNS SETOF b LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM a ORDER BY id; END $$;
SELECT * FROM to_b();
CREATE TABLE made AS SELECT * FROM to_b();
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0 ORDER BY attnum;
SELECT DISTINCT (pgseal.inspect(e)).key FROM made WHERE e IS NOT NULL;
CREATE FUNCTION to_plain() RETURNS SETOF plain LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM a ORDER BY id; END $$;
SELECT * FROM to_plain();
CREATE FUNCTION from_plain() RETURNS SETOF a LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM plain; END $$;
INSERT INTO plain SELECT * FROM a;
SELECT * FROM from_plain() ORDER BY id;
SELECT DISTINCT (pgseal.inspect(e)).key FROM from_plain() WHERE e IS NOT NULL;
CREATE FUNCTION sealed_still() RETURNS TABLE (e encrypted_text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.e FROM a WHERE id = 1; END $$;
SELECT e, pg_typeof(e) FROM sealed_still();
CREATE FUNCTION to_record() RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.id, a.e FROM a ORDER BY id; END $$;
SELECT * FROM to_record() AS t(id int, e text);
CREATE FUNCTION by_returning() RETURNS TABLE (e text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY UPDATE a SET n = a.n + 1 WHERE id = 2 RETURNING a.e; END $$;
SELECT * FROM by_returning();
CREATE FUNCTION by_execute(which int) RETURNS TABLE (e text, n int) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT e, n FROM a WHERE id = $1' USING which; END $$;
SELECT * FROM by_execute(1);
SELECT * FROM by_execute(2);
CREATE FUNCTION by_execute_first() RETURNS SETOF b LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT * FROM a ORDER BY id'; END $$;
SELECT * FROM by_execute_first();
CREATE TABLE shrunk (gone int, id int, gone_too text, e text);
ALTER TABLE shrunk DROP gone, DROP gone_too;
CREATE FUNCTION to_shrunk() RETURNS SETOF shrunk LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.id, a.e FROM a ORDER BY id; END $$;
SELECT * FROM to_shrunk();
-- what isn't the same on plain columns either
CREATE FUNCTION wrong() RETURNS TABLE (e int) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.e FROM a; END $$;
\set VERBOSITY terse
SELECT * FROM wrong();
\set VERBOSITY default
CREATE FUNCTION too_many() RETURNS TABLE (e text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT a.e, a.n FROM a; END $$;
SELECT * FROM too_many();

-- RETURN NEXT and RETURN of rows
CREATE FUNCTION next_record() RETURNS TABLE (i int, x text) LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT id, e FROM a ORDER BY id LOOP i := r.id; x := r.e; RETURN NEXT; END LOOP; END $$;
SELECT * FROM next_record();
CREATE FUNCTION next_b() RETURNS SETOF b LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM a ORDER BY id LOOP IF r.id < 3 THEN RETURN NEXT r; END IF; END LOOP; END $$;
SELECT * FROM next_b();
CREATE FUNCTION next_plain() RETURNS SETOF plain LANGUAGE plpgsql AS $$ DECLARE r record; c CURSOR FOR SELECT * FROM a ORDER BY id; BEGIN
	FOR r IN c LOOP RETURN NEXT r; END LOOP;
	OPEN c; FETCH c INTO r; RETURN NEXT r; CLOSE c;
	FOR r IN EXECUTE 'SELECT * FROM a ORDER BY id' LOOP RETURN NEXT r; END LOOP;
	EXECUTE 'SELECT * FROM a WHERE id = 1' INTO r; RETURN NEXT r;
END $$;
SELECT * FROM next_plain();
CREATE FUNCTION one_row() RETURNS plain LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT * INTO r FROM a WHERE id = 1; RETURN r; END $$;
SELECT * FROM one_row();
SELECT (one_row()).e;
CREATE TYPE pair AS (e text, n int);
CREATE FUNCTION one_pair() RETURNS pair LANGUAGE plpgsql AS $$ DECLARE t a%ROWTYPE; BEGIN SELECT * INTO t FROM a WHERE id = 1; RETURN (t.e, t.n); END $$;
SELECT * FROM one_pair();
CREATE FUNCTION out_args(OUT e text, OUT n int) LANGUAGE plpgsql AS $$ BEGIN SELECT a.e, a.n INTO e, n FROM a WHERE id = 1; END $$;
SELECT * FROM out_args();

-- variables that aren't answers keep what is sealed
CREATE FUNCTION kept() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT * INTO r FROM a WHERE id = 1; RETURN pg_typeof(r.e); END $$;
SELECT kept();

-- cursors that are handed out
CREATE FUNCTION open_one() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'one'; BEGIN OPEN c FOR SELECT id, e FROM a ORDER BY id; RETURN c; END $$;
CREATE FUNCTION open_named(c refcursor) RETURNS void LANGUAGE plpgsql AS $$ BEGIN OPEN c FOR EXECUTE 'SELECT e, n FROM a ORDER BY id'; END $$;
CREATE PROCEDURE open_in(INOUT c refcursor) LANGUAGE plpgsql AS $$ DECLARE own CURSOR FOR SELECT l FROM a ORDER BY id; BEGIN c := 'own'; OPEN own; END $$;
BEGIN;
SELECT open_one();
FETCH ALL FROM one;
SELECT open_named('two');
FETCH 1 FROM two;
FETCH 1 FROM two \gdesc
COMMIT;
-- one under a name that only who knows it fetches from, and one that the function fetches from itself
CREATE FUNCTION open_fixed() RETURNS void LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'fixed'; BEGIN OPEN c FOR SELECT e, a FROM a ORDER BY id; END $$;
CREATE PROCEDURE open_own() LANGUAGE plpgsql AS $$ DECLARE own_name CURSOR FOR SELECT e FROM a ORDER BY id; BEGIN own_name := 'own_name'; OPEN own_name; END $$;
CREATE FUNCTION fetch_fixed() RETURNS text LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'fixed'; v encrypted_text; BEGIN FETCH c INTO v; RETURN v || '!'; END $$;
CREATE FUNCTION fetch_own() RETURNS text LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT e FROM a ORDER BY id; v encrypted_text; BEGIN OPEN c; FETCH c INTO v; CLOSE c; RETURN left(v::text, 5); END $$;
BEGIN;
SELECT open_fixed(), fetch_fixed();
FETCH ALL FROM fixed;
CALL open_own();
FETCH 1 FROM own_name;
FETCH 1 FROM own_name \gdesc
SELECT fetch_own();
COMMIT;
SET pgseal.transparent = off;
CREATE FUNCTION open_sealed() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'sealed'; BEGIN OPEN c FOR SELECT e FROM a ORDER BY id; RETURN c; END $$;
BEGIN;
SELECT open_sealed();
FETCH 1 FROM sealed \gdesc
COMMIT;
RESET pgseal.transparent;

-- what a procedure answers
CREATE PROCEDURE answer(INOUT id int, OUT e encrypted_text, OUT l encrypted_text[], INOUT r a) LANGUAGE plpgsql AS $$
	BEGIN SELECT a.e, a.l INTO e, l FROM a WHERE a.id = answer.id; SELECT * INTO r FROM a WHERE a.id = answer.id; COMMIT; END $$;
CALL answer(1, NULL, NULL, NULL);
CALL answer(1, NULL, NULL, NULL) \gdesc
CALL answer(3, NULL, NULL, NULL);
DO $$ DECLARE i int := 1; e encrypted_text; l encrypted_text[]; r a; BEGIN CALL answer(i, e, l, r); RAISE INFO '% % %', pg_typeof(e), l::text[], r.n::int; END $$;
CREATE PROCEDURE answer_any(INOUT v anyelement) LANGUAGE plpgsql AS $$ BEGIN v := v; END $$;
CALL answer_any('x'::encrypted_text);
SET pgseal.transparent = off;
CALL answer(1, NULL, NULL, NULL) \gdesc
RESET pgseal.transparent;

-- COPY of a query gives what a SELECT gives, of a table what is stored
COPY (SELECT id, e, n, l FROM a ORDER BY id) TO STDOUT;
COPY (SELECT e FROM a ORDER BY e DESC NULLS LAST) TO STDOUT (FORMAT csv);
COPY (UPDATE a SET n = 11 WHERE id = 1 RETURNING e, n) TO STDOUT;
\copy (SELECT e FROM a WHERE id = 1) TO STDOUT
-- pg_dump copies an extension's tables so
ALTER EXTENSION plpgsql ADD TABLE a;
\copy (SELECT e FROM a WHERE id = 1) TO PROGRAM 'cut -c 1-9'
\copy (SELECT a.e FROM a, plain WHERE a.id = 1 AND plain.id = 1) TO STDOUT
ALTER EXTENSION plpgsql DROP TABLE a;
SET pgseal.transparent = off;
\copy (SELECT e FROM a WHERE id = 1) TO PROGRAM 'cut -c 1-9'
RESET pgseal.transparent;

-- who may not open it, can't have it by this way
CREATE ROLE answers_writer;
GRANT USAGE ON SCHEMA answers TO answers_writer;
GRANT SELECT ON a, b, plain TO answers_writer;
SET ROLE answers_writer;
SELECT * FROM to_table();
SELECT * FROM to_b();
COPY (SELECT e FROM a WHERE id = 1) TO STDOUT;
SET pgseal.on_denied = 'null';
SELECT e FROM to_table();
RESET pgseal.on_denied;
SELECT count(*) FROM sealed_still();
CALL answer(1, NULL, NULL, NULL);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA answers CASCADE;
DROP ROLE answers_writer;
