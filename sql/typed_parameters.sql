-- Parameters that a driver declares as varchar, text, json or unknown, whatever the column
-- is: as statements on a plain table, with the same SQLSTATE and the same types.
CREATE SCHEMA typed_parameters;
SET search_path = typed_parameters, public;
DO $$
DECLARE
	types text[] := '{text,bytea,bool,int2,int4,int8,float4,float8,numeric,date,time,timestamp,timestamptz,interval,uuid,inet,jsonb}';
BEGIN
	EXECUTE 'CREATE TABLE plain (id int PRIMARY KEY, ' || (SELECT string_agg(format('c_%1$s %1$s', t), ', ') FROM unnest(types) t) || ')';
	EXECUTE 'CREATE TABLE sealed (id int PRIMARY KEY, ' || (SELECT string_agg(format('c_%1$s encrypted_%1$s', t), ', ') FROM unnest(types) t) || ')';
END $$;
CREATE TABLE statements (n serial, col text, declared text, sql text);
INSERT INTO statements (col, declared, sql)
SELECT col, declared, replace(form, 'COL', col)
FROM (SELECT attname AS col FROM pg_attribute WHERE attrelid = 'plain'::regclass AND attname LIKE 'c\_%') c,
	unnest('{varchar,text,json,unknown,name,bpchar}'::text[]) declared,
	unnest(ARRAY['SELECT id FROM TAB WHERE COL = $1', 'SELECT id FROM TAB WHERE $1 <> COL', 'SELECT id FROM TAB WHERE COL < $1', 'SELECT id FROM TAB WHERE COL IN ($1, $1)',
		'SELECT id FROM TAB WHERE COL = ANY (ARRAY[$1])', 'SELECT id FROM TAB WHERE COL IS DISTINCT FROM $1', 'SELECT id FROM TAB WHERE COL BETWEEN $1 AND $1',
		'SELECT id FROM TAB WHERE (COL, id) > ($1, 1)', 'SELECT coalesce(COL, $1) FROM TAB', 'SELECT nullif(COL, $1) FROM TAB', 'SELECT CASE WHEN id = 1 THEN COL ELSE $1 END FROM TAB',
		'SELECT greatest(COL, $1) FROM TAB', 'SELECT COL || $1 FROM TAB', 'SELECT COL LIKE $1 FROM TAB', 'SELECT COL @> $1 FROM TAB', 'SELECT COL + $1 FROM TAB', 'SELECT COL -> $1 FROM TAB', 'SELECT COL <<= $1 FROM TAB',
		'SELECT concat(COL, $1) FROM TAB', 'SELECT lag(COL, 1, $1) OVER () FROM TAB', 'SELECT COL FROM TAB UNION SELECT $1', 'VALUES ((SELECT COL FROM TAB)), ($1)',
		'INSERT INTO TAB (id, COL) VALUES (1, $1)', 'INSERT INTO TAB (id, COL) SELECT 1, $1', 'UPDATE TAB SET COL = $1', 'UPDATE TAB SET COL = $1 WHERE COL = $1 RETURNING COL',
		'INSERT INTO TAB (id, COL) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET COL = excluded.COL WHERE TAB.COL <> $1', 'DELETE FROM TAB WHERE COL = $1 RETURNING COL']) form;

-- The error of preparing it, or the types of its parameters and results
CREATE FUNCTION outcome(tab text, declared text, sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('PREPARE tried (%s) AS %s', declared, replace(sql, 'TAB', tab));
	SELECT parameter_types::text INTO result FROM pg_prepared_statements WHERE name = 'tried';
	DEALLOCATE tried;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SET client_min_messages = error;
CREATE TABLE outcomes AS SELECT *, outcome('plain', declared, sql) AS plain, outcome('sealed', declared, sql) AS sealed FROM statements;
RESET client_min_messages;
SELECT count(*) AS statements, count(*) FILTER (WHERE plain ~ '{') > 600 AS enough_work FROM outcomes;
-- what works on the plain table works; the other errors may be others
SELECT declared, sql, plain, sealed FROM outcomes WHERE plain <> sealed AND plain ~ '{' ORDER BY n;
-- what is refused there and not here
SELECT declared, replace(sql, col, 'COL') AS sql, count(*), min(sealed), string_agg(col, ' ' ORDER BY n) FROM outcomes WHERE sealed ~ '{' AND plain !~ '{' GROUP BY 1, 2 ORDER BY min(n);

SET client_min_messages = warning;
DROP SCHEMA typed_parameters CASCADE;
