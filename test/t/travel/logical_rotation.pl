# Changes are applied on a subscriber, in parallel with writers there, while all nodes
# re-encrypt: no value is lost, none is under a version that is gone, and apply goes on.
# Another subscriber has only the keys, and rows of its own: of those the publisher knows
# nothing, so that it has retired a version says nothing of them; what it asks before the
# key is gone everywhere is force => true.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my %node = map { $_ => SealedNode->started($_, allows_streaming => 'logical', conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 4
pgseal.reencrypt_delay = 10
}) } qw(publisher subscriber other);
my ($publisher, $subscriber, $other) = @node{qw(publisher subscriber other)};
my $tables = q{CREATE TABLE t (id int PRIMARY KEY, a encrypted_text('k'), plain text);
	CREATE TABLE own (id int PRIMARY KEY, a encrypted_text('k'), plain text);};
$publisher->safe_psql('postgres', qq{CREATE EXTENSION pgseal; $tables
	INSERT INTO t SELECT i, 'v' || i, 'v' || i FROM generate_series(1, 1000) i;
	CREATE SEQUENCE ids START 100000;
	CREATE PUBLICATION p FOR TABLE t, pgseal.key, pgseal.key_version;
	CREATE PUBLICATION keys FOR TABLE pgseal.key, pgseal.key_version});
$subscriber->safe_psql('postgres', qq{CREATE EXTENSION pgseal; $tables CREATE SEQUENCE ids;
	CREATE SUBSCRIPTION s CONNECTION '@{[$publisher->connstr]} dbname=postgres' PUBLICATION p});
$subscriber->wait_for_subscription_sync($publisher, 's');
$other->safe_psql('postgres', qq{CREATE EXTENSION pgseal; $tables CREATE SEQUENCE ids;
	CREATE SUBSCRIPTION o CONNECTION '@{[$publisher->connstr]} dbname=postgres' PUBLICATION keys});
$other->wait_for_subscription_sync($publisher, 'o');

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/publisher", q{
\set id random(1, 1000)
UPDATE t SET a = v, plain = v FROM (SELECT 'u' || nextval('ids') AS v) x WHERE id = :id;
INSERT INTO t SELECT i, 'n' || i, 'n' || i FROM nextval('ids') i;
});
append_to_file("$dir/$_", q{INSERT INTO own SELECT i, 'o' || i, 'o' || i FROM nextval('ids') i;}) for qw(subscriber other);
my @load = map {
	IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-R', 200, '-T', 15, '-f', "$dir/$_", '-d', 'postgres', '-h', $node{$_}->host, '-p', $node{$_}->port ],
		'>', \my $out, '2>', \my $err)
} qw(publisher subscriber other);
for my $round (1 .. 3)
{
	sleep 3;
	$publisher->safe_psql('postgres', q{SELECT pgseal.rotate_key('k')});
}
$_->finish for @load;
$publisher->wait_for_catchup('s');

my $retired = q{SELECT count(*) = 3 FROM pgseal.key_version WHERE key = 'k' AND purpose = 'd' AND retired IS NOT NULL};
ok($publisher->poll_query_until('postgres', $retired), 'the publisher has retired the old versions');
$publisher->wait_for_catchup($_) for qw(s o);
my $stale = q{SELECT (SELECT count(*) FROM t, pgseal.inspect(a) WHERE NOT current) + (SELECT count(*) FROM own, pgseal.inspect(a) WHERE NOT current)};
for my $node ($subscriber, $other)
{
	my $name = $node->name;
	ok($node->poll_query_until('postgres', $retired), "which $name hears");
	ok($node->poll_query_until('postgres', $stale, 0), "and $name has re-encrypted its own tables");
}
my $wrong = q{SELECT count(*) > 0, count(*) FILTER (WHERE a::text IS DISTINCT FROM plain) FROM %s};
is($publisher->safe_psql('postgres', sprintf($wrong, 't')), 't|0', 'every value is right on the publisher');
is($subscriber->safe_psql('postgres', sprintf($wrong, $_)), 't|0', "on the subscriber: $_") for qw(t own);
is($other->safe_psql('postgres', sprintf($wrong, 'own')), 't|0', 'on the other');
my $rows = q{SELECT md5(string_agg(id || plain, ',' ORDER BY id)) FROM t};
is($subscriber->safe_psql('postgres', $rows), $publisher->safe_psql('postgres', $rows), 'which has all rows');

# A value that comes back under an old version, on a subscriber alone: the publisher
# can't know, and destroys no version unless it is told to.
my $destroy = q{SELECT pgseal.destroy_version('k', %d, 'k'%s)};
for my $number (1 .. 3)
{
	my ($status, undef, $err) = $publisher->psql('postgres', sprintf($destroy, $number, ''));
	isnt($status, 0, "version $number isn't destroyed where it is published");
	like($err, qr/subscribers may need it.*key_version is published \(keys, p\).*force => true/s, 'which says why, and what to do');
	$publisher->safe_psql('postgres', sprintf($destroy, $number, ', force => true'));
}
$publisher->wait_for_catchup($_) for qw(s o);
is($_->safe_psql('postgres', q{SELECT count(*) FROM pgseal.key_version WHERE key = 'k' AND wrapped IS NOT NULL AND purpose = 'd'}), 1, 'forced: gone on ' . $_->name)
  for $publisher, $subscriber, $other;
is($subscriber->safe_psql('postgres', sprintf($wrong, 't')), 't|0', 'and nothing is lost on the subscriber');
is($other->safe_psql('postgres', sprintf($wrong, 'own')), 't|0', 'on the other');
for my $node ($subscriber, $other)
{
	unlike(slurp_file($node->logfile), qr/apply worker.*exited|ERROR/, 'apply met no error: ' . $node->name);
}

$_->stop for $subscriber, $other, $publisher;
done_testing();
