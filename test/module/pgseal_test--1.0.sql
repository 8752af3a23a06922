-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pgseal_test" to load this file. \quit

-- crypto.h

-- ciphertext, then tag
CREATE FUNCTION aead_seal(key bytea, nonce bytea, aad bytea, plaintext bytea) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

-- NULL where the tag does not verify
CREATE FUNCTION aead_open(key bytea, nonce bytea, aad bytea, sealed bytea) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION hmac(key bytea, prefix bytea, data bytea) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

-- NULL where it is refused
CREATE FUNCTION hkdf(ikm bytea, salt bytea, info bytea, length int) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION sha256(data bytea) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION random_bytes(length int) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION equal_bytes(a bytea, b bytea) RETURNS bool
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION nonces(count int) RETURNS SETOF bytea
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

-- the same, drawn in a process forked off this backend
CREATE FUNCTION nonces_of_fork(count int) RETURNS SETOF bytea
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

-- envelope.h

CREATE FUNCTION envelope_parse(bytes bytea,
	OUT status text, OUT type_code int, OUT compressed bool, OUT key_version_id bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

-- NULL where it is refused
CREATE FUNCTION envelope_seal(key bytea, type_code int, compressed bool, key_version_id bigint, payload bytea)
	RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

-- payload is what lies in the output buffer, whatever the status
CREATE FUNCTION envelope_open(key bytea, bytes bytea, OUT status text, OUT payload bytea)
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION envelope_is_text(form text) RETURNS bool
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

CREATE FUNCTION envelope_to_text(bytes bytea) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

-- NULL where the text is malformed
CREATE FUNCTION envelope_from_text(form text) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT;

-- resolve.c

CREATE FUNCTION resolve_operator(name text, "left" oid, "right" oid) RETURNS oid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION resolve_function(name text, types oid[]) RETURNS int8
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT;
