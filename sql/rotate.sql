SET pgseal.sealed_input = on;
-- Rotation: new values are sealed by the new version at once, the worker moves
-- the stored ones, and a version that nothing uses any more is retired.
\set VERBOSITY terse
SET client_min_messages = error;
ALTER SYSTEM SET pgseal.worker_interval = 1;
SELECT pg_reload_conf();

-- Waits until re-encryption has nothing left to do
CREATE PROCEDURE rotate_wait() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..600 LOOP
		COMMIT;
		EXIT WHEN NOT EXISTS (
			SELECT FROM pgseal.key_versions n JOIN pgseal.key_versions o USING (key, purpose)
			WHERE n.version > o.version AND o.retired IS NULL AND o.destroyed IS NULL
				AND o.key LIKE 'rotate%');
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;

SELECT pgseal.create_key('rotate_a');
SELECT pgseal.create_key('rotate_b', rotate_every => '180 days');

CREATE DOMAIN rotate_dom AS encrypted_text('rotate_a') CHECK (length(VALUE) < 1000000);
CREATE TYPE rotate_pair AS (plain text, sealed encrypted_int4('rotate_a'));
CREATE TABLE rotate_t (
	id      int PRIMARY KEY,
	a       encrypted_text('rotate_a'),
	b       encrypted_int8('rotate_b'),
	list    encrypted_text('rotate_a')[],
	dom     rotate_dom,
	pair    rotate_pair,
	pairs   rotate_pair[],
	anykey  encrypted_text('*'),
	big     encrypted_text('rotate_a'),
	gone    encrypted_text('rotate_a'),
	token   bytea GENERATED ALWAYS AS (blind_index(a)) STORED
);
ALTER TABLE rotate_t DROP COLUMN gone;
CREATE UNIQUE INDEX rotate_t_a ON rotate_t (blind_index(a));
CREATE INDEX rotate_t_hash ON rotate_t USING hash (a);
CREATE TABLE rotate_child (extra text) INHERITS (rotate_t);
CREATE TABLE rotate_parts (id int, a encrypted_text('rotate_a')) PARTITION BY RANGE (id);
CREATE TABLE rotate_p1 PARTITION OF rotate_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE rotate_p2 PARTITION OF rotate_parts FOR VALUES FROM (10) TO (1000);
CREATE UNLOGGED TABLE rotate_unlogged (a encrypted_text('rotate_a'));

-- No trigger may fire, nor any check be made, when rows are re-encrypted
CREATE TABLE rotate_log (what text);
CREATE FUNCTION rotate_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO rotate_log VALUES (TG_NAME); RETURN NEW; END $$;
CREATE TRIGGER normal BEFORE UPDATE ON rotate_t FOR EACH ROW EXECUTE FUNCTION rotate_trigger();
CREATE TRIGGER always AFTER UPDATE ON rotate_t FOR EACH ROW EXECUTE FUNCTION rotate_trigger();
ALTER TABLE rotate_t ENABLE ALWAYS TRIGGER always;
CREATE RULE no_update AS ON UPDATE TO rotate_parts DO INSTEAD NOTHING;

INSERT INTO rotate_t
	SELECT i, 'a' || i, i::int8, ARRAY['x' || i, NULL, 'y'], 'dom' || i, ROW('p', i)::rotate_pair, ARRAY[ROW('q', -i)::rotate_pair],
		pgseal.seal('any' || i, CASE WHEN i % 2 = 0 THEN 'rotate_a' ELSE 'rotate_b' END),
		CASE WHEN i < 5 THEN repeat(md5(i::text), 500) END
	FROM generate_series(1, 300) i;
INSERT INTO rotate_t (id) VALUES (0);
INSERT INTO rotate_child (id, a, extra) VALUES (1000, 'child', 'e');
INSERT INTO rotate_parts SELECT i, 'p' || i FROM generate_series(1, 50) i;
INSERT INTO rotate_unlogged VALUES ('u');
CREATE MATERIALIZED VIEW rotate_mv AS SELECT id, a FROM rotate_t;
ALTER TABLE rotate_t ADD CHECK (id < 0) NOT VALID;
ALTER TABLE rotate_t ENABLE ROW LEVEL SECURITY;
ALTER TABLE rotate_t FORCE ROW LEVEL SECURITY;
CREATE POLICY rotate_none ON rotate_t USING (false) WITH CHECK (false);

-- What the values are, apart from how they are sealed
CREATE VIEW rotate_values AS
	SELECT id, a::text, b::int8, list::text[] AS list, dom::text, (pair).sealed::int4 AS pair,
		(pairs[1]).sealed::int4 AS pairs, anykey::text, md5(big::text) AS big, token
	FROM rotate_t;
CREATE TABLE rotate_before AS SELECT * FROM rotate_values;
CREATE VIEW rotate_versions AS
	SELECT 'a' AS "column", (pgseal.inspect(a)).* FROM rotate_t
	UNION ALL SELECT 'b', (pgseal.inspect(b)).* FROM rotate_t
	UNION ALL SELECT 'list', (pgseal.inspect(list[1])).* FROM rotate_t
	UNION ALL SELECT 'list', (pgseal.inspect(list[3])).* FROM rotate_t
	UNION ALL SELECT 'dom', (pgseal.inspect(dom)).* FROM rotate_t
	UNION ALL SELECT 'pair', (pgseal.inspect((pair).sealed)).* FROM rotate_t
	UNION ALL SELECT 'pairs', (pgseal.inspect((pairs[1]).sealed)).* FROM rotate_t
	UNION ALL SELECT 'anykey', (pgseal.inspect(anykey)).* FROM rotate_t
	UNION ALL SELECT 'big', (pgseal.inspect(big)).* FROM rotate_t
	UNION ALL SELECT 'mv', (pgseal.inspect(a)).* FROM rotate_mv
	UNION ALL SELECT 'parts', (pgseal.inspect(a)).* FROM rotate_parts
	UNION ALL SELECT 'unlogged', (pgseal.inspect(a)).* FROM rotate_unlogged;

SELECT pgseal.rotate_key('rotate_a');
-- new values at once
SELECT key, version, current FROM pgseal.inspect(pgseal.seal('x'::text, 'rotate_a'));
SELECT pgseal.rotate_key('rotate_b');
SELECT pgseal.rotate_key('rotate_a');
CALL rotate_wait();

-- every value is under the current version
SELECT "column", key, version, current, count(*) FROM rotate_versions WHERE key IS NOT NULL
	GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
-- and is what it was
SELECT count(*) AS lost FROM (TABLE rotate_before EXCEPT TABLE rotate_values) d;
SELECT count(*) AS added FROM (TABLE rotate_values EXCEPT TABLE rotate_before) d;
SELECT count(*) AS triggers_fired FROM rotate_log;
SELECT key, version, retired IS NOT NULL AS retired, destroyed FROM pgseal.key_versions
	WHERE key LIKE 'rotate%' AND purpose = 'data' ORDER BY 1, 2;
SELECT event, key, count(*) FROM pgseal.events WHERE key LIKE 'rotate%' GROUP BY 1, 2 ORDER BY 1, 2;
-- the indexes find them
SET enable_seqscan = off;
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE line text; BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT line;
	END LOOP; END $$;
SELECT * FROM plan($$SELECT id FROM rotate_t WHERE blind_index(a) = blind_index('a7'::text, key => 'rotate_a')$$) AS plan
	WHERE plan !~ '^ *Disabled: true$';	-- so since 18
DROP FUNCTION plan;
SELECT id FROM rotate_t WHERE a = 'a7';
SELECT id FROM rotate_t WHERE blind_index(a) = blind_index('a7'::text, key => 'rotate_a');
RESET enable_seqscan;
INSERT INTO rotate_t (id, a) VALUES (-1, 'a7');

-- What can't be dealt with is named, and keeps the version alive
SELECT pgseal.create_key('rotate_pub');
CREATE TABLE rotate_pub (a encrypted_text('rotate_pub'));
INSERT INTO rotate_pub VALUES ('x');
CREATE PUBLICATION rotate_publication FOR TABLE rotate_pub;
CREATE FOREIGN DATA WRAPPER rotate_fdw;
CREATE SERVER rotate_server FOREIGN DATA WRAPPER rotate_fdw;
CREATE FOREIGN TABLE rotate_foreign (a encrypted_text('rotate_pub')) SERVER rotate_server;
SELECT pgseal.rotate_key('rotate_pub');
DO $$ BEGIN
	FOR i IN 1..300 LOOP
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM pgseal.events WHERE event = 'reencrypt_incomplete' AND key = 'rotate_pub');
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT key, version, "table", phase, detail FROM pgseal.progress_reencrypt WHERE key = 'rotate_pub' AND "table"::text LIKE 'rotate%' ORDER BY "table"::text;
SELECT version, retired FROM pgseal.key_versions WHERE key = 'rotate_pub' AND purpose = 'data' ORDER BY 1;
SELECT pgseal.destroy_version('rotate_pub', 1, 'rotate_pub');
SELECT a FROM rotate_pub;
ALTER TABLE rotate_pub REPLICA IDENTITY FULL;

-- Destroying a retired version that nothing needs
SELECT pgseal.destroy_version('rotate_a', 1, 'nope');
SELECT pgseal.destroy_version('rotate_a', 3, 'rotate_a');
SELECT pgseal.destroy_version('rotate_a', 1, 'rotate_a');
SELECT pgseal.destroy_version('rotate_a', 1, 'rotate_a');
SELECT count(*) AS lost FROM (TABLE rotate_before EXCEPT TABLE rotate_values) d;

-- A value sealed under a retired version, coming back as text, is resealed
CREATE TABLE rotate_back (a encrypted_text('rotate_b'), s encrypted_text('*'));
SET pgseal.transparent = off;
CREATE TEMP TABLE rotate_text AS SELECT textin(pgseal_internal.encrypted_text_out(pgseal.seal('back'::text, 'rotate_b'))) AS t;
RESET pgseal.transparent;
SELECT pgseal.rotate_key('rotate_b');
CALL rotate_wait();
DO $$ BEGIN
	EXECUTE format('INSERT INTO rotate_back VALUES (%L, %L)', (SELECT t FROM rotate_text), (SELECT t FROM rotate_text));
END $$;
SELECT a, s, (pgseal.inspect(a)).current, (pgseal.inspect(s)).current FROM rotate_back;

-- A constant in a stored expression keeps its version
SELECT pgseal.create_key('rotate_const');
DO $$ BEGIN
	EXECUTE format('CREATE TABLE rotate_default (a encrypted_text(%L) DEFAULT %L::encrypted_text(%L))', 'rotate_const',
		(SELECT textin(pgseal_internal.encrypted_text_out(pgseal.seal('const'::text, 'rotate_const')))), '*');
END $$;
SELECT pgseal.rotate_key('rotate_const');
CALL rotate_wait();
\set VERBOSITY default
SELECT pgseal.destroy_version('rotate_const', 1, 'rotate_const');
\set VERBOSITY terse
INSERT INTO rotate_default DEFAULT VALUES;
SELECT a, (pgseal.inspect(a)).current FROM rotate_default;

-- Schedules
SELECT pgseal.alter_key('rotate_b', rotate_every => '-1 day');
SELECT pgseal.alter_key('rotate_b', rewrap_every => '30 days');
SELECT rotate_every, rewrap_every FROM pgseal.keys WHERE name = 'rotate_b';
SELECT pgseal.alter_key('rotate_b', rotate_every => '0');
SELECT rotate_every, rewrap_every FROM pgseal.keys WHERE name = 'rotate_b';
SELECT pgseal.alter_key('rotate_none', rotate_every => '1 day');
SELECT pgseal.create_key('rotate_sched', rotate_every => '1 microsecond');
SELECT pgseal.alter_key('rotate_sched', rewrap_every => '1 microsecond');
DO $$ BEGIN
	FOR i IN 1..300 LOOP
		COMMIT;
		EXIT WHEN (SELECT max(version) > 1 AND bool_or(rewrapped IS NOT NULL) FROM pgseal.key_versions WHERE key = 'rotate_sched');
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT pgseal.alter_key('rotate_sched', rotate_every => '0', rewrap_every => '0');
SELECT max(version) > 1 AS rotated, bool_or(rewrapped IS NOT NULL) AS rewrapped
	FROM pgseal.key_versions WHERE key = 'rotate_sched';
SELECT detail FROM pgseal.events WHERE key = 'rotate_sched' AND event = 'key_rotated' LIMIT 1;

DROP PUBLICATION rotate_publication;
DROP FOREIGN DATA WRAPPER rotate_fdw CASCADE;
DROP MATERIALIZED VIEW rotate_mv CASCADE;
DROP VIEW rotate_values;
DROP TABLE rotate_t, rotate_child, rotate_parts, rotate_unlogged, rotate_log, rotate_before, rotate_pub, rotate_back, rotate_default;
DROP TYPE rotate_pair;
DROP DOMAIN rotate_dom;
DROP FUNCTION rotate_trigger;
DROP PROCEDURE rotate_wait;
ALTER SYSTEM RESET pgseal.worker_interval;
SELECT pg_reload_conf();
