
--
-- Converting existing columns while the table is in use (convert.c).  The state
-- of the work, and what has changed in the table meanwhile: not dumped, as a
-- conversion does not travel.
--

CREATE TABLE pgseal_internal.conversion (
	relid           oid NOT NULL PRIMARY KEY,
	attnum          int2 NOT NULL,
	encrypts        bool NOT NULL,
	type            oid NOT NULL,
	typmod          int4 NOT NULL,
	copy            oid NOT NULL,
	indexes         oid[] NOT NULL,
	copy_indexes    oid[] NOT NULL,
	shape           text COLLATE "C" NOT NULL,
	phase           text COLLATE "C" NOT NULL,
	next_block      int8 NOT NULL DEFAULT 0,
	blocks          int8 NOT NULL,
	rows_copied     int8 NOT NULL DEFAULT 0,
	changes_applied int8 NOT NULL DEFAULT 0,
	rows_verified   int8 NOT NULL DEFAULT 0,
	started         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pgseal_internal.conversion IS 'columns that are being converted';
COMMENT ON COLUMN pgseal_internal.conversion.type IS 'of the column when it is done, with its typmod';
COMMENT ON COLUMN pgseal_internal.conversion.copy IS 'the table whose files will be the table''s, with copy_indexes for its indexes';
COMMENT ON COLUMN pgseal_internal.conversion.shape IS 'digest of the definitions of both tables';
COMMENT ON COLUMN pgseal_internal.conversion.phase IS 'copying, verifying, verifying copy, or switching';

CREATE TABLE pgseal_internal.conversion_change (
	relid oid NOT NULL,
	key   bytea NOT NULL
);
ALTER TABLE pgseal_internal.conversion_change REPLICA IDENTITY FULL;
CREATE INDEX conversion_change_relid_idx ON pgseal_internal.conversion_change (relid);
COMMENT ON TABLE pgseal_internal.conversion_change IS 'primary keys of rows that have changed in a table that is being converted';

CREATE TABLE pgseal_internal.plain_storage (
	relid   oid NOT NULL,
	attnum  int2 NOT NULL,
	storage text COLLATE "C" NOT NULL,
	PRIMARY KEY (relid, attnum)
);
COMMENT ON TABLE pgseal_internal.plain_storage IS 'how columns were stored (pg_attribute.attstorage) before they were encrypted';

CREATE FUNCTION pgseal_internal.note_change() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_note_change';
REVOKE ALL ON FUNCTION pgseal_internal.note_change() FROM PUBLIC;
COMMENT ON FUNCTION pgseal_internal.note_change() IS 'notes the primary key of a changed row of a table that is being converted';

CREATE FUNCTION pgseal_internal.refuse_change() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_refuse_change';
REVOKE ALL ON FUNCTION pgseal_internal.refuse_change() FROM PUBLIC;
COMMENT ON FUNCTION pgseal_internal.refuse_change() IS 'keeps all but superusers from changing the copy of a table that is being converted';

CREATE PROCEDURE pgseal.encrypt_column("table" regclass, "column" name, key text DEFAULT NULL)
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_encrypt_column';
COMMENT ON PROCEDURE pgseal.encrypt_column IS 'encrypts an existing column while the table is in use; key: by default the table''s own. Goes on where an earlier call was interrupted';

CREATE PROCEDURE pgseal.decrypt_column("table" regclass, "column" name)
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_decrypt_column';
COMMENT ON PROCEDURE pgseal.decrypt_column IS 'turns an encrypted column into one of its base type while the table is in use; needs USAGE on the key''s server';

CREATE PROCEDURE pgseal.cancel_conversion("table" regclass)
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_cancel_conversion';
COMMENT ON PROCEDURE pgseal.cancel_conversion IS 'gives up an interrupted encrypt_column() or decrypt_column(); the table stays as it is';

CREATE VIEW pgseal.progress_convert AS
	SELECT c.relid::regclass AS "table", a.attname AS "column",
		CASE WHEN c.encrypts THEN 'encrypt' ELSE 'decrypt' END AS command,
		format_type(c.type, c.typmod) AS type, c.phase,
		c.blocks AS blocks_total, c.next_block AS blocks_done,
		c.rows_copied, c.changes_applied, c.rows_verified, c.started
	FROM pgseal_internal.conversion c
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.relid AND a.attnum = c.attnum;
COMMENT ON VIEW pgseal.progress_convert IS 'columns that are being encrypted or decrypted; blocks are those of the present phase';
GRANT SELECT ON pgseal.progress_convert TO PUBLIC;
