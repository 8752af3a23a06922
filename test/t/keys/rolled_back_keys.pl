# Keys that are made, and seal, in what is rolled back: no value is stored that
# can't be opened, whatever kept it meanwhile.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('rolled_back', conf => q{
pgseal.worker_interval = 1
max_prepared_transactions = 4
});

my $number = 0;

# Runs statements one after another in a session of a new database; then another
# session reads.
sub stored
{
	my ($name, $sql, $query, $expected) = @_;
	my $db = 'd' . ++$number;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION pgseal');
	my ($ret, $out, $err) = $node->psql($db, $sql, on_error_stop => 0);
	my ($ret2, $out2, $err2) = $node->psql($db, $query);
	is("$out2$err2", $expected, $name) or diag($err);
	return $db;
}

my $table = q{CREATE TABLE t (id int, a encrypted_text('fresh key'));};
my $select = 'SELECT id, a FROM t ORDER BY id';

stored('a variable outlives an exception block', $table . q{
DO $$ DECLARE v t.a%TYPE; BEGIN
  BEGIN v := 'precious'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
  INSERT INTO t VALUES (1, v); END $$;}, $select, '1|precious');

stored('and so where the key is made anew in the same transaction', $table . q{
DO $$ DECLARE v t.a%TYPE; BEGIN
  BEGIN v := 'precious'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
  INSERT INTO t VALUES (1, 'other'); INSERT INTO t VALUES (2, v); END $$;},
	$select, "1|other\n2|precious");

stored('blocks in blocks', $table . q{
DO $$ DECLARE v t.a%TYPE; BEGIN
  BEGIN
    BEGIN v := 'precious'; EXCEPTION WHEN division_by_zero THEN NULL; END;
    BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
    PERFORM 1/0;
  EXCEPTION WHEN division_by_zero THEN NULL; END;
  INSERT INTO t VALUES (1, v); END $$;}, $select, '1|precious');

stored('a procedure that rolls back', $table . q{
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ DECLARE v t.a%TYPE; BEGIN
  v := 'precious'; ROLLBACK; INSERT INTO t VALUES (1, v); COMMIT;
  INSERT INTO t VALUES (2, v); END $$;
CALL p();}, $select, "1|precious\n2|precious");

stored('a procedure that commits nothing first', $table . q{
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ DECLARE v t.a%TYPE; BEGIN
  v := 'precious'; ROLLBACK; PERFORM 1; COMMIT; PERFORM 2; COMMIT;
  INSERT INTO t VALUES (1, v); END $$;
CALL p();}, $select, '1|precious');

stored('the new row of a trigger', $table . q{
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  BEGIN NEW.a := 'precious'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
  RETURN NEW; END $$;
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
INSERT INTO t (id) VALUES (1);}, $select, '1|precious');

stored('a variable of another type, and a temporary table', $table . q{
DO $$ DECLARE v encrypted_text; w text; BEGIN
  BEGIN v := pgseal.seal('precious'::text, 'fresh key'); PERFORM 1/0;
  EXCEPTION WHEN division_by_zero THEN NULL; END;
  CREATE TEMP TABLE x AS SELECT 1 AS id, v::encrypted_text('fresh key') AS a;
  INSERT INTO t SELECT * FROM x; END $$;}, $select, '1|precious');

stored('a rotation that is rolled back', q{
SELECT pgseal.create_key('fresh key');} . $table . q{
DO $$ DECLARE v t.a%TYPE; BEGIN
  BEGIN PERFORM pgseal.rotate_key('fresh key'); v := 'precious'; PERFORM 1/0;
  EXCEPTION WHEN division_by_zero THEN NULL; END;
  INSERT INTO t VALUES (1, v); INSERT INTO t VALUES (2, 'next'); END $$;},
	$select, "1|precious\n2|next");

stored('an error in the statement that rotated', q{
SELECT pgseal.create_key('fresh key');} . $table . q{
SELECT r, s IS NOT NULL, 1/(r-r) FROM (SELECT pgseal.rotate_key('fresh key') r,
  pgseal.seal('x'::text, 'fresh key') s OFFSET 0) q;
INSERT INTO t VALUES (1, 'y');}, $select, '1|y');

my $named = q{SELECT pgseal.create_key('k');
CREATE TABLE t (id int, a encrypted_text('k'));
CREATE FUNCTION add(i int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (i, 'active'); END $$;};

stored('a literal in a cached plan', $named . q{
BEGIN; SELECT add(1); ROLLBACK; SELECT add(2); SELECT add(3);},
	$select, "2|active\n3|active");

stored('the same after a savepoint', $named . q{
BEGIN; SAVEPOINT s; SELECT add(1); ROLLBACK TO s; SELECT add(2); COMMIT; SELECT add(3);},
	$select, "2|active\n3|active");

stored('a prepared statement', $named . q{
BEGIN; PREPARE p AS INSERT INTO t VALUES ($1, 'active'); EXECUTE p(1); ROLLBACK;
EXECUTE p(2); SELECT pgseal.rotate_key('k'); EXECUTE p(3);},
	$select, "2|active\n3|active");

stored('a prepared transaction that is rolled back', $named . q{
BEGIN; SELECT add(1); PREPARE TRANSACTION 'x'; ROLLBACK PREPARED 'x'; SELECT add(2);},
	$select, '2|active');

stored('and one that commits later', $named . q{
BEGIN; SELECT add(1); PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; SELECT add(2);},
	$select, "1|active\n2|active");

stored('what a client rolls back leaves no key behind', q{
BEGIN; CREATE TABLE gone (a encrypted_text); INSERT INTO gone VALUES ('x'); ROLLBACK;
BEGIN; SAVEPOINT s; CREATE TABLE gone (a encrypted_text); INSERT INTO gone VALUES ('x');
ROLLBACK TO s; CREATE TABLE stays (id int); COMMIT;},
	q{SELECT key FROM pgseal.key_versions WHERE key LIKE '%gone'}, '');

# A version that was kept is an ordinary one: re-encryption takes its values away
my $db = stored('a version that was kept, and another', $table . q{
DO $$ DECLARE v t.a%TYPE; BEGIN
  BEGIN v := 'precious'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
  INSERT INTO t VALUES (1, v); END $$;
SELECT pgseal.rotate_key('fresh key');}, $select, '1|precious');
ok($node->poll_query_until($db, q{SELECT retired IS NOT NULL FROM pgseal.key_version
	WHERE key = 'fresh key' AND purpose = 'd' AND number = 1}), 'it is retired in the end');

# Literals in plans of a session don't hold on to an old version of the default key
$node->safe_psql('postgres', 'CREATE DATABASE literals');
$node->safe_psql('literals', 'CREATE EXTENSION pgseal;' . $named);
my $session = $node->background_psql('literals');
$session->query_safe(q{PREPARE p AS INSERT INTO t VALUES ($1, 'active')});
$session->query_safe(q{EXECUTE p(1)});
$node->safe_psql('literals', q{SELECT pgseal.rotate_key('default')});
ok($node->poll_query_until('literals', q{SELECT retired IS NOT NULL FROM pgseal.key_version
	WHERE key = 'default' AND purpose = 'd' AND number = 1}), 'the default key is rotated');
$node->destroys_version('literals', 'default', 1);
$session->query_safe(q{EXECUTE p(2)});
is($session->query_safe('SELECT id, a FROM t ORDER BY id'), "1|active\n2|active",
	'a plan with a literal goes on when its version is destroyed');
$session->quit;

# The default key is there as soon as any key is, so that literals have one where none can be made
$node->safe_psql('postgres', 'CREATE DATABASE named');
$node->safe_psql('named', q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('k');
	CREATE TABLE t (id int, a encrypted_text('k'));});
is($node->safe_psql('named', q{SELECT count(*) FROM pgseal.key WHERE name = 'default'}), '1',
	'a database with a named key has a default key');
is($node->safe_psql('named', q{BEGIN READ ONLY; SELECT a, count(*) FROM t WHERE a = 'x' GROUP BY a; COMMIT;
	SELECT 'grouped'}), 'grouped', 'GROUP BY in a read-only transaction');
$node->safe_psql('named', q{CREATE DATABASE elsewhere});
my ($rc, $stdout, $stderr) = $node->psql('elsewhere', q{CREATE EXTENSION pgseal;
	SET pgseal.default_server = 'none';
	CREATE SERVER s FOREIGN DATA WRAPPER local_keyring;
	SELECT pgseal.create_key('k', server => 's')});
is($rc, 0, 'where it cannot be made, other keys can') or diag($stderr);

# What no key of this database has sealed isn't stored
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('k');});
my $foreign = $node->safe_psql('other',
	q{SET pgseal.transparent = off; SELECT pgseal.seal('x'::text, 'k')});
my ($ret, $out, $err) = $node->psql('literals',
	qq{INSERT INTO t SELECT 9, v::encrypted_text FROM (SELECT '$foreign'::encrypted_text AS v OFFSET 0) q});
isnt($ret, 0, 'a value under an unknown key version is refused');
like($err, qr/is not known in this database|sealed/, 'with the reason');

$node->stop;
done_testing();
