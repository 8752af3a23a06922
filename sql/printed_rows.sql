-- What prints arrays and rows prints the plaintext, in any depth
SET datestyle = ISO;
CREATE DOMAIN nickname AS encrypted_text;
CREATE TABLE pet (name encrypted_text, gone int, born encrypted_date, nick nickname);
ALTER TABLE pet DROP COLUMN gone;
CREATE TABLE owner (id int, name encrypted_text, tags encrypted_text[], best pet, pets pet[]);
INSERT INTO owner VALUES (1, 'ada', '{a,"b,c",NULL}', ROW('rex', '2024-01-31', 'r'), ARRAY[ROW('rex', '2024-01-31', 'r'), NULL]::pet[]),
	(2, 'bob', NULL, NULL, NULL), (3, NULL, '{{x,y},{z,NULL}}', ROW(NULL, NULL, NULL), '{}');
-- arrays
SELECT array_to_string(array_agg(name ORDER BY id), ',', '-'), array_agg(name ORDER BY id)::text, concat(array_agg(name ORDER BY id)) FROM owner;
SELECT format('%s %s', VARIADIC array_agg(name ORDER BY id)), concat_ws('/', VARIADIC array_agg(name ORDER BY id)), quote_literal(array_agg(name ORDER BY id)) FROM owner;
SELECT tags, tags::text, array_to_string(tags, ','), concat(tags, name), json_build_array(tags), ARRAY(SELECT name)::text FROM owner ORDER BY id;
-- rows
SELECT owner FROM owner ORDER BY id;
SELECT best, pets, best::text, pets::text, concat(best), format('%s', pets) FROM owner ORDER BY id;
SELECT ROW(name, id), ROW(name, ROW(id, tags))::text, ROW(best), ROW(1, ROW(2, ROW(name))) FROM owner ORDER BY id;
SELECT array_agg(ROW(name, id) ORDER BY id), array_agg(ROW(id, ROW(name)) ORDER BY id)::text, array_agg(ROW(id) ORDER BY id) FROM owner;
SELECT ARRAY[ROW(name)], coalesce(ROW(name), ROW(id::text)), CASE WHEN id < 3 THEN ROW(name) END, ARRAY(SELECT ROW(name)), ROW(id, ARRAY[ROW(name)]) FROM owner ORDER BY id;
SELECT array_agg(best ORDER BY id), array_agg(best ORDER BY id)::text FROM owner;
SELECT row_to_json(owner), to_jsonb(best) FROM owner ORDER BY id;
-- that come from elsewhere: a subquery, WITH, a join, an outer join that has none
SELECT r FROM (SELECT ROW(name, id) AS r, id FROM owner) AS s ORDER BY id;
WITH w AS (SELECT ROW(name, id) AS r FROM owner WHERE id = 1) SELECT r, (SELECT r::text FROM w AS v), (SELECT w.r::text) FROM w;
SELECT r::text, o FROM (SELECT ROW(name) AS r FROM owner WHERE id = 2) AS s LEFT JOIN owner AS o ON false;
SELECT l.r FROM (owner AS o JOIN (SELECT ROW(name) AS r, 1 AS one FROM owner WHERE id = 1) AS s ON id = one) AS l;
SELECT s, s::text FROM (SELECT name, id FROM owner WHERE id = 1) AS s;
WITH w AS (SELECT name FROM owner WHERE id = 1) SELECT w, concat(w) FROM w;
SELECT v, v::text FROM owner, LATERAL (VALUES (name, 1), (NULL, 2)) AS v WHERE id = 1;
SELECT f, f::text FROM jsonb_to_recordset('[{"a": "x"}]') AS f (a encrypted_text);
SELECT r FROM (SELECT r FROM (SELECT ROW(name) AS r FROM owner WHERE id = 1 UNION ALL SELECT ROW('x'::encrypted_text)) AS s) AS s;
SELECT DISTINCT best FROM owner ORDER BY best;
SELECT best, count(*) FROM owner GROUP BY best ORDER BY best LIMIT 1;
INSERT INTO owner (id, best) VALUES (4, ROW('max', NULL, NULL)) RETURNING owner, best;
DELETE FROM owner WHERE id = 4 RETURNING ROW(best);
-- in a view, a function, a cursor; plain rows stay what they are
CREATE VIEW owner_view AS SELECT owner::text AS o, array_to_string(tags, ',') AS t FROM owner;
SELECT * FROM owner_view ORDER BY o;
SELECT replace(pg_get_viewdef('owner_view'), 'owner.tags', 'tags') AS definition;	-- so since 16
CREATE FUNCTION owner_function(i int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE o owner; r record; BEGIN
	SELECT * INTO o FROM owner WHERE id = i;
	SELECT name, tags INTO r FROM owner WHERE id = i;
	RETURN concat(o, ' ', o.best, ' ', o::text, ' ', array_to_string(r.tags, ',')); END $$;
SELECT owner_function(1);
EXPLAIN (VERBOSE, COSTS OFF) SELECT owner, ROW(id, 1), ROW(id, ROW(id))::text FROM owner ORDER BY id;
SELECT pg_typeof(owner), pg_typeof(ROW(id)) FROM owner LIMIT 1;
-- what is sealed stays sealed where that is asked for, and for who may not read it
SET pgseal.transparent = off;
SELECT left(best::text, 5) AS opened, ROW(name)::text FROM owner WHERE id = 1;
SELECT count(*) AS sealed FROM (SELECT best AS b FROM owner WHERE id = 1) AS s WHERE (b).name IS NOT NULL;
RESET pgseal.transparent;
CREATE ROLE regress_rows;
GRANT SELECT ON owner TO regress_rows;
SET ROLE regress_rows;
SELECT owner FROM owner;
SELECT best::text FROM owner;
SELECT array_to_string(tags, ',') FROM owner;
SET pgseal.on_denied = 'null';
SELECT owner, best, tags FROM owner ORDER BY id;
RESET pgseal.on_denied;
RESET ROLE;
DROP FUNCTION owner_function(int);
DROP VIEW owner_view;
DROP TABLE owner, pet;
DROP DOMAIN nickname;
DROP ROLE regress_rows;
