# Somebody sets the time of day: keys expire, failures are forgotten and the worker
# does its work as before, whether the clock is put back or forward.
#
# Done by LD_PRELOAD (test/module_cache/set_clock.c); needs a C compiler.

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $keyring = "$dir/keyring";
my $library = "$dir/set_clock.so";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library,
	dirname(__FILE__) . '/../../module_cache/set_clock.c');

sub set_clock
{
	my ($seconds) = @_;
	open(my $file, '>', "$dir/offset.new") or die "open: $!";
	print $file $seconds;
	close($file);
	rename("$dir/offset.new", "$dir/offset") or die "rename: $!";
	return;
}
set_clock(0);

my $node = SealedNode->new('main');
$node->init(conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
pgseal.cache_ttl = 5
pgseal.cache_grace = 0
pgseal.reencrypt_delay = 0
});
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_CLOCK_FILE} = "$dir/offset";
	$node->start;
}
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, a encrypted_text('k'));
	INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i});

# Whether the session can read, without waiting for more than a time that is generous
# for a machine and short for the clock
sub becomes
{
	my ($session, $readable, $name) = @_;
	my $end = time + 180;

	while (time < $end)
	{
		my $out = $session->query('SELECT count(pgseal.try_open(a)) FROM t');
		return pass($name) if ($out eq '100') == $readable;
		sleep 0.5;
	}
	return fail($name);
}

my $session = $node->background_psql('postgres', on_error_stop => 0);
for my $step ([ -3600, 'an hour back' ], [ -86_400 * 400, 'a year back' ], [ 86_400, 'a day ahead' ], [ 0, 'set right' ])
{
	my ($offset, $name) = @$step;

	becomes($session, 1, "$name: the keyring is there before");
	rename($keyring, "$keyring.away");
	set_clock($offset);
	becomes($session, 0, "$name: the key expires");
	rename("$keyring.away", $keyring);
	becomes($session, 1, "$name: and a failure is forgotten");

	my $sealed = $node->safe_psql('postgres', q{SELECT seals FROM pgseal.key_version WHERE key = 'k' AND purpose = 'd' ORDER BY number DESC LIMIT 1});
	$session->query('INSERT INTO t SELECT id, a::text FROM t LIMIT 100');
	ok($node->poll_query_until('postgres', qq{SELECT seals > $sealed FROM pgseal.key_version
		WHERE key = 'k' AND purpose = 'd' ORDER BY number DESC LIMIT 1}), "$name: seals are counted");
	$session->query('DELETE FROM t WHERE ctid NOT IN (SELECT min(ctid) FROM t GROUP BY id)');
	$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('k')});
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pgseal.key_version
		WHERE key = 'k' AND purpose = 'd' AND retired IS NULL}), "$name: a rotation ends");
	is($session->query('SELECT count(DISTINCT a) FROM t'), 100, "$name: with all values");
	becomes($session, 1, "$name: in use");
	# But for what has just expired and isn't wiped yet
	ok($node->poll_query_until('postgres', q{SELECT count(a) > 0 FROM t; SELECT count(*) > 0 AND bool_and(fetched <= now() AND expires > now() - interval '2 s'
		AND expires < now() + interval '10 s') FROM pgseal.stat_keys WHERE cached}, "t\nt"), "$name: what is shown is the time of day");
}
$session->quit;

$node->stop;
done_testing();
