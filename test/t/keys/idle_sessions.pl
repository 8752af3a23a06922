# Keys that were destroyed, refused or have expired leave the memory of sessions
# that don't use them: idle ones, idle in a transaction, and on a standby.  A
# session tells at DEBUG1 when it has unloaded keys.

use strict;
use warnings;

use File::Basename qw(dirname);
use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('primary', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
max_prepared_transactions = 4
log_min_messages = debug1
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
SELECT pgseal.create_key(k) FROM unnest(ARRAY['a', 'b', 'c', 'd']) k;
SELECT pgseal.create_key('person', parent => 'd');
CREATE TABLE t (k text, a encrypted_text('*'));
INSERT INTO t SELECT k, pgseal.seal('secret of ' || k, k) FROM unnest(ARRAY['a', 'b', 'c', 'd', 'person']) k;
CREATE TABLE kept (a encrypted_text('d'));
});

my %offset;

# A session that has read everything, and does nothing more
sub idle
{
	my ($server, $begin) = @_;
	my $session = $server->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe("$begin; SELECT a FROM t; SELECT count(*) FROM kept");
	return { session => $session, pid => $pid, server => $server };
}

sub begin_watch { $offset{ $_->{pid} } = -s $_->{server}->logfile for @_; return; }

sub unloads_soon
{
	my ($idle, $name) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	while (time < $end)
	{
		my $log = slurp_file($idle->{server}->logfile, $offset{ $idle->{pid} });
		return pass($name) if $log =~ /\[$idle->{pid}\].*pgseal: unloaded [1-9]\d* keys/;
		sleep 0.1;
	}
	return fail($name);
}

my $outside = idle($node, 'SELECT 1');
my $inside = idle($node, 'BEGIN');

begin_watch($outside, $inside);
$node->safe_psql('postgres', q{SELECT pgseal.destroy_key('a', 'a', force => true)});
unloads_soon($outside, 'a key is destroyed: an idle session unloads it');
unloads_soon($inside, 'and so does one that is idle in a transaction');
like($inside->{session}->query(q{SELECT a FROM t WHERE k = 'b'}), qr/secret of b/, 'which goes on with the others');

$outside->{session}->query_safe(q{SELECT a FROM t WHERE k <> 'a'});
begin_watch($outside);
$node->safe_psql('postgres', q{BEGIN; SELECT pgseal.destroy_key('b', 'b', force => true); PREPARE TRANSACTION 'x'});
is($outside->{session}->query_safe(q{SELECT a FROM t WHERE k = 'b'}), 'secret of b', 'prepared only');
my $used = q{SELECT used FROM pgseal.stat_cache};
my $before = $node->safe_psql('postgres', $used);
is($node->safe_psql('postgres', qq{COMMIT PREPARED 'x'; $used}), $before - 1,
	'COMMIT PREPARED takes the keys from the shared cache at once');
unloads_soon($outside, 'and from an idle session');

begin_watch($outside);
$outside->{session}->query_safe(q{SELECT a FROM t WHERE k = 'person'});
$node->safe_psql('postgres', q{SELECT pgseal.destroy_key('person', 'person', force => true)});
unloads_soon($outside, 'a child key, which is in no shared cache');
isnt($node->psql('postgres', q{SELECT a FROM t WHERE k = 'person'}), 0, 'is gone');

# On a standby
$node->backup('base');
my $standby = SealedNode->from_backup('standby', $node, 'base', has_streaming => 1);
my $there = $standby->background_psql('postgres');
my $pid = $there->query_safe('SELECT pg_backend_pid()');
is($there->query_safe(q{SELECT a FROM t WHERE k = 'c'}), 'secret of c', 'a standby reads');
$there = { session => $there, pid => $pid, server => $standby };
begin_watch($there);
$node->safe_psql('postgres', q{SELECT pgseal.destroy_key('c', 'c', force => true)});
unloads_soon($there, 'an idle session of a standby unloads what the primary has destroyed');
$there->{session}->quit;

# Expiry, with nobody who uses the key.  The clock that is read cheaply is late, by more
# than it can be, and still the launcher need not ask twice.
$inside->{session}->quit;
$outside->{session} = undef;
$node->append_conf('postgresql.conf', 'pgseal.cache_ttl = 5');
$node->append_conf('postgresql.conf', 'pgseal.cache_grace = 0');
my $clock = PostgreSQL::Test::Utils::tempdir . '/set_clock.so';
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $clock, dirname(__FILE__) . '/../../module_cache/set_clock.c');
$node->stop;
{
	local $ENV{LD_PRELOAD} = $clock;
	local $ENV{PGSEAL_CLOCK_LATE} = 30;
	$node->start;
}
# The key may have expired before this session is known by its number here
my $log_end = -s $node->logfile;
$outside = idle($node, 'DELETE FROM t WHERE k <> \'d\'');
$offset{ $outside->{pid} } = $log_end;
unloads_soon($outside, 'an expired key leaves an idle session');
is($outside->{session}->query_safe(q{SELECT a FROM t}), 'secret of d', 'which fetches it again');
$outside->{session}->quit;

# A full cache has evicted the keys of an idle session, and all that are in it stay in use
$node->append_conf('postgresql.conf', "pgseal.cache_size = 16\npgseal.cache_ttl = 20");
$node->restart;
$node->safe_psql('postgres', q{TRUNCATE t;
SELECT pgseal.create_key('many' || i) FROM generate_series(1, 20) i;
INSERT INTO t SELECT 'many' || i, pgseal.seal('x', 'many' || i) FROM generate_series(1, 20) i});
my $script = PostgreSQL::Test::Utils::tempdir . '/use';
append_to_file($script, q{SELECT a FROM t WHERE substr(k, 5)::int > 4;});
my $use = [ 'pgbench', '-n', '-C', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ];
$log_end = -s $node->logfile;
my $few = $node->background_psql('postgres');
$pid = $few->query_safe('SELECT pg_backend_pid()');
$few->query_safe(q{SELECT a FROM t WHERE substr(k, 5)::int <= 4});
$offset{$pid} = $log_end;
IPC::Run::run([ @$use, '-t', 5 ], '>', \my $ignored, '2>&1');
my $users = IPC::Run::start([ @$use, '-T', 1000, '-R', 10 ], '>', \my $out, '2>&1');
unloads_soon({ session => $few, pid => $pid, server => $node }, 'keys that were evicted leave an idle session');
$users->signal('TERM');
$users->finish;
$few->quit;

$_->stop for $standby, $node;
done_testing();
