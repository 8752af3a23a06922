# Rewrapping at a KMS (the fake Vault) that fails half-way, can't be reached, or
# has a new master key version; options that would make keys unreadable.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $fake = FakeKms->start;
my $token = PostgreSQL::Test::Utils::tempdir . '/token';
append_to_file($token, "root-token\n");

my $node = SealedNode->started('rewrap', conf => q{
pgseal.worker_interval = 1
pgseal.kms_timeout = 2000
});

my $num_keys = 8;
$node->safe_psql('postgres', "
	CREATE EXTENSION pgseal;
	CREATE SERVER pii FOREIGN DATA WRAPPER vault_transit
		OPTIONS (address '" . $fake->url . "', key_name 'pii', token_file '$token');
	CREATE TABLE t (id int PRIMARY KEY, v encrypted_text('*'));
	SELECT pgseal.create_key('k' || i, server => 'pii') FROM generate_series(1, $num_keys) i;
	INSERT INTO t SELECT i, pgseal.seal('v' || i, 'k' || i) FROM generate_series(1, $num_keys) i");

sub fails_like
{
	my ($sql, $pattern, $name) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($stderr, $pattern, $name);
	return;
}

# How many versions each master key version wraps
sub wrapped_by
{
	return $node->sql(q{SELECT string_agg(format('%s: %s', master_key, count), ', ') FROM (
		SELECT master_key, count(*) FROM pgseal.key_versions WHERE server = 'pii' GROUP BY 1 ORDER BY 1) x});
}

# With nothing but what is stored: no key is cached after a restart
sub all_open
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->restart;
	is($node->sql(q{SELECT count(*) FROM t WHERE v::text = 'v' || id}), $num_keys, "$name: every value opens");
	return;
}

my $all = 2 * $num_keys;
is(wrapped_by(), "pii:v1: $all", 'all keys are under the first master key version');
is($node->sql(q{SELECT pgseal.rewrap('pii')}), 0, 'nothing to be done');

# Refused for some
$fake->set(state => { version => 2 }, faults => [ { match => 'rewrap', kind => 'status', status => 403, body => '{"errors":[]}', times => 10 } ]);
my ($status, $done, $warnings) = $node->psql('postgres', q{SELECT pgseal.rewrap('pii')});
my $refused = () = $warnings =~ /was not rewrapped/g;
cmp_ok($refused, '>', 0, 'some are refused, which are named');
is($done, $all - $refused, 'the others are rewrapped');
is(wrapped_by(), "pii:v1: $refused, pii:v2: $done", 'they are under two master key versions');
all_open('half-way');
is($node->sql(q{SELECT pgseal.rewrap('pii')}), $refused, 'once more: the rest');
is(wrapped_by(), "pii:v2: $all", 'all are under the new master key version');
is($node->sql(q{SELECT count(*) FROM pgseal.events WHERE event = 'key_rewrapped'}), $all, 'each is an event');
$fake->set(state => { min_version => 2 });
all_open('old master key version disabled');

# Garbage in place of what was wrapped anew is noticed before it is stored
$fake->set(state => { version => 3 }, faults => [ { match => 'rewrap', kind => 'replace', old => 'vault:v3:', new => 'vault:v3:AAAA', times => 1000 } ]);
($status, $done, $warnings) = $node->psql('postgres', q{SELECT pgseal.rewrap('pii')});
is($done, 0, 'damaged replies are not stored');
is(wrapped_by(), "pii:v2: $all", 'all stay as they were');
$fake->set(faults => []);
all_open('after damaged replies');

# Not reached
$fake->set(state => { sealed => JSON::PP::true });
my $offset = -s $node->logfile;
$node->sql(q{SELECT pgseal.alter_key('k1', rewrap_every => '1 second')});
fails_like(q{SELECT pgseal.rewrap('pii')}, qr/58000.*not available/s, 'Vault is sealed: rewrap() says so');
fails_like(q{SELECT pgseal.rotate_key('k2')}, qr/ERROR:  58000/, 'no key is rotated');
fails_like(q{SELECT pgseal.create_key('k99', server => 'pii')}, qr/ERROR:  58000/, 'none is made');
is($node->sql(q{SELECT count(*) FROM pgseal.key_versions WHERE key IN ('k2', 'k99')}), 2, 'and nothing of them is left');
is($node->sql(q{SELECT count(*) FROM t WHERE v::text = 'v' || id}), $num_keys, 'values go on being opened');
$node->sql(q{INSERT INTO t VALUES (0, pgseal.seal('v0'::text, 'k1'))});
ok($node->wait_for_log(qr/pgseal: could not rewrap key version -?\d+: /, $offset), 'the worker says what it could not do');
$fake->set(state => { sealed => JSON::PP::false });
$node->sql('SELECT pg_reload_conf()');	# the launcher looks at once
ok($node->poll_query_until('postgres', q{SELECT every(master_key = 'pii:v3') FROM pgseal.key_versions WHERE key = 'k1'}),
	'and does it when Vault is back, by the schedule');
is(wrapped_by(), 'pii:v2: ' . ($all - 2) . ', pii:v3: 2', 'that key alone');
$node->sql(q{SELECT pgseal.alter_key('k1', rewrap_every => '0'); DELETE FROM t WHERE id = 0});

# Options under which the keys would not unwrap
fails_like(q{ALTER SERVER pii OPTIONS (ADD mount 'elsewhere')},
	qr/55000: with these options, server "pii" does not unwrap its keys.*HINT: .*pgseal.move_key/s, 'a place where the keys are not is refused');
is($node->sql(q{SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = 'pii'}) =~ /elsewhere/, '', 'the options stay as they were');

# Another master key, which isn't there yet: what is wrapped stays readable
fails_like(q{ALTER SERVER pii OPTIONS (SET key_name 'other')}, qr/WARNING:.*not_found.*was not rewrapped.*stays readable/s,
	'a master key that does not exist draws warnings');
all_open('unknown master key');
$fake->set(state => { vault_keys => [ 'pii', 'other' ] });
$node->sql(q{ALTER SERVER pii OPTIONS (SET key_name 'other')});
is(wrapped_by(), "other:v3: $all", 'when it exists, all are rewrapped under it');
$fake->set(state => { vault_keys => [ 'other' ] });
all_open('without the old master key');
$node->sql(q{ALTER SERVER pii OPTIONS (SET address 'http://localhost:} . $fake->port . q{')});
is($node->sql(q{SELECT pgseal.rewrap()}), 0, 'other options can change, nothing is to be done');

# Moved away while the KMS fails half-way: all or nothing
$fake->set(faults => [ { match => 'decrypt', kind => 'status', status => 403, body => '{"errors":[]}', times => 1000 } ]);
fails_like(q{SELECT pgseal.move_key('k' || i, 'local_keyring') FROM generate_series(1, 8) i}, qr/ERROR:  58000/, 'a move fails');
is(wrapped_by(), "other:v3: $all", 'nothing was moved');
$fake->set(faults => []);
$node->sql(qq{SELECT pgseal.move_key('k' || i, 'local_keyring') FROM generate_series(1, $num_keys) i});
$fake->stop;
all_open('moved, without the KMS');

$node->stop;
done_testing();
