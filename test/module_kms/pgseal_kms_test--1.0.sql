\echo Use "CREATE EXTENSION pgseal_kms_test" to load this file. \quit

CREATE FUNCTION local_keyring_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_local_keyring_validator' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER local_keyring VALIDATOR local_keyring_validator;

CREATE FUNCTION kms_generate(server text, key_name text, purpose text, id int8, may_initialize bool,
		OUT secret bytea, OUT wrapped bytea, OUT master_key text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_wrap(server text, key_name text, purpose text, id int8, may_initialize bool, secret bytea,
		OUT wrapped bytea, OUT master_key text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_unwrap(server text, key_name text, purpose text, id int8, wrapped bytea, master_key text)
	RETURNS bytea AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_rewrap(server text, key_name text, purpose text, id int8, old_wrapped bytea, old_master_key text,
		OUT wrapped bytea, OUT master_key text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_describe(server text, OUT newest_master_key text, OUT detail text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_rotate(server text) RETURNS int
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
-- status: 1 unreachable, 2 refused, 3 invalid
CREATE FUNCTION kms_report(status int, operation text, http_status int, code bytea, request_id text, detail bytea, hint text)
	RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
