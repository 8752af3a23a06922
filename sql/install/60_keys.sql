
--
-- Keys
--

CREATE FUNCTION pgseal.create_key(name text, server text DEFAULT NULL, parent text DEFAULT NULL,
	rotate_every interval DEFAULT NULL, rewrap_every interval DEFAULT NULL) RETURNS void
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_create_key';
REVOKE ALL ON FUNCTION pgseal.create_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.create_key IS 'makes a key, its material wrapped by the server''s master key';

CREATE FUNCTION pgseal.rotate_key(name text) RETURNS int4
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_rotate_key';
REVOKE ALL ON FUNCTION pgseal.rotate_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.rotate_key IS 'makes a new version of a key, which seals from now on; returns its number';

CREATE FUNCTION pgseal.alter_key(name text, rotate_every interval DEFAULT NULL,
	rewrap_every interval DEFAULT NULL) RETURNS void
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_alter_key';
REVOKE ALL ON FUNCTION pgseal.alter_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.alter_key IS 'changes a key''s schedules; what isn''t given stays, an interval of 0 ends a schedule';

CREATE FUNCTION pgseal.rewrap(server text DEFAULT NULL) RETURNS int8
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_rewrap';
REVOKE ALL ON FUNCTION pgseal.rewrap FROM PUBLIC;
COMMENT ON FUNCTION pgseal.rewrap IS 'rewraps key versions under the newest master key version; how many';

CREATE FUNCTION pgseal.move_key(name text, server text) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_move_key';
REVOKE ALL ON FUNCTION pgseal.move_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.move_key IS 'lets another server''s master key wrap a key and its child keys; no data is touched';

CREATE FUNCTION pgseal.destroy_key(name text, confirm text, force bool DEFAULT false) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_destroy_key';
REVOKE ALL ON FUNCTION pgseal.destroy_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.destroy_key IS 'irrevocable; confirm repeats the name; force: also while values exist that need it';

CREATE FUNCTION pgseal.destroy_version(name text, version int4, confirm text, force bool DEFAULT false) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_destroy_version';
REVOKE ALL ON FUNCTION pgseal.destroy_version FROM PUBLIC;
COMMENT ON FUNCTION pgseal.destroy_version IS 'destroys a retired version of a key, if nothing needs it; confirm repeats the key''s name; force: also while the keys are published';

CREATE FUNCTION pgseal.rotate_master_key(server text) RETURNS int4
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_rotate_master_key';
REVOKE ALL ON FUNCTION pgseal.rotate_master_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.rotate_master_key IS 'adds a master key version to a local keyring; a KMS rotates its own';

CREATE VIEW pgseal.keys AS
	SELECT k.name, k.server, k.parent, k.rotate_every, k.rewrap_every, k.created,
		(SELECT max(v.number) FROM pgseal.key_version v
		 WHERE v.key = k.name AND v.purpose = 'd' AND v.wrapped IS NOT NULL) AS current_version
	FROM pgseal.key k;
COMMENT ON VIEW pgseal.keys IS 'keys of this database';

CREATE VIEW pgseal.key_versions AS
	SELECT v.key, v.number AS version, to_hex(v.id) AS key_version_id,
		CASE v.purpose WHEN 'd' THEN 'data' WHEN 'i' THEN 'index' END AS purpose,
		v.server, v.master_key, v.seals, v.created, v.rewrapped, v.retired, v.destroyed
	FROM pgseal.key_version v;
COMMENT ON VIEW pgseal.key_versions IS 'key versions of this database; no wrapped bytes';

CREATE VIEW pgseal.events AS
	SELECT at, event, key, to_hex(key_version_id) AS key_version_id, role, detail FROM pgseal.event;
COMMENT ON VIEW pgseal.events IS 'what happened to the keys';

CREATE FUNCTION pgseal_internal.key_name(typmod int4) RETURNS text
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_key_name';
COMMENT ON FUNCTION pgseal_internal.key_name IS 'the key that the type modifier of a column stands for';

CREATE FUNCTION pgseal_internal.equality_index("table" regclass, "column" int2) RETURNS text
LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'pgseal_equality_index';
COMMENT ON FUNCTION pgseal_internal.equality_index IS 'an index that finds rows by equality of the column: on blind_index(column), or USING hash (column)';

CREATE VIEW pgseal.columns AS
	SELECT a.attrelid::regclass AS "table", a.attname AS "column",
		format_type(a.atttypid, NULL) AS type,
		CASE WHEN a.atttypmod = 0 THEN '*' ELSE pgseal_internal.key_name(a.atttypmod) END AS key,
		pgseal_internal.equality_index(a.attrelid, a.attnum) AS equality_index
	FROM pg_catalog.pg_attribute a
	JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
	JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
	WHERE coalesce(e.typinput, t.typinput) IN
			(SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.prosrc = 'pgseal_in')
		AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT a.attisdropped;
COMMENT ON VIEW pgseal.columns IS 'encrypted columns, their keys, and the index that serves = (NULL: there is none)';

GRANT SELECT ON pgseal.keys, pgseal.key_versions, pgseal.columns TO PUBLIC;
