# Keys are rotated, rewrapped and moved to another server under load, while the
# server is killed at any moment: all of it, its worker, its launcher, or a
# session.  No value may be lost, none stays under an old version.
#
# Environment: PGSEAL_CRASH_ROWS (rows of the table, default 10000),
# PGSEAL_CRASH_KILLS (default 12).

use strict;
use warnings;

use File::Spec::Functions qw(rel2abs);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(time usleep);

my $rows = $ENV{PGSEAL_CRASH_ROWS} // 10000;
my $kills = $ENV{PGSEAL_CRASH_KILLS} // 12;

my $node = SealedNode->started('crash', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 8
pgseal.reencrypt_delay = 5
restart_after_crash = on
log_statement = none
});
my $keyring = rel2abs($node->basedir . '/second.keyring');

$node->safe_psql('postgres', qq{
	CREATE EXTENSION pgseal;
	CREATE SERVER second FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring');
	SELECT pgseal.create_key('amounts');
	CREATE TABLE account (id int PRIMARY KEY, plain int8, email encrypted_text,
		amount encrypted_int8('amounts'), tags encrypted_text[]);
	CREATE INDEX ON account (blind_index(email));
	INSERT INTO account SELECT i, i, i::text, i::int8, ARRAY[i::text, 'x'] FROM generate_series(1, $rows) i;
});

# Whatever changes, all columns of a row say the same.
my $script = $node->basedir . '/load.sql';
append_to_file($script, qq{
\\set id random(1, $rows)
\\set value random(1, 1000000000)
UPDATE account SET plain = :value, email = :value::text, amount = :value::int8, tags = ARRAY[:value::text, 'x'] WHERE id = :id;
SELECT email FROM account WHERE id = :id;
SELECT id FROM account WHERE email = :value::text;
});

# Each is done in a session of its own, which the kill may end
my @changes = (
	"SELECT pgseal.rotate_key('public.account')",
	"SELECT pgseal.rotate_master_key('local_keyring'); SELECT pgseal.rewrap()",
	"SELECT pgseal.rotate_key('amounts'); SELECT pgseal.rotate_key('public.account')",
	"SELECT pgseal.move_key('public.account', 'second'); SELECT pgseal.move_key('amounts', 'second')",
	"SELECT pgseal.rotate_key('public.account'); SELECT pgseal.rewrap('second')",
	"SELECT pgseal.move_key('public.account', 'local_keyring')");

sub start_load
{
	return IPC::Run::start(
		[ 'pgbench', '-n', '-T', 3600, '-c', 4, '-f', $script,
		  '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
}

# What is killed, in turn; '' is the postmaster with all its children
my @victims = ('', 'pgseal worker', 'client backend', 'pgseal worker', '', 'pgseal launcher');

sub children_of
{
	my ($parent) = @_;
	my @children;

	for my $file (glob('/proc/[0-9]*/stat'))
	{
		open my $fh, '<', $file or next;
		push @children, $1 if (readline($fh) // '') =~ /^(\d+) \(.*\) \S $parent /;
	}
	return @children;
}

sub kill_server
{
	my $postmaster = $node->{_pid};
	my @pids = ($postmaster, children_of($postmaster));

	kill 'KILL', @pids;
	$node->{_pid} = undef;
	for (1 .. 600)
	{
		last unless kill 0, @pids;
		usleep(100_000);
	}
	$node->start;
	return;
}

# Stops a process, so that it can't end by itself before it is killed: of one that
# ended, a signal tells nobody.  False when it has.
sub is_stopped
{
	my ($pid) = @_;

	return 0 unless kill 'STOP', $pid;
	for (1 .. 18_000)
	{
		open my $fh, '<', "/proc/$pid/stat" or return 0;
		my ($state) = (readline($fh) // '') =~ /^\d+ \(.*\) (\S) / or return 0;
		return 1 if $state eq 'T';
		return 0 if $state =~ /[ZX]/;
		usleep(10_000);
	}
	return 0;
}

# One process, after which the postmaster ends all others.  There is not always
# a worker, nor something that it would do: false when none came for a while.
sub kill_one
{
	my ($type) = @_;

	for (1 .. 50)
	{
		my ($status, $pid) = $node->psql('postgres', qq{
			SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid()
			ORDER BY random() LIMIT 1});

		return 1 if $pid && is_stopped($pid) && kill 'KILL', $pid;
		usleep(100_000);
	}
	return 0;
}

my %killed;
my $began = time;
for my $round (0 .. $kills - 1)
{
	my $load = start_load();
	usleep(300_000 + int(rand(700_000)));
	my $change = IPC::Run::start(
		[ 'psql', '-X', '-q', '-h', $node->host, '-p', $node->port,
		  (map { ('-c', $_) } split /;/, $changes[$round % @changes]), 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
	usleep(int(rand(1_500_000)));

	my $victim = $victims[$round % @victims];
	if ($victim eq '' || !kill_one($victim))
	{
		$victim = '';
		kill_server();
	}
	$killed{ $victim || 'server' }++;
	eval { $load->finish; };
	eval { $change->finish; };
	ok($node->poll_query_until('postgres', 'SELECT true'), "round $round: back after a kill");
	is($node->safe_psql('postgres', q{
		SELECT count(*) FROM account WHERE email::text IS DISTINCT FROM plain::text
			OR amount::int8 IS DISTINCT FROM plain OR tags::text[] IS DISTINCT FROM ARRAY[plain::text, 'x']}),
		0, "round $round: every value is what it was");
}
note sprintf('%d kills in %.0f s: %s', $kills, time - $began,
	join(', ', map { "$killed{$_} of $_" } sort keys %killed));

# Once more without a kill, and under load until all is done
$began = time;
my $load = start_load();
$node->safe_psql('postgres', $_) for @changes;
ok($node->poll_query_until('postgres', q{
	SELECT count(*) = 0 FROM pgseal.key_versions o JOIN pgseal.key_versions n USING (key, purpose)
	WHERE n.version > o.version AND o.retired IS NULL}), 'all old versions are retired');
$load->kill_kill;
note sprintf('all changes without a kill, under load: %.0f s', time - $began);
note 'key versions: ', $node->safe_psql('postgres', q{
	SELECT string_agg(format('%s of %s', count, key), ', ') FROM (
		SELECT key, count(*) FROM pgseal.key_versions WHERE purpose = 'data' GROUP BY 1 ORDER BY 1) x});

is($node->safe_psql('postgres', q{
	SELECT count(*) FROM account WHERE NOT (pgseal.inspect(email)).current
		OR NOT (pgseal.inspect(amount)).current OR NOT (pgseal.inspect(tags[2])).current}),
	0, 'no value is under an old version');
is($node->safe_psql('postgres', q{
	SELECT count(*), count(*) FILTER (WHERE email::text = plain::text AND amount::int8 = plain
		AND tags::text[] = ARRAY[plain::text, 'x']) FROM account}),
	"$rows|$rows", 'every value equals the plain column beside it');
is($node->safe_psql('postgres', q{
	SET enable_seqscan = off;
	SELECT count(*) FROM account a WHERE NOT EXISTS (SELECT FROM account b WHERE b.email = a.plain::text)}),
	0, 'the blind index finds every row');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgseal_internal.rotation'), 0, 'nothing is left to do');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.check() WHERE status <> 'ok'}), 0, 'all is well');

# Old versions aren't needed any more: without them, all is still there
$node->destroys_version('postgres', split /\|/)
  for split /\n/, $node->safe_psql('postgres', 'SELECT key, version FROM pgseal.key_versions WHERE retired IS NOT NULL');
$node->restart;
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM account WHERE email::text = plain::text AND amount::int8 = plain}),
	$rows, 'the old versions are destroyed, and every value opens');

$node->stop;
done_testing();
