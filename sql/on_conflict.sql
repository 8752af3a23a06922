-- ON CONFLICT (column), where the column's unique index is on its tokens
CREATE TABLE oc_users (id int PRIMARY KEY, tenant int, email encrypted_text, phone encrypted_text, n int DEFAULT 1);
-- none yet, and then one that says less than the column
INSERT INTO oc_users VALUES (1, 1, 'a@x', '1') ON CONFLICT (email) DO NOTHING;
CREATE UNIQUE INDEX oc_lower ON oc_users (blind_index(email, 'lower'));
INSERT INTO oc_users VALUES (1, 1, 'a@x', '1') ON CONFLICT (email) DO NOTHING;
DROP INDEX oc_lower;
CREATE UNIQUE INDEX oc_email ON oc_users (blind_index(email));
INSERT INTO oc_users VALUES (1, 1, 'a@x', '1') ON CONFLICT (email) DO NOTHING RETURNING id;
INSERT INTO oc_users VALUES (2, 1, 'a@x', '1') ON CONFLICT (email) DO NOTHING RETURNING id;
INSERT INTO oc_users AS u VALUES (2, 1, 'a@x', '2') ON CONFLICT (email) DO UPDATE SET phone = excluded.phone, n = u.n + 1 RETURNING *;
PREPARE oc_upsert AS INSERT INTO oc_users AS u VALUES ($1, 1, $2, '3') ON CONFLICT (email) DO UPDATE SET n = u.n + 1 RETURNING *;
EXECUTE oc_upsert(3, 'a@x');
SET plan_cache_mode = force_generic_plan;
EXECUTE oc_upsert(3, 'b@x');
EXECUTE oc_upsert(3, 'b@x');
RESET plan_cache_mode;
-- an index that goes, and another one that comes
DROP INDEX oc_email;
EXECUTE oc_upsert(4, 'b@x');
CREATE UNIQUE INDEX oc_two ON oc_users (tenant, blind_index(email));
INSERT INTO oc_users VALUES (4, 1, 'b@x') ON CONFLICT (email) DO NOTHING;
INSERT INTO oc_users AS u VALUES (4, 1, 'b@x') ON CONFLICT (email, tenant) DO UPDATE SET n = 0 RETURNING id, n;
INSERT INTO oc_users AS u VALUES (4, 2, 'b@x') ON CONFLICT (tenant, email) DO UPDATE SET n = 0 RETURNING id, n;
-- partial
CREATE UNIQUE INDEX oc_part ON oc_users (blind_index(phone)) WHERE tenant = 2;
INSERT INTO oc_users VALUES (5, 2, 'p@x', '9') ON CONFLICT (phone) DO NOTHING RETURNING id;
INSERT INTO oc_users VALUES (5, 2, 'p@x', '9') ON CONFLICT (phone) WHERE tenant = 2 DO NOTHING RETURNING id;
INSERT INTO oc_users VALUES (6, 2, 'q@x', '9') ON CONFLICT (phone) WHERE tenant = 2 DO NOTHING RETURNING id;
-- in functions, through a view, in a CTE, without a search path
CREATE FUNCTION oc_sql(p text) RETURNS int LANGUAGE sql AS $$INSERT INTO oc_users AS u VALUES (7, 1, p) ON CONFLICT (tenant, email) DO UPDATE SET n = u.n + 10 RETURNING n$$;
CREATE FUNCTION oc_plpgsql(p text) RETURNS int LANGUAGE plpgsql AS $$DECLARE r int; BEGIN INSERT INTO oc_users AS u VALUES (7, 1, p) ON CONFLICT (tenant, email) DO UPDATE SET n = u.n + 10 RETURNING n INTO r; RETURN r; END$$;
SELECT oc_sql('a@x'), oc_plpgsql('a@x');
CREATE VIEW oc_view AS SELECT tenant, email, n, id FROM oc_users;
INSERT INTO oc_view AS u (id, tenant, email) VALUES (8, 1, 'a@x') ON CONFLICT (tenant, email) DO UPDATE SET n = u.n + 100 RETURNING id, n;
WITH i AS (INSERT INTO oc_users AS u VALUES (8, 1, 'a@x') ON CONFLICT (tenant, email) DO UPDATE SET n = u.n + 100 RETURNING id, n) SELECT * FROM i;
SET search_path = '';
INSERT INTO public.oc_users AS u VALUES (8, 1, 'a@x') ON CONFLICT (tenant, email) DO UPDATE SET n = u.n + 1000 RETURNING id, n;
RESET search_path;
-- a generated column, and partitions whose columns lie elsewhere
CREATE TABLE oc_stored (email encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(email)) STORED UNIQUE, n int);
INSERT INTO oc_stored (email, n) VALUES ('a', 1) ON CONFLICT (email) DO NOTHING;
INSERT INTO oc_stored AS s (email, n) VALUES ('a', 1) ON CONFLICT (email) DO UPDATE SET n = s.n + 1 RETURNING email, n;
CREATE TABLE oc_parts (tenant int, email encrypted_text, n int) PARTITION BY LIST (tenant);
CREATE TABLE oc_parts_1 PARTITION OF oc_parts FOR VALUES IN (1);
CREATE TABLE oc_parts_2 (gone int, n int, email encrypted_text('public.oc_parts'), tenant int);
ALTER TABLE oc_parts_2 DROP COLUMN gone;
ALTER TABLE oc_parts ATTACH PARTITION oc_parts_2 FOR VALUES IN (2);
CREATE UNIQUE INDEX ON oc_parts_1 (tenant, blind_index(email));
INSERT INTO oc_parts_1 AS p VALUES (1, 'a', 1) ON CONFLICT (tenant, email) DO UPDATE SET n = p.n + 1 RETURNING email, n;
INSERT INTO oc_parts_1 AS p VALUES (1, 'a', 1) ON CONFLICT (tenant, email) DO UPDATE SET n = p.n + 1 RETURNING email, n;
DROP VIEW oc_view;
DROP FUNCTION oc_sql(text), oc_plpgsql(text);
DROP TABLE oc_users, oc_stored, oc_parts;
