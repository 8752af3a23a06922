
--
-- Key management services.  A foreign server stands for one master key; USAGE
-- on it is the privilege to read what keys under it seal.
--
-- Servers of these wrappers name hosts, files and programs that the database
-- server then uses, so making one takes a superuser, or a role that has been
-- granted USAGE on the wrapper.
--

CREATE FUNCTION pgseal_internal.local_keyring_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_local_keyring_validator';
CREATE FOREIGN DATA WRAPPER local_keyring VALIDATOR pgseal_internal.local_keyring_validator;
COMMENT ON FOREIGN DATA WRAPPER local_keyring IS 'pgseal: master key in a file or from a command';

CREATE FUNCTION pgseal_internal.aws_kms_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_aws_kms_validator';
CREATE FOREIGN DATA WRAPPER aws_kms VALIDATOR pgseal_internal.aws_kms_validator;
COMMENT ON FOREIGN DATA WRAPPER aws_kms IS 'pgseal: master key in AWS KMS';

CREATE FUNCTION pgseal_internal.vault_transit_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_vault_transit_validator';
CREATE FOREIGN DATA WRAPPER vault_transit VALIDATOR pgseal_internal.vault_transit_validator;
COMMENT ON FOREIGN DATA WRAPPER vault_transit IS 'pgseal: master key in the transit engine of HashiCorp Vault or OpenBao';

CREATE FUNCTION pgseal_internal.azure_key_vault_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_azure_key_vault_validator';
CREATE FOREIGN DATA WRAPPER azure_key_vault VALIDATOR pgseal_internal.azure_key_vault_validator;
COMMENT ON FOREIGN DATA WRAPPER azure_key_vault IS 'pgseal: master key in Azure Key Vault or Managed HSM';

CREATE FUNCTION pgseal_internal.gcp_kms_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_gcp_kms_validator';
CREATE FOREIGN DATA WRAPPER gcp_kms VALIDATOR pgseal_internal.gcp_kms_validator;
COMMENT ON FOREIGN DATA WRAPPER gcp_kms IS 'pgseal: master key in Google Cloud KMS';

CREATE FUNCTION pgseal_internal.kmip_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_kmip_validator';
CREATE FOREIGN DATA WRAPPER kmip VALIDATOR pgseal_internal.kmip_validator;
COMMENT ON FOREIGN DATA WRAPPER kmip IS 'pgseal: master key in a KMIP server';

CREATE SERVER local_keyring FOREIGN DATA WRAPPER local_keyring;
COMMENT ON SERVER local_keyring IS 'pgseal: the embedded keyring of this server';
