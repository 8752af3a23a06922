# How often a KMS is asked: once for a key however many backends start cold,
# never while the keys are warm; and how long a key lives on when the KMS
# refuses it or can't be reached.
#
# Needs Python 3.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms;
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;
use Time::HiRes qw(time usleep);

my $num_backends = 100;
my $num_keys = 20;
my $ttl = 4;
my $grace = 6;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $fake = FakeKms->start;
my $url = $fake->url;

my $profile = write_file("$dir/credentials", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n");
my $node = SealedNode->started('cold', conf => qq{
max_connections = @{[$num_backends + 20]}
pgseal.worker_interval = 1
pgseal.kms_timeout = 60s
});
$node->safe_psql('postgres', <<SQL);
CREATE EXTENSION pgseal;
CREATE SERVER pii FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/pii', region 'eu-west-1', endpoint '$url',
	sts_endpoint '$url', credentials_file '$profile', role_arn 'arn:aws:iam::111122223333:role/pg');
SELECT pgseal.create_key('key_' || i, server => 'pii') FROM generate_series(1, $num_keys) i;
CREATE TABLE sealed (i int, v encrypted_text('*'));
INSERT INTO sealed SELECT i, pgseal.seal('value ' || i, 'key_' || i) FROM generate_series(1, $num_keys) i;
SQL

sub asked
{
	my ($operation) = @_;
	return scalar(grep { $_ eq $operation } $fake->operations);
}

# ---- cold ----

$node->restart;
$fake->set(state => { access_keys => { AKIDEXAMPLE => { secret => 'secretEXAMPLE', token => undef } } },
	faults => [ { match => 'Decrypt', kind => 'slow', seconds => 0.05, times => 999 } ]);
my $script = write_file("$dir/all.sql", "SELECT count(v::text) FROM sealed;\n");
my $start = time;
$node->run_ok([ 'pgbench', '-n', '-c', $num_backends, '-j', 2, '-t', 1, '-f', $script, $node->connection('postgres') ],
	"$num_backends backends start cold");
note(sprintf "%d backends, %d keys, 50 ms a request: %.1f s", $num_backends, $num_keys, time - $start);
is(asked('Decrypt'), $num_keys, "on $num_keys keys: that many are unwrapped");
is(asked('AssumeRole'), 1, 'with one login');
is($node->safe_psql('postgres', q{SELECT operation, calls, succeeded FROM pgseal.stat_kms ORDER BY 1}),
	"login|1|1\nunwrap|$num_keys|$num_keys", 'pgseal.stat_kms says so');
cmp_ok($node->safe_psql('postgres', 'SELECT waits FROM pgseal.stat_cache'), '>=', $num_backends, 'the others have waited');

# ---- warm ----

$fake->set(faults => []);
$start = time;
is($node->safe_psql('postgres', "SELECT count(v::text) FROM sealed, generate_series(1, 1000000 / $num_keys)"), 1_000_000, 'a million values are opened');
is($node->safe_psql('postgres', "CREATE TABLE many (v encrypted_int4('key_1')); INSERT INTO many SELECT generate_series(1, 200000); SELECT count(*) FROM many WHERE v::int4 > 0"),
	200_000, 'many are sealed, stored and opened');
note(sprintf 'a million values opened, 200,000 sealed and opened: %.1f s', time - $start);
is(scalar($fake->requests), 0, 'the KMS is not asked');

# ---- revoked at the KMS ----

$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.cache_ttl = $ttl");
$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.cache_grace = $grace");
$node->restart;
my $session = $node->background_psql('postgres', on_error_stop => 0);

# Seconds until the value can't be read any more, both in a session that stays
# and in new ones; undef when it still can after that many
sub readable_for
{
	my ($most) = @_;
	my $begun = time;
	my $readable = 1;
	while ($readable && time - $begun < $most)
	{
		usleep(100_000);
		$readable = $session->query("SELECT 'got ' || v::text FROM sealed WHERE i = 1") =~ /got value 1/;
	}
	return undef if $readable;
	my $took = time - $begun;
	isnt($node->psql('postgres', 'SELECT v::text FROM sealed WHERE i = 1'), 0, 'nor in a new session');
	return $took;
}

like($session->query('SELECT v::text FROM sealed WHERE i = 1'), qr/value 1/, 'readable before');
usleep(500_000);
$fake->set(state => { key_state => 'Disabled' });
my $took = readable_for(60);
ok(defined $took && $took <= $ttl + 5, "disabled at the KMS: unreadable within the TTL of $ttl s")
  or diag($took // 'never');
note("disabled at the KMS: unreadable after $took s") if defined $took;
$fake->set(state => { key_state => 'Enabled' });
ok($node->poll_query_until('postgres', q{SELECT v::text FROM sealed WHERE i = 1}, 'value 1'), 'enabled: readable again');

# ---- unreachable ----

like($session->query('SELECT v::text FROM sealed WHERE i = 1'), qr/value 1/, 'readable before');
$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.kms_timeout = '500ms'");
$node->reload;
my $port = $fake->port;
$fake->stop;
$took = readable_for(60);
ok(defined $took && $took >= $grace && $took <= $ttl + $grace + 15, "KMS unreachable: readable for the TTL and the grace of $grace s, not for longer")
  or diag($took // 'for ever');
note("KMS unreachable: readable for $took s") if defined $took;
$node->safe_psql('postgres', "ALTER SYSTEM RESET pgseal.kms_timeout");
$node->reload;
$fake = FakeKms->start(port => $port);
ok($node->poll_query_until('postgres', q{SELECT v::text FROM sealed WHERE i = 1}, 'value 1'), 'reachable: readable again');

$session->quit;
$node->stop;
$fake->stop;
done_testing();
