--
-- Signed rows
--

CREATE TYPE row_signature;
CREATE FUNCTION pgseal_internal.row_signature_in(cstring) RETURNS row_signature
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_in';
CREATE FUNCTION pgseal_internal.row_signature_out(row_signature) RETURNS cstring
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_out';
CREATE FUNCTION pgseal_internal.row_signature_recv(internal) RETURNS row_signature
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_recv';
CREATE FUNCTION pgseal_internal.row_signature_send(row_signature) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_send';
CREATE TYPE row_signature (
	INPUT = pgseal_internal.row_signature_in,
	OUTPUT = pgseal_internal.row_signature_out,
	RECEIVE = pgseal_internal.row_signature_recv,
	SEND = pgseal_internal.row_signature_send,
	INTERNALLENGTH = 34,
	ALIGNMENT = char,
	STORAGE = plain
);
COMMENT ON TYPE row_signature IS 'a signature of the row that it stands in; made and verified by itself';

-- By their bytes, for whole rows in SELECT DISTINCT, UNION and EXCEPT, and replica identity FULL
CREATE FUNCTION pgseal_internal.row_signature_eq(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_eq';
CREATE FUNCTION pgseal_internal.row_signature_ne(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_ne';
CREATE FUNCTION pgseal_internal.row_signature_lt(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_lt';
CREATE FUNCTION pgseal_internal.row_signature_le(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_le';
CREATE FUNCTION pgseal_internal.row_signature_gt(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_gt';
CREATE FUNCTION pgseal_internal.row_signature_ge(row_signature, row_signature) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_ge';
CREATE FUNCTION pgseal_internal.row_signature_cmp(row_signature, row_signature) RETURNS int4
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_cmp';
CREATE FUNCTION pgseal_internal.row_signature_hash(row_signature) RETURNS int4
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_signature_hash';
CREATE OPERATOR = (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_eq,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR <> (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_ne,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR < (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_lt,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_le,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR > (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_gt,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
CREATE OPERATOR >= (LEFTARG = row_signature, RIGHTARG = row_signature, FUNCTION = pgseal_internal.row_signature_ge,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR CLASS row_signature_ops DEFAULT FOR TYPE row_signature USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 pgseal_internal.row_signature_cmp(row_signature, row_signature);
CREATE OPERATOR CLASS row_signature_hash_ops DEFAULT FOR TYPE row_signature USING hash AS
	OPERATOR 1 =, FUNCTION 1 pgseal_internal.row_signature_hash(row_signature);

-- In schema pgseal, as restoring a dump makes triggers with it
CREATE FUNCTION pgseal.sign_row() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_sign_row';
COMMENT ON FUNCTION pgseal.sign_row IS 'trigger function that signs rows; pgseal.sign_table() makes the trigger';

CREATE FUNCTION pgseal.record_row() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_record_row';
COMMENT ON FUNCTION pgseal.record_row IS 'trigger function that records rows in the ledger of their table; pgseal.sign_table() makes the trigger';

-- The records of ledgers (ledger_store.c): changes by transactions, totals, digests.
-- A dump has them as it has the rows.
CREATE TABLE pgseal.ledger (
	ledger         int8 NOT NULL,
	kind           "char" NOT NULL,
	number         int8 NOT NULL,
	key_version_id int8,
	record         bytea NOT NULL,
	PRIMARY KEY (ledger, kind, number)
);
CREATE INDEX ledger_key_version_id_idx ON pgseal.ledger (key_version_id);
COMMENT ON TABLE pgseal.ledger IS 'which rows there must be in signed tables, sealed';
SELECT pg_catalog.pg_extension_config_dump('pgseal.ledger', '');
GRANT SELECT, INSERT ON pgseal.ledger TO pg_database_owner;

-- Those that replication brings are of the publisher's tables: rows are recorded as they come
CREATE FUNCTION pgseal_internal.keep_ledger() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_keep_ledger';
REVOKE ALL ON FUNCTION pgseal_internal.keep_ledger() FROM PUBLIC;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pgseal.ledger
	FOR EACH ROW EXECUTE FUNCTION pgseal_internal.keep_ledger();
ALTER TABLE pgseal.ledger ENABLE ALWAYS TRIGGER guard;
CREATE TRIGGER guard_all BEFORE TRUNCATE ON pgseal.ledger
	FOR EACH STATEMENT EXECUTE FUNCTION pgseal_internal.keep_ledger();
ALTER TABLE pgseal.ledger ENABLE ALWAYS TRIGGER guard_all;

-- What the planner puts on the rows of a signed table.  The cost lets it come last.
CREATE FUNCTION pgseal_internal.verify_row_support(internal) RETURNS internal
LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'pgseal_verify_row_support';
CREATE FUNCTION pgseal_internal.verify_row(regclass, row_signature, VARIADIC "any") RETURNS bool
LANGUAGE C STABLE PARALLEL SAFE COST 50 SUPPORT pgseal_internal.verify_row_support
AS 'MODULE_PATHNAME', 'pgseal_verify_row';
COMMENT ON FUNCTION pgseal_internal.verify_row IS 'an error unless the signature is one of the row';

CREATE FUNCTION pgseal_internal.canonical_bytes(anyelement) RETURNS bytea
LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'pgseal_canonical_bytes';
REVOKE ALL ON FUNCTION pgseal_internal.canonical_bytes FROM PUBLIC;
COMMENT ON FUNCTION pgseal_internal.canonical_bytes IS 'what a signature covers of a value';
