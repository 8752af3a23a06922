# What stays in a backend's memory after it has talked to a KMS: no secret
# access key, no key that the KMS has unwrapped.  Reads the backend's memory, as
# its own operating system user may.
#
# Needs the extension in test/module_kms, installed; Python 3; Linux.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;

my $fake = FakeKms->start;
my $url = $fake->url;
my $dir = PostgreSQL::Test::Utils::tempdir;

my $profile = write_file("$dir/credentials", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secretEXAMPLE\n");
my $token = write_file("$dir/token", 'root-token');
my $node = SealedNode->started('memory', preload => 'pgseal_kms_test', conf => 'pgseal.core_dumps = on');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION pgseal_kms_test;
CREATE SERVER aws FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/pii', region 'eu-west-1', endpoint '$url', credentials_file '$profile');
CREATE SERVER vault FOREIGN DATA WRAPPER vault_transit OPTIONS (address '$url', key_name 'pii', token_file '$token');
CREATE TABLE kept (server text, wrapped bytea, master_key text);
SQL

# Made in another session: the one that is looked at only unwraps
my %secret;
foreach my $server (qw(aws vault))
{
	my ($secret, $wrapped, $master_key) = split /\|/,
	  $node->safe_psql('postgres', "SELECT encode(secret, 'hex'), encode(wrapped, 'hex'), master_key FROM kms_generate('$server', 'payroll', 'data', 42, true)");
	$secret{$server} = pack('H*', $secret);
	$node->safe_psql('postgres', "INSERT INTO kept VALUES ('$server', '\\x$wrapped', '$master_key')");
}

my $session = $node->background_psql('postgres');
my $pid = $session->query('SELECT pg_backend_pid()');
foreach my $server (qw(vault aws))
{
	is($session->query("SELECT length(kms_unwrap(server, 'payroll', 'data', 42, wrapped, master_key)) FROM kept WHERE server = '$server'"),
		32, "unwrapped by $server");
}
ok($session->query_safe('SELECT 1'), 'session is idle');

# How often each string occurs in writable memory that is the backend's own
my %wanted = (
	'control (the context)' => 'pgseal_purpose',
	'the secret access key' => 'secretEXAMPLE',
	map { ("base64 of the key of $_" => encode_base64($secret{$_}, '')) } keys %secret);
my %found = map { $_ => 0 } keys %wanted;
open(my $maps, '<', "/proc/$pid/maps") or die "maps: $!";
open(my $memory, '<:raw', "/proc/$pid/mem") or die "memory of process $pid can't be read: $!";
while (my $line = <$maps>)
{
	my ($from, $to) = $line =~ /^(\w+)-(\w+) rw.p / or next;
	my $buffer;
	($from, $to) = (hex $from, hex $to);
	sysseek($memory, $from, 0) or next;
	sysread($memory, $buffer, $to - $from) or next;
	foreach my $name (keys %wanted)
	{
		$found{$name} += () = $buffer =~ /\Q$wanted{$name}\E/g;
	}
}
cmp_ok($found{'control (the context)'}, '>', 0, 'memory can be searched');
is($found{$_}, 0, "not in memory: $_") foreach grep { !/control/ } sort keys %found;

$session->quit;
$node->stop;
$fake->stop;
done_testing();
