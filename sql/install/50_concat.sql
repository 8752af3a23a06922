
--
-- || : PostgreSQL finds several candidates by itself, so it needs exact ones
--

CREATE FUNCTION pgseal.concat(encrypted_text, text) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal.open($1) || $2;
CREATE FUNCTION pgseal.concat(text, encrypted_text) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 || pgseal.open($2);
CREATE FUNCTION pgseal.concat(encrypted_text, encrypted_text) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal.open($1) || pgseal.open($2);
CREATE OPERATOR || (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal.concat);
CREATE OPERATOR || (LEFTARG = text, RIGHTARG = encrypted_text, FUNCTION = pgseal.concat);
CREATE OPERATOR || (LEFTARG = encrypted_text, RIGHTARG = encrypted_text, FUNCTION = pgseal.concat);

CREATE FUNCTION pgseal.concat(encrypted_bytea, bytea) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal.open($1) || $2;
CREATE FUNCTION pgseal.concat(bytea, encrypted_bytea) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 || pgseal.open($2);
CREATE FUNCTION pgseal.concat(encrypted_bytea, encrypted_bytea) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal.open($1) || pgseal.open($2);
CREATE OPERATOR || (LEFTARG = encrypted_bytea, RIGHTARG = bytea, FUNCTION = pgseal.concat);
CREATE OPERATOR || (LEFTARG = bytea, RIGHTARG = encrypted_bytea, FUNCTION = pgseal.concat);
CREATE OPERATOR || (LEFTARG = encrypted_bytea, RIGHTARG = encrypted_bytea, FUNCTION = pgseal.concat);

--
-- char(n) to text: without the padding, which a conversion through the text
-- form would keep
--

CREATE FUNCTION pgseal.seal_char(bpchar, int4, bool) RETURNS encrypted_text
LANGUAGE SQL VOLATILE STRICT PARALLEL SAFE RETURN pgseal.seal_cast($1::text, $2, $3);
CREATE CAST (bpchar AS encrypted_text) WITH FUNCTION pgseal.seal_char(bpchar, int4, bool) AS ASSIGNMENT;
