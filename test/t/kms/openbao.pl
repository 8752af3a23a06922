# vault_transit against OpenBao: the server itself, on a TLS listener with its
# own CA, raft storage and an audit log.
#
# What docs/kms/vault.md tells to do is done as it is written there: its commands and
# policy, and its CREATE SERVER with each login.  Then the life of keys and
# tokens, and what is refused.
#
# Needs test/kms/openbao.sh, a C compiler, openssl.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use IPC::Run;
use MIME::Base64 qw(encode_base64 decode_base64 encode_base64url);
use PostgreSQL::Test::Utils;
use Pages;
use RealKms;
use SealedNode qw(write_file);
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my ($bao, $facts) = RealKms->start('openbao.sh', 'tls', $dir);
my $url = $facts->{url};

# ---- helpers ----

# A text of that page for this machine
sub here
{
	my ($text) = @_;
	$text =~ s{/etc/pgseal/}{$dir/}g;
	$text =~ s{https://vault\.example\.com:8200}{$url}g;
	# outside of a pod, OpenBao finds no certificate and token of its own
	$text =~ s{https://kubernetes\.default\.svc}{$facts->{kubernetes} disable_local_ca_jwt=true kubernetes_ca_cert=\@$dir/ca.pem}g;
	return $text;
}

# Runs shell commands as an administrator of OpenBao
sub administer
{
	my ($commands) = @_;
	local $ENV{PATH} = "$facts->{bin}:$ENV{PATH}";
	local $ENV{BAO_ADDR} = $url;
	local $ENV{BAO_TOKEN} = $facts->{root_token};
	local $ENV{BAO_CACERT} = "$dir/ca.pem";
	my ($stdout, $stderr);
	IPC::Run::run([ 'sh', '-e', '-c', $commands ], '<', \undef, '>', \$stdout, '2>', \$stderr)
	  or die "$commands: $stderr";
	chomp $stdout;
	return $stdout;
}

sub api
{
	my ($method, $path, $body, %more) = @_;
	return $bao->ask({ method => $method, path => $path, body => $body, %more });
}

sub jwt
{
	my ($claims) = @_;
	my $text = encode_base64url('{"alg":"RS256","typ":"JWT"}') . '.' . encode_base64url($claims);
	IPC::Run::run([ 'openssl', 'dgst', '-sha256', '-sign', "$dir/issuer.key" ], '<', \$text, '>', \my $signature) or die 'openssl';
	return "$text." . encode_base64url($signature);
}

my $clock_library = "$dir/clock.so";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $clock_library, dirname(__FILE__) . '/../../module_kms/clock.c');
my $node = SealedNode->new('openbao');
$node->init(conf => q{
log_min_messages = debug2
pgseal.kms_timeout = '20s'
});
# The lives of tokens are tested with a clock that runs ahead
sub start
{
	local $ENV{LD_PRELOAD} = $clock_library;
	local $ENV{PGSEAL_CLOCK_FILE} = "$dir/clock";
	$node->start;
	return;
}
write_file("$dir/clock", '0');
start();

sub fails
{
	my ($sql, $pattern, $name) = @_;
	my $rc = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \my $stderr);
	ok($rc != 0 && $stderr =~ /58000/ && $stderr =~ $pattern, $name) or diag("rc $rc: $stderr");
	return;
}

# What check(), which asks the KMS itself, says of a key's versions
sub check_of
{
	my ($key) = @_;
	return $node->sql("SELECT string_agg(DISTINCT status || ' ' || coalesce(detail, ''), ';') FROM pgseal.check() WHERE object LIKE 'key $key,%'");
}

# How often a path was asked for since the last look
my $seen = 0;
sub audited
{
	my ($path) = @_;
	my @lines = split /\n/, slurp_file("$dir/audit.log");
	my @new = @lines[ $seen .. $#lines ];
	$seen = @lines;
	return scalar(grep { /"type":"request"/ && /"path":"\Q$path\E"/ } @new);
}

sub server
{
	my ($name, $options) = @_;
	$node->sql("CREATE SERVER $name FOREIGN DATA WRAPPER vault_transit OPTIONS (address '$url', ca_file '$dir/ca.pem', $options)");
	return;
}

# ---- the page, as written ----

system_or_bail('openssl', 'genrsa', '-out', "$dir/issuer.key", '2048');
system_or_bail('openssl', 'rsa', '-in', "$dir/issuer.key", '-pubout', '-out', "$dir/issuer.pem");
my $expires = time + 3600;
write_file("$dir/postgres.jwt", jwt(qq({"sub":"postgres","aud":"vault","nbf":1,"exp":$expires})));
my $pod = '"kubernetes.io":{"namespace":"db","serviceaccount":{"name":"postgres","uid":"u1"}}';
write_file("$dir/pod.jwt", jwt(qq({"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:db:postgres","nbf":1,"exp":$expires,$pod})));

my $told = administer(here(join("\n", Pages->blocks('Vault and OpenBao', 'sh'))));
my ($role_id) = $told =~ /([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/ or die "no role id: $told";
$node->sql('CREATE EXTENSION pgseal');
my @servers;
foreach my $server (Pages->servers('Vault and OpenBao'))
{
	my ($name, $statement) = @$server;
	$statement =~ s/59d6d1ca-[0-9a-f-]*/$role_id/;
	$node->sql(here($statement));
	$node->sql("ALTER SERVER $name OPTIONS (ADD ca_file '$dir/ca.pem')");
	push @servers, $name;
}
$node->sql("ALTER SERVER vault_kubernetes OPTIONS (ADD jwt_file '$dir/pod.jwt')");
is("@servers", 'vault vault_approle vault_kubernetes vault_jwt vault_cert', 'every login');

foreach my $name (@servers)
{
	$node->sql("SELECT pgseal.create_key('$name', server => '$name')");
	$node->sql("CREATE TABLE t_$name (v encrypted_text('$name')); INSERT INTO t_$name VALUES ('plain $name')");
}
$node->stop;
start();
is($node->sql("SELECT v FROM t_$_"), "plain $_", "$_: opened after a restart") foreach @servers;
is($node->sql("SELECT string_agg(DISTINCT status, ',') FROM pgseal.check()"), 'ok', 'check()');
like($node->sql("SELECT detail FROM pgseal.check() WHERE object = 'server vault'"), qr/aes256-gcm96.*newest version is 1.*binds each wrapped key/, 'describes the key');

# The policy makes no key for a mistyped name
server('mistyped', "key_name 'pi', token_file '$dir/vault-token'");
fails("SELECT pgseal.create_key('mistyped', server => 'mistyped')", qr/refused.*HTTP status 403, code "permission_denied".*HINT:.*policy must allow/s, 'mistyped key name');
fails("SELECT pgseal.move_key('vault', 'mistyped')", qr/refused.*permission_denied/s, 'mistyped key name in move_key');
is(api('GET', 'transit/keys/pi')->{status}, 404, 'no key was made');

# ---- without pgseal: what OpenBao unwraps, and OpenSSL opens ----

my ($id, $wrapped) = split /\|/, $node->sql("SELECT id, convert_from(wrapped, 'UTF8') FROM pgseal.key_version WHERE key = 'vault' AND purpose = 'd'");
like($wrapped, qr/^vault:v1:/, 'wrapped key is the text of Transit');
my $context = encode_base64(qq({"pgseal_key":"vault","pgseal_purpose":"data","pgseal_key_version":"$id"}), '');
my $secret = decode_base64(administer("bao write -field=plaintext transit/decrypt/pii ciphertext=$wrapped context=$context"));
is(length($secret), 32, "OpenBao's own client unwraps the key");
# HKDF-SHA-256 (RFC 5869) without salt, of one block
my $key = hmac_sha256("pgseal key v1\0d" . pack('q>', $id) . "\x01", hmac_sha256($secret, "\0" x 32));
my ($sealed) = $node->sql("SET pgseal.transparent = off; SELECT v FROM t_vault") =~ /^pgseal:1:(.*)$/ or die 'not sealed';
my (undef, $sealed_id, $nonce, $rest) = unpack('a2 q> a12 a*', decode_base64($sealed));
is($sealed_id, $id, 'of the key version that sealed the value');
# GCM without its tag is CTR that begins at 2
my $ciphertext = substr($rest, 0, -16);
IPC::Run::run([ qw(openssl enc -d -aes-256-ctr -K), unpack('H*', $key), '-iv', unpack('H*', $nonce . "\0\0\0\2") ],
	'<', \$ciphertext, '>', \my $opened);
is($opened, 'plain vault', 'and OpenSSL opens the value');
isnt(api('POST', 'transit/decrypt/pii', { ciphertext => $wrapped, context => encode_base64('{}', '') })->{status}, 200, 'another context unwraps nothing');

# ---- the transit key is rotated ----

$node->sql("SELECT pgseal.create_key('late', server => 'vault_jwt')");
audited('');
administer('bao write -f transit/keys/pii/rotate');
is($node->sql("SELECT pgseal.rewrap('vault')"), $node->sql("SELECT count(*) FROM pgseal.key_version WHERE server = 'vault'"), 'rewrap');
cmp_ok(audited('transit/rewrap/pii'), '>', 0, 'by the server, which gives no key away');
is($node->sql("SELECT string_agg(DISTINCT master_key, ',') FROM pgseal.key_version WHERE server = 'vault'"), 'pii:v2', 'to the newest version');
administer('bao write transit/keys/pii/config min_decryption_version=2');
isnt(api('POST', 'transit/decrypt/pii', { ciphertext => $wrapped, context => $context })->{status}, 200, 'OpenBao refuses the old one');
like(check_of('vault'), qr/^ok[^;]*$/, 'unwraps the new one');
like(check_of('late'), qr/too old/, 'a key that was not rewrapped');
$node->psql('postgres', "SELECT pgseal.rewrap('vault_jwt')", stderr => \my $warnings);
like($warnings, qr/refused.*code "version_too_old".*HINT:  Lower the key's min_decryption_version.*WARNING:  version 1 of key "late" was not rewrapped/s,
	'is too late to rewrap');
administer('bao write transit/keys/pii/config min_decryption_version=1');
$node->sql("SELECT pgseal.rewrap('vault_jwt')");
administer('bao write transit/keys/pii/config min_decryption_version=2');
like(check_of('late'), qr/^ok[^;]*$/, 'until it is allowed again');
administer('bao write transit/keys/pii/config min_decryption_version=1');

# ---- tokens: renewed, at the end of their life replaced ----

administer('bao write auth/approle/role/short token_policies=pgseal token_ttl=600s token_max_ttl=700s;'
	  . 'bao write -f -field=secret_id auth/approle/role/short/secret-id >' . "$dir/short");
my $short_id = administer('bao read -field=role_id auth/approle/role/short/role-id');
server('short', "key_name 'pii', auth_method 'approle', role_id '$short_id', secret_id_file '$dir/short'");
$node->sql("SELECT pgseal.create_key('short', server => 'short')");

sub asks_for
{
	my ($logins, $renewals, $name) = @_;
	my $first = $seen;
	$node->sql("SELECT pgseal.rotate_key('short')");
	is(audited('auth/approle/login'), $logins, "$name: logins");
	$seen = $first;
	is(audited('auth/token/renew-self'), $renewals, "$name: renewals");
	return;
}
audited('');
asks_for(0, 0, 'a fresh token');
write_file("$dir/clock", '401');
asks_for(0, 1, 'at two thirds of its life');
asks_for(0, 0, 'after its renewal');
write_file("$dir/clock", '86400');
asks_for(1, 0, 'long expired');
write_file("$dir/clock", '0');
administer('bao write auth/approle/role/short token_ttl=59s token_max_ttl=59s');
api('POST', 'sys/leases/revoke-prefix/auth/approle', {});
asks_for(1, 0, 'revoked');
write_file("$dir/clock", '41');
asks_for(1, 1, 'at its maximum TTL');
write_file("$dir/clock", '0');
write_file("$dir/short", 'no-secret-id');
api('POST', 'sys/leases/revoke-prefix/auth/approle', {});
fails("SELECT pgseal.create_key('none', server => 'short')", qr/could not log in.*refused.*invalid.*HINT:  Check the options of the login/s, 'wrong secret id');
write_file("$dir/postgres.jwt", jwt(qq({"sub":"postgres","aud":"vault","nbf":1,"exp":1000000000})));
api('POST', 'sys/leases/revoke-prefix/auth/jwt', {});
fails("SELECT pgseal.create_key('none', server => 'vault_jwt')", qr/could not log in.*refused.*expired/s, 'expired JWT');

# a token's file is read again
my $token = slurp_file("$dir/vault-token") =~ s/\s//gr;
api('POST', 'auth/token/revoke', { token => $token });
fails("SELECT pgseal.create_key('none', server => 'vault')", qr/refused.*HTTP status 403, code "permission_denied".*the token has expired/s, 'revoked token');
is($node->sql('SELECT v FROM t_vault'), 'plain vault', 'keys in the cache go on');
my ($command) = here(join '', Pages->blocks('Vault and OpenBao', 'sh')) =~ /^(bao token create.*)$/m;
administer($command);
$node->sql("SELECT pgseal.create_key('renewed', server => 'vault')");
pass('new token in the file');

# ---- namespaces, mounts ----

administer('bao namespace create team; bao secrets enable -namespace=team -path=some/where transit;'
	  . 'bao write -namespace=team -f some/where/keys/pii derived=true');
write_file("$dir/root-token", $facts->{root_token});
my $as_root = "token_file '$dir/root-token', key_name";
server('team', "$as_root 'pii', namespace 'team', mount 'some/where'");
$node->sql("SELECT pgseal.create_key('team', server => 'team')");
like(check_of('team'), qr/^ok[^;]*$/, 'namespace and mount');
server('no_namespace', "$as_root 'pii', namespace 'nobody'");
fails("SELECT pgseal.create_key('none', server => 'no_namespace')", qr/refused.*HINT:  Check the options? [^\n]*"namespace"/s, 'no such namespace');
server('no_mount', "$as_root 'pii', mount 'kv'");
fails("SELECT pgseal.create_key('none', server => 'no_mount')", qr/refused.*code "not_mounted".*HINT:  Check the options "mount"/s, 'no such mount');
server('no_key', "$as_root 'nothing'");
fails("SELECT pgseal.create_key('none', server => 'no_key')", qr/refused.*code "key_not_found".*HINT:  Check the options "key_name"/s, 'no such key');
fails("SELECT pgseal.move_key('vault', 'no_key')", qr/refused.*HTTP status 404, code "not_found".*HINT:  Check the options "key_name"/s, 'no such key in move_key');
is(api('GET', 'transit/keys/nothing')->{status}, 404, 'which is not made, though root may');

# ---- kinds of keys ----

administer('bao write -f transit/keys/plain; bao write -f transit/keys/signing type=ed25519; bao write -f transit/keys/rsa type=rsa-2048');
server('plain', "$as_root 'plain'");
$node->sql("SELECT pgseal.create_key('plain', server => 'plain')");
like(check_of('plain'), qr/^ok[^;]*$/, 'a key that is not derived');
like($node->sql("SELECT detail FROM pgseal.check() WHERE object = 'server plain'"), qr/binds no context/, 'which check() tells');
server('signing', "$as_root 'signing'");
fails("SELECT pgseal.create_key('none', server => 'signing')", qr/refused.*code "key_type".*ed25519\n.*HINT:  Make the key with type/s, 'a signing key');
server('rsa', "$as_root 'rsa'");
$node->sql("SELECT pgseal.create_key('rsa', server => 'rsa')");
like(check_of('rsa'), qr/^ok[^;]*$/, 'an RSA key');

# ---- deleted ----

administer('bao write -f transit/keys/doomed derived=true; bao write transit/keys/doomed/config deletion_allowed=true');
server('doomed', "$as_root 'doomed'");
$node->sql("SELECT pgseal.create_key('doomed', server => 'doomed')");
administer('bao delete transit/keys/doomed/soft-delete');
like(check_of('doomed'), qr/^refused .*soft-deleted/, 'soft-deleted');
fails("SELECT pgseal.create_key('none', server => 'doomed')", qr/refused.*code "key_deleted".*HINT:  Restore the key/s, 'wraps nothing');
administer('bao write -f transit/keys/doomed/soft-delete-restore');
like(check_of('doomed'), qr/^ok[^;]*$/, 'restored');
administer('bao delete transit/keys/doomed');
like(check_of('doomed'), qr/^refused .*not found/, 'deleted');

# ---- sealed ----

api('PUT', 'sys/seal', {});
fails("SET pgseal.kms_timeout = '3s'; SELECT pgseal.create_key('none', server => 'team')", qr/not available.*HTTP status 503, code "sealed".*HINT:  Unseal/s, 'sealed');
is($node->sql('SELECT v FROM t_vault'), 'plain vault', 'keys in the cache go on');
api('PUT', 'sys/unseal', { key => $facts->{unseal_key} });
ok($node->poll_query_until('postgres', "SELECT bool_and(status = 'ok') FROM pgseal.check() WHERE object LIKE 'key vault,%'"),
	'unsealed: works without a restart');

# ---- the development server, without TLS ----

mkdir "$dir/dev" or die;
my ($dev, $dev_facts) = RealKms->start('openbao.sh', 'dev', "$dir/dev");
$dev->ask({ method => 'POST', path => 'sys/mounts/transit', body => { type => 'transit' } });
$dev->ask({ method => 'POST', path => 'transit/keys/pii', body => { derived => JSON::PP::true } });
write_file("$dir/dev-token", 'root');
$node->sql("CREATE SERVER dev FOREIGN DATA WRAPPER vault_transit OPTIONS (address '$dev_facts->{url}', key_name 'pii', token_file '$dir/dev-token')");
$node->sql("SELECT pgseal.move_key('vault', 'dev')");
api('PUT', 'sys/seal', {});
$node->restart;
is($node->sql('SELECT v FROM t_vault'), 'plain vault', 'moved to another OpenBao');

# ---- nothing secret was logged ----

my $log = slurp_file($node->logfile);
foreach my $hidden ([ $facts->{root_token}, "root's token" ], [ $token, 'a token' ], [ encode_base64($secret, ''), 'a key' ], [ 'plain vault', 'a value' ])
{
	my $text = $hidden->[0];
	unlike($log =~ s/INSERT INTO.*//gr, qr/\Q$text\E/, "$hidden->[1] is not in the log");
}

$node->stop;
$_->stop foreach $bao, $dev;
done_testing();
