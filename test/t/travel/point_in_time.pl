# Old base backups with the keyring of today: restored as they are, to a point in
# the middle, and to the end. Master keys and keys have been replaced since, others
# made and destroyed, and a rotation and a conversion were under way.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep);

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('main', allows_streaming => 1, has_archiving => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, a encrypted_text, plain text);
	CREATE TABLE c (id int PRIMARY KEY, a text, plain text);
	CREATE TABLE p (id int, a encrypted_text('*'), plain text);
	SELECT pgseal.create_key('people');
	SELECT pgseal.create_key('person:' || i, parent => 'people') FROM generate_series(1, 2) i;
	INSERT INTO t SELECT i, 'old ' || i, 'old ' || i FROM generate_series(1, 2000) i;
	INSERT INTO c SELECT i, 'c ' || i, 'c ' || i FROM generate_series(1, 2000) i;
	INSERT INTO p SELECT i, pgseal.seal('p ' || i, 'person:' || i), 'p ' || i FROM generate_series(1, 2) i});
$node->backup('first');

# All that has a twin is like it; what was erased is gone
my $wrong = q{SELECT (SELECT count(*) FROM t WHERE a::text IS DISTINCT FROM plain)
	+ (SELECT count(*) FROM c WHERE a::text IS DISTINCT FROM plain)
	+ (SELECT count(*) FROM p WHERE pgseal.try_open(a) IS DISTINCT FROM plain)};
my $retired = q{SELECT count(*) = 1 FROM pgseal.key_version WHERE key = 'public.t' AND purpose = 'd' AND wrapped IS NOT NULL AND retired IS NULL};

sub now { return $node->safe_psql('postgres', q{SELECT pg_current_wal_flush_lsn()}); }

my %point = (before => now());
$node->safe_psql('postgres', q{SELECT pgseal.rotate_master_key('local_keyring'); SELECT pgseal.rewrap('local_keyring')});
$node->safe_psql('postgres', q{CREATE TABLE later (a encrypted_text('later')); INSERT INTO later VALUES ('later')});

# In the midst of a rotation
$node->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 1\npgseal.reencrypt_delay = 1000");
$node->reload;
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('public.t')});
ok($node->poll_query_until('postgres', q{SELECT max(values_resealed) > 100 FROM pgseal.progress_reencrypt}), 'a rotation is under way');
$point{rotating} = now();

# In the midst of a conversion, which is slow enough to be seen
my $conversion = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{CALL pgseal.encrypt_column('c', 'a')} ],
	'>', \my $out, '2>', \my $err);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pgseal_internal.conversion}), 'a conversion is under way');
$node->backup('converting');
$point{converting} = now();
my $standby = SealedNode->from_backup('standby', $node, 'converting', has_streaming => 1, conf => 'archive_mode = off');
$node->wait_for_catchup($standby);

# The standby takes over in the middle of both
$standby->promote;
is($standby->safe_psql('postgres', $wrong), 0, 'promoted in the middle: every value is right');
$standby->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 100\npgseal.reencrypt_delay = 0");
$standby->reload;
$standby->safe_psql('postgres', q{CALL pgseal.encrypt_column('c', 'a')});
ok($standby->poll_query_until('postgres', $retired), 'and finishes the rotation');
is($standby->safe_psql('postgres', q{SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'c'::regclass AND attname = 'a'}),
	'encrypted_text', 'and the conversion');
is($standby->safe_psql('postgres', $wrong), 0, 'with every value');
$standby->stop;

# The primary goes on to the end
$node->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 100\npgseal.reencrypt_delay = 0");
$node->reload;
# SIGHUP ends the pauses of a call that began with longer ones
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL pgseal%'});
IPC::Run::run([ 'sh', '-c', "while kill -HUP $pid; do sleep 0.05; done" ], '2>', '/dev/null');
$conversion->finish;
ok($node->poll_query_until('postgres', $retired), 'the primary finishes as well');
my $destroyed;
for (1 .. 180)
{
	(undef, undef, $destroyed) = $node->psql('postgres', q{SELECT pgseal.destroy_version('public.t', 1, 'public.t')});
	last if $destroyed eq '';
	sleep 1;
}
is($destroyed, '', 'and destroys the old version');
$node->safe_psql('postgres', q{SELECT pgseal.destroy_key('person:1', 'person:1', force => true);
	UPDATE p SET plain = NULL WHERE id = 1; SELECT pgseal.rotate_master_key('local_keyring'); SELECT pgseal.rewrap('local_keyring')});
is($node->safe_psql('postgres', $wrong), 0, 'every value is right');
$point{end} = now();
$node->safe_psql('postgres', 'SELECT pg_switch_wal(); CHECKPOINT');
my $segment = $node->safe_psql('postgres', q{SELECT pg_walfile_name(pg_current_wal_lsn())});
$node->safe_psql('postgres', q{INSERT INTO t VALUES (0, 'x', 'x'); SELECT pg_switch_wal()});
ok($node->poll_query_until('postgres', qq{SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver}), 'its WAL is archived');
$node->stop;

# Whatever the backup and the point
for my $case ([ 'first', 'before' ], [ 'first', 'rotating' ], [ 'first', 'converting' ], [ 'converting', 'end' ])
{
	my ($backup, $point) = @$case;
	my $name = "backup \"$backup\" to \"$point\"";
	my $restored = SealedNode->from_backup("${backup}_$point", $node, $backup, has_restoring => 1, standby => 0, conf => "archive_mode = off\nrecovery_target_timeline = 'current'
recovery_target_lsn = '$point{$point}'\nrecovery_target_action = 'promote'
pgseal.reencrypt_batch = 100\npgseal.reencrypt_delay = 0");
	ok($restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), "$name: is there");
	is($restored->safe_psql('postgres', $wrong), 0, "$name: every value is right");
	is($restored->safe_psql('postgres', q{SELECT count(a) FROM later}), 1, "$name: those of later keys as well") if $point ne 'before';
	# The worker does what is left, and anew
	$restored->safe_psql('postgres', q{SELECT pgseal.rotate_key('public.t'); INSERT INTO t VALUES (-1, 'new', 'new'); SELECT pgseal.rewrap('local_keyring')});
	ok($restored->poll_query_until('postgres', $retired), "$name: rotations end");
	is($restored->safe_psql('postgres', $wrong), 0, "$name: every value is right after that");
	$restored->stop;
}

done_testing();
