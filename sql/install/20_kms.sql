
--
-- Key management services.  A foreign server stands for one master key; USAGE
-- on it is the privilege to read what keys under it seal.
--

CREATE FUNCTION pgseal.local_keyring_validator(text[], oid) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_local_keyring_validator';
CREATE FOREIGN DATA WRAPPER local_keyring VALIDATOR pgseal.local_keyring_validator;
COMMENT ON FOREIGN DATA WRAPPER local_keyring IS 'pgseal: master key in a file or from a command';

CREATE SERVER local_keyring FOREIGN DATA WRAPPER local_keyring;
COMMENT ON SERVER local_keyring IS 'pgseal: the embedded keyring of this server';
