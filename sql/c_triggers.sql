-- Trigger functions in C that take only the types they were written for.
CREATE SCHEMA c_triggers;
SET search_path = c_triggers, public;
CREATE EXTENSION moddatetime;
CREATE EXTENSION autoinc;
CREATE EXTENSION insert_username;
CREATE SEQUENCE s;
CREATE TABLE t (id int PRIMARY KEY, plain text, body encrypted_text, words tsvector, changed encrypted_timestamptz, n encrypted_int4, who encrypted_text);
CREATE TRIGGER words BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', plain, body);
CREATE TRIGGER words BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger_column(words, plain, body);
CREATE TRIGGER changed BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION moddatetime(changed);
CREATE TRIGGER n BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION autoinc(n, s);
CREATE TRIGGER who BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION insert_username(who);
-- on its plain columns it may be
CREATE TRIGGER words BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', plain);
-- then the column can't be encrypted
ALTER TABLE t ALTER plain TYPE encrypted_text;
CALL pgseal.encrypt_column('t', 'plain');
INSERT INTO t (id, plain, body) VALUES (1, 'two words', 'a word');
SELECT words FROM t;
-- the remedies
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := '2024-01-31 12:00+00'::timestamptz; NEW.who := 'somebody'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp();
UPDATE t SET n = 1;
SELECT changed = '2024-01-31 12:00+00' AS changed, who FROM t WHERE to_tsvector('english', body) @@ 'words'::tsquery OR to_tsvector('english', body) @@ to_tsquery('english', 'words');
DROP TRIGGER words ON t;
ALTER TABLE t ALTER plain TYPE encrypted_text;

SET client_min_messages = warning;
DROP SCHEMA c_triggers CASCADE;
