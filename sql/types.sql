SET pgseal.sealed_input = on;
--
-- Every encrypted type: input, output, send, receive, and what is refused.
--
SET client_min_messages = warning;
CREATE SCHEMA types;
SET search_path = types, public;

-- The operator classes are complete (those of btree but for the base type with itself)
SELECT opcname FROM pg_opclass WHERE opcname LIKE 'encrypted%\_hash\_ops' AND NOT amvalidate(oid);
SELECT amname, count(*) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcname LIKE 'encrypted%' AND opcdefault GROUP BY 1 ORDER BY 1;
SELECT count(*) AS types FROM pg_type WHERE typname LIKE 'encrypted\_%' AND typinput::text LIKE '%encrypted%';

-- Values of each type come back exactly as they went in, by every way
CREATE TABLE samples (type text, value text);
INSERT INTO samples VALUES
	('text', ''), ('text', 'a'), ('text', E'line\nbreak\ttab\\'), ('text', '☃ 𝄞 é'), ('text', 'pgseal'), ('text', 'pgseal:x:1'), ('text', 'PGSEAL:1:x'),
	('text', ' pgseal:1:x'), ('text', 'pgseal::'), ('text', repeat('x', 3000)), ('text', '{"a,b"}'), ('text', 'NULL'),
	('bytea', ''), ('bytea', '\x00'), ('bytea', '\xdeadbeef'), ('bytea', 'abc'),
	('bool', 't'), ('bool', 'f'),
	('int2', '-32768'), ('int2', '32767'), ('int2', '0'),
	('int4', '-2147483648'), ('int4', '2147483647'), ('int4', '0'), ('int4', '-1'),
	('int8', '-9223372036854775808'), ('int8', '9223372036854775807'),
	('float4', '1.1'), ('float4', '-0'), ('float4', 'NaN'), ('float4', 'Infinity'), ('float4', '1e-45'),
	('float8', '0.1'), ('float8', '-0'), ('float8', 'NaN'), ('float8', '-Infinity'), ('float8', '5e-324'), ('float8', '1.7976931348623157e+308'),
	('numeric', '0'), ('numeric', '1.50'), ('numeric', '-1.500'), ('numeric', 'NaN'), ('numeric', 'Infinity'), ('numeric', '-Infinity'),
	('numeric', '123456789012345678901234567890.123456789012345678901234567890'), ('numeric', '1e-300'),
	('date', '2000-01-01'), ('date', '4713-01-01 BC'), ('date', '5874897-12-31'), ('date', 'infinity'), ('date', '-infinity'),
	('time', '00:00:00'), ('time', '24:00:00'), ('time', '12:34:56.789012'),
	('timestamp', '2000-01-01 00:00:00'), ('timestamp', '4713-01-01 00:00:00 BC'), ('timestamp', 'infinity'), ('timestamp', '2024-02-29 23:59:59.999999'),
	('timestamptz', '2000-01-01 00:00:00+00'), ('timestamptz', '-infinity'), ('timestamptz', '2024-02-29 23:59:59.999999+14'),
	('interval', '1 mon -1 days 01:00:00'), ('interval', '0'), ('interval', '178000000 years'), ('interval', '-00:00:00.000001'),
	('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('uuid', '00000000-0000-0000-0000-000000000000'),
	('inet', '192.168.0.1'), ('inet', '192.168.0.1/24'), ('inet', '::1'), ('inet', '2001:db8::/32'), ('inet', '0.0.0.0/0'),
	('jsonb', '{}'), ('jsonb', 'null'), ('jsonb', '"x"'), ('jsonb', '{"b": 1.50, "a": [1, null, true, {"x": "☃"}]}'), ('jsonb', '[]');

CREATE FUNCTION round_trips(type text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format($q$
		WITH sealed(way, v) AS (
			SELECT 'literal', %1$L::encrypted_%2$s
			UNION ALL SELECT 'cast', %1$L::%2$s::encrypted_%2$s
			UNION ALL SELECT 'seal()', pgseal.seal(%1$L::%2$s, 'types_k')
			UNION ALL SELECT 'column key', %1$L::encrypted_%2$s::encrypted_%2$s('types_k')
			UNION ALL SELECT 'text form', pgseal_internal.encrypted_%2$s_in(pgseal_internal.encrypted_%2$s_out(%1$L::encrypted_%2$s), 'encrypted_%2$s'::regtype, -1)
		)
		SELECT string_agg(way, ', ') FROM sealed
		WHERE v::%2$s::text IS DISTINCT FROM %1$L::%2$s::text OR NOT v = %1$L::%2$s OR v <> %1$L::%2$s
			OR pgseal_internal.cmp(v, v) <> 0 OR pgseal.try_open(v)::text IS DISTINCT FROM %1$L::%2$s::text
			OR pgseal_internal.encrypted_%2$s_out(v)::text !~ '^pgseal:1:[A-Za-z0-9+/]+=*$'
			OR length(pgseal_internal.encrypted_%2$s_send(v)) < 38
			OR (pgseal.inspect(v)).bytes <> length(pgseal_internal.encrypted_%2$s_send(v)) $q$, value, type) INTO result;
	RETURN coalesce('not by ' || result, 'ok');
END $$;
SELECT pgseal.create_key('types_k');
SELECT type, count(*), round_trips(type, value) FROM samples GROUP BY 1, 3 ORDER BY min(ctid);
-- strict
SELECT NULL::text::encrypted_text IS NULL AND NULL::encrypted_text::text IS NULL AND pgseal.inspect(NULL::encrypted_text) IS NULL AS "null stays null";
-- sealing twice gives two values; sizes
SELECT pgseal_internal.encrypted_text_out('x'::encrypted_text)::text <> pgseal_internal.encrypted_text_out('x'::encrypted_text)::text AS "fresh nonces";
SELECT count(DISTINCT substr(pgseal_internal.encrypted_int4_send(i::encrypted_int4), 11, 12)) AS nonces FROM generate_series(1, 1000) i;
SELECT (pgseal.inspect(''::encrypted_text)).bytes AS empty, (pgseal.inspect(1::encrypted_int4)).bytes AS int4,
	(pgseal.inspect('2000-01-01'::encrypted_date)).bytes AS date, (pgseal.inspect(true::encrypted_bool)).bytes AS bool;

-- Malformed plaintext is refused as the base type does
SELECT 'x'::encrypted_int4;
\echo :LAST_ERROR_SQLSTATE
SELECT '70000'::encrypted_int2;
\echo :LAST_ERROR_SQLSTATE
SELECT '{'::encrypted_jsonb;
SELECT '2024-02-30'::encrypted_date;
SELECT ''::encrypted_bool;

-- Sealed text: malformed, truncated, extended, of another format, flag or type
CREATE FUNCTION input_of(text, type text DEFAULT 'encrypted_text') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT %L::%s::text', $1, type) INTO $1;
	RETURN 'opened';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{16}', '<id>');
END $$;
CREATE FUNCTION with_bytes(bytea) RETURNS text LANGUAGE SQL RETURN 'pgseal:1:' || translate(encode($1, 'base64'), E'\n', '');
CREATE TABLE s AS SELECT pgseal_internal.encrypted_text_send(v) AS bytes, pgseal_internal.encrypted_text_out(v)::text AS form FROM (SELECT pgseal.seal('a value'::text, 'types_k')) x(v);
SELECT what, input_of(v.form) FROM s, LATERAL (VALUES
	(1, 'as it is', form),
	(2, 'prefix only', 'pgseal:1:'),
	(3, 'not base64', 'pgseal:1:!!!!'),
	(4, 'blank', form || ' '),
	(5, 'newline', 'pgseal:1:' || E'\n' || substr(form, 10)),
	(6, 'cut by a character', left(form, -1)),
	(7, 'cut by four', left(form, -4)),
	(8, 'extended', form || 'AAAA'),
	(9, 'padding in the middle', overlay(form PLACING '=' FROM 20)),
	(10, 'later text format', 'pgseal:2:' || substr(form, 10)),
	(11, 'no payload, no tag', with_bytes(substr(bytes, 1, 37))),
	(12, 'header only', with_bytes(substr(bytes, 1, 10))),
	(13, 'one byte', with_bytes('\x01')),
	(14, 'no byte', with_bytes('')),
	(15, 'format 0', with_bytes(set_byte(bytes, 0, 0))),
	(16, 'format 2', with_bytes(set_byte(bytes, 0, 2))),
	(17, 'unknown flag', with_bytes(set_byte(bytes, 1, get_byte(bytes, 1) | 64))),
	(18, 'compressed', with_bytes(set_byte(bytes, 1, get_byte(bytes, 1) | 128))),
	(19, 'type 0', with_bytes(set_byte(bytes, 1, 0))),
	(20, 'type 31', with_bytes(set_byte(bytes, 1, 31))),
	(21, 'type int4', with_bytes(set_byte(bytes, 1, 5))),
	(22, 'type bytea', with_bytes(set_byte(bytes, 1, 2))),
	(23, 'other key version', with_bytes(set_byte(bytes, 9, get_byte(bytes, 9) # 1))),
	(24, 'nonce', with_bytes(set_byte(bytes, 10, get_byte(bytes, 10) # 1))),
	(25, 'payload', with_bytes(set_byte(bytes, 22, get_byte(bytes, 22) # 1))),
	(26, 'tag', with_bytes(set_byte(bytes, length(bytes) - 1, get_byte(bytes, length(bytes) - 1) # 1))),
	(27, 'a byte more', with_bytes(bytes || '\x00')),
	(28, 'a byte less', with_bytes(substr(bytes, 1, length(bytes) - 1)))) v(n, what, form)
	ORDER BY n \g (format=unaligned tuples_only=on)
-- any flipped bit: never opened, and always one of these errors
SELECT left(input_of(with_bytes(set_bit(bytes, i, 1 - get_bit(bytes, i)))), 5) AS sqlstate, count(*) AS bits
	FROM s, generate_series(0, length(bytes) * 8 - 1) i GROUP BY 1 ORDER BY 1;
-- any length
SELECT left(input_of(with_bytes(substr(bytes, 1, n))), 5) AS sqlstate, min(n), max(n)
	FROM s, generate_series(0, length(bytes)) n GROUP BY 1 ORDER BY 2;
-- random bytes
SELECT left(input_of(with_bytes('\x0101' || decode(md5(i::text) || md5((-i)::text) || md5((i * 7)::text), 'hex'))), 5) AS sqlstate, count(*)
	FROM generate_series(1, 200) i GROUP BY 1;
-- a value under a version that is not a data key
SELECT input_of(with_bytes(overlay(bytes PLACING decode(lpad(key_version_id, 16, '0'), 'hex') FROM 3)))
	FROM s, pgseal.key_versions WHERE key = 'types_k' AND purpose = 'index';
-- the types' forms don't mix
SELECT input_of(form, 'encrypted_' || t) FROM s, unnest(ARRAY['bytea', 'int4', 'jsonb', 'uuid']) t;

-- Tampered values are refused where they come in ...
CREATE TABLE tampered (id int, v encrypted_text('types_k'));
\getenv dir PG_ABS_BUILDDIR
\set file :dir '/results/types.data'
COPY (SELECT 1, with_bytes(set_byte(bytes, 25, get_byte(bytes, 25) # 1)) FROM s UNION ALL SELECT 2, form FROM s) TO :'file';
COPY tampered FROM :'file';
-- ... but what isn't opened isn't looked into: what lies on a tampered disk can be shown
CREATE CAST (bytea AS encrypted_text) WITHOUT FUNCTION;
INSERT INTO tampered SELECT 1, set_byte(bytes, 25, get_byte(bytes, 25) # 1)::encrypted_text FROM s UNION ALL SELECT 2, bytes::encrypted_text FROM s;
DROP CAST (bytea AS encrypted_text);
SELECT count(*), count((pgseal.inspect(v)).key) FROM tampered;
SELECT v FROM tampered WHERE id = 2;
SELECT v FROM tampered;
\echo :LAST_ERROR_SQLSTATE
SELECT id FROM tampered WHERE v = 'a value';
SELECT pgseal.try_open(v) FROM tampered;
CREATE INDEX ON tampered USING hash (v);
UPDATE tampered SET v = 'healed' WHERE id = 1;
SELECT v FROM tampered ORDER BY id;

-- Binary: an envelope, or the base type's binary form, and nothing between
CREATE TABLE bin (v encrypted_text);
CREATE TABLE as_bytea (v bytea);
CREATE FUNCTION receive(file text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COPY bin FROM %L (FORMAT binary)', file);
	RETURN 'received';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{16}', '<id>');
END $$;
CREATE FUNCTION copied(bytes bytea, file text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE as_bytea;
	INSERT INTO as_bytea VALUES (bytes);
	EXECUTE format('COPY as_bytea TO %L (FORMAT binary)', file);
	RETURN receive(file);
END $$;
SELECT copied(bytes, :'file') AS sealed, copied('plaintext', :'file') AS plain, copied('', :'file') AS empty, copied('\x01', :'file') AS short,
	copied('\x01' || bytes, :'file') AS shifted, copied(set_byte(bytes, 1, 5), :'file') AS int4, copied(set_byte(bytes, 0, 2), :'file') AS format,
	copied(set_byte(bytes, 30, get_byte(bytes, 30) # 1), :'file') AS tampered FROM s \gx
SELECT pgseal.try_open(v) AS received FROM bin ORDER BY 1;
CREATE TABLE base_values (t text, y bytea, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, d date, ti time, ts timestamp,
	tz timestamptz, iv interval, u uuid, ip inet, j jsonb);
INSERT INTO base_values VALUES (repeat('ä', 30), '\x0102', true, -2, 4, 8, 4.5, 8.5, 'NaN', '2024-02-29', '12:00', 'infinity', '2024-02-29 12:00+00', '1 mon -1 day',
	'123e4567-e89b-12d3-a456-426614174000', '2001:db8::/32', '"a string of more than the bytes that an envelope has"');
INSERT INTO base_values (t, y, b) VALUES ('', '', false), (NULL, NULL, NULL);
CREATE TABLE sealed_values (t encrypted_text, y encrypted_bytea, b encrypted_bool, i2 encrypted_int2, i4 encrypted_int4, i8 encrypted_int8,
	f4 encrypted_float4, f8 encrypted_float8, n encrypted_numeric, d encrypted_date, ti encrypted_time, ts encrypted_timestamp,
	tz encrypted_timestamptz, iv encrypted_interval, u encrypted_uuid, ip encrypted_inet, j encrypted_jsonb);
COPY base_values TO :'file' (FORMAT binary);
COPY sealed_values FROM :'file' (FORMAT binary);
COPY sealed_values TO :'file' (FORMAT binary);
COPY sealed_values FROM :'file' (FORMAT binary);
SELECT count(*), count(DISTINCT v) FROM sealed_values s, LATERAL (VALUES (row_to_json(s)::text)) x (v);
SELECT s.* FROM sealed_values s EXCEPT SELECT * FROM base_values;
SELECT DISTINCT (pgseal.inspect(t)).key FROM sealed_values;
\echo -- bytes that begin like a sealed value of a key that nobody knows
CREATE FUNCTION copied_bytea(bytes bytea, file text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE as_bytea;
	INSERT INTO as_bytea VALUES (bytes);
	EXECUTE format('COPY as_bytea TO %L (FORMAT binary)', file);
	EXECUTE format('COPY sealed_values (y) FROM %L (FORMAT binary)', file);
	RETURN 'received';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SET pgseal.sealed_input = copy;
SELECT copied_bytea('\x0102' || decode(repeat('f7', 36), 'hex'), :'file') AS doubtful, copied_bytea('\x0102' || decode(repeat('f7', 35), 'hex'), :'file') AS short,
	copied_bytea('\x0101' || decode(repeat('f7', 36), 'hex'), :'file') AS "another type's", copied_bytea('\x0142' || decode(repeat('f7', 36), 'hex'), :'file') AS flag,
	copied_bytea((SELECT bytes FROM s), :'file') AS "another type's of a known key" \gx
SET pgseal.sealed_input = off;
SELECT copied_bytea('\x0102', :'file') AS plain, copied(bytes, :'file') AS sealed, copied('plain', :'file') AS text FROM s \gx
SET pgseal.sealed_input = on;

-- Functions called with what isn't theirs
SELECT pgseal_internal.encrypted_text_in('x', 'encrypted_int4'::regtype, -1)::text;
SELECT pgseal_internal.encrypted_text_in('x', 'text'::regtype, -1);
SELECT pgseal_internal.encrypted_text_in('x', 0, -1);
SELECT pgseal_internal.encrypted_text_in('x', 'encrypted_text'::regtype, 12345);
SELECT pgseal_internal.encrypted_text_in('x', 'encrypted_text'::regtype, -7);
SELECT pgseal_internal.seal_cast('x'::text, 12345, true);
SELECT pgseal_internal.merge_key();

-- Names that one may try
CREATE TABLE types_tried (id int, v encrypted_varchar(20));
CREATE TABLE types_tried (v encrypted_integer[]);
CREATE TABLE types_tried (v encrypted_nothing);
CREATE TABLE types_tried (v encrypted_int4);
CREATE TABLE IF NOT EXISTS types_tried (v encrypted_int);
ALTER TABLE types_tried ADD w encrypted_json;
ALTER TABLE types_tried ALTER v TYPE encrypted_bigint;
CREATE DOMAIN types_tried_domain AS encrypted_boolean;
CREATE TYPE types_tried_type AS (v encrypted_decimal);
CREATE TYPE encrypted_varchar AS (a int);
CREATE TABLE types_tried_own (v encrypted_varchar);
DROP TABLE types_tried, types_tried_own;
DROP TYPE encrypted_varchar;

SET client_min_messages = error;
DROP SCHEMA types CASCADE;
