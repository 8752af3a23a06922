-- DDL touches nothing that plain DDL would leave alone
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE ddl_guest IN ROLE pg_read_server_files;
CREATE FUNCTION ddl_try(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE query; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE TABLE ddl_arrays (a encrypted_text[]);
CREATE TABLE ddl_before AS SELECT sum(calls) FROM pgseal.stat_kms WHERE operation IN ('generate', 'wrap');

-- IF NOT EXISTS of a table that is there: no error for a guest, no lock for the owner
GRANT CREATE ON SCHEMA public TO ddl_guest;
SET ROLE ddl_guest;
SELECT ddl_try('CREATE TABLE IF NOT EXISTS ddl_arrays (a encrypted_text[])');
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM ddl_guest;
SET ROLE ddl_guest;
SELECT ddl_try('CREATE TABLE ddl_new (a encrypted_text)');
SELECT ddl_try('CREATE TABLE ddl_new AS SELECT ''x''::encrypted_text AS a');
SELECT ddl_try('CREATE TYPE ddl_type AS (a encrypted_text)');
SELECT ddl_try('CREATE DOMAIN ddl_domain AS encrypted_text');
SELECT ddl_try('ALTER TABLE ddl_arrays ADD COLUMN b encrypted_text, ADD COLUMN c encrypted_text(''ddl_other'')');
SELECT ddl_try('ALTER TABLE ddl_arrays ALTER COLUMN a TYPE text[]');
RESET ROLE;
SELECT ddl_try('CREATE TABLE nosuch.ddl_new (a encrypted_text)');
SELECT ddl_try('CREATE TABLE ddl_arrays (a encrypted_text)');
BEGIN;
CREATE TABLE IF NOT EXISTS ddl_arrays (a encrypted_text[]);
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'ddl_arrays'::regclass AND mode <> 'AccessShareLock';
COMMIT;
SELECT sum(calls) = (SELECT sum FROM ddl_before) AS no_kms_call FROM pgseal.stat_kms WHERE operation IN ('generate', 'wrap');
SELECT name FROM pgseal.keys WHERE name ~ 'ddl' ORDER BY 1;

-- COPY ... WHERE of other columns takes no privilege to read
CREATE TABLE ddl_copy (id int, a encrypted_text);
GRANT INSERT, SELECT ON ddl_copy TO ddl_guest;
SET ROLE ddl_guest;
COPY ddl_copy (id, a) FROM STDIN WHERE id > 1;
1	one
2	two
\.
SELECT ddl_try('COPY ddl_copy (id, a) FROM ''/dev/null'' WHERE blind_index(a) IS NOT NULL');
SELECT ddl_try('COPY ddl_copy (id, a) FROM ''/dev/null'' WHERE ddl_copy IS NOT NULL');
RESET ROLE;
SELECT * FROM ddl_copy;
DROP TABLE ddl_copy;

-- a temporary table of the same name isn't taken for the one that is made
CREATE TEMP TABLE ddl_shadow (id int);
CREATE TABLE public.ddl_shadow (a encrypted_text) PARTITION BY RANGE (a);
CREATE TABLE public.ddl_shadow (a encrypted_text[]);
SELECT coalesce(nullif(to_jsonb(p)->>'attstattarget', ''), '-1') FROM pg_attribute p WHERE attrelid = 'public.ddl_shadow'::regclass AND attname = 'a';
DROP TABLE pg_temp.ddl_shadow, public.ddl_shadow;

DROP TABLE ddl_arrays, ddl_before;
DROP FUNCTION ddl_try(text);
DROP ROLE ddl_guest;
