-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pgseal" to load this file. \quit

--
-- Three schemas.  What users' expressions need is in pg_catalog, where it is
-- found whatever the search path: types, casts, operators, aggregates, functions
-- that are named as PostgreSQL's own, and blind_index().  What is created here
-- without a schema goes there.  What people call by name is in pgseal.  All else
-- is in pgseal_internal, on which nobody has USAGE: PostgreSQL reaches it by OID
-- (base/extension.c).  So no body that is kept as a string may name it.
--

CREATE SCHEMA pgseal;
COMMENT ON SCHEMA pgseal IS 'pgseal: keys of encrypted columns';
GRANT USAGE ON SCHEMA pgseal TO PUBLIC;

CREATE SCHEMA pgseal_internal;
COMMENT ON SCHEMA pgseal_internal IS 'pgseal: functions behind types, casts and operators; not to be called by name';
