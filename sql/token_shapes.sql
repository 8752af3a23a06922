-- However a stored expression of tokens is written, rotation, lookups and
-- privileges see it
SELECT pgseal.create_key('ts_k') IS NOT NULL AS made;
CREATE DOMAIN ts_domain AS encrypted_text('ts_k');
CREATE TABLE ts_named (id int, ssn encrypted_text('ts_k'));
CREATE UNIQUE INDEX ts_named_ssn ON ts_named (blind_index(value => ssn));
CREATE TABLE ts_bits (id int, ssn encrypted_text('ts_k'));
CREATE INDEX ts_bits_ssn ON ts_bits (blind_index(bits => 12, value => ssn));
CREATE TABLE ts_collated (id int, ssn encrypted_text('ts_k'));
CREATE UNIQUE INDEX ts_collated_ssn ON ts_collated (blind_index(ssn COLLATE "C"));
CREATE TABLE ts_domained (id int, ssn ts_domain);
CREATE UNIQUE INDEX ts_domained_ssn ON ts_domained (blind_index(value => ssn));
CREATE TABLE ts_partial (id int, ssn encrypted_text('ts_k'));
CREATE INDEX ts_partial_id ON ts_partial (id) WHERE blind_index(value => ssn) IS NOT NULL;
CREATE TABLE ts_like (LIKE ts_named INCLUDING ALL);
INSERT INTO ts_named SELECT g, 's' || g FROM generate_series(1, 50) g;
INSERT INTO ts_bits SELECT * FROM ts_named;
INSERT INTO ts_collated SELECT * FROM ts_named;
INSERT INTO ts_domained SELECT * FROM ts_named;
INSERT INTO ts_partial SELECT * FROM ts_named;
INSERT INTO ts_like SELECT * FROM ts_named;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM ts_named WHERE ssn = 's7'::text;
EXPLAIN (COSTS OFF) SELECT id FROM ts_bits WHERE ssn = 's7'::text;
EXPLAIN (COSTS OFF) SELECT id FROM ts_collated WHERE ssn = 's7'::text;
EXPLAIN (COSTS OFF) SELECT id FROM ts_domained WHERE ssn = 's7'::text;
-- what can't be rotated is refused with the reason
CREATE TABLE ts_parts (id int, ssn encrypted_text('ts_k')) PARTITION BY HASH (blind_index(ssn));
SELECT pgseal.rotate_index_key('ts_k');
DROP TABLE ts_parts;
CREATE FUNCTION ts_wrapper(encrypted_text) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT blind_index($1)';
CREATE TABLE ts_wrapped (id int, ssn encrypted_text('ts_k'));
CREATE UNIQUE INDEX ts_wrapped_ssn ON ts_wrapped (ts_wrapper(ssn));
SELECT pgseal.rotate_index_key('ts_k');
DROP TABLE ts_wrapped;
CREATE TABLE ts_wrapped (id int, ssn encrypted_text('ts_k'), token bytea GENERATED ALWAYS AS (ts_wrapper(ssn)) STORED);
SELECT pgseal.rotate_index_key('ts_k');
DROP TABLE ts_wrapped;
CREATE TABLE ts_generated (id int, ssn encrypted_text('ts_k'), token bytea GENERATED ALWAYS AS (blind_index(value => ssn COLLATE "C")) STORED UNIQUE);
SELECT pgseal.rotate_index_key('ts_k');
DROP TABLE ts_generated;
-- the rest is
SELECT pgseal.rotate_index_key('ts_k');
SELECT pgseal.retire_index_key('ts_k');
REINDEX INDEX ts_bits_ssn;
REINDEX INDEX ts_partial_id;
SELECT pgseal.retire_index_key('ts_k');
-- and every table has one of each still
INSERT INTO ts_named VALUES (0, 's7') ON CONFLICT (ssn) DO NOTHING RETURNING id;
INSERT INTO ts_like VALUES (0, 's7') ON CONFLICT (ssn) DO NOTHING RETURNING id;
INSERT INTO ts_domained VALUES (0, 's7') ON CONFLICT (ssn) DO NOTHING RETURNING id;
INSERT INTO ts_collated VALUES (0, 's7') ON CONFLICT (ssn) DO NOTHING RETURNING id;
SELECT id FROM ts_named WHERE ssn = 's7' UNION ALL SELECT id FROM ts_bits WHERE ssn = 's7' UNION ALL SELECT id FROM ts_collated WHERE ssn = 's7'
UNION ALL SELECT id FROM ts_domained WHERE ssn = 's7' UNION ALL SELECT id FROM ts_like WHERE ssn = 's7';
RESET enable_seqscan;
DROP TABLE ts_named, ts_bits, ts_collated, ts_domained, ts_partial, ts_like;
DROP FUNCTION ts_wrapper(encrypted_text);
DROP DOMAIN ts_domain;
