-- Rows of a table whose columns are encrypted while sessions have statements prepared that
-- return them: as a whole, in arrays, by functions.
SET client_min_messages = warning;
CREATE SCHEMA live;
SET search_path = live, public;
CREATE TABLE e (id int PRIMARY KEY, t text, v varchar, n numeric);
INSERT INTO e VALUES (1, 'x', 'v', 1.50);
CREATE FUNCTION by_sql() RETURNS SETOF e LANGUAGE sql AS $$ SELECT * FROM e $$;
CREATE FUNCTION by_plpgsql() RETURNS SETOF e LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM e; END $$;
CREATE FUNCTION one() RETURNS e LANGUAGE plpgsql AS $$ DECLARE r e; BEGIN SELECT * INTO r FROM e; RETURN r; END $$;
CREATE FUNCTION in_table() RETURNS TABLE (id int, r e) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT e.id, e FROM e; END $$;
CREATE FUNCTION taking(e) RETURNS text LANGUAGE sql AS $$ SELECT $1.t $$;
CREATE FUNCTION printing(x e) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN concat(x, x.t); END $$;
PREPARE p1 AS SELECT e FROM e;
PREPARE p2 AS SELECT array_agg(e) FROM e;
PREPARE p3 AS SELECT *, e AS r FROM e WHERE t = $1;
PREPARE p4 AS SELECT * FROM by_sql();
PREPARE p5 AS SELECT by_sql(), by_plpgsql(), one();
PREPARE p6 AS SELECT * FROM by_plpgsql() AS b, one() AS o WHERE b.t = o.t;
PREPARE p7 AS SELECT in_table();
PREPARE p8 AS SELECT * FROM in_table();
PREPARE p9 AS SELECT taking(e), e.taking, printing(e) FROM e;
PREPARE p10 AS UPDATE e SET t = t RETURNING e, *;
PREPARE p11 AS SELECT row_to_json(e), ROW(e.*), (e).t, e::text FROM e;
PREPARE p12 AS SELECT DISTINCT e.v, e.n, b FROM e, by_sql() b;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT * FROM e;
COMMIT;
EXECUTE p1;
EXECUTE p2;
EXECUTE p3 ('x');
EXECUTE p4;
EXECUTE p5;
EXECUTE p6;
EXECUTE p7;
EXECUTE p8;
EXECUTE p9;
EXECUTE p10;
EXECUTE p11;
EXECUTE p12;

CALL pgseal.encrypt_column('live.e', 't');
CALL pgseal.encrypt_column('live.e', 'v');
CALL pgseal.encrypt_column('live.e', 'n');
EXECUTE p1;
EXECUTE p2;
EXECUTE p3 ('x');
EXECUTE p4;
EXECUTE p5;
EXECUTE p6;
EXECUTE p7;
EXECUTE p8;
EXECUTE p9;
EXECUTE p10;
EXECUTE p11;
EXECUTE p12;
FETCH held;
CLOSE held;

-- A column that is added to the rows of functions
CREATE TABLE f (id int);
INSERT INTO f VALUES (1);
CREATE FUNCTION of_f() RETURNS f LANGUAGE plpgsql AS $$ DECLARE r f; BEGIN SELECT * INTO r FROM f; RETURN r; END $$;
PREPARE p20 AS SELECT of_f(), f FROM f;
EXECUTE p20;
ALTER TABLE f ADD x encrypted_text DEFAULT 'added';
EXECUTE p20;
ALTER TABLE f ALTER x TYPE text USING 'plain';
EXECUTE p20;

-- Records of functions, whose columns are declared, or not
CREATE FUNCTION outs(OUT i int, OUT r e, OUT s encrypted_text) LANGUAGE plpgsql AS $$ BEGIN i := 1; SELECT * INTO r FROM e; SELECT e.t INTO s FROM e; END $$;
CREATE FUNCTION undeclared() RETURNS record LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT 1 AS i, e AS r, e.t, ARRAY[e.t] AS a INTO r FROM e; RETURN r; END $$;
CREATE FUNCTION undeclared_set() RETURNS SETOF record LANGUAGE sql AS $$ SELECT id, t, n FROM e $$;
SELECT outs(), outs()::text, undeclared(), undeclared()::text, undeclared_set(), concat(outs());
SELECT * FROM outs(), undeclared() AS u (i int, r e, t encrypted_text, a encrypted_text[]), undeclared_set() AS v (id int, t encrypted_text, n encrypted_numeric);

-- And back
CALL pgseal.decrypt_column('live.e', 't');
EXECUTE p1;
EXECUTE p5;
EXECUTE p10;
DEALLOCATE ALL;
SET client_min_messages = error;
DROP SCHEMA live CASCADE;
