# Values of parameters that stand beside encrypted ones are in no plan that
# auto_explain logs and in no line of the log of statements; all others are there
# as ever, and plans find what they find on plain columns.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->new('hidden');
$node->init(preload => 'pgseal, auto_explain', conf => q{
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
log_statement = 'all'
log_min_duration_statement = 0
plan_cache_mode = force_custom_plan
});
# 16 and later log what they were given, as PostgreSQL itself does
$node->append_conf('postgresql.conf', 'auto_explain.log_parameter_max_length = 0') if $node->pg_version >= 16;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, v encrypted_text, n encrypted_int4, tags encrypted_text[], state text);
	CREATE INDEX ON t (blind_index(n));
	CREATE INDEX open_ones ON t (id) WHERE state = 'open';
	INSERT INTO t SELECT i, 'v' || i, i, NULL, CASE WHEN i % 100 = 0 THEN 'open' ELSE 'shut' END FROM generate_series(1, 2000) i;
	ANALYZE t;
	CREATE TABLE plain (n int);
	CREATE PROCEDURE takes(x encrypted_int4) LANGUAGE plpgsql AS 'BEGIN END';
	CREATE FUNCTION by_value(x text) RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE r bigint; BEGIN SELECT count(*) INTO r FROM t WHERE v = x; RETURN r; END $$});

# Runs statements by the extended protocol; :x is a parameter
sub with_parameter
{
	my ($value, $mode, @statements) = @_;
	my $script = $node->basedir . '/script';
	open(my $fh, '>', $script) or die $!;
	print $fh "\\set x $value\n", map { "$_;\n" } @statements;
	close($fh);
	$node->command_ok([ 'pgbench', '-n', '-M', $mode, '-t', '2', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		"$mode: " . join('; ', @statements));
	return;
}

for my $mode (qw(extended prepared))
{
	with_parameter(47110815, $mode,
		'INSERT INTO t (id, n) VALUES (0, :x)',
		'INSERT INTO t (id, n) VALUES (0, :x), (1, :x)',
		'INSERT INTO t (id, v) SELECT 0, :x::int',
		'UPDATE t SET n = :x WHERE n = :x',
		'SELECT id FROM t WHERE n = :x',
		'SELECT id FROM t WHERE n::numeric = :x AND NOT (v = :x::text OR n > :x)',
		'SELECT id FROM t WHERE n = ANY (ARRAY[:x, 1])',
		'SELECT id FROM t, (SELECT :x::int AS given) s WHERE n = given',
		'SELECT id FROM t WHERE EXISTS (SELECT FROM t u WHERE u.n = t.n AND u.n = :x)',
		'SELECT id, coalesce(n, :x) FROM t WHERE id = 3',
		'UPDATE t SET tags = ARRAY[:x::text] WHERE id = 0',
		'DELETE FROM t WHERE n = :x');
	with_parameter(47110816, $mode, 'INSERT INTO plain VALUES (:x)', 'SELECT n FROM plain WHERE n = :x');
}
with_parameter(47110815, 'extended',
	'EXPLAIN SELECT id FROM t WHERE n = :x',
	'BEGIN', 'DECLARE c CURSOR FOR SELECT id FROM t WHERE n = :x', 'FETCH c', 'COMMIT',
	'CREATE TABLE made AS SELECT id FROM t WHERE n = :x', 'DROP TABLE made',
	'EXPLAIN CREATE TABLE made AS SELECT id FROM t WHERE n = :x',
	'CALL takes(:x)');
# An error before any value is opened
{
	my $script = $node->basedir . '/failing';
	open(my $fh, '>', $script) or die $!;
	print $fh "\\set x 47110815\nSELECT (:x || 'x')::int, n FROM t LIMIT 1;\n";
	close($fh);
	ok(!PostgreSQL::Test::Utils::run_log([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ]),
		'a parameter that cannot be converted');
}
# the statement that passes it on has it in its text
is($node->safe_psql('postgres', q{SET my.value = 'yranac'; SELECT by_value(reverse(current_setting('my.value')))}), 0, 'a variable of PL/pgSQL');
my $log = slurp_file($node->logfile);
unlike($log, qr/47110815/, 'no value beside an encrypted one is logged');
unlike($log, qr/canary/, 'nor that of a variable');
like($log, qr/DETAIL:  Parameters are left out because the statement deals with encrypted values/, 'the log says so');
like($log, qr/execute .*INSERT INTO plain.*\n.*parameters: \$1 = '47110816'/i, 'parameters of plain tables are logged');
like($log, qr/Filter: \(plain\.n = 47110816\)/, 'and are in their plans');

# ---- what finds indexes ----

is($node->safe_psql('postgres', q{PREPARE q (int, text, int) AS SELECT id FROM t WHERE id = $1 AND state = $2 AND n = $3;
		EXECUTE q (100, 'open', 100)}), 100, 'found');
my $plan = $node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_bitmapscan = off;
	PREPARE q (int, text, int) AS SELECT id FROM t WHERE id = $1 AND state = $2 AND n + 1 = $3; EXPLAIN (COSTS OFF) EXECUTE q (100, 'open', 100)});
like($plan, qr/Index Scan using open_ones on t\n  Index Cond: \(id = 100\)\n  Filter: .*\$3/, 'parameters beside plain columns are constants, so the partial index is found');
$plan = $node->safe_psql('postgres', q{PREPARE q (int) AS SELECT id FROM t WHERE n = $1; EXPLAIN EXECUTE q (100)});
like($plan, qr/t_blind_index_idx/, 'the blind index is found without the value');
like($plan, qr/rows=[1-9] /, 'and rows are estimated by it');
$node->stop;
done_testing();
