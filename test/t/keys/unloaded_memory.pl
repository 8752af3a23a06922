# A key that was destroyed, has expired or was refused is nowhere in the memory of
# a session that doesn't use it, nor what it has opened of a sealed index: read from the memory of the process, as its own
# operating system user may where pgseal.core_dumps lets him.
#
# Needs the extension in test/module_kms, installed: it unwraps the keys that are
# looked for, in another server with the same keyring; Linux.

use strict;
use warnings;
no warnings qw(portable);

use Digest::SHA qw(hmac_sha256);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';

sub start_node
{
	my ($name, $library) = @_;
	return SealedNode->started($name, preload => $library, conf => "pgseal.keyring_file = '$keyring'\n"
		  . ($name eq 'main' ? "pgseal.core_dumps = on\npgseal.worker_interval = 1\nmax_prepared_transactions = 2" : ''));
}

my $node = start_node('main', 'pgseal');
my @names = qw(stays destroyed prepared expires);
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal; CREATE TABLE t (name text, a encrypted_text('*')); CREATE INDEX ON t (blind_index(a));
	SELECT pgseal.create_key(k) FROM unnest('{stays,destroyed,prepared,expires}'::text[]) k;
	INSERT INTO t SELECT k, pgseal.seal('secret of ' || k, k) FROM unnest('{stays,destroyed,prepared,expires}'::text[]) k});

# The keys themselves, by a second implementation of their derivation
my $unwrapper = start_node('unwrapper', 'pgseal_kms_test');
$unwrapper->safe_psql('postgres', qq{CREATE EXTENSION pgseal_kms_test;
	CREATE SERVER s FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring')});

sub key_bytes
{
	my ($name, $purpose) = @_;
	my ($id, $wrapped, $master_key) = split /\|/, $node->safe_psql('postgres', qq{SELECT id, encode(wrapped, 'hex'), master_key
		FROM pgseal.key_version WHERE key = '$name' AND purpose = '$purpose'});
	my $word = { d => 'data', i => 'index' }->{$purpose};
	my $secret = pack('H*', $unwrapper->safe_psql('postgres',
		qq{SELECT encode(kms_unwrap('s', '$name', '$word', $id, '\\x$wrapped', '$master_key'), 'hex')}));
	return hmac_sha256("pgseal key v1\0$purpose" . pack('q>', $id) . "\1", hmac_sha256($secret, "\0" x 32));
}
my %key = map { $_ => key_bytes($_, 'd') } @names;

# Of an index key there is the state of SHA-256 that has taken in the inner padded key
my $padded = key_bytes('stays', 'i') . "\0" x 32;
my ($state) = Digest::SHA->new(256)->add($padded ^ "\x36" x 64)->getstate =~ /^H:(\S+)$/m;
$key{'index key'} = pack('L*', map { hex } split /:/, $state);
$unwrapper->stop;

# How often the bytes of a key are in writable memory of a process, shared memory included
sub occurrences
{
	my ($pid, $bytes) = @_;
	my $found = 0;

	open(my $maps, '<', "/proc/$pid/maps") or die "maps: $!";
	open(my $memory, '<:raw', "/proc/$pid/mem") or die "memory of process $pid can't be read: $!";
	while (my $line = <$maps>)
	{
		my ($from, $to) = map { hex } $line =~ /^(\w+)-(\w+) rw/ or next;
		my ($overlap, $part) = ('', '');

		sysseek($memory, $from, 0) or next;
		while ($from < $to && sysread($memory, $part, $to - $from < 2**20 ? $to - $from : 2**20))
		{
			$from += length $part;
			$found += () = ($overlap . $part) =~ /\Q$bytes\E/g;
			$overlap = substr($part, -31);
		}
	}
	return $found;
}

sub leaves
{
	my ($session, $name, $what) = @_;
	my $end = time + 180;
	my $left = 1;

	while ($left && time < $end)
	{
		$left = occurrences($session->{pid}, $key{$name});
		sleep 0.2 if $left;
	}
	return is($left, 0, $what);
}

my $opens = q{SELECT count(pgseal.try_open(a)) FROM t};

sub session
{
	my ($begin) = @_;
	my $session = $node->background_psql('postgres');
	$session->{pid} = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe("$begin; $opens; SELECT blind_index(a) FROM t");
	return $session;
}

my %sessions = (
	idle => session('SELECT 1'),
	'idle in a transaction' => session('BEGIN'),
	'with a prepared statement' => session('PREPARE p AS SELECT pgseal.try_open(a) FROM t; EXECUTE p'));

sub holds
{
	my ($how, $name) = @_;
	$sessions{$how}->query_safe($how =~ /statement/ ? 'EXECUTE p' : $opens);
	return cmp_ok(occurrences($sessions{$how}{pid}, $key{$name}), '>', 0, "$how: key \"$name\" is in memory");
}

for my $name (qw(destroyed prepared))
{
	my $destroy = "SELECT pgseal.destroy_key('$name', '$name', force => true)";

	holds($_, $name) for sort keys %sessions;
	$node->safe_psql('postgres', $name eq 'destroyed' ? $destroy : "BEGIN; $destroy; PREPARE TRANSACTION 'x'");
	$node->safe_psql('postgres', "COMMIT PREPARED 'x'") if $name eq 'prepared';
	leaves($sessions{$_}, $name, "$_: it is not, when it was $name" . ($name eq 'prepared' ? ' to be destroyed' : '')) for sort keys %sessions;
	holds($_, 'stays') for sort keys %sessions;
}

# Inner nodes of a sealed index, which are kept as long as the key that opens them
$node->safe_psql('postgres', q{SELECT pgseal.create_key('nodes');
	CREATE TABLE n (a encrypted_text('nodes') COLLATE "C"); INSERT INTO n SELECT 'node value ' || md5(i::text) FROM generate_series(1, 3000) i;
	CREATE INDEX ON n USING sealed (a); ANALYZE n});
$key{nodes} = 'node value ';
my $by_index = q{SET enable_seqscan = off; SELECT count(*) FROM n WHERE a >= 'node'};

sub holds_nodes
{
	my ($how) = @_;
	is($sessions{$how}->query_safe($by_index), 3000, "$how: rows are found by the sealed index");
	return cmp_ok(occurrences($sessions{$how}{pid}, $key{nodes}), '>', 2, "$how: its inner nodes are in memory");
}
$sessions{idle}->query_safe("BEGIN; $by_index; ROLLBACK");
is(occurrences($sessions{idle}{pid}, $key{nodes}), 0, 'idle: they are not after a transaction that was aborted');
holds_nodes($_) for sort keys %sessions;
$node->safe_psql('postgres', q{SELECT pgseal.destroy_key('nodes', 'nodes', force => true)});
leaves($sessions{$_}, 'nodes', "$_: they are not when their key was destroyed") for sort keys %sessions;

# An index key that was replaced
sub holds_index_key
{
	my ($how) = @_;
	$sessions{$how}->query_safe(q{SELECT blind_index('x'::text, key => 'stays')});
	return cmp_ok(occurrences($sessions{$how}{pid}, $key{'index key'}), '>', 0, "$how: the index key is in memory");
}
$sessions{'idle in a transaction'}->query_safe('COMMIT');
holds_index_key($_) for sort keys %sessions;
$node->safe_psql('postgres', q{DELETE FROM t WHERE name IN ('destroyed', 'prepared')});
$node->safe_psql('postgres', q{SELECT pgseal.rotate_index_key('stays')});
$node->safe_psql('postgres', 'REINDEX TABLE t');
# Both versions are looked for by lookups, until the old one is retired
$_->query_safe(q{SELECT count(*) FROM t WHERE a = 'secret of stays'}) for values %sessions;
my $used = 'SELECT used FROM pgseal.stat_cache';
my $before = $node->safe_psql('postgres', $used);
is($node->safe_psql('postgres', qq{SELECT pgseal.retire_index_key('stays'); $used}), "1\n" . ($before - 1),
	'retire_index_key() takes it from the shared cache');
leaves($sessions{$_}, 'index key', "$_: and from sessions") for sort keys %sessions;
$_->quit for values %sessions;

# With its keyring away, an expired key goes as well
$node->append_conf('postgresql.conf', "pgseal.cache_ttl = 5\npgseal.cache_grace = 0");
$node->restart;
my $expiring = session('SELECT 1');
# It may have expired before it was looked for
sub is_in_memory
{
	my ($name) = @_;

	for (1 .. 20)
	{
		return 1 if occurrences($expiring->{pid}, $key{$name}) > 0;
		$expiring->query_safe($opens);
	}
	return 0;
}
ok(is_in_memory($_), "key \"$_\" is in memory") for qw(stays expires);
rename($keyring, "$keyring.away");
leaves($expiring, 'expires', 'an expired key is not, in an idle session');
leaves($expiring, 'stays', 'nor another');
rename("$keyring.away", $keyring);
ok($node->poll_query_until('postgres', 'SELECT count(pgseal.try_open(a)) = 2 FROM t'), 'the keyring is back');
is($expiring->query_safe($opens), 2, 'and the session fetches them again');
$expiring->quit;

$node->stop;
done_testing();
