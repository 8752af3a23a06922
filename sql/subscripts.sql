-- Elements of an encrypted_jsonb by subscripts, beside those of a jsonb
SET client_min_messages = warning;
CREATE SCHEMA subscripts;
SET search_path = subscripts, public;
CREATE TABLE plain (id int PRIMARY KEY, j jsonb);
CREATE TABLE sealed (id int PRIMARY KEY, j encrypted_jsonb);
CREATE FUNCTION of_both(statement text) RETURNS TABLE (plain text, sealed text) LANGUAGE plpgsql AS $$ BEGIN
	BEGIN
		EXECUTE replace(statement, '{t}', 'plain') INTO plain;
	EXCEPTION WHEN OTHERS THEN plain := sqlerrm;
	END;
	BEGIN
		EXECUTE replace(statement, '{t}', 'sealed') INTO sealed;
	EXCEPTION WHEN OTHERS THEN sealed := sqlerrm;
	END;
	RETURN NEXT;
END $$;
INSERT INTO plain VALUES (1, '{"a": 1, "b": {"c": [1, 2, "x"]}}'), (2, '[1, {"k": "v"}]'), (3, NULL);
INSERT INTO sealed SELECT * FROM plain;

-- read
SELECT id, j['a'], j['b']['c'], j['b']['c'][2], j['b']['c'][-1], j[1]['k'], j['no']['no'], pg_typeof(j['a']) FROM plain ORDER BY id;
SELECT id, j['a'], j['b']['c'], j['b']['c'][2], j['b']['c'][-1], j[1]['k'], j['no']['no'], pg_typeof(j['a']) FROM sealed ORDER BY id;
SELECT * FROM of_both('SELECT string_agg(concat(j[''a''], (j[''b''])[''c''][id], j[NULL::text]), '','' ORDER BY j[''a''] DESC) FROM {t} WHERE j[''a''] = ''1'' OR j[1] IS NOT NULL');
SELECT j['a':'b'] FROM sealed;
SELECT j[1.5] FROM sealed;
CREATE VIEW v AS SELECT id, j['b']['c'][0] FROM sealed;
SELECT pg_get_viewdef('v') LIKE '%j)::jsonb)[''b''::text][''c''::text][0]%' AS "reads the opened value";
SELECT * FROM v ORDER BY id;
EXPLAIN (VERBOSE, COSTS OFF) SELECT j['a'] FROM sealed;

-- write
SELECT * FROM of_both('UPDATE {t} SET j[''a''] = ''2'', j[''b''][''c''][0] = to_jsonb(id), j[''n''] = NULL WHERE id = 1 RETURNING j');
SELECT * FROM of_both('UPDATE {t} SET j[5] = ''"five"'' WHERE id = 2 RETURNING j');
SELECT * FROM of_both('UPDATE {t} SET j[''new''][''x''] = coalesce(j[''no''], ''0'') WHERE id = 3 RETURNING j');
SELECT * FROM of_both('UPDATE {t} SET j[NULL] = ''1'' RETURNING j');
SELECT * FROM of_both('UPDATE {t} SET j[''a''][''b''] = ''1'' WHERE id = 1 RETURNING j');
SELECT * FROM of_both('INSERT INTO {t} (id, j[''a''], j[''b'']) VALUES (4, ''1'', ''[]'') RETURNING j');
SELECT * FROM of_both('INSERT INTO {t} VALUES (4) ON CONFLICT (id) DO UPDATE SET j[''c''] = {t}.j[''a''] RETURNING j');
SELECT * FROM of_both('INSERT INTO {t} (id, j) SELECT 5, j FROM {t} WHERE id = 4 RETURNING j');
PREPARE p AS UPDATE sealed SET j[$1] = $2 WHERE id = $3 RETURNING j;
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'p';
EXECUTE p('p', '"q"', 5);
DO $$ DECLARE v sealed.j%TYPE := '{"a": 1}'; w jsonb; BEGIN v['b'] := to_jsonb(7); w := v; RAISE WARNING '%', w; END $$;
-- under the column's key
SELECT id, (pgseal.inspect(j)).key FROM sealed ORDER BY id;
CREATE TABLE named (id int, j encrypted_jsonb('subscripts_key'), k encrypted_jsonb[]);
INSERT INTO named (id, j['x'], k[1]) VALUES (1, '1', '{}');
UPDATE named SET j['y'] = '2', k[2] = '{"z": 1}' RETURNING j, k;
SELECT (pgseal.inspect(j)).key FROM named;

-- no plaintext is stored by it
CREATE INDEX ON sealed ((j['a']));
ALTER TABLE sealed ADD COLUMN a jsonb GENERATED ALWAYS AS (j['a']) STORED;
\d sealed

-- who may not open the value changes nothing of it
CREATE ROLE subscripts_writer;
GRANT USAGE ON SCHEMA subscripts TO subscripts_writer;
GRANT SELECT, UPDATE ON sealed TO subscripts_writer;
SET ROLE subscripts_writer;
UPDATE sealed SET j['a'] = '9' WHERE id = 1;
SELECT j['a'] FROM sealed WHERE id = 1;
SET pgseal.on_denied = 'null';
UPDATE sealed SET j['a'] = '9' WHERE id = 1;
SELECT j['a'] FROM sealed WHERE id = 1;
RESET pgseal.on_denied;
RESET ROLE;
SELECT j FROM sealed WHERE id = 1;

SET client_min_messages = error;
DROP SCHEMA subscripts CASCADE;
DROP ROLE subscripts_writer;
