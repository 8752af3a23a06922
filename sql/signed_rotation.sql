-- Rotation of the key that signs rows: the worker signs again what it verifies,
-- and reseals the values in it; what doesn't verify stays as it is.
\set VERBOSITY terse
SET client_min_messages = error;
ALTER SYSTEM SET pgseal.worker_interval = 1;
SELECT pg_reload_conf();
CREATE FUNCTION signed_version(signature row_signature) RETURNS text LANGUAGE sql
	RETURN (SELECT key || ' ' || version FROM pgseal.key_versions
		WHERE key_version_id = ltrim(encode(substr(decode(substr(signature::text, 9), 'base64'), 2, 8), 'hex'), '0'));
-- Waits for an event of a key
CREATE PROCEDURE signed_wait(k text, what text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..600 LOOP
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM pgseal.events WHERE event = what AND key = k);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;

SELECT pgseal.create_key('signed_rotate');
SELECT pgseal.create_key('signed_only');
CREATE TABLE signed_both (id int PRIMARY KEY, v encrypted_text('signed_rotate'), plain text);
INSERT INTO signed_both SELECT i, 'value ' || i, 'plain ' || i FROM generate_series(1, 300) i;
CREATE TABLE signed_plain (id int PRIMARY KEY, plain text);
INSERT INTO signed_plain SELECT i, 'plain ' || i FROM generate_series(1, 300) i;
SELECT pgseal.sign_table('signed_both', key => 'signed_rotate');
SELECT pgseal.sign_table('signed_plain', key => 'signed_only', columns => '{id,plain}');
SELECT signed_version(signature), count(*) FROM signed_both GROUP BY 1;

SELECT pgseal.rotate_key('signed_rotate');
SELECT pgseal.rotate_key('signed_only');
-- new ones at once, and old ones are good
UPDATE signed_both SET plain = 'new' WHERE id = 1;
SELECT id, v, plain, signed_version(signature) FROM signed_both WHERE id < 2;
CALL signed_wait('signed_rotate', 'version_retired');
CALL signed_wait('signed_only', 'version_retired');
SELECT signed_version(signature), (pgseal.inspect(v)).version, count(*) FROM signed_both GROUP BY 1, 2;
SELECT signed_version(signature), count(*) FROM signed_plain GROUP BY 1;
SELECT pgseal.destroy_version('signed_only', 1, 'signed_only');
SELECT count(*), min(plain) FROM signed_plain;
-- a key that signs isn't destroyed unawares
\set VERBOSITY default
SELECT pgseal.destroy_key('signed_only', 'signed_only');
\set VERBOSITY terse

-- what doesn't verify
ALTER TABLE signed_both DISABLE TRIGGER USER;
SET pgseal.verify_rows = off;
UPDATE signed_both SET plain = 'changed' WHERE id = 7;
UPDATE signed_both SET signature = NULL WHERE id = 8;
RESET pgseal.verify_rows;
ALTER TABLE signed_both ENABLE ALWAYS TRIGGER zz_pgseal_sign;
SELECT pgseal.rotate_key('signed_rotate');
CALL signed_wait('signed_rotate', 'reencrypt_incomplete');
SET pgseal.verify_rows = off;
SELECT signed_version(signature), (pgseal.inspect(v)).version, count(*), min(id), min(plain) FROM signed_both GROUP BY 1, 2 ORDER BY 1, 2;
RESET pgseal.verify_rows;
SELECT v FROM signed_both WHERE id = 7;
SELECT v FROM signed_both WHERE id = 8;
SELECT count(*) FROM signed_both WHERE id > 8;
-- mended
SET pgseal.verify_rows = off;
UPDATE signed_both SET plain = 'plain ' || id WHERE id IN (7, 8);
RESET pgseal.verify_rows;
SELECT count(*), min(v), max(plain) FROM signed_both;

DROP TABLE signed_both, signed_plain;
DROP PROCEDURE signed_wait;
DROP FUNCTION signed_version;
ALTER SYSTEM RESET pgseal.worker_interval;
SELECT pg_reload_conf();
