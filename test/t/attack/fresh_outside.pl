# Attack: a role that may read and write a table but has no USAGE on its key's server looks
# where else a server shows what its tables hold (test/lib/GuessingNode.pm): logical decoding,
# notifications, foreign tables, files, large objects, views of what others do, logs of plans.

use strict;
use warnings;

use GuessingNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guessing_node('fresh_outside', q{
session_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
max_prepared_transactions = 5
log_statement = none
});
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', qq{
CREATE EXTENSION file_fdw;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres'); GRANT USAGE ON FOREIGN SERVER loop TO e;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; GRANT USAGE ON FOREIGN SERVER files TO e;
CREATE USER MAPPING FOR e SERVER loop OPTIONS (user 'e', password_required 'false');
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(\$\$c\$\$, NEW::text); RETURN NEW; END'});
my $foreign = q{CREATE FOREIGN TABLE e.sealed (id int, salary encrypted_int4('mine'), name encrypted_text('mine')) SERVER loop OPTIONS (schema_name 'public', table_name 'emp'); CREATE FOREIGN TABLE e.plain (id int, salary int, name text) SERVER loop OPTIONS (schema_name 'public', table_name 'emp');};

my @statements = (
	# through the server to itself
	(map { "$foreign $_" } 'SELECT salary FROM e.sealed WHERE id = 50', 'SELECT salary, name FROM e.plain WHERE id = 50', 'SELECT id FROM e.sealed WHERE salary = GUESS', 'SELECT id FROM e.plain WHERE salary = GUESS',
		'SELECT count(*) FROM e.plain WHERE salary > GUESS', 'SELECT max(salary) FROM e.plain', 'UPDATE e.plain SET id = id WHERE salary = GUESS', 'DELETE FROM e.sealed WHERE salary = GUESS', 'INSERT INTO e.plain VALUES (1000, 77) RETURNING salary',
		'EXPLAIN SELECT * FROM e.plain WHERE salary = GUESS', 'ANALYZE e.sealed; SELECT n_distinct, most_common_vals::text FROM pg_stats WHERE tablename = \'sealed\'', 'ANALYZE e.plain; SELECT histogram_bounds::text FROM pg_stats WHERE tablename = \'plain\'',
		'SELECT id FROM e.plain JOIN guess ON salary = g', 'SELECT id FROM e.plain ORDER BY salary LIMIT 3', "ALTER SERVER loop OPTIONS (ADD use_remote_estimate 'true')", "ALTER FOREIGN TABLE e.plain OPTIONS (ADD use_remote_estimate 'true'); EXPLAIN SELECT id FROM e.plain WHERE salary = GUESS",
		'EXPLAIN (VERBOSE, ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT id FROM e.sealed WHERE salary = GUESS', "INSERT INTO e.sealed (id, name) VALUES (GUESS + 1000, 'x')", 'SELECT tableoid::regclass, e.sealed FROM e.sealed WHERE id = 50',
		'CREATE TABLE e.p (id int, salary int, name text) PARTITION BY LIST (id); ALTER TABLE e.p ATTACH PARTITION e.plain DEFAULT; SELECT count(*) FROM e.p WHERE salary = GUESS'),
	"CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'reader', password 'x')", "ALTER USER MAPPING FOR e SERVER loop OPTIONS (SET user 'reader')", "SELECT * FROM dblink('loop', 'SELECT salary FROM emp WHERE id = 50') AS r(s int)", "SELECT * FROM dblink('loop', 'SELECT id FROM emp WHERE salary = GUESS') AS r(s int)",
	# files and objects
	"CREATE FOREIGN TABLE e.f (l text) SERVER files OPTIONS (filename '/etc/passwd')", "CREATE FOREIGN TABLE e.f (l encrypted_text('mine')) SERVER files OPTIONS (program 'id')", "COPY emp TO '/tmp/x'", "COPY (SELECT name FROM emp) TO PROGRAM 'cat'", "COPY guess FROM '/etc/passwd'",
	"SELECT lo_export(1, '/tmp/x')", "SELECT lo_import('/etc/passwd')", 'SELECT lo_from_bytea(0, name::text::bytea) IS NULL FROM emp WHERE id = 50', 'SELECT lo_put(lo_create(0), 0, convert_to(salary::text, $$UTF8$$)) FROM emp WHERE id = 50',
	'SET default_toast_compression = pglz; SELECT pg_column_size(name) FROM emp WHERE id IN (50, 51)', 'SELECT pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = \'emp\'::regclass', 'SELECT pg_ls_tmpdir()', 'SELECT pg_ls_logdir()', 'SELECT pg_current_logfile()',
	# notifications
	'LISTEN c; SELECT pg_notify(\'c\', name) FROM emp WHERE id = 50', 'LISTEN c; NOTIFY c, \'GUESS\'; UPDATE emp SET salary = GUESS WHERE id = 50', 'CREATE TRIGGER tell AFTER UPDATE ON emp FOR EACH ROW EXECUTE FUNCTION tell(); LISTEN c; UPDATE emp SET dept = 1 WHERE id = 50',
	'LISTEN c; SELECT pg_notify(\'c\', to_jsonb(emp)::text) FROM emp WHERE id = 50', 'CREATE FUNCTION e.tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_notify(\'c\', (NEW.salary::int = GUESS)::text); RETURN NEW; END$$; CREATE TRIGGER tell AFTER UPDATE ON emp FOR EACH ROW EXECUTE FUNCTION e.tell(); UPDATE emp SET dept = 1 WHERE id = 50',
	# what is going on
	'SELECT count(*) FROM pg_stat_activity WHERE query LIKE \'%SECRET%\' AND pid <> pg_backend_pid()', 'PREPARE p AS SELECT name FROM emp WHERE salary = GUESS; SELECT parameter_types::text FROM pg_prepared_statements', 'DECLARE k CURSOR FOR SELECT name FROM emp; SELECT name FROM pg_cursors; FETCH k',
	'SELECT name, length(ident) FROM pg_backend_memory_contexts', 'SELECT pg_log_backend_memory_contexts(pg_backend_pid())', 'SELECT count(*) FROM pg_locks WHERE mode = \'SIReadLock\'', 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT id FROM emp WHERE salary = GUESS; SELECT count(*) FROM pg_locks; COMMIT',
	'SELECT seq_scan > 0, idx_scan FROM pg_stat_user_tables WHERE relname = \'emp\' AND GUESS > 0', 'SELECT id FROM emp WHERE salary = GUESS; SELECT idx_scan FROM pg_stat_user_indexes WHERE relname = \'emp\'', 'SELECT * FROM pg_stat_progress_analyze', 'SELECT query FROM pg_stat_statements',
	'SELECT encrypted, opened FROM pgseal.stat_keys', 'SELECT rule, object FROM pgseal.policy', 'SELECT "check", status FROM pgseal.health', 'SELECT * FROM pgseal.policy_report()', 'UPDATE pgseal.policy SET enforce = false', 'INSERT INTO pgseal.policy (rule, object, "limit") VALUES (\'reader\', \'local_keyring\', \'e\')',
	# publications, subscriptions, statistics
	'CREATE PUBLICATION p FOR TABLE emp WHERE (salary = GUESS)', "CREATE TABLE e.t (id int PRIMARY KEY, salary encrypted_int4('pay')); CREATE PUBLICATION p FOR TABLE e.t WHERE (salary = GUESS)", "CREATE TABLE e.t (id int PRIMARY KEY, salary encrypted_int4('pay')); CREATE PUBLICATION p FOR TABLE e.t WHERE (salary::int = GUESS)",
	'CREATE PUBLICATION p FOR TABLE e.nothing', "CREATE SUBSCRIPTION s CONNECTION 'host=$host port=$port dbname=postgres' PUBLICATION everything", 'ALTER PUBLICATION everything ADD TABLE guess',
	'CREATE TEMP TABLE t AS SELECT id, salary AS v, id AS w FROM emp UNION ALL SELECT 0, y, 0 FROM guess; CREATE STATISTICS st (mcv, ndistinct, dependencies) ON v, w FROM t; ANALYZE t; SELECT stxdndistinct, stxddependencies FROM pg_statistic_ext_data',
	'CREATE TEMP TABLE t AS SELECT id, salary AS v FROM emp; CREATE STATISTICS st ON (v::int) FROM t; ANALYZE t; SELECT stxdexpr IS NULL FROM pg_statistic_ext_data', 'CREATE TEMP TABLE t AS SELECT id, salary AS v FROM emp; CREATE STATISTICS st ON (v = GUESS), id FROM t; ANALYZE t',
	'SELECT most_common_vals::text FROM pg_stats_ext', 'SELECT most_common_vals::text FROM pg_stats_ext_exprs');

cmp_ok(try_guesses($node, @statements), '>', 30, 'many are answered');

# Logical decoding, by a role with REPLICATION
is($node->as('e', q{SELECT slot_name FROM pg_create_logical_replication_slot('text', 'test_decoding') UNION ALL SELECT slot_name FROM pg_create_logical_replication_slot('binary', 'pgoutput')}), "text\nbinary", 'slots');
$node->safe_psql('postgres', q{
ALTER TABLE emp REPLICA IDENTITY FULL;
INSERT INTO emp VALUES (1000, 10000, 'SECRET', '{"k": "SECRET"}', 1); UPDATE emp SET name = 'SECRET2', salary = 7 WHERE id = 1000; DELETE FROM emp WHERE id = 1000;
BEGIN; INSERT INTO emp (id, name) VALUES (1001, 'SECRET'); PREPARE TRANSACTION 'SECRET transaction'; COMMIT PREPARED 'SECRET transaction';
SELECT pg_logical_emit_message(true, 'x', 'y')});
my $changes = $node->as('e', q{SELECT data FROM pg_logical_slot_get_changes('text', NULL, NULL)});
like($changes, qr/table public\.emp: UPDATE: old-key:.*name\[\w+\]:'pgseal:1:/, 'decoded rows are sealed');
unlike($changes =~ s/'SECRET transaction'//gr, qr/SECRET|10000/, 'and hold no plaintext');
$changes = $node->as('e', q{SELECT encode(data, 'escape') FROM pg_logical_slot_get_binary_changes('binary', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')});
like($changes, qr/pgseal:1:/, 'as a subscriber gets them');
unlike($changes, qr/SECRET|10000/, 'without plaintext');
$node->as('e', q{SELECT pg_drop_replication_slot('text'), pg_drop_replication_slot('binary')});

# Who may has his plans logged
$node->safe_psql('postgres', 'GRANT SELECT ON emp TO reader');
my $before = -s $node->logfile;
my (undef, $out) = $node->psql('postgres', q{
PREPARE p(int) AS SELECT name FROM emp WHERE salary = $1; EXECUTE p(500);
DO $$DECLARE v text; BEGIN SELECT name INTO v FROM emp WHERE id = 50; PERFORM id FROM emp WHERE name = v; END$$;
SELECT id FROM emp WHERE name = (SELECT name FROM emp WHERE id = 50);
DO $$DECLARE s int; BEGIN SELECT salary INTO s FROM emp WHERE id = 47; PERFORM count(*) FROM emp WHERE salary BETWEEN s AND s + 1; END$$}, extra_params => [ '-U', 'reader' ]);
is($out, "SECRET50\n50", 'a reader reads');
my $log = slurp_file($node->logfile, $before);
like($log, qr/Query Text: SELECT name\s+FROM emp WHERE id = 50/, 'plans are logged');
unlike($log, qr/SECRET/, 'without what was found');
unlike($log, qr/Cond: .*\b47[01]\b/, 'or compared with');

$node->stop;
done_testing();
