
--
-- Functions that PostgreSQL calls without asking for a privilege (those of types,
-- operator classes, the planner), or that aggregates, triggers and wrappers have
-- for themselves: nobody calls them.
--

DO $$
DECLARE
	function text;
BEGIN
	FOR function IN
		SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'pgseal_internal'::pg_catalog.regnamespace
			AND (p.prosrc IN ('pgseal_in', 'pgseal_out', 'pgseal_recv', 'pgseal_send', 'pgseal_typmod_in',
				'pgseal_typmod_out', 'pgseal_transition', 'pgseal_sealed_larger',
				'pgseal_sealed_smaller', 'pgseal_hash', 'pgseal_hash_extended',
				'pgseal_signature_in', 'pgseal_signature_out', 'pgseal_signature_recv', 'pgseal_signature_send')
			OR 'pg_catalog.internal'::pg_catalog.regtype = ANY (p.proargtypes)
			OR p.prosrc LIKE 'pgseal%validator')
	LOOP
		EXECUTE 'REVOKE ALL ON FUNCTION ' || function || ' FROM PUBLIC';
	END LOOP;
END $$;

-- Statements have it, whoever runs them; nobody can call a function that takes internal
GRANT EXECUTE ON FUNCTION pgseal_internal.column_default(regclass, int2, internal) TO PUBLIC;
