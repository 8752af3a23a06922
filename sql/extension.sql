--
-- The extension is dropped, made again and moved within one session, in a
-- database of its own.
--
SET client_min_messages = warning;
SELECT current_database() AS regression_db \gset
CREATE DATABASE pgseal_regress_ext;
\c pgseal_regress_ext
SET client_min_messages = warning;
-- before there is an extension, the hooks keep out of the way
CREATE TABLE plain (id int, v text);
INSERT INTO plain VALUES (1, 'x') RETURNING v;
CREATE TABLE nope (v encrypted_text);
CREATE EXTENSION pgseal;
-- rows of all its tables can be changed beside a publication FOR ALL TABLES
SELECT c.oid::regclass AS none FROM pg_class c WHERE relnamespace IN ('pgseal'::regnamespace, 'pgseal_internal'::regnamespace) AND relkind = 'r'
	AND relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary);
CREATE TABLE t (id int, v encrypted_text);
INSERT INTO t VALUES (1, 'first');
SELECT v FROM t;
PREPARE p AS SELECT v FROM t;
EXECUTE p;
\set VERBOSITY terse
DROP EXTENSION pgseal;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA pgseal CASCADE;
DROP SCHEMA pgseal_internal CASCADE;
DROP TYPE encrypted_text CASCADE;
DROP FUNCTION pgseal_internal.open(encrypted_text) CASCADE;
\set VERBOSITY default
SELECT v FROM t;
BEGIN;
DROP EXTENSION pgseal CASCADE;
SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v';
CREATE TABLE between_two (v text);
INSERT INTO between_two VALUES ('x') RETURNING v;
ROLLBACK;
SELECT v FROM t;
EXECUTE p;
INSERT INTO t VALUES (2, 'second');
-- for good, and again
DROP EXTENSION pgseal CASCADE;
SELECT * FROM t;
EXECUTE p;
SELECT to_regtype('encrypted_text') IS NULL AND to_regnamespace('pgseal') IS NULL AND to_regnamespace('pgseal_internal') IS NULL AS "nothing left";
SELECT count(*) AS servers FROM pg_foreign_server;
CREATE EXTENSION pgseal;
SELECT count(*) AS "no keys" FROM pgseal.keys;
ALTER TABLE t ADD v encrypted_text;
INSERT INTO t VALUES (3, 'third');
UPDATE t SET v = 'again' WHERE id < 3;
SELECT * FROM t ORDER BY id;
SELECT id FROM t WHERE v = 'third' ORDER BY v;
SELECT v, count(*) FROM t GROUP BY v ORDER BY v;
SELECT DISTINCT (pgseal.inspect(v)).key FROM t;
-- twice in a transaction
BEGIN;
DROP EXTENSION pgseal CASCADE;
CREATE EXTENSION pgseal;
CREATE TABLE u (v encrypted_int4);
INSERT INTO u VALUES (1), (2);
SELECT v FROM u ORDER BY v DESC;
COMMIT;
SELECT v, v + 1 AS w FROM u ORDER BY v;
DROP EXTENSION pgseal CASCADE;

-- in a schema where a type could be out of reach
CREATE SCHEMA ext;
CREATE EXTENSION pgseal SCHEMA ext;
CREATE EXTENSION pgseal SCHEMA pg_catalog;
-- what people list: nothing of it without a pattern, with one what docs/reference.md lists
\df
\dT
\do
\dT encrypted*
SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace ORDER BY 1;
-- nobody has USAGE on the rest, and nobody needs it
CREATE TABLE x (id int, v encrypted_text, n encrypted_int4('k'));
INSERT INTO x VALUES (1, 'a', 1), (2, 'b', 2), (3, 'a', 3);
CREATE ROLE pgseal_regress_anybody;
GRANT SELECT, INSERT ON x TO pgseal_regress_anybody;
GRANT USAGE ON FOREIGN SERVER local_keyring TO pgseal_regress_anybody;
SET ROLE pgseal_regress_anybody;
SET search_path = '';
SELECT pgseal_internal.open(v) FROM public.x;
SELECT v, n FROM public.x ORDER BY v, n;
SELECT v, count(*) FROM public.x GROUP BY v ORDER BY v;
SELECT id FROM public.x WHERE v = 'a' AND n > 1;
SELECT v || '!' AS v, n + 1 AS n, concat(v, n), to_hex(n), sum(n) OVER () FROM public.x WHERE id = 1;
SELECT row_to_json(x) FROM public.x WHERE id = 1;
INSERT INTO public.x VALUES (4, 'd', 4) RETURNING v, n;
RESET search_path;
RESET ROLE;
DROP OWNED BY pgseal_regress_anybody;
DROP ROLE pgseal_regress_anybody;

-- a copy of the database has the keys of its template
\c :regression_db
CREATE DATABASE pgseal_regress_ext2 TEMPLATE pgseal_regress_ext;
\c pgseal_regress_ext2
SELECT v, n FROM x ORDER BY id;
INSERT INTO x VALUES (5, 'e', 5) RETURNING v;
\c :regression_db
DROP DATABASE pgseal_regress_ext2;
DROP DATABASE pgseal_regress_ext;
