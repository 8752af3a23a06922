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
-- Re-encryption of tables that are rewritten meanwhile
--

ALTER TABLE pgseal_internal.rotation_table ADD COLUMN begun_anew int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN pgseal_internal.rotation_table.begun_anew IS 'how often it was rewritten while the round went through it';

ALTER TABLE pgseal_internal.redefinition ADD COLUMN begun_anew int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN pgseal_internal.redefinition.begun_anew IS 'how often it was rewritten while a pass went through it';

--
-- Seals of re-encryption
--

-- What re-encryption seals isn't held against a version: else, where there are more values
-- than pgseal.max_seals_per_key, each version would be replaced as soon as it was filled.
CREATE TABLE pgseal_internal.reencryption_seals (
	key_version_id int8 NOT NULL PRIMARY KEY,
	seals          int8 NOT NULL
);
COMMENT ON TABLE pgseal_internal.reencryption_seals IS 'of the seals of a key version, those of re-encryption';

CREATE OR REPLACE VIEW pgseal_internal.version_health AS
	SELECT v.key, v.number, v.purpose, s.cached, s.expires, s.failure,
		v.purpose = 'd' AND v.number = max(v.number) OVER (PARTITION BY v.key, v.purpose) AS is_current,
		greatest(v.seals, s.seals) AS seals, v.created, k.rotate_every, h.status AS server_status,
		coalesce((SELECT r.seals FROM pgseal_internal.reencryption_seals r WHERE r.key_version_id = v.id), 0) AS reseals
	FROM pgseal.key_version v
	JOIN pgseal.key k ON k.name = v.key
	LEFT JOIN pgseal_internal.server_health h ON h.name = v.server
	CROSS JOIN LATERAL pgseal_internal.key_stats(v.id) s
	WHERE v.parent_version IS NULL AND v.wrapped IS NOT NULL;

CREATE OR REPLACE VIEW pgseal.health AS
	SELECT 'server ' || quote_ident(name) AS object, status, detail FROM pgseal_internal.server_health
UNION ALL
	-- That a KMS can't be reached is over when it was reached, whatever for; a key that has
	-- expired as nobody uses it is none that lives on its grace
	SELECT format('key %I, %s version %s', key, CASE purpose WHEN 'd' THEN 'data' ELSE 'index' END, number), c.status,
		CASE c.status
			WHEN 'grace' THEN 'Its KMS is not reached; it is usable until ' || expires + current_setting('pgseal.cache_grace')::interval || '.'
			WHEN 'overdue' THEN format('It has %s seals, and is of %s; it is replaced after %s.', seals, created,
				concat_ws(' or ', current_setting('pgseal.max_seals_per_key') || ' seals', rotate_every))
			WHEN 'crowded' THEN format('Re-encryption has sealed %s values under it: more than pgseal.max_seals_per_key is. Raise that, or divide the values among several keys.', reseals)
			WHEN 'ok' THEN CASE WHEN NOT cached THEN 'It is not in the key cache.' END
			ELSE 'It could not be unwrapped when it was last needed.' END
	FROM pgseal_internal.version_health,
		LATERAL (SELECT CASE WHEN cached AND expires <= clock_timestamp() AND server_status = 'unreachable' THEN 'grace'
			WHEN failure <> 'unreachable' OR failure = server_status THEN failure
			WHEN is_current AND (seals - reseals >= current_setting('pgseal.max_seals_per_key')::int8
				OR created + rotate_every + greatest('1 hour', 12 * current_setting('pgseal.worker_interval')::interval) < now())
			THEN 'overdue'
			WHEN is_current AND reseals >= current_setting('pgseal.max_seals_per_key')::int8 THEN 'crowded'
			ELSE 'ok' END AS status) c
UNION ALL
	SELECT 'key cache', CASE WHEN used >= slots THEN 'full' WHEN NOT locked THEN 'swappable' ELSE 'ok' END,
		CASE WHEN used >= slots THEN 'Raise pgseal.cache_size.'
			WHEN NOT locked THEN 'The memory of keys could not be locked: raise the limit of locked memory.' END
	FROM pgseal_internal.cache_stats()
UNION ALL
	-- Who may not see other processes can't tell
	SELECT 'worker', CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE backend_type = 'pgseal launcher')
		THEN 'ok' ELSE 'down' END, NULL
	WHERE pg_has_role('pg_read_all_stats', 'USAGE')
UNION ALL
	SELECT format('re-encryption of key %I, data version %s', v.key, v.number),
		CASE WHEN r.in_vain > 0 THEN 'stuck'
			WHEN r.round_began IS NULL AND v.replaced < now() - interval '1 day' THEN 'waiting'
			ELSE 'ok' END,
		coalesce(r.complaint, CASE WHEN r.round_began IS NULL THEN 'It waits for older transactions.' END)
	FROM pgseal_internal.rotation r
	JOIN (SELECT id, key, number, lead(created) OVER (PARTITION BY key, purpose ORDER BY number) AS replaced
		FROM pgseal.key_version WHERE key IN (SELECT o.key FROM pgseal_internal.rotation JOIN pgseal.key_version o ON o.id = key_version_id)) v
		ON v.id = r.key_version_id
UNION ALL
	SELECT 'table ' || relid::regclass, CASE WHEN broken > 0 THEN 'broken' ELSE phase END,
		CASE WHEN broken > 0 THEN broken || ' values do not open: pgseal.verify_table() counts them, the log tells where.' ELSE detail END
	FROM pgseal_internal.rotation_table WHERE broken > 0 OR phase = 'untouchable'
UNION ALL
	SELECT 'signing of table ' || relid::regclass, CASE WHEN broken > 0 THEN 'broken' ELSE phase END,
		CASE WHEN broken > 0 THEN broken || ' rows do not verify: pgseal.tampered_rows() tells which.' ELSE detail END
	FROM pgseal_internal.redefinition WHERE broken > 0 OR phase = 'untouchable'
UNION ALL
	SELECT format('column %s.%I', a.attrelid::regclass, a.attname), 'destroyed', format('Key "%s" was destroyed.', k.name)
	FROM pgseal.key k
	JOIN pg_catalog.pg_attribute a ON a.atttypmod = k.name_hash AND NOT a.attisdropped
	JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	JOIN pg_catalog.pg_proc i ON i.oid = t.typinput AND i.prosrc = 'pgseal_in'
	JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')
	WHERE k.parent IS NULL
		AND EXISTS (SELECT FROM pgseal.key_version v WHERE v.key = k.name AND v.purpose = 'd')
		AND NOT EXISTS (SELECT FROM pgseal.key_version v WHERE v.key = k.name AND v.purpose = 'd' AND v.wrapped IS NOT NULL);

CREATE OR REPLACE VIEW pgseal_internal.sealing_version AS
	SELECT DISTINCT ON (v.key) v.key, k.name_hash, k.parent, v.created, v.seals,
		CASE WHEN k.parent IS NULL THEN format('key %I', v.key) ELSE format('child keys of %I', k.parent) END AS object,
		coalesce(s.seals, 0) AS reseals
	FROM pgseal.key_version v
	JOIN pgseal.key k ON k.name = v.key
	LEFT JOIN pgseal_internal.reencryption_seals s ON s.key_version_id = v.id
	WHERE v.purpose = 'd' AND v.wrapped IS NOT NULL
	ORDER BY v.key, v.number DESC;

CREATE OR REPLACE VIEW pgseal_internal.key_rules AS
	SELECT p.rule, p.object AS pattern, v.object, p."limit",
		CASE p.rule WHEN 'data_key_age' THEN date_trunc('second', max(now() - v.created))::text
			WHEN 'seals' THEN max(v.seals) || coalesce(', ' || nullif(max(v.reseals), 0) || ' of them by re-encryption', '')
			ELSE 'aes-256-gcm' END AS value,
		bool_and(CASE p.rule WHEN 'data_key_age' THEN v.created + p."limit"::interval > now()
			WHEN 'seals' THEN v.seals < p."limit"::int8
			ELSE 'aes-256-gcm' = ANY (regexp_split_to_array(lower(p."limit"), '\s*,\s*')) END) AS ok
	FROM pgseal.policy p
	JOIN pgseal_internal.sealing_version v ON v.key LIKE p.object
	WHERE p.rule IN ('data_key_age', 'seals', 'algorithm')
	GROUP BY p.rule, p.object, p."limit", v.object;

--
-- A rule about a key that was destroyed
--

CREATE OR REPLACE VIEW pgseal_internal.policy_state AS
	WITH found AS (
		SELECT rule, pattern, object, value, "limit", ok FROM pgseal_internal.key_rules
		UNION ALL SELECT rule, pattern, object, value, "limit", ok FROM pgseal_internal.wrapping_rules
		UNION ALL SELECT rule, pattern, object, value, "limit", ok FROM pgseal_internal.master_key_rules
		UNION ALL SELECT rule, pattern, object, value, "limit", ok FROM pgseal_internal.setting_rules
		UNION ALL SELECT rule, pattern, object, value, "limit", ok FROM pgseal_internal.privilege_rules)
	SELECT rule, object, value, "limit", ok FROM found
	UNION ALL
	-- A name that was mistyped complies with nothing; that of a key that was destroyed, with all
	SELECT p.rule, p.object, CASE WHEN d.destroyed THEN 'destroyed' ELSE 'matches nothing' END, p."limit", d.destroyed
	FROM pgseal.policy p
	CROSS JOIN LATERAL (SELECT p.rule IN ('data_key_age', 'seals', 'algorithm', 'wrapping_age', 'provider')
		AND EXISTS (SELECT FROM pgseal.key k WHERE k.name LIKE p.object) AS destroyed) AS d
	WHERE p.object <> '%' AND NOT EXISTS (SELECT FROM found WHERE found.rule = p.rule AND found.pattern = p.object);

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

-- As pgseal.progress_reencrypt
GRANT SELECT ON pgseal.progress_sign TO PUBLIC;
