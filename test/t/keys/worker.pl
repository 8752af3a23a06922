# The launcher and its workers: they stand in nobody's way, come back after an
# error, end when the server does, and say what they can't do.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(time);

my $node = SealedNode->started('worker', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 1
autovacuum = off
log_statement = none
});

my $rows = 2500;
my $stale = 'SELECT count(*) FROM t WHERE NOT (pgseal.inspect(v)).current';
my $lost = q{SELECT count(*) FROM t WHERE v::text IS DISTINCT FROM repeat('v' || id, 20)};
my $retired = q{SELECT count(*) = 0 FROM pgseal.key_versions o JOIN pgseal.key_versions n USING (key, purpose)
	WHERE n.version > o.version AND o.retired IS NULL};
my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgseal worker' AND datname = '%s'};

sub make_database
{
	my ($db) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, qq{
		CREATE EXTENSION pgseal;
		CREATE TABLE t (id int, v encrypted_text);
		INSERT INTO t SELECT i, repeat('v' || i, 20) FROM generate_series(1, $rows) i});
	return;
}

# So slow that it doesn't end meanwhile, or as fast as it can
sub pace
{
	my ($delay) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.reencrypt_delay = $delay");
	$node->reload;
	return;
}

# Rotates the key of t, and returns when its re-encryption is under way
sub rotate
{
	my ($db) = @_;
	my $blocks = q{SELECT coalesce(max(blocks_scanned), 0) FROM pgseal.progress_reencrypt};

	pace(500);
	$node->safe_psql($db, q{SELECT pgseal.rotate_key('public.t')});
	$node->poll_query_until($db, "SELECT ($blocks) > 3") or die 'the rotation does not begin';
	return $node->safe_psql($db, $blocks);
}

sub finishes
{
	my ($db, $name) = @_;

	pace(0);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until($db, $retired), "$name: the rotation is finished");
	is($node->safe_psql($db, $stale), 0, "$name: no value is under the old version");
	is($node->safe_psql($db, $lost), 0, "$name: every value is what it was");
	return;
}

sub logged
{
	my ($pattern, $offset) = @_;
	return slurp_file($node->logfile, $offset) =~ $pattern;
}

#
# Progress, events and log
#

make_database('one');
my $first = rotate('one');
cmp_ok($node->safe_psql('one', q{SELECT min(blocks_total) FROM pgseal.progress_reencrypt}), '>', $first,
	'the progress view tells how far the way is');
ok($node->poll_query_until('one', "SELECT max(blocks_scanned) > $first FROM pgseal.progress_reencrypt"),
	'and moves on');
finishes('one', 'undisturbed');
is($node->safe_psql('one', q{SELECT string_agg(event, ' ' ORDER BY at) FROM pgseal.events
	WHERE event IN ('key_rotated', 'reencrypt_began', 'version_retired')}),
	'key_rotated reencrypt_began version_retired', 'each step is an event');
ok(logged(qr/pgseal: event=$_ key="public.t" version=\w+/, 0), "$_ is logged")
  for qw(key_rotated reencrypt_began version_retired);

#
# Errors and signals
#

rotate('one');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM (' . sprintf($worker, 'one') . ') x');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pgseal worker'});
my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgseal launcher'};
my $pid = $node->safe_psql('postgres', $launcher);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($launcher) x WHERE pid <> $pid"),
	'another launcher is started when one has ended');
finishes('one', 'worker and launcher terminated');

# One table that can't be done doesn't keep the others; it is named, and tried
# again when the round is over
$node->safe_psql('one', q{
	CREATE FUNCTION broken(encrypted_text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT setting FROM public.setting) THEN RAISE 'out of order'; END IF;
		RETURN 1;
	END $$;
	CREATE TABLE setting AS SELECT false AS setting;
	CREATE TABLE odd (v encrypted_text('public.t'));
	CREATE INDEX ON odd (broken(v));
	INSERT INTO odd VALUES ('x');
	UPDATE setting SET setting = true});
$node->safe_psql('one', q{SELECT pgseal.rotate_key('public.t')});
ok($node->poll_query_until('one', q{SELECT count(*) = 1 FROM pgseal.progress_reencrypt
	WHERE "table" = 'odd'::regclass AND phase = 'untouchable' AND detail = 'out of order'}), 'a table that fails is named');
ok($node->poll_query_until('one', $stale, '0'), 'others are re-encrypted');
is($node->safe_psql('one', $retired), 'f', 'the old version is not retired');
$node->safe_psql('one', 'UPDATE setting SET setting = false');
finishes('one', 'after the error is gone');
is($node->safe_psql('one', 'SELECT (pgseal.inspect(v)).current FROM odd'), 't', 'also in that table');

#
# Databases
#

rotate('one');
$node->safe_psql('postgres', 'ALTER DATABASE one RENAME TO two');
pass('a database can be renamed while a worker is in it');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE two');
pass('copied');
my $tablespace = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
$node->safe_psql('postgres', 'ALTER DATABASE two SET TABLESPACE elsewhere');
pass('moved');
finishes('two', 'renamed and moved');
finishes('copy', 'the copy');

rotate('two');
$node->safe_psql('postgres', 'ALTER DATABASE copy ALLOW_CONNECTIONS false');
$node->safe_psql('postgres', 'DROP DATABASE copy');
$node->safe_psql('postgres', 'ALTER DATABASE two ALLOW_CONNECTIONS false');
# A worker that was just being started may still be turned away
sleep 4;
my $offset = -s $node->logfile;
sleep 3;
is($node->safe_psql('postgres', sprintf($worker, 'two')), '', 'a database that allows no connections has no worker');
ok(!logged(qr/FATAL/, $offset), 'and none fails there');
$node->safe_psql('postgres', 'ALTER DATABASE two ALLOW_CONNECTIONS true');
finishes('two', 'after connections are allowed again');

# Dropped at once (after five seconds it would be an error), without an error of
# anybody's, however often it is tried
for my $i (1 .. 2)
{
	make_database('gone');
	rotate('gone');
	$offset = -s $node->logfile;
	$node->safe_psql('postgres', 'DROP DATABASE gone');
	pass("database dropped while it is re-encrypted, $i");
	ok(!logged(qr/ERROR|FATAL/, $offset), 'nothing failed');
}

#
# The server
#

make_database('gone');
rotate('two');
rotate('gone');
my $began = time;
$node->stop('fast');
cmp_ok(time - $began, '<', 60, 'a fast shutdown does not wait for the re-encryption');
ok(!logged(qr/PANIC|was terminated by signal/, 0), 'which was orderly');

# No place for a worker: said, and made good
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$offset = -s $node->logfile;
$node->start;
for (1 .. 300)
{
	last if logged(qr/no background worker slot is free/, $offset);
	select(undef, undef, undef, 0.1);
}
ok(logged(qr/pgseal: no background worker slot is free for database \d+\n.*HINT:  Raise max_worker_processes/, $offset),
	'a lack of worker slots is logged, with what to do');
is($node->safe_psql('two', $lost), 0, 'sessions go on without a worker');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
finishes($_, "after the restart, $_") for qw(two gone);

$node->stop;
done_testing();
