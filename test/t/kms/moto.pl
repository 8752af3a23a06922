# aws_kms against moto, with its signature and IAM checks turned on, by a user
# who may do what the policy of docs/kms/aws.md says: keys that one side wraps, AWS's own
# client unwraps, and the other way round.
#
# Needs the extension in test/module_kms, installed; test/kms/moto.sh.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Pages;
use RealKms;
use SealedNode;
use Test::More;

my ($moto, $facts) = RealKms->start('moto.sh', Pages->aws_policy);
my $dir = PostgreSQL::Test::Utils::tempdir;
my $arn = $facts->{arn};

open(my $fh, '>', "$dir/credentials") or die;
print $fh "[$_]\naws_access_key_id = $facts->{users}{$_}[0]\naws_secret_access_key = $facts->{users}{$_}[1]\n"
  foreach sort keys %{ $facts->{users} };
printf $fh "[temporary]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", @{ $facts->{session} };
close($fh);

my $node = SealedNode->started('moto', preload => 'pgseal_kms_test');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

sub server
{
	my ($name, $profile, $more) = @_;
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/pii', region '$facts->{region}', "
		  . "endpoint '$facts->{url}', sts_endpoint '$facts->{url}', credentials_file '$dir/credentials', profile '$profile'"
		  . ($more ? ", $more" : '') . ')');
	return;
}

sub boto
{
	my ($call, %arguments) = @_;
	return $moto->ask({ client => 'kms', call => $call, arguments => \%arguments });
}

sub admin
{
	my ($call) = @_;
	my $reply = $moto->ask({ client => 'kms', call => $call, arguments => { KeyId => $arn =~ s{.*/}{}r } });
	ok(!exists $reply->{error}, $call) or diag($reply->{error});
	return;
}

sub blob { return { base64 => encode_base64(pack('H*', $_[0]), '') }; }
sub hex_of { return unpack('H*', decode_base64($_[0]{base64})); }

my %context = (pgseal_key => 'payroll', pgseal_purpose => 'data', pgseal_key_version => '42');

server('app', 'app');
my ($secret, $wrapped, $master_key) = split /\|/,
  $node->sql("SELECT encode(secret, 'hex'), encode(wrapped, 'hex'), master_key FROM kms_generate('app', 'payroll', 'data', 42, true)");
like($master_key, qr/^\Q$arn\E(#|$)/, 'data key is wrapped by the key behind the alias');
is($node->sql("SELECT encode(kms_unwrap('app', 'payroll', 'data', 42, '\\x$wrapped', '$master_key'), 'hex')"), $secret, 'unwrap');
$node->fails_like('postgres', "SELECT kms_unwrap('app', 'payroll', 'index', 42, '\\x$wrapped', '$master_key')", qr/InvalidCiphertext/, 'another purpose does not unwrap');

is(hex_of(boto('decrypt', CiphertextBlob => blob($wrapped), EncryptionContext => \%context)->{Plaintext}),
	$secret, "AWS's client unwraps our key");
my $theirs = boto('encrypt', KeyId => $arn, Plaintext => blob('cd' x 32), EncryptionContext => \%context);
is($node->sql("SELECT encode(kms_unwrap('app', 'payroll', 'data', 42, '\\x" . hex_of($theirs->{CiphertextBlob}) . "', '$arn'), 'hex')"),
	'cd' x 32, "we unwrap what AWS's client wrapped");

my $ours = $node->sql("SELECT encode(wrapped, 'hex') FROM kms_wrap('app', 'payroll', 'data', 42, true, decode(repeat('ab', 32), 'hex'))");
is(hex_of(boto('decrypt', CiphertextBlob => blob($ours), EncryptionContext => \%context)->{Plaintext}), 'ab' x 32, 'wrap');
my $new = $node->sql("SELECT encode(wrapped, 'hex') FROM kms_rewrap('app', 'payroll', 'data', 42, '\\x$ours', '$arn')");
isnt($new, $ours, 'rewrap gives other bytes');
is(hex_of(boto('decrypt', CiphertextBlob => blob($new), EncryptionContext => \%context)->{Plaintext}), 'ab' x 32, 'of the same key');
like($node->sql("SELECT * FROM kms_describe('app')"), qr/^\Q$arn\E/, 'describe');

server('assumed', 'assumer', "role_arn '$facts->{role}'");
is($node->sql("SELECT encode(kms_unwrap('assumed', 'payroll', 'data', 42, '\\x$wrapped', '$master_key'), 'hex')"), $secret, 'assumed role, with a session token');
server('temporary', 'temporary');
is($node->sql("SELECT encode(kms_unwrap('temporary', 'payroll', 'data', 42, '\\x$wrapped', '$master_key'), 'hex')"), $secret, 'keys with a session token from a file');
server('reader', 'reader');
like($node->sql("SELECT * FROM kms_describe('reader')"), qr/^\Q$arn\E/, 'a user who may only describe');
$node->fails_like('postgres', "SELECT kms_unwrap('reader', 'payroll', 'data', 42, '\\x$wrapped', '$master_key')", qr/refused.*HTTP status 403/s, 'may not unwrap');
$node->fails_like('postgres', "SELECT kms_rewrap('reader', 'payroll', 'data', 42, '\\x$wrapped', '$master_key')", qr/refused.*HTTP status 403/s, 'nor rewrap');
$node->fails_like('postgres', "SELECT kms_unwrap('app', 'payroll', 'data', 42, '\\x$wrapped', '$facts->{other}')", qr/refused|wrong or damaged/, 'another key does not unwrap');

# a wrong secret key is a wrong signature
my $credentials = slurp_file("$dir/credentials");
$credentials =~ s/(aws_secret_access_key = ...)./$1~/g;
open($fh, '>', "$dir/credentials") or die;
print $fh $credentials;
close($fh);
server('wrong', 'app', "role_session_name 'wrong'");
$node->fails_like('postgres', "SELECT kms_unwrap('wrong', 'payroll', 'data', 42, '\\x$wrapped', '$master_key')", qr/refused.*HTTP status 403/s, 'wrong secret key');

# what the key's own policy denies
boto('put_key_policy', KeyId => $arn =~ s{.*/}{}r, PolicyName => 'default',
	Policy => '{"Statement":[{"Effect":"Deny","Principal":"*","Action":["kms:DescribeKey"],"Resource":"*"}]}');
$node->fails_like('postgres', "SELECT * FROM kms_describe('app')", qr/refused.*AccessDenied/s, "denied by the key's policy");
boto('put_key_policy', KeyId => $arn =~ s{.*/}{}r, PolicyName => 'default', Policy => '{"Statement":[]}');
server('elsewhere', 'app');
$node->sql("ALTER SERVER elsewhere OPTIONS (SET key_id 'alias/nothing')");
$node->fails_like('postgres', "SELECT kms_generate('elsewhere', 'payroll', 'data', 42, true)", qr/refused.*NotFound.*HINT:  Check the options "key_id" and "region"/s, 'no such alias');

admin('disable_key');
$node->fails_like('postgres', "SELECT * FROM kms_describe('app')", qr/refused.*code "Disabled".*HINT:  Enable the key/s, 'describe tells that the key is disabled');
admin('enable_key');
admin('schedule_key_deletion');
$node->fails_like('postgres', "SELECT * FROM kms_describe('app')", qr/refused.*PendingDeletion.*CancelKeyDeletion/s, 'describe tells that the key is pending deletion');

$node->stop;
$moto->stop;
done_testing();
