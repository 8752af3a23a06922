-- The sealed index: what it serves, what it refuses, who may use it
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		-- What PostgreSQL versions print differently
		CONTINUE WHEN line ~ '^ *Disabled: true$';
		line := replace(line, '(b.salary = salary)', '(salary = b.salary)');
		RETURN NEXT regexp_replace(line, 'pgseal:1:[A-Za-z0-9+/=]*', 'sealed', 'g');
	END LOOP;
END $$;
CREATE TABLE staff (id int PRIMARY KEY, team int, salary encrypted_int4, email encrypted_text, born encrypted_date, note encrypted_text);
INSERT INTO staff SELECT g, g % 5, 1000 + g % 500, 'u' || g || '@example.org', date '1970-01-01' + g, CASE WHEN g % 3 > 0 THEN 'n' || g END FROM generate_series(1, 2000) g;
CREATE INDEX staff_salary ON staff USING sealed (salary);
CREATE INDEX staff_email ON staff USING sealed (email);
CREATE INDEX staff_born ON staff USING sealed (born DESC NULLS LAST);
CREATE INDEX staff_team ON staff USING sealed (team, salary);
CREATE INDEX staff_note ON staff USING sealed (note) WHERE team = 1;
ANALYZE staff;
SET enable_seqscan = off;
SELECT plan('SELECT id FROM staff WHERE salary BETWEEN 1010 AND 1012');
SELECT id FROM staff WHERE salary BETWEEN 1010 AND 1011 ORDER BY id;
SELECT plan('SELECT id FROM staff ORDER BY born DESC NULLS LAST LIMIT 3');
SELECT id, born FROM staff ORDER BY born DESC NULLS LAST LIMIT 3;
SELECT plan('SELECT id FROM staff WHERE team = 3 AND salary > 1490 ORDER BY salary');
SELECT id, salary FROM staff WHERE team = 3 AND salary > 1490 ORDER BY salary, id;
SELECT plan($$SELECT id FROM staff WHERE email = 'u77@example.org'$$);
SELECT id FROM staff WHERE email = 'u77@example.org';
SELECT plan($$SELECT count(*) FROM staff WHERE team = 1 AND note IS NULL$$);
SELECT count(*) FROM staff WHERE team = 1 AND note IS NULL;
PREPARE range (int, int) AS SELECT count(*) FROM staff WHERE salary >= $1 AND salary < $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE range (1100, 1102);
SELECT plan('EXECUTE range (1100, 1102)');
RESET plan_cache_mode;
SELECT plan('SELECT a.id FROM staff a JOIN staff b ON a.salary = b.salary WHERE b.id = 5');

-- there are no index only scans: they would not look at rows
VACUUM staff;
SELECT plan('SELECT count(*) FROM staff WHERE salary > 0');
SELECT count(*) FROM (SELECT 1 FROM staff WHERE team = 1) x;

-- upkeep
UPDATE staff SET salary = salary + 5000 WHERE id <= 10;
DELETE FROM staff WHERE id > 1990;
SELECT id FROM staff WHERE salary > 5000 ORDER BY salary, id;
SELECT misplaced, rows, missing FROM pgseal.verify_index('staff_salary');
SELECT misplaced, rows, missing FROM pgseal.verify_index('staff_team');
SELECT misplaced, rows, missing FROM pgseal.verify_index('staff_note');
REINDEX INDEX CONCURRENTLY staff_salary;
SELECT id FROM staff WHERE salary > 5000 ORDER BY salary, id;
CREATE UNLOGGED TABLE unlogged_staff (id int, v encrypted_int8);
CREATE INDEX ON unlogged_staff USING sealed (v) WITH (node_size = 1024);
INSERT INTO unlogged_staff SELECT g, g FROM generate_series(1, 300) g;
SELECT id FROM unlogged_staff WHERE v < 3::int8 ORDER BY id;

-- the index key is replaced: no node stays under the old one
BEGIN;
SELECT pgseal.rotate_index_key('public.staff');
UPDATE staff SET salary = salary + 1 WHERE id <= 20;
ROLLBACK;
SELECT misplaced, rows, missing FROM pgseal.verify_index('staff_salary');
SELECT pgseal.rotate_index_key('public.staff');
UPDATE staff SET salary = salary WHERE id <= 20;
SELECT id FROM staff WHERE salary > 5000 ORDER BY salary, id;
SELECT pgseal.retire_index_key('public.staff');
SELECT id FROM staff WHERE salary > 5000 ORDER BY salary, id;
SELECT misplaced, rows, missing FROM pgseal.verify_index('staff_team');
SELECT id FROM staff WHERE email = 'u77@example.org';

-- a table in parts
CREATE TABLE parts (id int, v encrypted_int4('parts')) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE INDEX parts_v ON parts USING sealed (v);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO parts SELECT g, g FROM generate_series(1, 150) g;
SELECT plan('SELECT id FROM parts WHERE v BETWEEN 99 AND 101');
SELECT id FROM parts WHERE v BETWEEN 99 AND 101 ORDER BY id;

-- refused
CREATE TABLE any_key (id int, v encrypted_text('*'));
CREATE INDEX ON any_key USING sealed (v);
CREATE UNIQUE INDEX ON staff USING sealed (salary);
CREATE INDEX ON staff USING sealed (id);
CREATE INDEX ON staff USING sealed ((coalesce(email, 'x')));
CREATE INDEX ON staff USING sealed (email) WITH (node_size = 3000);
CREATE INDEX ON staff (salary);
CREATE TABLE long_values (v encrypted_text);
CREATE INDEX long_values_v ON long_values USING sealed (v);
INSERT INTO long_values VALUES (repeat('x', 500));
INSERT INTO long_values VALUES (repeat('x', 2000));

-- who may use it
CREATE ROLE sealed_writer;
GRANT SELECT, INSERT, UPDATE ON staff TO sealed_writer;
SET ROLE sealed_writer;
INSERT INTO staff (id, team, salary) VALUES (3000, 1, 7777);
SELECT plan('SELECT id FROM staff WHERE salary = 7777');
SELECT id FROM staff WHERE salary = 7777;
SELECT id FROM staff ORDER BY salary LIMIT 1;
SET pgseal.on_denied = 'null';
SELECT id FROM staff WHERE salary = 7777;
RESET pgseal.on_denied;
RESET ROLE;
SELECT id FROM staff WHERE salary = 7777;
SELECT pgseal.verify_index('staff_pkey');
SET ROLE sealed_writer;
SELECT pgseal.verify_index('staff_salary');
RESET ROLE;

-- a btree becomes one with its column, and the other way round
CREATE TABLE converted (id int PRIMARY KEY, n int, t text);
INSERT INTO converted SELECT g, g % 100, 't' || g FROM generate_series(1, 500) g;
CREATE INDEX converted_n ON converted (n DESC NULLS LAST) WITH (fillfactor = 80);
CREATE INDEX converted_t ON converted (t text_pattern_ops);
CALL pgseal.encrypt_column('converted', 'n');
CALL pgseal.encrypt_column('converted', 't');
SELECT indexdef FROM pg_indexes WHERE tablename = 'converted' ORDER BY indexname;
SELECT misplaced, rows, missing FROM pgseal.verify_index('converted_n');
SELECT misplaced, rows, missing FROM pgseal.verify_index('converted_t');
SELECT plan($$SELECT id FROM converted WHERE t LIKE 't49%'$$);
SELECT id FROM converted WHERE n = 7 AND t LIKE 't4%';
CALL pgseal.decrypt_column('converted', 'n');
CALL pgseal.decrypt_column('converted', 't');
SELECT indexdef FROM pg_indexes WHERE tablename = 'converted' ORDER BY indexname;

-- terms: parts of values
CREATE TABLE notes (id int PRIMARY KEY, body encrypted_text, doc encrypted_jsonb);
CREATE INDEX notes_body ON notes USING sealed (body sealed_trgm_ops);
CREATE INDEX notes_doc ON notes USING sealed (doc);
INSERT INTO notes SELECT g, 'Note number ' || g || ' of many', jsonb_build_object('n', g % 10, 'tags', jsonb_build_array('t' || g % 7)) FROM generate_series(1, 300) g;
ANALYZE notes;
SELECT plan($$SELECT id FROM notes WHERE body ILIKE '%NUMBER 77%'$$);
SELECT id FROM notes WHERE body ILIKE '%NUMBER 77%';
SELECT plan($$SELECT id FROM notes WHERE body ~ 'ber (12|34) of'$$);
SELECT id FROM notes WHERE body ~ 'ber (12|34) of' ORDER BY id;
SELECT plan($$SELECT id FROM notes WHERE doc @> '{"n": 3, "tags": ["t5"]}'$$);
SELECT id FROM notes WHERE doc @> '{"n": 3, "tags": ["t5"]}' ORDER BY id;
SELECT id FROM notes WHERE doc @? '$.tags[*] ? (@ == "t6")' AND doc @@ '$.n == 4' ORDER BY id;
VACUUM notes;
SELECT id FROM notes WHERE body ~ 'ber (12|34) of' ORDER BY id;
SELECT misplaced, rows, missing FROM pgseal.verify_index('notes_body');
SELECT misplaced, rows, missing FROM pgseal.verify_index('notes_doc');
CREATE INDEX ON notes USING sealed (body sealed_trgm_ops, doc);
CREATE INDEX ON notes USING sealed (body) WITH (pending_pages = 1);

DROP OWNED BY sealed_writer;
DROP ROLE sealed_writer;
DROP TABLE converted, notes;
DROP TABLE staff, unlogged_staff, parts, any_key, long_values;
DROP FUNCTION plan(text);
