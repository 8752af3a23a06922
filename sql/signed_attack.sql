--
-- Signed rows: ways around the verification, or to make good rows bad.
--
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA signed_attack;
SET search_path = signed_attack;
CREATE TYPE pair AS (x int, y text);
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE DOMAIN states AS state[];
CREATE TABLE item (a int, b text);
CREATE TYPE span AS RANGE (subtype = int8);
CREATE TABLE bills (id int PRIMARY KEY, who text, note text, p pair, s states, l item[], r span, signature pg_catalog.row_signature);
SELECT pgseal.sign_table('bills', columns => '{id,who,p,s,l,r}');
INSERT INTO bills SELECT i, 'w' || i, 'n', ROW(i, 'y')::pair, ARRAY['open', 'paid']::state[], ARRAY[ROW(i, 'z')::item], '[1,2)' FROM generate_series(1, 20) i;
SELECT count(*) FROM bills;

-- what the types of signed columns are made of
ALTER TYPE pair ADD ATTRIBUTE z int;
ALTER TYPE pair DROP ATTRIBUTE y;
ALTER TYPE pair ALTER ATTRIBUTE y TYPE varchar;
ALTER TABLE item ADD COLUMN c int;
ALTER TABLE item DROP COLUMN b;
ALTER TYPE state RENAME VALUE 'open' TO 'closed';
ALTER TYPE state ADD VALUE 'void';
ALTER TYPE pair RENAME ATTRIBUTE x TO xx;
ALTER TYPE pair RENAME TO couple;
ALTER DOMAIN states RENAME TO all_states;
SELECT count(*) FROM bills;
-- of others
CREATE TYPE other AS (x int);
CREATE TYPE other_state AS ENUM ('a');
CREATE TABLE other_bills (id int, o other, s other_state, signature pg_catalog.row_signature);
SELECT pgseal.sign_table('other_bills', columns => '{id}');
ALTER TYPE other ADD ATTRIBUTE y int;
ALTER TYPE other_state RENAME VALUE 'a' TO 'b';
ALTER TABLE other_bills ADD COLUMN n int;

-- triggers that are disabled for a while, as pg_restore --disable-triggers does it
CREATE TABLE parts (id int, signature pg_catalog.row_signature) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
SELECT pgseal.sign_table('parts', ledger => true);
ALTER TABLE parts DISABLE TRIGGER ALL;
ALTER TABLE parts_1 DISABLE TRIGGER USER;
ALTER TABLE parts ENABLE TRIGGER ALL;
ALTER TABLE parts_1 ENABLE TRIGGER USER;
ALTER TABLE bills DISABLE TRIGGER zz_pgseal_sign;
ALTER TABLE bills ENABLE TRIGGER zz_pgseal_sign;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid IN ('bills'::regclass, 'parts'::regclass, 'parts_1'::regclass) ORDER BY tgrelid::regclass::text COLLATE "C", tgname;

-- a row is forged
ALTER TABLE bills DISABLE TRIGGER USER;
SET pgseal.verify_rows = off;
UPDATE bills SET who = 'forged' WHERE id = 7;
RESET pgseal.verify_rows;
ALTER TABLE bills ENABLE TRIGGER USER;
SELECT "partition", key, reason FROM pgseal.tampered_rows('bills');
-- INSERT ... ON CONFLICT looks at it without a plan
INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE bills.who = 'not this';
INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE bills.who = 'forged';
INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET note = bills.who;
WITH w AS (INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE bills.who = 'not this' RETURNING id) SELECT * FROM w;
INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO NOTHING;
INSERT INTO bills (id) VALUES (8) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE bills.who = 'w8' RETURNING id, note;
EXPLAIN (COSTS OFF) INSERT INTO bills (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE bills.who = 'w7';
CREATE TABLE plain (id int PRIMARY KEY, v text);
EXPLAIN (COSTS OFF) INSERT INTO plain VALUES (7) ON CONFLICT (id) DO UPDATE SET v = 'x' WHERE plain.v = 'x';
CREATE TABLE upserted (id int PRIMARY KEY, v text, signature pg_catalog.row_signature) PARTITION BY RANGE (id);
CREATE TABLE upserted_1 (v text, signature pg_catalog.row_signature, id int PRIMARY KEY);
SELECT pgseal.unsign_table('upserted_1', 'upserted_1');
ALTER TABLE upserted ATTACH PARTITION upserted_1 FOR VALUES FROM (0) TO (10);
INSERT INTO upserted VALUES (1, 'one'), (2, 'two');
ALTER TABLE upserted_1 DISABLE TRIGGER USER;
UPDATE upserted_1 SET v = 'forged' WHERE id = 1;
ALTER TABLE upserted_1 ENABLE TRIGGER USER;
INSERT INTO upserted VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 'x' WHERE upserted.v = 'one';
INSERT INTO upserted VALUES (2) ON CONFLICT (id) DO UPDATE SET v = 'x' WHERE upserted.v = 'two' RETURNING id, v;
-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM bills WHERE id > 7 FOR UPDATE;
FETCH c;
UPDATE bills SET note = 'current' WHERE CURRENT OF c;
ROLLBACK;
BEGIN;
SET LOCAL pgseal.verify_rows = off;
DECLARE c CURSOR FOR SELECT id FROM bills WHERE id = 7;
FETCH c;
SET LOCAL pgseal.verify_rows = on;
SAVEPOINT s;
UPDATE bills SET note = 'laundered' WHERE CURRENT OF c;
ROLLBACK TO s;
DELETE FROM bills WHERE CURRENT OF c;
ROLLBACK;
-- by its place, in part, locked, within subqueries
SELECT note FROM bills WHERE ctid = (SELECT "row" FROM pgseal.tampered_rows('bills'));
SELECT count(*) FROM bills TABLESAMPLE bernoulli (100);
SELECT id FROM bills WHERE id = 7 FOR UPDATE;
SELECT id FROM bills WHERE id = 7 FOR KEY SHARE SKIP LOCKED;
SELECT x.id FROM generate_series(7, 7) g, LATERAL (SELECT id FROM bills WHERE id = g OFFSET 0) x;
SELECT ARRAY(SELECT who FROM bills WHERE id = 7);
WITH q AS MATERIALIZED (SELECT * FROM bills WHERE id = 7) SELECT count(*) FROM q;
WITH RECURSIVE q AS (SELECT id FROM bills WHERE id = 6 UNION ALL SELECT b.id FROM q JOIN bills b ON b.id = q.id + 1) SELECT count(*) FROM q;
MERGE INTO bills USING (VALUES (7)) v (i) ON id = i WHEN MATCHED AND note = 'nothing' THEN DELETE;
CREATE TABLE copied AS SELECT * FROM bills;
CREATE MATERIALIZED VIEW copied AS SELECT who FROM bills;
COPY (SELECT id FROM bills WHERE id = 7) TO stdout;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT id FROM bills WHERE id BETWEEN 7 AND 8;
RESET enable_seqscan;
RESET enable_bitmapscan;
-- a row of another table, under the same key
CREATE TABLE paid (note text, who text, id int PRIMARY KEY, signature pg_catalog.row_signature);
SELECT pgseal.sign_table('paid', columns => '{id,who}', key => 'signed_attack.bills');
INSERT INTO paid VALUES ('n', 'of another', 30);
CREATE TABLE taken (id int PRIMARY KEY, who text, note text, more int, signature pg_catalog.row_signature);
SELECT pgseal.sign_table('taken', columns => '{who,id,note}', key => 'signed_attack.bills');
INSERT INTO taken VALUES (31, 'its own', 'n');
INSERT INTO taken (id, who, note, signature) SELECT id, who, note, signature FROM paid;
ALTER TABLE taken DISABLE TRIGGER USER;
INSERT INTO taken (id, who, note, signature) SELECT id, who, note, signature FROM paid;
INSERT INTO taken (id, who, note, signature) SELECT 32, who, note, signature FROM paid;
ALTER TABLE taken ENABLE TRIGGER USER;
SELECT key, reason FROM pgseal.tampered_rows('taken') ORDER BY key;
-- plans from before
SET plan_cache_mode = force_generic_plan;
SELECT pgseal.unsign_table('bills', 'bills');
PREPARE one(int) AS SELECT who FROM bills WHERE id = $1;
EXECUTE one(7);
SELECT pgseal.sign_table('bills', columns => '{id,who}');
EXECUTE one(7);
ALTER TABLE bills DISABLE TRIGGER USER;
UPDATE bills SET who = 'forged' WHERE id = 9;
ALTER TABLE bills ENABLE TRIGGER USER;
EXECUTE one(9);
DEALLOCATE one;
RESET plan_cache_mode;
-- rules, and views that can be written
CREATE VIEW seen AS SELECT id, note FROM bills;
UPDATE seen SET note = 'laundered' WHERE id = 9;
CREATE TABLE orders (id int);
CREATE RULE onto AS ON INSERT TO orders DO ALSO UPDATE bills SET note = 'laundered' WHERE id = NEW.id;
INSERT INTO orders VALUES (9);
INSERT INTO orders VALUES (10);
SELECT note FROM bills WHERE id = 10;
DROP SCHEMA signed_attack CASCADE;
