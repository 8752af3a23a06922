-- Keys of persons: wrapped by their parent key, destroyed one by one
\set VERBOSITY terse
SET client_min_messages = warning;
ALTER SYSTEM SET pgseal.worker_interval = 1;
SELECT pg_reload_conf();

SELECT pgseal.create_key('child_people');
SELECT pgseal.create_key('child:1', parent => 'child_people');
SELECT pgseal.create_key('child:1', parent => 'child_people');
SELECT pgseal.create_key('child:2', parent => 'child:1');
SELECT pgseal.create_key('child:2', parent => 'child_nobody');
SELECT pgseal.create_key('child:2', server => 'local_keyring', parent => 'child_people');
SELECT pgseal.alter_key('child:1', rewrap_every => '1 day');

-- two names with the same 31-bit hash
SELECT pgseal.create_key('person:58108', parent => 'child_people');
SELECT pgseal.create_key('person:63923', parent => 'child_people');
CREATE TABLE child_twins (id int, v encrypted_text('*'));
INSERT INTO child_twins VALUES (1, pgseal.seal('first'::text, 'person:58108')), (2, pgseal.seal('second'::text, 'person:63923'));
SELECT id, v, (pgseal.inspect(v)).key FROM child_twins ORDER BY id;
SELECT blind_index('x'::text, key => 'person:58108') <> blind_index('x'::text, key => 'person:63923') AS different;
SELECT pgseal.rotate_key('person:63923');
SELECT pgseal.destroy_key('person:58108', 'person:58108', force => true);
SELECT id, pgseal.try_open(v) FROM child_twins ORDER BY id;
CREATE TABLE child_column (v encrypted_text('person:63923'));
SELECT count(DISTINCT name_hash) FROM pgseal.key WHERE name IN ('person:58108', 'person:63923');
DROP TABLE child_twins;

-- many in one transaction need few locks and one unwrapping
CREATE TABLE child_before AS SELECT misses FROM pgseal.stat_cache;
DO $$ BEGIN
	FOR i IN 2..10000 LOOP
		PERFORM pgseal.create_key('child:' || i, parent => 'child_people');
	END LOOP;
END $$;
CREATE TABLE child_t (id int, name encrypted_text('*'), born encrypted_date('*'));
INSERT INTO child_t SELECT i, pgseal.seal('name' || i, 'child:' || i), pgseal.seal(date '2000-01-01' + i, 'child:' || i)
	FROM generate_series(1, 10000) i;
SELECT count(*) FROM child_t WHERE name::text = 'name' || id AND born::date = date '2000-01-01' + id;
SELECT s.misses - b.misses <= 1 AS one_kms_call FROM pgseal.stat_cache s, child_before b;
SELECT count(*), count(DISTINCT key), count(DISTINCT server), count(master_key) FROM pgseal.key_versions WHERE key LIKE 'child:%';

-- a wrapped child key that is moved to another row opens nothing
BEGIN;
ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
UPDATE pgseal.key_version v SET wrapped = (SELECT w.wrapped FROM pgseal.key_version w WHERE w.key = 'child:3' AND w.purpose = 'd')
	WHERE v.key = 'child:4' AND v.purpose = 'd';
SELECT name FROM child_t WHERE id = 4;
ROLLBACK;
SELECT name FROM child_t WHERE id = 4;

-- Erasure of one person
SELECT pgseal.destroy_key('child:42', 'child:42');
SELECT pgseal.destroy_key('child:42', 'child:42', force => true);
SELECT id, pgseal.try_open(name), pgseal.try_open(born) FROM child_t WHERE id BETWEEN 41 AND 43 ORDER BY id;
SELECT name FROM child_t WHERE id = 42;
SELECT pgseal.create_key('child:42', parent => 'child_people');

-- The parent rotates: its children are wrapped anew, their values stay
SELECT pgseal.rotate_key('child:7');
SELECT pgseal.rotate_key('child_people');
DO $$ BEGIN
	FOR i IN 1..600 LOOP
		COMMIT;
		EXIT WHEN 2 = (SELECT count(*) FROM pgseal.key_versions WHERE key IN ('child:7', 'child_people') AND retired IS NOT NULL);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT key, version, retired IS NOT NULL AS retired FROM pgseal.key_versions
	WHERE key IN ('child:7', 'child_people') AND purpose = 'data' ORDER BY 1, 2;
SELECT p.number AS parent_version, count(*) FROM pgseal.key_version c JOIN pgseal.key_version p ON p.id = c.parent_version
	WHERE c.wrapped IS NOT NULL AND c.key LIKE 'child:%' GROUP BY 1;
SELECT count(*) FROM child_t WHERE pgseal.try_open(name) = 'name' || id AND pgseal.try_open(born) = date '2000-01-01' + id;
SELECT pgseal.destroy_version('child_people', 1, 'child_people');
SELECT count(*) FROM child_t WHERE pgseal.try_open(name) = 'name' || id;
SELECT * FROM pgseal.verify_table('child_t');

-- With the parent, all are lost
\set VERBOSITY default
SELECT pgseal.destroy_key('child_people', 'child_people');
\set VERBOSITY terse
SELECT pgseal.destroy_key('child_people', 'child_people', force => true);
SELECT count(pgseal.try_open(name)) FROM child_t;
SELECT pgseal.create_key('child:new', parent => 'child_people');

DROP TABLE child_t, child_before;
ALTER SYSTEM RESET pgseal.worker_interval;
SELECT pg_reload_conf();
