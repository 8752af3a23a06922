-- BRIN on encrypted columns: what it serves, what it refuses, who may use it
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ 'Disabled: true|Recheck Cond|Filter';
		RETURN NEXT regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]*', 'sealed', 'g');
	END LOOP;
END $$;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SELECT pgseal.create_key('brin_a');
CREATE TABLE log (id int, created encrypted_timestamptz('brin_a'), amount encrypted_int4, d encrypted_date, name encrypted_text COLLATE "C", plain int);
INSERT INTO log SELECT g, timestamptz '2024-01-01' + g * interval '1 minute', g, date '2024-01-01' + g / 100, CASE WHEN g % 7 > 0 THEN 'n' || lpad(g::text, 6, '0') END, g FROM generate_series(1, 20000) g;
CREATE INDEX log_created ON log USING brin (created) WITH (pages_per_range = 4);
CREATE INDEX log_two ON log USING brin (amount, plain) WITH (pages_per_range = 4);
CREATE INDEX log_d ON log USING brin (d) WITH (pages_per_range = 4);
CREATE INDEX CONCURRENTLY log_name ON log USING brin (name) WITH (pages_per_range = 4);
SELECT bool_and(amvalidate(oid)) AS valid, count(*) FROM pg_opclass WHERE opcname LIKE 'sealed%minmax_ops';
-- Unchanged SQL, chosen by its cost
SELECT plan($$SELECT id FROM log WHERE created >= '2024-01-03' AND created < '2024-01-03 01:00'$$);
SELECT count(*), min(id) FROM log WHERE created >= '2024-01-03' AND created < '2024-01-03 01:00';
SELECT plan($$SELECT id FROM log WHERE amount > 15000::int8 AND amount < 15010.5$$);
SELECT count(*), min(id) FROM log WHERE amount > 15000::int8 AND amount < 15010.5;
SELECT plan($$SELECT id FROM log WHERE d >= '2024-07-18 00:00'::timestamptz$$);
SELECT count(*), min(id) FROM log WHERE d >= '2024-07-18 00:00'::timestamptz;
SELECT count(*), min(id) FROM log WHERE name BETWEEN 'n000100' AND 'n000200';
SELECT count(*) FROM log WHERE name = 'n000100';
SET plan_cache_mode = force_generic_plan;
PREPARE day(timestamptz, timestamptz) AS SELECT count(*) FROM log WHERE created BETWEEN $1 AND $2;
SELECT plan($$EXECUTE day('2024-01-03', '2024-01-03 01:00')$$);
EXECUTE day('2024-01-03', '2024-01-03 01:00');
EXECUTE day('2034-01-03', NULL);
SET enable_seqscan = off;
SELECT plan('SELECT id FROM log WHERE amount IN (7, 9999)');
SELECT id FROM log WHERE amount IN (7, 9999) ORDER BY id;
SELECT count(*) FROM log WHERE name IS NULL;
-- Upkeep: rows that widen a range, that come to a new one, that go
INSERT INTO log VALUES (0, 'infinity', -5, '-infinity', 'aaa', 0), (0, NULL, NULL, NULL, NULL, NULL);
SELECT id FROM log WHERE created > '2999-01-01' OR amount < 0 OR d < '1900-01-01' OR name < 'b';
UPDATE log SET created = '1990-01-01' WHERE id = 10000;
SELECT id FROM log WHERE created < '2000-01-01';
SELECT brin_desummarize_range('log_created', 0);
SELECT id FROM log WHERE created <= '2024-01-01 00:01' ORDER BY id;
SELECT brin_summarize_range('log_created', 0);
SELECT id FROM log WHERE created <= '2024-01-01 00:01' ORDER BY id;
REINDEX INDEX log_created;
REINDEX INDEX CONCURRENTLY log_name;
SELECT i, misplaced, rows, missing, leaves = entries AS all_bounded FROM unnest('{log_created,log_two,log_d,log_name}'::regclass[]) i, pgseal.verify_index(i);
-- Long values are cut or unbounded, never refused
CREATE TABLE long (id int, c encrypted_text COLLATE "C", l encrypted_text COLLATE "en-US-x-icu", b encrypted_bytea, n encrypted_numeric);
CREATE INDEX long_all ON long USING brin (c, l, b, n) WITH (pages_per_range = 1);
INSERT INTO long SELECT g, t, t, t::bytea, ('1' || repeat('0', g * 100))::numeric
FROM generate_series(1, 20) g, LATERAL (SELECT CASE WHEN g % 2 = 0 THEN repeat(chr(96 + g), 10000) ELSE chr(96 + g) END AS t) s;
SELECT count(brin_summarize_new_values('long_all')) AS summarized;
INSERT INTO long SELECT g + 20, t, t, t::bytea, 5 FROM generate_series(1, 20) g, LATERAL (SELECT repeat(chr(96 + g), 3000 * (g % 2) + 1) AS t) s;
SELECT array_agg(id ORDER BY id) FROM long WHERE c >= repeat('r', 200);
SELECT array_agg(id ORDER BY id) FROM long WHERE c < 'b';
SELECT array_agg(id ORDER BY id) FROM long WHERE l > repeat('r', 200);
SELECT array_agg(id ORDER BY id) FROM long WHERE b > repeat('r', 200)::bytea;
SELECT array_agg(id ORDER BY id) FROM long WHERE n > repeat('9', 1500)::numeric;
SELECT misplaced, rows, missing FROM pgseal.verify_index('long_all');
-- Who may: everybody writes, who has USAGE reads
CREATE ROLE brin_writer;
GRANT ALL ON log TO brin_writer;
SET ROLE brin_writer;
INSERT INTO log VALUES (-1, '1980-01-01', 1, '1980-01-01', 'x', 1);
SELECT plan($$SELECT id FROM log WHERE created < '1985-01-01'$$);
SELECT id FROM log WHERE created < '1985-01-01';
SET pgseal.on_denied = 'null';
SELECT id FROM log WHERE created < '1985-01-01';
RESET pgseal.on_denied;
RESET ROLE;
SELECT id FROM log WHERE created < '1985-01-01';
-- Another index key
SELECT pgseal.rotate_index_key('brin_a');
INSERT INTO log VALUES (-2, '1970-01-01');
SELECT id FROM log WHERE created < '1985-01-01' ORDER BY id;
SELECT pgseal.retire_index_key('brin_a');
SELECT id FROM log WHERE created < '1985-01-01' ORDER BY id;
SELECT misplaced, missing FROM pgseal.verify_index('log_created');
-- Refused
CREATE TABLE anyone (v encrypted_int4('*'), i encrypted_int4, j encrypted_jsonb);
CREATE INDEX ON anyone USING brin (v);
CREATE INDEX ON anyone USING brin ((coalesce(i, i)));
CREATE INDEX ON anyone USING brin (j);
CREATE INDEX ON anyone USING brin (i int4_minmax_multi_ops);
CREATE INDEX ON anyone USING brin (i int4_bloom_ops);
-- Partitions; a column of another key beside
CREATE TABLE parts (id int, s encrypted_int4, t encrypted_int4('brin_a')) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE INDEX ON parts USING brin (s, t);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
INSERT INTO parts SELECT g, g, 2000 - g FROM generate_series(0, 1999) g;
SELECT count(*) FROM parts WHERE s < 1500 AND t < 505;
-- What row security hides shows in no estimate, where the operator isn't leakproof
CREATE FUNCTION num_planned(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE line json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO line;
	RETURN line -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
CREATE TABLE hidden (n encrypted_numeric, s encrypted_numeric, t encrypted_text, who text);
INSERT INTO hidden SELECT g, g, 'value ' || g, CASE WHEN g % 2 = 0 THEN 'brin_reader' END FROM generate_series(1, 5000) g;
CREATE INDEX ON hidden USING brin (n) WITH (pages_per_range = 1);
CREATE INDEX ON hidden USING sealed (s);
CREATE INDEX ON hidden USING sealed (t sealed_trgm_ops);
VACUUM ANALYZE hidden;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON hidden USING (who = current_user);
CREATE ROLE brin_reader;
GRANT SELECT ON hidden TO brin_reader;
GRANT USAGE ON FOREIGN SERVER local_keyring TO brin_reader;
SELECT num_planned('SELECT FROM hidden WHERE n > 10') > 4000 AS by_brin, num_planned('SELECT FROM hidden WHERE s > 10') > 4000 AS by_sealed,
	num_planned($$SELECT FROM hidden WHERE t LIKE '%value%'$$) > 4000 AS by_trigrams;
SET ROLE brin_reader;
SELECT num_planned('SELECT FROM hidden WHERE n > 10') = num_planned('SELECT FROM hidden WHERE n > 4990') AS by_brin,
	num_planned('SELECT FROM hidden WHERE s > 10') = num_planned('SELECT FROM hidden WHERE s > 4990') AS by_sealed,
	num_planned($$SELECT FROM hidden WHERE t LIKE '%value%'$$) = num_planned($$SELECT FROM hidden WHERE t LIKE '%value 4999%'$$) AS by_trigrams;
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM brin_reader;
DROP TABLE hidden;
DROP FUNCTION num_planned;
DROP ROLE brin_reader;
-- An index on networks doesn't stay what it is, and that is said
CREATE TABLE networks (ip inet, other inet, n int);
CREATE TABLE subnetworks () INHERITS (networks);
CREATE INDEX ON networks USING brin (n, ip);
CREATE INDEX ON subnetworks USING brin (ip);
ALTER TABLE networks ALTER n TYPE int8, ALTER ip TYPE encrypted_inet('brin_a');
ALTER TABLE networks ALTER other TYPE encrypted_inet('brin_a');
DROP TABLE networks CASCADE;
-- Erased
SELECT pgseal.destroy_key('brin_a', 'brin_a', force => true);
SELECT id FROM log WHERE created < '1985-01-01';
UPDATE log SET plain = 1 WHERE id = 5;
SELECT count(*) FROM log WHERE amount BETWEEN 5 AND 6;
DROP TABLE log, long, anyone, parts;
DROP FUNCTION plan;
DROP ROLE brin_writer;
