-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pgseal" to load this file. \quit

CREATE SCHEMA pgseal;
COMMENT ON SCHEMA pgseal IS 'pgseal: keys of encrypted columns';
GRANT USAGE ON SCHEMA pgseal TO PUBLIC;
