# The option ca_file takes the place of the system's certificate authorities: who
# names one trusts nobody else.  Without it, the system's are trusted.
#
# The system's directory is another by LD_PRELOAD (test/module_kms/system_ca.c).
# Needs the extension in test/module_kms, installed; a C compiler; openssl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms qw(make_certificate);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $library = "$dir/system_ca.so";
system_or_bail('gcc', '-shared', '-fPIC', '-o', $library,
	File::Spec->rel2abs(dirname(__FILE__)) . '/../../module_kms/system_ca.c', '-ldl');

my %service = map { $_ => FakeKms->start(cert => make_certificate("$dir/$_", 'IP:127.0.0.1')) } qw(system own);

# The system knows one of them, in a directory and in a file, as distributions have it
mkdir "$dir/certs" or die;
chomp(my $hash = `openssl x509 -noout -hash -in $dir/system.crt`);
copy("$dir/system.crt", "$dir/certs/$_") foreach "$hash.0", 'ca-certificates.crt';
append_to_file("$dir/credentials", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n");

my $node = SealedNode->new('main');
$node->init(preload => 'pgseal_kms_test', conf => 'pgseal.kms_timeout = 30000');
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_SYSTEM_CA} = "$dir/certs";
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

# Is a service with this certificate trusted by a server with these options?
sub is_trusted
{
	my ($name, $options, $expected, $what) = @_;
	my $server = "s_" . int(rand(2**31));
	$node->safe_psql('postgres', "CREATE SERVER $server FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/pii', region 'eu-west-1',
		credentials_file '$dir/credentials', endpoint '@{[$service{$name}->url]}'$options)");
	my ($ret, $out, $err) = $node->psql('postgres', "SELECT master_key FROM kms_generate('$server', 'k', 'data', 1, true)");
	return ok($ret == 0, $what) || diag($err) if $expected;
	return like($err, qr/not available.*code "tls"/s, $what);
}

my $own = ", ca_file '$dir/own.crt'";
is_trusted('system', '', 1, 'without ca_file: who the system vouches for');
is_trusted('own', '', 0, 'and nobody else');
is_trusted('own', $own, 1, 'with ca_file: who that vouches for');
is_trusted('system', $own, 0, 'and nobody else, whatever the system says');
is_trusted('own', ", ca_file '$dir/nowhere.crt'", 0, 'a ca_file that is not there vouches for nobody');
is_trusted('system', ", ca_file '$dir/nowhere.crt'", 0, 'nor is the system asked in its place');

$node->stop;
$_->stop foreach values %service;
done_testing();
