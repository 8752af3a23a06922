-- Forms of equality that tools write find the blind index, too
CREATE TABLE lf (id int, email encrypted_text, n encrypted_int4, at encrypted_timestamptz, d encrypted_date);
CREATE INDEX lf_email ON lf (blind_index(email));
CREATE INDEX lf_n ON lf (blind_index(n));
CREATE INDEX lf_at ON lf (blind_index(at));
CREATE INDEX lf_d ON lf (blind_index(d));
SET timezone = 'Europe/Zurich';
INSERT INTO lf SELECT g, 'a' || g, g, timestamptz '2026-01-01 00:00+01' + g * interval '1 hour', date '2026-01-01' + g FROM generate_series(1, 99) g;
INSERT INTO lf (id) VALUES (100);
SET enable_seqscan = off;
-- which index does a plan use?
CREATE FUNCTION lf_index(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text; BEGIN FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
IF line ~ 'Index (Only )?Scan|Seq Scan' THEN RETURN NEXT substring(line FROM '(Seq Scan|on lf_[a-z]+|using lf_[a-z]+)'); END IF; END LOOP; END $$;
SELECT lf_index($$SELECT id FROM lf WHERE email::text = 'a7'$$);
SELECT lf_index($$SELECT id FROM lf WHERE 'a7' = email::text$$);
SELECT lf_index($$SELECT id FROM lf WHERE email::varchar = 'a7'$$);
SELECT lf_index($$SELECT id FROM lf WHERE n::int = 7$$);
SELECT lf_index($$SELECT id FROM lf WHERE email IS NOT DISTINCT FROM 'a7'::text$$);
SELECT lf_index($$SELECT id FROM lf WHERE email = 'a7'::text::encrypted_text$$);
SELECT lf_index($$SELECT id FROM lf WHERE at = timestamp '2026-01-01 07:00'$$);
SELECT lf_index($$SELECT id FROM lf WHERE d = timestamp '2026-01-08 00:00'$$);
SELECT id FROM lf WHERE email::text = 'a7';
SELECT id FROM lf WHERE email::varchar = 'a7';
SELECT id FROM lf WHERE n::int = 7;
SELECT id FROM lf WHERE email IS NOT DISTINCT FROM 'a7'::text;
SELECT id FROM lf WHERE email IS NOT DISTINCT FROM NULL::text;
SELECT id FROM lf WHERE NOT (email IS NOT DISTINCT FROM 'a7'::text) AND id IN (6, 7, 100) ORDER BY id;
SELECT id FROM lf WHERE email = 'a7'::text::encrypted_text;
SELECT id FROM lf WHERE at = timestamp '2026-01-01 07:00';
SELECT id FROM lf WHERE d = timestamp '2026-01-08 00:00';
SELECT id FROM lf WHERE d = timestamp '2026-01-08 00:01';
-- prepared, with one plan for all values
SET plan_cache_mode = force_generic_plan;
PREPARE lf_text(text) AS SELECT id FROM lf WHERE email::text = $1;
PREPARE lf_not_distinct(text) AS SELECT id FROM lf WHERE email IS NOT DISTINCT FROM $1;
PREPARE lf_at(timestamp) AS SELECT id FROM lf WHERE at = $1;
PREPARE lf_cast(text) AS SELECT id FROM lf WHERE email = $1::encrypted_text;
PREPARE lf_untyped AS SELECT id FROM lf WHERE email = $1;
SELECT lf_index($$EXECUTE lf_text('a7')$$);
SELECT lf_index($$EXECUTE lf_not_distinct('a7')$$);
SELECT lf_index($$EXECUTE lf_at('2026-01-01 07:00')$$);
SELECT lf_index($$EXECUTE lf_cast('a7')$$);
SELECT lf_index($$EXECUTE lf_untyped('a7')$$);
EXECUTE lf_text('a7');
EXECUTE lf_not_distinct('a7');
EXECUTE lf_not_distinct(NULL);
EXECUTE lf_at('2026-01-01 07:00');
EXECUTE lf_cast('a7');
EXECUTE lf_untyped('a7');
DROP FUNCTION lf_index(text);
DROP TABLE lf;
