# What needs a table for itself for a moment (destroy_version(), rotate_index_key(),
# retire_index_key()) keeps nobody waiting behind it: it tries, lets others go first,
# and gives up with an error that names the table.

use strict;
use warnings;

use SealedNode;
use Test::More;
use Time::HiRes qw(time);

my $node = SealedNode->started('main', conf => q{
pgseal.worker_interval = 1
autovacuum = off
deadlock_timeout = '100ms'
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('k');
	CREATE TABLE free (id int, a encrypted_text('k'));
	CREATE TABLE used (id int, a encrypted_text('k'));
	CREATE INDEX ON used (blind_index(a));
	INSERT INTO used SELECT i, 'v' || i FROM generate_series(1, 10) i;
	SELECT pgseal.rotate_key('k')});
ok($node->poll_query_until('postgres', q{SELECT retired IS NOT NULL FROM pgseal.key_version
	WHERE key = 'k' AND purpose = 'd' AND number = 1}), 'a version is retired');

is($node->when_long_retired('postgres', q{BEGIN; SELECT pgseal.destroy_version('k', 1, 'k'); ROLLBACK}), '', 'and may go');

my $writer = $node->background_psql('postgres', on_error_stop => 0);
sub waits_for_nobody
{
	my ($statement, $lock_timeout) = @_;
	my $setting = $lock_timeout ? "SET lock_timeout = '$lock_timeout';" : '';
	my ($out, $err, $writes, $slowest) = ('', '', 0, 0);

	$writer->query("BEGIN; INSERT INTO used VALUES (0, 'held')");
	my $began = time;
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', "$setting $statement" ],
		'>', \$out, '2>', \$err);
	# The other table's lock was to be had: it isn't kept either
	while ($run->pumpable && time - $began < 180)
	{
		my $write_began = time;
		$node->safe_psql('postgres', q{INSERT INTO free VALUES (1, 'x'); INSERT INTO used VALUES (1, 'x'); SELECT count(a) FROM used});
		$slowest = time - $write_began if time - $write_began > $slowest;
		$writes++;
		$run->pump_nb;
	}
	$run->finish;
	my $took = time - $began;
	like($err, qr/55P03: could not lock table "used", which others use/, "$statement: gives up");
	note sprintf('%s: %.1f s, %d writes meanwhile, the slowest %.1f s', $statement, $took, $writes, $slowest);
	cmp_ok($writes, '>', 1, "$statement: others write meanwhile");
	$writer->query('COMMIT');
	return $took;
}

my $took = waits_for_nobody(q{SELECT pgseal.destroy_version('k', 1, 'k')});
cmp_ok($took, '>=', 10, 'after ten seconds');
waits_for_nobody(q{SELECT pgseal.destroy_version('k', 1, 'k')}, '2s');
waits_for_nobody(q{SELECT pgseal.rotate_index_key('k')}, '2s');
is($node->safe_psql('postgres', q{SELECT pgseal.rotate_index_key('k')}), 2, 'with nobody in the way, it is done');
$node->safe_psql('postgres', 'REINDEX TABLE used');
waits_for_nobody(q{SELECT pgseal.retire_index_key('k')}, '2s');
is($node->safe_psql('postgres', q{SELECT pgseal.retire_index_key('k')}), 1, 'as is the last step');
$node->safe_psql('postgres', q{SELECT pgseal.destroy_version('k', 1, 'k')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM used WHERE a = 'held'}), 4, 'and nothing is lost');

# A lock that comes free while it is tried
$writer->query("BEGIN; INSERT INTO used VALUES (2, 'held')");
my ($out, $err) = ('', '');
my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{SET lock_timeout = '180s'; SELECT pgseal.rotate_index_key('k')} ],
	'>', \$out, '2>', \$err);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%rotate_index_key%' AND pid <> pg_backend_pid()}), 'tried');
$writer->query('COMMIT');
$run->finish;
like($out, qr/^3$/m, 'is taken') or diag($err);
$writer->quit;

$node->stop;
done_testing();
