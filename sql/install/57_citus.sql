--
-- What Citus sends to other nodes instead of a call of ours (src/citus/calls.c).
-- IMMUTABLE, or Citus would send it only here and there; it can't be stored.
--

CREATE FUNCTION pgseal_citus_call(result anyelement, call text, VARIADIC arguments "any") RETURNS anyelement
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'pgseal_citus_call';
COMMENT ON FUNCTION pgseal_citus_call(anyelement, text, "any") IS 'what Citus sends to other nodes instead of a call on encrypted values; not to be called by name';
