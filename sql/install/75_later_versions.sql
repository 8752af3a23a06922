-- Made by test/parity/related.pl (make parity); don't edit.
--
-- For what PostgreSQL has since a later version than 15, from whose catalog
-- 70_parity.sql was generated.
--
-- Bodies that call what 15 hasn't are strings: nothing is looked up before the
-- call, and after pg_upgrade they work.
--

-- AT LOCAL (17).  Without it, it would be taken for that of timestamptz.
CREATE FUNCTION timezone(encrypted_timestamp) RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1)::timestamptz;

-- to_bin, to_oct (17)
CREATE FUNCTION to_bin(encrypted_int4) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_bin($1::pg_catalog.int4)';

CREATE FUNCTION to_oct(encrypted_int4) RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.to_oct($1::pg_catalog.int4)';

-- Casts between integers and bytea (18), which 15 has not, by what 15 has: a body
-- as a string would be parsed as whoever calls it, who may not look into
-- pgseal_internal
CREATE FUNCTION pgseal_internal.seal_as_bytea(int2, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int2send($1), $2, $3);
CREATE CAST (int2 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(int2, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int2(bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int2
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length($1) > 2 THEN (octet_length($1) + 32767)::int2 ELSE (('x' || lpad(encode($1, 'hex'), 4, '0') || '0000')::bit(32)::int4 >> 16)::int2 END, $2, $3);
CREATE CAST (bytea AS encrypted_int2) WITH FUNCTION pgseal_internal.seal_as_int2(bytea, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_bytea(encrypted_int2, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int2send(pgseal_internal.open($1)), $2, $3);
CREATE CAST (encrypted_int2 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(encrypted_int2, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int2(encrypted_bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int2
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length(pgseal_internal.open($1)) > 2 THEN (octet_length(pgseal_internal.open($1)) + 32767)::int2 ELSE (('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 4, '0') || '0000')::bit(32)::int4 >> 16)::int2 END, $2, $3);
CREATE CAST (encrypted_bytea AS encrypted_int2) WITH FUNCTION pgseal_internal.seal_as_int2(encrypted_bytea, int4, bool);
CREATE FUNCTION pgseal_internal.open_as_bytea(encrypted_int2) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN int2send(pgseal_internal.open($1));
CREATE CAST (encrypted_int2 AS bytea) WITH FUNCTION pgseal_internal.open_as_bytea(encrypted_int2);
CREATE FUNCTION pgseal_internal.open_as_int2(encrypted_bytea) RETURNS int2
LANGUAGE SQL STABLE PARALLEL SAFE RETURN CASE WHEN octet_length(pgseal_internal.open($1)) > 2 THEN (octet_length(pgseal_internal.open($1)) + 32767)::int2 ELSE (('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 4, '0') || '0000')::bit(32)::int4 >> 16)::int2 END;
CREATE CAST (encrypted_bytea AS int2) WITH FUNCTION pgseal_internal.open_as_int2(encrypted_bytea);
CREATE FUNCTION pgseal_internal.seal_as_bytea(int4, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int4send($1), $2, $3);
CREATE CAST (int4 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(int4, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int4(bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int4
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length($1) > 4 THEN (octet_length($1) + 2147483647::int8)::int4 ELSE ('x' || lpad(encode($1, 'hex'), 8, '0'))::bit(32)::int4 END, $2, $3);
CREATE CAST (bytea AS encrypted_int4) WITH FUNCTION pgseal_internal.seal_as_int4(bytea, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_bytea(encrypted_int4, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int4send(pgseal_internal.open($1)), $2, $3);
CREATE CAST (encrypted_int4 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(encrypted_int4, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int4(encrypted_bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int4
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length(pgseal_internal.open($1)) > 4 THEN (octet_length(pgseal_internal.open($1)) + 2147483647::int8)::int4 ELSE ('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 8, '0'))::bit(32)::int4 END, $2, $3);
CREATE CAST (encrypted_bytea AS encrypted_int4) WITH FUNCTION pgseal_internal.seal_as_int4(encrypted_bytea, int4, bool);
CREATE FUNCTION pgseal_internal.open_as_bytea(encrypted_int4) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN int4send(pgseal_internal.open($1));
CREATE CAST (encrypted_int4 AS bytea) WITH FUNCTION pgseal_internal.open_as_bytea(encrypted_int4);
CREATE FUNCTION pgseal_internal.open_as_int4(encrypted_bytea) RETURNS int4
LANGUAGE SQL STABLE PARALLEL SAFE RETURN CASE WHEN octet_length(pgseal_internal.open($1)) > 4 THEN (octet_length(pgseal_internal.open($1)) + 2147483647::int8)::int4 ELSE ('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 8, '0'))::bit(32)::int4 END;
CREATE CAST (encrypted_bytea AS int4) WITH FUNCTION pgseal_internal.open_as_int4(encrypted_bytea);
CREATE FUNCTION pgseal_internal.seal_as_bytea(int8, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int8send($1), $2, $3);
CREATE CAST (int8 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(int8, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int8(bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int8
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length($1) > 8 THEN (octet_length($1) + 9223372036854775807::numeric)::int8 ELSE ('x' || lpad(encode($1, 'hex'), 16, '0'))::bit(64)::int8 END, $2, $3);
CREATE CAST (bytea AS encrypted_int8) WITH FUNCTION pgseal_internal.seal_as_int8(bytea, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_bytea(encrypted_int8, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_bytea
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(int8send(pgseal_internal.open($1)), $2, $3);
CREATE CAST (encrypted_int8 AS encrypted_bytea) WITH FUNCTION pgseal_internal.seal_as_bytea(encrypted_int8, int4, bool);
CREATE FUNCTION pgseal_internal.seal_as_int8(encrypted_bytea, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_int8
LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast(CASE WHEN octet_length(pgseal_internal.open($1)) > 8 THEN (octet_length(pgseal_internal.open($1)) + 9223372036854775807::numeric)::int8 ELSE ('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 16, '0'))::bit(64)::int8 END, $2, $3);
CREATE CAST (encrypted_bytea AS encrypted_int8) WITH FUNCTION pgseal_internal.seal_as_int8(encrypted_bytea, int4, bool);
CREATE FUNCTION pgseal_internal.open_as_bytea(encrypted_int8) RETURNS bytea
LANGUAGE SQL STABLE PARALLEL SAFE RETURN int8send(pgseal_internal.open($1));
CREATE CAST (encrypted_int8 AS bytea) WITH FUNCTION pgseal_internal.open_as_bytea(encrypted_int8);
CREATE FUNCTION pgseal_internal.open_as_int8(encrypted_bytea) RETURNS int8
LANGUAGE SQL STABLE PARALLEL SAFE RETURN CASE WHEN octet_length(pgseal_internal.open($1)) > 8 THEN (octet_length(pgseal_internal.open($1)) + 9223372036854775807::numeric)::int8 ELSE ('x' || lpad(encode(pgseal_internal.open($1), 'hex'), 16, '0'))::bit(64)::int8 END;
CREATE CAST (encrypted_bytea AS int8) WITH FUNCTION pgseal_internal.open_as_int8(encrypted_bytea);
