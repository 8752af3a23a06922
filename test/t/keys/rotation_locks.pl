# Re-encryption waits for nobody: it skips rows and tables that others have
# locked, and comes back for them.  DDL doesn't wait for it.  Extension and
# database can be dropped while it runs.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('locks', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 1
pgseal.reencrypt_delay = 500
autovacuum = off
max_prepared_transactions = 2
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int PRIMARY KEY, v encrypted_text('k'));
	CREATE TABLE u (id int PRIMARY KEY, v encrypted_text('k'));
	CREATE TABLE w (v encrypted_text('k'));
	INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i;
	INSERT INTO u SELECT i, 'v' || i FROM generate_series(1, 1000) i;
});

# A session that stays open; returns what its statements print
my ($in, $out, $timer) = ('', '', IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
my $session = IPC::Run::start(
	[ 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, 'postgres' ],
	'<', \$in, '>', \$out, '2>', '/dev/null', $timer);

sub is_done
{
	$timer->start;
	$session->pump until $out =~ /^done$/m || $timer->is_expired;
	die "the session says nothing more: $out" if $out !~ /^done$/m;
	return;
}

sub in_session
{
	my ($sql) = @_;
	$out = '';
	$in .= "$sql\n\\echo done\n";
	is_done();
	return $out =~ s/done\n//r;
}

my $stale = 'SELECT count(*) FROM %s WHERE NOT (pgseal.inspect(v)).current';

# The locks are younger than what the rotation waits for, so that the round can
# begin; and there before it does
in_session(q{SELECT pgseal.rotate_key('k');
	DO $$ BEGIN
		FOR i IN 1..10000 LOOP
			COMMIT;
			EXIT WHEN EXISTS (SELECT FROM pgseal_internal.rotation WHERE settled);
			PERFORM pg_sleep(0.005);
		END LOOP;
	END $$;
	BEGIN;
	SELECT id FROM t WHERE id IN (1, 500) FOR UPDATE;
	LOCK TABLE u IN SHARE MODE;});
$node->append_conf('postgresql.conf', 'pgseal.reencrypt_delay = 0');
$node->reload;
ok($node->poll_query_until('postgres', sprintf("$stale", 't'), '2'),
	'all rows but the locked ones are re-encrypted');
is($node->safe_psql('postgres', sprintf($stale, 'u')), 1000, 'and none of the locked table');
ok($node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pgseal.progress_reencrypt WHERE "table" = 'u'::regclass AND phase = 'locked'}),
	'which the progress view names');
is($node->safe_psql('postgres', q{SELECT rows_skipped FROM pgseal.progress_reencrypt WHERE "table" = 't'::regclass}), 2,
	'and the rows that were skipped');
is($node->safe_psql('postgres', q{SELECT retired IS NULL FROM pgseal.key_versions WHERE key = 'k' AND purpose = 'data' AND version = 1}),
	't', 'the old version is not retired');
$node->safe_psql('postgres', q{SET lock_timeout = '2s'; ALTER TABLE w ADD COLUMN x int});
pass('a change of the table does not wait');
my ($status, $stdout, $stderr) = $node->psql('postgres', q{SELECT pgseal.destroy_version('k', 1, 'k')});
like($stderr, qr/version 1 of key "k" is not retired/, 'nor can it be destroyed');

in_session('UPDATE t SET id = -1 WHERE id = 1; COMMIT;');
ok($node->poll_query_until('postgres', q{SELECT retired IS NOT NULL FROM pgseal.key_versions
	WHERE key = 'k' AND purpose = 'data' AND version = 1}), 'once the locks are gone, the round is repeated');
is($node->safe_psql('postgres', sprintf("$stale", 't')) + $node->safe_psql('postgres', sprintf($stale, 'u')), 0,
	'no value is left under the old version');
is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE v::text = 'v' || abs(id)}), 1000, 'every value is what it was');

# A transaction that has read before the retirement
in_session('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;');
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('k')});
ok($node->poll_query_until('postgres', q{SELECT phase FROM pgseal.progress_reencrypt}, 'waiting for older transactions'),
	'a round waits for transactions that may seal under the old version');
sleep 2;
is($node->safe_psql('postgres', q{SELECT phase FROM pgseal.progress_reencrypt}), 'waiting for older transactions', 'and goes on waiting');
in_session('COMMIT;');
ok($node->poll_query_until('postgres', q{SELECT retired IS NOT NULL FROM pgseal.key_versions
	WHERE key = 'k' AND purpose = 'data' AND version = 2}), 'and begins when they have ended');
in_session('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;');
$node->destroys_version('postgres', 'k', 2);
is(in_session(q{SELECT count(*) FROM t WHERE v::text = 'v' || abs(id); COMMIT;}), "1000\n",
	'a version that no transaction can need is destroyed');

# A transaction that sealed by the old version, but began to write only after the
# rotation: what it will commit is waited for, also when it is prepared
$node->safe_psql('postgres', q{
	SELECT pgseal.create_key('late');
	CREATE TABLE late (v encrypted_text('late'));
	CREATE FUNCTION write_late() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE sealed encrypted_text('late') := 'late';
	BEGIN
		FOR i IN 1 .. 10000 LOOP
			PERFORM pg_sleep(0.01);
			EXIT WHEN EXISTS (SELECT FROM pgseal_internal.rotation);
		END LOOP;
		INSERT INTO late VALUES (sealed);
	END $$});
$out = '';
$in .= "BEGIN; SELECT write_late(); PREPARE TRANSACTION 'late';\n\\echo done\n";
$session->pump_nb;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE query ~ '^SELECT write_late' AND wait_event = 'PgSleep'}), 'a statement has sealed a value');
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('late')});
is_done();
sleep 3;
is($node->safe_psql('postgres', q{SELECT retired IS NULL FROM pgseal.key_versions
	WHERE key = 'late' AND purpose = 'data' AND version = 1}), 't', 'a prepared transaction with it keeps the version in use');
$node->safe_psql('postgres', q{COMMIT PREPARED 'late'});
ok($node->poll_query_until('postgres', q{SELECT retired IS NOT NULL FROM pgseal.key_versions
	WHERE key = 'late' AND purpose = 'data' AND version = 1}), 'until it is committed');
is($node->safe_psql('postgres', q{SELECT v, (pgseal.inspect(v)).version FROM late}), 'late|2', 'its value is re-encrypted');
$node->destroys_version('postgres', 'late', 1);

# DROP DATABASE gets its turn while a long rotation goes on
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (v encrypted_text);
	INSERT INTO t SELECT repeat('x', 100) FROM generate_series(1, 20000)});
$node->append_conf('postgresql.conf', 'pgseal.reencrypt_delay = 100');
$node->reload;
$node->safe_psql('other', q{SELECT pgseal.rotate_key('public.t')});
ok($node->poll_query_until('other', q{SELECT count(*) = 1 FROM pgseal.progress_reencrypt WHERE blocks_scanned > 3}),
	'a long rotation is under way');
$node->safe_psql('postgres', 'DROP DATABASE other');
pass('its database can be dropped');

# So does DROP EXTENSION
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('k')});
$node->safe_psql('postgres', 'DROP TABLE t, u, w, late; DROP FUNCTION write_late; DROP EXTENSION pgseal; CREATE EXTENSION pgseal');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgseal.keys'), 0, 'the extension can be dropped and made again');

$session->kill_kill;
$node->stop;
done_testing();
