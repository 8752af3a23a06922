--
-- Signed rows: written and read, changed behind the server's back.
--
SET client_min_messages = warning;
CREATE SCHEMA signed;
SET search_path = signed, public;
CREATE ROLE signed_owner;
CREATE ROLE signed_writer;
CREATE ROLE signed_reader;
GRANT ALL ON SCHEMA signed TO signed_owner;
GRANT USAGE ON SCHEMA signed TO PUBLIC;

-- What somebody does who writes to the disk: no trigger, no verifying
CREATE FUNCTION behind(tab regclass, command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', tab);
	SET LOCAL pgseal.verify_rows = off;
	EXECUTE command;
	SET LOCAL pgseal.verify_rows = on;
	EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', tab);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz_pgseal_sign', tab);
END $$;
REVOKE ALL ON FUNCTION behind FROM PUBLIC;
-- Which rows can be read, one by one
CREATE FUNCTION readable(tab regclass, key text DEFAULT 'id') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	k text;
	result text := '';
	keys text[];
BEGIN
	SET LOCAL pgseal.verify_rows = off;
	EXECUTE format('SELECT array_agg(%I::text ORDER BY %I) FROM %s', key, key, tab) INTO keys;
	SET LOCAL pgseal.verify_rows = on;
	FOREACH k IN ARRAY keys LOOP
		BEGIN
			EXECUTE format('SELECT FROM %s WHERE %I::text = %L', tab, key, k);
			result := result || k || ' good ';
		EXCEPTION WHEN data_corrupted THEN
			result := result || k || ' bad ';
		END;
	END LOOP;
	RETURN result;
END $$;

-- sign a table that has rows
CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text, note text, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO accounts VALUES (1, 'ada', 'DE1', 'first'), (2, 'bob', 'DE2', NULL), (3, 'cy', NULL, 'third');
SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}');
SELECT tgname, tgenabled, replace(encode(tgargs, 'escape'), '\000', ' ') FROM pg_trigger WHERE tgrelid = 'accounts'::regclass;
SELECT id, owner, iban, note, twice, length(signature::text), left(signature::text, 8) FROM accounts ORDER BY id;
EXPLAIN (COSTS OFF) SELECT note FROM accounts WHERE id = 2;
SELECT readable('accounts');

-- all that writes
CREATE FUNCTION counter(signature row_signature) RETURNS int LANGUAGE sql
	RETURN ('x' || encode(substr(decode(substr(signature::text, 9), 'base64'), 15, 4), 'hex'))::bit(32)::int;
CREATE VIEW counters AS SELECT id, counter(signature) FROM accounts ORDER BY id;
INSERT INTO accounts (id, owner, iban) VALUES (4, 'dan', 'DE4') RETURNING id, owner, iban, signature IS NOT NULL AS signed;
UPDATE accounts SET owner = 'Bob' WHERE id = 2;
UPDATE accounts SET iban = 'DE3' WHERE id = 3 RETURNING id, iban;
UPDATE accounts SET note = 'not signed' WHERE id = 1;
UPDATE accounts SET owner = owner WHERE id = 1;
INSERT INTO accounts (id, owner) VALUES (4, 'x'), (5, 'eve') ON CONFLICT (id) DO UPDATE SET owner = 'Dan';
MERGE INTO accounts a USING (VALUES (5, 'Eve'), (6, 'fay')) v (id, owner) ON a.id = v.id
	WHEN MATCHED THEN UPDATE SET owner = v.owner WHEN NOT MATCHED THEN INSERT (id, owner) VALUES (v.id, v.owner);
COPY accounts (id, owner, iban) FROM stdin;
7	gil	DE7
\.
SELECT * FROM counters;
UPDATE accounts SET signature = NULL WHERE id = 7;
SELECT counter(signature) FROM accounts WHERE id = 7;
SELECT readable('accounts');
DELETE FROM accounts WHERE id = 7;

-- a signature that is given
INSERT INTO accounts (id, owner, signature) SELECT 8, owner, signature FROM accounts WHERE id = 1;
UPDATE accounts SET signature = (SELECT signature FROM accounts WHERE id = 1) WHERE id = 2;
INSERT INTO accounts (id, owner, signature) VALUES (8, 'x', 'nonsense');
BEGIN;
CREATE TEMP TABLE kept AS SELECT id, owner, iban, note, signature FROM accounts WHERE id = 1;
DELETE FROM accounts WHERE id = 1;
INSERT INTO accounts (id, owner, iban, note, signature) SELECT * FROM kept;
SELECT id, owner FROM accounts WHERE id = 1;
ROLLBACK;

-- changed behind the server's back
SELECT behind('accounts', 'UPDATE accounts SET owner = ''mallory'' WHERE id = 1');
SELECT owner FROM accounts WHERE id = 1;
SELECT behind('accounts', 'UPDATE accounts a SET iban = b.iban FROM accounts b WHERE a.id = 2 AND b.id = 4');
SELECT behind('accounts', 'UPDATE accounts SET signature = NULL WHERE id = 3');
SELECT behind('accounts', 'UPDATE accounts a SET signature = b.signature FROM accounts b WHERE a.id = 4 AND b.id = 5');
SELECT behind('accounts', 'UPDATE accounts SET note = ''not signed'' WHERE id = 5');
SELECT readable('accounts');
SELECT * FROM pgseal.verify_table('accounts');
SELECT key, reason FROM pgseal.tampered_rows('accounts') ORDER BY key;
SELECT count(*) FROM accounts;
SELECT count(*) FROM accounts WHERE id > 4;
UPDATE accounts SET note = 'laundered' WHERE id = 1;
DELETE FROM accounts WHERE id = 3;
INSERT INTO accounts (id, owner) VALUES (2, 'x') ON CONFLICT (id) DO UPDATE SET note = 'laundered';
MERGE INTO accounts a USING (VALUES (4)) v (id) ON a.id = v.id WHEN MATCHED THEN DO NOTHING;
CREATE VIEW through AS SELECT owner FROM accounts WHERE id = 1;
SELECT * FROM through;
DO $$ DECLARE r text; BEGIN SELECT owner INTO r FROM accounts WHERE id = 1; END $$;
SELECT a.id FROM generate_series(5, 6) g LEFT JOIN accounts a ON a.id = g ORDER BY 1;
SELECT a.id FROM generate_series(3, 6) g LEFT JOIN accounts a ON a.id = g ORDER BY 1;
SELECT owner FROM accounts WHERE id = 6 UNION ALL SELECT owner FROM accounts WHERE id = 1;
SELECT * FROM (SELECT id, owner FROM accounts UNION ALL SELECT id, owner FROM accounts) s WHERE id = 1;
SELECT * FROM (SELECT id, owner FROM accounts UNION ALL SELECT id, owner FROM accounts) s WHERE id = 6;
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT id, owner FROM accounts UNION ALL SELECT id, owner FROM accounts) s WHERE id = 6;
SELECT max(id), min(id) FROM accounts WHERE id > 4;
SELECT EXISTS (SELECT FROM accounts WHERE id = 1);
SELECT 1 FROM accounts TABLESAMPLE system (100);
BEGIN; DECLARE c CURSOR FOR SELECT id FROM accounts ORDER BY id; FETCH c; ROLLBACK;
COPY (SELECT owner FROM accounts) TO stdout;
COPY accounts (id, owner) TO stdout;

-- the setting
SET pgseal.verify_rows = warning;
SELECT id, owner FROM accounts WHERE id IN (1, 6) ORDER BY id;
UPDATE accounts SET note = 'laundered' WHERE id = 1;
SET pgseal.verify_rows = off;
SELECT id, owner FROM accounts WHERE id < 5 ORDER BY id;
SET ROLE signed_reader;
SELECT id FROM accounts;
RESET ROLE;
GRANT SELECT (id, owner) ON accounts TO signed_reader;
SET ROLE signed_reader;
SELECT id, owner FROM accounts WHERE id = 1;
SELECT id, owner FROM accounts WHERE id = 6;
RESET ROLE;
-- who may turn it off may mend a row by writing it
UPDATE accounts SET owner = 'ada' WHERE id = 1;
UPDATE accounts SET iban = 'DE2' WHERE id = 2;
UPDATE accounts SET owner = owner WHERE id IN (3, 4);
RESET pgseal.verify_rows;
SELECT readable('accounts');
SELECT id, owner, iban FROM accounts ORDER BY id;

DROP VIEW through, counters;

-- tables that are made with a signature
CREATE TABLE declared (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, v text, signature row_signature);
SELECT replace(encode(tgargs, 'escape'), '\000', ' ') FROM pg_trigger WHERE tgrelid = 'declared'::regclass;
INSERT INTO declared VALUES (1, DEFAULT, 'one'), (2, DEFAULT, 'two') RETURNING id, twice, v;
SELECT behind('declared', $$UPDATE declared SET v = 'changed' WHERE id = 2$$);
SELECT readable('declared');
CREATE TABLE IF NOT EXISTS declared (signature row_signature);
CREATE TABLE likewise (LIKE declared);
INSERT INTO likewise (id, v) VALUES (1, 'one');
SELECT count(*) FROM likewise;
-- its rows are of another table
INSERT INTO likewise (id, v, signature) SELECT id, v, signature FROM declared WHERE id = 1;
SET check_function_bodies = off;
CREATE TABLE restored (id int, signature row_signature);
RESET check_function_bodies;
SELECT count(*) AS "made by the dump" FROM pg_trigger WHERE tgrelid = 'restored'::regclass;
CREATE TABLE nothing (signature row_signature);
-- whatever else has its name
CREATE TEMP TABLE shadowed (id int);
CREATE TABLE signed.shadowed (id int, signature row_signature);
CREATE TABLE public.signed_shadowed (id int);
CREATE TABLE IF NOT EXISTS signed_shadowed (id int, signature row_signature);
SELECT tgrelid::regclass FROM pg_trigger WHERE tgrelid::regclass::text ~ 'shadowed' ORDER BY 1;
DROP TABLE pg_temp.shadowed, public.signed_shadowed;

-- a definition that changes
SELECT pgseal.sign_table('declared', columns => '{id}');
SELECT readable('declared');
SELECT pgseal.sign_table('declared', columns => '{id}');
SELECT behind('declared', $$UPDATE declared SET v = 'not signed now' WHERE id = 1$$);
SELECT readable('declared');
SELECT key, reason FROM pgseal.tampered_rows('declared');
SELECT pgseal.unsign_table('declared', 'likewise');
SELECT pgseal.unsign_table('declared', 'declared');
SELECT pgseal.unsign_table('declared', 'declared');
SELECT pgseal.tampered_rows('declared');
SELECT * FROM pgseal.verify_table('declared');
SELECT id, v FROM declared ORDER BY id;
SELECT pgseal.sign_table('declared');
SELECT readable('declared');
SELECT pgseal.sign_table('declared', columns => '{id,nothing}');
SELECT pgseal.sign_table('declared', columns => '{twice}');
SELECT pgseal.sign_table('declared', columns => '{signature}');
SELECT pgseal.sign_table('declared', columns => '{}');
SELECT pgseal.sign_table('declared', signers => 'everybody');
CREATE TABLE refs (id int, r regclass);
SELECT pgseal.sign_table('refs');
SELECT pgseal.sign_table('pgseal.key');
CREATE VIEW a_view AS SELECT 1;
SELECT pgseal.sign_table('a_view');

-- DDL
ALTER TABLE declared RENAME COLUMN v TO w;
ALTER TABLE declared RENAME COLUMN signature TO sig;
ALTER TABLE declared RENAME TO renamed;
SELECT replace(encode(tgargs, 'escape'), '\000', ' ') FROM pg_trigger WHERE tgrelid = 'renamed'::regclass;
SELECT readable('renamed');
UPDATE renamed SET w = 'changed' WHERE id = 1;
SELECT id, w FROM renamed ORDER BY id;
ALTER TABLE renamed ADD COLUMN later int DEFAULT 5;
SELECT readable('renamed');
ALTER TABLE renamed DROP COLUMN w;
ALTER TABLE renamed DROP COLUMN sig;
ALTER TABLE renamed ALTER COLUMN id TYPE int8;
SELECT pgseal.sign_table('renamed', columns => '{id,later}');
SELECT pgseal.sign_table('renamed');
ALTER TABLE renamed DROP COLUMN w;
ALTER TABLE renamed ALTER COLUMN later TYPE int8;
SELECT readable('renamed');
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.later := 7; RETURN NEW; END';
CREATE TRIGGER zzz_last BEFORE INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION meddle();
CREATE TRIGGER meddle BEFORE INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION meddle();
CREATE TRIGGER zzz_after AFTER INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO renamed (id) VALUES (3) RETURNING id, later;
SELECT readable('renamed');
ALTER TRIGGER meddle ON renamed RENAME TO zzz_last;
ALTER TRIGGER zz_pgseal_sign ON renamed RENAME TO aa_first;
CREATE TABLE child () INHERITS (renamed);
CREATE TABLE parent (id int);
ALTER TABLE renamed INHERIT parent;
CREATE TABLE inheriting () INHERITS (parent);
SELECT pgseal.sign_table('parent');
SELECT pgseal.sign_table('inheriting');

-- partitions
CREATE TABLE parted (id int PRIMARY KEY, v text, signature row_signature) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 (v text, dropped int, signature row_signature, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
SELECT pgseal.unsign_table('part_2', 'part_2');
ALTER TABLE part_2 DROP COLUMN dropped;
ALTER TABLE parted ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
INSERT INTO parted VALUES (1, 'one'), (2, 'two'), (11, 'eleven'), (12, 'twelve');
SELECT readable('parted');
UPDATE parted SET id = 13 WHERE id = 1;
UPDATE parted SET id = 3 WHERE id = 11;
SELECT tableoid::regclass, id, v FROM parted ORDER BY id;
SELECT behind('part_2', $$UPDATE part_2 SET v = 'changed' WHERE id = 12$$);
SELECT readable('parted');
SELECT readable('part_2');
UPDATE parted SET id = 4 WHERE id = 12;
EXPLAIN (COSTS OFF) SELECT v FROM parted WHERE id IN (3, 12);
ALTER TABLE parted RENAME COLUMN v TO w;
SELECT readable('parted');
SELECT pgseal.sign_table('parted', columns => '{w,id}', signers => 'writers');
SELECT pgseal.sign_table('parted', signers => 'writers');
SELECT readable('parted');
-- one with a trigger that would come last
CREATE TABLE part_3 (LIKE parted);
SELECT pgseal.unsign_table('part_3', 'part_3');
CREATE FUNCTION w_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.w := 7; RETURN NEW; END';
CREATE TRIGGER zzz_last BEFORE INSERT ON part_3 FOR EACH ROW EXECUTE FUNCTION w_too();
ALTER TABLE parted ATTACH PARTITION part_3 FOR VALUES FROM (20) TO (30);
-- a signed partition of a table that isn't
CREATE TABLE half (id int, v text, signature row_signature) PARTITION BY LIST (id);
SELECT pgseal.unsign_table('half', 'half');
CREATE TABLE half_1 PARTITION OF half FOR VALUES IN (1);
SELECT count(*) AS "its own trigger" FROM pg_trigger WHERE tgrelid = 'half_1'::regclass AND tgparentid = 0;
CREATE TABLE half_2 (id int, v text, signature row_signature);
ALTER TABLE half ATTACH PARTITION half_2 FOR VALUES IN (2);
INSERT INTO half VALUES (1, 'one'), (2, 'two');
SELECT behind('half_2', $$UPDATE half_2 SET v = 'changed'$$);
SELECT readable('half');
SELECT v FROM half WHERE id = 1;

-- whose rights: signers => usage
GRANT ALL ON accounts TO signed_writer;
SET ROLE signed_writer;
SELECT id, owner FROM accounts WHERE id = 6;
INSERT INTO accounts (id, owner) VALUES (9, 'w');
UPDATE accounts SET owner = 'w' WHERE id = 6;
UPDATE accounts SET note = 'not signed' WHERE id = 6;
SET pgseal.on_denied = 'null';
INSERT INTO accounts (id, owner) VALUES (9, 'w');
RESET pgseal.on_denied;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER local_keyring TO signed_writer;
SET ROLE signed_writer;
UPDATE accounts SET owner = 'w' WHERE id = 6 RETURNING id, owner;
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM signed_writer;
-- and writers
SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', signers => 'writers');
SET ROLE signed_writer;
INSERT INTO accounts (id, owner) VALUES (9, 'w') RETURNING id, owner;
UPDATE accounts SET owner = 'W' WHERE id = 9 RETURNING id, owner;
RESET ROLE;

-- nobody gets signatures for rows of a table that isn't his
GRANT CREATE ON SCHEMA signed TO signed_writer;
SET ROLE signed_writer;
CREATE TABLE mine (id int, owner text, iban text);
SELECT pgseal.sign_table('mine', key => 'signed.accounts', signers => 'writers');
SELECT pgseal.sign_table('mine');
ALTER TABLE mine ADD COLUMN signature row_signature;
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION
	pgseal.sign_row('signed.accounts', 'signed.accounts', 'writers', '1', 'id', 'integer', 'id', 'owner', 'pg_catalog.text', 'owner', 'iban', 'pg_catalog.encrypted_text', 'iban');
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION
	pgseal.sign_row('signed.accounts', 'signed_no_key_yet', 'writers', '1', 'id', 'integer', 'id');
SELECT pgseal.tampered_rows('accounts');
SELECT pgseal.sign_table('accounts');
SELECT pgseal.unsign_table('accounts', 'accounts');
SELECT pgseal_internal.verify_row('accounts', NULL, 1);
SELECT pgseal.sign_row();
RESET ROLE;
SELECT behind('accounts', $$UPDATE accounts SET owner = 'mallory' WHERE id = 5$$);
SET ROLE signed_writer;
SET pgseal.verify_rows = off;
SELECT owner FROM accounts WHERE id = 5;
UPDATE accounts SET owner = 'w' WHERE id = 5;
RESET ROLE;
RESET pgseal.verify_rows;
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'usage', '1', 'id', 'integer', 'id');
ALTER TABLE refs ADD COLUMN signature row_signature;
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'usage', '1', 'id', 'integer', 'id');
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row();
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'usage', '0', 'id', 'integer', 'id');
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'x', '1', 'id', 'integer', 'id');
CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'usage', '1', 'id', 'integer', 'gone');
CREATE TRIGGER another BEFORE INSERT OR UPDATE ON refs FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row('t', 'signed.accounts', 'usage', '1', 'id', 'integer', 'id');

-- row security comes first, and the name of a row is for who may see it
CREATE TABLE secret (id int PRIMARY KEY, who text, v text, signature row_signature);
INSERT INTO secret VALUES (1, 'signed_reader', 'a'), (2, 'somebody', 'b'), (3, 'signed_reader', 'c');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (who = current_user);
GRANT SELECT (v, who) ON secret TO signed_reader;
SELECT behind('secret', $$UPDATE secret SET v = 'changed' WHERE id = 2$$);
SET ROLE signed_reader;
SELECT v FROM secret ORDER BY v;
RESET ROLE;
SELECT behind('secret', $$UPDATE secret SET v = 'changed' WHERE id = 3$$);
SET ROLE signed_reader;
SELECT v FROM secret;
RESET ROLE;

-- the actions of foreign keys sign
CREATE TABLE referenced (id int PRIMARY KEY, signature row_signature);
CREATE TABLE referencing (id int PRIMARY KEY, r int REFERENCES referenced ON UPDATE CASCADE, signature row_signature);
INSERT INTO referenced VALUES (1), (2);
INSERT INTO referencing VALUES (1, 1), (2, 2);
UPDATE referenced SET id = 3 WHERE id = 1;
SELECT id, r FROM referencing ORDER BY id;
-- and their checks verify
SELECT behind('referenced', $$UPDATE referenced SET signature = NULL WHERE id = 2$$);
INSERT INTO referencing VALUES (3, 2);
INSERT INTO referencing VALUES (3, 3);
SELECT behind('referencing', $$UPDATE referencing SET signature = NULL WHERE id = 1$$);
UPDATE referenced SET id = 4 WHERE id = 3;

-- a function of somebody else's doesn't read what its caller lets pass
CREATE FUNCTION reads() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = signed AS 'SELECT id FROM referenced WHERE id = 2';
GRANT EXECUTE ON FUNCTION reads() TO signed_reader;
SET pgseal.verify_rows = off;
SELECT reads();
SET SESSION AUTHORIZATION signed_reader;
SET pgseal.verify_rows = off;
SELECT reads();
SET pgseal.verify_rows = warning;
SELECT reads();
RESET SESSION AUTHORIZATION;
RESET pgseal.verify_rows;

-- signatures are compared by their bytes
SELECT count(*) FROM (SELECT DISTINCT * FROM referencing WHERE id > 1) d;
SELECT count(*) FROM (SELECT * FROM referencing WHERE id > 1 UNION SELECT * FROM referencing WHERE id > 1) d;
SELECT count(*) FROM referencing a JOIN referencing b USING (signature) WHERE a.id > 1 AND b.id > 1;
SET enable_hashjoin = off;
SELECT count(*) FROM referencing a JOIN referencing b USING (signature) WHERE a.id > 1 AND b.id > 1;
RESET enable_hashjoin;

-- in parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE TABLE many (id int PRIMARY KEY, v encrypted_text, signature row_signature);
INSERT INTO many SELECT i, 'v' || i FROM generate_series(1, 3000) i;
ANALYZE many;
EXPLAIN (COSTS OFF) SELECT count(*) FROM many WHERE id <> 0;
SELECT count(*) FROM many WHERE id <> 0;
SELECT behind('many', $$UPDATE many SET id = 0 WHERE id = 1500$$);
SELECT count(*) FROM many WHERE id <> 0;
DO $$ BEGIN PERFORM count(*) FROM many WHERE id <> 1; EXCEPTION WHEN data_corrupted THEN RAISE WARNING '%', SQLERRM; END $$;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- unsigned tables have the plans that they had
EXPLAIN (COSTS OFF) SELECT * FROM refs WHERE id = 1;
DROP SCHEMA signed CASCADE;
DROP ROLE signed_owner, signed_writer, signed_reader;
