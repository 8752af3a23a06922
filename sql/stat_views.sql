-- Views of what is counted since the server was started.  The local keyring
-- stands for any KMS here; test/t/kms/faults.pl has the rest.
SET client_min_messages = warning;
CREATE SERVER counted FOREIGN DATA WRAPPER local_keyring;
SELECT pgseal.create_key('watched', server => 'counted');
CREATE TABLE stat_values (v encrypted_int4('watched'));

-- a new key's first version is unwrapped once, however often it is used
INSERT INTO stat_values SELECT generate_series(1, 100);
SELECT count(v::int4) FROM stat_values;
SELECT server, provider, operation, calls, succeeded, unreachable, refused, invalid, retries,
	min_time > 0 AND min_time <= mean_time AND mean_time <= max_time AND last_time <= max_time AS times,
	last_failure, last_failure_code, stats_since <= now() AS since
FROM pgseal.stat_kms WHERE server = 'counted' ORDER BY operation;

SELECT key, version, purpose, seals >= 100 AS counted, cached,
	fetched <= used AND used < expires AS in_order
FROM pgseal.stat_keys WHERE key = 'watched' ORDER BY purpose;

-- a failure: these options would not do
ALTER SERVER counted OPTIONS (command 'exit 3');
SELECT operation, calls, succeeded, unreachable, refused, invalid, last_failure_code, last_failure <= clock_timestamp() AS at
FROM pgseal.stat_kms WHERE server = 'counted' AND operation = 'unwrap';

-- reset: of one server, of all
CREATE SERVER counted_too FOREIGN DATA WRAPPER local_keyring;
SELECT pgseal.create_key('watched_too', server => 'counted_too');
SELECT pgseal.stat_kms_reset('nobody');
SELECT pgseal.stat_kms_reset('counted');
SELECT server, operation, calls FROM pgseal.stat_kms WHERE server LIKE 'counted%' ORDER BY 1, 2;
SELECT pgseal.stat_kms_reset();
SELECT count(*) FROM pgseal.stat_kms;

-- everybody may look, not everybody may reset
CREATE ROLE regress_pgseal_watcher;
SET ROLE regress_pgseal_watcher;
SELECT slots > 0 AS slots, used <= slots AS used FROM pgseal.stat_cache;
SELECT count(*) > 0 AS keys FROM pgseal.stat_keys;
SELECT count(*) FROM pgseal.stat_kms;
SELECT pgseal.stat_kms_reset();
RESET ROLE;
DROP ROLE regress_pgseal_watcher;
DROP TABLE stat_values;
SELECT pgseal.destroy_key(name, confirm => name) FROM pgseal.keys WHERE name LIKE 'watched%' ORDER BY name;
