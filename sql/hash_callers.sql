-- Who only writes keeps hash partitions and hash indexes up, and learns no hash
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE hc_writer;
GRANT CREATE ON SCHEMA public TO hc_writer;
CREATE TABLE hc (id int, v encrypted_text, w encrypted_int4('hc_w')) PARTITION BY HASH (v);
CREATE TABLE hc0 PARTITION OF hc FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY HASH (w);
CREATE TABLE hc00 PARTITION OF hc0 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE hc1 PARTITION OF hc FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX hc_v ON hc USING hash (v);
GRANT SELECT, INSERT, UPDATE ON hc, hc0, hc00, hc1 TO hc_writer;
INSERT INTO hc SELECT i, 'v' || i, i FROM generate_series(1, 40) i;
CREATE FUNCTION hc_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;

-- into each partition, only what belongs there
CREATE FUNCTION hc_try(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE query; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SET ROLE hc_writer;
UPDATE hc SET w = w WHERE id <= 20;
UPDATE hc SET v = 'moved' || id WHERE id <= 20;
INSERT INTO hc VALUES (100, 'routed', 1);
WITH x AS (INSERT INTO hc1 SELECT id, v, w FROM hc1 RETURNING 1) SELECT count(*) > 0 AS into_partition FROM x;
WITH x AS (INSERT INTO hc00 SELECT id, v, w FROM hc00 RETURNING 1) SELECT count(*) > 0 AS into_nested FROM x;
SELECT hc_try('INSERT INTO hc1 SELECT id, v, w FROM hc00');
SELECT hc_try('UPDATE hc1 SET v = ''other'' || id');
MERGE INTO hc USING (SELECT 100 AS n) s ON id = s.n WHEN MATCHED THEN UPDATE SET v = 'merged';
-- COPY, whose executor nobody tells us
RESET ROLE;
GRANT pg_read_server_files TO hc_writer;
\getenv dir PG_ABS_BUILDDIR
\set hc1 :dir '/results/hc1.data'
\set hc00 :dir '/results/hc00.data'
COPY hc1 TO :'hc1';
COPY hc00 TO :'hc00';
SET ROLE hc_writer;
BEGIN;
COPY hc FROM :'hc1';
COPY hc1 FROM :'hc1';
COPY hc00 FROM :'hc00';
SELECT count(*) > 40 AS "copied" FROM hc;
ROLLBACK;
COPY hc00 FROM :'hc1';
-- conditions of others
COPY hc1 FROM :'hc1' WHERE satisfies_hash_partition('hc'::regclass, 2, 1, v);
RESET ROLE;
CREATE TRIGGER hc_note BEFORE INSERT ON hc1 FOR EACH ROW WHEN (satisfies_hash_partition('hc'::regclass, 2, 1, NEW.v)) EXECUTE FUNCTION hc_note();
SET ROLE hc_writer;
COPY hc1 FROM :'hc1';
RESET ROLE;
DROP TRIGGER hc_note ON hc1;
SET ROLE hc_writer;
RESET ROLE;
CREATE TRIGGER hc_note BEFORE INSERT OR UPDATE ON hc FOR EACH ROW EXECUTE FUNCTION hc_note();
SET ROLE hc_writer;
UPDATE hc SET v = 'again' || id WHERE id <= 20;
INSERT INTO hc VALUES (101, 'with trigger', 1);
RESET ROLE;
-- known by their contexts still when they have another name
ALTER TABLE hc RENAME TO hc_renamed;
ALTER TABLE hc1 RENAME TO hc1_renamed;
ALTER INDEX hc_v RENAME TO hc_v_renamed;
ALTER INDEX hc1_v_idx RENAME TO hc1_v_renamed;
SET ROLE hc_writer;
UPDATE hc_renamed SET v = 'renamed' || id WHERE id <= 20;
INSERT INTO hc_renamed VALUES (102, 'after', 1);
RESET ROLE;
\c
SET client_min_messages = warning;
SET ROLE hc_writer;
UPDATE hc_renamed SET v = 'anew' || id WHERE id <= 20;
RESET ROLE;
ALTER TABLE hc_renamed RENAME TO hc;
SELECT count(*) FROM hc WHERE v = 'anew7';
SELECT "column", broken FROM pgseal.verify_table('hc1_renamed');

-- calls that somebody has written, in whatever guise
SET ROLE hc_writer;
SET check_function_bodies = off;
CREATE FUNCTION hc_inlined(e encrypted_text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT satisfies_hash_partition('hc'::regclass, 1009, 5, e) $$;
CREATE FUNCTION hc_standard(e encrypted_text) RETURNS bool LANGUAGE sql RETURN satisfies_hash_partition('hc'::regclass, 1009, 5, e);
CREATE FUNCTION hc_plpgsql(e encrypted_text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN satisfies_hash_partition('hc'::regclass, 1009, 5, e); END $$;
CREATE TABLE hc_mine (v encrypted_text, CHECK (hc_inlined(v)));
CREATE DOMAIN hc_domain AS encrypted_text CHECK (hc_inlined(VALUE));
CREATE TABLE hc_query (query text);
INSERT INTO hc_query VALUES
	('SELECT satisfies_hash_partition(''hc''::regclass, 1009, 5, v) FROM hc'),
	('SELECT hc_inlined(v) FROM hc'),
	('SELECT hc_standard(v) FROM hc'),
	('SELECT hc_plpgsql(v) FROM hc'),
	('SELECT id FROM hc WHERE hc_standard(v)'),
	('INSERT INTO hc_mine SELECT v FROM hc'),
	('INSERT INTO hc (id, v, w) SELECT id, v, w FROM hc WHERE hc_inlined(v)'),
	('UPDATE hc SET id = id WHERE hc_standard(v)'),
	('UPDATE hc SET id = CASE WHEN hc_plpgsql(v) THEN id ELSE -id END'),
	('INSERT INTO hc (id, v, w) SELECT id, v::hc_domain, w FROM hc'),
	('SELECT hash_array_extended(array_agg(v), 7) FROM hc'),
	('SELECT hash_record_extended(row(v), 7) FROM hc'),
	('SELECT hash_array(array_agg(v)) FROM hc'),
	('SELECT DISTINCT v FROM hc'),
	('SELECT count(*) FROM hc GROUP BY v'),
	('SELECT 1 FROM hc a JOIN hc b USING (v)');
SELECT query, hc_try(query) FROM hc_query;
RESET ROLE;
DROP TABLE hc, hc_mine, hc_query CASCADE;
DROP DOMAIN hc_domain;
DROP FUNCTION hc_inlined, hc_plpgsql, hc_note, hc_try;
REVOKE CREATE ON SCHEMA public FROM hc_writer;
DROP ROLE hc_writer;
