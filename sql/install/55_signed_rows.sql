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

-- In schema pgseal, as restoring a dump makes triggers with it
CREATE FUNCTION pgseal.sign_row() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_sign_row';
COMMENT ON FUNCTION pgseal.sign_row IS 'trigger function that signs rows; pgseal.sign_table() makes the trigger';

-- What the planner puts on the rows of a signed table.  The cost lets it come last.
CREATE FUNCTION pgseal_internal.verify_row_support(internal) RETURNS internal
LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'pgseal_verify_row_support';
CREATE FUNCTION pgseal_internal.verify_row(oid, row_signature, VARIADIC "any") RETURNS bool
LANGUAGE C STABLE PARALLEL SAFE COST 50 SUPPORT pgseal_internal.verify_row_support
AS 'MODULE_PATHNAME', 'pgseal_verify_row';
COMMENT ON FUNCTION pgseal_internal.verify_row IS 'an error unless the signature is one of the row';

CREATE FUNCTION pgseal_internal.canonical_bytes(anyelement) RETURNS bytea
LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'pgseal_canonical_bytes';
REVOKE ALL ON FUNCTION pgseal_internal.canonical_bytes FROM PUBLIC;
COMMENT ON FUNCTION pgseal_internal.canonical_bytes IS 'what a signature covers of a value';
