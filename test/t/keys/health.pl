# pgseal.health: what is wrong, as who monitors sees it, without a call of a KMS;
# while the KMS is down, and on a standby.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $primary = SealedNode->started('primary', allows_streaming => 1, conf => q{
pgseal.worker_interval = 1
pgseal.cache_size = 64
});

# A KMS that can be taken away, and that counts its calls
append_to_file("$dir/master", '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
append_to_file("$dir/calls", '');
sub calls { return -s "$dir/calls"; }
sub take_away { rename("$dir/master", "$dir/away") or die "rename: $!"; return; }
sub bring_back { rename("$dir/away", "$dir/master") or die "rename: $!"; return; }

$primary->query('postgres', "
	CREATE EXTENSION pgseal;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE ROLE stranger LOGIN;
	CREATE SERVER kms FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'echo >>$dir/calls; cat $dir/master');
	CREATE SERVER unused FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'exit 1');
	CREATE FOREIGN DATA WRAPPER other;
	CREATE SERVER not_ours FOREIGN DATA WRAPPER other;
	SELECT pgseal.create_key('Watched', server => 'kms');
	CREATE TABLE t (id int PRIMARY KEY, v encrypted_text('Watched'));
	INSERT INTO t VALUES (1, 'one')");

sub health
{
	my ($node, $where) = @_;
	return $node->safe_psql('postgres', "SELECT object || ': ' || status FROM pgseal.health WHERE $where ORDER BY 1",
		connstr => $node->connstr('postgres') . ' user=watcher');
}
# Reads meanwhile, with or without success, so that the key is asked for
sub becomes
{
	my ($object, $status, $name) = @_;
	my $is = '';
	for (1 .. 180)
	{
		$primary->psql('postgres', 'SELECT v FROM t');
		$is = $primary->query('postgres', "SELECT status FROM pgseal.health WHERE object = '$object'");
		last if $is eq $status;
		sleep(1);
	}
	return is($is, $status, $name);
}

is(health($primary, "status NOT IN ('ok', 'swappable')"), 'server unused: unknown', 'nothing is wrong');
like(health($primary, 'true'), qr/^key "Watched", data version 1: ok\n.*^server kms: ok\n.*^worker: ok$/ms, 'what there is');
unlike(health($primary, 'true'), qr/not_ours/, 'no other servers');
$primary->fails_like('postgres', 'SET ROLE stranger; SELECT * FROM pgseal.health', qr/42501: permission denied for view health/, 'a stranger');

my $calls = calls();
health($primary, 'true') for 1 .. 3;
is(calls(), $calls, 'no KMS is called');

$primary->backup('before');
my $standby = SealedNode->from_backup('standby', $primary, 'before', has_streaming => 1);
$primary->wait_for_catchup($standby);
is(health($standby, "status NOT IN ('ok', 'unknown', 'swappable')"), '', 'on a standby');
like($standby->safe_psql('postgres', 'SELECT event FROM pgseal.events', connstr => $standby->connstr('postgres') . ' user=watcher'),
	qr/key_created/, 'events, too');

#
# The KMS is down
#

take_away();
$primary->safe_psql('postgres', 'ALTER SYSTEM SET pgseal.cache_ttl = 1');
$primary->safe_psql('postgres', 'ALTER SYSTEM SET pgseal.cache_grace = 3600');
$primary->restart;
$primary->psql('postgres', 'SELECT v FROM t');
becomes('server kms', 'unreachable', 'the server');
becomes('key "Watched", data version 1', 'unreachable', 'a key that nobody has');
bring_back();
ok($primary->poll_query_until('postgres', "SELECT v = 'one' FROM t"), 'it can be read again');
becomes('key "Watched", data version 1', 'ok', 'and is well');
is(health($primary, "object = 'server kms'"), 'server kms: ok', 'so is the server');
sleep(2);
is(health($primary, "status = 'grace'"), '', 'a key that has expired as nobody uses it');
take_away();
becomes('key "Watched", data version 1', 'grace', 'a key whose grace is in use');
like($primary->query('postgres', "SELECT detail FROM pgseal.health WHERE status = 'grace' AND object LIKE '%data%'"), qr/^Its KMS is not reached; it is usable until 20/,
	'it says how long');
bring_back();
ok($primary->poll_query_until('postgres', "SELECT status = 'ok' FROM t, pgseal.health WHERE v = 'one' AND object = 'key \"Watched\", data version 1'"), 'it is over');

#
# A key older than its schedule: rows that are restored, with the KMS down
#

$primary->query('postgres', 'CREATE DATABASE restored');
$primary->query('restored', "CREATE EXTENSION pgseal; CREATE SERVER kms FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'cat $dir/master')");
take_away();
$primary->query('postgres', "COPY (SELECT name, name_hash, server, parent, interval '1 day', NULL, created, own FROM pgseal.key WHERE name = 'Watched') TO '$dir/key'");
$primary->query('postgres', "COPY (SELECT id, key, number, purpose, server, parent_version, master_key, wrapped, seals, '2020-01-01', NULL, NULL, NULL FROM pgseal.key_version WHERE key = 'Watched') TO '$dir/version'");
$primary->query('restored', "COPY pgseal.key FROM '$dir/key'; COPY pgseal.key_version FROM '$dir/version'");
is($primary->query('restored', q(SELECT status FROM pgseal.health WHERE object = 'key "Watched", data version 1')), 'overdue', 'a key older than its schedule');
bring_back();
ok($primary->poll_query_until('restored', q(SELECT count(*) = 1 AND count(*) FILTER (WHERE status = 'ok') = 1 FROM pgseal.health WHERE object = 'key "Watched", data version 2')),
	'it is replaced when the KMS is back');
is($primary->query('restored', q(SELECT status FROM pgseal.health WHERE object = 'key "Watched", data version 1')), 'ok', 'the old version is as it should be');

#
# Re-encryption that doesn't get on; a column without a key; a full cache
#

$primary->query('postgres', "
	CREATE TABLE setting AS SELECT false AS failing;
	CREATE FUNCTION fail(encrypted_text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF (SELECT failing FROM public.setting) THEN RAISE ''out of order''; END IF; RETURN 1; END';
	CREATE TABLE stuck (id int, v encrypted_text('stuck'));
	INSERT INTO stuck VALUES (1, 'x');
	CREATE INDEX ON stuck (fail(v));
	UPDATE setting SET failing = true;
	SELECT pgseal.rotate_key('stuck')");
becomes('re-encryption of key stuck, data version 1', 'stuck', 're-encryption that does not get on');
is(health($primary, "object = 'table stuck'"), 'table stuck: untouchable', 'and the table');
$primary->query('postgres', 'DROP TABLE stuck');
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM pgseal.health WHERE object LIKE '%stuck%' AND status <> 'ok'"), 'until it is gone');

$primary->query('postgres', "CREATE TABLE erased (a encrypted_int4('erased'), b encrypted_int4('kept')); INSERT INTO erased VALUES (1, 1);
	SELECT pgseal.destroy_key('erased', 'erased', force => true)");
is(health($primary, "status = 'destroyed'"), 'column erased.a: destroyed', 'a column whose key was destroyed');

$primary->safe_psql('postgres', 'ALTER SYSTEM SET pgseal.cache_size = 16');
$primary->safe_psql('postgres', 'ALTER SYSTEM SET pgseal.cache_ttl = 3600');
$primary->restart;
$primary->query('postgres', "CREATE TABLE many (v encrypted_int4('*'))");
$primary->query('postgres', "SELECT pgseal.create_key('many ' || i) FROM generate_series(1, 20) i;
	INSERT INTO many SELECT pgseal.seal(i, 'many ' || i) FROM generate_series(1, 20) i; SELECT v FROM many");
is(health($primary, "object = 'key cache'"), 'key cache: full', 'a full cache');
is($primary->query('postgres', 'SELECT detail FROM pgseal.health WHERE status = \'full\''), 'Raise pgseal.cache_size.', 'what to do');

$standby->stop;
$primary->stop;
done_testing();
