\echo Use "CREATE EXTENSION pgseal_test_cache" to load this file. \quit

-- hit:<good|bad key>, claimed, failed:<status>:<code>, full
CREATE FUNCTION cache_get(id bigint) RETURNS text
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- The same of a key that this server unwraps
CREATE FUNCTION cache_get_of(server oid, id bigint) RETURNS text
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- Seconds until the caller must ask again, or NULL without a hit
CREATE FUNCTION cache_get_ttl(id bigint) RETURNS float8
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_publish(id bigint) RETURNS float8
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_fail(id bigint, status text) RETURNS boolean
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_abandon(id bigint) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- get(); when claimed, a fetch that takes so long, then publish()
CREATE FUNCTION cache_fetch(id bigint, seconds float8) RETURNS text
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_drop(database oid, id bigint) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_drop_database(database oid) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_generation() RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_stats(
	OUT slots bigint, OUT used bigint, OUT hits bigint, OUT misses bigint, OUT waits bigint,
	OUT refreshes bigint, OUT evictions bigint, OUT expirations bigint, OUT overflows bigint,
	OUT failures bigint, OUT locked boolean)
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

CREATE FUNCTION cache_reserve(id bigint, first_known bigint, count int) RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- How often the bytes occur in the shared memory that this process has mapped
CREATE FUNCTION count_key_in_shared_memory(id bigint) RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
CREATE FUNCTION count_text_in_shared_memory(needle text) RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- What the fake keyring does for the worker
CREATE TABLE refresh_outcome (id bigint PRIMARY KEY, outcome text NOT NULL);
CREATE TABLE saved_seals (id bigint PRIMARY KEY, seals bigint NOT NULL);
