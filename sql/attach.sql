-- Tables that are declared alike become partition and parent: a key that nobody has named is no part of the type
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE VIEW key_of AS
	SELECT a.attrelid::regclass AS table, a.attname, format_type(a.atttypid, a.atttypmod)
	FROM pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE FUNCTION scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
		IF line ~ 'Scan' THEN RETURN NEXT line; END IF;
	END LOOP;
END $$;

-- the partition has rows, an index, a generated token, a policy, a trigger, and views
CREATE TABLE at_p (id int, e encrypted_text, n encrypted_int4, tags encrypted_text[]) PARTITION BY RANGE (id);
CREATE TABLE at_1 (id int, e encrypted_text, n encrypted_int4, tags encrypted_text[]);
CREATE INDEX at_1_e ON at_1 (blind_index(e));
CREATE INDEX at_1_n ON at_1 USING hash (n);
CREATE INDEX at_1_part ON at_1 (id) WHERE blind_index(e) IS NOT NULL;
CREATE VIEW at_view AS SELECT e, n FROM at_1;
CREATE VIEW at_upper AS SELECT v.e FROM (SELECT e FROM at_view) v JOIN (SELECT 'a'::text AS t) x ON v.e = x.t;
CREATE VIEW at_union AS SELECT e FROM at_1 UNION ALL SELECT e FROM at_1;
CREATE MATERIALIZED VIEW at_mat AS SELECT e FROM at_view;
CREATE FUNCTION at_sql(text) RETURNS SETOF int LANGUAGE sql STABLE BEGIN ATOMIC SELECT id FROM at_1 WHERE e = $1; END;
ALTER TABLE at_1 ENABLE ROW LEVEL SECURITY;
CREATE POLICY at_policy ON at_1 USING (e <> 'nobody');
CREATE FUNCTION at_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER at_trigger BEFORE UPDATE OF e ON at_1 FOR EACH ROW WHEN (NEW.e IS DISTINCT FROM OLD.e) EXECUTE FUNCTION at_trigger();
ALTER TABLE at_1 ADD CHECK (length(e) < 20);
INSERT INTO at_1 SELECT i, 'v' || i, i, ARRAY['t' || i, NULL] FROM generate_series(1, 9) i;
UPDATE at_1 SET e = repeat('long', 3000) WHERE false;
REFRESH MATERIALIZED VIEW at_mat;
SELECT * FROM key_of WHERE "table"::text ~ '^at_(p|1|view|upper|union|mat)$' AND attname <> 'id' ORDER BY 1, 2;

ALTER TABLE at_p ATTACH PARTITION at_1 FOR VALUES FROM (0) TO (100);
SELECT * FROM key_of WHERE "table"::text ~ '^at_(p|1|view|upper|union|mat)$' AND attname <> 'id' ORDER BY 1, 2;
SELECT count(*), count(*) FILTER (WHERE e = 'v' || id AND n = id AND tags[1]::text = 't' || id) AS intact,
	count(*) FILTER (WHERE (pgseal.inspect(e)).key = 'public.at_p' AND (pgseal.inspect(n)).key = 'public.at_p'
		AND (pgseal.inspect(tags[1])).key = 'public.at_p') AS rekeyed FROM at_p;
SELECT DISTINCT (pgseal.inspect(e)).key FROM at_mat;
REFRESH MATERIALIZED VIEW at_mat;
SELECT DISTINCT (pgseal.inspect(e)).key FROM at_mat;
SET enable_seqscan = off;
SELECT scans($$SELECT id FROM at_1 WHERE e = 'v3'$$);
SELECT scans($$SELECT n FROM at_view WHERE e = 'v3'$$);
SELECT scans($$SELECT id FROM at_p WHERE n = 4$$);
RESET enable_seqscan;
SELECT id FROM at_1 WHERE e = 'v3';
SELECT n FROM at_view WHERE e = 'v3';
SELECT id FROM at_p WHERE e = 'v3';
SELECT id FROM at_p WHERE n = 4;
SELECT at_sql('v5');
INSERT INTO at_p VALUES (50, 'new', 50, '{x}');
INSERT INTO at_1 VALUES (51, 'direct', 51, '{x}');
UPDATE at_p SET e = 'changed' WHERE id = 50 RETURNING e;
SELECT DISTINCT (pgseal.inspect(e)).key FROM at_p;
INSERT INTO at_1 VALUES (52, repeat('x', 30), 1, NULL);
SELECT * FROM pgseal.verify_table('at_1');

-- a view may be replaced by one of another table
CREATE TABLE at_other (e encrypted_text, n encrypted_int4);
CREATE OR REPLACE VIEW at_view AS SELECT e, n FROM at_other;
SELECT * FROM key_of WHERE "table"::text ~ '^at_(view|upper|mat)$' ORDER BY 1, 2;
SELECT * FROM at_upper;
REFRESH MATERIALIZED VIEW at_mat;
CREATE OR REPLACE VIEW at_view AS SELECT e, n FROM at_1;

-- detached, and attached again
ALTER TABLE at_p DETACH PARTITION at_1;
ALTER TABLE at_1 ADD COLUMN later encrypted_text;
SELECT * FROM key_of WHERE "table" = 'at_1'::regclass AND attname = 'later';
ALTER TABLE at_1 DROP COLUMN later;
ALTER TABLE at_p ATTACH PARTITION at_1 FOR VALUES FROM (0) TO (100);
SELECT count(e::text) FROM at_p;
DROP TABLE at_p CASCADE;

-- generated tokens are made anew
CREATE TABLE at_g (id int, e encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(e)) STORED) PARTITION BY RANGE (id);
CREATE TABLE at_g1 (id int, e encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(e)) STORED UNIQUE);
INSERT INTO at_g1 VALUES (1, 'a'), (2, 'b');
ALTER TABLE at_g ATTACH PARTITION at_g1 DEFAULT;
SELECT id FROM at_g WHERE token = blind_index('b'::text, key => 'public.at_g');
SELECT bool_and(token = blind_index(e)) FROM at_g;
DROP TABLE at_g;

-- a set of partitions, and partitions of partitions, in any order
CREATE TABLE at_s (id int, sub int, e encrypted_text) PARTITION BY RANGE (id);
DO $$ BEGIN
	FOR i IN 1..55 LOOP
		EXECUTE format('CREATE TABLE at_s%s (id int, sub int, e encrypted_text) %s', i, CASE WHEN i % 11 = 0 THEN 'PARTITION BY LIST (sub)' ELSE '' END);
		IF i % 11 = 0 THEN
			EXECUTE format('CREATE TABLE at_s%s_a (id int, sub int, e encrypted_text)', i);
			EXECUTE format('INSERT INTO at_s%s_a VALUES (%s, 1, %L)', i, i, 'e' || i);
			IF i % 2 = 0 THEN EXECUTE format('ALTER TABLE at_s%s ATTACH PARTITION at_s%1$s_a FOR VALUES IN (1)', i); END IF;
		ELSE
			EXECUTE format('INSERT INTO at_s%s VALUES (%s, 1, %L)', i, i, 'e' || i);
		END IF;
	END LOOP;
	FOR i IN 1..55 LOOP
		EXECUTE format('ALTER TABLE at_s ATTACH PARTITION at_s%s FOR VALUES FROM (%1$s) TO (%s)', i, i + 1);
		IF i % 11 = 0 AND i % 2 = 1 THEN EXECUTE format('ALTER TABLE at_s%s ATTACH PARTITION at_s%1$s_a FOR VALUES IN (1)', i); END IF;
	END LOOP;
END $$;
SELECT count(*), count(*) FILTER (WHERE e = 'e' || id) AS intact, count(DISTINCT (pgseal.inspect(e)).key) AS keys FROM at_s;
SELECT format_type, count(*) FROM key_of WHERE "table"::text ~ '^at_s' AND attname = 'e' GROUP BY 1;
DROP TABLE at_s;

-- inheritance, also of more than one parent
CREATE TABLE at_a (id int, e encrypted_text);
CREATE TABLE at_b (id int, e encrypted_text);
CREATE TABLE at_c (id int, e encrypted_text);
CREATE TABLE at_d (id int, e encrypted_text);
INSERT INTO at_a VALUES (1, 'a');
INSERT INTO at_b VALUES (2, 'b');
INSERT INTO at_c VALUES (3, 'c');
INSERT INTO at_d VALUES (4, 'd');
ALTER TABLE at_c INHERIT at_a;
ALTER TABLE at_d INHERIT at_c;
ALTER TABLE at_c INHERIT at_b;
SELECT * FROM key_of WHERE "table"::text ~ '^at_[abcd]$' AND attname = 'e' ORDER BY 1;
SELECT 'a' AS of, id, e, (pgseal.inspect(e)).key FROM at_a UNION ALL SELECT 'b', id, e, (pgseal.inspect(e)).key FROM at_b ORDER BY 1, 2;
CREATE TABLE at_x (id int, e encrypted_text);
CREATE TABLE at_y (id int, e encrypted_text);
INSERT INTO at_y VALUES (1, 'y');
CREATE TABLE at_z (e encrypted_text) INHERITS (at_x, at_y);
INSERT INTO at_z VALUES (2, 'z');
SELECT id, e, (pgseal.inspect(e)).key FROM at_y ORDER BY 1;
ALTER TABLE at_z NO INHERIT at_x;
CREATE TABLE at_new (id int);
ALTER TABLE at_new ADD COLUMN e encrypted_text, INHERIT at_x;
-- a column that children have already
ALTER TABLE at_b ADD COLUMN more encrypted_text;
ALTER TABLE at_d ADD COLUMN late encrypted_text;
UPDATE at_d SET late = 'late';
SET client_min_messages = notice;
ALTER TABLE at_c ADD COLUMN late encrypted_text;
SET client_min_messages = warning;
SELECT id, late, (pgseal.inspect(late)).key FROM at_c ORDER BY 1;
DROP TABLE at_a, at_b, at_c, at_d, at_x, at_y, at_z, at_new;

-- typed tables
CREATE TYPE at_type AS (id int, e encrypted_text);
CREATE TABLE at_t (id int, e encrypted_text);
INSERT INTO at_t VALUES (1, 't');
ALTER TABLE at_t OF at_type;
SELECT e, (pgseal.inspect(e)).key FROM at_t;
ALTER TABLE at_t NOT OF;
DROP TABLE at_t;
DROP TYPE at_type;

-- a renamed table keeps its key, which is nobody's choice either
CREATE TABLE at_r (id int, e encrypted_text);
ALTER TABLE at_r RENAME TO at_r2;
ALTER TABLE at_r2 ADD COLUMN f encrypted_text;
SELECT * FROM key_of WHERE "table" = 'at_r2'::regclass AND attname <> 'id' ORDER BY 2;
CREATE TABLE at_rp (id int, e encrypted_text, f encrypted_text) PARTITION BY RANGE (id);
ALTER TABLE at_rp ATTACH PARTITION at_r2 DEFAULT;
-- columns that are added later get the table's own key, though others share it
CREATE TABLE at_like (LIKE at_rp);
CREATE TABLE at_ctas AS SELECT * FROM at_rp;
CREATE MATERIALIZED VIEW at_rm AS SELECT * FROM at_rp;
ALTER TABLE at_rp ADD COLUMN g encrypted_text;
SELECT * FROM key_of WHERE "table"::text IN ('at_rp', 'at_r2', 'at_like', 'at_ctas', 'at_rm') AND attname <> 'id' ORDER BY 1, 2;
ALTER TABLE at_rp DETACH PARTITION at_r2;
ALTER TABLE at_rp DROP COLUMN g;
ALTER TABLE at_rp ATTACH PARTITION at_like FOR VALUES FROM (0) TO (10);
DROP MATERIALIZED VIEW at_rm;
DROP TABLE at_rp, at_r2, at_ctas;

-- where rows lie by their tokens they would belong elsewhere
CREATE TABLE at_h (id int, e encrypted_text) PARTITION BY RANGE (id);
CREATE TABLE at_h1 (id int, e encrypted_text) PARTITION BY HASH (blind_index(e));
CREATE TABLE at_h10 PARTITION OF at_h1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE at_h11 PARTITION OF at_h1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO at_h1 SELECT i, 'h' || i FROM generate_series(1, 10) i;
ALTER TABLE at_h ATTACH PARTITION at_h1 DEFAULT;
DELETE FROM at_h1;
TRUNCATE at_h1;
ALTER TABLE at_h ATTACH PARTITION at_h1 DEFAULT;
INSERT INTO at_h SELECT i, 'h' || i FROM generate_series(1, 10) i;
SELECT count(*) FROM at_h WHERE e = 'h7';
DROP TABLE at_h;

-- keys that were named differ on purpose
CREATE TABLE at_n (id int, e encrypted_text('at_one')) PARTITION BY RANGE (id);
CREATE TABLE at_n1 (id int, e encrypted_text('at_two'));
CREATE TABLE at_n2 (id int, e encrypted_text);
\set VERBOSITY default
ALTER TABLE at_n ATTACH PARTITION at_n1 DEFAULT;
\set VERBOSITY terse
INSERT INTO at_n2 VALUES (1, 'x');
ALTER TABLE at_n ATTACH PARTITION at_n2 DEFAULT;
SELECT e, (pgseal.inspect(e)).key FROM at_n;
DROP TABLE at_n, at_n1;

-- values whose key was destroyed stay, and go back with the transaction
CREATE TABLE at_k (id int, e encrypted_text) PARTITION BY RANGE (id);
CREATE TABLE at_k1 (id int, e encrypted_text);
INSERT INTO at_k1 VALUES (1, 'kept'), (2, 'gone');
BEGIN;
ALTER TABLE at_k ATTACH PARTITION at_k1 DEFAULT;
SELECT (pgseal.inspect(e)).key FROM at_k;
ROLLBACK;
SELECT id, e, (pgseal.inspect(e)).key FROM at_k1;
SELECT pgseal.destroy_key('public.at_k1', 'public.at_k1', force => true);
INSERT INTO at_k1 VALUES (3, NULL);
ALTER TABLE at_k ATTACH PARTITION at_k1 DEFAULT;
SELECT id, pgseal.try_open(e) FROM at_k;
DROP TABLE at_k;

-- rows of the table that are stored elsewhere
CREATE TABLE at_v (id int, e encrypted_text) PARTITION BY RANGE (id);
CREATE TABLE at_v1 (id int, e encrypted_text);
CREATE TYPE at_holder AS (r at_v1);
CREATE DOMAIN at_vd AS at_v1;
CREATE TABLE at_v_rows (r at_v1, a at_v1[], h at_holder, d at_vd);
INSERT INTO at_v_rows VALUES (ROW(1, 'row'), ARRAY[ROW(2, 'array')::at_v1], ROW(ROW(3, 'nested')), ROW(4, 'domain'));
SELECT ((r).e)::text, ((a[1]).e)::text, (((h).r).e)::text, ((d).e)::text FROM at_v_rows;
ALTER TABLE at_v ATTACH PARTITION at_v1 DEFAULT;
SELECT ((r).e)::text, ((a[1]).e)::text, (((h).r).e)::text, ((d).e)::text FROM at_v_rows;
SELECT (pgseal.inspect((r).e)).key, (pgseal.inspect((a[1]).e)).key, (pgseal.inspect(((h).r).e)).key, (pgseal.inspect((d).e)).key FROM at_v_rows;
DROP TABLE at_v_rows;
DROP TYPE at_holder;
DROP DOMAIN at_vd;
DROP TABLE at_v;

-- who may not attach gets PostgreSQL's own error, and nothing is changed
CREATE ROLE at_role;
GRANT CREATE ON SCHEMA public TO at_role;
CREATE TABLE at_mine (id int, e encrypted_text) PARTITION BY RANGE (id);
SET ROLE at_role;
CREATE TABLE at_theirs (id int, e encrypted_text);
INSERT INTO at_theirs VALUES (1, 'x');
ALTER TABLE at_mine ATTACH PARTITION at_theirs DEFAULT;
ALTER TABLE at_theirs INHERIT at_mine;
ALTER TABLE at_mine ADD COLUMN f encrypted_text;
RESET ROLE;
ALTER TABLE at_mine OWNER TO at_role;
SET ROLE at_role;
-- takes no privilege to read
ALTER TABLE at_mine ATTACH PARTITION at_theirs DEFAULT;
SELECT e FROM at_mine;
RESET ROLE;
SELECT e, (pgseal.inspect(e)).key FROM at_mine;
DROP TABLE at_mine, at_other;

-- columns that have their types from elsewhere
CREATE TABLE at_q (id int, e encrypted_text) PARTITION BY RANGE (id);
CREATE TABLE at_q1 PARTITION OF at_q (id, e NOT NULL) FOR VALUES FROM (1) TO (9) PARTITION BY RANGE (e);
CREATE TABLE at_q1 PARTITION OF at_q (id, e NOT NULL) FOR VALUES FROM (1) TO (9) PARTITION BY RANGE (id);
CREATE TABLE at_q2 PARTITION OF at_q1 (e WITH OPTIONS DEFAULT 'x') DEFAULT;
INSERT INTO at_q2 VALUES (2);
SELECT tableoid::regclass, * FROM at_q;
CREATE TYPE at_type AS (id int, e encrypted_text);
CREATE TABLE at_typed OF at_type (id PRIMARY KEY, e NOT NULL) PARTITION BY RANGE (id);
DROP TABLE at_q, at_typed;
DROP TYPE at_type;
REVOKE CREATE ON SCHEMA public FROM at_role;
DROP ROLE at_role;
DROP FUNCTION at_trigger();
DROP VIEW key_of;
DROP FUNCTION scans(text);
