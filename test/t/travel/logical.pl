# Logical replication and decoding.  On the wire travel sealed values; a
# subscriber that has the keys reads them, one that hasn't stores them and passes
# them on unharmed.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $SECRET = $SealedNode::SECRET;

my $publisher = SealedNode->started('publisher', allows_streaming => 'logical');
my $subscriber = SealedNode->started('subscriber', allows_streaming => 'logical', conf => qq{
pgseal.keyring_file = '@{[ $publisher->keyring ]}'
max_worker_processes = 24
max_logical_replication_workers = 16
});

my $table = q{
	CREATE TABLE people (id int PRIMARY KEY, name encrypted_text('people'), photo encrypted_bytea('people'),
		age encrypted_int4('payroll'), tags encrypted_text('people')[]);
	CREATE TABLE heap (id int, v encrypted_text('people'));
	ALTER TABLE heap REPLICA IDENTITY FULL;};
my $rows = "SELECT i, '$SECRET ' || i, convert_to('$SECRET ' || i, 'UTF8'), i, ARRAY['$SECRET', NULL]
	FROM generate_series";

$publisher->query('postgres', 'CREATE DATABASE pub');
$publisher->query('pub', "CREATE EXTENSION pgseal; $table
	INSERT INTO people $rows(1, 50) i;
	INSERT INTO heap SELECT i, '$SECRET ' || i FROM generate_series(1, 5) i;
	CREATE PUBLICATION all_tables FOR TABLE people, heap;
	CREATE PUBLICATION people FOR TABLE people;
	CREATE PUBLICATION keys FOR TABLE pgseal.key, pgseal.key_version");

#
# Decoding
#

my $slots = q{
	SELECT pg_create_logical_replication_slot('as_text', 'test_decoding');
	SELECT pg_create_logical_replication_slot('as_bytes', 'pgoutput')};
$publisher->query('pub', $slots);
$publisher->query('pub', "
	INSERT INTO people $rows(51, 60) i;
	UPDATE people SET name = name || '!' WHERE id = 51;
	UPDATE heap SET v = '$SECRET again' WHERE id = 1;
	DELETE FROM heap WHERE id = 2;
	DELETE FROM people WHERE id = 52");
my $decoded = $publisher->query('pub',
	q{SELECT data FROM pg_logical_slot_peek_changes('as_text', NULL, NULL)});
like($decoded, qr/name\[\S*encrypted_text\]:'pgseal:1:/, 'test_decoding: sealed values');
like($decoded, qr/heap: UPDATE: old-key: .*pgseal:1:.* new-tuple: /, 'test_decoding: old rows, too');
unlike($decoded, $SealedNode::PLAINTEXT, 'test_decoding: no plaintext');
for my $binary ('false', 'true')
{
	my $bytes = pack('H*',
		$publisher->query('pub', "SELECT encode(string_agg(data, ''), 'hex')
			FROM pg_logical_slot_peek_binary_changes('as_bytes', NULL, NULL, 'proto_version', '2',
				'publication_names', 'all_tables', 'binary', '$binary')"));

	cmp_ok(length($bytes), '>', 2000, "pgoutput, binary $binary: sends changes");
	unlike($bytes, $SealedNode::PLAINTEXT, "pgoutput, binary $binary: no plaintext");
	is(($bytes =~ /pgseal:1:/ ? 'text' : 'binary'), $binary eq 'true' ? 'binary' : 'text',
		"pgoutput, binary $binary: the form of sealed values");
}
$publisher->query('pub',
	q{SELECT pg_drop_replication_slot('as_text'), pg_drop_replication_slot('as_bytes')});

#
# Subscribers: with copied keys, with replicated keys, without keys (passing on),
# with columns that aren't encrypted
#

my $connection = $publisher->connection('pub');
my %subscribers = (
	copied => [ 'all_tables', 'false' ],
	replicated => [ 'all_tables, keys', 'true' ],
	keyless => [ 'people', 'false' ],
	keyless_binary => [ 'people', 'true' ],
	plain => [ 'people', 'false' ]);

for my $db (sort keys %subscribers)
{
	my ($publications, $binary) = @{ $subscribers{$db} };

	$subscriber->query('postgres', "CREATE DATABASE $db");
	if ($db eq 'plain')
	{
		$subscriber->query($db,
			'CREATE TABLE people (id int PRIMARY KEY, name text, photo text, age text, tags text[])');
	}
	else
	{
		$subscriber->query($db, "CREATE EXTENSION pgseal; $table");
	}
	$subscriber->copy_keys($publisher, 'pub', $db) if $db eq 'copied';
	$subscriber->query($db, "CREATE SUBSCRIPTION $db CONNECTION '$connection'
		PUBLICATION $publications WITH (binary = $binary)");
}
$subscriber->wait_for_subscription_sync($publisher, $_, $_) for sort keys %subscribers;

# From the one that has no keys, on to one that has
$subscriber->query('keyless', 'CREATE PUBLICATION onwards FOR TABLE people');
$publisher->query('postgres', 'CREATE DATABASE down');
$publisher->query('down', "CREATE EXTENSION pgseal; $table");
$publisher->copy_keys($publisher, 'pub', 'down');
$publisher->query('down', "CREATE SUBSCRIPTION down CONNECTION '" . $subscriber->connection('keyless') . "'
	PUBLICATION onwards");
$publisher->wait_for_subscription_sync($subscriber, 'down', 'down');

is_replicated('initial copy');

$publisher->query('pub', "
	INSERT INTO people $rows(61, 100) i;
	INSERT INTO people VALUES (101, '', '', NULL, '{}'), (102, repeat('$SECRET', 10000), NULL, 0, NULL);
	UPDATE people SET name = '$SECRET updated' WHERE id BETWEEN 1 AND 10;
	UPDATE people SET age = age + 1 WHERE id = 102;
	DELETE FROM people WHERE id = 11;
	UPDATE heap SET v = '$SECRET heap' WHERE id = 3;
	DELETE FROM heap WHERE id = 4");
is_replicated('changes');

# A session of a subscriber that has already looked for the key in vain
my $session = $subscriber->background_psql('copied', on_error_stop => 0);
$publisher->query('pub', "SELECT pgseal.rotate_key('payroll'); INSERT INTO people $rows(200, 210) i");
catch_up();
$session->query('SELECT age FROM people WHERE id = 200');
like($session->{stderr}, qr/key version \w+ is not known in this database/,
	'without the new key version, its values cannot be opened');
$subscriber->copy_keys($publisher, 'pub', 'copied');
is($session->query('SELECT age FROM people WHERE id = 200'), '200',
	'with it they can, in the session that looked for it in vain');
$session->quit;

$publisher->copy_keys($publisher, 'pub', 'down');
is_replicated('after rotation');
is($subscriber->query('replicated', "SELECT max(number) FROM pgseal.key_version WHERE key = 'payroll'"),
	'2', 'the new key version came by replication');
$session = $subscriber->background_psql('replicated');
is($session->query('SELECT sum(age) FROM people WHERE id >= 200'), '2255', 'a session reads');
$publisher->query('pub', "SELECT pgseal.rotate_key('payroll'); INSERT INTO people $rows(300, 300) i");
catch_up();
is($session->query('SELECT age FROM people WHERE id = 300'), '300',
	'and goes on after a rotation by replication');
$session->query("INSERT INTO people (id, age) VALUES (1000, 1)");
is($session->query('SELECT version FROM people, pgseal.inspect(age) WHERE id = 1000'), '3',
	'it seals under the newest version');
$session->quit;

# Through a rotation: re-encryption, retirement, destruction of the old version
$publisher->query('postgres', 'ALTER SYSTEM SET pgseal.worker_interval = 1');
$publisher->reload;
$publisher->query('pub', "SELECT pgseal.rotate_key('payroll'); SELECT pgseal.rotate_key('people')");
my $retired = q{SELECT count(*) = 0 FROM pgseal.key_version o JOIN pgseal.key_version n USING (key, purpose)
	WHERE n.number > o.number AND o.retired IS NULL};
ok($publisher->poll_query_until('pub', $retired), 'the publisher has re-encrypted everything');
catch_up();
$subscriber->copy_keys($publisher, 'pub', 'copied');
$publisher->copy_keys($publisher, 'pub', 'down');
is_replicated('after re-encryption');
is($subscriber->query('replicated', $retired), 't', 'the subscriber knows the old versions as retired');
# Its own row 1000 it re-encrypts itself, although the publisher has retired the version
$subscriber->query('postgres', 'ALTER SYSTEM SET pgseal.worker_interval = 1');
$subscriber->reload;
ok($subscriber->poll_query_until('replicated', q{SELECT count(*) = 0 FROM people WHERE
	NOT (pgseal.inspect(name)).current OR NOT (pgseal.inspect(age)).current}),
	'and has only values under the new ones in the end');
$publisher->fails_like('pub', "SELECT pgseal.destroy_version('people', 1, 'people')",
	qr/2BP01: cannot destroy key "people": subscribers may need it.*key_version is published/s, 'destroy_version() on the publisher');
$publisher->fails_like('pub', "SELECT pgseal.destroy_key('people', 'people')",
	qr/2BP01: cannot destroy key "people": subscribers may need it.*key_version is published/s, 'destroy_key() on the publisher');
$publisher->query('pub', "SELECT pgseal.destroy_version('people', 1, 'people', force => true)");
catch_up();
is($subscriber->query('replicated', 'SELECT count(name) FROM people WHERE pgseal.try_open(name) IS NULL'), 0,
	'nothing is lost when the old version is destroyed');
is_replicated('after the destruction');

# What the one without keys can and cannot do
$subscriber->fails_like('keyless', 'SELECT name FROM people WHERE id = 1',
	qr/42704: key version \w{16} is not known in this database/, 'without keys: opening');
is($subscriber->query('keyless', 'SELECT count(pgseal.try_open(name)), count(*) FROM people'), '0|112',
	'without keys: try_open() is NULL');
is($subscriber->query('keyless', 'SELECT count(*) FROM pgseal.key'), '0',
	'without keys: none was made');
$subscriber->query('keyless', "INSERT INTO people (id, name) VALUES (2000, 'its own')");
is($subscriber->query('keyless', 'SELECT name FROM people WHERE id = 2000'), 'its own',
	'without keys: it can still make its own');

unlike(slurp_file($subscriber->logfile), qr/logical replication.*worker.*exited with exit code/,
	'no replication worker failed');

$publisher->query('down', 'DROP SUBSCRIPTION down');
$subscriber->query($_, "DROP SUBSCRIPTION $_") for sort keys %subscribers;
$subscriber->stop;
$publisher->stop;
done_testing();

sub catch_up
{
	$publisher->wait_for_catchup($_) for sort keys %subscribers;
	$subscriber->wait_for_catchup('down');
}

sub is_replicated
{
	my ($when) = @_;
	my $sealed = 'SELECT * FROM people WHERE id < 1000 ORDER BY id';
	my $opened = 'SELECT id, name, md5(photo), age, tags FROM people WHERE id < 1000 ORDER BY id';
	my $heap = 'SELECT * FROM heap ORDER BY id';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	catch_up();
	my $expected = $publisher->sealed('pub', $sealed);
	unlike($expected, $SealedNode::PLAINTEXT, "$when: is sealed");
	for my $db (sort keys %subscribers)
	{
		my $query = $db eq 'plain' ? $sealed =~ s/\*/id, name, photo, age, tags/r : $sealed;
		is($subscriber->sealed($db, $query), $expected, "$when: $db has the same sealed values");
	}
	is($publisher->sealed('down', $sealed), $expected, "$when: they were passed on");
	$expected = $publisher->query('pub', $opened);
	is($subscriber->query($_, $opened), $expected, "$when: $_ can read")
	  for ('copied', 'replicated');
	is($publisher->query('down', $opened), $expected, "$when: the last one can read");
	is($subscriber->query($_, $heap), $publisher->query('pub', $heap), "$when: REPLICA IDENTITY FULL in $_")
	  for ('copied', 'replicated');
}
