# No key seals twice with the same nonce: not two sessions, not parallel workers, not
# what goes on after a session or the server was lost, and not two copies of a cluster.  (Pools
# and forks: test/t/core/vectors.pl; crashes under load: test/t/travel/backup.pl.)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('main', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
restart_after_crash = on
max_worker_processes = 16
max_parallel_workers = 8
max_parallel_workers_per_gather = 4
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
});
my $each = 4000;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('k');
	CREATE TABLE source AS SELECT i FROM generate_series(1, $each) i;
	ANALYZE source;
	CREATE TABLE seen (how text, a encrypted_int4('k'))});
my $expected = 0;

# In a session of its own, as many values as the source has
sub seal
{
	my ($server, $how) = @_;
	$server->safe_psql('postgres', "INSERT INTO seen SELECT '$how', i FROM source");
	$expected += $each;
	return;
}

sub seal_in_parallel
{
	my ($server, $how) = @_;
	my $table = "parallel_$expected";
	my $plan = $server->safe_psql('postgres', qq{BEGIN; SET LOCAL parallel_leader_participation = off;
		CREATE TABLE $table AS SELECT i::encrypted_int4('k') AS a FROM source;
		EXPLAIN SELECT i::encrypted_int4('k') AS a FROM source;
		INSERT INTO seen SELECT '$how', a FROM $table; COMMIT});
	like($plan, qr/Workers Planned: [2-4]/, "$how: sealed by workers");
	$expected += $each;
	return;
}

sub all_differ
{
	my ($server, $when) = @_;
	# Key version and nonce
	is($server->safe_psql('postgres', q{SELECT count(*), count(DISTINCT substr(pgseal_internal.encrypted_int4_send(a), 3, 20)) FROM seen}),
		"$expected|$expected", $when);
	return;
}

seal($node, 'session');
seal($node, 'another session');
all_differ($node, 'sessions');
seal_in_parallel($node, 'workers');
seal_in_parallel($node, 'workers again');
all_differ($node, 'parallel workers');
my $session = $node->background_psql('postgres');
$session->query_safe("INSERT INTO seen SELECT 'before', i FROM source");
$session->query_safe('PREPARE p AS INSERT INTO seen SELECT $1, i FROM source');
$session->query_safe(q{EXECUTE p('prepared')}) for 1, 2;
$session->quit;
$expected += 3 * $each;
all_differ($node, 'a session that goes on');

# Sessions at the same time
for my $round (1, 2)
{
	my @runs = map {
		IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"INSERT INTO seen SELECT 'at once', i FROM source" ], '>', \my $out, '2>', \my $err)
	} 1 .. 6;
	$_->finish for @runs;
	$expected += 6 * $each;
}
all_differ($node, 'sessions at the same time');

# A session is killed when it has sealed, and the server begins anew
for my $round (1, 2)
{
	my $victim = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $victim->query('SELECT pg_backend_pid()');
	$victim->query("INSERT INTO seen SELECT 'victim', i FROM source");
	$expected += $each;
	my $offset = -s $node->logfile;
	kill 'KILL', $pid;
	eval { $victim->quit };
	ok($node->wait_for_restart($offset), 'a session was killed');
	seal($node, 'after the crash');
	seal_in_parallel($node, 'workers after the crash');
}
all_differ($node, 'after crashes of the server');
$node->restart;
seal($node, 'restarted');
$node->stop('immediate');
$node->start;
seal($node, 'restarted again');
all_differ($node, 'after restarts');

# A copy that goes on by itself, as machines do that are made of one snapshot
$node->stop;
$node->backup_fs_cold('cold');
my @copies = map {
	my $copy = SealedNode->from_backup("copy$_", $node, 'cold');
	$copy;
} 1, 2;
seal($_, 'copy') for @copies;
$expected -= $each;
my $rows = join('', map { $_->safe_psql('postgres', q{SET pgseal.transparent = off;
	COPY (SELECT * FROM seen WHERE how = 'copy') TO STDOUT}) . "\n" } @copies);
append_to_file("$keyring.rows", $rows);
$copies[0]->safe_psql('postgres', "DELETE FROM seen WHERE how = 'copy'; COPY seen FROM '$keyring.rows'");
$expected += $each;
all_differ($copies[0], 'two copies that go on');

$_->stop for @copies;
done_testing();
