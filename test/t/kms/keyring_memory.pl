# The cluster remembers its keyring: a lost one is never made anew, whichever
# database asks first, and another one isn't taken for it.

use strict;
use warnings;

use File::Copy qw(copy move);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('primary', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.cache_ttl = 10
});

my $make = q{CREATE EXTENSION IF NOT EXISTS pgseal; CREATE TABLE IF NOT EXISTS t (a encrypted_text); INSERT INTO t VALUES ('x')};

sub fails_like
{
	my ($server, $db, $sql, $pattern, $name) = @_;
	my ($ret, $out, $err) = $server->psql($db, $sql);
	ok($ret != 0 && $err =~ $pattern, $name) or diag("$ret: $err");
	return;
}

$node->safe_psql('postgres', $make);
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(second third);
my $memory = slurp_file($node->data_dir . '/pgseal.keyrings');
like($memory, qr/^[0-9a-f]{16} default$/, 'the cluster remembers a fingerprint');
$node->backup('base');

# Lost: another database doesn't make a new one
move($keyring, "$keyring.saved");
fails_like($node, 'second', $make, qr/keyring file ".*", which this cluster has used, is missing/,
	'a lost keyring is not made anew');
ok(!-e $keyring, 'there is none');
move("$keyring.saved", $keyring);
$node->safe_psql('second', $make);
is($node->safe_psql('second', 'SELECT a FROM t'), 'x', 'restored, it serves all databases');
is(slurp_file($node->data_dir . '/pgseal.keyrings'), $memory, 'remembered once');

# Another one in its place
my $other = SealedNode->started('other', conf => "pgseal.keyring_file = '$keyring.other'");
$other->safe_psql('postgres', $make);
move($keyring, "$keyring.saved");
copy("$keyring.other", $keyring);
chmod 0600, $keyring;
fails_like($node, 'third', $make, qr/does not hold master key/, 'another keyring is not taken for it');
move("$keyring.saved", $keyring);
$node->safe_psql('third', $make);

# A base backup brings the memory along
my $restored = SealedNode->from_backup('restored', $node, 'base', conf => "pgseal.keyring_file = '$keyring.elsewhere'");
fails_like($restored, 'second', $make, qr/which this cluster has used, is missing/,
	'nor does a restored cluster make a new keyring');
copy($keyring, "$keyring.elsewhere");
chmod 0600, "$keyring.elsewhere";
$restored->safe_psql('second', $make);
is($restored->safe_psql('postgres', 'SELECT a FROM t'), 'x', 'with the keyring it goes on');

# Other keyrings are none of its business
$node->safe_psql('third', qq{CREATE SERVER aside FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring.aside');
	SELECT pgseal.create_key('aside', server => 'aside')});
like(slurp_file($node->data_dir . '/pgseal.keyrings'), qr/^[0-9a-f]{16} \Q$keyring\E\.aside$/m,
	'each file is remembered by its path');

$_->stop for $node, $other, $restored;
done_testing();
