-- Lookups in sub-selects: a condition is extended by the range table that its
-- columns are of, also where PostgreSQL simplifies it with another query's.
CREATE TABLE sub_t (f1 encrypted_text);
CREATE INDEX ON sub_t (blind_index(f1));
CREATE TABLE sub_few (id int);
INSERT INTO sub_t VALUES ('a'), ('b');
INSERT INTO sub_few VALUES (0), (1);
-- an outer range table that is shorter than the inner one's numbers
SELECT * FROM (SELECT EXISTS (SELECT 1 FROM sub_t tinner WHERE f1 = touter.f1) AS b FROM sub_t touter) ss, sub_few WHERE sub_few.id > ss.b::int;
SELECT EXISTS (SELECT 1 FROM sub_t o WHERE o.f1 = x.f1) FROM (SELECT * FROM sub_t) x;

-- one in which the number is another table's
CREATE TABLE sub_customers (id int, ssn encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(ssn)) STORED UNIQUE);
CREATE TABLE sub_vip (id int, ssn encrypted_text, note bytea);
INSERT INTO sub_customers (id, ssn) SELECT g, 's' || g FROM generate_series(1, 300) g;
INSERT INTO sub_vip SELECT g, 's' || g, '\x00' FROM generate_series(1, 200) g;
ANALYZE sub_customers, sub_vip;
SELECT id FROM sub_customers c WHERE EXISTS (SELECT 1 FROM sub_vip v WHERE v.ssn = 's7' AND v.id = c.id) OR id = -1;
SELECT id FROM sub_customers c WHERE NOT EXISTS (SELECT 1 FROM sub_vip v WHERE v.ssn = c.ssn) AND id < 203 ORDER BY id;
SELECT count(*) FROM sub_vip v WHERE EXISTS (SELECT 1 FROM sub_customers c WHERE c.ssn = v.ssn AND c.id = v.id) OR note IS NULL;
SELECT id FROM sub_vip v WHERE id IN (SELECT c.id FROM sub_customers c WHERE c.ssn = v.ssn) AND (ssn = 's9' OR EXISTS (SELECT 1 FROM sub_customers d WHERE d.ssn = 's8' AND d.id = v.id)) ORDER BY id;
DROP TABLE sub_t, sub_few, sub_customers, sub_vip;

-- CTEs that write and read each other, below a set operation or DISTINCT
CREATE TABLE sub_from (id int, e encrypted_text);
CREATE TABLE sub_to (id int, e encrypted_text);
INSERT INTO sub_from VALUES (1, 'x'), (2, 'y');
WITH d AS (DELETE FROM sub_from RETURNING *), i AS (INSERT INTO sub_to SELECT * FROM d RETURNING *) SELECT e FROM i UNION ALL SELECT e FROM d;
WITH d AS (DELETE FROM sub_to RETURNING *), i AS (INSERT INTO sub_from SELECT * FROM d RETURNING *) SELECT DISTINCT e FROM i ORDER BY e;
DROP TABLE sub_from, sub_to;
