# A hot standby that shares the keyring: it reads, whatever it is asked and
# whenever, its worker refreshes keys, and it can be promoted.  Beside it the
# read-only transactions of a primary, which can't make keys either.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $SECRET = $SealedNode::SECRET;

my $primary = SealedNode->started('primary', allows_streaming => 1, conf => q{
autovacuum = off
pgseal.cache_ttl = 2
pgseal.worker_interval = 1
});
$primary->backup('before');

# Made before the extension was; by default it would look beside its own data
# directory
my $standby = SealedNode->from_backup('standby', $primary, 'before', has_streaming => 1, conf => "pgseal.keyring_file = '" . $primary->keyring . "'");

#
# Where no key was ever needed
#

$primary->query('postgres', 'CREATE EXTENSION pgseal');
$primary->wait_for_catchup($standby);
my $literals = q{
	SELECT 'a'::encrypted_text::text, 'a'::encrypted_text = 'a'::text, 'a'::encrypted_text = 'b';
	PREPARE p AS SELECT $1::encrypted_text = 'a', $2::encrypted_int4 + 1 WHERE false;
	PREPARE q (encrypted_int4) AS SELECT $1 + 1;
	EXECUTE q (41);
	SELECT '7'::encrypted_int4};
my $answers = "a|t|f\n42\n7";
is($standby->query('postgres', $literals), $answers, 'standby: literals before there is a default key');
is($primary->query('postgres', "BEGIN READ ONLY; $literals; COMMIT"), $answers,
	'read-only transaction: literals before there is a default key');
is($primary->query('postgres', 'SELECT count(*) FROM pgseal.key'), '0', 'which makes none');
$primary->query('postgres', q{CREATE TABLE empty (v encrypted_text('declared only'))});
$primary->wait_for_catchup($standby);
is($standby->query('postgres', "SELECT v FROM empty WHERE v = 'x'"), '',
	'standby: an empty table of a key without material');
is($primary->query('postgres', "BEGIN READ ONLY; SELECT v FROM empty WHERE v = 'x'; COMMIT"), '',
	'read-only transaction: an empty table of a key without material');
$primary->fails_like('postgres', "BEGIN READ ONLY; SELECT pgseal.create_key('k')", qr/25006: /,
	'read-only transaction: creating a key');
$standby->fails_like('postgres', "SELECT pgseal.create_key('k')", qr/25006: /,
	'standby: creating a key');
for my $statement (q{SELECT pgseal.rotate_key('k')}, q{SELECT pgseal.rotate_master_key('local_keyring')},
	q{CREATE TABLE t (v encrypted_text)}, q{CREATE TEMP TABLE t AS SELECT 'x'::encrypted_text})
{
	$primary->fails_like('postgres', "BEGIN READ ONLY; $statement", qr/25006: /,
		"read-only transaction: $statement");
	$standby->fails_like('postgres', $statement, qr/25006: /, "standby: $statement");
}
$standby->fails_like('postgres', "SELECT 'x'::text::encrypted_text('declared only')", qr/25006: /,
	'standby: sealing under a key without material');

#
# Reading
#

$primary->query('postgres', "
	CREATE TABLE people (id int PRIMARY KEY, name encrypted_text, age encrypted_int4('payroll'));
	INSERT INTO people SELECT i, '$SECRET ' || i, i FROM generate_series(1, 100) i;
	CREATE INDEX ON people USING hash (name)");
$primary->make_sample('sample');
$primary->wait_for_catchup($standby);

# Each in a session of its own, the first of which finds no key in memory
is($standby->query('postgres', "SELECT id FROM people WHERE name = '$SECRET 7'"), '7',
	'standby: a literal, nothing cached');
is($standby->query('postgres', "SET enable_seqscan = off; SELECT id FROM people WHERE name = '$SECRET 8'"),
	'8', 'standby: hash index');
is($standby->query('postgres', q{PREPARE p AS SELECT name FROM people WHERE age = $1; EXECUTE p (9)}),
	"$SECRET 9", 'standby: untyped parameter');
is($standby->query('postgres', "SELECT sum(age), count(name), max(name) FROM people"),
	"5050|100|$SECRET 99", 'standby: aggregates');
# Renamed in PostgreSQL 16
is( $standby->query('postgres', "
		DO \$\$ BEGIN PERFORM set_config(name, 'on', false) FROM pg_settings
			WHERE name IN ('force_parallel_mode', 'debug_parallel_query'); END \$\$;
		SELECT sum(age) FROM people WHERE name <> 'x'"),
	'5050', 'standby: parallel worker');
is($standby->opened('sample'), $SealedNode::OPENED, 'standby: every sample value');
is($standby->fingerprint('sample'), $primary->fingerprint('sample'), 'standby: what it holds is the same');
is($primary->query('postgres', "BEGIN READ ONLY; SELECT id FROM people WHERE name = '$SECRET 7'; COMMIT"),
	'7', 'read-only transaction: reads');
$standby->fails_like('postgres', "INSERT INTO people VALUES (0, 'x')", qr/25006: /, 'standby: writing');

# A session that lives on: keys that are new, rotated, rolled back
my $session = $standby->background_psql('postgres');
is($session->query('SELECT age FROM people WHERE id = 1'), '1', 'standby: a session');
$primary->query('postgres', "SELECT pgseal.rotate_key('payroll');
	UPDATE people SET age = 1001 WHERE id = 1;
	BEGIN; CREATE TABLE gone (v encrypted_text); INSERT INTO gone VALUES ('x'); ROLLBACK;
	CREATE TABLE later (v encrypted_text); INSERT INTO later VALUES ('$SECRET later')");
$primary->wait_for_catchup($standby);
is($session->query('SELECT age FROM people WHERE id = 1'), '1001', 'standby: a rotated key');
is($session->query('SELECT v FROM later'), "$SECRET later", 'standby: a new key');
$session->quit;

# The TTL is 2 s: ahead of its end the worker fetches keys again
ok( $standby->poll_query_until('postgres',
		'SELECT refreshes > 2 AND failures = 0 FROM pgseal.stat_cache'),
	'standby: its worker refreshes keys');
is($standby->query('postgres', 'SELECT count(name) FROM people'), '100', 'standby: still reads');
unlike(slurp_file($standby->logfile), qr/pgseal: could not/, 'standby: its worker has no trouble');

#
# Promotion
#

my $seals = $primary->query('postgres', 'SELECT sum(seals) FROM pgseal.key_version');
$primary->stop;
$standby->promote;
is($standby->query('postgres', "SELECT id FROM people WHERE name = '$SECRET 7'"), '7', 'promoted: reads');
$standby->query('postgres', "INSERT INTO people VALUES (101, '$SECRET 101', 101);
	INSERT INTO empty VALUES ('$SECRET'); CREATE TABLE promoted (v encrypted_text);
	INSERT INTO promoted VALUES ('$SECRET')");
is($standby->query('postgres', "SELECT name, age FROM people WHERE name = '$SECRET 101'"),
	"$SECRET 101|101", 'promoted: writes');
is($standby->query('postgres', "SELECT v FROM empty WHERE v = '$SECRET' UNION SELECT v FROM promoted"),
	$SECRET, 'promoted: makes keys');
is($standby->query('postgres', "SELECT version FROM people, pgseal.inspect(age) WHERE id = 101"),
	2, 'promoted: seals under the newest version');
ok($standby->poll_query_until('postgres', "SELECT sum(seals) > $seals FROM pgseal.key_version"),
	'promoted: its worker saves seal counts');
$standby->stop;
done_testing();
