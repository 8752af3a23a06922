# The server dies at each step of making a keyring, of the first key under it and of
# a new master key: whatever is committed opens afterwards, and the cluster goes on
# by itself, without a keyring that it takes for lost or for another.
#
# Done by LD_PRELOAD (test/module_kms/kill_at.c); needs a C compiler.

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $place = "$dir/keyring.d";
my $keyring = "$place/keyring";
my $library = "$dir/kill_at.so";
mkdir $place or die "mkdir: $!";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library,
	dirname(__FILE__) . '/../../module_kms/kill_at.c', '-ldl');

sub kill_at
{
	my ($step) = @_;
	open(my $file, '>', "$dir/step") or die "open: $!";
	print $file $step;
	close($file) or die "close: $!";
	return;
}
sub steps_left { return slurp_file("$dir/step") + 0; }
kill_at(0);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'pgseal'
pgseal.keyring_file = '$keyring'
restart_after_crash = on
autovacuum = off
fsync = off
});
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_KILL_FILE} = "$dir/step";
	$node->start;
}
my $memory = $node->data_dir . '/pgseal.keyrings';
$node->safe_psql('template1', 'CREATE EXTENSION pgseal');

sub is_back
{
	return $node->poll_query_until('postgres', 'SELECT true') || BAIL_OUT('the server does not come back');
}

sub keys_in { return scalar(grep { /^\d/ } split /^/, slurp_file($_[0])); }

# A statement is tried with death at the first, the second, … step, until it has no more
# steps; then what is there is looked at
sub die_at_each_step
{
	my ($what, $prepare, $db, $sql, $look) = @_;
	my $number = 0;
	my $left = 0;

	while ($left == 0 && $number < 100)
	{
		$prepare->(++$number);
		kill_at($number);
		$node->psql($db->($number), $sql, stderr => \my $err);
		is_back();
		$left = steps_left();
		kill_at(0);
		$look->($number, "$what, step $number");
	}
	cmp_ok($number, '>', 8, "$what: " . ($number - 1) . ' steps');
	return;
}

# ---- the first key of a cluster ----

die_at_each_step(
	'first key',
	sub {
		my ($number) = @_;
		$node->safe_psql('postgres', $_) for 'DROP DATABASE IF EXISTS d' . ($number - 1), "CREATE DATABASE d$number";
		# As if there had never been one
		unlink $memory, map { "$keyring$_" } '', '.tmp', '.lock';
	},
	sub { return "d$_[0]"; },
	q{BEGIN; CREATE TABLE t (id int, a encrypted_text); INSERT INTO t VALUES (1, 'precious'); COMMIT},
	sub {
		my ($number, $name) = @_;
		my $committed = $node->safe_psql("d$number", q{SELECT to_regclass('t') IS NOT NULL}) eq 't';
		my $goes_on = q{SET client_min_messages = error; CREATE TABLE IF NOT EXISTS t (id int, a encrypted_text); INSERT INTO t VALUES (2, 'next'); SELECT string_agg(a, ',' ORDER BY id) FROM t};
		my ($ret, $out, $err) = $node->psql("d$number", $goes_on);

		is($out, $committed ? 'precious,next' : 'next', "$name: goes on") or diag($err);
		is(keys_in($keyring), 1, "$name: with one keyring");
		my ($fingerprint) = slurp_file($keyring) =~ /^1 .* (\S+)$/m;
		is(slurp_file($memory), "$fingerprint default\n", "$name: which is remembered");
		ok(!-e "$keyring.tmp", "$name: nothing is left over");
	});

# ---- a new master key ----

$node->safe_psql('postgres', 'CREATE DATABASE rotated');
$node->safe_psql('rotated', q{CREATE TABLE t (id int, a encrypted_text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 10) i});
die_at_each_step(
	'new master key',
	sub { },
	sub { return 'rotated'; },
	q{SELECT pgseal.rotate_master_key('local_keyring'); SELECT pgseal.rewrap('local_keyring')},
	sub {
		my ($number, $name) = @_;
		my ($ret, $out, $err) = $node->psql('rotated', q{INSERT INTO t VALUES (0, 'next'); DELETE FROM t WHERE id = 0;
			SELECT pgseal.rewrap('local_keyring'); SELECT count(*) FROM t WHERE a = 'v' || id});
		like($out, qr/^\d+\n10$/, "$name: every value opens, and keys are wrapped anew") or diag($err);
	});
$node->restart;
is($node->safe_psql('rotated', q{SELECT count(*) FROM t WHERE a = 'v' || id}), 10, 'all values open after a restart');
unlike(slurp_file($node->logfile), qr/PANIC/, 'no panic');

$node->stop;
done_testing();
