--
-- Replacing an index key (search/rotate_index_key.c)
--

-- Indexes that may hold tokens of an older index key, by the file they had.
-- Not dumped: restoring a dump builds all indexes anew.
CREATE TABLE pgseal_internal.old_index (
	index oid NOT NULL,
	file  oid NOT NULL,
	key   text COLLATE "C" NOT NULL
);
ALTER TABLE pgseal_internal.old_index REPLICA IDENTITY FULL;
COMMENT ON TABLE pgseal_internal.old_index IS 'indexes to rebuild before pgseal.retire_index_key()';

CREATE FUNCTION pgseal.rotate_index_key(name text) RETURNS int4
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_rotate_index_key';
REVOKE ALL ON FUNCTION pgseal.rotate_index_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.rotate_index_key IS
'begins to replace the index key of a key, and returns the number of its new version. Tokens are made under the new version from now on, and lookups search for tokens of both. Locks the key''s tables exclusively until the end of the transaction, and rebuilds their unique blind indexes meanwhile, so that uniqueness holds at every moment; the other indexes are to be rebuilt afterwards with REINDEX INDEX CONCURRENTLY, and generated columns by updating their rows. Tokens that were computed by blind_index(value, key) are those of the new version.';

CREATE FUNCTION pgseal.retire_index_key(name text) RETURNS int4
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_retire_index_key';
REVOKE ALL ON FUNCTION pgseal.retire_index_key FROM PUBLIC;
COMMENT ON FUNCTION pgseal.retire_index_key IS
'ends what pgseal.rotate_index_key() began: makes sure that no index and no generated column holds a token of an older version, names what still does, and otherwise destroys the older versions. Returns how many';

CREATE VIEW pgseal.old_indexes AS
	SELECT o.index::regclass AS index, o.key FROM pgseal_internal.old_index o
	JOIN pg_catalog.pg_class c ON c.oid = o.index AND c.relfilenode = o.file;
COMMENT ON VIEW pgseal.old_indexes IS 'indexes that hold tokens of an index key that is being replaced; REINDEX INDEX CONCURRENTLY rebuilds them';
GRANT SELECT ON pgseal.old_indexes TO PUBLIC;
