--
-- For what PostgreSQL has since a later version than 15, from whose catalog
-- 70_parity.sql was generated.
--
-- Bodies that call what 15 hasn't are strings: nothing is looked up before the
-- call, and after pg_upgrade they work.
--

-- AT LOCAL (17).  Without it, it would be taken for that of timestamptz.
CREATE FUNCTION timezone(encrypted_timestamp) RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1)::timestamptz;

-- to_bin, to_oct (17)
CREATE FUNCTION to_bin(encrypted_int4) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_bin($1::int4)';

CREATE FUNCTION to_oct(encrypted_int4) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_oct($1::int4)';

-- Casts between integers and bytea (18)
DO $$
DECLARE
	made text[];
BEGIN
	FOR made IN
		SELECT ARRAY[source, target] FROM unnest(ARRAY['int2', 'int4', 'int8']) AS i,
			LATERAL (VALUES (i, 'bytea'), ('bytea', i)) AS v (source, target)
	LOOP
		EXECUTE format('CREATE FUNCTION pgseal_internal.open_as_%2$s(encrypted_%1$s) RETURNS %2$s
			LANGUAGE SQL STABLE PARALLEL SAFE AS ''SELECT pgseal_internal.open($1)::%2$s'';
			CREATE CAST (encrypted_%1$s AS %2$s) WITH FUNCTION pgseal_internal.open_as_%2$s(encrypted_%1$s);
			CREATE FUNCTION pgseal_internal.seal_as_%2$s(%1$s, int4, bool) RETURNS encrypted_%2$s
			LANGUAGE SQL VOLATILE PARALLEL SAFE AS ''SELECT pgseal_internal.seal_cast($1::%2$s, $2, $3)'';
			CREATE CAST (%1$s AS encrypted_%2$s) WITH FUNCTION pgseal_internal.seal_as_%2$s(%1$s, int4, bool);
			CREATE FUNCTION pgseal_internal.seal_as_%2$s(encrypted_%1$s, int4, bool) RETURNS encrypted_%2$s
			LANGUAGE SQL VOLATILE PARALLEL SAFE AS ''SELECT pgseal_internal.seal_cast(pgseal_internal.open($1)::%2$s, $2, $3)'';
			CREATE CAST (encrypted_%1$s AS encrypted_%2$s) WITH FUNCTION pgseal_internal.seal_as_%2$s(encrypted_%1$s, int4, bool)',
			made[1], made[2]);
	END LOOP;
END $$;
