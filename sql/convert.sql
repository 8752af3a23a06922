-- encrypt_column() and decrypt_column(): what is kept and what is refused.
-- Other sessions and crashes: test/t/54*.
\set VERBOSITY terse
SET client_min_messages = notice;

-- Every type, with its edge values; beside each column stands a plain one
CREATE TABLE convert_types (
	id int PRIMARY KEY,
	t text, b bytea, o bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric,
	d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, ip inet, j jsonb, v varchar);
INSERT INTO convert_types VALUES
	(1, 'abc', '\x00ff', true, 1, 2, 3, 1.5, 2.5, 1.50, '2024-02-29', '12:34', '2024-02-29 1:2:3', '2024-02-29 1:2:3+00',
		'1 mon -2 days', '00000000-0000-0000-0000-000000000001', '10.0.0.0/8', '{"b": [1, 2.50], "a": null}', 'v'),
	(2, '', '', false, -32768, -2147483648, -9223372036854775808, '-0', 'NaN', 'NaN', '-infinity', '24:00', 'infinity', '-infinity',
		'-178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '::1', '"x"', ''),
	(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, repeat('long ', 10000), decode(repeat('00', 30000), 'hex'), NULL, 32767, 2147483647, 9223372036854775807, 'Infinity', '-Infinity',
		(repeat('9', 200) || '.' || repeat('8', 200))::numeric, 'infinity', '0:0', '4713-01-01 BC', 'infinity',
		'0', NULL, '255.255.255.255', to_jsonb(repeat('y', 5000)), repeat(md5('x'), 300));
CREATE TABLE convert_same AS SELECT * FROM convert_types;

CREATE PROCEDURE convert_all(command text) LANGUAGE plpgsql AS $$
DECLARE c name;
BEGIN
	FOREACH c IN ARRAY '{t,b,o,i2,i4,i8,f4,f8,n,d,ti,ts,tz,iv,u,ip,j,v}'::name[] LOOP
		IF command = 'encrypt' THEN
			CALL pgseal.encrypt_column('convert_types', c);
		ELSE
			CALL pgseal.decrypt_column('convert_types', c);
		END IF;
	END LOOP;
END $$;
CALL convert_all('encrypt');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
	WHERE attrelid = 'convert_types'::regclass AND attnum > 1 ORDER BY attnum;
SELECT bool_and(e.t::text IS NOT DISTINCT FROM p.t AND e.b::bytea IS NOT DISTINCT FROM p.b AND e.n::numeric::text IS NOT DISTINCT FROM p.n::text
		AND e.f4::float4::text IS NOT DISTINCT FROM p.f4::text AND e.j::jsonb::text IS NOT DISTINCT FROM p.j::text
		AND e.iv::interval::text IS NOT DISTINCT FROM p.iv::text) AS same
	FROM convert_types e JOIN convert_same p USING (id);
SELECT * FROM pgseal.verify_table('convert_types') WHERE broken > 0 OR stale > 0;
CALL convert_all('decrypt');
SELECT bool_and(e::text = p::text) AS same FROM convert_types e JOIN convert_same p USING (id);
DROP PROCEDURE convert_all;
DROP TABLE convert_types, convert_same;

-- All that hangs on a table and its column
CREATE TABLE convert_parent (id int PRIMARY KEY);
INSERT INTO convert_parent VALUES (1), (2);
CREATE TABLE convert_t (
	gone    text,
	id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	parent  int REFERENCES convert_parent,
	secret  text COLLATE "C" NOT NULL DEFAULT 'none' CHECK (length(secret) < 100),
	other   encrypted_text('convert_other'),
	twice   int GENERATED ALWAYS AS (parent * 2) STORED,
	span    int4range,
	EXCLUDE USING gist (span WITH &&)
) WITH (fillfactor = 80);
ALTER TABLE convert_t DROP COLUMN gone;
CREATE UNIQUE INDEX convert_secret ON convert_t (secret);
COMMENT ON INDEX convert_secret IS 'no two are the same';
CREATE INDEX convert_secret_hash ON convert_t USING hash (secret);
CREATE INDEX convert_partial ON convert_t (secret text_pattern_ops) WHERE parent = 1;
CREATE UNIQUE INDEX convert_other ON convert_t (blind_index(other));
CREATE INDEX convert_expr ON convert_t ((parent + 1)) INCLUDE (twice) WHERE parent IS NOT NULL;
CREATE INDEX convert_brin ON convert_t USING brin (parent);
COMMENT ON COLUMN convert_t.secret IS 'a secret';
CREATE TABLE convert_child (id int REFERENCES convert_t ON DELETE CASCADE);
CREATE VIEW convert_view AS SELECT id, parent FROM convert_t;
CREATE FUNCTION convert_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'fired % %', TG_NAME, TG_OP; RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER convert_fires BEFORE INSERT OR UPDATE OR DELETE ON convert_t FOR EACH ROW EXECUTE FUNCTION convert_trigger();
CREATE TRIGGER convert_truncates BEFORE TRUNCATE ON convert_t EXECUTE FUNCTION convert_trigger();
ALTER TABLE convert_t ENABLE ALWAYS TRIGGER convert_fires;
ALTER TABLE convert_t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY convert_policy ON convert_t USING (parent = 1);
CREATE ROLE convert_reader;
GRANT SELECT (id, secret) ON convert_t TO convert_reader;
ALTER TABLE convert_t DISABLE TRIGGER convert_fires;
INSERT INTO convert_t (parent, secret, other, span) VALUES (1, 'one', 'eins', '[1,2]'), (2, 'two', 'zwei', '[3,4]');
INSERT INTO convert_t (parent, secret) SELECT 2, 's' || i FROM generate_series(1, 100) i;
ALTER TABLE convert_t ENABLE ALWAYS TRIGGER convert_fires;
INSERT INTO convert_child VALUES (1);
PREPARE convert_find AS SELECT id, secret FROM convert_t WHERE secret = 'two';
EXECUTE convert_find;
SELECT 'convert_t'::regclass::oid AS oid \gset

CALL pgseal.encrypt_column('convert_t', 'secret', key => 'convert_key');
SELECT 'convert_t'::regclass::oid = :oid AS same_oid;
SELECT attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull,
		has_column_privilege('convert_reader', attrelid, attnum, 'SELECT') AS granted, col_description(attrelid, attnum)
	FROM pg_attribute WHERE attrelid = 'convert_t'::regclass AND attname = 'secret';
SELECT pg_get_indexdef(indexrelid), indisunique, obj_description(indexrelid, 'pg_class')
	FROM pg_index WHERE indrelid = 'convert_t'::regclass ORDER BY 1;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid = 'convert_t'::regclass AND contype <> 'n' ORDER BY 1;
SELECT left(pg_get_expr(adbin, adrelid), 10) FROM pg_attrdef WHERE adrelid = 'convert_t'::regclass AND adnum = 4;
SELECT relreplident, relrowsecurity, relforcerowsecurity, reloptions FROM pg_class WHERE oid = 'convert_t'::regclass;
EXECUTE convert_find;
SELECT id, secret, other, twice, span FROM convert_t WHERE id < 3 ORDER BY id;
SELECT count(*) FROM convert_view;
SELECT count(*) FROM convert_child JOIN convert_t USING (id);
INSERT INTO convert_t (parent, secret) VALUES (1, 'one');
INSERT INTO convert_t (parent, secret) VALUES (1, repeat('x', 200));
INSERT INTO convert_t (parent, secret, span) VALUES (1, 'x', '[2,3]');
INSERT INTO convert_t (parent, secret, other) VALUES (1, 'x', 'eins');
INSERT INTO convert_t (parent) VALUES (1) RETURNING secret;
DELETE FROM convert_t WHERE id = 1;
SELECT count(*) FROM convert_child;
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relname LIKE 'copy_of%' OR c.relrewrite = :oid AND c.relname NOT LIKE 'conversion%';
SELECT event, key, detail FROM pgseal.events WHERE detail LIKE 'table=public.convert_t %' ORDER BY at;
ANALYZE convert_t;
VACUUM FULL convert_t;
SELECT id, secret FROM convert_t WHERE secret = 's77';

CALL pgseal.decrypt_column('convert_t', 'secret');
SELECT attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull,
		has_column_privilege('convert_reader', attrelid, attnum, 'SELECT') AS granted
	FROM pg_attribute WHERE attrelid = 'convert_t'::regclass AND attname = 'secret';
SELECT pg_get_indexdef(indexrelid), indisunique, obj_description(indexrelid, 'pg_class')
	FROM pg_index WHERE indrelid = 'convert_t'::regclass AND indexrelid::regclass::text LIKE 'convert_secret%' ORDER BY 1;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'convert_t'::regclass AND adnum = 4;
EXECUTE convert_find;
INSERT INTO convert_t (parent, secret) VALUES (2, 'two');

-- Nothing to do
CALL pgseal.decrypt_column('convert_t', 'secret');
CALL pgseal.encrypt_column('convert_t', 'other');
CALL pgseal.encrypt_column('convert_t', 'other', 'convert_another');

-- What would be lost is named, all of it
\set VERBOSITY default
CREATE TABLE convert_no (id int, secret text UNIQUE, len varchar(20), num numeric(10, 2), fixed char(3), js json,
	up text GENERATED ALWAYS AS (upper(secret)) STORED, xml xml, arr text[], PRIMARY KEY (id));
CREATE VIEW convert_no_view AS SELECT secret FROM convert_no;
CREATE INDEX convert_no_lower ON convert_no (lower(secret));
CREATE INDEX convert_no_two ON convert_no (id, secret);
CREATE INDEX convert_no_where ON convert_no (id) WHERE secret IS NOT NULL;
CREATE STATISTICS convert_no_stat ON id, secret FROM convert_no;
CREATE TRIGGER convert_no_trigger BEFORE UPDATE OF secret ON convert_no FOR EACH ROW EXECUTE FUNCTION convert_trigger();
CREATE POLICY convert_no_policy ON convert_no USING (secret <> '');
CREATE TABLE convert_no_ref (secret text REFERENCES convert_no (secret));
CREATE TABLE convert_no_row (r convert_no);
CREATE FUNCTION convert_no_function() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT max(secret) FROM convert_no; END;
CALL pgseal.encrypt_column('convert_no', 'secret');
DROP TABLE convert_no_row;
CALL pgseal.encrypt_column('convert_no', 'id');
CALL pgseal.encrypt_column('convert_no', 'len');
CALL pgseal.encrypt_column('convert_no', 'num');
CALL pgseal.encrypt_column('convert_no', 'fixed');
CALL pgseal.encrypt_column('convert_no', 'js');
CALL pgseal.encrypt_column('convert_no', 'up');
CALL pgseal.encrypt_column('convert_no', 'xml');
CALL pgseal.encrypt_column('convert_no', 'arr');
CREATE TABLE convert_no_key (secret text);
CALL pgseal.encrypt_column('convert_no_key', 'secret');
ALTER TABLE convert_no_key ADD id int PRIMARY KEY DEFERRABLE;
CALL pgseal.encrypt_column('convert_no_key', 'secret');
CREATE TABLE convert_no_parts (id int PRIMARY KEY, secret text) PARTITION BY RANGE (id);
CALL pgseal.encrypt_column('convert_no_parts', 'secret');
CREATE TEMP TABLE convert_no_temp (id int PRIMARY KEY, secret text);
CALL pgseal.encrypt_column('convert_no_temp', 'secret');
CREATE TABLE convert_no_dec (id int PRIMARY KEY, c encrypted_text('convert_key'), a encrypted_text('convert_key')[], token bytea GENERATED ALWAYS AS (blind_index(c)) STORED);
CREATE INDEX convert_no_norm ON convert_no_dec (blind_index(c, 'lower'));
CALL pgseal.decrypt_column('convert_no_dec', 'c');
CALL pgseal.decrypt_column('convert_no_dec', 'a');
\set VERBOSITY terse
CALL pgseal.encrypt_column('pg_class', 'relname');
CALL pgseal.encrypt_column('pgseal.event', 'detail');
CALL pgseal.encrypt_column('convert_t', 'missing');
CALL pgseal.encrypt_column('convert_t', 'ctid');
CALL pgseal.encrypt_column('convert_t', NULL);
CALL pgseal.encrypt_column('convert_t', 'secret', '*');
CALL pgseal.encrypt_column('convert_t', 'secret', 'default');
CALL pgseal.cancel_conversion('convert_t');
BEGIN;
CALL pgseal.encrypt_column('convert_t', 'secret');
ROLLBACK;
CREATE FUNCTION convert_call() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL pgseal.encrypt_column('convert_t', 'secret'); END $$;
SELECT convert_call();
BEGIN READ ONLY;
CALL pgseal.encrypt_column('convert_t', 'secret');
ROLLBACK;

-- Who may: the owner; with a key of others, or to decrypt, USAGE on its server
CREATE ROLE convert_owner;
GRANT ALL ON SCHEMA public TO convert_owner;
SET ROLE convert_owner;
CALL pgseal.encrypt_column('convert_t', 'secret');
CALL pgseal.decrypt_column('convert_t', 'other');
CREATE FUNCTION convert_who(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'convert_owner' THEN RAISE EXCEPTION 'run as %', current_user; END IF;
	RETURN $1;
END $$;
CREATE TABLE convert_own (id int PRIMARY KEY, c text DEFAULT 'x' CHECK (convert_who(length(c)) >= 0));
CREATE INDEX ON convert_own (convert_who(id));
INSERT INTO convert_own SELECT i, i FROM generate_series(1, 10) i;
CALL pgseal.encrypt_column('convert_own', 'c', 'convert_key');
CALL pgseal.encrypt_column('convert_own', 'c');
CALL pgseal.decrypt_column('convert_own', 'c');
SET pgseal.on_denied = 'null';
CALL pgseal.decrypt_column('convert_own', 'c');
RESET pgseal.on_denied;
SELECT count(*) FROM convert_own;
RESET ROLE;
SELECT sum(length(c)) FROM convert_own;
CALL pgseal.decrypt_column('convert_own', 'c');
SELECT sum(length(c)) FROM convert_own;

-- Names that would be something else if they weren't quoted
CREATE SCHEMA "convert ""s";
CREATE TABLE "convert ""s"."t; DROP" ("i d" int PRIMARY KEY, "c'""; --" text DEFAULT 'q''');
CREATE UNIQUE INDEX "i ""x" ON "convert ""s"."t; DROP" ("c'""; --");
INSERT INTO "convert ""s"."t; DROP" VALUES (1, 'a');
CALL pgseal.encrypt_column('"convert ""s"."t; DROP"', 'c''"; --');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '"convert ""s"."t; DROP"'::regclass ORDER BY 1;
CALL pgseal.decrypt_column('"convert ""s"."t; DROP"', 'c''"; --');
\d "convert ""s"."t; DROP"

-- An unlogged table; an empty one; keys of several columns
CREATE UNLOGGED TABLE convert_un (a text, b numeric, c text, PRIMARY KEY (b, a));
CALL pgseal.encrypt_column('convert_un', 'c');
CALL pgseal.decrypt_column('convert_un', 'c');
INSERT INTO convert_un SELECT 'a' || i, i, 'c' || i FROM generate_series(1, 100) i;
CALL pgseal.encrypt_column('convert_un', 'c');
SELECT count(*), relpersistence FROM convert_un, pg_class WHERE oid = 'convert_un'::regclass AND c = 'c' || b GROUP BY 2;

DROP SCHEMA "convert ""s" CASCADE;
DROP TABLE convert_un, convert_own, convert_no_ref, convert_no_key, convert_no_parts, convert_no_temp, convert_no_dec;
DROP FUNCTION convert_no_function, convert_who, convert_call;
DROP TABLE convert_no, convert_child CASCADE;
DROP VIEW convert_view;
DROP TABLE convert_t, convert_parent;
DROP FUNCTION convert_trigger;
REVOKE ALL ON SCHEMA public FROM convert_owner;
DROP ROLE convert_reader, convert_owner;

-- What has been chosen for a column stays, there and back
CREATE TABLE convert_kept (id int PRIMARY KEY, ext text, mn text, pl text, def text, cmp text COMPRESSION pglz, num int DEFAULT 4);
ALTER TABLE convert_kept ALTER ext SET STORAGE EXTERNAL, ALTER mn SET STORAGE MAIN, ALTER pl SET STORAGE PLAIN,
	ALTER ext SET (n_distinct = 5), ALTER ext SET STATISTICS 77, ALTER ext SET NOT NULL;
ALTER TABLE convert_kept ALTER ext SET DEFAULT 'dflt', ADD CHECK (length(ext) < 9);
COMMENT ON COLUMN convert_kept.ext IS 'kept';
GRANT SELECT (ext) ON convert_kept TO PUBLIC;
INSERT INTO convert_kept VALUES (1, 'e', 'm', 'p', 'd', 'c', 5);
CREATE TABLE convert_kept_before AS SELECT attname, atttypid, attstorage, attcompression, coalesce(attstattarget, -1) AS target, array_to_string(ARRAY(SELECT o FROM unnest(attoptions) o WHERE o !~ '^pg_attver'), ',') AS options, attnotnull, attacl::text,
	col_description(attrelid, attnum) AS comment, pg_get_expr(adbin, adrelid) AS default FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
	WHERE attrelid = 'convert_kept'::regclass AND attnum > 0;
DO $$ DECLARE c name; BEGIN
	FOREACH c IN ARRAY '{ext,mn,pl,def,cmp,num}'::name[] LOOP CALL pgseal.encrypt_column('convert_kept', c); END LOOP;
END $$;
SELECT attname, attstorage, attcompression FROM pg_attribute WHERE attrelid = 'convert_kept'::regclass AND attnum > 1 ORDER BY attnum;
INSERT INTO convert_kept VALUES (2, 'toolongtoolong');
DO $$ DECLARE c name; BEGIN
	FOREACH c IN ARRAY '{ext,mn,pl,def,cmp,num}'::name[] LOOP CALL pgseal.decrypt_column('convert_kept', c); END LOOP;
END $$;
SELECT attname, atttypid::regtype, attstorage, attcompression, coalesce(attstattarget, -1), array_to_string(ARRAY(SELECT o FROM unnest(attoptions) o WHERE o !~ '^pg_attver'), ',') AS options, attnotnull, attacl::text,
	col_description(attrelid, attnum) AS comment, pg_get_expr(adbin, adrelid) AS default FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
	WHERE attrelid = 'convert_kept'::regclass AND attnum > 0
	EXCEPT SELECT attname, atttypid::regtype, attstorage, attcompression, target, options, attnotnull, attacl, comment, "default" FROM convert_kept_before;
SELECT * FROM convert_kept;
DROP TABLE convert_kept, convert_kept_before;
