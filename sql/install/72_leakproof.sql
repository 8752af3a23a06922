
--
-- Comparisons are LEAKPROOF where PostgreSQL's own of the base types are: not those of
-- numeric and jsonb.  Without it, no index is used beside row security or a
-- security_barrier view.
--
-- A plaintext shows in no error of theirs.  What errors there can be depend on the key
-- of a value: a role that may not open it is given the comparison as one that isn't
-- leakproof (denied.c).  A hidden row whose value was damaged, or whose key version was
-- destroyed, can be told from others by its error; its value can't.
--

DO $$
DECLARE
	function text;
BEGIN
	FOR function IN
		SELECT p.oid::pg_catalog.regprocedure::text
		FROM pg_catalog.pg_proc p, pg_catalog.pg_operator o, pg_catalog.pg_proc core
		WHERE p.pronamespace = 'pgseal_internal'::pg_catalog.regnamespace
			AND o.oprname = CASE p.prosrc WHEN 'pgseal_eq' THEN '=' WHEN 'pgseal_ne' THEN '<>' WHEN 'pgseal_lt' THEN '<'
				WHEN 'pgseal_le' THEN '<=' WHEN 'pgseal_ge' THEN '>=' WHEN 'pgseal_gt' THEN '>' END
			AND o.oprleft = (SELECT base.oid FROM pg_catalog.pg_type t, pg_catalog.pg_type base WHERE t.oid = p.proargtypes[0]
				AND base.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND base.typname = pg_catalog.regexp_replace(t.typname, '^encrypted_', ''))
			AND o.oprright = (SELECT base.oid FROM pg_catalog.pg_type t, pg_catalog.pg_type base WHERE t.oid = p.proargtypes[1]
				AND base.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND base.typname = pg_catalog.regexp_replace(t.typname, '^encrypted_', ''))
			AND core.oid = o.oprcode AND core.proleakproof
	LOOP
		EXECUTE 'ALTER FUNCTION ' || function || ' LEAKPROOF';
	END LOOP;
END $$;

-- What a role may not open, in its conditions (denied.c)
CREATE FUNCTION pgseal_internal.may_be_denied(anyelement) RETURNS anyelement
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_may_be_denied';
