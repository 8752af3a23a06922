# What check() says of the other nodes of Citus: that a node lacks keys, or some of them,
# has keys of its own, can't unwrap them, or doesn't answer.
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
		conf => $name ne 'stranger' ? "pgseal.keyring_file = '$keyring'" : '');
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

$_->stop for $subscribed, $coordinator;
done_testing();
