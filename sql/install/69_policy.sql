
--
-- Key management by policy: rules that the worker follows where it can, and a
-- report of what complies.
--

CREATE TABLE pgseal.policy (
	rule    text COLLATE "C" NOT NULL,
	object  text COLLATE "C" NOT NULL DEFAULT '%',
	"limit" text COLLATE "C" NOT NULL,
	enforce bool NOT NULL DEFAULT true,
	PRIMARY KEY (rule, object),
	CONSTRAINT known_rule CHECK (rule IN ('data_key_age', 'wrapping_age', 'master_key_age', 'seals', 'provider',
		'algorithm', 'setting', 'custodian', 'reader')),
	CONSTRAINT sound_limit CHECK (CASE
		WHEN rule IN ('data_key_age', 'wrapping_age', 'master_key_age') THEN "limit"::interval > interval '0'
		WHEN rule = 'seals' THEN "limit"::int8 BETWEEN 1024 AND 4294967296
		WHEN rule = 'setting' THEN "limit" ~ '^([<>]= *\d+(\.\d+)?|[^<>].*)$'
		ELSE true END)
);
COMMENT ON TABLE pgseal.policy IS 'rules for keys, settings and privileges';
COMMENT ON COLUMN pgseal.policy.object IS 'pattern, as of LIKE, of the names of what the rule is about; of a setting, its name';
COMMENT ON COLUMN pgseal.policy.enforce IS 'the worker sees to it: rotates, rewraps';
SELECT pg_catalog.pg_extension_config_dump('pgseal.policy', '');
GRANT SELECT, INSERT ON pgseal.policy TO pg_database_owner;
GRANT SELECT ON pgseal.policy TO pg_monitor;

-- What a dump brings, and is there already, stays
CREATE FUNCTION pgseal_internal.merge_policy() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_merge_policy';
REVOKE ALL ON FUNCTION pgseal_internal.merge_policy() FROM PUBLIC;
CREATE TRIGGER merge BEFORE INSERT ON pgseal.policy
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.merge_policy();
ALTER TABLE pgseal.policy ENABLE ALWAYS TRIGGER merge;

CREATE FUNCTION pgseal_internal.policy_changed() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_policy_changed';
REVOKE ALL ON FUNCTION pgseal_internal.policy_changed() FROM PUBLIC;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON pgseal.policy
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.policy_changed();
ALTER TABLE pgseal.policy ENABLE ALWAYS TRIGGER changed;
CREATE TRIGGER truncated AFTER TRUNCATE ON pgseal.policy
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.policy_changed();
ALTER TABLE pgseal.policy ENABLE ALWAYS TRIGGER truncated;

CREATE VIEW pgseal.policy_templates AS
	SELECT t.template, r.rule, r.object, r."limit"
	FROM (VALUES
		('30_days', 'data_key_age', '%', '30 days'),
		('30_days', 'wrapping_age', '%', '30 days'),
		('6_months', 'data_key_age', '%', '6 months'),
		('6_months', 'wrapping_age', '%', '6 months'),
		('pci_dss_4', 'data_key_age', '%', '90 days'),
		('pci_dss_4', 'master_key_age', '%', '1 year'),
		('pci_dss_4', 'provider', '%', 'aws_kms, azure_key_vault, gcp_kms, kmip, vault_transit'),
		('hipaa', 'data_key_age', '%', '6 months'),
		('hipaa', 'master_key_age', '%', '1 year'),
		('hipaa', 'setting', 'pgseal.verify_rows', 'on')) AS r (template, rule, object, "limit")
	JOIN (VALUES ('30_days'), ('6_months'), ('pci_dss_4'), ('hipaa')) AS t (template) USING (template)
	UNION ALL
	SELECT t.template, r.rule, r.object, r."limit"
	FROM (VALUES ('pci_dss_4'), ('hipaa')) AS t (template)
	CROSS JOIN (VALUES
		('wrapping_age', '%', '1 month'),
		('seals', '%', '4294967296'),
		('algorithm', '%', 'aes-256-gcm'),
		('setting', 'ssl', 'on'),
		('setting', 'pgseal.core_dumps', 'off'),
		('setting', 'pgseal.make_keys', 'owner'),
		('setting', 'pgseal.sealed_input', 'copy, off'),
		('setting', 'pgseal.cache_ttl', '<= 3600')) AS r (rule, object, "limit");
COMMENT ON VIEW pgseal.policy_templates IS 'rules to begin a policy with';
GRANT SELECT ON pgseal.policy_templates TO PUBLIC;

--
-- What complies
--

-- The version that seals, of each key.  Child keys, of which there may be a million, are
-- told of together.  A limit that re-encryption alone exceeds can't be kept: the rule isn't
-- complied with, but the worker doesn't go on rotating.
CREATE VIEW pgseal_internal.sealing_version AS
	SELECT DISTINCT ON (v.key) v.key, k.name_hash, k.parent, v.created, v.seals,
		CASE WHEN k.parent IS NULL THEN format('key %I', v.key) ELSE format('child keys of %I', k.parent) END AS object,
		coalesce(s.seals, 0) AS reseals
	FROM pgseal.key_version v
	JOIN pgseal.key k ON k.name = v.key
	LEFT JOIN pgseal_internal.reencryption_seals s ON s.key_version_id = v.id
	WHERE v.purpose = 'd' AND v.wrapped IS NOT NULL
	ORDER BY v.key, v.number DESC;

CREATE VIEW pgseal_internal.key_rules AS
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

-- What a parent wraps is in the same place as the parent, and is wrapped anew with it
CREATE VIEW pgseal_internal.wrapping_rules AS
	SELECT p.rule, p.object AS pattern, format('key %I', v.key) AS object, p."limit",
		CASE p.rule WHEN 'wrapping_age' THEN date_trunc('second', max(now() - coalesce(v.rewrapped, v.created)))::text
			ELSE string_agg(DISTINCT coalesce(s.provider::text, 'no server'), ', ') END AS value,
		bool_and(CASE p.rule WHEN 'wrapping_age' THEN coalesce(v.rewrapped, v.created) + p."limit"::interval > now()
			ELSE coalesce(s.provider::text = ANY (regexp_split_to_array(p."limit", '\s*,\s*')), false) END) AS ok
	FROM pgseal.policy p
	JOIN pgseal.key_version v ON v.key LIKE p.object AND v.parent_version IS NULL AND v.wrapped IS NOT NULL
	LEFT JOIN pgseal_internal.kms_server s ON s.name = v.server
	WHERE p.rule IN ('wrapping_age', 'provider')
	GROUP BY p.rule, p.object, p."limit", v.key;

-- How old a master key is, is known from its first use here.  The newest is that of
-- the newest wrapping.
CREATE VIEW pgseal_internal.master_key_rules AS
	SELECT p.rule, p.object AS pattern, format('server %I', m.server) AS object, p."limit",
		date_trunc('second', now() - m.since)::text AS value, m.since + p."limit"::interval > now() AS ok
	FROM pgseal.policy p
	JOIN (SELECT DISTINCT ON (server) server, since
		FROM (SELECT server, min(coalesce(rewrapped, created)) AS since, max(coalesce(rewrapped, created)) AS last
			FROM pgseal.key_version WHERE parent_version IS NULL GROUP BY server, master_key) AS used
		ORDER BY server, last DESC, since DESC) AS m ON m.server LIKE p.object
	WHERE p.rule = 'master_key_age';

-- What the configuration says, and what it was set to for a database or role.  A number
-- with a unit isn't compared, and doesn't comply.
CREATE VIEW pgseal_internal.setting_rules AS
	SELECT p.rule, p.object AS pattern, s.object, p."limit", s.value,
		coalesce(CASE WHEN p."limit" ~ '^[<>]' AND s.value !~ '^-?\d+(\.\d+)?$' THEN false
			WHEN p."limit" ~ '^<' THEN s.value::numeric <= substr(p."limit", 3)::numeric
			WHEN p."limit" ~ '^>' THEN s.value::numeric >= substr(p."limit", 3)::numeric
			ELSE lower(s.value) = ANY (regexp_split_to_array(lower(p."limit"), '\s*,\s*')) END, false) AS ok
	FROM pgseal.policy p
	CROSS JOIN LATERAL (
		SELECT 'setting ' || name AS object, reset_val AS value FROM pg_catalog.pg_settings WHERE name = p.object
		UNION ALL
		SELECT concat_ws(' ', 'setting', g.name, 'of', 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname)),
			substr(c.item, length(g.name) + 2)
		FROM pg_catalog.pg_db_role_setting o
		CROSS JOIN LATERAL unnest(o.setconfig) AS c (item)
		JOIN pg_catalog.pg_settings g ON g.name = p.object AND starts_with(lower(c.item), lower(g.name) || '=')
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = o.setrole
		LEFT JOIN pg_catalog.pg_database d ON d.oid = o.setdatabase
		WHERE o.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))) AS s
	WHERE p.rule = 'setting';

-- Who may do it, beside the owner and superusers; not who is a member of these
CREATE VIEW pgseal_internal.privilege_rules AS
	SELECT p.rule, p.object AS pattern, o.object, p."limit", g.value, coalesce(g.ok, true) AS ok
	FROM pgseal.policy p
	JOIN (SELECT 'custodian' AS rule, proname::text AS name, 'function ' || oid::regproc AS object, proowner AS owner, 'EXECUTE' AS privilege,
			coalesce(proacl, acldefault('f', proowner)) AS acl
		FROM pg_catalog.pg_proc
		WHERE oid IN ('pgseal.create_key'::regproc, 'pgseal.alter_key'::regproc, 'pgseal.rotate_key'::regproc,
			'pgseal.rewrap'::regproc, 'pgseal.move_key'::regproc, 'pgseal.destroy_key'::regproc,
			'pgseal.destroy_version'::regproc, 'pgseal.rotate_master_key'::regproc,
			'pgseal.rotate_index_key'::regproc, 'pgseal.retire_index_key'::regproc)
		UNION ALL
		SELECT 'reader', name::text, format('server %I', name), owner, 'USAGE', coalesce(acl, acldefault('S', owner))
		FROM pgseal_internal.kms_server) AS o ON o.rule = p.rule AND o.name LIKE p.object
	CROSS JOIN LATERAL (
		SELECT string_agg(role, ', ' ORDER BY role) AS value,
			bool_and(role = ANY (regexp_split_to_array(p."limit", '\s*,\s*'))) AS ok
		FROM (SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE coalesce((SELECT rolname FROM pg_catalog.pg_roles WHERE oid = grantee)::text, grantee::text) END AS role
			FROM aclexplode(o.acl) WHERE privilege_type = o.privilege AND grantee <> o.owner) AS granted) AS g;

CREATE VIEW pgseal_internal.policy_state AS
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
GRANT SELECT ON pgseal_internal.policy_state TO pg_monitor;

CREATE FUNCTION pgseal.policy_report(OUT rule text, OUT object text, OUT value text, OUT "limit" text, OUT ok bool)
RETURNS SETOF record LANGUAGE SQL STABLE
BEGIN ATOMIC
	SELECT s.rule, s.object, s.value, s."limit", s.ok FROM pgseal_internal.policy_state s ORDER BY s.ok, s.rule, s.object;
END;
REVOKE ALL ON FUNCTION pgseal.policy_report FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgseal.policy_report TO pg_monitor;
COMMENT ON FUNCTION pgseal.policy_report IS 'what pgseal.policy asks for, what there is, and whether that complies';
