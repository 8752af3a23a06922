# A key's life against an imitation of AWS KMS as it is used in development: made,
# used, rotated, moved, disabled, enabled, rewrapped.
#
# By default local-kms (test/kms/local_kms.sh).  PGSEAL_AWS_ENDPOINT=http://127.0.0.1:4566
# names another that runs already, such as LocalStack.  (Signatures and policies these
# don't check: that is kms/moto.pl.)

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $url = $ENV{PGSEAL_AWS_ENDPOINT};
my ($server, $output) = (undef, '');
if (!$url)
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	$url = "http://127.0.0.1:$port";
	$server = IPC::Run::start([ 'sh', "$FindBin::Bin/../../kms/local_kms.sh", $port, $dir ], '>', \$output, '2>&1');
}
END { local $?; $server->kill_kill if $server; }

sub kms
{
	my ($call, %arguments) = @_;
	my $reply = HTTP::Tiny->new(proxy => undef, http_proxy => undef)->request('POST', "$url/",
		{ content => encode_json(\%arguments), headers => { 'Content-Type' => 'application/x-amz-json-1.1', 'X-Amz-Target' => "TrentService.$call",
			Authorization => 'AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/kms/aws4_request, SignedHeaders=host, Signature=0' } });
	return $reply->{success} ? decode_json($reply->{content} || '{}') : undef;
}

my $key;
for (1 .. 1800)
{
	last if $key = kms('CreateKey');
	if ($server && !$server->pumpable)
	{
		plan(skip_all => 'needs Go: ' . $output =~ s/\n/ /gr);
	}
	$server->pump_nb if $server;
	select(undef, undef, undef, 0.1);
}
ok($key, "a server at $url") or diag($output);
my %id = (first => $key->{KeyMetadata}{KeyId}, second => kms('CreateKey')->{KeyMetadata}{KeyId});
kms('CreateAlias', AliasName => "alias/$_$$", TargetKeyId => $id{$_}) for keys %id;

append_to_file("$dir/credentials", "[default]\naws_access_key_id=test\naws_secret_access_key=test\n");
my $node = SealedNode->started('local_kms', conf => 'pgseal.worker_interval = 1');
sub query { return $node->query('postgres', $_[0]); }
query('CREATE EXTENSION pgseal');
query("CREATE SERVER $_ FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/$_$$', region 'eu-west-1', endpoint '$url', sts_endpoint '$url', credentials_file '$dir/credentials')")
  for sort keys %id;
query("SELECT pgseal.create_key('pay', server => 'first'); CREATE TABLE t (v encrypted_text('pay')); INSERT INTO t VALUES ('one'), ('two')");
is(query("SELECT string_agg(v, ' ' ORDER BY v) FROM t"), 'one two', 'made, sealed and opened');
is(query("SELECT bool_and(status = 'ok') FROM pgseal.check()"), 't', 'check()');
is(query("SELECT pgseal.rotate_key('pay')"), 2, 'rotated');
ok($node->poll_query_until('postgres', 'SELECT bool_and((pgseal.inspect(v)).current) FROM t'), 're-encrypted');
$node->restart;
is(query('SELECT count(v) FROM t'), 2, 'unwrapped after a restart');

cmp_ok(query("SELECT pgseal.rewrap('first')"), '>=', 0, 'rewrapped');
is(query("SELECT bool_and(status = 'ok') FROM pgseal.check()"), 't', 'what was rewrapped unwraps');
query("SELECT pgseal.move_key('pay', 'second')");
is(query("SELECT string_agg(DISTINCT server, ' ') FROM pgseal.key_versions WHERE key = 'pay'"), 'second', 'moved');

kms('DisableKey', KeyId => $id{second});
$node->restart;
$node->fails_like('postgres', 'SELECT v FROM t', qr/58000: .*"Disabled/s, 'its master key is disabled');
is(query("SELECT status FROM pgseal.health WHERE object = 'server second'"), 'refused', 'which health tells');
kms('EnableKey', KeyId => $id{second});
ok($node->poll_query_until('postgres', 'SELECT count(v) = 2 FROM t'), 'enabled: all is there');

$node->stop;
done_testing();
