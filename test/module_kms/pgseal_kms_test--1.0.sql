\echo Use "CREATE EXTENSION pgseal_kms_test" to load this file. \quit

CREATE FUNCTION local_keyring_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_local_keyring_validator' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER local_keyring VALIDATOR local_keyring_validator;

CREATE FUNCTION aws_kms_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_aws_kms_validator' LANGUAGE C STRICT;
CREATE FUNCTION vault_transit_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_vault_transit_validator' LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER aws_kms VALIDATOR aws_kms_validator;
CREATE FUNCTION azure_key_vault_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_azure_key_vault_validator' LANGUAGE C STRICT;
CREATE FOREIGN DATA WRAPPER azure_key_vault VALIDATOR azure_key_vault_validator;

CREATE FUNCTION gcp_kms_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_gcp_kms_validator' LANGUAGE C STRICT;
CREATE FOREIGN DATA WRAPPER gcp_kms VALIDATOR gcp_kms_validator;

CREATE FUNCTION kmip_validator(text[], oid) RETURNS void
	AS 'MODULE_PATHNAME', 'pgseal_kmip_validator' LANGUAGE C STRICT;
CREATE FOREIGN DATA WRAPPER kmip VALIDATOR kmip_validator;

CREATE FOREIGN DATA WRAPPER vault_transit VALIDATOR vault_transit_validator;

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
CREATE FUNCTION kms_keyring_may_be(owner int, mode int, server int) RETURNS bool
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_describe(server text, OUT newest_master_key text, OUT detail text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION kms_rotate(server text) RETURNS int
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
-- status: 1 unreachable, 2 refused, 3 invalid
CREATE FUNCTION kms_report(status int, operation text, http_status int, code bytea, request_id text, detail bytea, hint text)
	RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

-- The pure functions of the remote providers, for golden files and fuzzing
CREATE FUNCTION remote_build(provider text, options text[], operation text, credential text[], now int8,
		key_name text, purpose text, id int8, bytes bytea, master_key text)
	RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION remote_read(provider text, options text[], operation text, master_key text,
		status int, headers text, body bytea)
	RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION sigv4_steps(request text, region text, service text, now int8, credential text[])
	RETURNS text[] AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION aws_build_login(kind text, options text[], credential text[], now int8, role_arn text)
	RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION aws_read_login(kind text, status int, body bytea, now int8)
	RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION aws_profile(content text, profile text, in_config bool)
	RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION json_member(document bytea, path text) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION parse_date(text) RETURNS int8
	AS 'MODULE_PATHNAME', 'parse_http_date' LANGUAGE C STRICT;

CREATE FUNCTION remote_body(provider text, options text[], operation text, credential text[],
		key_name text, purpose text, id int8, bytes bytea, master_key text) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION ttlv_lines(message bytea) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
