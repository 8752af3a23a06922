# A process that has had to do with keys leaves no core file, also if it has only
# made, wrapped or looked after them, or got values from workers that had; and in that of a process that hasn't, but has the
# server's shared memory, there is no key.
#
# Needs the extension in test/module_kms, installed: it unwraps the keys that are
# looked for, in another server with the same keyring; Linux.

use strict;
use warnings;
no warnings qw(portable);

use Digest::SHA qw(hmac_sha256);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

# The servers inherit it
my $limited = system('prlimit', '--core=unlimited', '--pid', $$) != 0;
my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('cores', conf => "pgseal.keyring_file = '$keyring'");
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal; CREATE TABLE t (v encrypted_text('k')); INSERT INTO t VALUES (reverse('yrrebnognil'))});

# The keys themselves, by a second implementation of their derivation
my $unwrapper = SealedNode->started('unwrapper', preload => 'pgseal_kms_test', conf => "pgseal.keyring_file = '$keyring'");
$unwrapper->safe_psql('postgres', qq{CREATE EXTENSION pgseal_kms_test;
	CREATE SERVER s FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring')});
my ($id, $wrapped, $master_key) = split /\|/, $node->safe_psql('postgres', q{SELECT id, encode(wrapped, 'hex'), master_key
	FROM pgseal.key_version WHERE key = 'k' AND purpose = 'd'});
my $secret = pack('H*', $unwrapper->safe_psql('postgres', qq{SELECT encode(kms_unwrap('s', 'k', 'data', $id, '\\x$wrapped', '$master_key'), 'hex')}));
my $key = hmac_sha256("pgseal key v1\0d" . pack('q>', $id) . "\1", hmac_sha256($secret, "\0" x 32));
$unwrapper->stop;

# ---- who has had to do with keys ----

# Files of a process that may leave no core belong to root
sub is_dumpable { return (stat("/proc/$_[0]/environ"))[4] == $>; }

# Not by the leader itself
my $parallel = 'SET parallel_leader_participation = off; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;';
like($node->safe_psql('postgres', "ALTER TABLE t SET (parallel_workers = 2); $parallel EXPLAIN SELECT lower(v) FROM t"), qr/Gather/, 'a parallel plan');

my %statements = (
	'has got values from parallel workers' => "$parallel SELECT lower(v) FROM t",
	'has opened a value' => 'SELECT v FROM t',
	'has made a key' => q{SELECT pgseal.create_key('made')},
	'has asked for all keys' => 'SELECT count(*) FROM pgseal.check()',
	'has rotated a key' => q{SELECT pgseal.rotate_key('k')},
	'has rotated the master key' => q{SELECT pgseal.rotate_master_key('local_keyring')},
	'has moved a key' => q{CREATE SERVER other FOREIGN DATA WRAPPER local_keyring; SELECT pgseal.move_key('k', 'other')});
SKIP:
{
	skip 'root may read all memory', scalar keys %statements if $> == 0;
	for my $what (sort keys %statements)
	{
		my $session = $node->background_psql('postgres');
		my $pid = $session->query_safe('SELECT pg_backend_pid()');

		ok(is_dumpable($pid), "a session that $what might have left a core before") if $what eq 'has made a key';
		$session->query_safe($statements{$what});
		ok(!is_dumpable($pid), "a session that $what");
		$session->quit;
	}
}

# ---- core files ----

sub cores { return grep { -s } glob($node->data_dir . '/core*'); }

# The server starts again by itself
sub dies
{
	my ($pid) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	kill 'ABRT', $pid;
	sleep 0.2 while kill(0, $pid) && time < $end;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	return;
}

my $pattern = slurp_file('/proc/sys/kernel/core_pattern');
SKIP:
{
	skip 'no core files here', 5 if $limited || $pattern !~ /^core/;
	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->reload;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	is($session->query_safe('SELECT v FROM t'), 'lingonberry', 'a session has the key');
	dies($pid);
	is(join(' ', cores()), '', 'and leaves no core file');

	is($node->safe_psql('postgres', 'SELECT v FROM t'), 'lingonberry', 'the key is in the shared cache');
	dies($node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'}));
	my ($core) = cores();
	ok(defined $core, 'the checkpointer leaves one');
	my $content = defined $core ? slurp_file($core) : '';
	my %found = (shared => length($content) > 100 * 2 ** 20, key => index($content, $key) >= 0, secret => index($content, $secret) >= 0, value => index($content, 'lingonberry') >= 0);
	is_deeply(\%found, { shared => 1, key => '', secret => '', value => '' }, 'without the key, its secret and the value');
	unlink(cores());
}

$node->stop;
done_testing();
