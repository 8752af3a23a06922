--
-- Rows with encrypted columns, and arrays of them: a record of the opened values.
-- The _result functions are what the transparent mode puts around result columns:
-- VOLATILE, as open_result().
--

CREATE FUNCTION pgseal_internal.open_row(record) RETURNS record
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'pgseal_open_row';
CREATE FUNCTION pgseal_internal.open_row_result(record) RETURNS record
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'pgseal_open_row';
CREATE FUNCTION pgseal_internal.open_rows(anyarray) RETURNS record[]
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'pgseal_open_rows';
CREATE FUNCTION pgseal_internal.open_rows_result(anyarray) RETURNS record[]
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'pgseal_open_rows';

-- What keeps opened values out of sorts (src/statement/late_opening.c): VOLATILE, so that
-- the planner evaluates what is in it last; and aggregates with a sealed result
CREATE FUNCTION pgseal_internal.late(anyelement) RETURNS anyelement
LANGUAGE C VOLATILE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'pgseal_late';
CREATE FUNCTION pgseal_internal.sealed_larger(anyelement, anyelement) RETURNS anyelement
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_sealed_larger';
CREATE FUNCTION pgseal_internal.sealed_smaller(anyelement, anyelement) RETURNS anyelement
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_sealed_smaller';
CREATE AGGREGATE pgseal_internal.sealed_max(anyelement) (
	SFUNC = pgseal_internal.sealed_larger, STYPE = anyelement, COMBINEFUNC = pgseal_internal.sealed_larger, PARALLEL = SAFE);
CREATE AGGREGATE pgseal_internal.sealed_min(anyelement) (
	SFUNC = pgseal_internal.sealed_smaller, STYPE = anyelement, COMBINEFUNC = pgseal_internal.sealed_smaller, PARALLEL = SAFE);

-- What is in the place of a column's default that opens values (src/statement/column_defaults.c);
-- its result is of the column's type
CREATE FUNCTION pgseal_internal.column_default(regclass, int2, internal) RETURNS internal
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_column_default';

-- What the planner calls for PostgreSQL's functions of these names: with the values
-- of encrypted columns opened (src/statement/plain_callers.c)
CREATE FUNCTION pgseal_internal.query_to_xml(text, boolean, boolean, text) RETURNS xml
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.query_to_xmlschema(text, boolean, boolean, text) RETURNS xml
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.query_to_xml_and_xmlschema(text, boolean, boolean, text) RETURNS xml
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.table_to_xml(regclass, boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.table_to_xml_and_xmlschema(regclass, boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.schema_to_xml(name, boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.schema_to_xml_and_xmlschema(name, boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.database_to_xml(boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
CREATE FUNCTION pgseal_internal.database_to_xml_and_xmlschema(boolean, boolean, text) RETURNS xml
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgseal_to_xml';
