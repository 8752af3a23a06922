# The default key, by which literals are sealed and values hashed: it comes with
# the first other key, however that is made.  Where there is none, and none can be
# made, statements do without it; and no parallel worker is asked for what only its
# leader has or can do.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('primary', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
parallel_leader_participation = off
max_parallel_workers = 4
});

my $big = 'CREATE EXTENSION pgseal; CREATE TABLE big AS SELECT i::text AS p FROM generate_series(1, 5000) i; ANALYZE big;';
my $default = q{SELECT count(*) FROM pgseal.key WHERE name = 'default'};

sub database
{
	my ($name, $sql) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, $big . ($sql // ''));
	return $name;
}

# A database whose only key was made by a value that was no literal
my $db = database('named', q{CREATE TABLE t (a encrypted_text('k')); INSERT INTO t SELECT p FROM big});
is($node->safe_psql($db, $default), 1, 'the default key comes with the first value under another');
my $grouped = q{BEGIN READ ONLY; SET enable_sort = off; SELECT count(*) FROM (SELECT a FROM t WHERE a <> 'none' GROUP BY a) g; COMMIT};
is($node->safe_psql($db, $grouped), 5000, 'GROUP BY, in parallel, in a read-only transaction');

# No key at all
$db = database('empty');
is($node->safe_psql($db, $default), 0, 'CREATE EXTENSION makes none: a dump brings its own');
my $literals = q{BEGIN READ ONLY; SET enable_sort = off; SET max_parallel_workers_per_gather = %d;
	SELECT count(*) FROM (SELECT DISTINCT x FROM (VALUES ('a'::encrypted_text), ('b'), ('a')) v(x)) d;
	SELECT count(*) FROM big WHERE p::encrypted_text = '77';
	SELECT count(*) FROM (SELECT p::encrypted_text AS a FROM big GROUP BY 1) g; COMMIT};
is($node->safe_psql($db, sprintf($literals, $_)), "2\n1\n5000", "read-only, without a key, $_ workers") for 0, 2;
is($node->safe_psql($db, q{PREPARE q AS SELECT count(*) FROM big WHERE p::encrypted_text = $1 AND p::encrypted_text <> 'x';
	BEGIN READ ONLY; EXECUTE q('77'); EXECUTE q('77'); COMMIT;
	CREATE TABLE t (a encrypted_text); EXECUTE q('77'); INSERT INTO t VALUES ('77');
	BEGIN READ ONLY; EXECUTE q('77'); SELECT count(*) FROM (SELECT p::encrypted_text AS a FROM big GROUP BY 1) g; COMMIT}),
	"1\n1\n1\n1\n5000", 'and then there is one');

# A transaction that has hashed by its own key doesn't go on with another
$db = database('overtaken');
my $session = $node->background_psql($db, on_error_stop => 0);
$session->query(q{BEGIN READ ONLY; SET enable_sort = off});
my $distinct = q{SELECT count(*) FROM (SELECT DISTINCT x FROM (VALUES ('a'::encrypted_text), ('b')) v(x)) d};
is($session->query($distinct), 2, 'hashed by a key of its own');
$node->safe_psql($db, q{SELECT pgseal.create_key('k')});
$session->query($distinct);
like($session->{stderr}, qr/default key was made meanwhile/, 'another session makes the default key: try again');
$session->query('ROLLBACK; BEGIN READ ONLY');
is($session->query($distinct), 2, 'the next transaction goes on');
$session->quit;

# Sealing in parallel under a key that has no material yet
$db = database('sealing', q{CREATE TABLE t (a encrypted_text('late'))});
is($node->safe_psql($db, q{SELECT count(p::encrypted_text('late')) FROM big}), 5000, 'which the leader makes');
is($node->safe_psql($db, q{CREATE TABLE u (a encrypted_text('later')); 
	SELECT key, count(*) FROM (SELECT pgseal.seal(p, 'later') AS a FROM big) v, pgseal.inspect(a) GROUP BY 1}), 'later|5000', 'also by name');
like($node->safe_psql($db, q{EXPLAIN SELECT count(p::encrypted_text('late')) FROM big}), qr/Parallel Seq Scan/,
	'with material, there are workers');

# Under a version that is made in the same transaction, and rolled back while code goes on
is($node->safe_psql($db, q{BEGIN; SELECT pgseal.rotate_key('late');
	SELECT count(*) FROM big WHERE p::encrypted_text('late')::text = p;
	CREATE TABLE w AS SELECT p, p::encrypted_text('late') AS a FROM big; COMMIT;
	SELECT count(*) FROM w WHERE a::text = p; SELECT DISTINCT version FROM w, pgseal.inspect(a)}), "2\n5000\n5000\n2",
	'sealed by workers under a version of the same transaction');
$node->safe_psql($db, q{
	DO $$ DECLARE v t.a%TYPE; BEGIN
		BEGIN
			PERFORM pgseal.rotate_key('late');
			EXECUTE $q$SELECT p::encrypted_text('late') FROM big WHERE p = '777'$q$ INTO v;
			PERFORM 1/0;
		EXCEPTION WHEN division_by_zero THEN NULL; END;
		INSERT INTO t VALUES (v);
	END $$});
is($node->safe_psql($db, 'SELECT a FROM t'), '777', 'what was sealed in parallel outlives the rollback');
is($node->safe_psql($db, q{
	CREATE FUNCTION lost() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE v t.a%TYPE; n bigint; BEGIN
		BEGIN
			PERFORM pgseal.rotate_key('late'); v := '77'; PERFORM 1/0;
		EXCEPTION WHEN division_by_zero THEN NULL; END;
		EXECUTE 'SELECT count(*) FROM big WHERE p::encrypted_text = $1' INTO n USING v;
		RETURN n;
	END $$;
	SELECT lost()}), 1, 'and is opened where workers were planned');

# Where its KMS failed at the time, the worker makes it later
$db = database('later', q{CREATE SERVER elsewhere FOREIGN DATA WRAPPER local_keyring OPTIONS (file '} .
	$keyring . q{.elsewhere'); ALTER DATABASE later SET pgseal.default_server = 'gone'});
$node->safe_psql($db, q{SELECT pgseal.create_key('k', server => 'elsewhere')});
is($node->safe_psql($db, $default), 0, 'not without its server');
$node->safe_psql($db, q{ALTER DATABASE later RESET pgseal.default_server; SELECT pgseal.rotate_key('k')});
ok($node->poll_query_until($db, $default, 1), 'the worker makes it');

# On a standby
$node->backup('base');
my $standby = SealedNode->from_backup('standby', $node, 'base', has_streaming => 1);
is($standby->safe_psql('named', $grouped), 5000, 'on a standby: GROUP BY');
$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('bare', $big);
$node->wait_for_catchup($standby);
is($standby->safe_psql('bare', sprintf($literals, $_)), "2\n1\n5000", "on a standby, without a key, $_ workers") for 0, 2;

# Session after session goes on when an old version of it is destroyed
$db = database('literals', q{CREATE TABLE t (id int, a encrypted_text('k'));
	CREATE FUNCTION body() RETURNS encrypted_text LANGUAGE plpgsql AS $$ DECLARE v t.a%TYPE; BEGIN v := 'body'; RETURN v; END $$;
	CREATE FUNCTION inlined() RETURNS bool LANGUAGE sql RETURN 'x'::encrypted_text = 'x';
	CREATE FUNCTION source() RETURNS bool LANGUAGE sql AS $$ SELECT a = 'source' FROM t WHERE id = 1 $$;
	CREATE VIEW seen AS SELECT id FROM t WHERE a = 'source';
	INSERT INTO t VALUES (1, 'source')});
$session = $node->background_psql($db);
my $all = q{SELECT body()::text, inlined(), source(), (SELECT count(*) FROM seen); EXECUTE p; EXECUTE p};
$session->query_safe(q{PREPARE p AS SELECT count(*) FROM t WHERE a = 'source'});
is($session->query_safe($all), "body|t|t|1\n1\n1", 'literals of a session');
$node->safe_psql($db, q{SELECT pgseal.rotate_key('default')});
ok($node->poll_query_until($db, q{SELECT retired IS NOT NULL FROM pgseal.key_version
	WHERE key = 'default' AND purpose = 'd' AND number = 1}), 'the default key is rotated');
like($node->when_long_retired($db, q{SELECT pgseal.destroy_version('default', 1, 'default')}), qr/2 constants.*function public\.inlined\(\).*view public\.seen/s,
	'a version that constants of the catalog need is not destroyed');
$node->safe_psql($db, q{CREATE OR REPLACE FUNCTION inlined() RETURNS bool LANGUAGE sql AS $$ SELECT 'x'::encrypted_text = 'x' $$;
	CREATE OR REPLACE VIEW seen AS SELECT id FROM t WHERE a = 'source';
	SELECT pgseal.destroy_version('default', 1, 'default')});
is($session->query_safe($all), "body|t|t|1\n1\n1", 'sessions go on when the version of their literals is destroyed');
$session->quit;

$_->stop for $node, $standby;
done_testing();
