
--
-- Health: what check() would say, from what this server knows already.  No KMS
-- is called and nothing is opened, so it works while a KMS is down, on standbys,
-- and for who monitors.
--

-- "Identity, never names": a wrapper of ours belongs to the extension as pgseal.key does
CREATE VIEW pgseal_internal.kms_server AS
	SELECT s.oid, s.srvname AS name, w.fdwname AS provider, s.srvowner AS owner, s.srvacl AS acl
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	JOIN pg_catalog.pg_depend wrapper ON wrapper.classid = 'pg_catalog.pg_foreign_data_wrapper'::regclass
		AND wrapper.objid = w.oid AND wrapper.deptype = 'e'
	JOIN pg_catalog.pg_depend catalog ON catalog.classid = 'pg_catalog.pg_class'::regclass
		AND catalog.objid = 'pgseal.key'::regclass AND catalog.deptype = 'e'
	WHERE wrapper.refclassid = catalog.refclassid AND wrapper.refobjid = catalog.refobjid;
COMMENT ON VIEW pgseal_internal.kms_server IS 'foreign servers of our wrappers';

-- Of the calls that ended, the last: an operation that is refused (rewrap, for want of a
-- permission) doesn't hide that others work; pgseal.stat_kms has each by itself
CREATE VIEW pgseal_internal.server_health AS
	SELECT s.name, CASE WHEN c.server IS NULL THEN 'unknown'
			WHEN c.last_failure > coalesce(c.last_success, '-infinity') THEN c.last_failure_status
			ELSE 'ok' END AS status,
		CASE WHEN c.server IS NULL THEN 'It has not been called yet.'
			WHEN c.last_failure > coalesce(c.last_success, '-infinity')
			THEN concat_ws(', ', c.operation || ' failed', 'code ' || nullif(c.last_failure_code, ''), 'last success ' || c.last_success)
			END AS detail
	FROM pgseal_internal.kms_server s
	LEFT JOIN (SELECT DISTINCT ON (server) server, operation, last_failure, last_failure_status, last_failure_code,
			max(last_success) OVER (PARTITION BY server) AS last_success
		FROM pgseal_internal.kms_stats()
		WHERE last_success IS NOT NULL OR last_failure IS NOT NULL
		ORDER BY server, last_failure DESC NULLS LAST) c ON c.server = s.oid;

-- Key versions that a server wraps: child keys, of which there may be a million,
-- depend on no KMS but by these
CREATE VIEW pgseal_internal.version_health AS
	SELECT v.key, v.number, v.purpose, s.cached, s.expires, s.failure,
		v.purpose = 'd' AND v.number = max(v.number) OVER (PARTITION BY v.key, v.purpose) AS is_current,
		greatest(v.seals, s.seals) AS seals, v.created, k.rotate_every, h.status AS server_status,
		coalesce((SELECT r.seals FROM pgseal_internal.reencryption_seals r WHERE r.key_version_id = v.id), 0) AS reseals
	FROM pgseal.key_version v
	JOIN pgseal.key k ON k.name = v.key
	LEFT JOIN pgseal_internal.server_health h ON h.name = v.server
	CROSS JOIN LATERAL pgseal_internal.key_stats(v.id) s
	WHERE v.parent_version IS NULL AND v.wrapped IS NOT NULL;

CREATE VIEW pgseal.health AS
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
COMMENT ON VIEW pgseal.health IS 'what pgseal.check() would say, from what this server knows already, and what is overdue, stuck or broken; calls no KMS';

GRANT SELECT ON pgseal.health, pgseal.events TO pg_monitor;
