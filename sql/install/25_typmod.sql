
--
-- Shared by all encrypted types
--

CREATE FUNCTION pgseal_internal.typmod_in(cstring[]) RETURNS int4
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_typmod_in';
CREATE FUNCTION pgseal_internal.typmod_out(int4) RETURNS cstring
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_typmod_out';
CREATE FUNCTION pgseal_internal.typanalyze(internal) RETURNS bool
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_typanalyze';

-- Planner support (blind_index.c, lookup.c, search/estimates.c)
CREATE FUNCTION pgseal_internal.eqsel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_eqsel';
CREATE FUNCTION pgseal_internal.eqjoinsel(internal, oid, internal, int2, internal) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_eqjoinsel';
CREATE FUNCTION pgseal_internal.ltsel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_ltsel';
CREATE FUNCTION pgseal_internal.lesel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_lesel';
CREATE FUNCTION pgseal_internal.gtsel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_gtsel';
CREATE FUNCTION pgseal_internal.gesel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_gesel';
CREATE FUNCTION pgseal_internal.equality_support(internal) RETURNS internal
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_equality_support';
CREATE FUNCTION pgseal_internal.related_equality_support(internal) RETURNS internal
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_related_equality_support';
CREATE FUNCTION pgseal_internal.recheck_support(internal) RETURNS internal
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_recheck_support';

CREATE FUNCTION pgseal_internal.sortsupport(internal) RETURNS void
LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'pgseal_sortsupport';
