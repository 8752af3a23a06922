# The right to erasure, from end to end: a person's key is destroyed, and his
# values are gone for open sessions, after a restart, in new dumps, on the disk,
# and stay gone when an old dump's keys are restored.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(time);

my $node = SealedNode->started('erasure', conf => 'log_statement = none');
$node->query('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE person (id int PRIMARY KEY, name encrypted_text('*'), born encrypted_date('*'),
		token bytea GENERATED ALWAYS AS (blind_index(born)) STORED);
	CREATE UNIQUE INDEX ON person (blind_index(name));
	CREATE INDEX ON person (blind_index(name, 'lower'));
	CREATE INDEX ON person USING hash (name);
	SELECT pgseal.create_key('people');
	SELECT pgseal.create_key('person:' || i, parent => 'people') FROM generate_series(1, 100) i;
	INSERT INTO person SELECT i, pgseal.seal('name' || i, 'person:' || i), pgseal.seal(date '1990-01-01' + i, 'person:' || i)
		FROM generate_series(1, 100) i});

# Sessions that have opened his values and keep what they need to do so again
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
is($_->query('SELECT name FROM person WHERE id = 42'), 'name42', 'a session opens his name') for @sessions;
$sessions[3]->query(q{BEGIN ISOLATION LEVEL REPEATABLE READ; PREPARE p AS SELECT name FROM person WHERE id = $1; EXECUTE p(42)});

sub dump_to
{
	my ($name) = @_;
	my $file = $node->basedir . "/$name.sql";

	$node->run_ok([ 'pg_dump', '-f', $file, '-d', $node->connection('postgres') ], "dump $name");
	return $file;
}

# Wrapped bytes of his keys, as they lie in a file and in a dump
my @wrapped = split /\n/, $node->query('postgres', q{SELECT encode(wrapped, 'hex') FROM pgseal.key_version WHERE key = 'person:42'});
is(scalar(@wrapped), 2, 'a data key and an index key');

sub wrapped_in
{
	my ($file) = @_;
	my $content = slurp_file($file);

	return scalar(grep { index($content, $_) >= 0 || index($content, pack('H*', $_)) >= 0 } @wrapped);
}

sub key_file
{
	$node->query('postgres', 'CHECKPOINT');
	return $node->data_dir . '/' . $node->query('postgres', q{SELECT pg_relation_filepath('pgseal.key_version')});
}

my $before = dump_to('before');
is(wrapped_in($before), 2, 'a dump from before has his keys, wrapped');
is(wrapped_in(key_file()), 2, 'as has the catalog');

my $began = time;
$node->query('postgres', q{SELECT pgseal.destroy_key('person:42', 'person:42', force => true)});
for my $session (@sessions)
{
	$session->{stderr} = '';
	unlike($session->query($session == $sessions[3] ? 'EXECUTE p(42)' : 'SELECT name FROM person WHERE id = 42'), qr/name42/, 'gone in an open session');
	like($session->{stderr}, qr/version 1 of key "person:42" was destroyed/, 'which says so');
}
cmp_ok(time - $began, '<', 30, 'at once');
$sessions[3]->query('ROLLBACK');
is($sessions[0]->query('SELECT id, pgseal.try_open(name), pgseal.try_open(born) FROM person WHERE id IN (41, 42) ORDER BY id'),
	"41|name41|1990-02-11\n42||", 'the others stay');
$node->fails_like('postgres', q{SELECT pgseal.seal('x'::text, 'person:42')}, qr/42704/, 'nothing more is sealed for him');

# What is left of him is an ordinary row
$node->query('postgres', $_) for 'UPDATE person SET id = 1042 WHERE id = 42', 'REINDEX TABLE person', 'VACUUM FULL person',
	'CLUSTER person USING person_pkey', 'ANALYZE person', 'UPDATE person SET id = 42 WHERE id = 1042',
	'ALTER TABLE person ADD COLUMN note text DEFAULT clock_timestamp()';
is($node->query('postgres', 'SELECT count(*) FROM person'), 100, 'his row can be updated, indexed and rewritten');
is($node->query('postgres', "SET enable_seqscan = off; SELECT id FROM person WHERE name = 'name41'"), 41, 'lookups go on');
$_->quit for @sessions;

$node->query('postgres', 'VACUUM FULL pgseal.key_version');
is(wrapped_in(key_file()), 0, 'his wrapped keys are not in the catalog any more');
$node->restart;
is($node->query('postgres', 'SELECT count(pgseal.try_open(name)), count(name) FROM person'), '99|100', 'gone after a restart');

# Dumps
my $after = dump_to('after');
is(wrapped_in($after), 0, 'nor in a new dump');
$node->query('postgres', 'CREATE DATABASE restored');
$node->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $after, '-d', $node->connection('restored') ], 'the new dump is restored');
is($node->query('restored', 'SELECT count(pgseal.try_open(name)), count(name), count(token) FROM person'), '99|100|99', 'where he is gone, too');
is($node->query('restored', q{SELECT count(*) FROM pg_indexes WHERE tablename = 'person'}), 4, 'with all indexes');

# The keys of an old dump do not come back to life
my ($keys) = slurp_file($before) =~ /^(COPY pgseal\.key_version .*?^\\\.)$/ms;
my $file = $node->basedir . '/keys.sql';
append_to_file($file, "$keys\n");
$node->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connection($_) ], "an old dump's keys into $_")
  for qw(postgres restored);
is($node->query($_, 'SELECT count(pgseal.try_open(name)), count(name) FROM person'), '99|100', "$_: he stays gone")
  for qw(postgres restored);
is($node->query('postgres', q{SELECT count(*) FROM pgseal.events WHERE event = 'key_destroyed' AND key = 'person:42'}), 1, 'the event is there');

$node->stop;
done_testing();
