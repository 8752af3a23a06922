
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
	FOREACH name IN ARRAY ARRAY['declared_key', 'old_index', 'rotation', 'retired_here', 'rotation_table', 'reencryption_seals',
		'redefinition', 'conversion', 'conversion_change', 'plain_storage'] LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pgseal_internal.%I'
			' FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.guard_work()', name);
		EXECUTE pg_catalog.format('ALTER TABLE pgseal_internal.%I ENABLE ALWAYS TRIGGER guard', name);
	END LOOP;
END $$;
