
--
-- Statistics, counted in shared memory since the server was started
--

CREATE FUNCTION pgseal_internal.cache_stats(OUT slots int8, OUT used int8, OUT hits int8, OUT misses int8,
	OUT waits int8, OUT refreshes int8, OUT evictions int8, OUT expirations int8,
	OUT overflows int8, OUT failures int8, OUT locked bool)
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_cache_stats';
CREATE VIEW pgseal.stat_cache AS SELECT * FROM pgseal_internal.cache_stats();
COMMENT ON VIEW pgseal.stat_cache IS 'the shared key cache: how full it is, and what came of looking into it';

CREATE FUNCTION pgseal_internal.key_stats(key_version_id int8, OUT seals int8, OUT cached bool,
	OUT fetched timestamptz, OUT used timestamptz, OUT expires timestamptz, OUT failure text)
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_key_stats';
CREATE VIEW pgseal.stat_keys AS
	SELECT v.key, v.number AS version, to_hex(v.id) AS key_version_id,
		CASE v.purpose WHEN 'd' THEN 'data' WHEN 'i' THEN 'index' END AS purpose,
		greatest(v.seals, s.seals) AS seals, s.cached, s.fetched, s.used, s.expires, s.failure
	FROM pgseal.key_version v CROSS JOIN LATERAL pgseal_internal.key_stats(v.id) s;
COMMENT ON VIEW pgseal.stat_keys IS 'key versions: what they have sealed, in blocks that sessions reserve; whether they are in the key cache, since when, last taken from there when, until when; why the last fetch left no key there';

CREATE FUNCTION pgseal_internal.kms_stats(OUT server oid, OUT operation text, OUT calls int8,
	OUT succeeded int8, OUT unreachable int8, OUT refused int8, OUT invalid int8, OUT retries int8,
	OUT min_time float8, OUT mean_time float8, OUT max_time float8, OUT last_time float8,
	OUT last_success timestamptz, OUT last_failure timestamptz, OUT last_failure_status text,
	OUT last_failure_code text, OUT stats_since timestamptz)
RETURNS SETOF record
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_kms_stats';
CREATE VIEW pgseal.stat_kms AS
	SELECT f.srvname AS server, w.fdwname AS provider, s.operation, s.calls, s.succeeded,
		s.unreachable, s.refused, s.invalid, s.retries, s.min_time, s.mean_time, s.max_time,
		s.last_time, s.last_success, s.last_failure, s.last_failure_status, s.last_failure_code, s.stats_since
	FROM pgseal_internal.kms_stats() s
	JOIN pg_catalog.pg_foreign_server f ON f.oid = s.server
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = f.srvfdw;
COMMENT ON VIEW pgseal.stat_kms IS 'calls of key management services by server and operation; times in milliseconds, of those that succeeded';

CREATE FUNCTION pgseal.stat_kms_reset(server text DEFAULT NULL) RETURNS void
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_stat_kms_reset';
REVOKE ALL ON FUNCTION pgseal.stat_kms_reset FROM PUBLIC;
COMMENT ON FUNCTION pgseal.stat_kms_reset IS 'begins pgseal.stat_kms of a server anew, or of all servers of this database';

GRANT SELECT ON pgseal.stat_cache, pgseal.stat_keys, pgseal.stat_kms TO PUBLIC;
