# Every fault at every provider, with pgseal as users run it: what a query gets
# whose key isn't in the cache (cold), that queries whose key is there (warm) go
# on, what is logged, and that it all passes without a restart.
#
# What the transport does in detail is the topic of kms/faults.pl.  Each
# provider has a fake service of its own, and the four are tried at once.
#
# Needs Python 3 and openssl.

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
my @providers = qw(aws vault azure gcp);
my %fake = map { $_ => FakeKms->start } @providers;
my %url = map { $_ => $fake{$_}->url } @providers;

my $profile = write_file("$dir/credentials", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n");
my $token = write_file("$dir/token", "root-token\n");
my $client_secret = write_file("$dir/client_secret", "client&secret\n");
(my $pem = `openssl genrsa 2048 2>/dev/null`) =~ s/\n/\\n/g;

# ---- the providers: how a server is made, what unwraps, what can be wrong ----

my %wrapper = (aws => 'aws_kms', vault => 'vault_transit', azure => 'azure_key_vault', gcp => 'gcp_kms');
my %at = (aws => 'endpoint', vault => 'address', azure => 'vault_url', gcp => 'endpoint');

sub options
{
	my ($provider, $url) = @_;
	my %options = (
		aws => "key_id 'alias/pii', region 'eu-west-1', credentials_file '$profile'",
		vault => "key_name 'pii', token_file '$token'",
		azure => "key_name 'pii', resource 'https://vault.azure.net', authority_host '$url', tenant_id 't', client_id 'c', client_secret_file '$client_secret'",
		gcp => "key_name 'projects/p/locations/l/keyRings/r/cryptoKeys/pii'");
	if ($provider eq 'gcp')
	{
		(my $name = "account_$url.json") =~ s/[^\w.]/_/g;
		$options{gcp} .= ", credentials_file '"
		  . write_file("$dir/$name", qq({"type":"service_account","client_email":"sealer\@example.com","private_key":"$pem","token_uri":"$url/google/token"})) . q{'};
	}
	return "$at{$provider} '$url', $options{$provider}";
}

my %unwrap = (aws => 'Decrypt', vault => '/decrypt/', azure => 'unwrapkey', gcp => ':decrypt');

# A status for the reply to unwrap
sub status
{
	my ($status, %body) = @_;
	return {
		map { $_ => { faults => [ { match => $unwrap{$_}, kind => 'status', status => $status, body => $body{$_} // '', times => 99 } ] } }
		  @providers
	};
}

# A fault of the reply to unwrap, n times
sub reply
{
	my ($times, %fault) = @_;
	return { map { $_ => { faults => [ { match => $unwrap{$_}, times => $times, %fault } ] } } @providers };
}

sub state_of_key
{
	my ($state) = @_;
	return { map { $_ => { state => { key_state => $state } } } @providers };
}

sub everywhere
{
	my ($pattern) = @_;
	return { map { $_ => $pattern } @providers };
}

my $elsewhere = FakeKms->start;
my $works = everywhere('works');
my %throttled = (
	aws => '{"__type":"ThrottlingException","message":"Rate exceeded"}',
	vault => '{"errors":["request path: rate limit quota exceeded"]}',
	azure => '{"error":{"code":"Throttled","message":"Request was not processed because too many requests were received"}}',
	gcp => '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded"}}');

# name, what is wrong, what a cold query gets, requests (N: exactly, -N: at least).
# AWS throttles with status 400.
my @faults = (
	[ 'no permission',
		{ map { $_ => { state => { deny => [ { aws => 'Decrypt', vault => 'decrypt', azure => 'unwrapkey', gcp => 'decrypt' }->{$_} ] } } } @providers },
		{
			aws => qr/refused.*HTTP status 400, code "AccessDeniedException", request id "req-\w+".*HINT.*kms:Decrypt/s,
			vault => qr/refused.*HTTP status 403, code "permission_denied".*HINT.*policy must allow/s,
			azure => qr/refused.*HTTP status 403, code "ForbiddenByRbac", request id "azure-1".*HINT.*role/s,
			gcp => qr/refused.*HTTP status 403, code "PERMISSION_DENIED".*HINT.*Grant/s
		} ],
	[ 'key disabled', state_of_key('Disabled'),
		{
			aws => qr/refused.*DisabledException.*HINT:  Enable/s,
			vault => qr/refused.*key_deleted.*HINT:  Restore/s,
			azure => qr/refused.*KeyDisabled.*HINT:  Enable/s,
			gcp => qr/refused.*FAILED_PRECONDITION.*HINT:  Enable/s
		}, 1 ],
	[ 'key pending deletion, or deleted', state_of_key('PendingDeletion'),
		{
			aws => qr/refused.*KMSInvalidStateException.*HINT.*CancelKeyDeletion/s,
			vault => qr/refused.*key_not_found.*HINT.*key_name/s,
			azure => qr/refused.*KeyNotFound.*HINT.*recovered/s,
			gcp => qr/refused.*FAILED_PRECONDITION.*HINT.*Restore/s
		}, 1 ],
	[ 'credential revoked',
		{
			aws => { state => { access_keys => {} } },
			vault => { state => { tokens => [] } },
			azure => { state => { bearer => [] }, faults => [ { match => 'oauth2', kind => 'status', status => 401, times => 99,
				body => '{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}' } ] },
			gcp => { state => { bearer => [] }, faults => [ { match => '/google/token', kind => 'status', status => 400, times => 99,
				body => '{"error":"invalid_grant","error_description":"Invalid grant: account not found"}' } ] }
		},
		{
			aws => qr/refused.*UnrecognizedClientException.*HINT.*does not know the access key/s,
			vault => qr/refused.*permission_denied.*HINT.*token has expired/s,
			azure => qr/could not log in.*refused.*HTTP status 401, code "invalid_client".*AADSTS7000215.*HINT.*secret/s,
			gcp => qr/could not log in.*refused.*HTTP status 400, code "invalid_grant".*account not found.*HINT/s
		}, undef, 1.1 ],
	[ 'credential expired: a new one is got where one can be',
		{
			aws => { state => { access_keys => { AKIDEXAMPLE => { secret => 'secretEXAMPLE', token => undef, expired => \1 } } } },
			vault => { state => { tokens => [] } },
			azure => { state => { bearer => [] } },
			gcp => { state => { bearer => [] } }
		},
		{
			aws => qr/refused.*ExpiredTokenException.*HINT.*expired/s,
			vault => qr/refused.*permission_denied/s,
			azure => 'works', gcp => 'works'
		} ],
	[ 'throttled', { %{ status(429, %throttled) }, aws => status(400, %throttled)->{aws} },
		{
			aws => qr/not available.*HTTP status 400, code "ThrottlingException".*HINT.*quota/s,
			vault => qr/not available.*HTTP status 429, code "throttled".*HINT.*quota/s,
			azure => qr/not available.*HTTP status 429, code "Throttled".*HINT.*capacity/s,
			gcp => qr/not available.*HTTP status 429, code "RESOURCE_EXHAUSTED".*HINT.*quota/s
		}, -2 ],
	[ 'internal error', status(500), everywhere(qr/not available.*HTTP status 500/s), -2 ],
	[ 'unavailable, once', reply(1, kind => 'status', status => 503), $works, 2 ],
	[ 'slow', reply(99, kind => 'slow', seconds => 8), everywhere(qr/not available.*code "timeout".*HINT.*kms_timeout/s) ],
	[ 'reset', reply(99, kind => 'reset'), everywhere(qr/not available.*code "connection"/s), -2 ],
	[ 'reset in mid-reply, once', reply(1, kind => 'reset_mid'), $works, 2 ],
	[ 'truncated', reply(99, kind => 'truncate'), everywhere(qr/not available.*code "connection"/s), -2 ],
	[ 'oversized', reply(99, kind => 'oversize'), everywhere(qr/not available.*code "reply_size"/s), 1 ],
	[ 'malformed', reply(99, kind => 'malformed'), everywhere(qr/not available.*code "malformed_reply".*HINT/s), 1 ],
	[ 'an empty object', status(200, map { $_ => '{}' } @providers),
		{ %{ everywhere(qr/not available.*code "malformed_reply"/s) }, gcp => qr/not available.*code "crc32c"/s } ],
	[ 'another secret, or key, in the reply',
		{
			aws => reply(99, kind => 'replace', old => '1234abcd', new => 'ffffabcd')->{aws},
			vault => status(200, vault => '{"data":{"plaintext":"AQID"}}')->{vault},
			azure => reply(99, kind => 'replace', old => '/v1', new => '/v9')->{azure},
			gcp => { state => { bad_crc => \1 } }
		},
		{
			aws => qr/wrong or damaged.*code "wrong_key"/s,
			vault => qr/not available.*malformed_reply/s,
			azure => qr/wrong or damaged.*code "wrong_key"/s,
			gcp => qr/not available.*code "crc32c"/s
		} ],
	(map { [ "redirect with status $_", reply(99, kind => 'status', status => $_,
			headers => { Location => $elsewhere->url . '/v1/transit/decrypt/pii' }),
			everywhere(qr/not available.*code "redirect"/s), 1 ] } 301, 307),
	[ 'clock off by an hour', { map { $_ => { state => { clock_offset => 3600, bearer => [] } } } @providers }, $works ]);

# ---- keys and values: a cold key for each fault, and one for after it ----

my $node = SealedNode->started('matrix', conf => q{
max_connections = 50
log_min_messages = debug2
log_statement = none
pgseal.kms_timeout = 10s
});
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');
$node->safe_psql('postgres', 'CREATE TABLE sealed (provider text, n int, v encrypted_text(\'*\'))');

my $load_from = 100;
my $num_load = 3;
my $setup = '';
foreach my $provider (@providers)
{
	$setup .= "CREATE SERVER $provider FOREIGN DATA WRAPPER $wrapper{$provider} OPTIONS (@{[options($provider, $url{$provider})]});\n";
	foreach my $n (0 .. 2 * @faults, $load_from + 1 .. $load_from + $num_load)
	{
		$setup .= "SELECT pgseal.create_key('${provider}_$n', server => '$provider');\n"
		  . "INSERT INTO sealed VALUES ('$provider', $n, pgseal.seal('$SealedNode::SECRET $provider $n', '${provider}_$n'));\n";
	}
}
$node->safe_psql('postgres', $setup);

# Whatever was in the cache is gone
$node->restart;

sub open_sql
{
	my ($provider, $n) = @_;
	return "SELECT v FROM sealed WHERE provider = '$provider' AND n = $n";
}

sub start_open
{
	my ($settings, $provider, $n) = @_;
	my ($out, $err) = ('', '');
	my $handle = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $settings, '-c', open_sql($provider, $n) ],
		'>', \$out, '2>', \$err);
	return { handle => $handle, out => \$out, err => \$err };
}

my $all_warm = join("\n", map { "$SealedNode::SECRET $_ 0" } sort @providers);
my $warm_sql = 'SELECT v FROM sealed WHERE n = 0 ORDER BY provider';
is($node->query('postgres', $warm_sql), $all_warm, 'one key of each provider is warm');
my $session = $node->background_psql('postgres');
is($session->query($warm_sql), $all_warm, 'also in a session that stays');

# ---- the matrix ----

my %refusals;
foreach my $i (0 .. $#faults)
{
	my ($name, $wrong, $expected, $asked, $pause) = @{ $faults[$i] };
	my $n = 2 * $i + 1;

	my %before = map { $_ => $fake{$_}->set(%{ $wrong->{$_} }) } @providers;
	my %cold = map { $_ => start_open("SET pgseal.kms_timeout = '3s'", $_, $n) } @providers;
	is($node->query('postgres', $warm_sql), $all_warm, "$name: warm queries go on");
	is($session->query($warm_sql), $all_warm, "$name: also in a session that stays");
	foreach my $provider (@providers)
	{
		my ($out, $err) = @{ $cold{$provider} }{qw(out err)};
		$cold{$provider}{handle}->finish;
		my @requests = grep { /\Q$unwrap{$provider}\E/ } $fake{$provider}->operations;
		if ($expected->{$provider} eq 'works')
		{
			is($$out, "$SealedNode::SECRET $provider $n\n", "$name, $provider: a cold query works") or diag($$err);
		}
		else
		{
			$refusals{$provider}++;
			like($$err, qr/ERROR:  58000: could not .*\nDETAIL:  Provider "$wrapper{$provider}", server "$provider", operation "(unwrap|login)"/,
				"$name, $provider: a cold query fails, and says where");
			like($$err, $expected->{$provider}, "$name, $provider: and why");
			is($$out, '', "$name, $provider: and gives nothing");
		}
		next unless $asked;
		cmp_ok(scalar(@requests), $asked > 0 ? '==' : '>=', abs($asked), "$name, $provider: number of requests");
	}

	# what the service was before
	$fake{$_}->set(
		faults => [],
		state => {
			key_state => 'Enabled', deny => [], bad_crc => \0, clock_offset => 0, tokens => ['root-token'],
			access_keys => { AKIDEXAMPLE => { secret => 'secretEXAMPLE', token => undef } }
		}) foreach @providers;
	usleep(1_000_000 * $pause) if $pause;
	%cold = map { $_ => start_open('', $_, $n + 1) } @providers;
	foreach my $provider (@providers)
	{
		$cold{$provider}{handle}->finish;
		is(${ $cold{$provider}{out} }, "$SealedNode::SECRET $provider @{[$n + 1]}\n", "$name, $provider: passes")
		  or diag(${ $cold{$provider}{err} });
	}
}
is(scalar($elsewhere->requests), 0, 'the host to which replies redirected was never asked');
$elsewhere->stop;

# What failed is remembered for a few seconds
ok($node->poll_query_until('postgres',
		"SELECT count(*) = count(pgseal.try_open(v)) FROM sealed WHERE n < $load_from"),
	'in the end every value opens');

# ---- a service that dies under load and comes back ----

$fake{$_}->set(faults => [ { match => $unwrap{$_}, kind => 'slow', seconds => 4, times => 99 } ]) foreach @providers;
my @load = map
{
	my $provider = $_;
	map { [ $provider, $_, start_open('', $provider, $_) ] } ($load_from + 1 .. $load_from + $num_load) x 2
} @providers;
foreach my $provider (@providers)
{
	usleep(10_000) until grep { /\Q$unwrap{$provider}\E/ } $fake{$provider}->operations;
	$fake{$provider}->stop;
}
is($session->query($warm_sql), $all_warm, 'dead under load: warm queries go on');
$fake{$_} = FakeKms->start(port => $fake{$_}->port) foreach @providers;
foreach my $load (@load)
{
	my ($provider, $n, $client) = @$load;
	$client->{handle}->finish;
	is(${ $client->{out} }, "$SealedNode::SECRET $provider $n\n", "dead under load, $provider: nobody notices") or diag(${ $client->{err} });
}
cmp_ok(scalar($fake{$_}->operations), '>', 0, "dead under load, $_: asked after its return") foreach @providers;

# ---- nobody there, no such name, wrong certificates: a key can't be made ----

my $tls = FakeKms->start(cert => make_certificate("$dir/good", 'IP:127.0.0.1'));
my $wrong_name = FakeKms->start(cert => make_certificate("$dir/wrong", 'DNS:kms.example.com'));
my $dead_port = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
my @places = (
	[ 'dead', "http://127.0.0.1:$dead_port", '', qr/not available.*code "connection"/s ],
	[ 'nowhere', 'https://no-such-host.invalid', '', qr/not available.*code "connection".*resolve/s ],
	[ 'unknown_ca', $tls->url, '', qr/not available.*code "tls".*HINT.*ca_file/s ],
	[ 'wrong_ca', $tls->url, ", ca_file '$dir/wrong.crt'", qr/not available.*code "tls".*HINT.*ca_file/s ],
	[ 'wrong_name', $wrong_name->url, ", ca_file '$dir/wrong.crt'", qr/not available.*code "tls".*HINT.*name in the URL/s ],
	[ 'tls', $tls->url, ", ca_file '$dir/good.crt'", 'works' ]);
foreach my $provider (@providers)
{
	foreach my $place (@places)
	{
		my ($name, $url, $more, $expected) = @$place;
		my $stderr;
		$node->safe_psql('postgres',
			"CREATE SERVER ${provider}_$name FOREIGN DATA WRAPPER $wrapper{$provider} OPTIONS (@{[options($provider, $url)]}$more)");
		my $timeout = $expected eq 'works' ? '10s' : '1s';
		my $rc = $node->psql('postgres',
			"SET pgseal.kms_timeout = '$timeout'; SELECT pgseal.create_key('${provider}_$name', server => '${provider}_$name')", stderr => \$stderr);
		$expected eq 'works' ? is($rc, 0, "$name, $provider: a key is made") : like($stderr, $expected, "$name, $provider: no key is made");
	}
}
is($node->safe_psql('postgres', "SELECT count(*) FROM pgseal.keys WHERE name LIKE '%\\_dead'"), 0, 'what failed left no key behind');
# ---- check() ----

my @failing = grep { $_->[3] ne 'works' } @places;
my $in_failing = 'IN (' . join(', ', map { my $place = $_->[0]; map { "'server ${_}_$place'" } @providers } @failing) . ')';
is($node->safe_psql('postgres', "SET pgseal.kms_timeout = '300ms'; SELECT count(*) FROM pgseal.check() WHERE object $in_failing AND status = 'unreachable'"),
	@providers * @failing, 'check() asks servers that no key uses yet, too');
foreach my $place (@failing)
{
	$node->safe_psql('postgres', "DROP SERVER ${_}_$place->[0]") foreach @providers;
}

$fake{$_}->set(state => { key_state => 'Disabled' }) foreach @providers;
is($node->safe_psql('postgres', <<'SQL'), join("\n", map { "server $_|refused|t" } sort grep { $_ ne 'vault' } @providers), 'check() tells which servers refuse, and what to do');
SELECT object, status, detail LIKE '%nable the key%' FROM pgseal.check()
WHERE object IN ('server aws', 'server azure', 'server gcp') ORDER BY object
SQL
is($node->safe_psql('postgres', q{SELECT count(DISTINCT object) FROM pgseal.check() WHERE status = 'refused' AND object LIKE 'key % data %' AND detail ~ 'Disabled|DISABLED|disabled|soft-deleted'}),
	@providers * (2 * @faults + 1 + $num_load), 'and which keys cannot be unwrapped');

$_->stop foreach $tls, $wrong_name;

# ---- what is counted and logged ----

foreach my $provider (@providers)
{
	is($node->safe_psql('postgres', <<SQL), 't|t|t|t|t', "$provider: pgseal.stat_kms");
SELECT succeeded > 40, unreachable > 5, refused >= 4, retries > 5, calls = succeeded + unreachable + refused + invalid
FROM pgseal.stat_kms WHERE server = '$provider' AND provider = '$wrapper{$provider}' AND operation = 'unwrap'
SQL
}

my $log = slurp_file($node->logfile);
foreach my $provider (@providers)
{
	my @errors = $log =~ /ERROR:  could not .*\n.*DETAIL:  Provider "$wrapper{$provider}", server "$provider"/g;
	cmp_ok(scalar(@errors), '>=', $refusals{$provider}, "$provider: what failed is in the log");
}
unlike($log, $SealedNode::PLAINTEXT, 'no plaintext in the log, at debug2');
foreach my $word ('secretEXAMPLE', 'root-token', 'client&secret', 'client%26secret', 'bearer-', 'Signature=', 'PRIVATE', 'assertion=')
{
	unlike($log, qr/\Q$word\E/, "not in the log: $word");
}
unlike($log, qr/(PANIC|TRAP|terminated by signal|server process .* was terminated)/, 'no crash');

$session->quit;
$node->stop;
$fake{$_}->stop foreach @providers;
done_testing();
