-- IN and NOT IN of subqueries between encrypted and plain columns, by every method
CREATE TABLE semijoin_e (e encrypted_text, i encrypted_int4);
CREATE TABLE semijoin_p (p text, i int4);
INSERT INTO semijoin_e VALUES ('a', 1), ('b', 2), ('c', 3), (NULL, NULL);
INSERT INTO semijoin_p VALUES ('b', 2), ('c', 3), ('c', 3), ('d', 4);
SELECT e FROM semijoin_e WHERE e IN (SELECT p FROM semijoin_p) ORDER BY e;
SELECT p FROM semijoin_p WHERE p IN (SELECT e FROM semijoin_e) ORDER BY p;
SELECT p FROM semijoin_p WHERE p NOT IN (SELECT e FROM semijoin_e WHERE e IS NOT NULL) ORDER BY p;
SELECT i, e IN (SELECT p FROM semijoin_p) AS found, i NOT IN (SELECT i FROM semijoin_p) AS missing FROM semijoin_e ORDER BY i;
SET enable_hashjoin = off;
SELECT e FROM semijoin_e WHERE e IN (SELECT p FROM semijoin_p) ORDER BY e;
SET enable_nestloop = off;
SELECT e FROM semijoin_e WHERE e IN (SELECT p FROM semijoin_p) ORDER BY e;
RESET enable_hashjoin;
RESET enable_nestloop;
-- The base types' own joins don't use the keyed hash
SELECT count(*) FROM pg_amop o JOIN pg_opfamily f ON f.oid = amopfamily
WHERE amopopr = '=(text,text)'::regoperator AND opfname LIKE 'encrypted%';
DROP TABLE semijoin_e, semijoin_p;
