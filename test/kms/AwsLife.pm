# A key's life against an imitation of AWS KMS as it is used in development: made,
# used, rotated, moved, disabled, enabled, rewrapped.
package AwsLife;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $here = File::Spec->rel2abs(dirname(__FILE__));
my ($url, $handle, $output) = ('', undef, '');

END { local $?; $handle->kill_kill if $handle; }

sub kms
{
	my ($call, %arguments) = @_;
	my $reply = HTTP::Tiny->new(proxy => undef, http_proxy => undef)->request('POST', "$url/",
		{ content => encode_json(\%arguments), headers => { 'Content-Type' => 'application/x-amz-json-1.1', 'X-Amz-Target' => "TrentService.$call",
			Authorization => 'AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/kms/aws4_request, SignedHeaders=host, Signature=0' } });
	return $reply->{success} ? decode_json($reply->{content} || '{}') : undef;
}

# Starts a script of test/kms, unless one runs that is named by its URL, and makes a key.
# Returns nothing if it can't be had.
sub start
{
	my ($script, $dir) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $key;

	$url = $ENV{PGSEAL_AWS_ENDPOINT} // "http://127.0.0.1:$port";
	$handle = IPC::Run::start([ 'sh', "$here/$script", $port, $dir ], '>', \$output, '2>&1') unless $ENV{PGSEAL_AWS_ENDPOINT};
	for (1 .. 6000)
	{
		return $key->{KeyMetadata}{KeyId} if $key = kms('CreateKey');
		return if $handle && !$handle->pumpable;
		$handle->pump_nb if $handle;
		select(undef, undef, undef, 0.1);
	}
	return;
}

# The test of a server; $may_skip says why it may be missing everywhere
sub test
{
	my ($script, $may_skip) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $first = start($script, $dir);
	my $why = "$script: $output" =~ s/\n/ /gr;

	plan(skip_all => "$may_skip: $why") if !$first && $may_skip;
	die $why if !$first && ($ENV{CI} || $ENV{PGSEAL_NO_SKIP});
	plan(skip_all => $why) if !$first;
	my %id = (first => $first, second => kms('CreateKey')->{KeyMetadata}{KeyId});
	kms('CreateAlias', AliasName => "alias/$_$$", TargetKeyId => $id{$_}) for keys %id;

	append_to_file("$dir/credentials", "[default]\naws_access_key_id=test\naws_secret_access_key=test\n");
	my $node = SealedNode->started($script =~ s/\.sh$//r, conf => 'pgseal.worker_interval = 1');
	$node->query('postgres', 'CREATE EXTENSION pgseal');
	$node->query('postgres', "CREATE SERVER $_ FOREIGN DATA WRAPPER aws_kms OPTIONS (key_id 'alias/$_$$', region 'eu-west-1', endpoint '$url', sts_endpoint '$url', credentials_file '$dir/credentials')")
	  for sort keys %id;
	live($node, $id{second});
	$node->stop;
	done_testing();
	return;
}

sub live
{
	my ($node, $second) = @_;
	my $query = sub { return $node->query('postgres', $_[0]); };

	$query->("SELECT pgseal.create_key('pay', server => 'first'); CREATE TABLE t (v encrypted_text('pay')); INSERT INTO t VALUES ('one'), ('two')");
	is($query->("SELECT string_agg(v, ' ' ORDER BY v) FROM t"), 'one two', 'made, sealed and opened');
	is($query->("SELECT bool_and(status = 'ok') FROM pgseal.check()"), 't', 'check()');
	is($query->("SELECT pgseal.rotate_key('pay')"), 2, 'rotated');
	ok($node->poll_query_until('postgres', 'SELECT bool_and((pgseal.inspect(v)).current) FROM t'), 're-encrypted');
	$node->restart;
	is($query->('SELECT count(v) FROM t'), 2, 'unwrapped after a restart');

	cmp_ok($query->("SELECT pgseal.rewrap('first')"), '>=', 0, 'rewrapped');
	is($query->("SELECT bool_and(status = 'ok') FROM pgseal.check()"), 't', 'what was rewrapped unwraps');
	$query->("SELECT pgseal.move_key('pay', 'second')");
	is($query->("SELECT string_agg(DISTINCT server, ' ') FROM pgseal.key_versions WHERE key = 'pay'"), 'second', 'moved');

	kms('DisableKey', KeyId => $second);
	$node->restart;
	$node->fails_like('postgres', 'SELECT v FROM t', qr/58000: .*"Disabled/s, 'its master key is disabled');
	is($query->("SELECT status FROM pgseal.health WHERE object = 'server second'"), 'refused', 'which health tells');
	kms('EnableKey', KeyId => $second);
	ok($node->poll_query_until('postgres', 'SELECT count(v) = 2 FROM t'), 'enabled: all is there');
	return;
}

1;
