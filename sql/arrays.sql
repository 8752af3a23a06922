-- Arrays of encrypted values beside arrays of plain ones.
CREATE SCHEMA arrays;
SET search_path = arrays, public;
CREATE TABLE posts (id int, tags encrypted_text[], scores encrypted_int4[], seen encrypted_date[], plain text[]);
INSERT INTO posts VALUES (1, '{a,b}', '{1,2}', '{2024-01-31}', '{a,b}'), (2, '{c,NULL}', '{{3,4},{5,6}}', '{}', '{c}'), (3, NULL, NULL, NULL, '{a}');

SELECT id FROM posts WHERE tags @> ARRAY['a'];
SELECT id FROM posts WHERE ARRAY['c'] <@ tags;
SELECT id FROM posts WHERE tags && ARRAY['b', 'c']::varchar[] ORDER BY id;
SELECT id FROM posts WHERE ARRAY['a', 'b', 'z']::name[]::text[] @> tags;
SELECT id FROM posts WHERE scores = ARRAY[1, 2] AND seen <> ARRAY[date '2024-02-01'];
SELECT id FROM posts WHERE scores @> ARRAY[[3, 6]];
SELECT id, tags < ARRAY['b'] AS less, ARRAY['b'] >= tags AS ge, tags IS DISTINCT FROM plain AS differs, nullif(tags, plain), CASE tags WHEN plain THEN 'same' END AS "case" FROM posts ORDER BY id;
SELECT p.id, q.id FROM posts p JOIN posts q ON p.tags && q.plain ORDER BY 1, 2;
SELECT id FROM posts WHERE tags IN (SELECT plain FROM posts);

-- with an untyped literal or parameter as before
SELECT id FROM posts WHERE tags @> '{a}' AND '{a}' <@ tags AND tags <> '{}';
PREPARE tagged AS SELECT id FROM posts WHERE tags @> $1 OR tags && ARRAY[$2];
EXECUTE tagged('{a}', 'c');
SELECT parameter_types FROM pg_prepared_statements;
DEALLOCATE tagged;
SELECT id FROM posts WHERE (tags, id) < ('{b}', 5) ORDER BY id;
SELECT id FROM posts WHERE (tags, id) <= (ARRAY['c', NULL], 2) AND (ARRAY['a', 'b'], id) IN ((tags, 1)) ORDER BY id;

-- one beside another: joins by hashing and merging, groups
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT p.id FROM posts p JOIN posts q USING (tags);
SELECT p.id FROM posts p JOIN posts q USING (tags) ORDER BY 1;
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT p.id FROM posts p JOIN posts q USING (tags);
SELECT p.id, q.id FROM posts p FULL JOIN posts q USING (tags) ORDER BY 1, 2;
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT tags, count(*) FROM posts GROUP BY tags ORDER BY tags DESC;
SELECT DISTINCT scores FROM posts ORDER BY 1;

-- plain arrays are compared by PostgreSQL's operators
EXPLAIN (VERBOSE, COSTS OFF) SELECT plain @> '{a}', '{a}' <@ plain, '{1}' = ARRAY[1], ARRAY['a'::varchar] = '{a}' FROM posts;

-- what PostgreSQL refuses
SELECT scores @> ARRAY['1'] FROM posts;
SELECT scores = ARRAY[1::int8] FROM posts;
SELECT scores = tags FROM posts;
CREATE INDEX ON posts (id) WHERE tags @> ARRAY['a'];
ALTER TABLE posts ADD urgent bool GENERATED ALWAYS AS (tags @> ARRAY['urgent']) STORED;

-- constraints see the values as the owner; others need the privilege
CREATE TABLE checked (tags encrypted_text[] CHECK (tags <@ ARRAY['a', 'b']));
CREATE ROLE array_writer;
GRANT USAGE ON SCHEMA arrays TO array_writer;
GRANT INSERT ON checked TO array_writer;
GRANT SELECT ON posts TO array_writer;
SET ROLE array_writer;
INSERT INTO checked VALUES ('{a}');
\set VERBOSITY terse
INSERT INTO checked VALUES ('{c}');
\set VERBOSITY default
SELECT id FROM posts WHERE tags @> ARRAY['a'];
SET pgseal.on_denied = 'null';
SELECT id FROM posts WHERE tags @> ARRAY['a'] OR ARRAY['a'] <> tags;
RESET pgseal.on_denied;
RESET ROLE;

-- what a view keeps
CREATE VIEW urgent AS SELECT id, tags @> ARRAY['a'] AS urgent FROM posts WHERE tags && ARRAY['a', 'c'];
SELECT * FROM urgent ORDER BY 1;
SELECT replace(pg_get_viewdef('urgent'::regclass), 'posts.', '') AS urgent;

-- what is no array of its elements' common type by itself is refused, and works with a cast
CREATE TABLE paid (salary encrypted_int4);
INSERT INTO paid VALUES (5000);
SELECT ARRAY[1::int2] || salary FROM paid;
SELECT array_append(ARRAY[1::int2], salary) FROM paid;
SELECT ARRAY[1::int2]::int4[] || salary AS numbers FROM paid;

SET client_min_messages = warning;
DROP SCHEMA arrays CASCADE;
DROP ROLE array_writer;
