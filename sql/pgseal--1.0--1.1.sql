-- From 1.0 to 1.1: what was added to sql/install/ since

--
-- BRIN: minimum and maximum of a range of blocks, sealed
--

CREATE FUNCTION pgseal_internal.brin_opcinfo(internal) RETURNS internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_opcinfo';
CREATE FUNCTION pgseal_internal.brin_add_value(internal, internal, internal, internal) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_add_value';
CREATE FUNCTION pgseal_internal.brin_consistent(internal, internal, internal, int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_consistent';
CREATE FUNCTION pgseal_internal.brin_union(internal, internal, internal) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_union';

-- As 90_privileges.sql does: nobody calls what PostgreSQL calls without asking
REVOKE ALL ON FUNCTION pgseal_internal.brin_opcinfo(internal),
	pgseal_internal.brin_add_value(internal, internal, internal, internal),
	pgseal_internal.brin_consistent(internal, internal, internal, int4),
	pgseal_internal.brin_union(internal, internal, internal) FROM PUBLIC;

DO $$
DECLARE
	type text;
BEGIN
	FOREACH type IN ARRAY '{text,bytea,bool,int2,int4,int8,float4,float8,numeric,date,time,timestamp,timestamptz,interval,uuid,inet,jsonb}'::text[]
	LOOP
		EXECUTE pg_catalog.format('CREATE OPERATOR FAMILY sealed_%s_minmax_ops USING brin', type);
		EXECUTE pg_catalog.format('CREATE OPERATOR CLASS sealed_%1$s_minmax_ops %2$s FOR TYPE encrypted_%1$s USING brin
			FAMILY sealed_%1$s_minmax_ops AS
			OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
			FUNCTION 1 pgseal_internal.brin_opcinfo(internal),
			FUNCTION 2 pgseal_internal.brin_add_value(internal, internal, internal, internal),
			FUNCTION 3 pgseal_internal.brin_consistent(internal, internal, internal, int4),
			FUNCTION 4 pgseal_internal.brin_union(internal, internal, internal)',
			type, CASE WHEN type <> 'jsonb' THEN 'DEFAULT' END);
	END LOOP;
END $$;

--
-- What a sealed index finds by < <= = >= >, BRIN finds as well: comparisons with plain
-- values, and with relatives of the base type.  It has the same comparisons between
-- encrypted values of its type already.
--

DO $$
DECLARE
	command text;
BEGIN
	FOR command IN
		SELECT pg_catalog.format('ALTER OPERATOR FAMILY %s USING brin ADD OPERATOR %s %I.%s (%s, %s)',
			pg_catalog.regexp_replace(f.opfname, '_ops$', '_minmax_ops'), o.amopstrategy, n.nspname, p.oprname,
			pg_catalog.format_type(p.oprleft, NULL), pg_catalog.format_type(p.oprright, NULL))
		FROM pg_catalog.pg_opfamily f, pg_catalog.pg_amop o, pg_catalog.pg_operator p, pg_catalog.pg_namespace n,
			pg_catalog.pg_am a, pg_catalog.pg_am brin, pg_catalog.pg_opfamily minmax
		WHERE a.amname = 'sealed' AND f.opfmethod = a.oid AND o.amopfamily = f.oid AND o.amopstrategy <= 5
			AND p.oid = o.amopopr AND n.oid = p.oprnamespace AND p.oprleft <> p.oprright
			AND brin.amname = 'brin' AND minmax.opfmethod = brin.oid AND minmax.opfnamespace = f.opfnamespace
			AND minmax.opfname = pg_catalog.regexp_replace(f.opfname, '_ops$', '_minmax_ops')
	LOOP
		EXECUTE command;
	END LOOP;
END $$;

COMMENT ON FUNCTION pgseal.verify_index(regclass) IS 'opens all of a sealed index, or of BRIN on encrypted columns, and looks for every row in it';

--
-- Elements of an encrypted_jsonb: prefs['a'] (src/type/subscript.c)
--

CREATE FUNCTION pgseal_internal.jsonb_subscript(internal) RETURNS internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_jsonb_subscript';
REVOKE ALL ON FUNCTION pgseal_internal.jsonb_subscript(internal) FROM PUBLIC;
ALTER TYPE pg_catalog.encrypted_jsonb SET (SUBSCRIPT = pgseal_internal.jsonb_subscript);

--
-- What the worker and conversions keep about their work changes by them alone: who
-- may write to all tables (pg_write_all_data) would make a version retired that values
-- need, or end a re-encryption before it has begun.
--

CREATE FUNCTION pgseal_internal.guard_work() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_guard_work';
REVOKE ALL ON FUNCTION pgseal_internal.guard_work() FROM PUBLIC;
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['declared_key', 'old_index', 'rotation', 'retired_here', 'rotation_table',
		'redefinition', 'conversion', 'conversion_change', 'plain_storage'] LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pgseal_internal.%I'
			' FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.guard_work()', name);
		EXECUTE pg_catalog.format('ALTER TABLE pgseal_internal.%I ENABLE ALWAYS TRIGGER guard', name);
	END LOOP;
END $$;

-- As pgseal.progress_reencrypt
GRANT SELECT ON pgseal.progress_sign TO PUBLIC;
