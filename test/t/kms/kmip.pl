# kmip against PyKMIP, over mutual TLS: keys that one side wraps, PyKMIP's own
# client unwraps, and the other way round; keys by identifier and by name, states
# of keys, versions of the protocol, nodes; requests against test/kms/golden,
# replies cut and bent; and pgseal itself with a key there.
#
# Needs the extension in test/module_kms, installed; test/kms/kmip.sh, openssl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use PostgreSQL::Test::Utils;
use RealKms;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my ($kmip, $facts) = RealKms->start('kmip.sh', $dir);
my $golden = File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms/golden';
my $context = '{"pgseal_key":"payroll","pgseal_purpose":"data","pgseal_key_version":"42"}';

my $node = SealedNode->started('kmip', preload => 'pgseal_kms_test', conf => q{pgseal.kms_timeout = '3s'});
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

# ---- helpers ----

sub admin
{
	my ($do, %more) = @_;
	my $reply = $kmip->ask({ do => $do, %more });
	ok(!exists $reply->{error}, join(' ', $do, %more ? 'a key' : ())) or diag($reply->{error});
	return $reply;
}

sub new_key
{
	my ($name) = @_;
	my $id = admin('create', name => $name)->{id};
	admin('activate', id => $id);
	return $id;
}

sub options
{
	my ($key, %more) = @_;
	my %option = (address => "127.0.0.1:$facts->{port}", ca_file => "$dir/ca.pem",
		client_cert_file => "$dir/pgseal.pem", client_key_file => "$dir/pgseal.key", %more);
	return '(' . join(', ', $key, map { "$_ '$option{$_}'" } sort keys %option) . ')';
}

sub server
{
	my ($name, @options) = @_;
	$node->sql("CREATE SERVER $name FOREIGN DATA WRAPPER kmip OPTIONS " . options(@options));
	return;
}

sub wrap
{
	my ($server, $secret) = @_;
	return split /\|/, $node->sql("SELECT encode(wrapped, 'hex'), master_key FROM kms_wrap('$server', 'payroll', 'data', 42, true, '\\x$secret')");
}

sub unwrap_sql
{
	my ($server, $wrapped, $master_key, $purpose) = @_;
	return sprintf "SELECT encode(kms_unwrap('%s', 'payroll', '%s', 42, '\\x%s', '%s'), 'hex')",
	  $server, $purpose // 'data', $wrapped, $master_key;
}

sub sql_texts { return 'ARRAY[' . join(', ', map { "'$_'" } @_) . ']::text[]'; }

# The bytes of a request, in hexadecimal digits, a line for each item of TTLV
sub build
{
	my ($operation, $options, %arg) = @_;
	return $node->sql(sprintf "SELECT ttlv_lines(remote_body('kmip', %s, '%s', %s, 'payroll', 'data', 42, '\\x%s', '%s'))",
		sql_texts('address=a', @$options), $operation, sql_texts($arg{id} // '', $arg{password} // '', ''),
		$arg{bytes} // '01' x 32, $arg{master_key} // '');
}

sub golden_is
{
	my ($name, $got) = @_;
	my $file = "$golden/$name.txt";
	append_to_file($file, "$got\n") if $ENV{UPDATE_GOLDEN} && !-e $file;
	is("$got\n", slurp_file($file), "request $name");
	return;
}

sub read_reply
{
	my ($operation, $hex, $master_key) = @_;
	return $node->sql(sprintf "SELECT remote_read('kmip', %s, '%s', '%s', 0, '', '\\x%s')",
		sql_texts('address=a', 'key_id=7'), $operation, $master_key // '', $hex);
}

# ---- requests, as the standard writes them ----

golden_is('kmip_wrap', build('wrap', ['key_id=7'], id => '7'));
golden_is('kmip_wrap_2_1', build('wrap', [ 'key_id=7', 'protocol_version=2.1', 'username=app' ], id => '7', password => 'geheim'));
golden_is('kmip_unwrap', build('unwrap', ['key_id=7'], id => '7', master_key => '3', bytes => '010c' . 'aa' x 12 . 'bb' x 16 . 'cc' x 32));
golden_is('kmip_describe', build('describe', ['key_id=7'], id => '7'));
golden_is('kmip_locate', build('locate', ['key_name=pii']));
golden_is('kmip_locate_2_0', build('locate', [ 'key_name=pii', 'protocol_version=2.0' ]));

# ---- replies ----

# item TAG TYPE VALUE: an item of TTLV in hexadecimal digits
sub item
{
	my ($tag, $type, $value) = @_;
	my $len = length($value) / 2;
	return sprintf('%06x%02x%08x', $tag, $type, $len) . $value . '00' x (-$len % 8);
}

sub enum { return item($_[0], 5, sprintf('%08x', $_[1])); }
sub text { return item($_[0], 7, unpack('H*', $_[1])); }

sub reply
{
	my ($payload, @result) = @_;
	return item(0x42007b, 1, item(0x42007a, 1, item(0x42000d, 2, '00000001')) . item(0x42000f, 1,
		enum(0x42007f, @result ? 1 : 0) . (@result ? enum(0x42007e, $result[0]) . text(0x42007d, $result[1]) : '')
		  . ($payload ne '' ? item(0x42007c, 1, $payload) : '')));
}

my %good = (
	wrap => reply(text(0x420094, '7') . item(0x4200c2, 8, 'cc' x 32) . item(0x42003d, 8, 'aa' x 12) . item(0x4200ff, 8, 'bb' x 16)),
	unwrap => reply(text(0x420094, '3') . item(0x4200c2, 8, '01' x 32)),
	describe => reply(text(0x420094, '7') . item(0x420008, 1, text(0x42000a, 'State') . enum(0x42000b, 2))));
is(read_reply('wrap', $good{wrap}), 'ok|010c' . 'aa' x 12 . 'bb' x 16 . 'cc' x 32 . '|7|', 'reply to wrap');
is(read_reply('unwrap', $good{unwrap}, '3'), 'ok|' . '01' x 32 . '||', 'reply to unwrap');
is(read_reply('describe', $good{describe}), 'ok|7|Key 7 is active.', 'reply to describe');
is(read_reply('describe', reply(text(0x420094, '7') . item(0x420125, 1, enum(0x42008d, 2)))), 'ok|7|Key 7 is active.', 'of version 2');
like(read_reply('describe', reply(text(0x420094, '7') . item(0x420125, 1, enum(0x42008d, 3)))), qr/^relogin\|wrong_key_lifecycle_state\|Key 7 is deactivated/, 'deactivated');
like(read_reply('unwrap', $good{unwrap}, '4'), qr/^invalid\|wrong_key/, 'a reply about another key');
like(read_reply('wrap', reply(text(0x420094, '7') . item(0x4200c2, 8, 'cc' x 32) . item(0x42003d, 8, 'aa' x 12))), qr/^refused\|not_authenticated/, 'no tag');
like(read_reply('wrap', reply(text(0x420094, '7') . item(0x4200c2, 8, 'cc' x 31) . item(0x42003d, 8, 'aa' x 12) . item(0x4200ff, 8, 'bb' x 16))), qr/^unreachable\|malformed/, 'too short a ciphertext');
foreach ([ 0x01, 'relogin', 'item_not_found' ], [ 0x0a, 'invalid', 'cryptographic_failure' ], [ 0x100, 'retry', 'general_failure' ],
	[ 0x3f, 'refused', 'unsupported_protocol_version' ], [ 0x1234, 'refused', 'result_reason_0x1234' ])
{
	my ($reason, $verdict, $code) = @$_;
	like(read_reply('unwrap', reply('', $reason, 'Why not.'), '3'), qr/^\Q$verdict|$code|Why not.\E/, "reason $code");
}
foreach my $operation (sort keys %good)
{
	my $accepted = $node->sql(sprintf <<'SQL', $good{$operation}, ("'$operation', '" . ($operation eq 'unwrap' ? 3 : '') . "'") x 2);
WITH good AS (SELECT '\x%s'::bytea AS b),
cut AS (SELECT remote_read('kmip', ARRAY['address=a', 'key_id=7'], %s, 0, '', substr(b, 1, n)) AS r FROM good, generate_series(0, length(b) - 1) n),
bent AS (SELECT remote_read('kmip', ARRAY['address=a', 'key_id=7'], %s, 0, '', set_byte(b, n, v)) AS r
	FROM good, generate_series(0, length(b) - 1) n, unnest(ARRAY[0, 1, 8, 127, 128, 255]) v)
SELECT (SELECT count(*) FROM cut WHERE r LIKE 'ok%%'), (SELECT count(*) > 0 FROM bent WHERE r NOT LIKE 'ok%%')
SQL
	is($accepted, '0|t', "$operation: no part of a reply passes for it");
}

# ---- the server ----

my $id = new_key('pii');
foreach my $version (qw(1.4 2.0))
{
	my $name = 'v' . $version =~ tr/.//dr;
	server($name, "key_id '$id'", protocol_version => $version);
	my ($wrapped, $master_key) = wrap($name, 'ab' x 32);
	is($master_key, $id, "version $version: wrapped by the key");
	is($node->sql(unwrap_sql($name, $wrapped, $master_key)), 'ab' x 32, 'unwrap');
	my ($nonce_len, $rest) = (hex substr($wrapped, 2, 2), substr($wrapped, 4));
	is($kmip->ask({ do => 'decrypt', id => $id, nonce => substr($rest, 0, 2 * $nonce_len), tag => substr($rest, 2 * $nonce_len, 32),
				data => substr($rest, 2 * $nonce_len + 32), context => $context })->{data},
		'ab' x 32, "PyKMIP's client unwraps our key");
	my $theirs = $kmip->ask({ do => 'encrypt', id => $id, nonce => '0d' x 12, data => 'cd' x 32, context => $context });
	is($node->sql(unwrap_sql($name, '010c' . '0d' x 12 . $theirs->{tag} . $theirs->{data}, $id)), 'cd' x 32, "we unwrap what PyKMIP's client wrapped");
	$node->fails_like('postgres', unwrap_sql($name, $wrapped, $master_key, 'index'), qr/58000: .*could not unwrap key/, 'another purpose does not unwrap');
	$node->fails_like('postgres', unwrap_sql($name, $wrapped =~ s/..$/00/r, $master_key), qr/58000: .*could not unwrap key/, 'a changed key does not unwrap')
	  unless $wrapped =~ /00$/;
	$node->fails_like('postgres', unwrap_sql($name, 'c0ffee', $master_key), qr/58000: .*could not unwrap key/, 'nor do other bytes');
	like($node->sql("SELECT * FROM kms_describe('$name')"), qr/^\Q$id\E\|Key \Q$id\E is active/, 'describe');
}

# by name: the key of this name that is active
server('named', q(key_name 'pii'));
my ($wrapped, $master_key) = wrap('named', 'ef' x 32);
is($master_key, $id, 'the key is found by its name');
like($node->sql("SELECT * FROM kms_describe('named')"), qr/^\Q$id\E\|The active key of name "pii" is \Q$id\E/, 'describe by name');
admin('deactivate', id => $id);
$node->fails_like('postgres', "SELECT * FROM kms_wrap('named', 'payroll', 'data', 42, true, '\\x" . '01' x 32 . "')", qr/refused.*code "item_not_found".*HINT:  Check the options "key_id"/s, 'no active key has the name');
my $second = new_key('pii');
my ($again, $new_master_key) = split /\|/, $node->sql("SELECT encode(wrapped, 'hex'), master_key FROM kms_wrap('named', 'payroll', 'data', 42, true, '\\x" . 'ef' x 32 . "')");
is($new_master_key, $second, 'the next key of the name is followed, at once');
is($node->sql(unwrap_sql('named', $again, $second)), 'ef' x 32, 'and unwraps');
$node->fails_like('postgres', "SELECT * FROM kms_wrap('v14', 'payroll', 'data', 42, true, '\\x" . '01' x 32 . "')", qr/refused.*"permission_denied"/s, 'a deactivated key does not wrap');
$node->fails_like('postgres', "SELECT * FROM kms_describe('v14')", qr/refused.*deactivated/s, 'describe tells');
admin('destroy', id => $id);
$node->fails_like('postgres', unwrap_sql('named', $wrapped, $id), qr/refused.*"(item_not_found|permission_denied)"/s, 'a destroyed key does not unwrap');

# who may not
server('stranger', "key_id '$second'", client_cert_file => "$dir/other.pem", client_key_file => "$dir/other.key");
$node->fails_like('postgres', "SELECT * FROM kms_describe('stranger')", qr/refused.*"(item_not_found|permission_denied)"/s, "another client's key");
server('anonymous', "key_id '$second'", client_cert_file => "$dir/ca.pem", client_key_file => "$dir/ca.key");
$node->fails_like('postgres', "SELECT * FROM kms_describe('anonymous')", qr/58000/, 'a certificate that is not for clients');
server('mistaken', "key_id '$second'", ca_file => "$dir/pgseal.pem");
$node->fails_like('postgres', "SELECT * FROM kms_describe('mistaken')", qr/not available.*code "tls"/s, 'a server that another CA vouches for');
server('nowhere', "key_id '$second'", address => '127.0.0.1:1');
$node->fails_like('postgres', "SELECT * FROM kms_describe('nowhere')", qr/not available.*code "connection"/s, 'nobody listens');
server('nodes', "key_id '$second'", address => "127.0.0.1:1, 127.0.0.1:$facts->{port}");
like($node->sql("SELECT * FROM kms_describe('nodes')"), qr/^\Q$second\E/, 'the other node is asked');

# options
foreach ([ "key_id 'a', key_name 'b'", qr/exactly one of the options/ ], [ "username 'x'", qr/exactly one of the options/ ],
	[ "key_id 'a', password 'x'", qr/refused because it would hold a secret/ ], [ "key_id 'a', password_file '/x'", qr/"username" is required/ ],
	[ "key_id 'a', protocol_version '1.2'", qr/protocol_version/ ])
{
	my ($given, $pattern) = @$_;
	$node->fails_like('postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER kmip OPTIONS " . options($given), $pattern, "options $given");
}
$node->fails_like('postgres', 'CREATE SERVER bad FOREIGN DATA WRAPPER kmip OPTIONS ' . options("key_id 'a'", address => 'https://x/'), qr/Give host:port/, 'address is no URL');
$node->fails_like('postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER kmip OPTIONS (address 'x', key_id 'a')", qr/"client_cert_file" is required/, 'a client certificate is required');
$node->stop;

# ---- pgseal ----

my $sealed = SealedNode->started('sealed', conf => q{pgseal.kms_timeout = '3s'});
# as the documentation writes it, but for places
my ($statement) = slurp_file(File::Spec->rel2abs(dirname(__FILE__)) . '/../../../docs/kms/kmip.md') =~ /```sql\n(CREATE SERVER hsm .*?)```/s;
$statement =~ s{/etc/pgseal/}{$dir/}g;
$statement =~ s{kmip1\.example\.com:5696}{127.0.0.1:1};
$statement =~ s{kmip2\.example\.com:5696}{127.0.0.1:$facts->{port}};
$statement =~ s{pgseal-master}{pii};
$sealed->safe_psql('postgres', "CREATE EXTENSION pgseal; $statement");
$sealed->safe_psql('postgres', q(SELECT pgseal.create_key('patients', server => 'hsm');
	CREATE TABLE patients (id int, name encrypted_text('patients')); INSERT INTO patients VALUES (1, 'Ada Lovelace')));
my $third = new_key('next');
$sealed->safe_psql('postgres', "CREATE SERVER next FOREIGN DATA WRAPPER kmip OPTIONS " . options(q(key_name 'next')));
$sealed->restart;
is($sealed->safe_psql('postgres', 'SELECT name FROM patients'), 'Ada Lovelace', 'read after a restart');
$sealed->safe_psql('postgres', q(SELECT pgseal.move_key('patients', 'next')));
is($sealed->safe_psql('postgres', q(SELECT DISTINCT master_key FROM pgseal.key_version WHERE server = 'next')), $third, 'moved to another master key');
admin('deactivate', id => $second);
admin('stop');
$sealed->restart;
my $rc = $sealed->psql('postgres', 'SELECT name FROM patients', stderr => \my $stderr);
ok($rc != 0 && $stderr =~ /foreign server "next" is not available/, 'without the server nothing is read') or diag($stderr);
admin('start');
$sealed->poll_query_until('postgres', "SELECT pgseal.try_open(name) = 'Ada Lovelace' FROM patients");
is($sealed->safe_psql('postgres', 'SELECT name FROM patients'), 'Ada Lovelace', 'with it, all is');
$sealed->stop;
$kmip->stop;
done_testing();
