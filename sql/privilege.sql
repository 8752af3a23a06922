SET pgseal.sealed_input = on;
SET pgseal.allow_decryption = on;
--
-- USAGE ON FOREIGN SERVER is the privilege to read.  Everything that tells
-- something about a value takes it; sealing takes nothing.
--
SET client_min_messages = warning;
CREATE SCHEMA priv;
SET search_path = priv, public;
CREATE ROLE regress_owner;
CREATE ROLE regress_reader;
CREATE ROLE regress_mallory;
CREATE ROLE regress_writer;
-- what is internal must check by itself, too, as PostgreSQL calls it for everybody
GRANT USAGE ON SCHEMA pgseal_internal TO regress_reader, regress_mallory;
GRANT USAGE, CREATE ON SCHEMA priv TO regress_owner, regress_reader, regress_mallory, regress_writer;
CREATE SERVER priv_other FOREIGN DATA WRAPPER local_keyring;
GRANT USAGE ON FOREIGN SERVER priv_other TO regress_mallory;
GRANT USAGE ON FOREIGN SERVER local_keyring TO regress_owner;
SELECT pgseal.create_key('priv_mallory', server => 'priv_other');

SET ROLE regress_owner;
CREATE TABLE t (id int, v encrypted_text, n encrypted_int4('priv_n'), a encrypted_text[]);
INSERT INTO t VALUES (1, 'ada', 10, '{ada}'), (2, 'bob', 20, '{bob}'), (3, 'ada', 10, '{ada}');
CREATE INDEX t_v ON t USING hash (v);
CREATE VIEW w AS SELECT id, v, upper(v) AS u FROM t;
CREATE FUNCTION masked(int) RETURNS text LANGUAGE SQL SECURITY DEFINER SET search_path = priv, public
	AS 'SELECT left(v, 1) || ''***'' FROM t WHERE id = $1';
GRANT SELECT ON t, w TO regress_reader, regress_mallory;
GRANT INSERT, UPDATE (n) ON t TO regress_writer;
RESET ROLE;

-- Runs a statement; says how it ended
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	IF statement !~ '^(SELECT|EXPLAIN)|RETURNING' THEN
		EXECUTE statement;
		RETURN 'done';
	END IF;
	EXECUTE statement INTO result;
	RETURN CASE WHEN result IS NULL THEN 'null' WHEN result LIKE '%pgseal:1:%' THEN 'sealed' ELSE result END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Before the GRANT
SET ROLE regress_reader;
SELECT v FROM t;
\echo :LAST_ERROR_SQLSTATE
SELECT count(v), count(*) FROM t WHERE v IS NOT NULL;
SELECT q, try(q) FROM (VALUES
	('SELECT v::text FROM t LIMIT 1'),
	('SELECT lower(v) FROM t LIMIT 1'),
	('SELECT id FROM t WHERE v = ''ada'''),
	('SELECT id FROM t WHERE v = ''nobody'''),
	('SELECT id FROM t WHERE v <> ''ada'''),
	('SELECT id FROM t WHERE n > 5'),
	('SELECT id FROM t WHERE v IN (''nobody'')'),
	('SELECT id FROM t ORDER BY v'),
	('SELECT max(n) FROM t'),
	('SELECT sum(n) FROM t'),
	('SELECT DISTINCT v FROM t'),
	('SELECT count(DISTINCT n) FROM t'),
	('SELECT v FROM t GROUP BY v'),
	('SELECT rank() OVER (ORDER BY n) FROM t'),
	('SELECT count(*) FROM t JOIN t u USING (v)'),
	('SELECT count(*) FROM t JOIN (VALUES (''nobody''::encrypted_text)) g(v) USING (v)'),
	('SELECT v FROM t UNION SELECT ''x'''),
	('SELECT v FROM t INTERSECT SELECT ''nobody'''),
	('SELECT hash_array(a) FROM t'),
	('SELECT hash_array_extended(a, 0) FROM t'),
	('SELECT hash_record(ROW(v)) FROM t'),
	('SELECT a = ARRAY[''nobody''::encrypted_text] FROM t'),
	('SELECT ROW(v) = ROW(''nobody''::encrypted_text) FROM t'),
	('SELECT ARRAY[v] < ARRAY[''m''::encrypted_text] FROM t'),
	('SELECT array_position(a, ''nobody'') FROM t'),
	('SELECT array_remove(a, ''nobody'') FROM t'),
	('SELECT least(v, ''m'') FROM t'),
	('SELECT nullif(v, ''nobody'') FROM t'),
	('SELECT array_agg(v ORDER BY v) FROM t'),
	('SELECT row_to_json(t) FROM t'),
	('SELECT to_jsonb(v) FROM t'),
	('SELECT json_agg(v) FROM t'),
	('SELECT jsonb_build_object(''v'', v) FROM t'),
	('SELECT v || ''x'' FROM t'),
	('SELECT pgseal_internal.open(v) FROM t'),
	('SELECT pgseal_internal.open_result(v) FROM t'),
	('SELECT pgseal_internal.open_json(v) FROM t'),
	('SELECT pgseal.try_open(v) FROM t'),
	('SELECT pgseal_internal.eq(v, ''nobody''::encrypted_text) FROM t'),
	('SELECT pgseal_internal.cmp(v, ''nobody''::encrypted_text) FROM t'),
	('SELECT pgseal_internal.hash(v) FROM t'),
	('SELECT blind_index(v) FROM t'),
	('SELECT blind_index(''ada''::text, ''priv.t'')'),
	('SELECT pgseal_internal.token(''ada''::text, 1, '''', 120)'),
	('SELECT (pgseal.inspect(v)).key FROM t LIMIT 1'),
	('SELECT v::encrypted_text FROM t LIMIT 1'),
	('SELECT t::text FROM t LIMIT 1'),
	('SELECT format(''%s'', v) FROM t LIMIT 1'),
	('SELECT a FROM t LIMIT 1'),
	('SELECT a[1]::text FROM t LIMIT 1'),
	('SELECT a::text[] FROM t LIMIT 1'),
	('SELECT u FROM w LIMIT 1'),
	('SELECT masked(1)'),
	('SELECT wrapped FROM pgseal.key_version'),
	('SELECT name FROM pgseal.key'),
	('SELECT pgseal.create_key(''x'')'),
	('SELECT pgseal.rotate_key(''priv_n'')'),
	('SELECT pgseal_internal.encrypted_int4_in(''1'', ''int4''::regtype, -1)'),
	('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT 1 FROM t WHERE v = ''nobody''')) s(q);
-- what tells nothing needs nothing
SELECT pgseal.seal('x'::text, 'priv_n') IS NOT NULL AS "may seal";
CREATE TEMP TABLE copied AS SELECT v, a FROM t;
SELECT count(*) FROM copied;

-- An index would tell where "permission denied" doesn't come
SET enable_seqscan = off;
SELECT id FROM t WHERE v = 'nobody';
SELECT id FROM t WHERE v = 'nobody'::text;
PREPARE by_index AS SELECT id FROM t WHERE v = 'nobody';
EXECUTE by_index;
RESET ROLE;
SET ROLE regress_owner;
EXECUTE by_index;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]+', '<sealed>');
	END LOOP;
END $$;
SELECT plan_of('EXECUTE by_index');
RESET ROLE;
SET ROLE regress_reader;
EXECUTE by_index;
DEALLOCATE by_index;
RESET enable_seqscan;

-- NULL instead of an error
SET pgseal.on_denied = 'null';
SELECT * FROM t ORDER BY id;
SELECT q, try(q) FROM (VALUES
	('SELECT count(v::text) FROM t'),
	('SELECT id FROM t WHERE v = ''ada'''),
	('SELECT id FROM t WHERE v <> ''nobody'''),
	('SELECT id FROM t WHERE n > 5'),
	('SELECT sum(n) FROM t'),
	('SELECT max(v) FROM t'),
	('SELECT id FROM t ORDER BY v'),
	('SELECT count(*) FROM (SELECT v FROM t GROUP BY v) x'),
	('SELECT count(*) FROM t JOIN t u USING (v)'),
	('SELECT row_to_json(t) ->> ''v'' FROM t LIMIT 1'),
	('SELECT v || ''x'' FROM t LIMIT 1'),
	('SELECT hash_array(a) = hash_array(ARRAY[''ada''::encrypted_text]) FROM t LIMIT 1'),
	('SELECT masked(1)')) s(q);
RESET pgseal.on_denied;
RESET ROLE;

-- After the GRANT, to a role it is a member of, and after REVOKE, in one session
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "no privilege";
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER local_keyring TO regress_reader;
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "granted";
SELECT v, n FROM t ORDER BY v, id;
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM regress_reader;
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "revoked";
RESET ROLE;
GRANT regress_owner TO regress_reader;
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "member";
RESET ROLE;
REVOKE regress_owner FROM regress_reader;
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "no member";
RESET ROLE;
BEGIN;
GRANT USAGE ON FOREIGN SERVER local_keyring TO PUBLIC;
SET LOCAL ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "granted to PUBLIC";
ROLLBACK;
SET ROLE regress_reader;
SELECT try('SELECT v::text FROM t WHERE id = 1') AS "rolled back";
RESET ROLE;

-- Views check their user, SECURITY DEFINER functions their owner
SET ROLE regress_mallory;
SELECT try('SELECT v::text FROM w LIMIT 1') AS "view";
SELECT try('SELECT masked(1)') AS "definer's function";
-- the other way round: a definer's function doesn't see with its caller's rights
CREATE FUNCTION trap() RETURNS text LANGUAGE SQL SECURITY DEFINER AS 'SELECT v::text FROM priv.t LIMIT 1';
GRANT EXECUTE ON FUNCTION trap TO PUBLIC;
RESET ROLE;
SET ROLE regress_owner;
SELECT try('SELECT trap()') AS "definer without privilege";
RESET ROLE;

-- Mallory may read what is under another server: no way there from here
SET ROLE regress_mallory;
SET search_path = priv, public;
CREATE TABLE mine (id int, v encrypted_text('priv_mallory'), s encrypted_text('*'));
INSERT INTO mine VALUES (1, 'my own', pgseal.seal('my own'::text, 'priv_mallory'));
INSERT INTO mine (s) VALUES ('under no key');
SELECT id, v FROM mine;
SELECT q, try(q) FROM (VALUES
	('INSERT INTO mine (v) SELECT v FROM t RETURNING v'),
	('SELECT v::encrypted_text(''priv_mallory'')::text FROM t'),
	('SELECT pgseal_internal.reseal_cast(v, (SELECT atttypmod FROM pg_attribute WHERE attrelid = ''mine''::regclass AND attname = ''v''), true)::text FROM t'),
	('SELECT pgseal_internal.reseal_cast(v, x''37a8eec1''::int, true)::encrypted_text(''priv_mallory'')::text FROM t'),
	('SELECT v::encrypted_text(''#37a8eec1'')::text FROM t'),
	('SELECT v::encrypted_text(''default'')::text FROM t'),
	('INSERT INTO mine (s) SELECT v FROM t RETURNING s'),
	('INSERT INTO mine (v) SELECT a[1] FROM t RETURNING v'),
	('CREATE TABLE mine2 (v encrypted_text(''priv_n''))'),
	('CREATE TABLE mine2 (v encrypted_text("priv.t"))'),
	('CREATE TABLE mine2 (v encrypted_text(''#'' ))'),
	('CREATE TABLE mine2 AS SELECT v FROM t'),
	('ALTER TABLE mine ALTER v TYPE encrypted_text(''priv_n'')'),
	('ALTER TABLE mine2 ALTER v TYPE text'),
	('ALTER TABLE mine ADD w encrypted_text(''priv_n'')'),
	('CREATE DOMAIN d AS encrypted_text(''priv_n'')'),
	('CREATE TYPE c AS (v encrypted_text(''priv_n''))'),
	('CREATE INDEX ON mine2 USING hash (v)'),
	('ALTER TABLE mine2 ADD EXCLUDE USING hash (v WITH =)'),
	('CREATE TABLE mine3 (LIKE t INCLUDING ALL)'),
	('ALTER SERVER priv_other RENAME TO stolen'),
	('ALTER SERVER local_keyring OWNER TO regress_mallory'),
	('GRANT USAGE ON FOREIGN SERVER local_keyring TO regress_mallory'),
	('CREATE SERVER s FOREIGN DATA WRAPPER local_keyring')) s(q);
SELECT format('CREATE TABLE mine4 (v encrypted_text(''#%s''))', lpad(to_hex(atttypmod), 8, '0')) AS by_hash
	FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'n' \gset
SELECT try(:'by_hash');
-- own operators, functions and casts before ours in the search_path see sealed values
CREATE FUNCTION priv.spy(encrypted_text, encrypted_text) RETURNS bool LANGUAGE plpgsql AS
	$$ BEGIN RAISE INFO 'spied: %', left(format('%s', $1), 9); RETURN false; END $$;
CREATE OPERATOR priv.= (LEFTARG = encrypted_text, RIGHTARG = encrypted_text, FUNCTION = priv.spy);
SET search_path = priv, public, pg_catalog;
SELECT v = 'x'::encrypted_text FROM mine WHERE id = 1;
SET search_path = priv, public;
DROP FUNCTION priv.spy CASCADE;
RESET ROLE;

SET ROLE regress_mallory;
-- Nor through row security, a check, a default, a function in an index
SELECT q, try(q) FROM (VALUES
	('CREATE TABLE mine5 (v encrypted_text, w encrypted_text, CHECK (v <> w))'),
	('INSERT INTO mine5 SELECT v, ''nobody'' FROM t'),
	('CREATE TABLE mine7 (v encrypted_text) PARTITION BY HASH (v)'),
	('CREATE TABLE mine6 (v encrypted_text)'),
	('INSERT INTO mine6 SELECT v FROM t'),
	('ALTER TABLE mine6 ENABLE ROW LEVEL SECURITY'),
	('ALTER TABLE mine6 FORCE ROW LEVEL SECURITY'),
	('CREATE POLICY p ON mine6 USING (v = ''ada'')'),
	('SELECT count(*) FROM mine6'),
	('ALTER TABLE mine6 ADD CHECK (v <> ''ada'')'),
	('ALTER TABLE mine6 ADD EXCLUDE USING hash (v WITH =)'),
	('CREATE INDEX ON mine6 USING hash (v)'),
	('CREATE UNIQUE INDEX ON mine6 (blind_index(v))'),
	('CREATE TABLE mine8 (v encrypted_text, w bytea GENERATED ALWAYS AS (blind_index(v)) STORED)'),
	('ALTER TABLE mine2 ALTER v TYPE bytea USING blind_index(v)'),
	('ALTER TABLE mine6 ALTER v TYPE text')) s(q);
\copy mine2 FROM /dev/null WHERE blind_index(v) = 'x'
RESET ROLE;

-- A role that may only write
SET ROLE regress_writer;
INSERT INTO t VALUES (4, 'zoe', 40, '{zoe}');
INSERT INTO t VALUES (5, 'zoe'::text, 50, ARRAY['zoe']);
COPY t FROM stdin;
6	zoe	60	{zoe}
\.
UPDATE t SET n = 70;
SELECT try('INSERT INTO t VALUES (7, ''zoe'') RETURNING id') AS "returning takes SELECT";
SELECT try('SELECT v FROM t') AS "select";
RESET ROLE;
SET ROLE regress_owner;
SELECT * FROM t ORDER BY id;
SET enable_seqscan = off;
SELECT id FROM t WHERE v = 'zoe' ORDER BY id;
RESET enable_seqscan;
RESET ROLE;

-- No message has a value in it
SET ROLE regress_owner;
CREATE FUNCTION message_of(statement text, canary text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text; context text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || CASE WHEN concat(message, detail, hint) LIKE '%' || canary || '%' THEN ' tells the value' ELSE ' tells nothing' END;
END $$;
CREATE TABLE msg (id int UNIQUE, v encrypted_text NOT NULL CHECK (v <> 'canary'), n encrypted_int4 CHECK (n <> 4711));
INSERT INTO msg VALUES (1, 'x', 1);
SELECT q, message_of(q, 'canary') FROM (VALUES
	('INSERT INTO msg VALUES (2, ''canary'', 1)'),
	('INSERT INTO msg VALUES (1, ''canary-2'', 1)'),
	('INSERT INTO msg VALUES (NULL, NULL, 4711)'),
	('INSERT INTO msg VALUES (2, ''pgseal:1:canary'', 1)'),
	('UPDATE msg SET v = ''canary''')) s(q);
SELECT q, message_of(q, '4711') FROM (VALUES
	('INSERT INTO msg VALUES (2, ''x'', 4711)')) s(q);
RESET ROLE;

SET client_min_messages = error;
DROP SCHEMA priv CASCADE;
DROP OWNED BY regress_owner, regress_reader, regress_mallory, regress_writer;
DROP ROLE regress_owner, regress_reader, regress_mallory, regress_writer;
