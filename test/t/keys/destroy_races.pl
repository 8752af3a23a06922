# Keys and versions are destroyed while values under them are on their way to a table: in
# a transaction that hasn't committed, in a table that nobody else sees, in a variable of a
# procedure.  What commits opens.  And index keys are replaced in transactions that do more:
# whatever becomes of these, sealed indexes can be read.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('main', conf => q{
pgseal.worker_interval = 1
autovacuum = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
parallel_leader_participation = off
max_prepared_transactions = 4
});
my $number = 0;
my $db;

$node->safe_psql('postgres', 'CREATE DATABASE first');
$node->safe_psql('first', q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('k');
	CREATE TABLE t (id int, a encrypted_text('k'), n int DEFAULT 0); CREATE TABLE anykey (id int, a encrypted_text('*'));
	CREATE TABLE plain AS SELECT 1 AS id, 'precious'::text AS plain;});

sub new_database
{
	$db = 'd' . ++$number;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE first");
	return;
}

sub does
{
	my ($sql) = @_;
	my ($ret, $out, $err) = $node->psql($db, $sql, on_error_stop => 0);
	return "$out$err";
}

# Without a client that waits for it
sub started_session
{
	my $session = $node->background_psql($db, on_error_stop => 0);
	$session->query($_) for @_;
	return $session;
}

# Another transaction is about to commit a value
for my $case (
	[ 'a row', q{INSERT INTO t VALUES (1, 'precious')}, 't', qr/could not lock table "t"/ ],
	[ 'a row of any key', q{INSERT INTO anykey VALUES (1, pgseal.seal('precious'::text, 'k'))}, 'anykey', qr/could not lock table "anykey"/ ],
	[ 'a new table', q{CREATE TABLE new (id int, a encrypted_text('k')); INSERT INTO new VALUES (1, 'precious')}, 'new', qr/lock timeout/ ])
{
	my ($name, $sql, $table, $refusal) = @$case;

	new_database();
	my $session = started_session('BEGIN', $sql);
	like(does(q{SET lock_timeout = '500ms'; SELECT pgseal.destroy_key('k', 'k')}), $refusal, "$name: the key is not destroyed");
	$session->query('COMMIT');
	$session->quit;
	is(does("SELECT id, a FROM $table"), '1|precious', "$name: and opens");
	like(does(q{SELECT pgseal.destroy_key('k', 'k')}), qr/it is needed.*1 values in 1 columns/s, "$name: then it is needed");
}

# What nobody can wait for doesn't commit
for my $case (
	[ 'a table made of a query', q{CREATE TABLE new AS SELECT 1 AS id, 'precious'::text::encrypted_text('k') AS a}, '' ],
	[ 'one of any key', q{CREATE TABLE new AS SELECT 1 AS id, pgseal.seal('precious'::text, 'k') AS a}, '' ],
	[ 'one whose values a parallel worker sealed', q{CREATE TABLE new AS SELECT id, plain::encrypted_text('k') AS a FROM plain}, '' ],
	[ 'one of any key, likewise', q{CREATE TABLE new AS SELECT id, pgseal.seal(plain, 'k') AS a FROM plain}, '' ],
	[ 'a row, and force', q{INSERT INTO t VALUES (1, 'precious')}, ', force => true' ])
{
	my ($name, $sql, $force) = @$case;

	new_database();
	my $session = started_session('BEGIN', $sql);
	like(does("SELECT pgseal.destroy_key('k', 'k'$force)"), qr/destroying key "k"/, "$name: the key is destroyed");
	$session->query('COMMIT');
	$session->quit;
	is(does(q{SELECT count(*) FROM t UNION ALL SELECT count(*) FROM pg_class WHERE relname = 'new'}), "0\n0",
		"$name: what was sealed before does not commit");
}

# Of so many keys a leader doesn't learn by which its workers sealed
my $many = q{SELECT count(pgseal.create_key('p' || i)) FROM generate_series(1, 40) i;
	CREATE TABLE names AS SELECT 'p' || i AS name FROM generate_series(1, 40) i};
my $seal_many = q{CREATE TABLE new AS SELECT pgseal.seal(name, name) AS a FROM names};
new_database();
is(does("$many; $seal_many; SELECT count(a::text) FROM new"), "40\n40", 'parallel workers seal under many keys');
does('DROP TABLE new');
my $leader = started_session('BEGIN', $seal_many);
like(does(q{SELECT pgseal.destroy_key('p40', 'p40')}), qr/destroying key "p40"/, 'one of them is destroyed');
like($leader->query('COMMIT') . $leader->{stderr}, qr/keys were changed while parallel workers sealed/, 'what they sealed does not commit');
$leader->quit;
is(does(q{SELECT to_regclass('new') IS NULL}), 't', 'nothing of it is left');

# While the key is being destroyed
new_database();
my $session = started_session('BEGIN', q{SELECT pgseal.destroy_key('k', 'k')});
like(does(q{SET lock_timeout = '500ms'; INSERT INTO t VALUES (1, 'precious')}), qr/lock timeout/, 'who inserts waits');
$session->query('ROLLBACK');
$session->quit;
is(does(q{INSERT INTO t VALUES (1, 'precious'); SELECT id, a FROM t}), '1|precious', 'and goes on when it was rolled back');

# Prepared transactions commit without being asked
new_database();
does(q{SELECT pgseal.create_key('people'); SELECT pgseal.create_key('p' || i, parent => 'people') FROM generate_series(1, 100) i});
does(q{BEGIN; CREATE TABLE new AS SELECT 1 AS id, 'precious'::text::encrypted_text('k') AS a; PREPARE TRANSACTION 'one'});
like(does(q{SET lock_timeout = '500ms'; SELECT pgseal.destroy_key('k', 'k')}), qr/lock timeout/, 'prepared: the key is not destroyed');
is(does(q{COMMIT PREPARED 'one'; SELECT id, a FROM new}), '1|precious', 'prepared: and opens');
does(q{BEGIN; CREATE TABLE many AS SELECT pgseal.seal('precious'::text, 'p' || i) AS a FROM generate_series(1, 100) i; PREPARE TRANSACTION 'many'});
like(does(q{SET lock_timeout = '500ms'; SELECT pgseal.destroy_key('p100', 'p100')}), qr/lock timeout/, 'prepared with many keys: none is destroyed');
is(does(q{COMMIT PREPARED 'many'; SELECT count(a::text) FROM many}), 100, 'prepared with many keys: all open');

# A procedure keeps values over its COMMITs
sub procedure
{
	my ($take, $settings) = @_;

	new_database();
	does(qq{INSERT INTO t VALUES (0, 'zero'), (1, 'precious');
		CREATE TABLE stop (); CREATE TABLE going ();
		CREATE PROCEDURE p() LANGUAGE plpgsql AS \$\$ DECLARE v t.a%TYPE; BEGIN
			$take; DROP TABLE going; COMMIT;
			WHILE to_regclass('stop') IS NOT NULL LOOP PERFORM pg_sleep(0.05); COMMIT; END LOOP;
			INSERT INTO t VALUES (2, v); COMMIT; END \$\$});
	my $session = $node->background_psql($db, on_error_stop => 0);
	$session->query($settings) if $settings;
	$session->query_until(qr/started/, "\\echo started\nCALL p();\n");
	ok($node->poll_query_until($db, q{SELECT to_regclass('going') IS NULL}), 'the procedure has its value');
	return $session;
}

sub version_is_retired
{
	does(q{SELECT pgseal.rotate_key('k')});
	ok($node->poll_query_until($db, q{SELECT retired IS NOT NULL FROM pgseal.key_version
		WHERE key = 'k' AND purpose = 'd' AND number = 1}), 'its version is retired');
	return;
}

sub procedure_ends
{
	my ($session) = @_;
	does('DROP TABLE stop');
	$session->quit;
	return;
}

for my $take (q{v := 'precious'}, q{DELETE FROM t WHERE id = 1 RETURNING a INTO v})
{
	$session = procedure($take);
	version_is_retired();
	like($node->when_long_retired($db, q{SELECT pgseal.destroy_version('k', 1, 'k')}), qr/may still be in use.*runs a procedure/s, "$take: the version is not destroyed");
	procedure_ends($session);
	is(does('SELECT a FROM t WHERE id = 2'), 'precious', "$take: the value opens");
	unlike($node->when_long_retired($db, q{SELECT pgseal.destroy_version('k', 1, 'k')}), qr/may still be in use/, "$take: then nothing is in the way but the value");
}

$session = procedure(q{DELETE FROM t WHERE id = 0; DELETE FROM t WHERE id = 1 RETURNING a INTO v});
like(does(q{SELECT pgseal.destroy_key('k', 'k')}), qr/may still be in use.*runs a procedure/s, 'nor is a key whose values a procedure has');
procedure_ends($session);
is(does(q{SELECT a FROM t}), 'precious', 'its value opens');

# Where the server doesn't tell what a session does, it is the COMMIT that fails
$session = procedure(q{v := 'precious'}, 'SET track_activities = off');
version_is_retired();
is($node->when_long_retired($db, q{SELECT pgseal.destroy_version('k', 1, 'k')}), '', 'unnoticed, the version is destroyed');
procedure_ends($session);
is(does('SELECT id, a FROM t ORDER BY id'), "0|zero\n1|precious", 'nothing is stored under it');

# What a transaction destroys itself is meant to be lost
new_database();
is(does(q{SET client_min_messages = error; CREATE TABLE other (i int);
	DO $$ BEGIN INSERT INTO anykey VALUES (1, pgseal.seal('x'::text, 'k')); PERFORM pgseal.destroy_key('k', 'k', force => true); COMMIT;
		INSERT INTO other VALUES (1); COMMIT; INSERT INTO other VALUES (2); END $$;
	SELECT count(*) FROM other; SELECT id, pgseal.try_open(a) IS NULL FROM anykey}), "2\n1|t", 'who destroys a key himself goes on');

new_database();
is(does(q{SET client_min_messages = error; BEGIN; INSERT INTO t VALUES (1, 'x');
	INSERT INTO anykey VALUES (1, pgseal.seal('x'::text, 'k')); CREATE TABLE fresh (a encrypted_text); INSERT INTO fresh VALUES ('x');
	DROP EXTENSION pgseal CASCADE; COMMIT;
	SELECT count(*) FROM pg_extension WHERE extname = 'pgseal'}), 0, 'who has sealed may drop the extension');

# Index keys: what is sealed stays when the transaction is rolled back
sub index_holds
{
	my ($name, $sql, $expected) = @_;

	new_database();
	does(q{INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 50) i; CREATE INDEX ON t USING sealed (a)});
	$sql = [$sql] unless ref $sql;
	does($_) for @$sql;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(does(q{SET enable_seqscan = off; INSERT INTO t VALUES (0, 'v0', 0);
		SELECT count(*), count(*) FILTER (WHERE a = 'v7') FROM t WHERE a >= 'v'}), $expected, $name);
	return;
}
my $more = q{INSERT INTO t SELECT i, 'w' || i, i FROM generate_series(1, 300) i};

index_holds('rotated and rewrapped, then rolled back', "BEGIN; SELECT pgseal.rotate_index_key('k'); SELECT pgseal.rewrap(); $more; ROLLBACK", '51|1');
index_holds('rewrapped, then rotated, rolled back to a savepoint',
	"BEGIN; SELECT pgseal.rewrap(); SAVEPOINT s; SELECT pgseal.rotate_index_key('k'); $more; ROLLBACK TO s; COMMIT", '51|1');
index_holds('rotated and retired at once', q{BEGIN; SELECT pgseal.rotate_index_key('k'); SELECT pgseal.retire_index_key('k'); COMMIT}, '51|1');
index_holds('the same, rolled back', "BEGIN; SELECT pgseal.rotate_index_key('k'); SAVEPOINT s; SELECT pgseal.retire_index_key('k'); ROLLBACK TO s; $more; ROLLBACK", '51|1');
index_holds('retired, then rolled back', [ q{SELECT pgseal.rotate_index_key('k')}, "BEGIN; SELECT pgseal.retire_index_key('k'); $more; ROLLBACK" ], '51|1');
index_holds('rotated, more rows, retired', [ "BEGIN; SELECT pgseal.rotate_index_key('k'); $more; COMMIT", q{SELECT pgseal.retire_index_key('k')} ], '351|1');
index_holds('a key that comes and goes', "BEGIN; SELECT pgseal.rotate_index_key('k'); $more; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'", '51|1');
new_database();
like(does(q{BEGIN; SELECT pgseal.rotate_index_key('k'); SELECT pgseal.retire_index_key('k')}), qr/was changed in this transaction.*Commit/s, 'which says why');

$node->stop;
done_testing();
