-- What run.sh tries on two sets of tables, plain and encrypted, that are otherwise
-- alike: a statement to a line, or several that belong together (# is a new line).
-- people: distributed by id; visits: by person, beside it; cities: a reference table.

-- reading
SELECT name, salary FROM people WHERE id = 1
SELECT * FROM people WHERE id = 2
SELECT name FROM people ORDER BY id
SELECT name FROM people ORDER BY name
SELECT salary FROM people ORDER BY salary DESC, id LIMIT 3
SELECT id FROM people WHERE name = 'ada' ORDER BY id
SELECT id FROM people WHERE name <> 'ada' ORDER BY id
SELECT id FROM people WHERE salary > 3000 ORDER BY id
SELECT id FROM people WHERE salary BETWEEN 2000 AND 4000 ORDER BY id
SELECT id FROM people WHERE name IN ('ada', 'bob') ORDER BY id
SELECT id FROM people WHERE name = ANY (ARRAY['cyd', 'dan']) ORDER BY id
SELECT id FROM people WHERE name LIKE 'a%' ORDER BY id
SELECT id FROM people WHERE name ~ '^[ab]' ORDER BY id
SELECT id FROM people WHERE born >= DATE '1990-01-01' ORDER BY id
SELECT id FROM people WHERE name IS NULL ORDER BY id
SELECT id FROM people WHERE name IS DISTINCT FROM 'ada' ORDER BY id
SELECT id FROM people WHERE doc @> '{"k": 1}' ORDER BY id
SELECT id FROM people WHERE doc->>'k' = '2' ORDER BY id
SELECT id FROM people WHERE upper(name) = 'ADA' ORDER BY id
SELECT id FROM people WHERE id = 1 AND name = 'ada'
SELECT lower(name) || '!' FROM people WHERE id < 4 ORDER BY id
SELECT salary + 1, salary * 2, salary / 3 FROM people WHERE id = 3
SELECT salary * 1.5 FROM people WHERE id = 3
SELECT coalesce(name, 'none') FROM people ORDER BY id
SELECT CASE name WHEN 'ada' THEN 1 WHEN 'bob' THEN 2 ELSE 0 END FROM people ORDER BY id
SELECT CASE WHEN salary > 3000 THEN 'much' ELSE 'little' END FROM people ORDER BY id
SELECT nullif(name, 'ada') FROM people ORDER BY id
SELECT greatest(salary, 2500) FROM people ORDER BY id
SELECT name::varchar(2), salary::text FROM people ORDER BY id
SELECT extract(year FROM born) FROM people ORDER BY id
SELECT age(DATE '2020-01-01', born) FROM people ORDER BY id
SELECT concat(name, '-', city) FROM people ORDER BY id
SELECT format('%s has %s', name, salary) FROM people ORDER BY id
SELECT row_to_json(people) FROM people WHERE id = 1
SELECT to_jsonb(name), to_jsonb(salary) FROM people ORDER BY id
SELECT name = 'ada', salary < 2000 FROM people ORDER BY id
SELECT ARRAY[name, 'x'] FROM people WHERE id = 1
SELECT tags FROM people WHERE id = 1

-- aggregates and groups
SELECT count(*) FROM people WHERE name = 'ada'
SELECT count(name) FROM people
SELECT sum(salary) FROM people
SELECT avg(salary) FROM people
SELECT max(salary), min(salary) FROM people
SELECT max(name), min(name) FROM people
SELECT city, sum(salary) FROM people GROUP BY city ORDER BY city
SELECT city, max(name) FROM people GROUP BY city ORDER BY city
SELECT id, sum(salary) FROM people GROUP BY id ORDER BY id
SELECT name, count(*) FROM people GROUP BY name ORDER BY name
SELECT count(DISTINCT name) FROM people
SELECT DISTINCT name FROM people ORDER BY name
SELECT string_agg(name, ',' ORDER BY id) FROM people
SELECT array_agg(salary ORDER BY id) FROM people
SELECT city FROM people GROUP BY city HAVING sum(salary) > 3000 ORDER BY city
SELECT count(*) FILTER (WHERE salary > 3000) FROM people
SELECT id, rank() OVER (PARTITION BY id ORDER BY salary) FROM people ORDER BY id
SELECT id, sum(salary) OVER (ORDER BY id) FROM people ORDER BY id

-- joins, subqueries, WITH
SELECT p.name, v.note FROM people p JOIN visits v ON v.person = p.id ORDER BY v.person, v.at
SELECT p.name, v.note FROM people p LEFT JOIN visits v ON v.person = p.id ORDER BY p.id, v.at
SELECT p.name, c.motto FROM people p JOIN cities c ON c.city = p.city ORDER BY p.id
SELECT p.name FROM people p JOIN visits v ON v.person = p.id WHERE v.note = 'first' ORDER BY p.id
SELECT name FROM people WHERE id IN (SELECT person FROM visits WHERE note = 'second') ORDER BY id
SELECT name FROM people p WHERE EXISTS (SELECT FROM visits v WHERE v.person = p.id AND v.note = 'first') ORDER BY id
SELECT id FROM people WHERE name IN (SELECT name FROM people WHERE salary > 2000) ORDER BY id
SELECT x.name FROM (SELECT name, id FROM people WHERE salary > 1000 ORDER BY id LIMIT 3) x ORDER BY x.id
WITH rich AS (SELECT id, name FROM people WHERE salary > 2000) SELECT name FROM rich ORDER BY id
WITH rich AS MATERIALIZED (SELECT id, name, salary FROM people) SELECT name FROM rich WHERE salary > 2000 ORDER BY id
SELECT name FROM people WHERE id = 1 UNION ALL SELECT name FROM people WHERE id = 2 ORDER BY 1
SELECT name FROM people UNION SELECT motto FROM cities ORDER BY 1
SELECT motto FROM cities ORDER BY city
SELECT name FROM people WHERE salary = (SELECT max(salary) FROM people) ORDER BY id

-- writing
INSERT INTO people VALUES (20, 'eve', 1, '2001-02-03', 'york', '{"k": 9}', '{p,q}'); SELECT name, salary, born, doc, tags FROM people WHERE id = 20
INSERT INTO people (id, name) VALUES (21, 'fay'), (22, 'gus'); SELECT id, name FROM people WHERE id > 20 ORDER BY id
INSERT INTO people (id, name) VALUES (23, upper('hal')) RETURNING id, name
INSERT INTO people (id, name, salary) VALUES (1, 'again', 7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, salary = people.salary + 1 RETURNING name, salary
INSERT INTO people (id, name) VALUES (1, 'again') ON CONFLICT DO NOTHING; SELECT name FROM people WHERE id = 1
INSERT INTO people (id, name) SELECT id + 100, name FROM people; SELECT id, name FROM people ORDER BY id
INSERT INTO archive SELECT id, name FROM people; SELECT id, name FROM archive ORDER BY id
INSERT INTO archive SELECT id, name FROM people ORDER BY salary LIMIT 2; SELECT count(*), min(name) FROM archive
INSERT INTO archive (id, name) SELECT person, max(note) FROM visits GROUP BY person; SELECT id, name FROM archive ORDER BY id
INSERT INTO archive (id, name) SELECT length(name), name FROM people WHERE name IS NOT NULL; SELECT count(*) FROM archive WHERE name = 'ada'
UPDATE people SET name = 'new' WHERE id = 1; SELECT name FROM people WHERE id = 1
UPDATE people SET name = 'all'; SELECT DISTINCT name FROM people
UPDATE people SET salary = salary + 100 WHERE id = 2 RETURNING name, salary
UPDATE people SET name = upper(name), salary = salary * 2 WHERE salary < 3000; SELECT id, name, salary FROM people ORDER BY id
UPDATE people SET name = 'x' WHERE name = 'ada'; SELECT count(*) FROM people WHERE name = 'x'
UPDATE people SET name = NULL WHERE id = 3; SELECT name IS NULL FROM people WHERE id = 3
UPDATE people SET name = CASE WHEN salary > 2000 THEN 'rich' ELSE name END; SELECT id, name FROM people ORDER BY id
UPDATE people p SET name = v.note FROM visits v WHERE v.person = p.id AND v.note = 'first'; SELECT id, name FROM people ORDER BY id
UPDATE cities SET motto = 'changed' WHERE city = 'york'; SELECT motto FROM cities ORDER BY city
DELETE FROM people WHERE name = 'ada'; SELECT count(*) FROM people
DELETE FROM people WHERE salary > 5000 RETURNING name, salary
WITH gone AS (DELETE FROM people WHERE id = 1 RETURNING id, name) SELECT name FROM gone
BEGIN; UPDATE people SET name = 'tx' WHERE id = 2; SELECT name FROM people WHERE id = 2; ROLLBACK; SELECT name FROM people WHERE id = 2
PREPARE p (text, int) AS UPDATE people SET name = $1 WHERE id = $2; EXECUTE p ('prepared', 4); EXECUTE p ('again', 4); SELECT name FROM people WHERE id = 4
PREPARE p (text) AS SELECT id FROM people WHERE name = $1 ORDER BY id; EXECUTE p ('ada'); EXECUTE p ('bob'); EXECUTE p ('bob'); EXECUTE p ('bob'); EXECUTE p ('bob'); EXECUTE p ('ada'); EXECUTE p ('ada')
DO $$ DECLARE n text; s int; BEGIN SELECT name, salary INTO n, s FROM people WHERE id = 2; UPDATE people SET name = n || s WHERE id = 3; END $$; SELECT name FROM people WHERE id = 3
COPY people (id, name) FROM STDIN (DELIMITER '|');#30|jon#31|kay#\.#SELECT id, name FROM people WHERE id >= 30 ORDER BY id
COPY (SELECT id, name FROM people ORDER BY id) TO STDOUT
BEGIN; DECLARE c CURSOR FOR SELECT name FROM people ORDER BY id; FETCH 2 FROM c; FETCH 1 FROM c; COMMIT

-- rows and subqueries
SELECT id FROM people WHERE (name, salary) < ('bob', 3000) ORDER BY id
SELECT id FROM people WHERE (id, name) > (3, 'a') ORDER BY id LIMIT 3
DELETE FROM people WHERE (name, id) >= ('bob', 1); SELECT id FROM people ORDER BY id
UPDATE people SET (name, salary) = ('both', 7) WHERE id = 2; SELECT id, name, salary FROM people ORDER BY id
UPDATE people p SET (name, city) = (SELECT v.note, 'x' FROM visits v WHERE v.person = p.id ORDER BY v.at LIMIT 1) WHERE p.id = 1; SELECT id, name, city FROM people ORDER BY id
UPDATE people SET (name, city) = (SELECT motto, city FROM cities WHERE city = 'york'); SELECT id, name, city FROM people ORDER BY id
DELETE FROM people WHERE name IN (SELECT motto FROM cities); SELECT count(*) FROM people
DELETE FROM people WHERE name IN (SELECT name FROM people WHERE salary > 3000); SELECT id FROM people ORDER BY id
UPDATE people SET salary = 1 WHERE name NOT IN (SELECT name FROM people WHERE id < 3); SELECT id, salary FROM people ORDER BY id
UPDATE people SET salary = 1 WHERE id = 2 AND name = ANY (SELECT p.name FROM people p WHERE p.id = 2); SELECT id, salary FROM people ORDER BY id
UPDATE people SET (name, salary) = (SELECT max(v.note) || '!', count(*) FROM visits v WHERE v.person = people.id GROUP BY v.person); SELECT id, name, salary FROM people ORDER BY id
UPDATE people SET (name, salary) = (SELECT max(motto), 7 FROM cities); SELECT id, name, salary FROM people ORDER BY id
UPDATE people SET (salary, tags) = (SELECT v.at, ARRAY[v.note] FROM visits v WHERE v.person = people.id GROUP BY v.at, v.note ORDER BY v.at LIMIT 1); SELECT id, salary, tags FROM people ORDER BY id
UPDATE people SET (city, salary) = (SELECT x.name, x.id FROM people x WHERE x.id = people.id); SELECT id, city, salary FROM people ORDER BY id

-- what the coordinator does itself
INSERT INTO people (id, name) SELECT id, name || 'x' FROM archive RIGHT JOIN (SELECT 77 AS id) x USING (id) RETURNING id, name
INSERT INTO people (id, name, salary) SELECT id + 300, upper(name), salary FROM (SELECT * FROM people ORDER BY name LIMIT 3) x; SELECT name, salary FROM people WHERE id > 300 ORDER BY id
INSERT INTO archive (id, name) SELECT id, name FROM people; MERGE INTO archive a USING people p ON p.id = a.id WHEN MATCHED AND a.name = 'ada' THEN DELETE WHEN MATCHED AND p.salary > 3000 THEN UPDATE SET name = upper(a.name) WHEN NOT MATCHED THEN INSERT (id, name) VALUES (p.id, p.name); SELECT id, name FROM archive ORDER BY id
MERGE INTO archive a USING (SELECT p.id + 1 AS id, p.name FROM people p) s ON a.id = s.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, upper(s.name)); SELECT id, name FROM archive ORDER BY id
CREATE TEMP TABLE made AS SELECT id, name, salary FROM people; SELECT m.name FROM made m JOIN people p ON p.name = m.name AND p.id = m.id ORDER BY 1
WITH x AS (INSERT INTO people (id, name) VALUES (70, 'wi'), (71, 'th') RETURNING *), y AS (DELETE FROM people WHERE name = 'ada' RETURNING name) SELECT x.name, y.name FROM x, y ORDER BY 1, 2
PREPARE p AS INSERT INTO people (id, name, salary) VALUES ($1, $2, $3) RETURNING id, name, salary; EXECUTE p(11, 'a', 1); EXECUTE p(12, 'b', 2); EXECUTE p(13, 'c', 3); EXECUTE p(14, 'd', 4); EXECUTE p(15, 'e', 5); EXECUTE p(16, 'f', 6); EXECUTE p(17, NULL, NULL)
