# The remote providers against fake services whose faults the test chooses:
# what an operation gets, how often the service is asked, what is logged, and
# how it recovers without a restart.  What matters here is the same for all
# providers (kms/remote.c), so most of it is tried with aws_kms.
#
# On a slow machine, too: only what is about time has little of it, what ends by itself
# is waited for, and tokens grow old by a clock that the test sets.
#
# Needs the extension in test/module_kms, installed; a C compiler; Python 3; openssl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms qw(make_certificate);
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;
use Time::HiRes qw(time usleep);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $fake = FakeKms->start;
my $url = $fake->url;
my $arn = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

# Credentials of the environment belong to the postmaster
$ENV{HOME} = $dir;
$ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $url;
$ENV{AWS_CONTAINER_CREDENTIALS_FULL_URI} = "$url/container";
$ENV{AZURE_POD_IDENTITY_AUTHORITY_HOST} = $url;
($ENV{GCE_METADATA_HOST} = $url) =~ s{http://}{};
$ENV{AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE} = write_file("$dir/container_token", "container-token\n");
$ENV{$_} = 'http://127.0.0.1:9' foreach qw(http_proxy https_proxy HTTPS_PROXY ALL_PROXY);
delete $ENV{$_} foreach qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE AWS_REGION no_proxy NO_PROXY);

my $clock_library = "$dir/clock.so";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $clock_library, dirname(__FILE__) . '/../../module_kms/clock.c');
write_file("$dir/clock", '0');
my $node = SealedNode->new('faults');
$node->init(preload => 'pgseal_kms_test', conf => q{
log_statement = none
log_min_messages = debug5
pgseal.kms_timeout = 60000
});
{
	local $ENV{LD_PRELOAD} = $clock_library;
	local $ENV{PGSEAL_CLOCK_FILE} = "$dir/clock";
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

my $profile = "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n";
my $profile_file = write_file("$dir/credentials", $profile);

# Each server with its own circuit breaker and credential: an option that differs
my $num_servers = 0;

sub server
{
	my ($wrapper, $options, $name) = @_;
	$name //= 's' . ++$num_servers;
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER $wrapper OPTIONS ($options)");
	return $name;
}

sub aws_server
{
	my ($more) = @_;
	my $session = ++$num_servers;
	return server('aws_kms',
		"key_id 'alias/pii', region 'eu-west-1', endpoint '$url', credentials_file '$profile_file', role_session_name 'x$session'"
		  . ($more ? ", $more" : ''), "a$session");
}

sub wrap_sql
{
	my ($server) = @_;
	return "SELECT encode(wrapped, 'hex') || '|' || master_key FROM kms_wrap('$server', 'payroll', 'data', 42, true, decode(repeat('ab', 32), 'hex'))";
}

sub unwrap_sql
{
	my ($server, $kept, $name) = @_;
	my ($wrapped, $master_key) = split /\|/, $kept;
	$name //= 'payroll';
	return "SELECT encode(kms_unwrap('$server', '$name', 'data', 42, '\\x$wrapped', '$master_key'), 'hex')";
}

sub works
{
	my ($sql, $expected, $name) = @_;
	my ($stdout, $stderr);
	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	like($stdout, $expected, $name) or diag($stderr);
	return $stdout;
}

sub fails
{
	my ($sql, $pattern, $name) = @_;
	my $stderr;
	my $rc = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \$stderr);
	ok($rc != 0 && $stderr =~ /58000/ && $stderr =~ $pattern, $name) or diag("rc $rc: $stderr");
	return;
}

# The same of what is tried until the time is up, which may be in the middle of an attempt
# and is what the error says then
sub fails_at_last
{
	my ($sql, $pattern, $name) = @_;
	my ($rc, $stderr);
	foreach (1 .. 50)
	{
		$rc = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \$stderr);
		last unless $stderr =~ /code "(timeout|circuit_open)"/;
		usleep(200_000);
	}
	ok($rc != 0 && $stderr =~ /58000/ && $stderr =~ $pattern, $name) or diag("rc $rc: $stderr");
	return;
}

my $secret = 'ab' x 32;

# ---- all operations ----

my $server = aws_server();
my $kept = works(wrap_sql($server), qr/^[0-9a-f]+\|\Q$arn\E$/, 'wrap');
works(unwrap_sql($server, $kept), qr/^$secret$/, 'unwrap');
works("SELECT length(secret), master_key FROM kms_generate('$server', 'payroll', 'data', 42, true)",
	qr/^32\|\Q$arn\E#m1$/, 'generate');
my ($wrapped) = split /\|/, $kept;
my $rewrapped = works("SELECT encode(wrapped, 'hex') || '|' || master_key FROM kms_rewrap('$server', 'payroll', 'data', 42, '\\x$wrapped', '$arn')",
	qr/\|\Q$arn\E#m1$/, 'rewrap');
works(unwrap_sql($server, $rewrapped), qr/^$secret$/, 'unwrap after rewrap');
works("SELECT * FROM kms_describe('$server')", qr/^\Q$arn\E#m1\|Key .* is enabled/, 'describe');
fails(unwrap_sql($server, $kept, 'other'), qr/wrong or damaged.*InvalidCiphertext/s, 'another key name does not unwrap');
my ($log_entry) = grep { $_->{op} eq 'Encrypt' } $fake->requests;
like($log_entry->{body}, qr/"EncryptionContext":\{"pgseal_key":"payroll","pgseal_purpose":"data","pgseal_key_version":"42"\}/,
	'the audit log names the key');

# ---- refusals: asked once, never retried ----

sub refused
{
	my ($state, $faults, $pattern, $name, %arg) = @_;
	my $refusing = aws_server();
	works(unwrap_sql($refusing, $kept), qr/^$secret$/, "$name: works before");
	$fake->set(state => $state, faults => $faults);
	fails(unwrap_sql($refusing, $kept), $pattern, $name);
	is(scalar(grep { $_ eq 'Decrypt' } $fake->operations), $arg{asked} // 1, "$name: number of requests");
	$fake->set(state => { deny => [], key_state => 'Enabled' }, faults => []);
	works(unwrap_sql($refusing, $kept), qr/^$secret$/, "$name: works afterwards") unless $arg{stays};
	return;
}

refused({ deny => ['Decrypt'] }, [], qr/refused.*HTTP status 400, code "AccessDeniedException", request id "req-AccessDenied.*HINT.*kms:Decrypt/s, 'no permission');
refused({ key_state => 'Disabled' }, [], qr/refused.*DisabledException.*HINT:  Enable the key/s, 'key disabled');
refused({ key_state => 'PendingDeletion' }, [], qr/refused.*KMSInvalidState.*HINT.*CancelKeyDeletion/s, 'key pending deletion');
refused({}, [ { match => 'Decrypt', kind => 'replace', old => '1234abcd', new => 'ffffabcd', times => 9 } ],
	qr/wrong or damaged.*wrong_key/s, 'wrong key id in the reply');
refused({}, [ { match => 'Decrypt', kind => 'malformed', times => 9 } ], qr/not available.*malformed_reply/s, 'malformed JSON');
refused({}, [ { match => 'Decrypt', kind => 'oversize', times => 9 } ], qr/not available.*reply_size/s, 'oversized reply');
refused({}, [ { match => 'Decrypt', kind => 'status', status => $_, headers => { Location => 'http://localhost:9/' }, times => 9 } ],
	qr/not available.*redirect/s, "redirect with status $_ is not followed") foreach 301, 302, 307, 308;

# ---- what passes: retried until it works ----

foreach my $case (
	[ 'throttled with HTTP 400', { kind => 'status', status => 400, body => '{"__type":"ThrottlingException"}' } ],
	[ '500', { kind => 'status', status => 500, body => '{"__type":"KMSInternalException"}' } ],
	[ '503 without a body', { kind => 'status', status => 503 } ],
	[ 'connection reset', { kind => 'reset' } ],
	[ 'reset in mid-reply', { kind => 'reset_mid' } ],
	[ 'truncated reply', { kind => 'truncate' } ])
{
	my ($name, $fault) = @$case;
	$fake->set(faults => [ { %$fault, match => 'Decrypt', times => 2 } ]);
	works(unwrap_sql($server, $kept), qr/^$secret$/, "$name, twice: works in the end");
	cmp_ok(scalar(grep { $_ eq 'Decrypt' } $fake->operations), '>=', 3, "$name: number of requests");
}
# The first attempt has half of the time
$fake->set(faults => [ { kind => 'slow', seconds => 60, match => 'Decrypt' } ]);
works("SET pgseal.kms_timeout = '10s'; " . unwrap_sql($server, $kept), qr/^$secret$/, 'a reply that takes too long is given up, the next one works');

# ---- cancel, terminate, timeout ----

$fake->set(faults => [ { kind => 'slow', seconds => 120, match => 'Decrypt', times => 99 } ]);
my $slow = unwrap_sql($server, $kept);
my $start = time;
my $stderr;
$node->psql('postgres', "SET statement_timeout = '300ms'; $slow", stderr => \$stderr);
like($stderr, qr/canceling statement due to statement timeout/, 'statement_timeout');
cmp_ok(time - $start, '<', 25, 'statement_timeout acts at once');

sub signalled
{
	my ($function, $expected) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'waiting'; $slow" ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE application_name = 'waiting'") or die 'not waiting';
	my $begun = time;
	$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'waiting'");
	$session->finish;
	like($err, $expected, "$function ends a waiting query");
	cmp_ok(time - $begun, '<', 25, "$function acts at once");
	return;
}
signalled('pg_cancel_backend', qr/canceling statement due to user request/);
signalled('pg_terminate_backend', qr/terminating connection/);
$fake->set(faults => []);
works(unwrap_sql($server, $kept), qr/^$secret$/, 'works afterwards');
works("SELECT 1", qr/^1$/, 'server is up');

# in one session: the connection that was given up does not disturb the next
$fake->set(faults => [ { kind => 'slow', seconds => 120, match => 'Decrypt' } ]);
my $again;
$node->psql('postgres', "SET statement_timeout = '2s'; $slow; SET statement_timeout = 0; $slow",
	stdout => \$again, stderr => \$stderr, on_error_stop => 0);
is($again, $secret, 'same session after a timeout') or diag($stderr);

# ---- nobody there; circuit breaker ----

# nobody else's as long as it is held, and nobody listens
my $holder = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', ReuseAddr => 1);
my $dead_port = $holder->sockport;
my $dead = server('aws_kms', "key_id '$arn', endpoint 'http://127.0.0.1:$dead_port', credentials_file '$profile_file'");
my $unanswered = qr/code "(connection|timeout)"/;
$start = time;
fails("SET pgseal.kms_timeout = '1s'; " . unwrap_sql($dead, $kept), qr/not available.*$unanswered/s, 'nobody listens');
cmp_ok(time - $start, '<', 25, 'gives up within pgseal.kms_timeout');
# in one session: the breaker is open for half a second
$node->psql('postgres', "SET pgseal.kms_timeout = 200;" . (unwrap_sql($dead, $kept) . ";\n") x 10, stderr => \$stderr, on_error_stop => 0);
my @codes = $stderr =~ /code "(\w+)"/g;
is(scalar(grep { !/^(connection|timeout)$/ } @codes[ 0, 1 ]), 0, 'again, twice') or diag($stderr);
cmp_ok(scalar(grep { $_ eq 'circuit_open' } @codes), '>', 0, 'then the circuit breaker is open') or diag($stderr);
close $holder;
my $late = FakeKms->start(port => $dead_port);
my $closes;
for (1 .. 200)
{
	$node->psql('postgres', unwrap_sql($dead, $kept), stdout => \$closes, stderr => \$stderr);
	last if $closes;
	usleep(100_000);
}
is($closes, $secret, 'and closes when the service is back') or diag($stderr);
$late->stop;
# a service that dies under load and comes back
my $mortal = FakeKms->start;
my $mortal_port = $mortal->port;
my $loaded = server('aws_kms', "key_id '$arn', endpoint 'http://127.0.0.1:$mortal_port', credentials_file '$profile_file'");
# each session until it is told that it is enough
(my $unwrap = unwrap_sql($loaded, $kept)) =~ s/^SELECT //;
my $unwraps = "DO \$\$ BEGIN WHILE pg_stat_file('$dir/enough', true) IS NULL LOOP
	IF $unwrap <> '$secret' THEN RAISE 'wrong'; END IF; END LOOP; RAISE NOTICE 'all were right'; END \$\$";
my @load = map
{
	my $result = '';
	[ IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $unwraps ], '>', \$result, '2>&1'), \$result ]
} 1 .. 4;

# Waits until it has answered some
sub loads
{
	my ($service) = @_;
	usleep(20_000) while (grep { $_ eq 'Decrypt' } $service->operations) < 20;
	return;
}
loads($mortal);
$mortal->stop;
usleep(300_000);
$mortal = FakeKms->start(port => $mortal_port);
loads($mortal);
write_file("$dir/enough", '');
foreach my $client (@load)
{
	$client->[0]->finish;
	is(${ $client->[1] }, "NOTICE:  all were right\n", 'a service that dies under load and comes back: nobody notices');
}
$mortal->stop;

my $nowhere = server('aws_kms', "key_id '$arn', endpoint 'https://no-such-host.invalid', credentials_file '$profile_file'");
fails_at_last("SET pgseal.kms_timeout = 1000; " . unwrap_sql($nowhere, $kept), qr/not available.*code "connection".*resolve/s, 'no such host');

# ---- clock ----

$fake->set(state => { clock_offset => 3600 });
works(unwrap_sql($server, $kept), qr/^$secret$/, 'clock off by an hour: corrected');
is(scalar(grep { $_ eq 'Decrypt' } $fake->operations), 2, 'with one more request');
$fake->set();
works(unwrap_sql($server, $kept), qr/^$secret$/, 'the correction is remembered by other backends');
is(scalar(grep { $_ eq 'Decrypt' } $fake->operations), 1, 'with one request');
$fake->set(state => { clock_offset => 0 });
works(unwrap_sql($server, $kept), qr/^$secret$/, 'and taken back');

# ---- credentials ----

# replaced in the file: noticed when the old one is refused
write_file("$dir/credentials", "[default]\naws_access_key_id=AKIDNEW\naws_secret_access_key=secretNEW\n");
$fake->set(state => { access_keys => { AKIDNEW => { secret => 'secretNEW', token => undef } } });
works(unwrap_sql($server, $kept), qr/^$secret$/, 'key replaced in the file');
write_file("$dir/credentials", $profile);
$fake->set(state => { access_keys => { AKIDNEW => { secret => 'secretNEW', token => undef, expired => \1 } } });
fails(unwrap_sql($server, $kept), qr/refused.*UnrecognizedClient/s, 'the file has no good key');
my $good_keys = { AKIDEXAMPLE => { secret => 'secretEXAMPLE', token => undef } };
$fake->set(state => { access_keys => $good_keys });
works(unwrap_sql($server, $kept), qr/^$secret$/, 'it has again');
$fake->set(state => { access_keys => { AKIDEXAMPLE => { secret => 'other', token => undef } } });
fails(unwrap_sql($server, $kept), qr/refused.*InvalidSignature.*HINT:  The secret access key/s, 'wrong secret key');
$fake->set(state => { access_keys => $good_keys });

my $role = 'arn:aws:iam::111122223333:role/pg';
my $token_file = write_file("$dir/web_token", "web-token\n");
my $base = "key_id 'alias/pii', region 'eu-west-1', endpoint '$url', sts_endpoint '$url'";
my %login = (
	AssumeRole => server('aws_kms', "$base, credentials_file '$profile_file', role_arn '$role'"),
	AssumeRoleWithWebIdentity => server('aws_kms', "$base, credentials 'web_identity', web_identity_token_file '$token_file', web_identity_role_arn '$role'"),
	'/container' => server('aws_kms', "$base, credentials 'container'"),
	'/latest/meta-data/iam/security-credentials/my-role' => server('aws_kms', "$base, credentials 'imds'"));
foreach my $op (sort keys %login)
{
	$fake->set(state => { lease => 3600, access_keys => $good_keys });
	works(unwrap_sql($login{$op}, $kept), qr/^$secret$/, "$op: works") foreach 1 .. 3;
	is(scalar(grep { $_ eq $op } $fake->operations), 1, "$op: one login for three backends");
	$fake->set(state => { access_keys => $good_keys });
	works(unwrap_sql($login{$op}, $kept), qr/^$secret$/, "$op: works after the session was revoked");
	is(scalar(grep { $_ eq $op } $fake->operations), 1, "$op: with one new login");
}

# ahead of its end, by the KMS's clock: a new session, or the old one as long as it lasts
my $early = server('aws_kms', "$base, credentials_file '$profile_file', role_arn '$role', role_session_name 'early'");
$fake->set(state => { lease => 3600, access_keys => $good_keys });
works(unwrap_sql($early, $kept), qr/^$secret$/, 'new session');
$fake->set(state => { clock_offset => 2600 }, faults => [ { match => 'AssumeRole', kind => 'status', status => 403, times => 9,
	body => '<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>' } ]);
works(unwrap_sql($early, $kept), qr/^$secret$/, 'two thirds of its life later, STS refuses: the old session is used');
is(scalar(grep { $_ eq 'AssumeRole' } $fake->operations), 1, 'STS was asked');
usleep(1_100_000);
$fake->set(faults => []);
works(unwrap_sql($early, $kept), qr/^$secret$/, 'STS gives a new one: works');
is(join(' ', $fake->operations), 'AssumeRole Decrypt', 'with the new session, ahead of the end of the old one');
$fake->set(state => { clock_offset => 0 });
my $skewed = server('aws_kms', "$base, credentials_file '$profile_file', role_arn '$role', role_session_name 'skewed'");
$fake->set(state => { clock_offset => 3600 });
works(unwrap_sql($skewed, $kept), qr/^$secret$/, 'clock off by an hour at STS: corrected');
is(join(' ', $fake->operations), 'AssumeRole AssumeRole Decrypt', 'with one more request');
$fake->set(state => { clock_offset => 0 });

my $forbidden = server('aws_kms', "$base, credentials_file '$profile_file', role_arn '${role}forbidden'");
fails(unwrap_sql($forbidden, $kept), qr/could not log in: .*refused.*AccessDenied.*HINT.*trust policy/s, 'role that may not be assumed');
my $no_file = server('aws_kms', "$base, credentials 'web_identity', web_identity_token_file '$dir/none', web_identity_role_arn '$role'");
fails(unwrap_sql($no_file, $kept), qr/could not log in.*none.*No such file/s, 'token file is missing');

# twenty backends at once: one login
my $cold = server('aws_kms', "$base, credentials 'imds', role_session_name 'cold'");
$fake->set(state => { lease => 3600 });
my @sessions = map
{
	IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', unwrap_sql($cold, $kept) ], '>', \my $out, '2>&1')
} 1 .. 20;
$_->finish foreach @sessions;
is(scalar(grep { $_->result(0) == 0 } @sessions), 20, 'twenty backends start cold');
is(scalar(grep { /my-role/ } $fake->operations), 1, 'with one login');

# ---- TLS ----

my $tls = FakeKms->start(cert => make_certificate("$dir/good", 'IP:127.0.0.1'));
my $wrong = FakeKms->start(cert => make_certificate("$dir/wrong", 'DNS:kms.example.com'));
my $tls_base = "key_id '$arn', credentials_file '$profile_file'";
works(unwrap_sql(server('aws_kms', "$tls_base, endpoint '@{[$tls->url]}', ca_file '$dir/good.crt'"), $kept), qr/^$secret$/, 'TLS');
fails(unwrap_sql(server('aws_kms', "$tls_base, endpoint '@{[$tls->url]}'"), $kept), qr/not available.*code "tls"/s, 'unknown CA');
fails(unwrap_sql(server('aws_kms', "$tls_base, endpoint '@{[$tls->url]}', ca_file '$dir/wrong.crt'"), $kept), qr/code "tls".*HINT.*ca_file/s, 'wrong CA');
fails(unwrap_sql(server('aws_kms', "$tls_base, endpoint '@{[$wrong->url]}', ca_file '$dir/wrong.crt'"), $kept), qr/code "tls"/, 'wrong name');

make_certificate("$dir/client", 'DNS:database');
my $mutual = FakeKms->start(cert => "$dir/good.pem", client_ca => "$dir/client.crt");
my $mutual_base = "address '@{[$mutual->url]}', key_name 'pii', auth_method 'cert', role 'db', ca_file '$dir/good.crt'";
works(wrap_sql(server('vault_transit', "$mutual_base, client_cert_file '$dir/client.crt', client_key_file '$dir/client.key'")),
	qr/\|pii:v1$/, 'client certificate and key, and a login with it');
works(wrap_sql(server('vault_transit', "$mutual_base, client_cert_file '$dir/client.pem'")), qr/\|pii:v1$/, 'both in one file');
fails(wrap_sql(server('vault_transit', "$mutual_base, client_cert_file '$dir/wrong.pem'")), qr/not available/, 'wrong client certificate');
$_->stop foreach $tls, $wrong, $mutual;

# through a proxy: the endpoint itself does not exist
my $proxied = server('aws_kms', "$tls_base, endpoint 'http://127.0.0.1:9', proxy '$url'");
works(unwrap_sql($proxied, $kept), qr/^$secret$/, 'proxy');

# ---- Vault ----

my $vault_token = write_file("$dir/vault_token", "root-token\n");
my $second = FakeKms->start;
my $vault = server('vault_transit', "address '$url', key_name 'pii', token_file '$vault_token'");
my $vault_kept = works(wrap_sql($vault), qr/\|pii:v1$/, 'vault: wrap');
works(unwrap_sql($vault, $vault_kept), qr/^$secret$/, 'vault: unwrap');
works("SELECT length(secret), master_key FROM kms_generate('$vault', 'payroll', 'data', 42, true)", qr/^32\|pii:v1$/, 'vault: generate');
works("SELECT * FROM kms_describe('$vault')", qr/^pii:v1\|Key "pii" is of type aes256-gcm96/, 'vault: describe');
$fake->set(state => { version => 2 });
my ($vault_wrapped) = split /\|/, $vault_kept;
my $vault_new = works("SELECT encode(wrapped, 'hex') || '|' || master_key FROM kms_rewrap('$vault', 'payroll', 'data', 42, '\\x$vault_wrapped', 'pii:v1')",
	qr/\|pii:v2$/, 'vault: rewrap');
works(unwrap_sql($vault, $vault_new), qr/^$secret$/, 'vault: unwrap after rewrap');
fails(unwrap_sql($vault, $vault_kept, 'other'), qr/wrong or damaged.*not_authentic/s, 'vault: another key name does not unwrap');
$fake->set(state => { min_version => 2 });
fails(unwrap_sql($vault, $vault_kept), qr/refused.*version_too_old.*HINT.*min_decryption_version/s, 'vault: version disallowed');
$fake->set(state => { min_version => 1, version => 1 });
fails(unwrap_sql($vault, $vault_new), qr/wrong or damaged.*version_too_new/s, 'vault: version too new');
is(scalar($fake->operations), 2, 'vault: asked twice, in case of a lagging replica');
$fake->set(state => { version => 2, sealed => \1 });
fails_at_last("SET pgseal.kms_timeout = 500; " . unwrap_sql($vault, $vault_new), qr/not available.*HTTP status 503, code "sealed".*HINT:  Unseal/s, 'vault: sealed');
$fake->set(state => { sealed => \0, tokens => ['new-token'] });
fails(unwrap_sql($vault, $vault_new), qr/refused.*permission_denied.*HINT.*policy/s, 'vault: token revoked');
write_file("$dir/vault_token", 'new-token');
works(unwrap_sql($vault, $vault_new), qr/^$secret$/, 'vault: token file replaced');
$fake->set(state => { deny => ['decrypt'] });
fails(unwrap_sql($vault, $vault_new), qr/refused.*permission_denied/s, 'vault: policy');
$fake->set(state => { deny => [] });
fails(unwrap_sql(server('vault_transit', "address '$url', key_name 'pii', mount 'no/where', token_file '$vault_token'"), $vault_new),
	qr/refused.*not_mounted/s, 'vault: wrong mount');
fails("SELECT * FROM kms_describe('" . server('vault_transit', "address '$url', key_name 'pix', token_file '$vault_token'") . "')",
	qr/refused.*not_found/s, 'vault: no such key');

my $secret_id = write_file("$dir/secret_id", "secret-1\n");
my $jwt = write_file("$dir/jwt", "web-token\n");
my %vault_login = (
	approle => "auth_method 'approle', role_id 'role-1', secret_id_file '$secret_id', namespace 'team'",
	kubernetes => "auth_method 'kubernetes', role 'db', jwt_file '$jwt'",
	jwt => "auth_method 'jwt', role 'db', jwt_file '$jwt'");
foreach my $method (sort keys %vault_login)
{
	my $name = server('vault_transit', "address '$url', key_name 'pii', $vault_login{$method}");
	$fake->set(state => { lease => 3600 });
	works(unwrap_sql($name, $vault_new), qr/^$secret$/, "vault $method: works") foreach 1 .. 2;
	is(scalar(grep { /login/ } $fake->operations), 1, "vault $method: one login for two backends");
	$fake->set(state => { tokens => [] });
	works(unwrap_sql($name, $vault_new), qr/^$secret$/, "vault $method: works after the token was revoked");
	is(scalar(grep { /login/ } $fake->operations), 1, "vault $method: with one new login");
}
my $bad_role = server('vault_transit', "address '$url', key_name 'pii', auth_method 'approle', role_id 'nobody', secret_id_file '$secret_id'");
fails(unwrap_sql($bad_role, $vault_new), qr/could not log in.*refused.*invalid role/s, 'vault: bad role');

# a token that can't be renewed in time
my $renewed = server('vault_transit', "address '$url', key_name 'pii', auth_method 'approle', role_id 'role-1', secret_id_file '$secret_id', auth_mount 'approle'");
$fake->set(state => { lease => 600 });
works(unwrap_sql($renewed, $vault_new), qr/^$secret$/, 'vault: token that lives ten minutes');
write_file("$dir/clock", '601');
works(unwrap_sql($renewed, $vault_new), qr/^$secret$/, 'vault: login again after it has expired');
is(join(' ', grep { /login|renew/ } $fake->operations), join(' ', ('/v1/auth/approle/login') x 2), 'vault: two logins');
write_file("$dir/clock", '0');

# 307 from a standby: only to a configured host
my $location = { Location => $second->url . '/v1/transit/decrypt/pii' };
my $token_options = "key_name 'pii', token_file '$vault_token'";
my $alone = server('vault_transit', "address '$url', $token_options, mount 'transit'");
my $cluster = server('vault_transit', "address '$url, @{[$second->url]}', $token_options");
$second->set(state => { tokens => ['new-token'], version => 2 });
$fake->set(state => { tokens => ['new-token'] }, faults => [ { match => 'decrypt', kind => 'status', status => 307, headers => $location, times => 2 } ]);
fails(unwrap_sql($alone, $vault_new), qr/not available.*redirect.*HINT.*address/s, 'vault: redirect to another host');
is(scalar($second->requests), 0, 'vault: which never sees the token');
works(unwrap_sql($cluster, $vault_new), qr/^$secret$/, 'vault: redirect within the cluster') or diag(explain [ $second->requests ]);
is(scalar($second->requests), 1, 'vault: which is asked');
$fake->set(faults => [ { match => 'decrypt', kind => 'status', status => 503, times => 99 } ]);
works(unwrap_sql($cluster, $vault_new), qr/^$secret$/, 'vault: a node that is down: the other one answers');
$second->stop;

# ---- Azure ----

my $client_secret = write_file("$dir/client_secret", "client&secret\n");
my $azure_base = "vault_url '$url', key_name 'pii', resource 'https://vault.azure.net'";
my $azure = server('azure_key_vault', "$azure_base, authority_host '$url', tenant_id 'tenant', client_id 'client', client_secret_file '$client_secret'");
$fake->set(state => { version => 1 }, faults => []);
my $azure_kept = works(wrap_sql($azure), qr{\|\Q$url\E/keys/pii/v1$}, 'azure: wrap');
$fake->set(state => { version => 2 });
works(unwrap_sql($azure, $azure_kept), qr/^$secret$/, 'azure: unwrap asks the version that wrapped');
is(($fake->requests)[0]{op}, '/keys/pii/v1/unwrapkey?api-version=7.4', 'azure: by its kid');
works("SELECT * FROM kms_describe('$azure')", qr{^\Q$url\E/keys/pii/v2\|Key .* of type RSA is enabled}, 'azure: describe');
my ($azure_wrapped, $azure_kid) = split /\|/, $azure_kept;
works("SELECT master_key FROM kms_rewrap('$azure', 'payroll', 'data', 42, '\\x$azure_wrapped', '$azure_kid')", qr{/v2$}, 'azure: rewrap');
works("SELECT length(secret) FROM kms_generate('$azure', 'payroll', 'data', 42, true)", qr/^32$/, 'azure: generate');
fails(unwrap_sql($azure, "00$azure_kept"), qr/wrong or damaged.*BadParameter/s, 'azure: damaged key');
$fake->set(state => { bearer => [] });
works(unwrap_sql($azure, $azure_kept), qr/^$secret$/, 'azure: token revoked');
is(scalar(grep { /oauth2/ } $fake->operations), 1, 'azure: one new login');
$fake->set(state => { key_state => 'Disabled' });
fails(unwrap_sql($azure, $azure_kept), qr/refused.*HTTP status 403, code "KeyDisabled", request id "azure-1".*HINT:  Enable/s, 'azure: key disabled');
fails("SELECT * FROM kms_describe('$azure')", qr/refused.*KeyDisabled/s, 'azure: describe tells');
$fake->set(state => { key_state => 'Enabled' }, faults => [ { match => 'unwrapkey', kind => 'status', status => 429, headers => { 'Retry-After' => '1' } } ]);
my $throttled_at = time;
works(unwrap_sql($azure, $azure_kept), qr/^$secret$/, 'azure: throttled');
cmp_ok(time - $throttled_at, '>=', 1, 'azure: Retry-After is honoured');
$fake->set(faults => [ { match => 'unwrapkey', kind => 'replace', old => '/v1', new => '/v9', times => 9 } ]);
fails(unwrap_sql($azure, $azure_kept), qr/wrong or damaged.*wrong_key/s, 'azure: wrong kid in the reply');
$fake->set(faults => []);
my $bad_secret = write_file("$dir/bad_secret", 'wrong');
fails(unwrap_sql(server('azure_key_vault', "$azure_base, authority_host '$url', tenant_id 'tenant', client_id 'client', client_secret_file '$bad_secret'"), $azure_kept),
	qr/could not log in.*invalid_client.*AADSTS/s, 'azure: wrong client secret');
my $azure_federated = server('azure_key_vault', "$azure_base, authority_host '$url', tenant_id 'tenant', client_id 'client', federated_token_file '$jwt'");
works(unwrap_sql($azure_federated, $azure_kept), qr/^$secret$/, 'azure: workload identity');
works(unwrap_sql(server('azure_key_vault', "$azure_base, credentials 'managed_identity'"), $azure_kept), qr/^$secret$/, 'azure: managed identity');

# ---- Google ----

my $key_name = 'projects/p/locations/l/keyRings/r/cryptoKeys/pii';
my $pem = `openssl genrsa 2048 2>/dev/null`;
(my $json_pem = $pem) =~ s/\n/\\n/g;
my $account = write_file("$dir/account.json", qq({"type":"service_account","client_email":"sealer\@example.com","private_key_id":"k1","private_key":"$json_pem","token_uri":"$url/google/token"}));
my $federated = write_file("$dir/federated.json", qq({"type":"external_account","audience":"//iam/x","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"$url/google/sts","credential_source":{"file":"$jwt"},"service_account_impersonation_url":"$url/google/impersonate"}));
my $gcp_base = "key_name '$key_name', endpoint '$url'";
my $gcp = server('gcp_kms', "$gcp_base, credentials_file '$account'");
$fake->set(state => { version => 1, bearer => [] });
my $gcp_kept = works(wrap_sql($gcp), qr{\|\Q$key_name\E/cryptoKeyVersions/1$}, 'gcp: wrap');
works(unwrap_sql($gcp, $gcp_kept), qr/^$secret$/, 'gcp: unwrap');
fails(unwrap_sql($gcp, $gcp_kept, 'other'), qr/wrong or damaged.*INVALID_ARGUMENT/s, 'gcp: another key name does not unwrap');
works("SELECT * FROM kms_describe('$gcp')", qr{^\Q$key_name\E/cryptoKeyVersions/1\|}, 'gcp: describe');
$fake->set(state => { bad_crc => \1 });
fails_at_last("SET pgseal.kms_timeout = 500; " . unwrap_sql($gcp, $gcp_kept), qr/not available.*crc32c/s, 'gcp: wrong checksum of a secret');
fails_at_last("SET pgseal.kms_timeout = 500; " . wrap_sql($gcp), qr/not available.*crc32c/s, 'gcp: wrong checksum of a wrapped key');
$fake->set(state => { bad_crc => \0 }, faults => [ { match => 'encrypt', kind => 'replace', old => '"verifiedPlaintextCrc32c": true, ', new => '' } ]);
works(wrap_sql($gcp), qr/cryptoKeyVersions/, 'gcp: unverified checksum once: works in the end');
$fake->set(state => { key_state => 'Disabled' }, faults => []);
fails(unwrap_sql($gcp, $gcp_kept), qr/refused.*FAILED_PRECONDITION.*HINT:  Enable/s, 'gcp: version disabled');
fails("SELECT * FROM kms_describe('$gcp')", qr/refused.*DISABLED/s, 'gcp: describe tells');
$fake->set(state => { key_state => 'Enabled', deny => ['decrypt'] });
fails(unwrap_sql($gcp, $gcp_kept), qr/refused.*PERMISSION_DENIED.*HINT:  Grant/s, 'gcp: no permission');
$fake->set(state => { deny => [], bearer => [] });
works(unwrap_sql($gcp, $gcp_kept), qr/^$secret$/, 'gcp: token revoked');
my $gcp_federated = server('gcp_kms', "$gcp_base, credentials_file '$federated'");
works(unwrap_sql($gcp_federated, $gcp_kept), qr/^$secret$/, 'gcp: workload identity federation');
works(unwrap_sql(server('gcp_kms', "$gcp_base, credentials 'metadata'"), $gcp_kept), qr/^$secret$/, 'gcp: metadata server');
(my $not_key = slurp_file($account)) =~ s/PRIVATE/PUBLIC/g;
fails(unwrap_sql(server('gcp_kms', "$gcp_base, credentials_file '" . write_file("$dir/not_key.json", $not_key) . "'"), $gcp_kept),
	qr/could not log in.*not a usable key/s, 'gcp: unusable private key');

# ---- files with tokens and secrets are read again for each login ----

foreach my $case (
	[ 'aws web identity', $login{AssumeRoleWithWebIdentity}, $kept, 'web_token', 'web-token' ],
	[ 'aws container', $login{'/container'}, $kept, 'container_token', 'container-token' ],
	[ 'vault approle', server('vault_transit', "address '$url', key_name 'pii', $vault_login{approle}, mount 'transit'"), $vault_new, 'secret_id', 'secret-1' ],
	[ 'vault kubernetes', server('vault_transit', "address '$url', key_name 'pii', $vault_login{kubernetes}, mount 'transit'"), $vault_new, 'jwt', 'web-token' ],
	[ 'azure client secret', $azure, $azure_kept, 'client_secret', 'client&secret' ],
	[ 'azure workload identity', $azure_federated, $azure_kept, 'jwt', 'web-token' ],
	[ 'gcp federation', $gcp_federated, $gcp_kept, 'jwt', 'web-token' ])
{
	my ($name, $reader, $wrapped_key, $file, $good) = @$case;
	my $revoked = { access_keys => $good_keys, tokens => [], bearer => [], version => 2 };
	$fake->set(state => $revoked);
	works(unwrap_sql($reader, $wrapped_key), qr/^$secret$/, "$name: works");
	write_file("$dir/$file", 'replaced');
	$fake->set(state => $revoked);
	fails(unwrap_sql($reader, $wrapped_key), qr/could not log in.*refused.*HINT/s, "$name: the file has another secret");
	write_file("$dir/$file", $good);
	usleep(1_100_000);
	works(unwrap_sql($reader, $wrapped_key), qr/^$secret$/, "$name: it has the right one again");
}

# ---- options ----

foreach my $case (
	[ 'aws_kms', "key_id 'alias/x', secret_access_key 'x'", qr/option "secret_access_key" is refused/ ],
	[ 'aws_kms', "region 'eu-west-1'", qr/option "key_id" is required/ ],
	[ 'aws_kms', "key_id 'arn:aws:s3:::x'", qr/invalid value for option "key_id"/ ],
	[ 'aws_kms', "key_id 'arn:aws:kms:eu-west-1:1:key/x'", qr/invalid value for option "key_id"/ ],
	[ 'aws_kms', "key_id 'alias/'", qr/invalid value for option "key_id"/ ],
	[ 'aws_kms', "key_id 'alias/x', region 'evil.example.com/'", qr/invalid value for option "region"/ ],
	[ 'aws_kms', "key_id 'alias/x', endpoint 'http://kms.example.com'", qr/invalid value for option "endpoint".*allow_http/s ],
	[ 'aws_kms', "key_id 'alias/x', endpoint 'http://127.0.0.1.example.com'", qr/invalid value for option "endpoint"/ ],
	[ 'aws_kms', "key_id 'alias/x', endpoint 'http://127.0.0.1\@example.com'", qr/invalid value for option "endpoint"/ ],
	[ 'aws_kms', "key_id 'alias/x', endpoint 'https://u:p\@example.com'", qr/without user/ ],
	[ 'aws_kms', "key_id 'alias/x', endpoint 'file:///etc/passwd'", qr/invalid value for option "endpoint"/ ],
	[ 'aws_kms', "key_id 'alias/x', ca_file 'relative'", qr/invalid value for option "ca_file"/ ],
	[ 'aws_kms', "key_id 'alias/x', colour 'blue'", qr/invalid option "colour"/ ],
	[ 'aws_kms', "key_id 'alias/x', credentials 'magic'", qr/Valid values are: auto, environment/ ],
	[ 'azure_key_vault', "vault_url 'https://x.vault.azure.net', key_name 'k', client_secret 'x'", qr/option "client_secret" is refused.*client_secret_file/s ],
	[ 'azure_key_vault', "vault_url 'https://evil.example.com', key_name 'k'", qr/option "resource" is required/ ],
	[ 'azure_key_vault', "vault_url 'https://x.vault.azure.net/path', key_name 'k'", qr/invalid value for option "vault_url"/ ],
	[ 'gcp_kms', "key_name 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'", qr/invalid value for option "key_name"/ ],
	[ 'gcp_kms', "key_name 'projects/p/locations/l/keyRings/../cryptoKeys/k'", qr/invalid value for option "key_name"/ ],
	[ 'gcp_kms', "key_name 'projects/p/locations/l/keyRings/r/cryptoKeys/k', private_key 'x'", qr/option "private_key" is refused/ ],
	[ 'vault_transit', "address 'https://v:8200', key_name 'x', token 's.x'", qr/option "token" is refused.*token_file/s ],
	[ 'vault_transit', "address 'https://v:8200', key_name 'x'", qr/option "token_file" is required with auth_method "token_file"/ ],
	[ 'vault_transit', "address 'https://v:8200,http://w:8200', key_name 'x', token_file '/t'", qr/invalid value for option "address"/ ],
	[ 'vault_transit', "address 'https://v:8200', key_name 'x', auth_method 'approle', role_id 'x'", qr/option "secret_id_file" is required/ ],
	[ 'vault_transit', "address 'https://v:8200', key_name 'x', mount '../sys', token_file '/t'", qr/invalid value for option "mount"/ ])
{
	my ($wrapper, $options, $pattern) = @$case;
	$node->psql('postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER $wrapper OPTIONS ($options)", stderr => \$stderr);
	like($stderr, $pattern, "refused: $wrapper $options");
}

# the same when they are changed; and nowhere else
my $altered = aws_server();
foreach my $case (
	[ "ALTER SERVER $altered OPTIONS (ADD session_token 'inline-secret')", qr/option "session_token" is refused.*credentials_file/s ],
	[ "ALTER SERVER $altered OPTIONS (SET endpoint 'https://user:inline-secret\@kms.example.com')", qr/invalid value for option "endpoint"\nHINT/ ],
	[ "ALTER SERVER $altered OPTIONS (SET endpoint 'http://kms.example.com')", qr/invalid value for option "endpoint".*allow_http/s ],
	[ "ALTER SERVER $altered OPTIONS (ADD proxy 'http://user:inline-secret\@proxy.example.com')", qr/invalid value for option "proxy"\nHINT/ ],
	[ "ALTER SERVER $altered OPTIONS (DROP key_id)", qr/option "key_id" is required/ ],
	[ "ALTER SERVER $altered OPTIONS (ADD colour 'blue')", qr/invalid option "colour".*Valid options.*key_id, region/s ],
	[ "CREATE USER MAPPING FOR CURRENT_USER SERVER $altered OPTIONS (password 'inline-secret')", qr/invalid option "password".*only a server takes options/s ],
	[ "ALTER FOREIGN DATA WRAPPER aws_kms OPTIONS (secret_access_key 'inline-secret')", qr/invalid option "secret_access_key"/ ])
{
	my ($sql, $pattern) = @$case;
	$node->psql('postgres', $sql, stderr => \$stderr);
	like($stderr, $pattern, "refused: $sql");
	unlike($stderr, qr/ERROR.*inline-secret/, 'without naming the secret');
}

# ---- nothing secret in the log, at debug5 ----

my $log = slurp_file($node->logfile);
like($log, qr/pgseal: POST \Q$url\E/, 'requests are in the log');
like($log, qr/Authorization: \[redacted\]/, 'without what is secret');
foreach my $word ('secretEXAMPLE', 'Signature=', 'session/token', 'metadata/token', 'imds-token', 'container-token',
	'web-token', 'new-token', 'login-token', 'secret-1', 'client&secret', 'client%26secret', 'bearer-', 'inline-secret', 'impersonated', 'PRIVATE', 'q6urq6ur', $secret)
{
	# the secret itself is in the test's own statements, which aren't logged
	unlike($log, qr/\Q$word\E/, "not in the log: $word");
}
unlike($log, qr/(PANIC|TRAP|terminated by signal|server process .* was terminated)/, 'no crash');

$node->stop;
$fake->stop;
done_testing();
