# The CREATE SERVER statements of docs/kms for AWS, Azure and Google, as written
# there but for places: each makes a key that seals, opens after a restart, is
# rewrapped and moved.  AWS is moto, with the policy there; the other two are
# our fake.  (Vault's are in kms/openbao.pl.)
#
# Needs test/kms/moto.sh; Python 3; openssl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms;
use PostgreSQL::Test::Utils;
use Pages;
use RealKms;
use SealedNode qw(write_file);
use Test::More;

my ($moto, $facts) = RealKms->start('moto.sh', Pages->aws_policy);
my $fake = FakeKms->start;
my $url = $fake->url;
my $dir = PostgreSQL::Test::Utils::tempdir;

write_file("$dir/aws-credentials", join '', map { "[$_]\naws_access_key_id = $facts->{users}{$_}[0]\naws_secret_access_key = $facts->{users}{$_}[1]\n" } qw(app assumer));
write_file("$dir/azure-secret", "client&secret\n");
my $pem = `openssl genrsa 2048 2>/dev/null` =~ s/\n/\\n/gr;
write_file("$dir/google.json", qq({"type":"service_account","client_email":"sealer\@example.com","private_key":"$pem","token_uri":"$url/google/token"}));

# Statements that name no file take their credentials from the environment
my $node = SealedNode->new('pages');
$node->init(conf => q{pgseal.kms_timeout = '20s'});
sub start
{
	local %ENV = %ENV;
	delete $ENV{AWS_PROFILE};
	@ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)} = @{ $facts->{users}{app} };
	$ENV{AZURE_TENANT_ID} = 'tenant';
	$ENV{AZURE_CLIENT_ID} = 'client';
	$ENV{AZURE_FEDERATED_TOKEN_FILE} = write_file("$dir/azure-token", 'web-token');
	$ENV{AZURE_AUTHORITY_HOST} = "$url/";
	$ENV{AZURE_POD_IDENTITY_AUTHORITY_HOST} = $url;
	$ENV{GCE_METADATA_HOST} = $url =~ s{http://}{}r;
	$node->start;
	return;
}
start();
# The same servers at other addresses
my %moved = (
	'AWS KMS' => "ADD endpoint '$facts->{url}', ADD sts_endpoint '$facts->{url}'",
	'Azure Key Vault' => "SET vault_url '$url', ADD resource 'https://vault.azure.net'",
	'Google Cloud KMS' => "ADD endpoint '$url'");
$node->sql('CREATE EXTENSION pgseal');
my @names;
foreach my $heading (sort keys %moved)
{
	foreach my $server (Pages->servers($heading))
	{
		my ($name, $statement) = @$server;
		$statement =~ s{/etc/pgseal/}{$dir/}g;
		$statement =~ s{arn:aws:iam::111122223333:role/sealer}{$facts->{role}};
		$statement =~ s{projects/myproject/locations/europe-west1/keyRings/pg/}{projects/p/locations/l/keyRings/r/};
		$node->sql($statement);
		$node->sql("ALTER SERVER $name OPTIONS ($moved{$heading})");
		$node->sql("ALTER SERVER $name OPTIONS (ADD authority_host '$url')") if $name eq 'azure_secret';
		push @names, $name;
	}
}
is("@names", 'aws aws_file aws_role azure azure_workload azure_secret gcp gcp_file', 'every statement');

foreach my $name (@names)
{
	$node->sql("SELECT pgseal.create_key('$name', server => '$name')");
	$node->sql("CREATE TABLE t_$name (v encrypted_text('$name')); INSERT INTO t_$name VALUES ('plain $name')");
}
$node->stop;
start();
is($node->sql("SELECT v FROM t_$_"), "plain $_", "$_: opened after a restart") foreach @names;
$fake->set(state => { version => 2 });
is($node->sql("SELECT pgseal.rewrap('$_')"), 2, "$_: rewrapped, the key to seal and the key of its indexes") foreach grep { !/^aws/ } @names;
is($node->sql("SELECT string_agg(object || ' ' || status, ', ') FROM pgseal.check() WHERE status <> 'ok'"), '', 'check()');

# Each to all others
$node->sql("SELECT pgseal.move_key('aws', '$_')") foreach @names[ 1 .. $#names ], 'aws';
$node->stop;
start();
is($node->sql('SELECT v FROM t_aws'), 'plain aws', 'a key that was everywhere');

$node->stop;
$moto->stop;
$fake->stop;
done_testing();
