-- An index key is replaced; no lookup misses, no duplicate slips in.
SET client_min_messages = warning;
SET jit = off;
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse

CREATE TABLE people (id int PRIMARY KEY, ssn encrypted_text('rotating'), city encrypted_text('rotating'),
	note encrypted_text('rotating'), token bytea GENERATED ALWAYS AS (blind_index(note)) STORED);
CREATE UNIQUE INDEX people_ssn ON people (blind_index(ssn));
CREATE INDEX people_city ON people (blind_index(city));
CREATE INDEX people_lower ON people (blind_index(city, 'lower'));
CREATE INDEX people_token ON people (token);
INSERT INTO people SELECT i, 's' || i, 'C' || i % 500, 'n' || i FROM generate_series(1, 1000) i;
CREATE VIEW lookups AS
	SELECT (SELECT count(*) FROM generate_series(1, 1000) i WHERE EXISTS (SELECT FROM people WHERE ssn = 's' || i)) AS unique_index,
		(SELECT sum((SELECT count(*) FROM people WHERE city = 'C' || i)) FROM generate_series(0, 499) i) AS plain_index,
		(SELECT count(*) FROM people WHERE city IN ('C1', 'C2')) AS any_of,
		(SELECT count(*) FROM people WHERE city NOT IN ('C1', 'C2')) AS none_of,
		(SELECT count(*) FROM people WHERE NOT (city = 'C1')) AS not_equal,
		(SELECT count(*) FROM generate_series(1, 1000) i WHERE EXISTS (SELECT FROM people WHERE note = 'n' || i)) AS generated_column,
		(SELECT count(*) FROM people WHERE blind_index(city, 'lower') = blind_index('C7', key => 'rotating', normalizer => 'lower')) AS explicit,
		(SELECT count(*) FROM people a JOIN people b ON a.city = b.city) AS self_join;
PREPARE by_ssn(text) AS SELECT id FROM people WHERE ssn = $1;
PREPARE by_city(text) AS SELECT id FROM people WHERE city = $1 ORDER BY id;
PREPARE by_note(text) AS SELECT id FROM people WHERE note = $1;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;	-- what a lookup misses must not be found by chance
SELECT * FROM lookups;
EXECUTE by_ssn('s7');
EXECUTE by_city('C7');
EXECUTE by_note('n7');

\echo -- begin
SELECT pgseal.rotate_index_key('rotating');
SELECT * FROM lookups;
EXPLAIN (COSTS OFF) EXECUTE by_city('C7');
EXECUTE by_ssn('s7');
EXECUTE by_city('C7');
EXECUTE by_note('n7');
SELECT * FROM pgseal.old_indexes ORDER BY index::text;
\echo -- duplicates of rows from before are refused
INSERT INTO people VALUES (1001, 's7');
INSERT INTO people VALUES (1001, 's1001', 'C7', 'n1001');
EXECUTE by_city('C7');
EXECUTE by_note('n1001');
SELECT get_byte(token, 0) AS version, count(*) FROM people GROUP BY 1 ORDER BY 1;
\echo -- not twice, not too early
SELECT pgseal.rotate_index_key('rotating');
SELECT pgseal.retire_index_key('rotating');
REINDEX INDEX CONCURRENTLY people_city;
SELECT * FROM lookups;
SELECT pgseal.retire_index_key('rotating');
REINDEX INDEX people_lower;
SELECT pgseal.retire_index_key('rotating');
UPDATE people SET note = note WHERE get_byte(token, 0) <> 2;
-- (rows from before the update count while a snapshot of anybody's sees them)
DO $$ DECLARE present xid8 := pg_current_xact_id(); BEGIN
	FOR i IN 1..600 LOOP
		COMMIT;
		EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity
			WHERE pid <> pg_backend_pid() AND age(backend_xmin) >= age(present::xid));
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT * FROM lookups;
SELECT pgseal.retire_index_key('rotating');
\echo -- done
SELECT * FROM lookups;
EXPLAIN (COSTS OFF) EXECUTE by_city('C7');
EXECUTE by_ssn('s7');
EXECUTE by_city('C7');
EXECUTE by_note('n7');
SELECT count(*) FROM pgseal_internal.old_index WHERE key = 'rotating';
SELECT version, purpose, retired IS NOT NULL AS retired, destroyed IS NOT NULL AS destroyed
	FROM pgseal.key_versions WHERE key = 'rotating' ORDER BY purpose, version;
SELECT event FROM pgseal.events WHERE key = 'rotating' ORDER BY at, event;

\echo -- rolled back: nothing has happened
BEGIN;
SELECT pgseal.rotate_index_key('rotating');
INSERT INTO people VALUES (1002, 's1002');
EXECUTE by_ssn('s1002');
ROLLBACK;
EXECUTE by_ssn('s7');
EXECUTE by_ssn('s1002');
SELECT count(*) FROM pgseal.old_indexes;
SELECT pgseal.retire_index_key('rotating');

\echo -- what cannot be
SELECT pgseal.rotate_index_key('default');
SELECT pgseal.rotate_index_key('no such key');
CREATE TABLE target (note encrypted_text('rotating'), token bytea GENERATED ALWAYS AS (blind_index(note)) STORED UNIQUE);
SELECT pgseal.rotate_index_key('rotating');
DROP TABLE target;

\echo -- columns of any key, domains, partitions
CREATE DOMAIN rotating AS encrypted_text('rotating');
CREATE TABLE domains (ssn rotating);
CREATE UNIQUE INDEX domains_ssn ON domains (blind_index(ssn));
CREATE TABLE anys (ssn encrypted_text('*'));
CREATE UNIQUE INDEX anys_ssn ON anys (blind_index(ssn));
CREATE TABLE parts (id int, ssn encrypted_text('rotating')) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
CREATE UNIQUE INDEX parts_ssn ON parts (id, blind_index(ssn));
INSERT INTO domains VALUES ('s1');
INSERT INTO anys VALUES (pgseal.seal('s1', 'rotating'));
INSERT INTO parts VALUES (1, 's1'), (2, 's1');
SELECT pgseal.rotate_index_key('rotating');
INSERT INTO domains VALUES ('s1');
INSERT INTO anys VALUES (pgseal.seal('s1', 'rotating'));
INSERT INTO parts VALUES (1, 's1');
SELECT * FROM domains WHERE ssn = 's1';
SELECT * FROM parts WHERE ssn = 's1' ORDER BY id;
SELECT * FROM pgseal.old_indexes ORDER BY index::text;

DROP TABLE people, domains, anys, parts CASCADE;
SELECT pgseal.retire_index_key('rotating');
DROP DOMAIN rotating;
