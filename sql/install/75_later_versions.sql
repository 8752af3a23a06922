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
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_bin($1::pg_catalog.int4)';

CREATE FUNCTION to_oct(encrypted_int4) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_oct($1::pg_catalog.int4)';

-- Casts between integers and bytea (18), which 15 has not, by what 15 has: a body
-- as a string would be parsed as whoever calls it, who may not look into
-- pgseal_internal
DO $$
DECLARE
	number record;
	open text;
	value text;
BEGIN
	FOR number IN
		SELECT * FROM (VALUES
			('int2', '2', '($1 + 32767)::int2', '((''x'' || lpad(encode($1, ''hex''), 4, ''0'') || ''0000'')::bit(32)::int4 >> 16)::int2'),
			('int4', '4', '($1 + 2147483647::int8)::int4', '(''x'' || lpad(encode($1, ''hex''), 8, ''0''))::bit(32)::int4'),
			('int8', '8', '($1 + 9223372036854775807::numeric)::int8', '(''x'' || lpad(encode($1, ''hex''), 16, ''0''))::bit(64)::int8')
		) AS v (type, bytes, overflow, from_bytes)
	LOOP
		FOREACH open IN ARRAY ARRAY['$1', 'pgseal_internal.open($1)'] LOOP
			value := format('CASE WHEN octet_length(%1$s) > %2$s THEN %3$s ELSE %4$s END', open, number.bytes,
				replace(number.overflow, '$1', 'octet_length(' || open || ')'), replace(number.from_bytes, '$1', open));
			EXECUTE format('CREATE FUNCTION pgseal_internal.seal_as_bytea(%2$s, int4, bool) RETURNS encrypted_bytea
				LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(%1$ssend(%3$s), $2, $3);
				CREATE CAST (%2$s AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(%2$s, int4, bool)',
				number.type, CASE open WHEN '$1' THEN number.type ELSE 'encrypted_' || number.type END, open);
			EXECUTE format('CREATE FUNCTION pgseal_internal.seal_as_%1$s(%2$s, int4, bool) RETURNS encrypted_%1$s
				LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(%3$s, $2, $3);
				CREATE CAST (%2$s AS encrypted_%1$s) WITH FUNCTION pgseal_internal.seal_as_%1$s(%2$s, int4, bool)',
				number.type, CASE open WHEN '$1' THEN 'bytea' ELSE 'encrypted_bytea' END, value);
		END LOOP;
		EXECUTE format('CREATE FUNCTION pgseal_internal.open_as_bytea(encrypted_%1$s) RETURNS bytea
			LANGUAGE SQL STABLE PARALLEL SAFE RETURN %1$ssend(pgseal_internal.open($1));
			CREATE CAST (encrypted_%1$s AS bytea) WITH FUNCTION pgseal_internal.open_as_bytea(encrypted_%1$s)', number.type);
		EXECUTE format('CREATE FUNCTION pgseal_internal.open_as_%1$s(encrypted_bytea) RETURNS %1$s
			LANGUAGE SQL STABLE PARALLEL SAFE RETURN %2$s;
			CREATE CAST (encrypted_bytea AS %1$s) WITH FUNCTION pgseal_internal.open_as_%1$s(encrypted_bytea)', number.type, value);
	END LOOP;
END $$;
