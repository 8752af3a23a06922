-- Columns that JOIN ... USING merges of two of different types, and whole rows of joins
-- and of transition tables: as of plain columns.
CREATE TABLE small (v encrypted_int4, a encrypted_text);
CREATE TABLE exact (v encrypted_numeric, b encrypted_text);
CREATE TABLE plain (v int8, c text);
CREATE TABLE words (w encrypted_text);
CREATE TABLE names (w varchar(10));
INSERT INTO small VALUES (1, 'one'), (2, 'two'), (NULL, 'none');
INSERT INTO exact VALUES (1.00, 'ONE'), (3.50, 'THREE'), (NULL, 'NONE');
INSERT INTO plain VALUES (1, 'i'), (4, 'iv');
INSERT INTO words VALUES ('x'), ('y');
INSERT INTO names VALUES ('x'), ('z');

-- An inner join shows the column that needs no conversion
SELECT v, a, b FROM small JOIN exact USING (v);
SELECT v, a, b FROM exact JOIN small USING (v);
SELECT j.v, pg_typeof(j.v) FROM (small NATURAL JOIN exact) AS j;
SELECT (SELECT max(v::text) FROM small JOIN exact USING (v)) AS greatest, v FROM small LEFT JOIN exact USING (v) ORDER BY 2;
SELECT max(v) AS greatest, array_agg(v) AS all FROM small JOIN exact USING (v) GROUP BY v HAVING concat(v) <> '1';
SELECT v, count(*) FROM small JOIN exact USING (v) GROUP BY ROLLUP (v) ORDER BY 2, 1;
CREATE VIEW merged AS SELECT v, a FROM small JOIN exact USING (v);
SELECT * FROM merged;
CREATE FUNCTION merged_sum() RETURNS SETOF numeric LANGUAGE sql BEGIN ATOMIC SELECT v FROM small JOIN exact USING (v); END;
SELECT merged_sum();

-- A merged column is merged again
SELECT v, a, b, c FROM small FULL JOIN exact USING (v) FULL JOIN plain USING (v) ORDER BY 1, 2, 3;
SELECT v, a, c, b FROM small FULL JOIN plain USING (v) FULL JOIN exact USING (v) ORDER BY 1, 2, 4;
SELECT v, s.a FROM small FULL JOIN plain USING (v) FULL JOIN (SELECT * FROM small) AS s USING (v) ORDER BY 1, 2;
SELECT w FROM words FULL JOIN names USING (w) FULL JOIN (SELECT * FROM words) AS s USING (w) ORDER BY 1;

-- Whole rows
SELECT j FROM (small JOIN exact USING (v)) AS j;
SELECT j::text, concat(j), row_to_json(j) FROM (small JOIN plain USING (v)) AS j;
SELECT j, count(*) FROM (small FULL JOIN exact USING (v)) AS j GROUP BY j ORDER BY 1;
SELECT q, count(*) FROM (SELECT v, a FROM small) AS q GROUP BY q ORDER BY 1;
CREATE FUNCTION said() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	SELECT string_agg(n::text, ' ' ORDER BY n.w) INTO line FROM new_rows AS n;
	INSERT INTO names VALUES (line);
	RETURN NULL;
END $$;
CREATE TRIGGER said AFTER INSERT ON words REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION said();
INSERT INTO words VALUES ('u'), ('v');
SELECT w FROM names ORDER BY w;

DROP VIEW merged;
DROP FUNCTION merged_sum;
DROP TABLE small, exact, plain, words, names;
DROP FUNCTION said;
