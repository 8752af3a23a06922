# What check() says of the other nodes of Citus: that a node lacks keys, or some of them,
# has keys of its own, can't unwrap them, or doesn't answer.  And what retire_versions()
# finds there: an old version is retired when no node has values under it.
# (An imitation of Citus, test/module_citus: it asks the nodes by dblink.)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my %node;
for my $name (qw(coordinator subscribed stranger))
{
	$node{$name} = SealedNode->started("nodes_$name", allows_streaming => 'logical', preload => 'citus, pgseal',
		conf => "pgseal.worker_interval = 1\nlog_statement = all\nmax_prepared_transactions = 2\n" . ($name ne 'stranger' ? "pgseal.keyring_file = '$keyring'" : ''));
	$node{$name}->query('postgres', 'CREATE EXTENSION citus; CREATE EXTENSION dblink SCHEMA citus');
}
my ($coordinator, $subscribed, $stranger) = @node{qw(coordinator subscribed stranger)};
my $node_list = join ', ', map { my $n = $node{$_}; sprintf("(%d, %d, '%s', %d)", $_ eq 'coordinator' ? (1, 0) : $_ eq 'subscribed' ? (2, 1) : (3, 2), $n->host, $n->port) } sort keys %node;
my $group = 0;
for my $node ($coordinator, $subscribed, $stranger)
{
	$node->query('postgres', "INSERT INTO pg_catalog.pg_dist_node VALUES $node_list; INSERT INTO pg_catalog.pg_dist_local_group VALUES (" . $group++ . ')');
}
$coordinator->query('postgres', 'CREATE EXTENSION pgseal');
$subscribed->query('postgres', 'CREATE EXTENSION pgseal');

# Of each node, by its port: status and detail
sub nodes_of
{
	my ($node) = @_;
	my %status;
	for (split /\n/, $node->query('postgres', "SELECT object, status, detail FROM pgseal.check() WHERE object LIKE 'node %'"))
	{
		my ($object, $status, $detail) = split /\|/;
		$status{ $1 } = "$status $detail" if $object =~ /:(\d+)$/;
	}
	return \%status;
}
sub node_is
{
	my ($of, $expected, $name) = @_;
	like(nodes_of($coordinator)->{ $of->port } // 'not there', $expected, $name);
	return;
}

is(join(' ', sort keys %{ nodes_of($coordinator) }), join(' ', sort map { $_->port } $subscribed, $stranger), 'each other node');
node_is($stranger, qr/^unavailable .*pgseal\.key_version.* does not exist/, 'without pgseal');
node_is($subscribed, qr/^ok /, 'no keys anywhere');

# A node that is asked asks no others, which would ask others
my $log_end = -s $subscribed->logfile;
nodes_of($coordinator);
is(scalar(() = slurp_file($subscribed->logfile, $log_end) =~ /SET application_name TO 'citus_run_command/g), 1, 'each node is asked once');

$stranger->query('postgres', 'CREATE EXTENSION pgseal');
$coordinator->query('postgres', "CREATE TABLE t (a encrypted_text('k')); INSERT INTO t VALUES ('x'); CREATE PUBLICATION p FOR TABLE pgseal.key, pgseal.key_version");
node_is($subscribed, qr/^missing .*none/, 'not subscribed');
$subscribed->query('postgres', "CREATE SUBSCRIPTION s CONNECTION '" . $coordinator->connstr . " dbname=postgres' PUBLICATION p");
$subscribed->wait_for_subscription_sync($coordinator, 's');
node_is($subscribed, qr/^ok /, 'subscribed');
is(nodes_of($subscribed)->{ $coordinator->port }, 'ok ', 'and what that says of this one');

$subscribed->query('postgres', 'ALTER SUBSCRIPTION s DISABLE');
$coordinator->query('postgres', "SELECT pgseal.rotate_key('k')");
node_is($subscribed, qr/^lagging It lacks 1 of \d+ key versions/, 'a rotation that has not arrived');
$subscribed->query('postgres', 'ALTER SUBSCRIPTION s ENABLE');
$coordinator->wait_for_catchup('s');
node_is($subscribed, qr/^ok /, 'now it has');
$subscribed->query('postgres', "SELECT pgseal.create_key('own')");
node_is($subscribed, qr/^different It has \d+ key versions that are not here/, 'a key of its own');

$stranger->query('postgres', "CREATE SUBSCRIPTION s2 CONNECTION '" . $coordinator->connstr . " dbname=postgres' PUBLICATION p");
$stranger->wait_for_subscription_sync($coordinator, 's2');
node_is($stranger, qr/^invalid .*key k, data version 1/, 'another master key');
$stranger->stop;
node_is($stranger, qr/^unavailable .*connect/, 'stopped');

# ---- retire_versions()

sub retire
{
	return $coordinator->query('postgres', "SELECT string_agg(concat(CASE node WHEN 'this node' THEN node WHEN '@{[ $subscribed->host ]}:@{[ $subscribed->port ]}' THEN 'subscribed' ELSE 'stranger' END,
		' ', status, ' ' || \"values\"), ', ' ORDER BY node <> 'this node', node LIKE '%:@{[ $stranger->port ]}') FROM pgseal.retire_versions('c')");
}
my $retired = "SELECT count(*) FROM pgseal.key_version WHERE key = 'c' AND number = 1 AND retired IS NOT NULL";
for my $node ($coordinator, $subscribed)
{
	$node->query('postgres', "CREATE TABLE people (a encrypted_text('c')); INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod) VALUES ('people', 'h')");
}
$coordinator->query('postgres', "SELECT pgseal.create_key('c'); CREATE TABLE people_1 (LIKE people); INSERT INTO people_1 VALUES ('x');
	INSERT INTO pg_catalog.pg_dist_placement VALUES (1, 0), (2, 1)");
is(retire(), '', 'no old version, nobody is asked');
$coordinator->wait_for_catchup('s');
$subscribed->query('postgres', "CREATE TABLE people_2 (LIKE people); INSERT INTO people_2 VALUES ('y')");
# Who holds this back may still seal under the old version
$subscribed->query('postgres', "BEGIN; CREATE TABLE other (); PREPARE TRANSACTION 'other'");
$coordinator->query('postgres', "SELECT pgseal.rotate_key('c')");
$coordinator->wait_for_catchup('s');
ok($coordinator->poll_query_until('postgres', "SELECT status = 'ok' FROM pgseal.retire_versions('c') WHERE node = 'this node'"), 'this node has re-encrypted its shard');
is(retire(), 'this node ok 0, subscribed reencrypting 1, stranger unavailable', 'another has not, and the third does not answer');
$subscribed->query('postgres', "INSERT INTO pgseal_internal.retired_here SELECT id FROM pgseal.key_version WHERE key = 'c' AND number = 1");
is(retire(), 'this node ok 0, subscribed values 1, stranger unavailable', 'one that was done, and got a value since');
$subscribed->query('postgres', "ROLLBACK PREPARED 'other'");
ok($coordinator->poll_query_until('postgres', "SELECT bool_and((status = 'ok') = (node NOT LIKE '%:@{[ $stranger->port ]}')) FROM pgseal.retire_versions('c')"), 'all that answer are done');
is($coordinator->query('postgres', $retired), 0, 'not retired while one does not answer');
$coordinator->query('postgres', "DELETE FROM pg_catalog.pg_dist_node WHERE nodeport = @{[ $stranger->port ]}; INSERT INTO citus.moving VALUES (2)");
$coordinator->fails_like('postgres', "SELECT pgseal.retire_versions('c')", qr/55006: shards of Citus are being moved/, 'nor while shards are being moved');
$subscribed->fails_like('postgres', "SELECT pgseal.retire_versions('c')", qr/55000: .*on the coordinator/, 'nor elsewhere');
$coordinator->fails_like('postgres', "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pgseal.retire_versions('c')", qr/25001: .*READ COMMITTED/s, 'nor by an old snapshot');
$coordinator->fails_like('postgres', "CREATE ROLE nobody; SET ROLE nobody; SELECT pgseal.retire_versions('c')", qr/42501/, 'nor by everybody');
$coordinator->query('postgres', 'DELETE FROM citus.moving');
is(retire(), 'this node ok 0, subscribed ok 0', 'all nodes are done');
is($coordinator->query('postgres', $retired), 1, 'retired');
is($coordinator->query('postgres', "SELECT count(*) FROM pgseal.events WHERE event = 'version_retired' AND key = 'c'"), 1, 'which is an event');
$coordinator->wait_for_catchup('s');
for my $node ($coordinator, $subscribed)
{
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pgseal.progress_reencrypt WHERE key = 'c'"), 'no node goes on looking for it');
	is($node->query('postgres', 'SELECT a FROM ' . ($node == $coordinator ? 'people_1' : 'people_2')), $node == $coordinator ? 'x' : 'y', 'which can read its shard');
}
$coordinator->fails_like('postgres', "SELECT pgseal.destroy_version('c', 1, 'c')", qr/2BP01: .*subscribers may need it/, 'destroy_version');
$coordinator->fails_like('postgres', "BEGIN; DROP PUBLICATION p; SELECT pgseal.destroy_version('c', 1, 'c')",
	qr/2BP01: .*nodes of Citus may need it.*table public.people is a table of Citus/s, 'nor without a publication');
ok($coordinator->poll_query_until('postgres', "SELECT pgseal.destroy_version('c', 1, 'c', force => true)::text = ''"), 'destroy_version, forced');
$coordinator->wait_for_catchup('s');
is($subscribed->query('postgres', "SELECT count(*) FROM pgseal.key_version WHERE key = 'c' AND number = 1 AND wrapped IS NULL"), 1, 'destroyed on all nodes');
is($subscribed->query('postgres', 'SELECT a FROM people_2'), 'y', 'where nothing needed it');

$_->stop for $subscribed, $coordinator;
done_testing();
