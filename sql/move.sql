SET pgseal.sealed_input = on;
-- Rewrapping and moving: only how keys are wrapped changes
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT current_setting('data_directory') || '.move_a' AS file_a,
	current_setting('data_directory') || '.move_b' AS file_b \gset
CREATE SERVER move_a FOREIGN DATA WRAPPER local_keyring OPTIONS (file :'file_a');
CREATE SERVER move_b FOREIGN DATA WRAPPER local_keyring OPTIONS (file :'file_b');

SELECT pgseal.create_key('move_k', server => 'move_a');
SELECT pgseal.create_key('move_child', parent => 'move_k');
CREATE TABLE move_t (id int, v encrypted_text('move_k'), p encrypted_text('*'));
INSERT INTO move_t VALUES (1, 'one', pgseal.seal('mine'::text, 'move_child'));
CREATE TABLE move_before AS SELECT id, md5(pgseal_internal.encrypted_text_out(v)::text) AS v, md5(pgseal_internal.encrypted_text_out(p)::text) AS p FROM move_t;
CREATE VIEW move_changed AS SELECT b.id FROM move_before b JOIN move_t t USING (id)
	WHERE b.v <> md5(pgseal_internal.encrypted_text_out(t.v)::text) OR b.p <> md5(pgseal_internal.encrypted_text_out(t.p)::text);

-- nothing to do, then all versions of the server
SELECT pgseal.rewrap('move_a');
-- (the keyring file may be there from an earlier run)
SELECT pgseal.rotate_master_key('move_a') AS newest \gset
SELECT pgseal.rewrap('move_a');
SELECT pgseal.rewrap('move_a');
SELECT pgseal.rewrap('move_none');
SELECT key, purpose, version, split_part(master_key, ':', 1) = 'v' || :newest AS newest, rewrapped IS NOT NULL AS rewrapped
	FROM pgseal.key_versions WHERE key LIKE 'move%' ORDER BY 1, 2, 3;
SELECT v, p FROM move_t;

-- a server in use can't be dropped, one that isn't can
DROP SERVER move_a;
SELECT pgseal.move_key('move_child', 'move_b');
SELECT pgseal.move_key('move_k', 'move_none');
SELECT pgseal.move_key('move_k', 'move_b');
SELECT pgseal.move_key('move_k', 'move_b');
SELECT name, server, parent FROM pgseal.keys WHERE name LIKE 'move%' ORDER BY 1;
SELECT key, purpose, version, server FROM pgseal.key_versions WHERE key LIKE 'move%' ORDER BY 1, 2, 3;
SELECT v, p FROM move_t;
DROP SERVER move_a;
SELECT event, key, detail FROM pgseal.events WHERE key = 'move_k' ORDER BY at, event;

-- The privilege moves along, at once in sessions that have read before
CREATE ROLE regress_move_reader;
GRANT SELECT ON move_t TO regress_move_reader;
GRANT USAGE ON FOREIGN SERVER move_b TO regress_move_reader;
SET ROLE regress_move_reader;
SELECT v, p FROM move_t;
RESET ROLE;
SELECT pgseal.move_key('move_k', 'local_keyring');
SET ROLE regress_move_reader;
SELECT v FROM move_t;
SELECT p FROM move_t;
RESET ROLE;
SELECT pgseal.move_key('move_k', 'move_b');
SET ROLE regress_move_reader;
SELECT v, p FROM move_t;
RESET ROLE;

-- New options of a server must not make its keys unreadable
ALTER SERVER move_b OPTIONS (SET file :'file_a');
SELECT v, p FROM move_t;
SELECT count(*) AS resealed FROM move_changed;

-- Who may not administer keys
SET ROLE regress_move_reader;
SELECT pgseal.rewrap();
SELECT pgseal.move_key('move_k', 'local_keyring');
SELECT pgseal.destroy_key('move_k', 'move_k');
SELECT pgseal.destroy_version('move_k', 1, 'move_k');
SELECT pgseal.alter_key('move_k', rotate_every => '1 day');
SELECT * FROM pgseal.verify_table('move_t');
SELECT * FROM pgseal.check();
RESET ROLE;

-- All is well
SELECT * FROM pgseal.verify_table('move_t');
SELECT * FROM pgseal.check() WHERE object LIKE '%move\_%' AND object NOT LIKE 'server%';
SELECT object, status FROM pgseal.check() WHERE status <> 'ok';

-- Servers that no key uses are asked, too, unless their keyring is still to be made
CREATE SERVER move_new FOREIGN DATA WRAPPER local_keyring OPTIONS (file '/nowhere/keyring');
CREATE SERVER move_works FOREIGN DATA WRAPPER local_keyring
	OPTIONS (command 'echo 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
CREATE SERVER move_fails FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'exit 3');
SELECT * FROM pgseal.check() WHERE object IN ('server move_new', 'server move_works', 'server move_fails');
SELECT server, operation, calls FROM pgseal.stat_kms WHERE server = 'move_new';
DROP SERVER move_new, move_works, move_fails;

-- what input would refuse: bytes that take themselves for a sealed value
CREATE CAST (bytea AS encrypted_text) WITHOUT FUNCTION;
UPDATE move_t SET v = (SELECT set_byte(bytes, 25, get_byte(bytes, 25) # 1) FROM pgseal_internal.encrypted_text_send(v) AS bytes)::encrypted_text;
DROP CAST (bytea AS encrypted_text);
SELECT * FROM pgseal.verify_table('move_t');
SELECT * FROM pgseal.verify_table('move_changed');

DROP TABLE move_t, move_before CASCADE;
DROP OWNED BY regress_move_reader;
DROP ROLE regress_move_reader;
