-- blind_index(): the same token for equal values of a key, another for all else.
SET client_min_messages = warning;
SET jit = off;
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse

-- Every type: two ways to write one value, and another value.  Two tables under
-- one key, a third under another.
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE samples (type text, same1 text, same2 text, other text);
INSERT INTO samples VALUES
	('text', 'a', 'a', 'A'), ('text', '', '', ' '), ('text', 'é', 'é', 'e'),
	('bytea', '\x00', '\000', '\x0000'), ('bytea', '', '\x', '\x00'),
	('bool', 't', 'yes', 'f'),
	('int2', '-32768', ' -32768', '32767'), ('int4', '7', '007', '8'),
	('int8', '9223372036854775807', '9223372036854775807', '-9223372036854775808'),
	('float4', '0', '-0', '1e-45'), ('float4', 'NaN', 'nan', 'Infinity'), ('float4', '1.5', '15e-1', '1.25'),
	('float8', '0', '-0', '5e-324'), ('float8', 'NaN', 'nan', '-Infinity'), ('float8', '0.1', '1e-1', '0.10000000000000002'),
	('numeric', '1.5', '1.50', '1.51'), ('numeric', '0', '-0.000', '0.001'), ('numeric', 'NaN', 'nan', 'Infinity'),
	('numeric', '1e100', '1' || repeat('0', 100) || '.0', '1e101'),
	('date', '2026-02-28', 'Feb 28 2026', '2026-03-01'), ('date', '0001-01-01 BC', 'Jan 1 0001 BC', '0001-01-01'), ('date', 'infinity', 'infinity', '-infinity'),
	('time', '24:00', '23:59:60', '00:00'),
	('timestamp', '2026-01-01 00:00', '2025-12-31 24:00', '2026-01-01 00:00:00.000001'), ('timestamp', '-infinity', '-infinity', 'infinity'),
	('timestamptz', '2026-01-01 12:00+00', '2026-01-01 13:00+01', '2026-01-01 12:00+01'),
	('interval', '1 day', '24 hours', '23:59:59.999999'), ('interval', '1 month', '30 days', '31 days'),
	('interval', '-1 hour', '1 day -25 hours', '1 hour'), ('interval', '0', '1 mon -30 days', '1 us'),
	('uuid', '00000000-0000-0000-0000-000000000001', '{00000000000000000000000000000001}', '00000000-0000-0000-0000-000000000010'),
	('inet', '10.0.0.1', '10.0.0.1/32', '10.0.0.1/24'), ('inet', '::1', '0:0:0:0:0:0:0:1', '::2'), ('inet', '0.0.0.0', '0.0.0.0', '::'),
	('jsonb', '{"a": 1, "b": [2.0]}', '{"b": [2.00], "a": 1.0}', '{"a": 1, "b": 2}'), ('jsonb', '{"a": 1, "a": 2}', '{"a": 2}', '{"a": 1}'),
	('jsonb', '"1"', ' "1"', '1'), ('jsonb', '[]', '[ ]', '{}'), ('jsonb', 'null', 'null', '[null]');

CREATE FUNCTION check_sample(s samples, OUT wrong text) LANGUAGE plpgsql AS $$
DECLARE
	t1 bytea; t2 bytea; t3 bytea; again bytea; elsewhere bytea; plain bytea; sealed bytea; other_key bytea;
	equal bool; unequal bool;
	found int;
BEGIN
	EXECUTE format($q$
		CREATE TEMP TABLE s1 (id int, v encrypted_%1$s('blind_a')) ON COMMIT DROP;
		CREATE TEMP TABLE s2 (id int, v encrypted_%1$s('blind_a')) ON COMMIT DROP;
		CREATE TEMP TABLE s3 (id int, v encrypted_%1$s('blind_b')) ON COMMIT DROP;
		INSERT INTO s1 VALUES (1, %2$L), (2, %3$L), (3, %4$L);
		INSERT INTO s2 VALUES (1, %2$L);
		INSERT INTO s3 VALUES (1, %2$L);
		CREATE INDEX ON s1 (blind_index(v))$q$, s.type, s.same1, s.same2, s.other);
	SELECT blind_index(v) INTO t1 FROM s1 WHERE id = 1;
	SELECT blind_index(v) INTO t2 FROM s1 WHERE id = 2;
	SELECT blind_index(v) INTO t3 FROM s1 WHERE id = 3;
	SELECT blind_index(v) INTO again FROM s1 WHERE id = 1;
	SELECT blind_index(v) INTO elsewhere FROM s2;
	SELECT blind_index(v) INTO other_key FROM s3;
	EXECUTE format('SELECT blind_index(%L::%s, key => ''blind_a'')', s.same2, s.type) INTO plain;
	EXECUTE format('SELECT %1$L::%2$s = %3$L::%2$s', s.same1, s.type, s.same2) INTO equal;
	EXECUTE format('SELECT %1$L::%2$s <> %3$L::%2$s', s.same1, s.type, s.other) INTO unequal;
	EXECUTE format('SELECT count(*) FROM s1 WHERE v = %L', s.same1) INTO found;
	wrong := concat_ws(', ',
		CASE WHEN NOT equal OR NOT unequal THEN 'sample' END,
		CASE WHEN t1 IS DISTINCT FROM t2 THEN 'equal values differ' END,
		CASE WHEN t1 IS NOT DISTINCT FROM t3 THEN 'different values agree' END,
		CASE WHEN t1 IS DISTINCT FROM again THEN 'not deterministic' END,
		CASE WHEN t1 IS DISTINCT FROM elsewhere THEN 'differs between tables of one key' END,
		CASE WHEN t1 IS NOT DISTINCT FROM other_key THEN 'agrees between keys' END,
		CASE WHEN t1 IS DISTINCT FROM plain THEN 'plaintext differs' END,
		CASE WHEN length(t1) <> 16 THEN 'length' END,
		CASE WHEN found <> 2 THEN 'lookup' END);
	DROP TABLE s1, s2, s3;
END $$;
SELECT type, same1, wrong FROM samples s, check_sample(s) WHERE wrong <> '';
SELECT count(DISTINCT type) AS types FROM samples;

CREATE TABLE t (id int, v encrypted_text('blind_a'), n encrypted_int4('blind_a'));
\echo -- one value, different types: different tokens
SELECT blind_index(7::int4, 'blind_a') <> blind_index(7::int8, 'blind_a') AS int4_int8,
	blind_index('7'::text, 'blind_a') <> blind_index('7'::bytea, 'blind_a') AS text_bytea;

\echo -- NULL
INSERT INTO t VALUES (1, NULL, NULL), (2, '', 0), (3, ' Ada@Example.ORG ', 3), (4, '078-05-1120', 4), (5, 'Žluťoučký', 5);
SELECT blind_index(v) IS NULL, blind_index(v, 'lower') IS NULL, blind_index(v, 8) IS NULL, blind_index(n) IS NULL FROM t WHERE id = 1;
SELECT blind_index(NULL::text, 'blind_a') IS NULL, blind_index('x'::text, NULL) IS NULL;
SELECT length(blind_index(v)) FROM t WHERE id = 2;

\echo -- literals need no cast
SELECT blind_index('x', key => 'blind_a') = blind_index('x'::text, 'blind_a'),
	blind_index('x'::varchar, 'blind_a') = blind_index('x'::text, 'blind_a'),
	blind_index(value => 'x', key => 'blind_a', normalizer => 'lower') = blind_index('X', 'blind_a', 'lower');

\echo -- normalizers
SELECT id, (SELECT string_agg(name, ' ') FROM (VALUES
	('lower', ' ada@example.org '), ('trim', 'Ada@Example.ORG'), ('trim,lower', 'ada@example.org'), ('lower,trim', 'ADA@EXAMPLE.ORG'),
	('digits', '078 05 1120'), ('suffix:4', '1120'), ('digits,suffix:4', 'x1120'), ('prefix:3', '078'), ('digits,prefix:3,suffix:1', '8'),
	('lower', 'žluťoučký'), ('prefix:2', 'Žlx'), ('suffix:2', 'xký'), ('lower,prefix:1', 'ž'), ('suffix:100', 'Žluťoučký'), ('prefix:100', 'Žluťoučký'),
	('digits', 'none')) AS n (name, plain)
	WHERE blind_index(t.v, name) = blind_index(plain, 'blind_a', name)) AS matching
FROM t WHERE id > 2 ORDER BY id;
\echo -- each normalizer has tokens of its own, also where it changes nothing
SELECT count(DISTINCT token) = count(*) FROM (SELECT blind_index('abc', 'blind_a') AS token
	UNION ALL SELECT blind_index('abc', 'blind_a', n) FROM unnest('{lower,trim,"trim,lower","lower,trim",prefix:3,prefix:4,suffix:3,suffix:4}'::text[]) n) x;
\echo -- errors
SELECT blind_index(v, 'upper') FROM t;
SELECT blind_index(v, '') = blind_index(v) FROM t WHERE id = 3;
SELECT blind_index(v, 'lower,') FROM t WHERE id = 3;
SELECT blind_index(v, 'prefix:0') FROM t WHERE id = 3;
SELECT blind_index(v, 'prefix:-1') FROM t WHERE id = 3;
SELECT blind_index(v, 'prefix:x') FROM t WHERE id = 3;
SELECT blind_index(v, 'prefix:') FROM t WHERE id = 3;
SELECT blind_index(v, 'suffix:99999999999999999999') FROM t WHERE id = 3;
SELECT blind_index(v, repeat('lower,', 60) || 'lower') FROM t WHERE id = 3;
SELECT blind_index('x', key => 'no such key');
SELECT blind_index('x', key => 'blind_a', normalizer => 'reverse');
SELECT blind_index(n, 'lower') FROM t;

\echo -- bits
SELECT bits, length(blind_index(v, bits)), blind_index(v, bits) = blind_index('Žluťoučký', 'blind_a', '', bits) AS plain
FROM t, unnest('{1,7,8,9,64,119,120}'::int[]) bits WHERE id = 5 AND blind_index(v, bits) IS NOT NULL ORDER BY bits;
SELECT count(DISTINCT blind_index('x' || i, 'blind_a', 'lower', 3)) AS beacons, bool_and(get_byte(blind_index('x' || i, 'blind_a', 'lower', 3), 1) & 31 = 0) AS masked
FROM generate_series(1, 200) i;
SELECT substr(blind_index(v, 64), 1, 9) = substr(blind_index(v), 1, 9) AS prefix FROM t WHERE id = 5;
SELECT blind_index(v, 0) FROM t;
SELECT blind_index(v, 121) FROM t;
SELECT blind_index(v, 'lower', -1) FROM t;

\echo -- unique in partitions, of several columns, of some rows, with more in the index
CREATE TABLE p (tenant int, id int, ssn encrypted_text('blind_a'), gone bool) PARTITION BY LIST (tenant);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
CREATE UNIQUE INDEX ON p (blind_index(ssn));
CREATE UNIQUE INDEX ON p (tenant, blind_index(ssn)) INCLUDE (id);
INSERT INTO p VALUES (1, 1, 's1'), (2, 2, 's1'), (1, 3, 's2'), (1, 4, NULL), (1, 5, NULL);
INSERT INTO p VALUES (1, 6, 's1');
INSERT INTO p VALUES (1, 6, 's1'), (2, 7, 's2') ON CONFLICT (tenant, blind_index(ssn)) DO UPDATE SET id = excluded.id RETURNING tenant, id;
SELECT tenant, id FROM p WHERE ssn = 's1' AND tenant = 1;
UPDATE p SET tenant = 2 WHERE id = 6;
CREATE TABLE q (a encrypted_text('blind_a'), b encrypted_int4('blind_a'), gone bool);
CREATE UNIQUE INDEX q_ab ON q (blind_index(a), blind_index(b)) WHERE NOT gone;
INSERT INTO q VALUES ('x', 1, false), ('x', 2, false), ('x', 1, true), ('x', 1, true);
INSERT INTO q VALUES ('x', 2, false);
INSERT INTO q VALUES ('x', 2, false) ON CONFLICT (blind_index(a), blind_index(b)) WHERE NOT gone DO UPDATE SET gone = true RETURNING a, b, gone;
CREATE UNIQUE INDEX q_nulls ON q (blind_index(b)) NULLS NOT DISTINCT WHERE a IS NULL;
INSERT INTO q VALUES (NULL, NULL);
INSERT INTO q VALUES (NULL, NULL);

\echo -- normalizers count characters, of any length, and compose nothing
SELECT blind_index(U&'\+01F600\+01F601x', 'blind_a', 'prefix:1') = blind_index(U&'\+01F600', 'blind_a', 'prefix:1') AS "four bytes",
	blind_index(U&'x\+01F600', 'blind_a', 'suffix:1') = blind_index(U&'\+01F600', 'blind_a', 'suffix:1') AS "at the end",
	blind_index(U&'\00C1', 'blind_a', 'lower') = blind_index(U&'\00E1', 'blind_a', 'lower') AS lower,
	blind_index(U&'\00E1', 'blind_a', 'lower') = blind_index(U&'a\0301', 'blind_a', 'lower') AS "composed",
	blind_index(U&'\0391\03A9', 'blind_a', 'lower') = blind_index(U&'\03B1\03C9', 'blind_a', 'lower') AS greek,
	blind_index(U&' \00A0x', 'blind_a', 'trim') = blind_index(U&'\00A0x', 'blind_a', 'trim') AS "only blanks",
	blind_index(U&'\0661\FF11' || '1', 'blind_a', 'digits') = blind_index('1', 'blind_a', 'digits') AS "only 0 to 9";
DROP TABLE p, q;

\echo -- nondeterministic collations
CREATE TABLE c (v encrypted_text('blind_a') COLLATE ignore_case);
CREATE UNIQUE INDEX c_v ON c (blind_index(v));
INSERT INTO c VALUES ('Ada');
INSERT INTO c VALUES ('ADA');
INSERT INTO c VALUES ('Bob');
SELECT count(DISTINCT blind_index(v)) FROM (SELECT 'x'::encrypted_text('blind_a') COLLATE ignore_case AS v UNION ALL SELECT 'X'::encrypted_text('blind_a') COLLATE ignore_case) x;

\echo -- privileges: a role that may only write
CREATE TABLE w (id int PRIMARY KEY, ssn encrypted_text, email encrypted_text, city encrypted_text,
	token bytea GENERATED ALWAYS AS (blind_index(email)) STORED UNIQUE);
CREATE UNIQUE INDEX w_ssn ON w (blind_index(ssn));
CREATE INDEX w_city ON w USING hash (city);
CREATE ROLE blind_writer;
GRANT INSERT, UPDATE (ssn, email, city), SELECT (id, ssn) ON w TO blind_writer;
GRANT CREATE ON SCHEMA public TO blind_writer;
SET ROLE blind_writer;
INSERT INTO w (id, ssn, email, city) VALUES (1, 's1', 'e1', 'c1'), (2, 's2', 'e2', 'c1');
INSERT INTO w (id, ssn, email, city) VALUES (3, 's3'::text, 'e3'::text, 'c1'::text);
UPDATE w SET ssn = 's11', email = 'e11' WHERE id = 1;
COPY w (id, ssn, email, city) FROM STDIN;
4	s4	e4	c4
\.
INSERT INTO w (id, ssn, email, city) VALUES (5, 's11', 'e5', 'c5') ON CONFLICT (blind_index(ssn)) DO UPDATE SET city = 'conflict';
INSERT INTO w (id, ssn, email, city) VALUES (5, 's11', 'e5', 'c5') ON CONFLICT DO NOTHING;
MERGE INTO w USING (VALUES (2), (6)) AS n (id) ON w.id = n.id
	WHEN MATCHED THEN UPDATE SET ssn = 's22' WHEN NOT MATCHED THEN INSERT (id, ssn, email, city) VALUES (n.id, 's6', 'e6', 'c6');
\set VERBOSITY default
\echo -- uniqueness holds for it, and the message holds no token
INSERT INTO w (id, ssn, email, city) VALUES (7, 's11', 'e7', 'c7');
INSERT INTO w (id, ssn, email, city) VALUES (7, 's7', 'e11', 'c7');
\set VERBOSITY terse
\echo -- but it learns no token and compares nothing
SELECT blind_index('x', key => 'public.w');
SELECT blind_index('x'::encrypted_text);
SELECT pgseal_internal.token('x'::text, 1, '', 120);
SELECT id FROM w WHERE ssn = 's11';
RESET ROLE;
GRANT SELECT ON w TO blind_writer;
SET ROLE blind_writer;
SELECT id FROM w WHERE ssn = 's11';
SELECT id FROM w WHERE ssn IN ('s11', 's22');
SELECT id FROM w WHERE blind_index(ssn) = '\x00';
UPDATE w SET city = 'x' WHERE ssn = 's11';
SET pgseal.on_denied = 'null';
SELECT count(*), count(blind_index(ssn)) FROM w;
SELECT id FROM w WHERE ssn = 's11';
SELECT id FROM w WHERE ssn IN ('s11', 's22');
SELECT id FROM w WHERE NOT (ssn = 's11');
SELECT id FROM w WHERE ssn NOT IN ('s11', 's22');
SELECT blind_index('x', key => 'public.w') IS NULL;
RESET pgseal.on_denied;
\echo -- nor makes an oracle: index, generated column, check, trigger; any way to the key
CREATE TABLE like_w (LIKE w INCLUDING ALL);
CREATE TABLE oracle AS SELECT ssn FROM w;
CREATE UNIQUE INDEX ON oracle (blind_index(ssn));
CREATE INDEX ON oracle ((1)) WHERE blind_index(ssn) = '\x00';
CREATE INDEX ON oracle ((blind_index(ssn) = '\x00'));
ALTER TABLE oracle ADD token bytea GENERATED ALWAYS AS (blind_index(ssn)) STORED;
ALTER TABLE oracle ADD answer text GENERATED ALWAYS AS (encode(blind_index(ssn), 'hex')) STORED;
ALTER TABLE oracle ADD CHECK (blind_index(ssn) <> '\x00');
CREATE TRIGGER oracle AFTER INSERT ON oracle FOR EACH ROW WHEN (blind_index(NEW.ssn) = '\x00')
	EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE any_key (v encrypted_text('*'), token bytea GENERATED ALWAYS AS (blind_index(v)) STORED);
INSERT INTO any_key SELECT ssn FROM w;
DROP TABLE oracle, any_key;
RESET ROLE;
\echo -- the owner of the keys, granted
GRANT USAGE ON FOREIGN SERVER local_keyring TO blind_writer;
SET ROLE blind_writer;
SELECT id FROM w WHERE ssn = 's11';
SELECT id FROM w WHERE email = 'e11';
SELECT id FROM w WHERE city = 'conflict';
SELECT count(*) FROM w WHERE blind_index(ssn) = blind_index('s22', key => 'public.w');
CREATE TABLE mine (ssn encrypted_text('public.w'), token bytea GENERATED ALWAYS AS (blind_index(ssn)) STORED);
CREATE UNIQUE INDEX ON mine (blind_index(ssn));
DROP TABLE mine;
RESET ROLE;

\echo -- ANALYZE keeps no token, by itself or in statistics of several columns
ANALYZE w;
SELECT tablename, attname, null_frac, most_common_vals IS NULL AND histogram_bounds IS NULL AS nothing_kept
FROM pg_stats WHERE tablename IN ('w', 'w_ssn', 'w_city', 'w_token_key') AND attname <> 'id' ORDER BY 1, 2;
SELECT count(*) FROM pg_statistic s JOIN pg_attribute a ON attrelid = starelid AND attnum = staattnum
WHERE a.atttypid = 'bytea'::regtype AND starelid::regclass::text LIKE 'w%';
CREATE STATISTICS w_stats (mcv) ON id, token FROM w;
CREATE STATISTICS w_stats ON (blind_index(ssn)) FROM w;
SELECT "column", key, equality_index FROM pgseal.columns WHERE "table" IN ('w'::regclass, 't'::regclass) ORDER BY "table"::text, 1;

REVOKE USAGE ON FOREIGN SERVER local_keyring FROM blind_writer;
DROP TABLE w, c, t, samples CASCADE;
REVOKE CREATE ON SCHEMA public FROM blind_writer;
DROP ROLE blind_writer;
DROP COLLATION ignore_case;
