# The server dies, or the disk is full, at each step of making a keyring, of the first
# key under it and of a new master key: whatever is committed opens afterwards, and the
# cluster goes on by itself, without a keyring that it takes for lost or for another.
#
# Done by LD_PRELOAD (test/module_kms/at_step.c); needs a C compiler.

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $place = "$dir/keyring.d";
my $keyring = "$place/keyring";
my $library = "$dir/at_step.so";
mkdir $place or die "mkdir: $!";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library,
	dirname(__FILE__) . '/../../module_kms/at_step.c', '-ldl');

sub fault_at
{
	my ($step, $fault) = @_;
	open(my $file, '>', "$dir/step") or die "open: $!";
	printf $file "%-8d%s", $step, $fault;
	close($file) or die "close: $!";
	return;
}

# The file may still have its word behind the number
sub steps_left
{
	my ($left) = slurp_file("$dir/step") =~ /^(-?\d+)/ or die 'how many steps are left?';
	return $left;
}
fault_at(0, 'none');

my $node = SealedNode->new('main');
$node->init(conf => qq{
pgseal.keyring_file = '$keyring'
restart_after_crash = on
autovacuum = off
});
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_STEP_FILE} = "$dir/step";
	$node->start;
}
my $memory = $node->data_dir . '/pgseal.keyrings';
$node->safe_psql('template1', 'CREATE EXTENSION pgseal');

sub keys_in { return scalar(grep { /^\d/ } split /^/, slurp_file($_[0])); }

# A statement is tried with a fault at the first, the second, … step, until it has no
# more steps; then what is there is looked at
sub fault_at_each_step
{
	my ($fault, $what, $prepare, $db, $sql, $look) = @_;
	my $number = 0;
	my $reached = 1;

	while ($reached && $number < 100)
	{
		$prepare->(++$number);
		fault_at($number, $fault);
		my $offset = -s $node->logfile;
		my ($ret, $out, $err) = $node->psql($db->($number), $sql);
		$reached = steps_left() == ($fault eq 'kill' ? 0 : 1);
		$node->wait_for_restart($offset) if $reached && $fault eq 'kill';
		fault_at(0, 'none');
		like($err, qr/\A(?!.*(PANIC|terminated abnormally|server closed)).*No space left on device/s, "$fault, $what, step $number: the reason is told")
		  if $fault eq 'full' && $ret != 0;
		$look->($number, "$fault, $what, step $number");
	}
	cmp_ok($number, '>', 8, "$fault, $what: " . ($number - 1) . ' steps');
	return;
}

# ---- the first key of a cluster ----

sub prepare_first_key
{
	my ($number) = @_;

	$node->safe_psql('postgres', $_) for map({ "DROP DATABASE IF EXISTS d$_" } $number - 1, $number), "CREATE DATABASE d$number";
	# As if there had never been one
	unlink $memory, map { "$keyring$_" } '', '.tmp', '.lock';
	return;
}

sub look_at_first_key
{
	my ($number, $name) = @_;
	my $committed = $node->safe_psql("d$number", q{SELECT to_regclass('t') IS NOT NULL}) eq 't';
	my $goes_on = q{SET client_min_messages = error; CREATE TABLE IF NOT EXISTS t (id int, a encrypted_text); INSERT INTO t VALUES (2, 'next'); SELECT string_agg(a, ',' ORDER BY id) FROM t};
	my ($ret, $out, $err) = $node->psql("d$number", $goes_on);

	is($out, $committed ? 'precious,next' : 'next', "$name: goes on") or diag($err);
	is(keys_in($keyring), 1, "$name: with one keyring");
	my ($fingerprint) = slurp_file($keyring) =~ /^1 .* (\S+)$/m;
	is(slurp_file($memory), "$fingerprint default\n", "$name: which is remembered");
	ok(!-e "$keyring.tmp", "$name: nothing is left over");
	return;
}

# ---- a new master key ----

sub look_at_new_master_key
{
	my ($number, $name) = @_;
	my ($ret, $out, $err) = $node->psql('rotated', q{INSERT INTO t VALUES (0, 'next'); DELETE FROM t WHERE id = 0;
		SELECT pgseal.rewrap('local_keyring'); SELECT count(*) FROM t WHERE a = 'v' || id});

	like($out, qr/^\d+\n10$/, "$name: every value opens, and keys are wrapped anew") or diag($err);
	return;
}

foreach my $fault ('kill', 'full')
{
	fault_at_each_step(
		$fault, 'first key',
		\&prepare_first_key,
		sub { return "d$_[0]"; },
		q{BEGIN; CREATE TABLE t (id int, a encrypted_text); INSERT INTO t VALUES (1, 'precious'); COMMIT},
		\&look_at_first_key);

	$node->safe_psql('postgres', $_) for 'DROP DATABASE IF EXISTS rotated', 'CREATE DATABASE rotated';
	$node->safe_psql('rotated', q{CREATE TABLE t (id int, a encrypted_text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 10) i});
	fault_at_each_step(
		$fault, 'new master key',
		sub { },
		sub { return 'rotated'; },
		q{SELECT pgseal.rotate_master_key('local_keyring'); SELECT pgseal.rewrap('local_keyring')},
		\&look_at_new_master_key);
}
$node->restart;
is($node->safe_psql('rotated', q{SELECT count(*) FROM t WHERE a = 'v' || id}), 10, 'all values open after a restart');
unlike(slurp_file($node->logfile), qr/PANIC/, 'no panic');

$node->stop;
done_testing();
