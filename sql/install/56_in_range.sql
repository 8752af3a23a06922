-- Made by test/parity/related.pl (make parity); don't edit.
--
-- RANGE BETWEEN offset PRECEDING AND ...: over an ORDER BY of an encrypted column, for
-- the offsets that PostgreSQL has for the base type.  An untyped offset where there
-- are several is of the column's type.
--

CREATE FUNCTION pgseal_internal.in_range(encrypted_int2, encrypted_int2, encrypted_int2, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), pgseal_internal.open($3), $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int2, encrypted_int2, int2, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int2, encrypted_int2, int4, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int2, encrypted_int2, int8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int4, encrypted_int4, encrypted_int4, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), pgseal_internal.open($3), $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int4, encrypted_int4, int2, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int4, encrypted_int4, int4, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int4, encrypted_int4, int8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int8, encrypted_int8, encrypted_int8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), pgseal_internal.open($3), $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int8, encrypted_int8, int2, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int8, encrypted_int8, int4, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_int8, encrypted_int8, int8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_float4, encrypted_float4, float8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_float8, encrypted_float8, float8, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_numeric, encrypted_numeric, numeric, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_date, encrypted_date, interval, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_time, encrypted_time, interval, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_timestamp, encrypted_timestamp, interval, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_timestamptz, encrypted_timestamptz, interval, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);
CREATE FUNCTION pgseal_internal.in_range(encrypted_interval, encrypted_interval, interval, bool, bool) RETURNS bool
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pg_catalog.in_range(pgseal_internal.open($1), pgseal_internal.open($2), $3, $4, $5);

ALTER OPERATOR FAMILY encrypted_int2_ops USING btree ADD
	FUNCTION 3 (encrypted_int2, encrypted_int2) pgseal_internal.in_range(encrypted_int2, encrypted_int2, encrypted_int2, bool, bool),
	FUNCTION 3 (encrypted_int2, int2) pgseal_internal.in_range(encrypted_int2, encrypted_int2, int2, bool, bool),
	FUNCTION 3 (encrypted_int2, int4) pgseal_internal.in_range(encrypted_int2, encrypted_int2, int4, bool, bool),
	FUNCTION 3 (encrypted_int2, int8) pgseal_internal.in_range(encrypted_int2, encrypted_int2, int8, bool, bool);
ALTER OPERATOR FAMILY encrypted_int4_ops USING btree ADD
	FUNCTION 3 (encrypted_int4, encrypted_int4) pgseal_internal.in_range(encrypted_int4, encrypted_int4, encrypted_int4, bool, bool),
	FUNCTION 3 (encrypted_int4, int2) pgseal_internal.in_range(encrypted_int4, encrypted_int4, int2, bool, bool),
	FUNCTION 3 (encrypted_int4, int4) pgseal_internal.in_range(encrypted_int4, encrypted_int4, int4, bool, bool),
	FUNCTION 3 (encrypted_int4, int8) pgseal_internal.in_range(encrypted_int4, encrypted_int4, int8, bool, bool);
ALTER OPERATOR FAMILY encrypted_int8_ops USING btree ADD
	FUNCTION 3 (encrypted_int8, encrypted_int8) pgseal_internal.in_range(encrypted_int8, encrypted_int8, encrypted_int8, bool, bool),
	FUNCTION 3 (encrypted_int8, int2) pgseal_internal.in_range(encrypted_int8, encrypted_int8, int2, bool, bool),
	FUNCTION 3 (encrypted_int8, int4) pgseal_internal.in_range(encrypted_int8, encrypted_int8, int4, bool, bool),
	FUNCTION 3 (encrypted_int8, int8) pgseal_internal.in_range(encrypted_int8, encrypted_int8, int8, bool, bool);
ALTER OPERATOR FAMILY encrypted_float4_ops USING btree ADD
	FUNCTION 3 (encrypted_float4, float8) pgseal_internal.in_range(encrypted_float4, encrypted_float4, float8, bool, bool);
ALTER OPERATOR FAMILY encrypted_float8_ops USING btree ADD
	FUNCTION 3 (encrypted_float8, float8) pgseal_internal.in_range(encrypted_float8, encrypted_float8, float8, bool, bool);
ALTER OPERATOR FAMILY encrypted_numeric_ops USING btree ADD
	FUNCTION 3 (encrypted_numeric, numeric) pgseal_internal.in_range(encrypted_numeric, encrypted_numeric, numeric, bool, bool);
ALTER OPERATOR FAMILY encrypted_date_ops USING btree ADD
	FUNCTION 3 (encrypted_date, interval) pgseal_internal.in_range(encrypted_date, encrypted_date, interval, bool, bool);
ALTER OPERATOR FAMILY encrypted_time_ops USING btree ADD
	FUNCTION 3 (encrypted_time, interval) pgseal_internal.in_range(encrypted_time, encrypted_time, interval, bool, bool);
ALTER OPERATOR FAMILY encrypted_timestamp_ops USING btree ADD
	FUNCTION 3 (encrypted_timestamp, interval) pgseal_internal.in_range(encrypted_timestamp, encrypted_timestamp, interval, bool, bool);
ALTER OPERATOR FAMILY encrypted_timestamptz_ops USING btree ADD
	FUNCTION 3 (encrypted_timestamptz, interval) pgseal_internal.in_range(encrypted_timestamptz, encrypted_timestamptz, interval, bool, bool);
ALTER OPERATOR FAMILY encrypted_interval_ops USING btree ADD
	FUNCTION 3 (encrypted_interval, interval) pgseal_internal.in_range(encrypted_interval, encrypted_interval, interval, bool, bool);
