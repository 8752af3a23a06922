# kmip against a server made of another implementation of the protocol than PyKMIP:
# ovh/kmip-go, in Go.  What both sides must agree on: messages, a key by its identifier
# and by its name, states, what is authenticated.
#
# Needs the extension in test/module_kms, installed; test/kms/kmip_go.sh, openssl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use FakeKms qw(make_certificate);
use PostgreSQL::Test::Utils;
use RealKms;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
make_certificate("$dir/server", 'IP:127.0.0.1');
make_certificate("$dir/client", 'DNS:database');
my ($kmip, $facts) = RealKms->start('kmip_go.sh', "$dir/server.crt", "$dir/server.key", "$dir/client.crt");

my $node = SealedNode->started('kmip_go', preload => 'pgseal_kms_test');
$node->sql('CREATE EXTENSION pgseal_kms_test');

sub server_sql
{
	my ($name, $key) = @_;
	return "CREATE SERVER $name FOREIGN DATA WRAPPER kmip OPTIONS (address '127.0.0.1:$facts->{port}', ca_file '$dir/server.crt',
		client_cert_file '$dir/client.crt', client_key_file '$dir/client.key', $key)";
}

sub wrap_sql { return "SELECT encode(wrapped, 'hex'), master_key FROM kms_wrap('$_[0]', 'payroll', 'data', 42, true, '\\x" . 'ab' x 32 . "')"; }

sub unwrap_sql
{
	my ($server, $wrapped, $master_key, $purpose) = @_;
	return "SELECT encode(kms_unwrap('$server', 'payroll', '@{[$purpose // 'data']}', 42, '\\x$wrapped', '$master_key'), 'hex')";
}

$node->sql(server_sql(@$_)) foreach [ by_id => q(key_id '2') ], [ by_name => q(key_name 'pii') ], [ deactivated => q(key_id '1') ],
  [ missing => q(key_id '9') ], [ nameless => q(key_name 'nothing') ];

my ($wrapped, $master_key) = split /\|/, $node->sql(wrap_sql('by_id'));
is($master_key, '2', 'wrapped by the key');
is($node->sql(unwrap_sql('by_id', $wrapped, '2')), 'ab' x 32, 'unwrapped');
is($node->sql(unwrap_sql('by_name', $wrapped, '2')), 'ab' x 32, 'by a server that names it, too');
is((split /\|/, $node->sql(wrap_sql('by_name')))[1], '2', 'of two keys of a name, the active one');
like($node->sql("SELECT * FROM kms_describe('by_name')"), qr/^2\|The active key of name "pii" is 2/, 'describe');
$node->fails_like('postgres', unwrap_sql('by_id', $wrapped, '2', 'index'), qr/58000: .*could not unwrap key.*cryptographic_failure/s, 'another purpose');
$node->fails_like('postgres', unwrap_sql('by_id', $wrapped, '3'), qr/58000: .*could not unwrap key/, 'another key');
$node->fails_like('postgres', wrap_sql('deactivated'), qr/58000: .*refused.*permission_denied/s, 'a deactivated key does not wrap');
$node->fails_like('postgres', "SELECT * FROM kms_describe('deactivated')", qr/refused.*deactivated/s, 'describe tells');
$node->fails_like('postgres', wrap_sql('missing'), qr/refused.*item_not_found/s, 'no such key');
$node->fails_like('postgres', wrap_sql('nameless'), qr/refused.*item_not_found/s, 'no key of the name');

$node->stop;

my $sealed = SealedNode->started('sealed');
$sealed->sql('CREATE EXTENSION pgseal');
$sealed->sql(server_sql('hsm', q(key_name 'pii')));
$sealed->sql("SELECT pgseal.create_key('patients', server => 'hsm');
	CREATE TABLE patients (name encrypted_text('patients')); INSERT INTO patients VALUES ('Ada Lovelace')");
$sealed->restart;
is($sealed->sql('SELECT name FROM patients'), 'Ada Lovelace', 'a value, after a restart');
$sealed->stop;
$kmip->stop;
done_testing();
