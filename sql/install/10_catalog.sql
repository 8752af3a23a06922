
--
-- The key catalog.  catalog.c reads and writes the tables and knows the order
-- of their columns.  They hold no key material but wrapped.
--

CREATE TABLE pgseal.key (
	name         text COLLATE "C" NOT NULL PRIMARY KEY,
	name_hash    int4 NOT NULL UNIQUE,
	server       text COLLATE "C" NOT NULL,
	parent       text COLLATE "C",
	rotate_every interval,
	rewrap_every interval,
	created      timestamptz NOT NULL,
	own          bool NOT NULL DEFAULT false	-- for columns that name no key
);
CREATE INDEX key_server_idx ON pgseal.key (server);
COMMENT ON TABLE pgseal.key IS 'named data keys of this database';

CREATE TABLE pgseal.key_version (
	id             int8 NOT NULL PRIMARY KEY,
	key            text COLLATE "C" NOT NULL,
	number         int4 NOT NULL,
	purpose        "char" NOT NULL,
	server         text COLLATE "C" NOT NULL,
	parent_version int8,
	master_key     text COLLATE "C",
	wrapped        bytea,
	seals          int8 NOT NULL,
	created        timestamptz NOT NULL,
	rewrapped      timestamptz,
	retired        timestamptz,
	destroyed      timestamptz
);
-- Read by index while a statement is parsed: never from a TOAST table
ALTER TABLE pgseal.key_version ALTER COLUMN wrapped SET STORAGE MAIN;
CREATE INDEX key_version_key_idx ON pgseal.key_version (key);
CREATE INDEX key_version_server_idx ON pgseal.key_version (server);
-- Not partial ones: the rows are written as those of PostgreSQL's own catalogs are, which heeds no predicate
CREATE INDEX key_version_parent_idx ON pgseal.key_version (parent_version, id);
CREATE INDEX key_version_number_idx ON pgseal.key_version (number);
COMMENT ON TABLE pgseal.key_version IS 'versions of the keys, wrapped by their master keys';

CREATE TABLE pgseal_internal.declared_key (
	name_hash int4 NOT NULL PRIMARY KEY,
	name      text COLLATE "C" NOT NULL,
	own       bool NOT NULL
);
COMMENT ON TABLE pgseal_internal.declared_key IS 'names that columns use; they may have no key yet';

CREATE TABLE pgseal.event (
	at             timestamptz NOT NULL,
	event          text COLLATE "C" NOT NULL,
	key            text COLLATE "C",
	key_version_id int8,
	role           text COLLATE "C" NOT NULL,
	detail         text COLLATE "C"
);
ALTER TABLE pgseal.event REPLICA IDENTITY FULL;
COMMENT ON TABLE pgseal.event IS 'what happened to the keys';

-- Rows change through the functions of the extension, restore and replication.
CREATE FUNCTION pgseal_internal.guard_key() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_guard_key';
REVOKE ALL ON FUNCTION pgseal_internal.guard_key() FROM PUBLIC;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON pgseal.key
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.key ENABLE ALWAYS TRIGGER guard;
CREATE TRIGGER guard_all BEFORE TRUNCATE ON pgseal.key
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.key ENABLE ALWAYS TRIGGER guard_all;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON pgseal.key_version
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard;
CREATE TRIGGER guard_all BEFORE TRUNCATE ON pgseal.key_version
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard_all;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON pgseal.event
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.event ENABLE ALWAYS TRIGGER guard;
CREATE TRIGGER guard_all BEFORE TRUNCATE ON pgseal.event
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.guard_key();
ALTER TABLE pgseal.event ENABLE ALWAYS TRIGGER guard_all;

-- A dump brings the keys; they merge with those that are there by name and id.
-- ALWAYS: also when session_replication_role = replica.
CREATE FUNCTION pgseal_internal.merge_key() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_merge_key';
REVOKE ALL ON FUNCTION pgseal_internal.merge_key() FROM PUBLIC;
CREATE TRIGGER merge BEFORE INSERT ON pgseal.key
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.merge_key();
ALTER TABLE pgseal.key ENABLE ALWAYS TRIGGER merge;
CREATE TRIGGER merge BEFORE INSERT ON pgseal.key_version
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.merge_key();
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER merge;

CREATE FUNCTION pgseal_internal.restore_event() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_restore_event';
REVOKE ALL ON FUNCTION pgseal_internal.restore_event() FROM PUBLIC;
CREATE TRIGGER restored BEFORE INSERT ON pgseal.event
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.restore_event();
ALTER TABLE pgseal.event ENABLE ALWAYS TRIGGER restored;

CREATE FUNCTION pgseal_internal.key_changed() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_key_changed';
REVOKE ALL ON FUNCTION pgseal_internal.key_changed() FROM PUBLIC;
-- For each row: rows that come by logical replication fire no others.
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON pgseal.key
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.key_changed();
ALTER TABLE pgseal.key ENABLE ALWAYS TRIGGER changed;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON pgseal.key_version
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.key_changed();
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER changed;
CREATE TRIGGER truncated AFTER TRUNCATE ON pgseal.key
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.key_changed();
ALTER TABLE pgseal.key ENABLE ALWAYS TRIGGER truncated;
CREATE TRIGGER truncated AFTER TRUNCATE ON pgseal.key_version
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.key_changed();
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER truncated;

SELECT pg_catalog.pg_extension_config_dump('pgseal.key', '');
SELECT pg_catalog.pg_extension_config_dump('pgseal.key_version', '');
SELECT pg_catalog.pg_extension_config_dump('pgseal.event', '');

-- Who owns the database can dump and restore it
GRANT SELECT, INSERT ON pgseal.key, pgseal.key_version, pgseal.event TO pg_database_owner;
