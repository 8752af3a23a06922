-- Functions that print arguments of any type print the plaintext
SET datestyle = ISO;
CREATE TABLE printed (t encrypted_text, i encrypted_int4, d encrypted_date);
INSERT INTO printed VALUES ('ada', 3, '1815-12-10'), ('bob', NULL, NULL);
SELECT concat(t, ' ', i), concat_ws('/', t, d), format('%s is %L', t, i) FROM printed ORDER BY t;
SELECT json_build_object(t, i), xmlelement(NAME p, t), xmlforest(i) FROM printed ORDER BY t;
SELECT json_object_agg(t, d ORDER BY i), jsonb_object_agg(t, i) FROM printed;
SELECT concat(t, '!') AS name, count(*) FROM printed GROUP BY concat(t, '!') ORDER BY 1;
-- also in functions, views, subqueries and what EXPLAIN, CREATE TABLE AS and a cursor hold
CREATE VIEW printed_view AS SELECT concat(t, i) AS c FROM printed;
CREATE FUNCTION printed_function() RETURNS SETOF text LANGUAGE plpgsql AS
	$$ BEGIN RETURN QUERY SELECT concat(t, i) FROM printed ORDER BY t; END $$;
SELECT * FROM printed_view ORDER BY c;
SELECT * FROM printed_function();
SELECT (SELECT max(concat(t, i)) FROM printed);
CREATE TABLE printed_copy AS SELECT concat(t, i) AS c FROM printed;
SELECT * FROM printed_copy ORDER BY c;
BEGIN;
DECLARE c CURSOR FOR SELECT concat(t, i) FROM printed ORDER BY t;
FETCH ALL FROM c;
COMMIT;
EXPLAIN (VERBOSE, COSTS OFF) SELECT concat(t, i) FROM printed;
-- A role that may not read the plaintext doesn't get it this way
CREATE ROLE regress_printed;
GRANT SELECT ON printed TO regress_printed;
SET ROLE regress_printed;
SELECT concat(t) FROM printed;
RESET ROLE;
DROP FUNCTION printed_function();
DROP VIEW printed_view;
DROP TABLE printed, printed_copy;
DROP ROLE regress_printed;

-- casts by way of the text form, which PostgreSQL makes up for strings
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN moody AS mood;
CREATE TABLE cast_via_text (d encrypted_text, m encrypted_text, u encrypted_text, n encrypted_int4, a encrypted_text[]);
INSERT INTO cast_via_text VALUES ('2024-02-29', 'ok', '10.0.0.1', 7, '{2024-02-29,NULL}');
SELECT d::date + 1 AS date, m::mood AS enum, m::moody AS domain, u::inet AS inet, a::date[] AS array FROM cast_via_text;
SELECT d::timestamp AS timestamp, n::varchar AS varchar, n::bpchar AS bpchar, n::name AS name FROM cast_via_text;
CREATE FUNCTION leap(cast_via_text) RETURNS date LANGUAGE plpgsql AS 'BEGIN RETURN $1.d::date; END';
SELECT leap(t) FROM cast_via_text t;
CREATE VIEW leaps AS SELECT d::date FROM cast_via_text;
SELECT * FROM leaps;
DROP VIEW leaps;
DROP FUNCTION leap;
DROP TABLE cast_via_text;
DROP DOMAIN moody;
DROP TYPE mood;
