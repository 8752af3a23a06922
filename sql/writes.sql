--
-- Every way in which a value can reach a column: what is stored is sealed, under
-- the column's key, and readable.  At the end no file of the database, and no
-- WAL, has the canary in clear.
--
SET client_min_messages = warning;
SELECT pg_switch_wal() IS NULL AS no_wal \gset
SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS first_wal \gset
CREATE SCHEMA writes;
SET search_path = writes, public;

-- Of each encrypted column: the keys its values are sealed under, how many there
-- are, how many can be opened, and how many open to the canary
CREATE FUNCTION stored(rel regclass)
RETURNS TABLE ("column" name, key_ok bool, "values" bigint, opened bigint, canaries bigint)
LANGUAGE plpgsql AS $$
DECLARE
	c record;
	value text;
BEGIN
	FOR c IN SELECT a.attname, a.atttypid::regtype::text AS type, pgseal_internal.key_name(a.atttypmod) AS key
		FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
			AND a.atttypid::regtype::text LIKE 'encrypted%' ORDER BY a.attnum
	LOOP
		value := quote_ident(c.attname);
		RETURN QUERY EXECUTE format(
			'SELECT %L::name, bool_and((pgseal.inspect(v)).key = %L), count(v), count(pgseal_internal.open(v)),
				count(*) FILTER (WHERE pgseal_internal.open(v)::text IN (reverse(''yranac-teloiv''), ''19480101''))
			 FROM (SELECT %s AS v FROM %s) x%s', c.attname, c.key,
			CASE WHEN c.type LIKE '%[]' THEN 'unnest(' || value || ')' ELSE value END, rel, '');
	END LOOP;
END $$;

CREATE TABLE t (id int PRIMARY KEY, v encrypted_text, n encrypted_int4('writes_n'));
SELECT "column", type, key FROM pgseal.columns WHERE "table" = 't'::regclass ORDER BY 1;

-- literals, multi-row VALUES, casts, expressions
INSERT INTO t VALUES (1, 'violet-canary', 19480101);
INSERT INTO t VALUES (2, 'violet-canary', '19480101'), (3, reverse('yranac-teloiv'), 19480100 + 1), (4, NULL, NULL);
INSERT INTO t VALUES (5, 'violet-canary'::text, 19480101::int), (6, 'violet-canary'::encrypted_text, 19480101::encrypted_int4);
INSERT INTO t SELECT 8, 'violet-canary', 19480101;
SELECT * FROM stored('t');

-- parameters, untyped and typed
PREPARE untyped AS INSERT INTO t VALUES ($1, $2, $3);
EXECUTE untyped (11, 'violet-canary', 19480101);
PREPARE typed (int, text, int) AS INSERT INTO t VALUES ($1, $2, $3);
EXECUTE typed (12, 'violet-canary', 19480101);
PREPARE sealed (int, encrypted_text, encrypted_int4) AS INSERT INTO t VALUES ($1, $2, $3);
EXECUTE sealed (13, 'violet-canary', '19480101');
DEALLOCATE ALL;
SELECT * FROM stored('t');

-- COPY: text and CSV of plaintexts
COPY t FROM stdin;
21	violet-canary	19480101
22	\N	\N
\.
COPY t FROM stdin (FORMAT csv);
23,violet-canary,19480101
24,"violet-canary","19480101"
\.
SELECT * FROM stored('t');

-- COPY: all formats of sealed values, into the same table and into one with other keys
CREATE TABLE other (id int PRIMARY KEY, v encrypted_text('writes_other'), n encrypted_int4);
\getenv file PG_ABS_BUILDDIR
\set file :file '/results/writes.data'
COPY t TO :'file' (FORMAT binary);
COPY other FROM :'file' (FORMAT binary);
CREATE TABLE again (LIKE t);
COPY again FROM :'file' (FORMAT binary);
SELECT * FROM stored('other');
TRUNCATE other;
COPY t TO :'file';
COPY other FROM :'file';
COPY again FROM :'file';
SELECT * FROM stored('other');
TRUNCATE other;
COPY t TO :'file' (FORMAT csv, FORCE_QUOTE *);
COPY other FROM :'file' (FORMAT csv);
SELECT * FROM stored('other');
SELECT * FROM stored('again');
SELECT count(DISTINCT pgseal_internal.encrypted_text_send(v)) * 2 = count(v) AS "kept as they were" FROM again;
-- INSERT ... SELECT, from sealed columns under other keys, and through expressions
TRUNCATE other;
INSERT INTO other SELECT * FROM t;
SELECT * FROM stored('other');
TRUNCATE t;
INSERT INTO t SELECT * FROM other;
INSERT INTO t SELECT id + 100, coalesce(v, 'violet-canary'), coalesce(n, '19480101') FROM other;
INSERT INTO t SELECT id + 200, upper(v), n + 1 FROM other;
INSERT INTO t SELECT 300, max(v), max(n) FROM other;
INSERT INTO t (id, v) SELECT 301, v FROM other UNION SELECT 302, 'violet-canary' ORDER BY 1 LIMIT 1;
SELECT * FROM stored('t');

-- UPDATE, with a value, another column, an expression, a subselect, FROM, row assignment
DELETE FROM t WHERE id > 10;
UPDATE t SET v = 'violet-canary', n = 19480101 WHERE id = 1;
UPDATE t SET v = o.v, n = o.n FROM other o WHERE o.id = t.id AND t.id = 2;
UPDATE t SET (v, n) = ('violet-canary', 19480101) WHERE id = 3;
UPDATE t SET (v, n) = (SELECT v, n FROM other WHERE id = 1) WHERE id = 4;
UPDATE t SET v = replace(v, 'orange', 'violet'), n = n + 0 WHERE id = 1;
UPDATE t SET v = CASE WHEN id = 2 THEN 'violet-canary' ELSE v END WHERE id < 4;
SELECT * FROM stored('t');

-- MERGE and ON CONFLICT
MERGE INTO t USING other o ON o.id = t.id + 1
	WHEN MATCHED AND t.id < 3 THEN UPDATE SET v = o.v, n = o.n
	WHEN MATCHED THEN UPDATE SET v = 'violet-canary', n = 19480101
	WHEN NOT MATCHED THEN INSERT VALUES (o.id + 1000, o.v, 19480101);
INSERT INTO t VALUES (1, 'orange', 1) ON CONFLICT (id) DO UPDATE SET v = 'violet-canary', n = 19480101;
INSERT INTO t VALUES (2, 'violet-canary', 19480101) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v, n = EXCLUDED.n;
INSERT INTO t SELECT 3, v, n FROM other WHERE id = 1 ON CONFLICT (id) DO UPDATE SET v = coalesce(EXCLUDED.v, t.v), n = EXCLUDED.n;
SELECT * FROM stored('t');

-- DEFAULT: sealed in the catalog, and in each row
CREATE TABLE d (id int, v encrypted_text DEFAULT 'violet-canary', n encrypted_int4('writes_n') DEFAULT 19480101);
SELECT pg_get_expr(adbin, adrelid) ~ 'pgseal:1:' AS "default of v is sealed" FROM pg_attrdef WHERE adrelid = 'd'::regclass AND adnum = 2;
INSERT INTO d VALUES (1), (2);
INSERT INTO d DEFAULT VALUES;
INSERT INTO d VALUES (3, DEFAULT, DEFAULT);
UPDATE d SET v = DEFAULT, n = DEFAULT WHERE id = 3;
COPY d (id) FROM stdin;
4
\.
SELECT * FROM stored('d');

-- Generated columns: of a sealed column, as it is; never of a plaintext
CREATE TABLE g (v encrypted_text, w encrypted_text GENERATED ALWAYS AS (v) STORED);
INSERT INTO g VALUES ('violet-canary');
UPDATE g SET v = 'violet-canary';
SELECT * FROM stored('g');
CREATE TABLE g2 (v encrypted_text, w encrypted_text('writes_other') GENERATED ALWAYS AS (v) STORED);
INSERT INTO g2 VALUES ('violet-canary');
SELECT * FROM stored('g2');
CREATE TABLE g3 (v encrypted_text, w text GENERATED ALWAYS AS (v) STORED);
CREATE TABLE g3 (v encrypted_text, w text GENERATED ALWAYS AS (upper(v)) STORED);
ALTER TABLE g ADD x text GENERATED ALWAYS AS (v) STORED;
ALTER TABLE g ALTER w TYPE text;

-- ALTER TABLE: plain to encrypted, key to key, and back
CREATE TABLE a (id int, v text, n int);
INSERT INTO a VALUES (1, 'was plain', 1), (2, NULL, NULL);
ALTER TABLE a ALTER v TYPE encrypted_text USING replace(v, 'was plain', 'violet-canary'), ALTER n TYPE encrypted_int4 USING n + 19480100;
SELECT * FROM stored('a');
ALTER TABLE a ALTER v TYPE encrypted_text('writes_other'), ALTER n TYPE encrypted_int4('writes_n');
SELECT * FROM stored('a');
ALTER TABLE a ALTER v TYPE encrypted_text USING 'violet-canary';	-- keeps its key
SELECT format_type(atttypid, atttypmod) AS "still writes_other" FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'v';
SELECT * FROM stored('a');
ALTER TABLE a ALTER v TYPE text USING replace(v, 'violet-canary', 'plain again'), ALTER n TYPE int;	-- not by accident
SET pgseal.allow_decryption = on;
ALTER TABLE a ALTER v TYPE text USING replace(v, 'violet-canary', 'plain again'), ALTER n TYPE int;
RESET pgseal.allow_decryption;
SELECT * FROM a ORDER BY id;
UPDATE a SET v = NULL;
ALTER TABLE a ALTER v TYPE encrypted_text, ALTER n TYPE encrypted_int4 USING n;
UPDATE a SET v = 'violet-canary';
ALTER TABLE a ADD w encrypted_text, ADD x encrypted_text DEFAULT 'violet-canary', ADD y encrypted_int4('writes_n') DEFAULT 19480101,
	ADD z encrypted_text GENERATED ALWAYS AS (v) STORED;
SELECT * FROM stored('a');
SELECT count(DISTINCT x), count(DISTINCT pgseal_internal.encrypted_text_send(x)) = 2 AS "sealed for each row" FROM a;
ALTER TABLE a ALTER x SET DEFAULT 'orange', ALTER x SET NOT NULL, ALTER z DROP EXPRESSION;
DROP TABLE a;

-- Partitions: one key; rows move as they are
CREATE TABLE p (id int, v encrypted_text, n encrypted_int4('writes_n')) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p (v NOT NULL) FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
CREATE TABLE p21 PARTITION OF p2 DEFAULT;
CREATE TABLE p3 (n encrypted_int4('writes_n'), id int, v encrypted_text('writes.p'));
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30);
CREATE TABLE p4 (id int, v encrypted_text, n encrypted_int4('writes_n'));
ALTER TABLE p ATTACH PARTITION p4 FOR VALUES FROM (30) TO (40);		-- its own key gives way
INSERT INTO p SELECT i, 'violet-canary', 19480101 FROM generate_series(1, 29, 7) i;
INSERT INTO p21 VALUES (19, 'violet-canary', 19480101);
UPDATE p SET id = (id + 10) % 30;
UPDATE p SET id = (id + 10) % 30, v = 'violet-canary';
SELECT * FROM stored('p');
SELECT * FROM stored('p1') UNION ALL SELECT * FROM stored('p21') UNION ALL SELECT * FROM stored('p3');
ALTER TABLE p DETACH PARTITION p3;
INSERT INTO p3 (v) VALUES ('violet-canary');
SELECT * FROM stored('p3');

-- Inheritance: a column that merges with the parent's has the parent's key
CREATE TABLE child (extra encrypted_text) INHERITS (t);
CREATE TABLE child2 (v encrypted_text) INHERITS (t);
INSERT INTO child VALUES (1, 'violet-canary', 19480101, 'violet-canary');
INSERT INTO child2 VALUES (1, 'violet-canary', 19480101);
ALTER TABLE t ADD late encrypted_text;
UPDATE t SET late = 'violet-canary';
SELECT 'child', * FROM stored('child') UNION ALL SELECT 'child2', * FROM stored('child2');
DROP TABLE child, child2;
ALTER TABLE t DROP late;

-- LIKE, CREATE TABLE AS, SELECT INTO, materialized views
CREATE TABLE l (LIKE t INCLUDING ALL);
INSERT INTO l VALUES (1, 'violet-canary', 19480101);
SELECT * FROM stored('l');
CREATE TABLE c1 AS SELECT * FROM t;
CREATE TABLE c2 AS SELECT v, v::encrypted_text('writes_n') AS w, 'violet-canary'::encrypted_text AS x,
	(SELECT v FROM t LIMIT 1) AS z FROM t GROUP BY v;
SELECT v, n INTO c3 FROM t ORDER BY v;
SELECT DISTINCT coalesce(v, 'violet-canary') AS v INTO c4 FROM t;
CREATE TABLE c5 (a, b) AS SELECT v, n FROM t UNION SELECT 'violet-canary', '19480101';
CREATE TABLE c6 AS WITH w AS (INSERT INTO l VALUES (2, 'violet-canary', 19480101) RETURNING *) SELECT * FROM w;
CREATE TABLE c9 AS WITH w AS MATERIALIZED (SELECT * FROM t) SELECT * FROM w;
CREATE TABLE c7 AS SELECT array_agg(v) AS v, ARRAY['violet-canary'::encrypted_text] AS w, array_agg(n) AS n FROM t;
CREATE MATERIALIZED VIEW m AS SELECT row_number() OVER () AS id, v, coalesce(n, 0::encrypted_int4) AS n FROM t;
SELECT 'c1', * FROM stored('c1') UNION ALL SELECT 'c2', * FROM stored('c2') UNION ALL SELECT 'c3', * FROM stored('c3')
	UNION ALL SELECT 'c4', * FROM stored('c4') UNION ALL SELECT 'c5', * FROM stored('c5') UNION ALL SELECT 'c6', * FROM stored('c6')
	UNION ALL SELECT 'c7', * FROM stored('c7') UNION ALL SELECT 'm', * FROM stored('m');
INSERT INTO c2 (x) VALUES ('violet-canary');
INSERT INTO c7 VALUES (ARRAY['violet-canary'], '{violet-canary}');
SELECT 'c2', * FROM stored('c2') UNION ALL SELECT 'c7', * FROM stored('c7');
REFRESH MATERIALIZED VIEW m;
CREATE UNIQUE INDEX ON m (id);
REFRESH MATERIALIZED VIEW CONCURRENTLY m;
SELECT * FROM stored('m');
PREPARE opened AS SELECT v, n FROM t;
CREATE TABLE c8 AS EXECUTE opened;
SET pgseal.transparent = off;
PREPARE kept AS SELECT v, n, coalesce(v, 'x') AS w FROM t;
PREPARE kept2 AS SELECT v, n FROM t;
RESET pgseal.transparent;
CREATE TABLE c10 AS EXECUTE kept;
CREATE TABLE c11 AS EXECUTE kept2;
INSERT INTO c8 (v) VALUES ('violet-canary');
INSERT INTO c10 (w) VALUES ('violet-canary');
SELECT 'c8', * FROM stored('c8') UNION ALL SELECT 'c10', * FROM stored('c10') UNION ALL SELECT 'c11', * FROM stored('c11');
DEALLOCATE ALL;

-- Views that are updatable, by themselves, by rules, by triggers
CREATE VIEW w AS SELECT id, v, n FROM t WHERE id < 1000;
INSERT INTO w VALUES (500, 'violet-canary', 19480101);
UPDATE w SET v = 'violet-canary' WHERE id = 500;
CREATE VIEW w2 AS SELECT id, v FROM t;
CREATE RULE ins AS ON INSERT TO w2 DO INSTEAD INSERT INTO other (id, v) VALUES (NEW.id, NEW.v);
INSERT INTO w2 VALUES (501, 'violet-canary');
CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO l VALUES (NEW.id, NEW.v, NEW.n);
INSERT INTO t VALUES (502, 'violet-canary', 19480101);
DROP RULE also ON t;
CREATE VIEW w3 AS SELECT id, v FROM t;
CREATE FUNCTION w3_insert() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO other (id, v) VALUES (NEW.id, NEW.v); RETURN NEW; END $$;
CREATE TRIGGER ins INSTEAD OF INSERT ON w3 FOR EACH ROW EXECUTE FUNCTION w3_insert();
INSERT INTO w3 VALUES (503, 'violet-canary') RETURNING v;
SELECT 't', * FROM stored('t') UNION ALL SELECT 'other', * FROM stored('other') UNION ALL SELECT 'l', * FROM stored('l');

-- Triggers that change NEW
CREATE TABLE tr (id int, v encrypted_text, n encrypted_int4('writes_n'));
CREATE FUNCTION set_new() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	r record;
	row_type tr%ROWTYPE;
	v encrypted_text;
BEGIN
	CASE NEW.id
		WHEN 1 THEN NEW.v := reverse('yranac-teloiv'); NEW.n := 19480100 + 1;
		WHEN 2 THEN NEW := ROW(2, reverse('yranac-teloiv'), 19480100 + 1);
		WHEN 3 THEN SELECT o.id, o.v, o.n INTO NEW FROM other o WHERE o.id = 1;
		WHEN 4 THEN NEW := jsonb_populate_record(NEW, jsonb_build_object('v', reverse('yranac-teloiv')));
		WHEN 5 THEN row_type.v := reverse('yranac-teloiv'); row_type.n := 19480100 + 1; NEW := row_type;
		WHEN 6 THEN v := reverse('yranac-teloiv'); NEW.v := v;
		WHEN 7 THEN SELECT 7 AS id, o.v, o.n INTO r FROM other o WHERE o.id = 1; RETURN r;
		ELSE NEW.v := (SELECT o.v FROM other o WHERE o.id = 1);
	END CASE;
	RETURN NEW;
END $$;
CREATE TRIGGER set_new BEFORE INSERT ON tr FOR EACH ROW EXECUTE FUNCTION set_new();
INSERT INTO tr SELECT i FROM generate_series(1, 8) i WHERE i NOT IN (2, 3, 7);
-- as with varchar(n), a whole row must have the table's own types
\set VERBOSITY terse
INSERT INTO tr VALUES (2);
INSERT INTO tr VALUES (3);
INSERT INTO tr VALUES (7);
\set VERBOSITY default
SELECT * FROM stored('tr');
DROP TRIGGER set_new ON tr;

-- PL/pgSQL variables, functions, procedures, dynamic SQL, SQL functions
DO $$
DECLARE
	a encrypted_text := reverse('yranac-teloiv');
	b encrypted_text('writes_n') := reverse('yranac-teloiv');
	c tr.v%TYPE := reverse('yranac-teloiv');
	d text;
	n int := 19480100;
	r tr;
BEGIN
	n := n + 1;
	INSERT INTO tr VALUES (11, a, n), (12, b, n), (13, c, n);
	SELECT v INTO d FROM tr WHERE id = 11;
	INSERT INTO tr VALUES (14, d, n);
	EXECUTE 'INSERT INTO tr VALUES ($1, $2, $3)' USING 15, d, n;
	EXECUTE 'INSERT INTO tr VALUES ($1, $2, $3)' USING 16, a, n;
	EXECUTE format('INSERT INTO tr VALUES (17, %L, %s)', d, n);
	SELECT * INTO r FROM tr WHERE id = 11;
	INSERT INTO tr SELECT (r).*;
	r.v := d;
	INSERT INTO tr VALUES (r.*);
	UPDATE tr SET v = a WHERE id = 12 RETURNING v INTO b;
	INSERT INTO tr VALUES (18, b, n);
END $$;
CREATE FUNCTION add_sql(int, text, int) RETURNS void LANGUAGE SQL AS 'INSERT INTO tr VALUES ($1, $2, $3)';
SELECT add_sql(21, 'violet-canary', 19480101);
CREATE FUNCTION add_atomic(encrypted_text, encrypted_int4) RETURNS encrypted_text BEGIN ATOMIC
	INSERT INTO tr VALUES (22, $1, $2) RETURNING v; END;
SELECT add_atomic('violet-canary', '19480101');
CREATE PROCEDURE add_proc(v encrypted_text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tr VALUES (23, v, 19480100 + 1); END $$;
CALL add_proc('violet-canary');
SELECT * FROM stored('tr');

-- Domains
CREATE DOMAIN mail AS encrypted_text CHECK (pgseal_internal.open(VALUE) LIKE '%-%');
CREATE DOMAIN mail2 AS mail DEFAULT 'violet-canary';
CREATE DOMAIN short AS encrypted_text('writes_n') NOT NULL;
CREATE TABLE dom (id int, v mail, w mail2, x short DEFAULT 'violet-canary', y mail[]);
INSERT INTO dom VALUES (1, 'violet-canary', DEFAULT, DEFAULT, '{violet-canary}');
INSERT INTO dom VALUES (1, 'no canary');
INSERT INTO dom (v, w, y) SELECT v, v, ARRAY[v, v] FROM tr;
COPY dom FROM stdin;
3	violet-canary	violet-canary	violet-canary	{violet-canary}
\.
ALTER TABLE dom ADD z mail2;
SELECT k.key, count(*), bool_and(pgseal_internal.open(v) = 'violet-canary') AS "all canaries" FROM (
	SELECT v::encrypted_text FROM dom UNION ALL SELECT w FROM dom UNION ALL SELECT x FROM dom
	UNION ALL SELECT unnest(y)::encrypted_text FROM dom UNION ALL SELECT z FROM dom) u(v), pgseal.inspect(v) k GROUP BY 1;
SELECT v, w, x, z FROM dom WHERE id = 1;

-- Arrays and composite types
CREATE TABLE arr (id int, v encrypted_text[], n encrypted_int4('writes_n')[]);
INSERT INTO arr VALUES (1, '{violet-canary,NULL}', '{19480101}'), (2, ARRAY['violet-canary', 'violet-canary'], ARRAY[19480101]);
INSERT INTO arr SELECT 3, array_agg(v), array_agg(n) FROM tr;
UPDATE arr SET v[3] = 'violet-canary', v[4:5] = ARRAY['violet-canary', 'violet-canary'] WHERE id = 1;
UPDATE arr SET v = v || (SELECT v FROM other LIMIT 1) WHERE id = 2;
UPDATE arr SET v = array_append(v, 'violet-canary') WHERE id = 2;
UPDATE arr SET v = array_replace(v, 'violet-canary', 'violet-canary') WHERE id = 2;
COPY arr FROM stdin;
4	{violet-canary,"violet-canary"}	{19480101,NULL}
\.
SELECT * FROM stored('arr');
SELECT id, v[1], n FROM arr ORDER BY id LIMIT 2;
CREATE TYPE comp AS (v encrypted_text, n encrypted_int4('writes_n'));
CREATE TYPE comp2 AS (c comp, l comp[]);
ALTER TYPE comp2 ADD ATTRIBUTE v encrypted_text;
CREATE TABLE co (id int, c comp, d comp2, r t);
INSERT INTO co VALUES (1, ROW('violet-canary', 19480101), '("(violet-canary,19480101)","{""(violet-canary,19480101)""}",violet-canary)',
	ROW(1, 'violet-canary', 19480101));
INSERT INTO co SELECT 2, ROW(v, n)::comp, ROW(ROW(v, n)::comp, ARRAY[ROW(v, n)::comp], v)::comp2, t FROM t WHERE v IS NOT NULL LIMIT 1;
UPDATE co SET c.v = 'violet-canary', d.c.v = 'violet-canary', r.v = 'violet-canary';
UPDATE co SET d.v = (SELECT max(v) FROM other);
INSERT INTO co VALUES (3, jsonb_populate_record(NULL::comp, '{"v": "violet-canary", "n": 19480101}'));
COPY co (id, c) FROM stdin;
4	(violet-canary,19480101)
\.
SELECT id, i.key, pgseal_internal.open(v) = 'violet-canary' AS canary FROM (SELECT id, (c).v FROM co UNION ALL SELECT id, ((d).c).v FROM co
	UNION ALL SELECT id, ((d).l[1]).v FROM co UNION ALL SELECT id, (d).v FROM co UNION ALL SELECT id, (r).v FROM co) u, pgseal.inspect(v) i
	WHERE v IS NOT NULL ORDER BY 1, 2;

-- Row types of views name no key, so they can't be stored
CREATE VIEW nokey AS SELECT 'violet-canary'::encrypted_text AS v, ARRAY['violet-canary'::encrypted_text] AS a;
CREATE TABLE fromview (r nokey);
CREATE TYPE fromview AS (r nokey[]);
CREATE TABLE fromview ();
ALTER TABLE fromview ADD r nokey;

-- Foreign tables
CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
COPY (SELECT 1, reverse('yranac-teloiv'), 19480101) TO :'file';
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE ff (id int, v encrypted_text, n encrypted_int4('writes_n')) SERVER files OPTIONS (filename :'file');
SELECT * FROM stored('ff');
SELECT * FROM ff WHERE v = 'violet-canary';
SELECT current_database() AS db, current_setting('port') AS port, split_part(current_setting('unix_socket_directories'), ',', 1) AS host \gset
-- postgres_fdw sends sealed values as parameters: the remote side must take them
CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname :'db', port :'port', host :'host', options '-c pgseal.sealed_input=on');
CREATE USER MAPPING FOR CURRENT_USER SERVER loopback;
CREATE TABLE remote (id int, v encrypted_text('writes_other'), n encrypted_int4);
CREATE FOREIGN TABLE pf (id int, v encrypted_text, n encrypted_int4('writes_n')) SERVER loopback OPTIONS (schema_name 'writes', table_name 'remote');
INSERT INTO pf VALUES (1, 'violet-canary', 19480101), (2, 'violet-canary', 19480101);
INSERT INTO pf SELECT id, v, n FROM tr;
UPDATE pf SET v = 'violet-canary', n = 19480101 WHERE id = 1;
UPDATE pf SET v = v || '' WHERE v = 'violet-canary';
SELECT * FROM stored('remote');
SELECT * FROM stored('pf');
SELECT v, n FROM pf WHERE id = 2;
IMPORT FOREIGN SCHEMA writes LIMIT TO (tr) FROM SERVER loopback INTO public;
SELECT "column", key FROM pgseal.columns WHERE "table" = 'public.tr'::regclass ORDER BY 1;
DROP FOREIGN TABLE public.tr;

-- Temporary and unlogged tables
CREATE TEMP TABLE tmp (id int, v encrypted_text, n encrypted_int4('writes_n'));
INSERT INTO tmp SELECT * FROM tr;
INSERT INTO tmp VALUES (1, 'violet-canary', 19480101);
SELECT * FROM stored('tmp');
CREATE TEMP TABLE tmp2 ON COMMIT DROP AS SELECT max(v) AS v FROM tr;
CREATE UNLOGGED TABLE unl AS TABLE tmp;
INSERT INTO unl SELECT * FROM tr;
SELECT * FROM stored('unl');
BEGIN READ ONLY;
INSERT INTO tmp VALUES (2, 'violet-canary', 19480101);
UPDATE tmp SET v = 'violet-canary';
COMMIT;
SELECT * FROM stored('tmp');

-- Large values: compressed or not, in TOAST
CREATE TABLE big (id int, v encrypted_text, b encrypted_bytea);
INSERT INTO big SELECT 1, repeat('violet-canary', 100000), convert_to(repeat('violet-canary', 100000), 'UTF8');
SET pgseal.compression = off;
INSERT INTO big SELECT 2, repeat('violet-canary', 100000), convert_to(repeat('violet-canary', 100000), 'UTF8');
RESET pgseal.compression;
INSERT INTO big VALUES (3, '', '');
INSERT INTO big SELECT id + 10, v || 'x', b || 'x' FROM big;
SELECT id, length(v), length(b), v = repeat('violet-canary', 100000) AS same_v, b = convert_to(repeat('violet-canary', 100000), 'UTF8') AS same_b,
	(pgseal.inspect(v)).algorithm, (pgseal.inspect(b)).bytes > 1000000 AS large FROM big ORDER BY id;

-- No switch makes plaintext of what is stored
SET session_replication_role = replica;
SET pgseal.transparent = off;
SET pgseal.on_denied = 'null';
INSERT INTO tr VALUES (31, 'violet-canary', 19480101);
SET session_replication_role = origin;
RESET pgseal.transparent;
RESET pgseal.on_denied;
SELECT * FROM stored('tr');

-- The canary is in no file of the database, nor in the WAL that was written
COPY (SELECT 'gone') TO :'file';
CHECKPOINT;
CREATE FUNCTION files_with(canary text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	dir text;
	file text;
BEGIN
	SELECT format('base/%s', oid) INTO dir FROM pg_database WHERE datname = current_database();
	FOR file IN SELECT f FROM pg_ls_dir(dir) f LOOP
		IF position(convert_to(canary, 'UTF8') IN coalesce(pg_read_binary_file(dir || '/' || file, 0, 1000000000, true), '')) > 0 THEN
			RETURN NEXT (SELECT coalesce(min(relname), 'unlinked') FROM pg_class WHERE relfilenode::text = split_part(split_part(file, '_', 1), '.', 1));
		END IF;
	END LOOP;
END $$;
SELECT * FROM files_with('violet-canary');
SELECT now_at.file_name AS last_wal, now_at.file_offset AS wal_end FROM pg_walfile_name_offset(pg_current_wal_insert_lsn()) now_at \gset
SELECT count(*) AS "WAL files with the canary" FROM pg_ls_waldir() w
	WHERE w.name BETWEEN :'first_wal' AND :'last_wal' AND position('violet-canary'::bytea IN
		pg_read_binary_file('pg_wal/' || w.name, 0, CASE w.name WHEN :'last_wal' THEN :wal_end ELSE w.size END)) > 0;

SET client_min_messages = error;
DROP SCHEMA writes CASCADE;
