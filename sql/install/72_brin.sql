
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
