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
