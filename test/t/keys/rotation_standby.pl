# A hot standby follows a rotation and loses a destroyed key; promoted, its own
# worker takes over.  Keys rotate by themselves when they have sealed enough.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $primary = SealedNode->started('primary', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
});
$primary->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int PRIMARY KEY, v encrypted_text);
	CREATE INDEX ON t (blind_index(v));
	INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 2000) i;
	SELECT pgseal.create_key('people');
	SELECT pgseal.create_key('person:1', parent => 'people');
	SELECT pgseal.create_key('person:2', parent => 'people');
	CREATE TABLE p (id int, v encrypted_text('*'));
	INSERT INTO p VALUES (1, pgseal.seal('one'::text, 'person:1')), (2, pgseal.seal('two'::text, 'person:2'));
});
$primary->backup('backup');
my $standby = SealedNode->from_backup('standby', $primary, 'backup', has_streaming => 1);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

my $all = q{SELECT count(*) FROM t WHERE v::text = 'v' || id};
my $old = q{SELECT count(*) FROM t WHERE NOT (pgseal.inspect(v)).current};
my $retired = q{SELECT count(*) = 0 FROM pgseal.key_versions o JOIN pgseal.key_versions n USING (key, purpose)
	WHERE n.version > o.version AND o.retired IS NULL};

is($standby->safe_psql('postgres', $all), 2000, 'the standby opens all values');

$primary->safe_psql('postgres', q{SELECT pgseal.rotate_key('public.t')});
ok($primary->poll_query_until('postgres', $retired), 'rotated on the primary');
is($primary->safe_psql('postgres', $old), 0, 'no value is under the old version');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
is($standby->safe_psql('postgres', $all), 2000, 'the standby opens all values under the new version');
is($standby->safe_psql('postgres', $old), 0, 'and they are the new ones');
is($standby->safe_psql('postgres', q{SELECT id FROM t WHERE v = 'v77'}), 77, 'its blind index finds them');

# Erasure
is($standby->safe_psql('postgres', 'SELECT v FROM p ORDER BY id'), "one\ntwo", 'the standby opens child keys');
$primary->safe_psql('postgres', q{SELECT pgseal.destroy_key('person:1', 'person:1', force => true)});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
is($standby->safe_psql('postgres', 'SELECT id, pgseal.try_open(v) FROM p ORDER BY id'), "1|\n2|two",
	'a destroyed key is gone on the standby, too');
my ($status, $stdout, $stderr) = $standby->psql('postgres', 'SELECT v FROM p WHERE id = 1');
like($stderr, qr/version 1 of key "person:1" was destroyed/, 'and says so');

# A rotation that the primary has begun and doesn't finish
$primary->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 1\npgseal.reencrypt_delay = 1000");
$primary->reload;
$primary->safe_psql('postgres', q{SELECT pgseal.rotate_key('public.t')});
ok($primary->poll_query_until('postgres', q{SELECT max(values_resealed) > 100 FROM pgseal.progress_reencrypt}),
	'the primary is in the midst of a rotation');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
$primary->stop('immediate');
cmp_ok($standby->safe_psql('postgres', $old), '<', 2000, 'the standby has rows under the new version');
cmp_ok($standby->safe_psql('postgres', $old), '>', 0, 'and under the old one');
is($standby->safe_psql('postgres', $all), 2000, 'and opens both');
my $scanned = $standby->safe_psql('postgres', 'SELECT max(blocks_scanned) FROM pgseal.progress_reencrypt');
cmp_ok($scanned, '>', 5, 'it knows how far the primary has come');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query = 're-encrypt'}), 0,
	'its worker leaves that alone');
$standby->promote;
ok($standby->poll_query_until('postgres', $retired), 'promoted, it finishes the rotation');
is($standby->safe_psql('postgres', $all), 2000, 'with all values');
is($standby->safe_psql('postgres', $old), 0, 'under the new version');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pgseal.events WHERE key = 'public.t' AND event = 'reencrypt_began'}),
	2, 'without beginning anew');
$standby->destroys_version('postgres', 'public.t', $_) for 1, 2;
is($standby->safe_psql('postgres', $all), 2000, 'the old versions are not needed');

# Enough seals make a new version
$standby->safe_psql('postgres', q{
	ALTER SYSTEM SET pgseal.max_seals_per_key = 1024;
	SELECT pg_reload_conf();
	SELECT pgseal.create_key('busy');
	CREATE TABLE b (v encrypted_int4('busy'))});
$standby->safe_psql('postgres', 'INSERT INTO b SELECT i FROM generate_series(1, 3000) i');
ok($standby->poll_query_until('postgres', q{
	SELECT count(*) > 0 FROM pgseal.events WHERE key = 'busy' AND event = 'key_rotated'
		AND detail = 'reason=max_seals_per_key'}), 'a key rotates when it has sealed enough');
$standby->safe_psql('postgres', q{ALTER SYSTEM RESET pgseal.max_seals_per_key; SELECT pg_reload_conf()});
is($standby->safe_psql('postgres', 'SELECT sum(v) FROM b'), 3000 * 3001 / 2, 'its values are there');

$standby->stop;
done_testing();
