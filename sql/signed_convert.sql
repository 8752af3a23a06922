-- Encrypting and decrypting a column that is signed, while its table is in use: rows
-- are verified and signed again; what doesn't verify is no better afterwards.
SET client_min_messages = warning;
\set VERBOSITY terse
SET pgseal.verify_rows = on;
SELECT pgseal.create_key('signed_convert');
CREATE TABLE signed_convert (id int PRIMARY KEY, v text, n int, note text);
INSERT INTO signed_convert SELECT i, 'v' || i, i, 'note' FROM generate_series(1, 300) i;
SELECT pgseal.sign_table('signed_convert', columns => '{id,v,n}', key => 'signed_convert');
CREATE FUNCTION signed_state(OUT definition text, OUT good bigint, OUT bad text) LANGUAGE sql AS $$
	SELECT (SELECT split_part(encode(tgargs, 'escape'), '\000', 4) FROM pg_trigger WHERE tgrelid = 'signed_convert'::regclass AND tgname = 'zz_pgseal_sign'),
		(SELECT sealed - broken FROM pgseal.verify_table('signed_convert') WHERE "column" = 'signature'),
		(SELECT string_agg(key || ' ' || reason, ', ' ORDER BY key) FROM pgseal.tampered_rows('signed_convert')) $$;
-- behind the server's back
ALTER TABLE signed_convert DISABLE TRIGGER USER;
SET pgseal.verify_rows = off;
UPDATE signed_convert SET v = 'changed' WHERE id = 7;
UPDATE signed_convert SET signature = NULL WHERE id = 8;
RESET pgseal.verify_rows;
ALTER TABLE signed_convert ENABLE ALWAYS TRIGGER zz_pgseal_sign;
SELECT * FROM signed_state();
CALL pgseal.encrypt_column('signed_convert', 'v');
SELECT * FROM signed_state();
SELECT id, v, n FROM signed_convert WHERE id IN (1, 300);
SELECT v FROM signed_convert WHERE id = 7;
SELECT v FROM signed_convert WHERE id = 8;
SELECT replace(encode(tgargs, 'escape'), '\000', ' ') FROM pg_trigger WHERE tgrelid = 'signed_convert'::regclass;
UPDATE signed_convert SET v = 'new' WHERE id = 1;
UPDATE signed_convert SET note = 'new' WHERE id = 2;
INSERT INTO signed_convert VALUES (301, 'x', 1);
SELECT * FROM signed_state();
-- a column that isn't signed
CALL pgseal.encrypt_column('signed_convert', 'note');
SELECT * FROM signed_state();
CALL pgseal.decrypt_column('signed_convert', 'v');
SELECT * FROM signed_state();
SELECT id, v, n FROM signed_convert WHERE id IN (1, 300, 301) ORDER BY id;
-- mended
SET pgseal.verify_rows = off;
UPDATE signed_convert SET v = 'v' || id WHERE id IN (7, 8);
RESET pgseal.verify_rows;
SELECT * FROM signed_state();
-- who may sign
CREATE ROLE signed_convert_owner;
GRANT CREATE ON SCHEMA public TO signed_convert_owner;
ALTER TABLE signed_convert OWNER TO signed_convert_owner;
SET ROLE signed_convert_owner;
CALL pgseal.encrypt_column('signed_convert', 'v');
RESET ROLE;
ALTER TABLE signed_convert OWNER TO CURRENT_USER;
REVOKE CREATE ON SCHEMA public FROM signed_convert_owner;
DROP ROLE signed_convert_owner;
-- what is summed up, and goes on to be: what is amiss stays so
SELECT pgseal.sign_table('signed_convert', ledger => true);
CREATE FUNCTION ledger_state() RETURNS text LANGUAGE sql AS $$
	SELECT ledger_status FROM pgseal.verify_table('signed_convert', ledger => true) WHERE "column" = 'signature' $$;
SELECT pgseal.ledger_digest('signed_convert') AS digest \gset
CALL pgseal.encrypt_column('signed_convert', 'v');
SELECT * FROM signed_state(), ledger_state();
SELECT ledger_status FROM pgseal.verify_table('signed_convert', digest => :'digest') WHERE "column" = 'signature';
UPDATE signed_convert SET v = 'newer' WHERE id = 1;
DELETE FROM signed_convert WHERE id = 2;
SELECT ledger_state();
CALL pgseal.decrypt_column('signed_convert', 'note');
SELECT ledger_state();
ALTER TABLE signed_convert DISABLE TRIGGER USER;
DELETE FROM signed_convert WHERE id = 3;
ALTER TABLE signed_convert ENABLE TRIGGER USER;
ALTER TABLE signed_convert ENABLE ALWAYS TRIGGER zz_pgseal_sign;
SELECT ledger_state();
CALL pgseal.decrypt_column('signed_convert', 'v');
SELECT * FROM signed_state(), ledger_state();
INSERT INTO signed_convert (id, v, n) VALUES (3, 'v3', 3);
SELECT * FROM signed_state(), ledger_state();
DROP FUNCTION signed_state, ledger_state;
DROP TABLE signed_convert;
