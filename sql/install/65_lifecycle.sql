
--
-- Re-encryption of what is sealed under old key versions (reencrypt.c).  The
-- state of the worker's work: not dumped, as it is found again from the keys.
--

CREATE TABLE pgseal_internal.rotation (
	key_version_id int8 NOT NULL PRIMARY KEY,
	since          xid8 NOT NULL,
	settled        bool NOT NULL DEFAULT false,
	in_round       bool NOT NULL DEFAULT false,
	found          int8 NOT NULL DEFAULT 0,
	last_child     int8 NOT NULL DEFAULT '-9223372036854775808',
	round_began    timestamptz,
	in_vain        int4 NOT NULL DEFAULT 0,
	complaint      text COLLATE "C",
	pause_until    timestamptz
);
COMMENT ON TABLE pgseal_internal.rotation IS 'old key versions, under which values may still be sealed';
COMMENT ON COLUMN pgseal_internal.rotation.since IS 'a transaction: those from before it must have ended';
COMMENT ON COLUMN pgseal_internal.rotation.settled IS 'nobody seals under it any more; then since is about who may have';
COMMENT ON COLUMN pgseal_internal.rotation.in_round IS 'the present round goes through all tables that may have its values';
COMMENT ON COLUMN pgseal_internal.rotation.last_child IS 'child key versions up to this id have been wrapped anew';
COMMENT ON COLUMN pgseal_internal.rotation.found IS 'values found under it in this round';
COMMENT ON COLUMN pgseal_internal.rotation.in_vain IS 'rounds since any value could be resealed';
COMMENT ON COLUMN pgseal_internal.rotation.complaint IS 'detail of the last event about it, which isn''t repeated';

-- Where keys come by replication, "retired" in the key catalog is what another node says.
CREATE TABLE pgseal_internal.retired_here (
	key_version_id int8 NOT NULL PRIMARY KEY
);
COMMENT ON TABLE pgseal_internal.retired_here IS 'old key versions under which re-encryption has found no value on this node';

-- What re-encryption seals isn't held against a version: else, where there are more values
-- than pgseal.max_seals_per_key, each version would be replaced as soon as it was filled.
CREATE TABLE pgseal_internal.reencryption_seals (
	key_version_id int8 NOT NULL PRIMARY KEY,
	seals          int8 NOT NULL
);
COMMENT ON TABLE pgseal_internal.reencryption_seals IS 'of the seals of a key version, those of re-encryption';

CREATE TABLE pgseal_internal.rotation_table (
	relid      oid NOT NULL PRIMARY KEY,
	filenode   oid NOT NULL,
	key_hashes int4[] NOT NULL,
	phase      text COLLATE "C" NOT NULL,
	next_block int8 NOT NULL DEFAULT 0,
	blocks     int8 NOT NULL DEFAULT 0,
	resealed   int8 NOT NULL DEFAULT 0,
	skipped    int8 NOT NULL DEFAULT 0,
	broken     int8 NOT NULL DEFAULT 0,
	detail     text COLLATE "C",
	begun_anew int4 NOT NULL DEFAULT 0
);
COMMENT ON TABLE pgseal_internal.rotation_table IS 'tables that the present round of re-encryption goes through';
COMMENT ON COLUMN pgseal_internal.rotation_table.begun_anew IS 'how often it was rewritten while the round went through it';
COMMENT ON COLUMN pgseal_internal.rotation_table.phase IS 'waiting, scanning, locked (by others), done, or untouchable (see detail)';

-- Signing rows anew where what is signed has changed (redefine.c).  Not dumped either: what
-- is to be done stands in the triggers.
CREATE TABLE pgseal_internal.redefinition (
	relid         oid NOT NULL PRIMARY KEY,
	root          oid NOT NULL,
	former        int4 NOT NULL,
	filenode      oid,
	phase         text COLLATE "C" NOT NULL DEFAULT 'waiting',
	next_block    int8 NOT NULL DEFAULT 0,
	blocks        int8 NOT NULL DEFAULT 0,
	left_over     int8 NOT NULL DEFAULT 0,
	signed        int8 NOT NULL DEFAULT 0,
	signed_before int8 NOT NULL DEFAULT 0,
	broken        int8 NOT NULL DEFAULT 0,
	since         xid8,
	in_vain       int4 NOT NULL DEFAULT 0,
	pause_until   timestamptz,
	detail        text COLLATE "C",
	begun_anew    int4 NOT NULL DEFAULT 0
);
COMMENT ON TABLE pgseal_internal.redefinition IS 'signed tables, and their partitions, of which two definitions stand';
COMMENT ON COLUMN pgseal_internal.redefinition.former IS 'number of the definition that goes when no row is signed by it any more';
COMMENT ON COLUMN pgseal_internal.redefinition.phase IS 'waiting, scanning, locked (by others), done, or untouchable (see detail)';
COMMENT ON COLUMN pgseal_internal.redefinition.begun_anew IS 'how often it was rewritten while a pass went through it';
COMMENT ON COLUMN pgseal_internal.redefinition.left_over IS 'rows that this pass has found signed by it, or locked';
COMMENT ON COLUMN pgseal_internal.redefinition.signed_before IS 'rows signed anew before this pass';
COMMENT ON COLUMN pgseal_internal.redefinition.since IS 'done: a transaction; snapshots from before it must have gone';

CREATE VIEW pgseal.progress_sign AS
	SELECT relid::regclass AS "table", former AS former_definition,
		CASE phase WHEN 'done' THEN 'waiting for older transactions' ELSE phase END AS phase,
		blocks AS blocks_total, next_block AS blocks_scanned,
		signed AS rows_signed, broken AS rows_broken, detail
	FROM pgseal_internal.redefinition;
COMMENT ON VIEW pgseal.progress_sign IS 'what the worker is signing anew, as what is signed has changed: by table or partition';

CREATE VIEW pgseal.progress_reencrypt AS
	SELECT v.key, v.number AS version, t.relid::regclass AS "table",
		coalesce(t.phase, 'waiting for older transactions') AS phase,
		t.blocks AS blocks_total, t.next_block AS blocks_scanned,
		t.resealed AS values_resealed, t.skipped AS rows_skipped, t.broken AS values_broken,
		t.detail
	FROM pgseal_internal.rotation r
	JOIN pgseal.key_version v ON v.id = r.key_version_id
	JOIN pgseal.key k ON k.name = v.key
	LEFT JOIN pgseal_internal.rotation_table t
		ON r.round_began IS NOT NULL AND (k.name_hash = ANY (t.key_hashes) OR 0 = ANY (t.key_hashes));
COMMENT ON VIEW pgseal.progress_reencrypt IS 'what the worker is re-encrypting, by old key version and table';
GRANT SELECT ON pgseal.progress_reencrypt, pgseal.progress_sign TO PUBLIC;

--
-- Is all well?
--

CREATE FUNCTION pgseal.check(OUT object text, OUT status text, OUT detail text) RETURNS SETOF record
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_check';
REVOKE ALL ON FUNCTION pgseal.check FROM PUBLIC;
COMMENT ON FUNCTION pgseal.check IS 'can every server be reached, every key unwrapped, every column resolved? changes nothing';

--
-- Shards of Citus, of which each node re-encrypts its own
--

CREATE FUNCTION pgseal_internal.count_values(name text, ids int8[], OUT "values" int8, OUT unseen int4)
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_count_values';
REVOKE ALL ON FUNCTION pgseal_internal.count_values FROM PUBLIC;
COMMENT ON FUNCTION pgseal_internal.count_values IS 'values that are stored on this node under these versions of a key, and tables that could not be looked into';

CREATE FUNCTION pgseal.retire_versions(name text, OUT node text, OUT status text, OUT "values" int8, OUT detail text) RETURNS SETOF record
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_retire_versions';
REVOKE ALL ON FUNCTION pgseal.retire_versions FROM PUBLIC;
COMMENT ON FUNCTION pgseal.retire_versions IS 'asks all nodes of Citus for values under old versions of a key, and retires these if none has any';
