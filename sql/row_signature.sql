--
-- The type row_signature, and the bytes of values that a signature covers.
--
SET client_min_messages = warning;
SELECT 'pgsig:1:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw=='::row_signature;
SELECT pgseal_internal.row_signature_send('pgsig:1:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw==');
SELECT 'x'::row_signature;
SELECT 'pgsig:1:'::row_signature;
SELECT 'pgsig:2:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw=='::row_signature;
SELECT 'pgsig:1:AgAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0ODw=='::row_signature;
SELECT 'pgsig:1:AQAAAAAAAAABAQAAAAAAAAABAAECAwQFBgcICQoLDA0OD='::row_signature;
SELECT typlen, typbyval, typalign, typstorage, typcategory FROM pg_type WHERE typname = 'row_signature';

-- canonical bytes
CREATE FUNCTION pg_temp.bytes(anyelement) RETURNS text LANGUAGE sql AS 'SELECT encode(pgseal_internal.canonical_bytes($1), ''hex'')';
CREATE TYPE pg_temp.pair AS (a int, b text);
CREATE DOMAIN pg_temp.short AS varchar(5);
CREATE TYPE pg_temp.mood AS ENUM ('sad', 'glad');
SELECT pg_temp.bytes(true) AS bool, pg_temp.bytes(1::int2) AS int2, pg_temp.bytes(-1) AS int4, pg_temp.bytes(2::int8) AS int8;
SELECT pg_temp.bytes('ä'::text) AS text, pg_temp.bytes('ä'::varchar) AS varchar, pg_temp.bytes('ä'::char(3)) AS bpchar, pg_temp.bytes('ä'::pg_temp.short) AS domain, pg_temp.bytes(''::text) AS empty;
SELECT pg_temp.bytes(NULL::text) AS "null", pg_temp.bytes('\x00ff'::bytea) AS bytea, pg_temp.bytes(1.50) AS numeric, pg_temp.bytes(1.5::float8) AS float8, pg_temp.bytes('-0'::float4) AS float4;
SELECT pg_temp.bytes('2000-01-02'::date) AS date, pg_temp.bytes('2000-01-01 00:00:01'::timestamp) AS timestamp, pg_temp.bytes('2000-01-01 00:00:01+00'::timestamptz) AS timestamptz, pg_temp.bytes('1 mon 2 days'::interval) AS interval;
SELECT pg_temp.bytes('{"b": 1, "a": "ä"}'::jsonb) AS jsonb, pg_temp.bytes('{"b": 1,  "a": 2}'::json) AS json, pg_temp.bytes('00000000-0000-0000-0000-000000000001'::uuid) AS uuid, pg_temp.bytes('10.0.0.1'::inet) AS inet;
SELECT pg_temp.bytes('{1,NULL}'::int[]) AS array, pg_temp.bytes('[2:2]={x}'::text[]) AS bound, pg_temp.bytes('{}'::text[]) AS empty;
SELECT pg_temp.bytes((1, 'x')::pg_temp.pair) AS row, pg_temp.bytes(ARRAY[(1, NULL)::pg_temp.pair]) AS rows;
SELECT pg_temp.bytes('glad'::pg_temp.mood) AS enum, pg_temp.bytes('[1,3)'::int4range) AS range, pg_temp.bytes('{[1,3)}'::int4multirange) AS multirange, pg_temp.bytes('a:1'::tsvector) AS tsvector, pg_temp.bytes('n'::name) AS name;
SET pgseal.sealed_input = on;
SET pgseal.transparent = off;
SELECT pgseal.create_key('row_signature');
SELECT pg_temp.bytes(pgseal.seal('x'::text, 'row_signature')) ~ '^450000002701' AS sealed;
-- the same for every client and locale
BEGIN;
SELECT pg_temp.bytes('ä'::name) || pg_temp.bytes('ä:1'::tsvector) || pg_temp.bytes('glad'::pg_temp.mood) AS "before" \gset
SET LOCAL client_encoding = latin1;
SELECT :'before' = pg_temp.bytes(chr(228)::name) || pg_temp.bytes((chr(228) || ':1')::tsvector) || pg_temp.bytes('glad'::pg_temp.mood) AS same;
SHOW client_encoding;
SET LOCAL datestyle = 'sql, dmy';
SET LOCAL timezone = 'Asia/Tokyo';
SELECT pg_temp.bytes('2000-01-01 00:00:01+00'::timestamptz);
COMMIT;
-- what has no such bytes
SELECT pg_temp.bytes('pg_class'::regclass);
SELECT pg_temp.bytes(ARRAY['pg_class'::regclass]);
CREATE TYPE pg_temp.ref AS (a regtype);
SELECT pg_temp.bytes(ROW('int'::regtype)::pg_temp.ref);
SELECT pg_temp.bytes(ROW(1, 2));
SELECT pg_temp.bytes((acldefault('r', 10))[1]);

-- one signature is enough
CREATE TABLE signed_twice (id int PRIMARY KEY, v encrypted_text, s row_signature, t row_signature);
CREATE TABLE signed_twice (id int PRIMARY KEY, v encrypted_text, s row_signature);
ALTER TABLE signed_twice ADD t row_signature;
ALTER TABLE signed_twice ADD t text;
CREATE TABLE signed_like (LIKE signed_twice, u row_signature);
SET check_function_bodies = off; -- as in dumps
CREATE TABLE restored_twice (id int PRIMARY KEY, v encrypted_text, s row_signature, t row_signature);
RESET check_function_bodies;
DROP TABLE signed_twice, restored_twice;
