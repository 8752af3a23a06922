
--
-- Blind indexes of normalized text: case-insensitive, last four digits, prefix
--

CREATE FUNCTION blind_index(value encrypted_text, normalizer text) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'pgseal_blind_index';
COMMENT ON FUNCTION blind_index(encrypted_text, text) IS 'token of the normalized plaintext; normalizers: lower, trim, digits, prefix:n, suffix:n, separated by commas';
CREATE FUNCTION blind_index(value encrypted_text, normalizer text, bits int4) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'pgseal_blind_index';
COMMENT ON FUNCTION blind_index(encrypted_text, text, int4) IS 'the same, cut to so many bits';
CREATE FUNCTION blind_index(value text, key text, normalizer text) RETURNS bytea
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'pgseal_blind_index_of_plaintext';
COMMENT ON FUNCTION blind_index(text, text, text) IS 'the token that columns of this key have for a normalized plaintext';
CREATE FUNCTION blind_index(value text, key text, normalizer text, bits int4) RETURNS bytea
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'pgseal_blind_index_of_plaintext';
COMMENT ON FUNCTION blind_index(text, text, text, int4) IS 'the same, cut to so many bits';
