# Seals are counted, never too few: a session reserves them before it makes them,
# and the worker saves the counts.  A version that has sealed
# pgseal.max_seals_per_key values is replaced under load.  What a crash loses is
# what was sealed since the counts were last saved.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $limit = 2000;
my $node = SealedNode->started('seals', conf => qq{
pgseal.worker_interval = 1
pgseal.max_seals_per_key = $limit
restart_after_crash = on
log_statement = none
});

# The versions of what is sealed, not the values: nothing is to be re-encrypted
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('busy');
	CREATE TABLE seen (version int, at timestamptz)});
my $script = $node->basedir . '/seal.sql';
append_to_file($script, q{
INSERT INTO seen SELECT (pgseal.inspect(pgseal.seal(i, 'busy'))).version, clock_timestamp() FROM generate_series(1, 20) i;
});

sub run_load
{
	my (@options) = @_;

	local $ENV{PGAPPNAME} = 'pgbench';
	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-j', 4, @options, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
}

# What was counted and what was sealed, by version, as [version, counted, sealed]
sub counts
{
	return map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', q{
		SELECT v.version, v.seals, count(s.version) FROM pgseal.key_versions v LEFT JOIN seen s USING (version)
		WHERE key = 'busy' AND purpose = 'data' GROUP BY 1, 2 ORDER BY 1});
}

my $saved = q{SELECT bool_and(v.seals >= s.sealed) FROM pgseal.key_versions v
	JOIN (SELECT version, count(*) AS sealed FROM seen GROUP BY 1) s USING (version)
	WHERE key = 'busy' AND purpose = 'data'};

run_load('-t', 200)->finish;
ok($node->poll_query_until('postgres', $saved), 'no version has sealed more than was counted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM seen'), 4 * 200 * 20, 'all were sealed');
ok($node->poll_query_until('postgres', q{SELECT max(version) > 1 FROM pgseal.key_versions WHERE key = 'busy'}),
	'the key has been rotated for it');
note 'version, counted, sealed: ', join('; ', map { join(', ', @$_) } counts());
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.events WHERE key = 'busy' AND event = 'key_rotated'
	AND detail IS DISTINCT FROM 'reason=max_seals_per_key'}), 0, 'for no other reason');

# A session that reserves and does not seal, and a clean restart, cost nothing but
# what was reserved
my @before = counts();
$node->restart;
$node->safe_psql('postgres', q{INSERT INTO seen SELECT (pgseal.inspect(pgseal.seal(1, 'busy'))).version, now()});
ok($node->poll_query_until('postgres', $saved), 'counted on after a restart');
my @after = counts();
cmp_ok($after[ $#before ][1], '>=', $before[-1][1], 'from where it was');
cmp_ok($after[-1][0] - $before[-1][0], '<=', 1, 'and a restart is no reason to rotate');

# Crashes, of the server and of one session
for my $round (1 .. 4)
{
	my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	my $load = run_load('-T', 600);

	$node->poll_query_until('postgres', qq{SELECT count(*) > 0 FROM seen WHERE at > '$since'}) or die 'no load';
	select(undef, undef, undef, 0.5 + rand(1.5));
	if ($round % 2)
	{
		my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' LIMIT 1});
		is(kill('KILL', $pid), 1, 'a session is killed');
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	eval { $load->finish; };
	ok($node->poll_query_until('postgres', 'SELECT true'), "crash $round");
	my ($counted, $sealed, $recent) = (0, 0, 0);
	for (counts())
	{
		$sealed += $_->[2];
		$counted += $_->[1] < $_->[2] ? $_->[1] : $_->[2];
	}
	$recent = $node->safe_psql('postgres', q{SELECT count(*) FROM seen
		WHERE at > (SELECT max(at) FROM seen) - interval '6 s'});
	note "sealed $sealed, of which not counted ", $sealed - $counted, ", sealed in the last seconds $recent";
	cmp_ok($sealed - $counted, '<=', $recent, 'only what was sealed since the last saving is not counted');
}
$node->safe_psql('postgres', q{INSERT INTO seen SELECT (pgseal.inspect(pgseal.seal(i, 'busy'))).version, now() FROM generate_series(1, 10000) i});
ok($node->poll_query_until('postgres', q{SELECT seals >= 2000 FROM pgseal.key_versions
	WHERE key = 'busy' AND purpose = 'data' ORDER BY version DESC OFFSET 1 LIMIT 1}), 'and goes on being rotated');

$node->stop;
done_testing();
