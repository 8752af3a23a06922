# Several databases in one cluster: each has keys of its own, a template hands
# its keys on, and neither cached keys nor the worker are in the way of a
# database or an extension that is dropped.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $SECRET = $SealedNode::SECRET;

# A worker comes as often as it can, for keys (TTL) and for seal counts
my $node = SealedNode->started('node', conf => q{
pgseal.cache_ttl = 2
pgseal.worker_interval = 1
});

#
# Those that have none
#

$node->query('postgres', q{CREATE DATABASE without; CREATE DATABASE dropped});
$node->query('dropped', 'CREATE EXTENSION pgseal; DROP EXTENSION pgseal');
for my $db ('without', 'dropped')
{
	$node->query($db, q{
		CREATE FUNCTION any_row() RETURNS record LANGUAGE sql AS 'SELECT 1, 2';
		CREATE FUNCTION printed() RETURNS text LANGUAGE plpgsql AS $$
		DECLARE r record;
		BEGIN
			SELECT 1 AS a, 2 AS b INTO r;
			RETURN format('%s', r) || r::text || concat(r, any_row());
		END$$});
	is($node->query($db, 'SELECT any_row(), ARRAY[any_row()], concat(any_row()), any_row()::text, printed()'),
		'(1,2)|{"(1,2)"}|(1,2)|(1,2)|(1,2)(1,2)(1,2)(1,2)', "$db: rows of any type are printed without the extension");
}

#
# Keys of their own
#

for my $db ('one', 'two')
{
	$node->query('postgres', "CREATE DATABASE $db");
	$node->query($db, "CREATE EXTENSION pgseal; CREATE TABLE t (id int, v encrypted_text);
		INSERT INTO t SELECT i, '$SECRET $db ' || i FROM generate_series(1, 10) i");
}
is($node->query($_, 'SELECT v FROM t WHERE id = 3'), "$SECRET $_ 3", "$_: reads") for ('one', 'two');
is($node->query('one', 'SELECT string_agg(name, \',\' ORDER BY name) FROM pgseal.key'),
	$node->query('two', 'SELECT string_agg(name, \',\' ORDER BY name) FROM pgseal.key'),
	'keys have the same names');
my %versions = map { $_ => $node->query($_, 'SELECT id FROM pgseal.key_version ORDER BY 1') } ('one', 'two');
my %both;
$both{$_}++ for map { split /\n/ } values %versions;
is(scalar(grep { $_ > 1 } values %both), 0, 'but no version in common');

# A value that was carried over by hand
my $value = $node->sealed('one', 'SELECT v FROM t WHERE id = 1');
like($value, qr/^pgseal:1:/, 'a sealed value of one');
$node->query('two', "SET pgseal.sealed_input = on; INSERT INTO t VALUES (100, '$value')");
is($node->sealed('two', 'SELECT v FROM t WHERE id = 100'), $value, 'is stored in two as it is');
$node->fails_like('two', 'SELECT v FROM t WHERE id = 100', qr/42704: key version \w+ is not known/,
	'but does not open there, although its key is in shared memory');
$node->copy_keys($node, 'one', 'two');
is($node->query('two', 'SELECT v FROM t WHERE id = 100'), "$SECRET one 1", 'until its key is copied');
is($node->query('two', 'SELECT v FROM t WHERE id = 3'), "$SECRET two 3", 'and those of two open still');

#
# Templates
#

does('CREATE DATABASE copy TEMPLATE one');
is($node->query('copy', 'SELECT string_agg(v, \',\' ORDER BY id) FROM t'),
	$node->query('one', 'SELECT string_agg(v, \',\' ORDER BY id) FROM t'), 'a copy opens');
$node->query('copy', "INSERT INTO t VALUES (11, '$SECRET copy'); SELECT pgseal.rotate_key('public.t');
	INSERT INTO t VALUES (12, '$SECRET copy'); CREATE TABLE own (v encrypted_text)");
is($node->query('copy', 'SELECT count(v), max(version) FROM t, pgseal.inspect(v)'), '12|2',
	'a copy has a life of its own');
is($node->query('one', "SELECT count(*) FROM pgseal.key_version WHERE number = 2"), '0',
	'of which the original knows nothing');

# What template1 has, every new database gets
$node->query('template1', 'CREATE EXTENSION pgseal');
$node->query('postgres', 'CREATE DATABASE from_template');
is($node->query('from_template', "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('x');
	SELECT v FROM t"), 'x', 'a database made from a template with the extension works');
$node->query('template1', 'DROP EXTENSION pgseal');

#
# Dropping databases
#

cmp_ok($node->query('one', 'SELECT used FROM pgseal.stat_cache'), '>', 2, 'keys are cached');
does('DROP DATABASE copy');
does('ALTER DATABASE two RENAME TO second');
is($node->query('second', 'SELECT v FROM t WHERE id = 3'), "$SECRET two 3", 'renamed: reads');
$node->query('postgres', 'DROP DATABASE from_template');

# Of the same name, with keys of the same names
$node->query('postgres', 'CREATE DATABASE copy TEMPLATE second');
is($node->query('copy', 'SELECT v FROM t WHERE id = 3'), "$SECRET two 3", 'made again: reads its own');

# Over and over, while workers come and go
for my $i (1 .. 15)
{
	does('CREATE DATABASE brief TEMPLATE one');
	$node->query('brief', "INSERT INTO t VALUES (0, '$i')");
	does('DROP DATABASE brief');
}
is($node->query('one', 'SELECT count(v) FROM t'), '10', 'the template still reads');
$node->query('postgres', 'DROP DATABASE copy');
ok($node->poll_query_until('one', q{SELECT 1 FROM pgseal.stat_cache WHERE used < 20}, '1'),
	'keys of dropped databases leave the cache');

#
# The extension itself
#

$node->query('one', 'CREATE TABLE other (v encrypted_int4); INSERT INTO other VALUES (1)');
$node->fails_like('one', 'DROP EXTENSION pgseal', qr/2BP01: /, 'columns use it: DROP EXTENSION');
is($node->query('one', 'SELECT v FROM other'), '1', 'still there');
for my $i (1 .. 5)
{
	$node->query('one', 'DROP EXTENSION pgseal CASCADE');
	is($node->query('one', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'pgseal'}), '0',
		"dropped, round $i");
	is( $node->query('one', "CREATE EXTENSION pgseal; CREATE TABLE t$i (v encrypted_text);
			INSERT INTO t$i VALUES ('$SECRET'); SELECT v FROM t$i"),
		$SECRET, "and made again, round $i");
}
my $session = $node->background_psql('one');
is($session->query('SELECT v FROM t5'), $SECRET, 'a session');
$node->query('one', "DROP EXTENSION pgseal CASCADE; CREATE EXTENSION pgseal;
	CREATE TABLE t6 (v encrypted_text); INSERT INTO t6 VALUES ('$SECRET again')");
is($session->query('SELECT v FROM t6'), "$SECRET again", 'notices that the extension is another');
is($session->query("INSERT INTO t6 VALUES ('x') RETURNING v"), 'x', 'and seals');
$session->quit;

$node->query('one', "BEGIN; CREATE TABLE undone (v encrypted_text); INSERT INTO undone VALUES ('x'); ROLLBACK;
	BEGIN; DROP EXTENSION pgseal CASCADE; ROLLBACK");
is($node->query('one', "SELECT v FROM t6 WHERE v = 'x'"), 'x', 'dropping is rolled back');
is($node->query('second', 'SELECT count(v) FROM t'), '11', 'other databases are as they were');

# One round of the worker more, then look at what it had to say
$node->poll_query_until('second', 'SELECT sum(seals) >= 10 FROM pgseal.key_version');
my $log = slurp_file($node->logfile);
unlike($log, qr/pgseal: could not/, 'the worker had no trouble');
unlike($log, qr/pgseal (worker|launcher).*(exited with exit code [^01]|terminated by signal)/,
	'no worker crashed');
$node->stop;
done_testing();

# Statements that PostgreSQL refuses when it meets other sessions in a database
# for more than five seconds: workers must not stay that long.
sub does
{
	my ($statement) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($stderr, '', $statement);
	return;
}
