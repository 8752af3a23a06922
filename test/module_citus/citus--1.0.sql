-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION citus" to load this file. \quit

-- As Citus does it: nothing can be created in pg_catalog directly
CREATE SCHEMA citus;
CREATE TABLE citus.pg_dist_partition (
	logicalrelid regclass NOT NULL UNIQUE,
	partmethod "char" NOT NULL,
	partkey text,
	colocationid int NOT NULL DEFAULT 0,
	repmodel "char" NOT NULL DEFAULT 's',
	autoconverted bool NOT NULL DEFAULT false
);
ALTER TABLE citus.pg_dist_partition SET SCHEMA pg_catalog;

CREATE FUNCTION citus.sent() RETURNS text
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'citus_sent';
CREATE FUNCTION citus.cast_as(value anyelement, target anycompatible) RETURNS anycompatible
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'citus_cast';
CREATE FUNCTION citus.read_intermediate_result(value text, type anyelement) RETURNS anyelement
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'read_intermediate_result';
CREATE FUNCTION citus.other_function(value text, type anyelement) RETURNS anyelement
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'other_function';
GRANT USAGE ON SCHEMA citus TO PUBLIC;
