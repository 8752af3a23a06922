-- A token of a literal beside one of a column is the column's.
CREATE SCHEMA compared;
SET search_path = compared, public;
CREATE TABLE t (id int, c encrypted_text, n encrypted_int4('compared_n'), token bytea GENERATED ALWAYS AS (blind_index(c)) STORED);
INSERT INTO t VALUES (1, 'a', 10), (2, 'B', 20), (3, NULL, NULL);
CREATE INDEX ON t (blind_index(c));
CREATE INDEX ON t (blind_index(c, 'lower'));
CREATE INDEX ON t (token);
SET enable_seqscan = off;
SELECT id, c FROM t WHERE blind_index(c) = blind_index('a');
SELECT id, c FROM t WHERE blind_index('B') = blind_index(c);
SELECT id, c FROM t WHERE token = blind_index('a');
SELECT id, c FROM t WHERE token <> blind_index('a');
SELECT id, n FROM t WHERE blind_index(n) = blind_index(20::encrypted_int4);
SELECT id, c FROM t WHERE blind_index(c, 'lower') = blind_index('b'::encrypted_text, 'lower');
SELECT id, c FROM t WHERE blind_index(c, bits => 16) = blind_index(bits => 16, value => 'B');
SELECT id, blind_index(c) = blind_index('a') AS "a", token = blind_index('B') AS "b" FROM t ORDER BY id;
SELECT id FROM t o WHERE EXISTS (SELECT 1 FROM t WHERE blind_index(o.c) = blind_index('a'));
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE line text; BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP RETURN NEXT regexp_replace(line, 'tokens?\(.*\)', 'token(...)'); END LOOP; END $$;
SELECT plan('SELECT id, c FROM t WHERE blind_index(c) = blind_index(''a'')');
PREPARE p (text) AS SELECT id FROM t WHERE token = blind_index($1::encrypted_text);
SET plan_cache_mode = force_generic_plan;
EXECUTE p ('B');
CREATE VIEW v AS SELECT id FROM t WHERE blind_index(c) = blind_index('a');
SELECT * FROM v;
SELECT pg_get_viewdef('v'::regclass) LIKE '%blind_index(%) = blind_index(%' AS "as it was written";
-- what has a key of its own keeps it
SELECT count(*) FROM t a, t b WHERE blind_index(a.c) = blind_index(b.c);
SELECT count(*) FROM t WHERE blind_index(c) = blind_index('a'::encrypted_text('compared_n'));
SELECT blind_index('a') = blind_index('a') AS "two literals";
-- two keys
CREATE TABLE u (c encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(c)) STORED);
INSERT INTO u VALUES ('a');
SELECT count(*) FROM t JOIN u ON blind_index(t.c) = blind_index(u.c);
SELECT count(*) FROM t JOIN u USING (token);
SELECT count(*) FROM t WHERE EXISTS (SELECT FROM u WHERE u.token = t.token);
SELECT count(*) FROM t WHERE EXISTS (SELECT FROM (SELECT 1) s WHERE EXISTS (SELECT FROM u WHERE blind_index(u.c) = t.token));
SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE t.token = blind_index('B'));
SELECT count(*) FROM t JOIN u USING (c);
-- while the index key is replaced
SELECT pgseal.rotate_index_key('compared.t');
SELECT id, c FROM t WHERE token = blind_index('a');
SELECT id, c FROM t WHERE blind_index(c) = blind_index('B');
EXECUTE p ('B');
-- who may not
CREATE ROLE compared_guesser;
GRANT USAGE ON SCHEMA compared TO compared_guesser;
GRANT SELECT ON t TO compared_guesser;
SET ROLE compared_guesser;
SELECT id FROM t WHERE token = blind_index('a');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA compared CASCADE;
DROP ROLE compared_guesser;
