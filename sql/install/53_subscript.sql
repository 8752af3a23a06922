--
-- Elements of an encrypted_jsonb: prefs['a'] (src/type/subscript.c)
--

CREATE FUNCTION pgseal_internal.jsonb_subscript(internal) RETURNS internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_jsonb_subscript';
ALTER TYPE encrypted_jsonb SET (SUBSCRIPT = pgseal_internal.jsonb_subscript);
