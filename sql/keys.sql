SET pgseal.sealed_input = on;
--
-- Keys: made by DDL, rolled back, renamed, dropped, made again.
--
SET client_min_messages = warning;
CREATE SCHEMA keys;
SET search_path = keys, public;
CREATE VIEW k AS SELECT name, server, current_version FROM pgseal.keys WHERE name LIKE 'keys%' OR name LIKE '%keys.%' OR name = 'default';
CREATE FUNCTION key_of(rel text, col text) RETURNS text LANGUAGE SQL AS
	'SELECT pgseal_internal.key_name(atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2';

-- made with the first encrypted column
SELECT count(*) AS "none yet" FROM k WHERE name <> 'default';
CREATE TABLE plain (v text);
SELECT count(*) AS "still none" FROM k WHERE name <> 'default';
CREATE TABLE t (v encrypted_text, n encrypted_int4, o encrypted_text('keys_other'));
SELECT name, server, current_version FROM k ORDER BY 1;
INSERT INTO t VALUES ('a', 1, 'o');
SELECT name, server, current_version FROM k ORDER BY 1;
SELECT key, version, purpose, server FROM pgseal.key_versions WHERE key LIKE 'keys%' ORDER BY 1, 3;
SELECT DISTINCT event, key FROM pgseal.event WHERE key LIKE 'keys%' ORDER BY 2;
CREATE TABLE IF NOT EXISTS t (v encrypted_text('keys_never'));
SELECT count(*) AS "IF NOT EXISTS makes none" FROM pgseal_internal.declared_key WHERE name = 'keys_never';

-- names that need quotes; long ones
CREATE TABLE "T a" (v encrypted_text, w encrypted_text('It''s "one" \ key'), x encrypted_text("Quoted"), y encrypted_text(keys_plain), z encrypted_text(5));
INSERT INTO "T a" VALUES ('v', 'w', 'x', 'y', 'z');
SELECT attname, format_type(atttypid, atttypmod), key_of('"T a"', attname) FROM pg_attribute WHERE attrelid = '"T a"'::regclass AND attnum > 0 ORDER BY attnum;
SELECT v, w, x, y, z FROM "T a";
SELECT format('CREATE TABLE copy_of (%s)', string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ')) AS ddl
	FROM pg_attribute WHERE attrelid = '"T a"'::regclass AND attnum > 0 \gset
:ddl;
SELECT bool_and(a.atttypmod = b.atttypmod) AS "same types" FROM pg_attribute a, pg_attribute b
	WHERE a.attrelid = '"T a"'::regclass AND b.attrelid = 'copy_of'::regclass AND a.attname = b.attname AND a.attnum > 0;
SELECT repeat('"', 63) AS quotes \gset
CREATE TABLE :"quotes" (v encrypted_text);
SELECT length(key_of(quote_ident(:'quotes'), 'v'));

-- a transaction that made a key is rolled back
BEGIN;
CREATE TABLE r (v encrypted_text, w encrypted_text('keys_r'));
INSERT INTO r VALUES ('x', 'y');
SELECT v, w FROM r;
ROLLBACK;
SELECT count(*) AS "gone" FROM k WHERE name IN ('keys.r', 'keys_r');
CREATE TABLE r (v encrypted_text, w encrypted_text('keys_r'));
INSERT INTO r VALUES ('x', 'y');
SELECT v, w, (pgseal.inspect(w)).key FROM r;
BEGIN;
SAVEPOINT s;
CREATE TABLE sp (v encrypted_text('keys_sp'));
INSERT INTO sp VALUES ('lost');
ROLLBACK TO s;
CREATE TABLE sp (v encrypted_text('keys_sp'));
INSERT INTO sp VALUES ('kept');
SAVEPOINT s2;
SELECT pgseal.rotate_key('keys_sp');
INSERT INTO sp VALUES ('lost too');
ROLLBACK TO s2;
INSERT INTO sp VALUES ('kept too');
COMMIT;
SELECT v, (pgseal.inspect(v)).version, (pgseal.inspect(v)).current FROM sp ORDER BY v;
DO $$
BEGIN
	BEGIN
		CREATE TABLE keys.ex (v encrypted_text('keys_ex'));
		INSERT INTO keys.ex VALUES ('x');
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	CREATE TABLE keys.ex (v encrypted_text('keys_ex'));
	INSERT INTO keys.ex VALUES ('y');
END $$;
SELECT v FROM ex;

-- rotation: new values under the new version, old ones still open
CREATE TABLE rot (id int, v encrypted_text('keys_rot'));
INSERT INTO rot VALUES (1, 'one');
SELECT pgseal.rotate_key('keys_rot');
INSERT INTO rot VALUES (2, 'two');
UPDATE rot SET v = v WHERE id = 1;
SELECT id, v, (pgseal.inspect(v)).version, (pgseal.inspect(v)).current FROM rot ORDER BY id;
UPDATE rot SET v = v || '' WHERE id = 1;
SELECT pgseal.rotate_key('keys_rot'), pgseal.rotate_key('keys_rot');
INSERT INTO rot VALUES (3, 'three');
SELECT id, v, (pgseal.inspect(v)).version, (pgseal.inspect(v)).current FROM rot ORDER BY id;
SELECT a.id, b.id FROM rot a JOIN rot b ON a.v = b.v ORDER BY 1;
CREATE INDEX ON rot USING hash (v);
SELECT pgseal.rotate_key('default') > 1 AS "default rotates, too";
SET enable_seqscan = off;
SELECT id FROM rot WHERE v = 'two';
RESET enable_seqscan;
PREPARE lit AS SELECT id FROM rot WHERE v = 'three';
EXECUTE lit;
SELECT pgseal.rotate_key('default') > 1 AS "while a plan holds a literal";
EXECUTE lit;
DEALLOCATE lit;

-- DROP and re-creation under the same name: the same key, so an old dump still opens
SELECT pgseal_internal.encrypted_text_out(v) AS sealed FROM r \gset
DROP TABLE r;
SELECT name FROM k WHERE name = 'keys.r';
CREATE TABLE r (v encrypted_text);
INSERT INTO r VALUES (:'sealed'), ('new');
SELECT v, (pgseal.inspect(v)).key FROM r ORDER BY v;

-- RENAME: the column keeps its key, whatever the table's name is; a new table of the old name gets another
ALTER TABLE r RENAME TO r2;
ALTER TABLE r2 RENAME v TO v2;
INSERT INTO r2 VALUES ('after rename');
SELECT v2, (pgseal.inspect(v2)).key FROM r2 ORDER BY 1;
CREATE TABLE r (v encrypted_text);
INSERT INTO r VALUES ('other table');
SELECT key_of('r', 'v'), key_of('r2', 'v2');
ALTER TABLE r2 ADD w encrypted_text;
SELECT key_of('r2', 'w') AS "the key that the table has";
ALTER SCHEMA keys RENAME TO keys_renamed;
SET search_path = keys_renamed, public;
INSERT INTO r2 VALUES ('after schema rename', 'w');
SELECT v2, w FROM r2 WHERE w IS NOT NULL;
CREATE SCHEMA keys;
CREATE TABLE keys.r2 (v encrypted_text);
SELECT key_of('keys.r2', 'v') <> key_of('r2', 'w') AS "not the key of another table";
DROP SCHEMA keys CASCADE;
ALTER SCHEMA keys_renamed RENAME TO keys;
SET search_path = keys, public;

-- a declared name: no material until the first seal
CREATE TABLE decl (v encrypted_text('keys_declared'));
SELECT count(*) AS "not yet" FROM k WHERE name = 'keys_declared';
BEGIN READ ONLY;
SELECT 'x'::encrypted_text('keys_declared');
ROLLBACK;
INSERT INTO decl VALUES ('x');
SELECT count(*) AS "now" FROM k WHERE name = 'keys_declared';
SELECT v FROM decl;

-- two names of one hash
SELECT pgseal.create_key('keys-collision-48178');
SELECT pgseal.create_key('keys-collision-65931');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE coll (v encrypted_text('keys-collision-65931'));
CREATE TABLE coll (v encrypted_text('keys-collision-48178'));
INSERT INTO coll VALUES ('x');
SELECT pgseal.seal('x'::text, 'keys-collision-65931');
SELECT pgseal.rotate_key('keys-collision-65931');

-- servers
CREATE SERVER keys_srv FOREIGN DATA WRAPPER local_keyring;
SELECT pgseal.create_key('keys_on_srv', server => 'keys_srv');
CREATE TABLE onsrv (v encrypted_text('keys_on_srv'));
INSERT INTO onsrv VALUES ('x');
DROP SERVER keys_srv;
\echo :LAST_ERROR_SQLSTATE
DROP SERVER keys_srv CASCADE;
ALTER SERVER keys_srv RENAME TO keys_srv2;
INSERT INTO onsrv VALUES ('y');
SELECT v FROM onsrv ORDER BY v;
SELECT name, server FROM k WHERE name = 'keys_on_srv';
SELECT DISTINCT server FROM pgseal.key_versions WHERE key = 'keys_on_srv';
BEGIN;
ALTER SERVER keys_srv2 RENAME TO keys_srv3;
SELECT v FROM onsrv ORDER BY v LIMIT 1;
ROLLBACK;
SELECT v FROM onsrv ORDER BY v LIMIT 1;
CREATE SERVER keys_unused FOREIGN DATA WRAPPER local_keyring;
DROP SERVER keys_unused;
SET pgseal.default_server = 'keys_srv2';
CREATE TABLE default_server (v encrypted_text);
SELECT server FROM pgseal.keys WHERE name = 'keys.default_server';
RESET pgseal.default_server;

SET client_min_messages = error;
DROP SCHEMA keys CASCADE;
