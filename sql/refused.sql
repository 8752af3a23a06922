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
CREATE TABLE part2 (LIKE part INCLUDING ALL);
SELECT count(*) AS "indexes of the copy" FROM pg_index WHERE indrelid = 'part2'::regclass;

-- Plaintexts in an index, a predicate, a generated column
CREATE INDEX ON t (lower(v));
CREATE INDEX ON t ((n + 1));
CREATE INDEX ON t ((v::text));
CREATE INDEX ON t (id) WHERE v = 'x';
CREATE INDEX ON t (id) WHERE n > 5;
ALTER TABLE t ADD g text GENERATED ALWAYS AS (v) STORED;
ALTER TABLE t ADD g bool GENERATED ALWAYS AS (n > 5) STORED;

-- Partitions by the order of plaintexts
CREATE TABLE pr (v encrypted_int4) PARTITION BY RANGE (v);
CREATE TABLE pr (v encrypted_text) PARTITION BY LIST (v);
CREATE TABLE pr (id int, v encrypted_text) PARTITION BY RANGE (id, (coalesce(v, v)));
CREATE TABLE pr (id int, v comp) PARTITION BY RANGE (v);
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
