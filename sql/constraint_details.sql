-- What PostgreSQL says when a constraint on tokens refuses a row: no token, and the column's name.
CREATE SCHEMA details;
SET search_path = details, public;
CREATE TABLE t (id int PRIMARY KEY, tenant int, email encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(email)) STORED CHECK (id < 100));
INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b');
CREATE UNIQUE INDEX t_email ON t (blind_index(email));
INSERT INTO t VALUES (3, 1, 'a');
UPDATE t SET email = 'a' WHERE id = 2;
INSERT INTO t VALUES (3, 1, 'c'), (4, 1, 'c');
INSERT INTO t VALUES (1, 1, 'z');
SET bytea_output = escape;
INSERT INTO t VALUES (3, 1, 'a');
RESET bytea_output;
DROP INDEX t_email;
CREATE UNIQUE INDEX t_email ON t (tenant, blind_index(email, 'lower,trim'), (id % 1));
INSERT INTO t VALUES (3, 1, ' A ');
DROP INDEX t_email;
\copy t (id, tenant, email) FROM STDIN
5	1	a
\.
CREATE UNIQUE INDEX t_email ON t (blind_index(email));
DELETE FROM t WHERE id = 5;
CREATE UNIQUE INDEX t_token ON t (token);
INSERT INTO t VALUES (3, 1, 'a');
\copy t (id, tenant, email) FROM STDIN
5	1	a
\.
-- rows that other constraints refuse
INSERT INTO t VALUES (100, 1, 'c');
INSERT INTO t VALUES (NULL, 1, 'c');
ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING btree (token WITH =);
DROP INDEX t_token;
INSERT INTO t VALUES (3, 1, 'a');
ALTER TABLE t DROP CONSTRAINT x, ADD CONSTRAINT y EXCLUDE USING hash (blind_index(email) WITH =);
INSERT INTO t VALUES (3, 1, 'a');
ALTER TABLE t DROP CONSTRAINT y;
-- what else is in a row or a key is said; tokens that are text, and bytes printed as text, can't be told from it
CREATE TABLE r (id int CHECK (id > 0), name text, email encrypted_text NOT NULL, token bytea GENERATED ALWAYS AS (blind_index(email)) STORED, plain bytea, l encrypted_text[]);
CREATE UNIQUE INDEX r_email ON r (name, blind_index(email), plain);
INSERT INTO r VALUES (1, 'a', 'mail', DEFAULT, NULL, '{x}'), (1, 'b, (c)=(d)', 'mail', DEFAULT, '\x01', NULL);
INSERT INTO r VALUES (0, 'a, \\x0123', 'mail', DEFAULT, NULL, '{x}');
INSERT INTO r VALUES (2, 'a', NULL, DEFAULT, NULL, '{x}');
INSERT INTO r VALUES (2, 'b, (c)=(d)', 'mail', DEFAULT, '\x01', NULL);
UPDATE r SET name = 'b, (c)=(d)', plain = '\x01';
CREATE VIEW v AS SELECT * FROM r WHERE id < 10 WITH CHECK OPTION;
INSERT INTO v VALUES (11, 'a', 'other', DEFAULT, NULL, '{x}');
SET bytea_output = escape;
INSERT INTO v VALUES (11, 'a', 'other', DEFAULT, NULL, '{x}');
INSERT INTO r VALUES (0, 'a', 'mail', DEFAULT, NULL, '{x}');
INSERT INTO r VALUES (2, 'b, (c)=(d)', 'mail', DEFAULT, '\x01', NULL);
RESET bytea_output;
ALTER TABLE r ADD told text GENERATED ALWAYS AS (encode(blind_index(email), 'hex')) STORED;
INSERT INTO r VALUES (0, 'a', 'mail', DEFAULT, NULL, '{x}');
DROP VIEW v;
CREATE VIEW v AS SELECT * FROM r WHERE id < 10 WITH CHECK OPTION;
INSERT INTO v VALUES (11, 'a', 'other', DEFAULT, NULL, '{x}');
WITH w AS (INSERT INTO v (id, name, email) VALUES (11, 'a', 'other') RETURNING *) SELECT * FROM w;
CREATE FUNCTION into_v() RETURNS void LANGUAGE sql AS $$ INSERT INTO details.v (id, name, email) VALUES (11, 'a', 'other') $$;
SELECT into_v();
CREATE TABLE q (id int, token bytea);
CREATE VIEW qv AS SELECT * FROM q WHERE id < 10 WITH CHECK OPTION;
INSERT INTO qv VALUES (11, '\x0123456789abcdef0123456789abcdef');
DROP VIEW qv;
DROP TABLE q;
DROP FUNCTION into_v;
DROP VIEW v;
ALTER TABLE r DROP told;
CREATE VIEW v AS SELECT * FROM r WHERE id < 10 WITH CHECK OPTION;
CREATE TABLE s (id int CHECK (id > 0), name text, email encrypted_text);
INSERT INTO s VALUES (0, 'x', 'mail');
CREATE ROLE details_writer;
GRANT USAGE ON SCHEMA details TO details_writer;
GRANT INSERT, SELECT (id, token) ON r TO details_writer;
GRANT INSERT ON v TO details_writer;
SET ROLE details_writer;
INSERT INTO v VALUES (11, 'a', 'other', DEFAULT, NULL, NULL);
RESET ROLE;
DROP VIEW v;
DROP TABLE r, s;
DROP OWNED BY details_writer;
DROP ROLE details_writer;
-- what was caught
DO $$ DECLARE d text; c text; BEGIN
	CREATE UNIQUE INDEX t_email ON details.t (blind_index(email));
	INSERT INTO details.t VALUES (3, 1, 'a');
EXCEPTION WHEN unique_violation THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, c = CONSTRAINT_NAME;
	RAISE INFO '% %', d, c;
END $$;
-- foreign keys, checked at once and at the end
ALTER TABLE t ADD CONSTRAINT t_unique UNIQUE (token) DEFERRABLE INITIALLY IMMEDIATE;
CREATE UNIQUE INDEX t_token ON t (token);
CREATE TABLE r (email encrypted_text('details.t'), token bytea GENERATED ALWAYS AS (blind_index(email)) STORED REFERENCES t (token) DEFERRABLE);
INSERT INTO r VALUES ('a');
INSERT INTO r VALUES ('nobody');
DELETE FROM t WHERE id = 1;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO r VALUES ('nobody');
COMMIT;
DROP TABLE r;
DROP INDEX t_token;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO t VALUES (3, 1, 'a');
COMMIT;
-- partitions
CREATE TABLE p (email encrypted_text) PARTITION BY LIST (blind_index(email));
INSERT INTO p VALUES ('a');
-- plain keys stay
CREATE TABLE plain (b bytea PRIMARY KEY, t text UNIQUE CHECK (t <> 'no'), r bytea REFERENCES plain DEFERRABLE INITIALLY DEFERRED);
INSERT INTO plain VALUES ('\x010203', 't', NULL);
INSERT INTO plain VALUES ('\x010203', 'u', NULL);
INSERT INTO plain VALUES ('\x01', 't', NULL);
INSERT INTO plain VALUES ('\x01', 'no', NULL);

SET client_min_messages = warning;
DROP SCHEMA details CASCADE;
