SET pgseal.allow_decryption = on;
--
-- What would store the order, the frequencies or the values of plaintexts, or
-- lose a key, is refused, and the message says what to do instead.
--
SET client_min_messages = warning;
CREATE SCHEMA refused;
SET search_path = refused, public;
CREATE TABLE t (id int UNIQUE, v encrypted_text, n encrypted_int4, a encrypted_text[], b encrypted_bytea, j encrypted_jsonb);
CREATE TYPE comp AS (v encrypted_text, n int);
CREATE TABLE c (id int, c comp, l comp[]);
CREATE DOMAIN dom AS encrypted_int4;
CREATE TABLE d (id int, d dom, a dom[]);

-- Indexes that hold an order
CREATE INDEX ON t (v);
\echo :LAST_ERROR_SQLSTATE
CREATE UNIQUE INDEX ON t (v);
CREATE INDEX ON t (id, n);
CREATE INDEX CONCURRENTLY broken ON t (v);
DROP INDEX IF EXISTS broken;
CREATE INDEX ON t USING brin (n);
CREATE INDEX ON t USING gin (a);
CREATE INDEX ON t USING btree (a);
CREATE INDEX ON c (c);
CREATE INDEX ON c (l);
CREATE INDEX ON d (d);
CREATE INDEX ON d (a);
CREATE INDEX ON t ((coalesce(v, v)));
CREATE INDEX ON t ((a[1]));
CREATE INDEX ON t (v) WHERE id > 5;
ALTER TABLE t ADD PRIMARY KEY (v);
ALTER TABLE t ADD UNIQUE (id, n);
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE (v WITH =);
CREATE TABLE t2 (v encrypted_text PRIMARY KEY);
CREATE TABLE t2 (v encrypted_text UNIQUE);
CREATE TABLE t2 (id int, v encrypted_text, UNIQUE (id, v));
CREATE TABLE t2 (v encrypted_text, EXCLUDE (v WITH =));
CREATE TABLE t2 (v encrypted_text REFERENCES t (v));
SELECT to_regclass('t2') IS NULL AS "nothing was made";
CREATE TEMP TABLE t2 (v encrypted_text PRIMARY KEY);
CREATE UNLOGGED TABLE t2 (v encrypted_text UNIQUE NULLS NOT DISTINCT);
CREATE TABLE t2 AS SELECT v FROM t;
ALTER TABLE t2 ADD PRIMARY KEY (v);
CREATE MATERIALIZED VIEW m2 AS SELECT v FROM t;
CREATE UNIQUE INDEX ON m2 (v);
DROP MATERIALIZED VIEW m2;
DROP TABLE t2;
-- with an operator class that is named, or of one's own, whatever it stores
CREATE INDEX ON t (v encrypted_text_ops);
CREATE INDEX ON t (v text_ops);
CREATE INDEX ON t USING brin (n int4_minmax_ops);
CREATE INDEX ON t USING gist (v);
CREATE INDEX ON t USING spgist (v);
CREATE OPERATOR CLASS own_ops FOR TYPE encrypted_text USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 pgseal_internal.cmp(encrypted_text, encrypted_text);
CREATE INDEX ON t (v own_ops);
CREATE FUNCTION own_extract(encrypted_text, internal, internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'ginarrayextract';
CREATE FUNCTION own_query(encrypted_text, internal, int2, internal, internal, internal, internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'ginqueryarrayextract';
CREATE FUNCTION own_consistent(internal, int2, encrypted_text, int4, internal, internal, internal, internal) RETURNS bool LANGUAGE internal IMMUTABLE AS 'ginarrayconsistent';
CREATE OPERATOR CLASS own_gin_ops FOR TYPE encrypted_text USING gin AS OPERATOR 1 =, FUNCTION 1 bttextcmp(text, text), FUNCTION 2 own_extract(encrypted_text, internal, internal),
	FUNCTION 3 own_query(encrypted_text, internal, int2, internal, internal, internal, internal),
	FUNCTION 4 own_consistent(internal, int2, encrypted_text, int4, internal, internal, internal, internal), STORAGE text;
CREATE INDEX ON t USING gin (v own_gin_ops);
-- of an index that is there already, and one that waits for partitions
CREATE TABLE u (id int, v text);
CREATE UNIQUE INDEX u_v ON u (v);
ALTER TABLE u ADD CONSTRAINT u_v UNIQUE USING INDEX u_v, ALTER v TYPE encrypted_text;
DROP TABLE u;
-- by ALTER COLUMN TYPE of an indexed column
CREATE TABLE plain (id int, v text);
CREATE INDEX plain_v ON plain (v);
CREATE STATISTICS plain_s ON id, v FROM plain;
ALTER TABLE plain ALTER v TYPE encrypted_text;
DROP INDEX plain_v;
ALTER TABLE plain ALTER v TYPE encrypted_text;
DROP STATISTICS plain_s;
ALTER TABLE plain ALTER v TYPE encrypted_text;
-- partitioned, and by LIKE
CREATE TABLE part (id int, v encrypted_text) PARTITION BY LIST (id);
CREATE INDEX ON part (v);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE INDEX ON part (id) INCLUDE (v);
CREATE INDEX ON part USING hash (v);
CREATE INDEX only_parent ON ONLY part (v);
CREATE INDEX only_parent ON ONLY part (blind_index(v));
CREATE INDEX part1_plain ON part1 (id);
ALTER INDEX only_parent ATTACH PARTITION part1_plain;
CREATE INDEX part1_blind ON part1 (blind_index(v));
ALTER INDEX only_parent ATTACH PARTITION part1_blind;
CREATE TABLE part3 (id int, v encrypted_text('refused.part'));
ALTER TABLE part ATTACH PARTITION part3 FOR VALUES IN (3);
CREATE TABLE part2 (LIKE part INCLUDING ALL);
SELECT count(*) AS "indexes of the copy" FROM pg_index WHERE indrelid = 'part2'::regclass;

-- Plaintexts in an index, a predicate, a generated column
CREATE INDEX ON t (lower(v));
CREATE INDEX ON t ((n + 1));
CREATE INDEX ON t ((v::text));
CREATE INDEX ON t (id) WHERE v = 'x';
CREATE INDEX ON t (id) WHERE n > 5;
-- arrays: what compares them isn't immutable, what else PostgreSQL has for them is
CREATE INDEX ON t ((a < '{m}'));
CREATE INDEX ON t ((a @> '{m}'));
CREATE INDEX ON t ((array_position(a, 'm')));
CREATE INDEX ON t (id) WHERE a @> '{m}';
CREATE INDEX ON t (id) WHERE a = '{m}';
ALTER TABLE t ADD g bool GENERATED ALWAYS AS (a < '{m}') STORED;
CREATE INDEX ON t (cardinality(a)) WHERE num_nulls(v) = 0;
-- a function that says it is immutable is believed, but not silently
CREATE FUNCTION first_letter(encrypted_text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN left($1, 1); END';
CREATE INDEX ON t (first_letter(v));
CREATE INDEX ON t (id) WHERE first_letter(v) = 'x';
ALTER TABLE t ADD g text GENERATED ALWAYS AS (first_letter(v)) STORED;
ALTER TABLE t DROP g;
DROP FUNCTION first_letter CASCADE;
ALTER TABLE t ADD g text GENERATED ALWAYS AS (v) STORED;
ALTER TABLE t ADD g bool GENERATED ALWAYS AS (n > 5) STORED;

-- Partitions by the order of plaintexts
CREATE TABLE pr (v encrypted_int4) PARTITION BY RANGE (v);
CREATE TABLE pr (v encrypted_text) PARTITION BY LIST (v);
CREATE TABLE pr (id int, v encrypted_text) PARTITION BY RANGE (id, (coalesce(v, v)));
CREATE TABLE pr (id int, v comp) PARTITION BY RANGE (v);
CREATE TABLE pr (id int, a encrypted_text[]) PARTITION BY LIST (a);
CREATE TABLE pr (v encrypted_text) PARTITION BY LIST ((v::text));
SELECT to_regclass('pr') IS NULL AS "nothing was made";
CREATE TABLE ph (id int, v encrypted_text) PARTITION BY HASH (v);
CREATE TABLE ph1 PARTITION OF ph FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE ph2 PARTITION OF ph FOR VALUES WITH (modulus 2, remainder 1);
INSERT INTO ph SELECT i, i::text FROM generate_series(1, 20) i;
SELECT count(DISTINCT tableoid) AS partitions, count(*) AS "rows", bool_and(v = id::text) AS readable FROM ph;
SELECT id FROM ph WHERE v = '7';

-- Ranges
CREATE TYPE rng AS RANGE (subtype = encrypted_int4);

-- Statistics
CREATE STATISTICS s ON id, v FROM t;
\echo :LAST_ERROR_SQLSTATE
CREATE STATISTICS s (mcv) ON (coalesce(v, v)), id FROM t;
CREATE STATISTICS s ON (id + 1), (n IS NULL) FROM t;
CREATE STATISTICS ok ON (id + 1), (id + 2) FROM t;
INSERT INTO t SELECT i, 'v' || i % 3, i % 3, ARRAY['v' || i % 3], 'b', '{}' FROM generate_series(1, 50) i;
INSERT INTO c SELECT i, ROW(pgseal.seal('v' || i % 3, 'refused.comp'), 1)::comp, ARRAY[ROW(pgseal.seal('v' || i % 3, 'refused.comp'), 1)::comp] FROM generate_series(1, 50) i;
INSERT INTO d SELECT i, i % 3, ARRAY[i % 3]::dom[] FROM generate_series(1, 50) i;
ALTER TABLE t ALTER a SET STATISTICS 100;
CREATE TABLE ctas AS SELECT a, ROW(v, 1)::comp AS c FROM t;
CREATE MATERIALIZED VIEW mv AS SELECT array_agg(v) AS a, id % 2 AS id FROM t GROUP BY 2;
ALTER TABLE d ADD late encrypted_int4[] DEFAULT '{1,2}', ADD later comp DEFAULT '(1,2)';
ALTER TABLE part ADD late encrypted_int4[];
INSERT INTO part VALUES (1, 'x', '{1}'), (1, 'x', '{1}');
ANALYZE t, c, d, ctas, mv, part;
SELECT tablename, attname, null_frac IS NOT NULL AS "null fraction", avg_width > 38 AS width,
	coalesce(most_common_vals::text, histogram_bounds::text, most_common_elems::text, most_common_freqs::text,
		most_common_elem_freqs::text, elem_count_histogram::text, correlation::text) IS NULL AS "nothing of values"
	FROM pg_stats WHERE schemaname = 'refused' AND attname <> 'id' ORDER BY 1, 2;

-- What may be
CREATE INDEX ON t USING hash (v);
CREATE INDEX ON t (id) INCLUDE (v);
CREATE INDEX ON t (id) WHERE v IS NOT NULL;
\set VERBOSITY terse
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING hash (n WITH =);
DELETE FROM t WHERE id > 3;
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING hash (n WITH =);
INSERT INTO t (id, n) VALUES (100, 2);
ALTER TABLE t ADD CHECK (n < 1000);
INSERT INTO t (id, n) VALUES (100, 1000);
INSERT INTO t (id, v) VALUES (1, 'secret');
\set VERBOSITY default
-- what their details say is sealed
CREATE FUNCTION detail_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN regexp_replace(detail, 'pgseal:1:[A-Za-z0-9+/=]+(\.\.\.)?', '<sealed>', 'g');
END $$;
SELECT detail_of('INSERT INTO t (id, n) VALUES (100, 2)');
SELECT detail_of('INSERT INTO t (id, n) VALUES (100, 1000)');
SELECT detail_of('INSERT INTO t (id, v, a) VALUES (1, ''secret'', ''{secret}'')');

-- A blind index stays in the way of a type that has none
CREATE TABLE blind (id int, v encrypted_text);
CREATE INDEX blind_v ON blind (blind_index(v, 'lower'));
ALTER TABLE blind ALTER v TYPE text;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE blind ALTER v TYPE int USING length(v);
ALTER TABLE blind ALTER v TYPE encrypted_text('refused_other');
DROP INDEX blind_v;
CREATE INDEX blind_id ON blind (id) WHERE blind_index(v) IS NOT NULL;
ALTER TABLE blind ALTER v TYPE text;
ALTER TABLE blind ALTER id TYPE bigint;
DROP INDEX blind_id;
ALTER TABLE blind ALTER v TYPE text;

-- Keys
CREATE TABLE k (v encrypted_text('a', 'b'));
CREATE TABLE k (v encrypted_text(''));
CREATE TABLE k (v encrypted_text('default'));
CREATE TABLE k (v encrypted_text('#37a8eec1'));
CREATE TABLE k (v encrypted_text('#00000000'));
CREATE TABLE k (v encrypted_text('#nohash'));
SELECT repeat('k', 256) AS long \gset
\set VERBOSITY terse
CREATE TABLE k (v encrypted_text(:'long'));
SELECT pgseal.create_key(:'long');
\set VERBOSITY default
SELECT pgseal.create_key('');
SELECT pgseal.create_key('*');
SELECT pgseal.create_key(NULL);
SELECT pgseal.create_key('refused_k', server => 'no such server');
SELECT pgseal.create_key('refused_k');
SELECT pgseal.create_key('refused_k');
\echo :LAST_ERROR_SQLSTATE
SELECT pgseal.rotate_key('no such key');
\echo :LAST_ERROR_SQLSTATE
SELECT 'x'::encrypted_text('no such key');
SELECT pgseal.seal('x'::text, 'no such key');
DROP SERVER local_keyring;
\echo :LAST_ERROR_SQLSTATE
DROP SERVER local_keyring CASCADE;
DROP FOREIGN DATA WRAPPER local_keyring CASCADE;
\set VERBOSITY terse
DROP EXTENSION pgseal;
\set VERBOSITY default

SET client_min_messages = error;
DROP SCHEMA refused CASCADE;
