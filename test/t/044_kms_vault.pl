# vault_transit against Vault itself: its core, transit engine, policies and
# AppRole login.
#
# Needs the extension in test/module_kms, installed; test/kms/vault.sh.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../kms';
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RealKms;
use Test::More;

my ($vault, $facts) = RealKms->start('vault.sh');
my $url = $facts->{url};
my $dir = PostgreSQL::Test::Utils::tempdir;

sub write_file
{
	my ($name, $content) = @_;
	open(my $fh, '>', "$dir/$name") or die;
	print $fh $content;
	close($fh);
	return "$dir/$name";
}

sub api
{
	my ($method, $path, $content) = @_;
	my $reply = HTTP::Tiny->new(proxy => undef, http_proxy => undef)->request($method, "$url/v1/$path",
		{ headers => { 'X-Vault-Token' => $facts->{token} }, $content ? (content => encode_json($content)) : () });
	die "$path: $reply->{status} $reply->{content}" unless $reply->{success};
	return $reply->{content} ? decode_json($reply->{content}) : {};
}

# ---- what the README tells an operator to do ----

api('POST', 'sys/mounts/transit', { type => 'transit' });
api('POST', 'transit/keys/pii', { type => 'aes256-gcm96', derived => JSON::PP::true });
api('POST', 'transit/keys/plain', { type => 'aes256-gcm96' });
my @paths = map { "path \"transit/$_/pii\" { capabilities = [\"update\"] }" } qw(datakey/plaintext encrypt decrypt rewrap);
my $policy = join("\n", @paths, 'path "transit/keys/pii" { capabilities = ["read"] }');
(my $policy_plain = $policy) =~ s/pii/plain/g;
api('PUT', 'sys/policies/acl/pgseal', { policy => "$policy\n$policy_plain" });
api('POST', 'sys/auth/approle', { type => 'approle' });
api('POST', 'auth/approle/role/pgseal', { token_policies => 'pgseal', token_ttl => '20m', token_max_ttl => '1h' });
my $role_id = api('GET', 'auth/approle/role/pgseal/role-id')->{data}{role_id};
my $secret_id = write_file('secret_id', api('POST', 'auth/approle/role/pgseal/secret-id')->{data}{secret_id});
my $token = api('POST', 'auth/token/create', { policies => ['pgseal'], ttl => '1h' })->{auth}{client_token};
my $token_file = write_file('token', "$token\n");

my $node = PostgreSQL::Test::Cluster->new('vault');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pgseal_kms_test'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

sub server
{
	my ($name, $options) = @_;
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER vault_transit OPTIONS (address '$url', $options)");
	return;
}

sub query { return $node->safe_psql('postgres', $_[0]); }

sub fails
{
	my ($sql, $pattern, $name) = @_;
	my $rc = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \my $stderr);
	ok($rc != 0 && $stderr =~ $pattern, $name) or diag($stderr);
	return;
}

sub unwrap_sql
{
	my ($server, $wrapped, $master_key, $name) = @_;
	$name //= 'payroll';
	return "SELECT encode(kms_unwrap('$server', '$name', 'data', 42, '\\x$wrapped', '$master_key'), 'hex')";
}

server('approle', "key_name 'pii', auth_method 'approle', role_id '$role_id', secret_id_file '$secret_id'");
server('token', "key_name 'pii', token_file '$token_file'");
server('plain', "key_name 'plain', token_file '$token_file'");

foreach my $server (qw(approle token plain))
{
	my ($secret, $wrapped, $master_key) = split /\|/,
	  query("SELECT encode(secret, 'hex'), encode(wrapped, 'hex'), master_key FROM kms_generate('$server', 'payroll', 'data', 42, true)");
	my $name = $server eq 'plain' ? 'plain' : 'pii';
	is($master_key, "$name:v1", "$server: data key");
	is(query(unwrap_sql($server, $wrapped, $master_key)), $secret, "$server: unwrap");
	my ($ours) = split /\|/, query("SELECT encode(wrapped, 'hex') FROM kms_wrap('$server', 'payroll', 'data', 42, true, decode(repeat('ab', 32), 'hex'))");
	is(query(unwrap_sql($server, $ours, "$name:v1")), 'ab' x 32, "$server: wrap");
	like(query("SELECT * FROM kms_describe('$server')"), $server eq 'plain' ? qr/^plain:v1\|.*binds no context/ : qr/^pii:v1\|.*binds each/, "$server: describe");
	next if $server eq 'plain';
	fails(unwrap_sql($server, $wrapped, $master_key, 'other'), qr/wrong or damaged.*not_authentic/s, "$server: a derived key binds the key's name");
}

# the engine itself opens our key, given the documented context
my $wrapped = query("SELECT encode(wrapped, 'hex') FROM kms_wrap('token', 'payroll', 'data', 42, true, decode(repeat('ab', 32), 'hex'))");
my $context = '{"pgseal_key":"payroll","pgseal_purpose":"data","pgseal_key_version":"42"}';
my $opened = api('POST', 'transit/decrypt/pii', { ciphertext => pack('H*', $wrapped), context => encode_base64($context, '') });
is(unpack('H*', decode_base64($opened->{data}{plaintext})), 'ab' x 32, 'Vault opens our key');

# rotation
api('POST', 'transit/keys/pii/rotate');
like(query("SELECT * FROM kms_describe('token')"), qr/^pii:v2\|/, 'describe tells the new version');
my ($new, $new_master_key) = split /\|/, query("SELECT encode(wrapped, 'hex'), master_key FROM kms_rewrap('token', 'payroll', 'data', 42, '\\x$wrapped', 'pii:v1')");
is($new_master_key, 'pii:v2', 'rewrap');
is(query(unwrap_sql('token', $new, 'pii:v2')), 'ab' x 32, 'unwrap after rewrap');
api('POST', 'transit/keys/pii/config', { min_decryption_version => 2 });
fails(unwrap_sql('token', $wrapped, 'pii:v1'), qr/refused.*version_too_old/s, 'old version disallowed');
(my $too_new = pack('H*', $new)) =~ s/v2/v9/;
fails(unwrap_sql('token', unpack('H*', $too_new), 'pii:v9'), qr/wrong or damaged.*version_too_new/s, 'version that does not exist');
fails(unwrap_sql('token', unpack('H*', 'garbage'), 'pii:v2'), qr/wrong or damaged.*invalid_ciphertext/s, 'garbage');
(my $bent = pack('H*', $new)) =~ s/(....)$/AAA=/;
fails(unwrap_sql('token', unpack('H*', $bent), 'pii:v2'), qr/wrong or damaged/, 'damaged');

# refusals
server('no_key', "key_name 'none', token_file '$token_file'");
fails("SELECT kms_unwrap('no_key', 'payroll', 'data', 42, '\\x$new', 'none:v1')", qr/refused.*permission_denied.*HINT/s, 'a key that the policy does not name');
server('no_mount', "key_name 'pii', mount 'elsewhere', token_file '" . write_file('root', $facts->{token}) . "'");
fails(unwrap_sql('no_mount', $new, 'pii:v2'), qr/refused.*not_mounted/s, 'wrong mount');
server('bad_role', "key_name 'pii', auth_method 'approle', role_id 'nobody', secret_id_file '$secret_id'");
fails(unwrap_sql('bad_role', $new, 'pii:v2'), qr/could not log in.*refused/s, 'wrong role');
api('POST', 'auth/token/revoke', { token => $token });
fails(unwrap_sql('token', $new, 'pii:v2'), qr/refused.*HTTP status 403, code "permission_denied"/s, 'token revoked');
write_file('token', api('POST', 'auth/token/create', { policies => ['pgseal'] })->{auth}{client_token});
is(query(unwrap_sql('token', $new, 'pii:v2')), 'ab' x 32, 'token file replaced');

# a login whose token was revoked: a new login, without anybody's help
my $accessors = api('LIST', 'auth/token/accessors')->{data}{keys};
foreach my $accessor (@$accessors)
{
	my $info = api('POST', 'auth/token/lookup-accessor', { accessor => $accessor })->{data};
	api('POST', 'auth/token/revoke-accessor', { accessor => $accessor }) if $info->{path} eq 'auth/approle/login';
}
is(query(unwrap_sql('approle', $new, 'pii:v2')), 'ab' x 32, 'AppRole logs in again');

api('PUT', 'sys/seal');
fails("SET pgseal.kms_timeout = 500; " . unwrap_sql('approle', $new, 'pii:v2'), qr/not available.*sealed.*HINT:  Unseal/s, 'sealed');

$node->stop;
$vault->stop;
done_testing();
