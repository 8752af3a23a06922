# The key cache and the worker, with a fake keyring (test/module_cache).
#
# Each psql call is a process of its own.  A claim ends with its process, so
# what belongs to one claim is done in one call.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $slots = 16;
# One worker slot, which the launcher takes: until it is raised below, no
# worker interferes with what is tested here.
my $node = SealedNode->started('main', allows_streaming => 1, preload => 'pgseal_test_cache', conf => qq{
max_worker_processes = 1
max_logical_replication_workers = 0
pgseal.cache_size = $slots
pgseal.worker_interval = 1
autovacuum = off
});
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_test_cache');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION pgseal_test_cache');

sub sql { return $node->safe_psql('postgres', join(';', @_)); }
sub stat_of { return sql("SELECT $_[0] FROM cache_stats()"); }
sub generation { return sql('SELECT cache_generation()'); }

# All statements in one process; their results joined with commas
sub results { return join(',', split(/\n/, sql(map { "SELECT $_" } @_), -1)); }

# What a process holds ends soon after psql has returned: hence polling
sub eventually
{
	my ($condition, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition FROM cache_stats()"), $name);
}

sub drop_all
{
	sql('SELECT cache_drop_database(oid) FROM pg_database');
	return;
}

# What another process gets within so short a time of a moment that nothing has changed
# by then; '' if it came too late
sub soon_after
{
	my ($at, $call) = @_;
	my ($got, $late) = split /\|/, sql("SELECT $call, clock_timestamp() > '$at'::timestamptz + interval '0.7 s'");
	return $late eq 't' ? '' : $got;
}
sub is_soon_after
{
	my ($at, $call, $expected, $name) = @_;
	my $got = soon_after($at, $call);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($got, $got eq '' ? '' : $expected, $name);
}

# A statement in the background
sub start
{
	my ($statement) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $statement ],
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}

sub finish
{
	my ($run) = @_;
	$run->{handle}->finish;
	chomp $run->{out};
	return $run->{out};
}

sub configure
{
	my %settings = @_;
	while (my ($name, $value) = each %settings)
	{
		$node->append_conf('postgresql.conf', "pgseal.$name = $value");
	}
	$node->reload;
	while (my ($name, $value) = each %settings)
	{
		$node->poll_query_until('postgres',
			"SELECT setting = '$value' FROM pg_settings WHERE name = 'pgseal.$name'")
		  or die "pgseal.$name was not set";
	}
	return;
}

sub wait_for_fetch
{
	my ($id) = @_;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
		  . " AND query LIKE '%cache_fetch($id,%' AND wait_event_type = 'Extension'")
	  or die "nobody fetches $id";
	return;
}

#
# One process fetches, others get what it got
#
is(results('cache_get(1)', '(SELECT s BETWEEN 3599 AND 3600 FROM cache_publish(1) s)'),
	'claimed,t', 'the first who asks has to fetch; the key lives for the TTL');
is(results('cache_get(1)', '(SELECT s BETWEEN 3500 AND 3600 FROM cache_get_ttl(1) s)'),
	'hit:good,t', 'another process gets the key');
is($node->safe_psql('other', 'SELECT cache_get(1)'), 'claimed', 'but not in another database');
eventually('used = 1', 'a claim ends with its process');
is(sql('SELECT slots, hits, misses, waits, failures FROM cache_stats()'), "$slots|2|2|0|0", 'counters');

is(sql('SELECT count_key_in_shared_memory(1)'), '0', 'shared memory does not hold the key');
cmp_ok(sql(q{SELECT count_text_in_shared_memory('SELECT count_text_in')}),
	'>', 0, 'a search that would have found it');

{
	my $misses = stat_of('misses');
	my @fetches = map { start('SELECT cache_fetch(10, 1.5)') } 1 .. 6;
	my @results = sort map { finish($_) } @fetches;
	is("@results", 'claimed' . ' hit:good' x 5, 'six processes start cold: one fetches');
	is(stat_of('misses') - $misses, 1, 'one miss');
	cmp_ok(stat_of('waits'), '>=', 1, 'the others waited');
}

#
# Waiting can be cancelled; a claimer that ends doesn't block others
#
{
	my $claimer = start('SELECT cache_fetch(11, 60)');
	wait_for_fetch(11);

	my ($code, $out, $err) =
	  $node->psql('postgres', "SET statement_timeout = '200ms'; SELECT cache_get(11)");
	like($err, qr/canceling statement due to statement timeout/, 'waiting is cancelled');

	my $waiter = start('SELECT cache_fetch(11, 60) AS waiter');
	$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND query LIKE '%cache_fetch(11,%' AND wait_event_type = 'Extension'})
	  or die 'nobody waits';
	my $before = time;
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT cache_fetch(11, 60)'});
	finish($claimer);

	# The waiter has become the claimer
	my $third = start('SELECT cache_fetch(11, 0) AS third');
	sleep 0.3;
	sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%11, 60) AS waiter'});
	is(finish($third), 'claimed', 'claim handed on after termination and after cancellation');
	finish($waiter);
	cmp_ok(time - $before, '<', 9, 'without waiting for a deadline');
	is(results('cache_get(11)'), 'hit:good', 'and the last one published');
}

is(results('cache_get(12)', 'cache_abandon(12)', 'cache_get(12)'), 'claimed,,claimed', 'abandoned');

{
	configure(kms_timeout => 100);
	my $slow = start('SELECT cache_fetch(13, 9)');
	wait_for_fetch(13);
	is(results('cache_fetch(13, 0)'), 'claimed', 'a claim beyond its deadline is taken over');
	sql("SELECT cache_drop((SELECT oid FROM pg_database WHERE datname = 'postgres'), 13)");
	finish($slow);
	is(results('cache_get(13)'), 'claimed', 'who lost a claim does not publish');
	configure(kms_timeout => 10000);
}

#
# Failures
#
my $at = sql('SELECT clock_timestamp()');
is(results('cache_get(20)', "cache_fail(20, 'unreachable')", 'cache_get(20)'),
	'claimed,f,failed:unreachable:code20', 'a failure is remembered');
is_soon_after($at, 'cache_get(20)', 'failed:unreachable:code20', 'for all processes');
sleep 1.3;
is(results('cache_get(20)'), 'claimed', 'but not for long');
is(stat_of('failures'), 1, 'failures are counted');

# What one server gave, or refused, is nothing to another
is(results('cache_get_of(1, 14)', 'cache_publish(14) > 0', 'cache_get_of(1, 14)', 'cache_get_of(2, 14)'),
	'claimed,t,hit:good,claimed', 'a key is that of the server that unwrapped it');
is(results("cache_get_of(2, 14)", "cache_fail(14, 'refused')", 'cache_get_of(2, 14)', 'cache_get_of(1, 14)', 'cache_publish(14) > 0', 'cache_get_of(2, 14)', 'cache_abandon(14)'),
	'claimed,f,failed:refused:code14,claimed,t,claimed,', 'and so is a refusal');

is(results('cache_get(21)', "cache_fail(21, 'invalid')", 'pg_sleep(1.5)', 'cache_get(21)'),
	'claimed,f,,failed:invalid:code21', 'a refusal is remembered longer');

#
# Expiry, grace, refusal
#
configure(cache_ttl => 1);
is(results('cache_get(30)', '(SELECT s BETWEEN 0.5 AND 1 FROM cache_publish(30) s)', 'pg_sleep(1.1) IS NOT NULL'),
	'claimed,t,t', 'a short TTL');
{
	my $refresher = start('SELECT cache_fetch(30, 5), clock_timestamp()');
	wait_for_fetch(30);
	is(results('cache_get(30)', '(SELECT s BETWEEN 0.5 AND 2 FROM cache_get_ttl(30) s)'),
		'hit:good,t', 'others go on with the stale key, for a short time');
	my ($result, $published) = split /\|/, finish($refresher);
	is($result, 'claimed', 'while one fetches');
	is_soon_after($published, 'cache_get(30)', 'hit:good', 'the new key');
}
{
	my $generation = generation();
	my @results = split /,/, results('pg_sleep(1.1)', 'cache_get(30)', 'clock_timestamp()', "cache_fail(30, 'unreachable')", 'cache_get(30)');
	my $failed = splice @results, 2, 1;
	is(join(',', @results), ',claimed,t,hit:good', 'unreachable: the key lives on within the grace');
	is_soon_after($failed, 'cache_get(30)', 'hit:good', 'for all processes, which do not ask at once');
	is(generation(), $generation, 'and nobody needs to throw contexts away');

	sleep 5.1;
	is(results('cache_get(30)', "cache_fail(30, 'refused')", 'cache_get(30)'),
		'claimed,f,failed:refused:code30', 'refused: the key is gone in spite of the grace');
	cmp_ok(generation(), '>', $generation, 'and the generation moves on');
}
{
	configure(cache_grace => 0);
	my $expirations = stat_of('expirations');
	is(results('cache_get(31)', 'cache_publish(31) > 0', 'pg_sleep(1.1)', 'cache_get(31)',
			"cache_fail(31, 'unreachable')", 'cache_get(31)'),
		'claimed,t,,claimed,f,failed:unreachable:code31', 'no grace, no stale key');
	cmp_ok(stat_of('expirations'), '>', $expirations, 'expirations are counted');

	drop_all();
	$expirations = stat_of('expirations');
	sql('SELECT cache_get(32)', 'SELECT cache_publish(32)');
	eventually("expirations = $expirations + 1 AND used = 0", 'the launcher wipes what has expired');
	configure(cache_ttl => 3600, cache_grace => 600);
}

#
# Full table, eviction
#
{
	my ($code, $out, $err) = $node->psql('postgres',
		"SELECT string_agg(cache_get(id), ',' ORDER BY id) FROM generate_series(101, 101 + $slots) id");
	is($out, 'claimed,' x $slots . 'full', 'all slots claimed: full');
	like($err, qr/WARNING:  pgseal: the key cache is full/, 'with a warning');
	($code, $out, $err) = $node->psql('postgres',
		"SELECT max(cache_get(id)) FROM generate_series(101, 101 + $slots) id");
	is("$out$err", 'full', 'but not soon again');
	eventually('overflows = 2 AND used = 0', 'claims ended with their process');
}
{
	my $generation = generation();
	my $evictions = stat_of('evictions');
	sql("SELECT cache_get(id), cache_publish(id) FROM generate_series(201, 200 + $slots) id");
	is(stat_of("used = $slots AND evictions = $evictions"), 't', 'as many keys as slots');
	is(results('cache_get(201)', 'cache_get(250)', 'cache_publish(250) > 0', 'cache_get(201)', 'cache_get(202)'),
		'hit:good,claimed,t,hit:good,claimed', 'the least recently used is evicted');
	cmp_ok(stat_of('evictions'), '>', $evictions, 'evictions are counted');
	is(generation(), $generation, 'an eviction invalidates nothing');
}

#
# Drop
#
{
	my $oid = sql('SELECT oid FROM pg_database WHERE datname = current_database()');
	my $generation = generation();
	is(results('cache_get(201)', "cache_drop($oid, 201)", 'cache_get(201)'),
		'hit:good,,claimed', 'a dropped key is gone');
	cmp_ok(generation(), '>', $generation, 'and the generation moves on');
	is(results('cache_get(41)', "cache_drop($oid, 41)", 'cache_publish(41) <= 0', 'cache_get(41)'),
		'claimed,,t,claimed', 'a key that was dropped during its fetch does not come back');

	$node->safe_psql('other', 'SELECT cache_get(203), cache_publish(203)');
	sql("SELECT cache_drop_database($oid)");
	is(results('cache_get(203)'), 'claimed', 'dropped with its database');
	is($node->safe_psql('other', 'SELECT cache_get(203)'), 'hit:good', 'but not with another');
}

#
# Seal counts
#
is(results('cache_reserve(1, 100, 10)', 'cache_reserve(1, 0, 5)'), '110,115', 'seals are counted');
is(results('cache_reserve(1, 0, 5)'), '120', 'across processes');
is($node->safe_psql('other', 'SELECT cache_reserve(1, 100, 10)'), '110', 'each database for itself');
sql('SELECT cache_reserve(id, 0, id::int) FROM generate_series(1000, 2999) id');
is(sql('SELECT min(cache_reserve(id, 0, 1) - id) >= 1 FROM generate_series(1000, 2999) id'),
	't', 'more key versions than counters: no count is too low');

#
# Protection of the memory
#
SKIP:
{
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	open(my $smaps, '<', "/proc/$pid/smaps") or skip 'no /proc/PID/smaps', 2;
	my ($shared, $locked, $undumped) = (0, 0, 0);
	while (my $line = <$smaps>)
	{
		$shared = $1 eq 's' if $line =~ /^[0-9a-f]+-[0-9a-f]+ ...(.)/;
		$locked = 1 if $shared && $line =~ /^VmFlags:.* lo/;
		$undumped = 1 if $shared && $line =~ /^VmFlags:.* dd/;
	}
	is($locked, stat_of('locked::int'), 'keys are locked into memory');
	is($undumped, 1, 'and left out of core dumps');
}

#
# The worker
#
sql("INSERT INTO refresh_outcome VALUES (300, 'good'), (301, 'error'), (302, 'good'), (303, 'refused')");
configure(cache_ttl => 20, cache_grace => 0);
my $log_position = -s $node->logfile;
sql('SELECT cache_get(300)', 'SELECT cache_publish(300)');
$node->wait_for_log(qr/pgseal: no background worker slot is free for database/);
pass('a full table of workers is logged');

$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;

ok($node->poll_query_until('postgres', "SELECT datname IS NULL FROM pg_stat_activity WHERE backend_type = 'pgseal launcher'"),
	'the launcher is connected to no database');

sql('SELECT cache_get(id), cache_publish(id) FROM generate_series(300, 303) id');
my $generation = generation();
eventually('refreshes >= 2', 'the worker refreshes ahead of expiry');
$node->wait_for_log(qr/pgseal: could not refresh key version 301: fake keyring fails/);
pass('one that fails does not stop the others');
eventually("cache_generation() > $generation", 'a refusal met by the worker takes the key away');
is(stat_of('misses'), 4, 'nobody had to fetch');
eventually('used = 0', 'what is not used is not refreshed for ever');
is(stat_of('refreshes'), 2, 'but once');

sql('SELECT cache_reserve(400, 7, 3)');
ok($node->poll_query_until('postgres', 'SELECT seals = 10 FROM saved_seals WHERE id = 400'),
	'seal counts are saved');
sql('SELECT cache_reserve(400, 7, 3)');
ok($node->poll_query_until('postgres', 'SELECT seals = 13 FROM saved_seals WHERE id = 400'),
	'and saved again');

# Databases that vanish, or take no connections
$node->safe_psql('other', 'SELECT cache_get(1), cache_publish(1), cache_reserve(1, 0, 1)');
$node->safe_psql('postgres', 'DROP DATABASE other');
$node->safe_psql('postgres', 'CREATE DATABASE closed');
$node->safe_psql('closed', 'CREATE EXTENSION pgseal_test_cache');
$node->safe_psql('closed', 'SELECT cache_get(1), cache_publish(1), cache_reserve(1, 0, 1)');
$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS off');
sql('SELECT cache_reserve(401, 0, 1)');
ok($node->poll_query_until('postgres', 'SELECT seals = 1 FROM saved_seals WHERE id = 401'),
	'the worker goes on without them');
eventually('used = 0', 'their keys are gone');

my $launcher = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgseal launcher'");
sql("SELECT pg_terminate_backend($launcher)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $launcher"),
	'the launcher can be terminated');
$node->backup('base');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgseal launcher'"),
	'and comes back');

# Hot standby
{
	my $standby = SealedNode->from_backup('standby', $node, 'base', has_streaming => 1);
	$standby->safe_psql('postgres', 'SELECT cache_get(300), cache_publish(300), cache_reserve(402, 0, 1)');
	ok($standby->poll_query_until('postgres', 'SELECT refreshes >= 1 FROM cache_stats()'),
		'keys are refreshed on a hot standby');
	$standby->stop('fast');
	unlike(slurp_file($standby->logfile), qr/read-only transaction|could not save seal/, 'and nothing is saved there');
}

$node->stop('fast');
# A worker may be started for a database that is dropped meanwhile
unlike(substr(slurp_file($node->logfile), $log_position), qr/FATAL(?!:  database \d+ does not exist)|PANIC|(?<!pgseal: )could not/,
	'no other trouble was logged');

#
# A crash of another process: shared memory begins anew, with another mask
#
{
	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->start;
	sql('SELECT cache_get(501)', 'SELECT cache_publish(501)');
	my $victim = start('SELECT cache_fetch(500, 60)');
	wait_for_fetch(500);
	kill 'KILL', sql(q{SELECT pid FROM pg_stat_activity WHERE query = 'SELECT cache_fetch(500, 60)'});
	finish($victim);
	ok($node->poll_query_until('postgres', 'SELECT misses = 0 FROM cache_stats()'), 'restarted after a crash');
	is(results('cache_get(501)', 'cache_get(500)', 'cache_publish(500) > 0', 'cache_get(500)'),
		'claimed,claimed,t,hit:good', 'without old keys and claims');
	$node->stop('fast');
}

#
# Not allowed to lock memory; not preloaded
#
SKIP:
{
	skip 'no prlimit', 2 if system("prlimit --pid $$ --memlock=0: 2>/dev/null") != 0;
	$node->start;
	is(stat_of('locked'), 'f', 'without the right to lock memory the server starts');
	like(slurp_file($node->logfile),
		qr/WARNING:  pgseal: could not lock the key cache.*\n.*\n.*HINT:  Raise the limit of locked memory/,
		'and says what to raise');
	$node->stop('fast');
}

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
is(results('cache_get(1)', 'cache_publish(1) <= 0', "cache_fail(1, 'refused')", 'cache_generation()'),
	'full,t,f,0', 'not preloaded: nothing is kept, nothing crashes');
is(stat_of('slots'), '0', 'no slots');
$node->stop('fast');

done_testing();
