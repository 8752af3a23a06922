--
-- The ledger of a signed table: rows that are missing, or were put back.
--
SET client_min_messages = warning;
CREATE SCHEMA signed_ledger;
SET search_path = signed_ledger, public;

-- What somebody does who writes to the disk: no trigger, no verifying
CREATE FUNCTION behind(tab regclass, command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', tab);
	SET LOCAL pgseal.verify_rows = off;
	EXECUTE command;
	SET LOCAL pgseal.verify_rows = on;
	EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', tab);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz_pgseal_sign', tab);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz_pgseal_record', tab);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz_pgseal_record_truncate', tab);
END $$;
CREATE FUNCTION state(tab regclass, OUT text) LANGUAGE sql AS $$
	SELECT "rows" || ' rows, ' || ledger_status FROM pgseal.verify_table($1, ledger => true) WHERE ledger_status IS NOT NULL $$;
-- Records of all ledgers, of these kinds
CREATE FUNCTION records(kinds text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM pgseal.ledger WHERE strpos($1, kind::text) > 0 $$;

CREATE TABLE t (id int PRIMARY KEY, v text, secret encrypted_text, note text);
INSERT INTO t SELECT i, 'v' || i, 's' || i FROM generate_series(1, 20) i;
SELECT pgseal.sign_table('t', columns => '{id,v,secret}', ledger => true);
SELECT tgname, tgenabled, pg_get_triggerdef(oid) ~ '\d{10}' AS "has a number" FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1;
SELECT state('t');
SELECT "column", sealed, broken, "rows", unsigned, bad, old_definition, ledger_status FROM pgseal.verify_table('t', ledger => true);
SELECT "column", "rows", ledger_status FROM pgseal.verify_table('t');

-- all that writes
INSERT INTO t VALUES (21, 'new', 'x');
UPDATE t SET v = 'changed' WHERE id < 5;
UPDATE t SET note = 'not signed';
UPDATE t SET secret = 'changed' WHERE id < 3;
DELETE FROM t WHERE id = 20;
SELECT state('t');
INSERT INTO t VALUES (1, 'x'), (22, 'x') ON CONFLICT (id) DO NOTHING;
INSERT INTO t VALUES (1, 'x'), (23, 'x') ON CONFLICT (id) DO UPDATE SET v = 'upsert';
MERGE INTO t USING (VALUES (1), (2), (24)) w (i) ON id = i
	WHEN MATCHED AND i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merge' WHEN NOT MATCHED THEN INSERT VALUES (i, 'merge');
COPY t (id, v) FROM stdin;
25	copy
26	copy
\.
SELECT state('t');
WITH gone AS (DELETE FROM t WHERE id = 26 RETURNING id) INSERT INTO t SELECT id + 1, 'moved' FROM gone;
SELECT state('t');

-- within a transaction, with subtransactions
BEGIN;
INSERT INTO t VALUES (30, 'a');
SELECT state('t');
SAVEPOINT s;
INSERT INTO t VALUES (31, 'b');
DELETE FROM t WHERE id = 30;
SELECT state('t');
SAVEPOINT s2;
UPDATE t SET v = 'deep';
RELEASE s2;
SELECT state('t');
ROLLBACK TO s;
SELECT state('t');
INSERT INTO t VALUES (32, 'c');
SAVEPOINT s3;
UPDATE t SET v = 'released' WHERE id = 32;
RELEASE s3;
COMMIT;
SELECT state('t');
DO $$ BEGIN
	FOR i IN 40..45 LOOP
		BEGIN
			INSERT INTO t VALUES (i, 'loop');
			IF i % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END $$;
SELECT state('t');
BEGIN;
DELETE FROM t;
ROLLBACK;
SELECT state('t');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) > 0 FROM t;
INSERT INTO t VALUES (53, 'x');
SELECT state('t');
COMMIT;

-- a deleted row, an old row that was put back, a row twice
CREATE TABLE kept AS SELECT * FROM t WHERE id = 5;
UPDATE t SET v = 'newer' WHERE id = 5;
BEGIN;
SELECT behind('t', 'DELETE FROM t WHERE id = 7');
SELECT count(*) FROM t WHERE id = 7;
SELECT state('t'), (SELECT count(*) FROM pgseal.tampered_rows('t')) AS tampered;
ROLLBACK;
BEGIN;
SELECT behind('t', $$UPDATE t SET v = kept.v, signature = kept.signature FROM kept WHERE t.id = 5 AND kept.id = 5$$);
SELECT v FROM t WHERE id = 5;
SELECT state('t'), (SELECT count(*) FROM pgseal.tampered_rows('t')) AS tampered;
ROLLBACK;
BEGIN;
SELECT behind('t', 'ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t (id, v, secret, signature) SELECT id, v, secret, signature FROM t WHERE id = 5');
SELECT state('t'), (SELECT count(*) FROM pgseal.tampered_rows('t')) AS tampered;
ROLLBACK;
BEGIN;
SELECT behind('t', 'UPDATE t SET signature = NULL WHERE id = 5');
SELECT state('t'), (SELECT count(*) FROM pgseal.tampered_rows('t')) AS tampered;
ROLLBACK;
BEGIN;
SELECT behind('t', 'TRUNCATE t');
SELECT state('t');
ROLLBACK;
SELECT state('t');

-- the ledger itself (its records: test/t/attack/signed_disk.pl)
DELETE FROM pgseal.ledger;
UPDATE pgseal.ledger SET number = 0;
TRUNCATE pgseal.ledger;
SELECT (pgseal.ledger_digest('t')).rows;
SELECT records('d') AS digests, state('t');

-- digests
SELECT pgseal.ledger_digest('t') AS digest \gset
SELECT (:'digest'::pgseal.digest).number, (:'digest'::pgseal.digest).rows, (:'digest'::pgseal.digest).lsn <= pg_current_wal_insert_lsn() AS lsn, length((:'digest'::pgseal.digest).hash) AS hash, length((:'digest'::pgseal.digest).hmac) AS hmac;
CREATE FUNCTION since(tab regclass, digest pgseal.digest) RETURNS text LANGUAGE sql AS $$
	SELECT ledger_status FROM pgseal.verify_table($1, digest => $2) WHERE ledger_status IS NOT NULL $$;
SELECT since('t', :'digest');
CREATE TABLE before_rows AS SELECT * FROM t;
CREATE TABLE before_ledger AS SELECT * FROM pgseal.ledger;
INSERT INTO t VALUES (60, 'after');
SELECT since('t', :'digest');
SELECT pgseal.ledger_digest('t') AS newer \gset
DELETE FROM t WHERE id = 60;
SELECT since('t', :'digest') AS digest, since('t', :'newer') AS newer;
-- the whole table and its ledger as they were: only a digest tells
BEGIN;
ALTER TABLE pgseal.ledger DISABLE TRIGGER guard;
DELETE FROM pgseal.ledger;
INSERT INTO pgseal.ledger SELECT * FROM before_ledger;
SELECT behind('t', 'DELETE FROM t; INSERT INTO t (id, v, secret, note, signature) SELECT * FROM before_rows');
SELECT state('t'), since('t', :'digest') AS digest, since('t', :'newer') AS newer;
ROLLBACK;
SELECT since('t', (ledger, number, lsn, rows + 1, hash, hmac)::pgseal.digest) FROM (SELECT (:'digest'::pgseal.digest).*) d;
SELECT since('t', (ledger + 1, number, lsn, rows, hash, hmac)::pgseal.digest) FROM (SELECT (:'digest'::pgseal.digest).*) d;
SELECT since('t', (ledger, number, lsn, rows, hash, NULL)::pgseal.digest) FROM (SELECT (:'digest'::pgseal.digest).*) d;
SELECT since('t', (ledger, number, lsn, rows, 'x', hmac)::pgseal.digest) FROM (SELECT (:'digest'::pgseal.digest).*) d;
BEGIN READ ONLY; SELECT pgseal.ledger_digest('t'); ROLLBACK;
-- of what is committed; what this transaction does later is recorded
BEGIN;
INSERT INTO t VALUES (61, 'before');
SELECT (pgseal.ledger_digest('t')).rows = (SELECT count(*) - 1 FROM t) AS committed;
INSERT INTO t VALUES (62, 'after');
SELECT state('t');
COMMIT;
SELECT state('t');

-- TRUNCATE, alone and with changes of the same transaction
BEGIN;
INSERT INTO t VALUES (70, 'x');
TRUNCATE t;
INSERT INTO t VALUES (71, 'x');
SELECT state('t');
SAVEPOINT s;
TRUNCATE t;
SELECT state('t');
ROLLBACK TO s;
SELECT state('t');
ROLLBACK;
SELECT state('t');
TRUNCATE t;
SELECT state('t');
INSERT INTO t SELECT i, 'again' FROM generate_series(1, 10) i;
SELECT state('t');

-- signing again: other columns, another key; renamed
SELECT pgseal.sign_table('t', columns => '{id,v}');
SELECT state('t');
SELECT pgseal.sign_table('t');
SELECT state('t');
SELECT pgseal.create_key('signed_ledger_key');
UPDATE t SET v = 'other' WHERE id = 1;
SELECT pgseal.sign_table('t', columns => '{id,v}', key => 'signed_ledger_key');
INSERT INTO t VALUES (11, 'x');
SELECT state('t');
ALTER TABLE t RENAME TO u;
ALTER TABLE u SET SCHEMA public;
INSERT INTO u VALUES (12, 'x');
SELECT state('u');
ALTER TABLE public.u SET SCHEMA signed_ledger;
ALTER TABLE u RENAME TO t;
SELECT state('t');
SELECT pgseal.sign_table('t', columns => '{v,id}', key => 'signed_ledger_key');
SELECT state('t');
-- a digest from before is one of it still
SELECT since('t', :'digest');
-- ended, and begun anew
SELECT pgseal.sign_table('t', ledger => false);
SELECT records('tcd') AS records, (SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass) AS triggers;
SELECT state('t');
SELECT pgseal.ledger_digest('t');
INSERT INTO t VALUES (13, 'x');
SELECT pgseal.sign_table('t', ledger => true);
SELECT state('t'), since('t', :'digest');
SELECT pgseal.unsign_table('t', 't');
SELECT records('tcd') AS records, (SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass) AS triggers;
SELECT state('t');
SELECT pgseal.sign_table('t', ledger => true);
BEGIN;
INSERT INTO t VALUES (14, 'x');
DROP TABLE t;
SELECT records('tcd') AS records;
ROLLBACK;
SELECT state('t');
-- lost with the records
ALTER TABLE pgseal.ledger DISABLE TRIGGER guard;
DELETE FROM pgseal.ledger;
ALTER TABLE pgseal.ledger ENABLE ALWAYS TRIGGER guard;
ALTER TABLE pgseal.ledger ENABLE ALWAYS TRIGGER guard_all;
INSERT INTO t VALUES (15, 'x');
SELECT state('t');
\set VERBOSITY terse
SELECT pgseal.ledger_digest('t');
\set VERBOSITY default
SELECT pgseal.sign_table('t', ledger => true);
SELECT state('t');
DROP TABLE t;
SELECT records('tcd') AS records;

-- partitions
CREATE TABLE p (id int PRIMARY KEY, v text, signature row_signature) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
SELECT pgseal.sign_table('p', ledger => true);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 19) i;
SELECT state('p');
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid IN ('p'::regclass, 'p1'::regclass, 'p2'::regclass) ORDER BY 1, 2;
UPDATE p SET id = 0 WHERE id = 19;
SELECT tableoid::regclass, count(*) FROM p GROUP BY 1 ORDER BY 1;
SELECT state('p');
SELECT state('p1');
TRUNCATE p1;
SELECT state('p');
INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 9) i;
SELECT state('p');
BEGIN; DELETE FROM p WHERE id = 3; TRUNCATE p; SELECT state('p'); ROLLBACK;
SELECT state('p');
ALTER TABLE p DETACH PARTITION p1;
SELECT state('p'), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p1'::regclass) AS triggers;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
SELECT state('p');
ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
SELECT state('p'), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p1'::regclass) AS triggers;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
BEGIN; DROP TABLE p1; SELECT state('p'); ROLLBACK;
SELECT state('p');
DROP TABLE p1;
SELECT state('p');
-- one of more levels
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (id);
CREATE TABLE p31 PARTITION OF p3 FOR VALUES FROM (20) TO (30);
CREATE TABLE p32 PARTITION OF p3 FOR VALUES FROM (30) TO (40);
INSERT INTO p SELECT i, 'v' || i FROM generate_series(20, 39) i;
DELETE FROM p WHERE id IN (21, 25);
UPDATE p SET id = id - 10 WHERE id IN (31, 35);
UPDATE p SET v = 'x' WHERE id > 15;
SELECT state('p');
ALTER TABLE p3 DETACH PARTITION p32;
SELECT state('p');
ALTER TABLE p DETACH PARTITION p3;
SELECT state('p');
ALTER TABLE p3 ATTACH PARTITION p32 FOR VALUES FROM (30) TO (40);
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (40);
SELECT state('p');
CREATE SCHEMA signed_ledger_parts;
ALTER TABLE p31 SET SCHEMA signed_ledger_parts;
DROP SCHEMA signed_ledger_parts CASCADE;
SELECT state('p');
DROP TABLE p3;
SELECT state('p');
-- a dump brings the rows of a partition when the table has its triggers already: they
-- are what they are, and the ledger comes with the dump
BEGIN;
SET LOCAL check_function_bodies = off;
DELETE FROM p WHERE id IN (14, 15);
INSERT INTO p VALUES (15, 'unsigned');
INSERT INTO p VALUES (14, 'x', 'pgsig:1:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw==');
SELECT state('p'), (SELECT string_agg(reason, ', ' ORDER BY reason) FROM pgseal.tampered_rows('p2')) AS tampered;
ROLLBACK;
-- but only to who owns it
CREATE ROLE signed_ledger_user;
GRANT ALL ON p, p2 TO signed_ledger_user;
GRANT USAGE ON SCHEMA signed_ledger TO signed_ledger_user;
BEGIN;
DELETE FROM p WHERE id = 14;
SET LOCAL ROLE signed_ledger_user;
SET LOCAL check_function_bodies = off;
INSERT INTO p VALUES (14, 'x', 'pgsig:1:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw==');
ROLLBACK;
REVOKE ALL ON p, p2 FROM signed_ledger_user;
REVOKE ALL ON SCHEMA signed_ledger FROM signed_ledger_user;
DROP ROLE signed_ledger_user;
-- a row that was moved by somebody else
SELECT pgseal.sign_table('p', ledger => false);
SELECT pgseal.sign_table('p', ledger => true);
SELECT state('p');
ALTER TABLE p2 DISABLE TRIGGER zz_pgseal_record;
DELETE FROM p WHERE id = 12;
ALTER TABLE p2 ENABLE ALWAYS TRIGGER zz_pgseal_record;
SELECT state('p');
DROP TABLE p;
SELECT records('tcd') AS records;

-- foreign keys
CREATE TABLE referenced (id int PRIMARY KEY, signature row_signature);
CREATE TABLE referencing (id int PRIMARY KEY, r int REFERENCES referenced ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, signature row_signature);
SELECT pgseal.sign_table('referenced', ledger => true), pgseal.sign_table('referencing', ledger => true);
INSERT INTO referenced VALUES (1), (2), (3);
INSERT INTO referencing VALUES (1, 1), (2, 2), (3, 3);
UPDATE referenced SET id = 4 WHERE id = 1;
DELETE FROM referenced WHERE id = 2;
SELECT state('referenced'), state('referencing');
TRUNCATE referenced CASCADE;
SELECT state('referenced'), state('referencing');
-- deferred triggers write when the transaction ends
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO referenced VALUES (NEW.id + 100); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON referencing DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
INSERT INTO referencing VALUES (1, NULL);
SELECT state('referenced'), state('referencing');

-- of tables that a crash, or the end of the session, doesn't empty
CREATE TEMP TABLE fleeting (id int, signature row_signature);
SELECT pgseal.sign_table('fleeting', ledger => true);
CREATE UNLOGGED TABLE fleeting_too (id int, signature row_signature);
SELECT pgseal.sign_table('fleeting_too', ledger => true);

-- who deletes needs no right to sign
CREATE TABLE cleared (id int PRIMARY KEY, signature row_signature);
INSERT INTO cleared VALUES (1), (2), (3);
SELECT pgseal.sign_table('cleared', ledger => true);
CREATE ROLE signed_ledger_user;
GRANT USAGE ON SCHEMA signed_ledger TO signed_ledger_user;
GRANT ALL ON cleared TO signed_ledger_user;
SET ROLE signed_ledger_user;
INSERT INTO cleared VALUES (4);
DELETE FROM cleared WHERE id = 1;
TRUNCATE cleared;
RESET ROLE;
SELECT state('cleared');
DROP TABLE cleared;
REVOKE ALL ON SCHEMA signed_ledger FROM signed_ledger_user;
DROP ROLE signed_ledger_user;

-- nobody's own trigger writes to a ledger that is another table's
CREATE TABLE mine (id int);
SELECT substring(pg_get_triggerdef(oid) FROM '\d{10,}') AS ledger FROM pg_trigger WHERE tgrelid = 'referenced'::regclass AND tgname = 'zz_pgseal_record' \gset
CREATE TRIGGER zz_pgseal_record AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pgseal.record_row(:ledger);
CREATE TRIGGER before_it BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pgseal.record_row(1);
INSERT INTO mine VALUES (1);
DROP TRIGGER before_it ON mine;
CREATE TRIGGER unsigned AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pgseal.record_row(1);
INSERT INTO mine VALUES (1);
SELECT pgseal.record_row();
SELECT pgseal.verify_table('mine', ledger => true);
CREATE ROLE signed_ledger_user;
SET ROLE signed_ledger_user;
SELECT pgseal.ledger_digest(0);
SELECT * FROM pgseal.ledger;
RESET ROLE;
DROP ROLE signed_ledger_user;

-- a key that is destroyed: its ledger's records are counted
DELETE FROM referencing;
\set VERBOSITY terse
SELECT pgseal.destroy_key('signed_ledger.referencing', 'signed_ledger.referencing');
DROP TABLE referencing;
DELETE FROM referenced;
SELECT pgseal.destroy_key('signed_ledger.referenced', 'signed_ledger.referenced', force => true);
SELECT state('referenced');
DROP TABLE referenced;
SELECT records('tcd') AS records;
DROP SCHEMA signed_ledger CASCADE;
