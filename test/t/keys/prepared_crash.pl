# Transactions that have made, rotated or used a key are prepared, and then the
# server is killed: what commits afterwards opens, what is rolled back leaves
# nothing behind, and nobody has sealed under what never was.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('main', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
max_prepared_transactions = 20
restart_after_crash = on
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key(k) FROM unnest('{used,turned,gone,people}'::text[]) k;
	CREATE TABLE t (id int, a encrypted_text('*'));
	CREATE TABLE turned (id int, a encrypted_text('turned'));
	CREATE TABLE fresh (id int, a encrypted_text('fresh key'));
	CREATE TABLE undone (id int, a encrypted_text('undone key'));
	CREATE TABLE undone_turned (id int, a encrypted_text('turned'));
	INSERT INTO t VALUES (0, pgseal.seal('destroyed', 'gone'));
	INSERT INTO turned VALUES (0, 'old')});

my %begin = (
	used => q{INSERT INTO t VALUES (1, pgseal.seal('used', 'used'))},
	fresh => q{INSERT INTO fresh VALUES (2, 'fresh')},
	turned => q{SELECT pgseal.rotate_key('turned'); INSERT INTO turned VALUES (3, 'turned')},
	made => q{SELECT pgseal.create_key('made'); INSERT INTO t VALUES (4, pgseal.seal('made', 'made'))},
	child => q{SELECT pgseal.create_key('child', parent => 'people'); INSERT INTO t VALUES (5, pgseal.seal('child', 'child'))},
	table => q{CREATE TABLE own (id int, a encrypted_text); INSERT INTO own VALUES (6, 'own')},
	block => q{DO $$ DECLARE v t.a%TYPE; BEGIN
		BEGIN PERFORM pgseal.create_key('block'); v := pgseal.seal('block', 'block'); PERFORM 1/0;
		EXCEPTION WHEN division_by_zero THEN NULL; END;
		INSERT INTO t VALUES (7, v); END $$},
	gone => q{SELECT pgseal.destroy_key('gone', 'gone', force => true)},
	undone => q{INSERT INTO undone VALUES (8, 'undone')},
);
my @committed = grep { $_ ne 'undone' } sort keys %begin;

sub contents
{
	my ($server) = @_;
	return $server->safe_psql('postgres', q{SELECT id, pgseal.try_open(a) FROM (SELECT * FROM t UNION ALL SELECT * FROM turned
		UNION ALL SELECT * FROM fresh UNION ALL SELECT * FROM own) x ORDER BY id, 2});
}

sub finish
{
	my ($server) = @_;
	$server->safe_psql('postgres', "COMMIT PREPARED '$_'") for @committed;
	$server->safe_psql('postgres', q{ROLLBACK PREPARED 'undone'});
	return;
}
my $all = join("\n", '0|old', '0|', '1|used', '2|fresh', '3|turned', '4|made', '5|child', '6|own', '7|block');

sub is_whole
{
	my ($server, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(contents($server), $all, "$name: what was committed opens");
	is($server->safe_psql('postgres', q{SELECT count(*) FROM pgseal.keys WHERE name LIKE 'undone%'}), 0, "$name: and nothing else is left");
	is($server->safe_psql('postgres', q{INSERT INTO undone VALUES (9, 'next'); SELECT id, a FROM undone}), '9|next', "$name: goes on");
	return;
}

$node->safe_psql('postgres', "BEGIN; $begin{$_}; PREPARE TRANSACTION '$_'") for sort keys %begin;
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE pgseal.try_open(a) IS NOT NULL'), 1, 'prepared only: the key is still there');
$node->backup('base');

# A session is killed, and the postmaster; recovery finds the transactions again
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query('SELECT pg_backend_pid()');
my $offset = -s $node->logfile;
kill 'KILL', $pid;
eval { $session->quit };
$node->wait_for_restart($offset);
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), keys(%begin), 'a session is killed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.keys WHERE name IN ('made', 'child', 'fresh key')}), 0, 'their keys are nobody else\'s yet');
$node->stop('immediate');
$node->start;
finish($node);
is_whole($node, 'killed');
$node->restart;
is_whole_again($node);

# The same from a base backup that was taken with the transactions open, with the
# keyring of today
my $restored = SealedNode->from_backup('restored', $node, 'base');
finish($restored);
is_whole($restored, 'base backup');

# Rotations are finished, retired versions destroyed, and all is there
for my $server ($node, $restored)
{
	$server->safe_psql('postgres', q{SELECT pgseal.rotate_key('turned')});
	ok($server->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pgseal.key_version
		WHERE key = 'turned' AND purpose = 'd' AND retired IS NULL}), 'the rotation ends');
	is(contents($server), $all, 'with all values');
}

$_->stop for $node, $restored;
done_testing();

sub is_whole_again
{
	my ($server) = @_;
	return is(contents($server), $all, 'also after a restart');
}
