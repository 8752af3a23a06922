# The vendors' own clients against our fakes, so that a misreading which client
# and fake share shows: what pgseal wraps they unwrap, and the other way round.
#
# Needs the extension in test/module_kms, installed; test/kms/vendor_clients.sh.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms;
use PostgreSQL::Test::Utils;
use RealKms;
use SealedNode qw(write_file);
use Test::More;

my ($clients) = RealKms->start('vendor_clients.sh');
my $fake = FakeKms->start;
my $url = $fake->url;
my $dir = PostgreSQL::Test::Utils::tempdir;

$ENV{AZURE_POD_IDENTITY_AUTHORITY_HOST} = $url;
($ENV{GCE_METADATA_HOST} = $url) =~ s{http://}{};
my $node = SealedNode->started('vendors', preload => 'pgseal_kms_test');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

my $profile = write_file("$dir/credentials", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n");
my $token = write_file("$dir/token", 'root-token');
my $arn = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
my $gcp_key = 'projects/p/locations/l/keyRings/r/cryptoKeys/pii';

# provider => [ client, its arguments, the wrapper, its options, name of the key to wrap under ]
my %providers = (
	aws => [ { id => 'AKIDEXAMPLE', secret => 'secretEXAMPLE' }, 'aws_kms', "key_id '$arn', endpoint '$url', credentials_file '$profile'", $arn ],
	vault => [ { token => 'root-token' }, 'vault_transit', "address '$url', key_name 'pii', token_file '$token'", 'pii' ],
	azure => [ { token => 'bearer-token' }, 'azure_key_vault', "vault_url '$url', key_name 'pii', resource 'https://vault.azure.net', credentials 'managed_identity'", 'pii' ],
	google => [ { token => 'bearer-token' }, 'gcp_kms', "key_name '$gcp_key', endpoint '$url', credentials 'metadata'", $gcp_key ]);
my $context = { pgseal_key => 'payroll', pgseal_purpose => 'data', pgseal_key_version => '42' };

sub ask
{
	my ($client, %arg) = @_;
	return $clients->ask({ client => $client, url => $url, context => $context, %{ $providers{$client}[0] }, %arg });
}

foreach my $client (sort keys %providers)
{
	my (undef, $wrapper, $options, $key) = @{ $providers{$client} };
	$node->safe_psql('postgres', "CREATE SERVER $client FOREIGN DATA WRAPPER $wrapper OPTIONS ($options)");
	my ($wrapped, $master_key) = split /\|/, $node->safe_psql('postgres',
		"SELECT encode(wrapped, 'hex'), master_key FROM kms_wrap('$client', 'payroll', 'data', 42, true, decode(repeat('ab', 32), 'hex'))");
	my $theirs = ask($client, unwrap => $wrapped, key => $client eq 'azure' ? $master_key : $key);
	is($theirs->{hex}, 'ab' x 32, "$client: the vendor's client unwraps our key") or diag(explain $theirs);
	my $reply = ask($client, wrap => 'cd' x 32, key => $key);
	ok(!$reply->{error}, "$client: the vendor's client wraps") or diag($reply->{error});
	is($node->safe_psql('postgres', "SELECT encode(kms_unwrap('$client', 'payroll', 'data', 42, '\\x$reply->{hex}', '$reply->{key}'), 'hex')"),
		'cd' x 32, "$client: we unwrap the vendor's client's key");
}

$node->stop;
$clients->stop;
$fake->stop;
done_testing();
