-- Rules between tables that have keys of their own.
CREATE SCHEMA rules;
SET search_path = rules, public;
CREATE TABLE a (id int, e encrypted_text, gone int, n encrypted_int4);
ALTER TABLE a DROP gone;
CREATE TABLE b (id int, e encrypted_text, n encrypted_int4);
CREATE TABLE c (id int, e encrypted_text, n encrypted_int4, p text);
CREATE RULE i AS ON INSERT TO b DO INSTEAD INSERT INTO a VALUES (new.id, new.e, new.n) RETURNING *;
CREATE RULE u AS ON UPDATE TO b DO INSTEAD UPDATE a SET e = new.e WHERE id = old.id RETURNING a.*;
CREATE RULE d AS ON DELETE TO b DO INSTEAD DELETE FROM a x WHERE id = old.id RETURNING x.id, x.e, x.n;
CREATE RULE i AS ON INSERT TO c DO INSTEAD INSERT INTO a VALUES (new.id, new.e, new.n) RETURNING a.*, upper(e);
INSERT INTO b VALUES (1, 'one', 1) RETURNING e, n;
INSERT INTO c VALUES (2, 'two', 2, 'p') RETURNING *;
SELECT id, e, n, (pgseal.inspect(e)).key FROM a ORDER BY id;
INSERT INTO b VALUES (3, 'three', 3);
UPDATE b SET e = 'x';
CREATE VIEW v AS SELECT * FROM a;
CREATE RULE i AS ON INSERT TO v DO INSTEAD INSERT INTO a VALUES (new.id, new.e, new.n) RETURNING a.*;
CREATE RULE u AS ON UPDATE TO v DO INSTEAD UPDATE a SET e = new.e WHERE id = old.id RETURNING a.*;
INSERT INTO v VALUES (4, 'four', 4) RETURNING v.e;
UPDATE v SET e = e || '!' WHERE id > 2 RETURNING id, e;
-- what is returned has no name
CREATE RULE d AS ON DELETE TO v DO INSTEAD DELETE FROM a WHERE id = old.id
	RETURNING id, 'was ' || e, CASE WHEN id = 4 THEN 70 ELSE 1 + n END;
DELETE FROM v WHERE id = 4 RETURNING *;
CREATE VIEW w AS SELECT id, e FROM a;
CREATE RULE u AS ON UPDATE TO w DO INSTEAD UPDATE a SET n = 7 WHERE id = old.id RETURNING id, 'was ' || e;
UPDATE w SET e = 'y' WHERE id = 2 RETURNING *;
-- what PostgreSQL refuses on plain columns, too
CREATE RULE few AS ON INSERT TO b DO INSTEAD INSERT INTO a VALUES (new.id) RETURNING id;
CREATE RULE many AS ON INSERT TO b DO INSTEAD INSERT INTO a VALUES (new.id) RETURNING *, 1;
CREATE RULE other AS ON INSERT TO b DO INSTEAD INSERT INTO a VALUES (new.id) RETURNING e, id, n;

SET client_min_messages = warning;
DROP SCHEMA rules CASCADE;
