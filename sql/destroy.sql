SET pgseal.sealed_input = on;
-- Destroying keys: says what is lost, asks twice, and is final
\set VERBOSITY default
SET client_min_messages = notice;

SELECT pgseal.create_key('destroy_k');
CREATE TABLE destroy_t (id int, v encrypted_text('destroy_k'), "Any" encrypted_int4('*'));
INSERT INTO destroy_t SELECT i, 'v' || i, pgseal.seal(i, 'destroy_k') FROM generate_series(1, 3) i;
INSERT INTO destroy_t VALUES (4, NULL, pgseal.seal(4, 'destroy_other'));
SELECT pgseal.create_key('destroy_other');
INSERT INTO destroy_t VALUES (4, NULL, pgseal.seal(4, 'destroy_other'));
PREPARE open AS SELECT id, v, "Any" FROM destroy_t WHERE id < 4 ORDER BY id;
EXECUTE open;

SELECT pgseal.destroy_key('destroy_k', 'destroy');
SELECT pgseal.destroy_key('destroy_none', 'destroy_none');
SELECT pgseal.destroy_key('destroy_k', 'destroy_k');
EXECUTE open;

-- rolled back: nothing happened
BEGIN;
SELECT pgseal.destroy_key('destroy_k', 'destroy_k', force => true);
SAVEPOINT s;
EXECUTE open;
ROLLBACK TO s;
ROLLBACK;
EXECUTE open;

SELECT pgseal.destroy_key('destroy_k', 'destroy_k', force => true);
EXECUTE open;
SELECT id, pgseal.try_open(v) AS v, pgseal.try_open("Any") AS "Any" FROM destroy_t ORDER BY id;
INSERT INTO destroy_t (v) VALUES ('new');
SELECT pgseal.rotate_key('destroy_k');
SELECT pgseal.destroy_key('destroy_k', 'destroy_k', force => true);
SELECT pgseal.create_key('destroy_k');
SELECT key, purpose, version, destroyed IS NOT NULL AS destroyed FROM pgseal.key_versions
	WHERE key LIKE 'destroy%' ORDER BY 1, 2;
SELECT wrapped FROM pgseal.key_version WHERE key = 'destroy_k';
SELECT event, key, detail FROM pgseal.events WHERE key = 'destroy_k' ORDER BY at;
SELECT * FROM pgseal.verify_table('destroy_t');
SELECT object, status, detail FROM pgseal.check() WHERE object LIKE '%destroy%' ORDER BY 1, 2;

-- Constants in the schema count
SELECT pgseal.create_key('destroy_const');
DO $$ BEGIN
	EXECUTE format('CREATE FUNCTION destroy_f() RETURNS text LANGUAGE sql AS $f$ SELECT %L::encrypted_text(''*'')::text $f$',
		(SELECT textin(pgseal_internal.encrypted_text_out(pgseal.seal('c'::text, 'destroy_const')))));
	EXECUTE format('CREATE VIEW destroy_v AS SELECT %L::encrypted_text(''*'') AS c',
		(SELECT textin(pgseal_internal.encrypted_text_out(pgseal.seal('c'::text, 'destroy_const')))));
END $$;
SELECT pgseal.destroy_key('destroy_const', 'destroy_const');
DROP VIEW destroy_v;
DROP FUNCTION destroy_f;
SELECT pgseal.destroy_key('destroy_const', 'destroy_const');

DROP TABLE destroy_t;

-- what all literals, and all temporary tables, need
SELECT pgseal.destroy_key('default', 'default', force => true);
SELECT pgseal.destroy_key('pg_temp', 'pg_temp', force => true);

-- a table's own key: the next table of that name, and the next column, get another
CREATE TABLE destroy_own (v encrypted_text);
INSERT INTO destroy_own VALUES ('x');
SELECT pgseal.destroy_key(key, key, force => true) FROM pgseal.columns WHERE "table" = 'destroy_own'::regclass;
INSERT INTO destroy_own VALUES ('x');
ALTER TABLE destroy_own ADD w encrypted_text DEFAULT 'w';
SELECT w, pgseal.try_open(v) AS v FROM destroy_own;
DROP TABLE destroy_own;
CREATE TABLE destroy_own (v encrypted_text);
INSERT INTO destroy_own VALUES ('x') RETURNING v;
