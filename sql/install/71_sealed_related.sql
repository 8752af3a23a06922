-- Made by test/parity/related.pl (make parity); don't edit.
--
-- Ranges by the base type's relatives, salary > 5000::int8, born >= now(): the
-- operators that a sealed index finds.  Most of them are in 70_parity.sql.  Those of
-- integers with a plain numeric, which PostgreSQL compares as numeric, are hidden in
-- pgseal_internal (unopen.c).
--

CREATE FUNCTION pgseal_internal.lt(encrypted_int2, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(encrypted_int2, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(encrypted_int2, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(encrypted_int2, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = encrypted_int2, RIGHTARG = numeric, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = encrypted_int2, RIGHTARG = numeric, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = encrypted_int2, RIGHTARG = numeric, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = encrypted_int2, RIGHTARG = numeric, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION pgseal_internal.lt(numeric, encrypted_int2) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(numeric, encrypted_int2) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(numeric, encrypted_int2) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(numeric, encrypted_int2) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION pgseal_internal.lt(encrypted_int4, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(encrypted_int4, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(encrypted_int4, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(encrypted_int4, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = encrypted_int4, RIGHTARG = numeric, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = encrypted_int4, RIGHTARG = numeric, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = encrypted_int4, RIGHTARG = numeric, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = encrypted_int4, RIGHTARG = numeric, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION pgseal_internal.lt(numeric, encrypted_int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(numeric, encrypted_int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(numeric, encrypted_int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(numeric, encrypted_int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION pgseal_internal.lt(encrypted_int8, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(encrypted_int8, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(encrypted_int8, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(encrypted_int8, numeric) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = encrypted_int8, RIGHTARG = numeric, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = encrypted_int8, RIGHTARG = numeric, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = encrypted_int8, RIGHTARG = numeric, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = encrypted_int8, RIGHTARG = numeric, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);
CREATE FUNCTION pgseal_internal.lt(numeric, encrypted_int8) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_lt';
CREATE FUNCTION pgseal_internal.le(numeric, encrypted_int8) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_le';
CREATE FUNCTION pgseal_internal.ge(numeric, encrypted_int8) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ge';
CREATE FUNCTION pgseal_internal.gt(numeric, encrypted_int8) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_gt';
CREATE OPERATOR pgseal_internal.< (LEFTARG = numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.lt,
	COMMUTATOR = OPERATOR(pgseal_internal.>), NEGATOR = OPERATOR(pgseal_internal.>=),
	RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pgseal_internal.<= (LEFTARG = numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.le,
	COMMUTATOR = OPERATOR(pgseal_internal.>=), NEGATOR = OPERATOR(pgseal_internal.>),
	RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pgseal_internal.>= (LEFTARG = numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.ge,
	COMMUTATOR = OPERATOR(pgseal_internal.<=), NEGATOR = OPERATOR(pgseal_internal.<),
	RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel);
CREATE OPERATOR pgseal_internal.> (LEFTARG = numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.gt,
	COMMUTATOR = OPERATOR(pgseal_internal.<), NEGATOR = OPERATOR(pgseal_internal.<=),
	RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel);

-- Equality with them is inlined, as that of the base type (47_related_types.sql)
ALTER OPERATOR FAMILY sealed_int2_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int2, int4), OPERATOR 2 <= (encrypted_int2, int4), OPERATOR 4 >= (encrypted_int2, int4), OPERATOR 5 > (encrypted_int2, int4);
ALTER OPERATOR FAMILY sealed_int2_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int2, int8), OPERATOR 2 <= (encrypted_int2, int8), OPERATOR 4 >= (encrypted_int2, int8), OPERATOR 5 > (encrypted_int2, int8);
ALTER OPERATOR FAMILY sealed_int2_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int2, encrypted_int4), OPERATOR 2 <= (encrypted_int2, encrypted_int4), OPERATOR 3 = (encrypted_int2, encrypted_int4), OPERATOR 4 >= (encrypted_int2, encrypted_int4), OPERATOR 5 > (encrypted_int2, encrypted_int4);
ALTER OPERATOR FAMILY sealed_int2_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int2, encrypted_int8), OPERATOR 2 <= (encrypted_int2, encrypted_int8), OPERATOR 3 = (encrypted_int2, encrypted_int8), OPERATOR 4 >= (encrypted_int2, encrypted_int8), OPERATOR 5 > (encrypted_int2, encrypted_int8);
ALTER OPERATOR FAMILY sealed_int4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int4, int2), OPERATOR 2 <= (encrypted_int4, int2), OPERATOR 4 >= (encrypted_int4, int2), OPERATOR 5 > (encrypted_int4, int2);
ALTER OPERATOR FAMILY sealed_int4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int4, int8), OPERATOR 2 <= (encrypted_int4, int8), OPERATOR 4 >= (encrypted_int4, int8), OPERATOR 5 > (encrypted_int4, int8);
ALTER OPERATOR FAMILY sealed_int4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int4, encrypted_int2), OPERATOR 2 <= (encrypted_int4, encrypted_int2), OPERATOR 3 = (encrypted_int4, encrypted_int2), OPERATOR 4 >= (encrypted_int4, encrypted_int2), OPERATOR 5 > (encrypted_int4, encrypted_int2);
ALTER OPERATOR FAMILY sealed_int4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int4, encrypted_int8), OPERATOR 2 <= (encrypted_int4, encrypted_int8), OPERATOR 3 = (encrypted_int4, encrypted_int8), OPERATOR 4 >= (encrypted_int4, encrypted_int8), OPERATOR 5 > (encrypted_int4, encrypted_int8);
ALTER OPERATOR FAMILY sealed_int8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int8, int2), OPERATOR 2 <= (encrypted_int8, int2), OPERATOR 4 >= (encrypted_int8, int2), OPERATOR 5 > (encrypted_int8, int2);
ALTER OPERATOR FAMILY sealed_int8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int8, int4), OPERATOR 2 <= (encrypted_int8, int4), OPERATOR 4 >= (encrypted_int8, int4), OPERATOR 5 > (encrypted_int8, int4);
ALTER OPERATOR FAMILY sealed_int8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int8, encrypted_int2), OPERATOR 2 <= (encrypted_int8, encrypted_int2), OPERATOR 3 = (encrypted_int8, encrypted_int2), OPERATOR 4 >= (encrypted_int8, encrypted_int2), OPERATOR 5 > (encrypted_int8, encrypted_int2);
ALTER OPERATOR FAMILY sealed_int8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_int8, encrypted_int4), OPERATOR 2 <= (encrypted_int8, encrypted_int4), OPERATOR 3 = (encrypted_int8, encrypted_int4), OPERATOR 4 >= (encrypted_int8, encrypted_int4), OPERATOR 5 > (encrypted_int8, encrypted_int4);
ALTER OPERATOR FAMILY sealed_float4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_float4, float8), OPERATOR 2 <= (encrypted_float4, float8), OPERATOR 3 = (encrypted_float4, float8), OPERATOR 4 >= (encrypted_float4, float8), OPERATOR 5 > (encrypted_float4, float8);
ALTER OPERATOR FAMILY sealed_float4_ops USING sealed ADD
	OPERATOR 1 < (encrypted_float4, encrypted_float8), OPERATOR 2 <= (encrypted_float4, encrypted_float8), OPERATOR 3 = (encrypted_float4, encrypted_float8), OPERATOR 4 >= (encrypted_float4, encrypted_float8), OPERATOR 5 > (encrypted_float4, encrypted_float8);
ALTER OPERATOR FAMILY sealed_float8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_float8, float4), OPERATOR 2 <= (encrypted_float8, float4), OPERATOR 3 = (encrypted_float8, float4), OPERATOR 4 >= (encrypted_float8, float4), OPERATOR 5 > (encrypted_float8, float4);
ALTER OPERATOR FAMILY sealed_float8_ops USING sealed ADD
	OPERATOR 1 < (encrypted_float8, encrypted_float4), OPERATOR 2 <= (encrypted_float8, encrypted_float4), OPERATOR 3 = (encrypted_float8, encrypted_float4), OPERATOR 4 >= (encrypted_float8, encrypted_float4), OPERATOR 5 > (encrypted_float8, encrypted_float4);
ALTER OPERATOR FAMILY sealed_date_ops USING sealed ADD
	OPERATOR 1 < (encrypted_date, timestamp), OPERATOR 2 <= (encrypted_date, timestamp), OPERATOR 3 = (encrypted_date, timestamp), OPERATOR 4 >= (encrypted_date, timestamp), OPERATOR 5 > (encrypted_date, timestamp);
ALTER OPERATOR FAMILY sealed_date_ops USING sealed ADD
	OPERATOR 1 < (encrypted_date, timestamptz), OPERATOR 2 <= (encrypted_date, timestamptz), OPERATOR 3 = (encrypted_date, timestamptz), OPERATOR 4 >= (encrypted_date, timestamptz), OPERATOR 5 > (encrypted_date, timestamptz);
ALTER OPERATOR FAMILY sealed_date_ops USING sealed ADD
	OPERATOR 1 < (encrypted_date, encrypted_timestamp), OPERATOR 2 <= (encrypted_date, encrypted_timestamp), OPERATOR 3 = (encrypted_date, encrypted_timestamp), OPERATOR 4 >= (encrypted_date, encrypted_timestamp), OPERATOR 5 > (encrypted_date, encrypted_timestamp);
ALTER OPERATOR FAMILY sealed_date_ops USING sealed ADD
	OPERATOR 1 < (encrypted_date, encrypted_timestamptz), OPERATOR 2 <= (encrypted_date, encrypted_timestamptz), OPERATOR 3 = (encrypted_date, encrypted_timestamptz), OPERATOR 4 >= (encrypted_date, encrypted_timestamptz), OPERATOR 5 > (encrypted_date, encrypted_timestamptz);
ALTER OPERATOR FAMILY sealed_timestamp_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamp, date), OPERATOR 2 <= (encrypted_timestamp, date), OPERATOR 3 = (encrypted_timestamp, date), OPERATOR 4 >= (encrypted_timestamp, date), OPERATOR 5 > (encrypted_timestamp, date);
ALTER OPERATOR FAMILY sealed_timestamp_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamp, timestamptz), OPERATOR 2 <= (encrypted_timestamp, timestamptz), OPERATOR 3 = (encrypted_timestamp, timestamptz), OPERATOR 4 >= (encrypted_timestamp, timestamptz), OPERATOR 5 > (encrypted_timestamp, timestamptz);
ALTER OPERATOR FAMILY sealed_timestamp_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamp, encrypted_date), OPERATOR 2 <= (encrypted_timestamp, encrypted_date), OPERATOR 3 = (encrypted_timestamp, encrypted_date), OPERATOR 4 >= (encrypted_timestamp, encrypted_date), OPERATOR 5 > (encrypted_timestamp, encrypted_date);
ALTER OPERATOR FAMILY sealed_timestamp_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamp, encrypted_timestamptz), OPERATOR 2 <= (encrypted_timestamp, encrypted_timestamptz), OPERATOR 3 = (encrypted_timestamp, encrypted_timestamptz), OPERATOR 4 >= (encrypted_timestamp, encrypted_timestamptz), OPERATOR 5 > (encrypted_timestamp, encrypted_timestamptz);
ALTER OPERATOR FAMILY sealed_timestamptz_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamptz, date), OPERATOR 2 <= (encrypted_timestamptz, date), OPERATOR 3 = (encrypted_timestamptz, date), OPERATOR 4 >= (encrypted_timestamptz, date), OPERATOR 5 > (encrypted_timestamptz, date);
ALTER OPERATOR FAMILY sealed_timestamptz_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamptz, timestamp), OPERATOR 2 <= (encrypted_timestamptz, timestamp), OPERATOR 3 = (encrypted_timestamptz, timestamp), OPERATOR 4 >= (encrypted_timestamptz, timestamp), OPERATOR 5 > (encrypted_timestamptz, timestamp);
ALTER OPERATOR FAMILY sealed_timestamptz_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamptz, encrypted_date), OPERATOR 2 <= (encrypted_timestamptz, encrypted_date), OPERATOR 3 = (encrypted_timestamptz, encrypted_date), OPERATOR 4 >= (encrypted_timestamptz, encrypted_date), OPERATOR 5 > (encrypted_timestamptz, encrypted_date);
ALTER OPERATOR FAMILY sealed_timestamptz_ops USING sealed ADD
	OPERATOR 1 < (encrypted_timestamptz, encrypted_timestamp), OPERATOR 2 <= (encrypted_timestamptz, encrypted_timestamp), OPERATOR 3 = (encrypted_timestamptz, encrypted_timestamp), OPERATOR 4 >= (encrypted_timestamptz, encrypted_timestamp), OPERATOR 5 > (encrypted_timestamptz, encrypted_timestamp);
ALTER OPERATOR FAMILY sealed_text_ops USING sealed ADD
	OPERATOR 1 < (encrypted_text, name), OPERATOR 2 <= (encrypted_text, name), OPERATOR 3 = (encrypted_text, name), OPERATOR 4 >= (encrypted_text, name), OPERATOR 5 > (encrypted_text, name);
ALTER OPERATOR FAMILY sealed_int2_ops USING sealed ADD
	OPERATOR 1 pgseal_internal.< (encrypted_int2, numeric), OPERATOR 2 pgseal_internal.<= (encrypted_int2, numeric), OPERATOR 4 pgseal_internal.>= (encrypted_int2, numeric), OPERATOR 5 pgseal_internal.> (encrypted_int2, numeric);
ALTER OPERATOR FAMILY sealed_int4_ops USING sealed ADD
	OPERATOR 1 pgseal_internal.< (encrypted_int4, numeric), OPERATOR 2 pgseal_internal.<= (encrypted_int4, numeric), OPERATOR 4 pgseal_internal.>= (encrypted_int4, numeric), OPERATOR 5 pgseal_internal.> (encrypted_int4, numeric);
ALTER OPERATOR FAMILY sealed_int8_ops USING sealed ADD
	OPERATOR 1 pgseal_internal.< (encrypted_int8, numeric), OPERATOR 2 pgseal_internal.<= (encrypted_int8, numeric), OPERATOR 4 pgseal_internal.>= (encrypted_int8, numeric), OPERATOR 5 pgseal_internal.> (encrypted_int8, numeric);
