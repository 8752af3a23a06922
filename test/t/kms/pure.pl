# The remote providers' pure functions: signatures against AWS's own vectors,
# every request against a file in test/kms/golden, every reply parser on good,
# bad and random input.
#
# Needs the extension in test/module_kms, installed.  With UPDATE_GOLDEN=1 the
# golden files are written instead of compared: read the diff before committing.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $here = File::Spec->rel2abs(dirname(__FILE__));
my $golden = "$here/../../kms/golden";
my $now = 1440938160;    # 2015-08-30T12:36:00Z, as in AWS's vectors

my $node = SealedNode->started('pure', preload => 'pgseal_kms_test');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');

# ---- helpers ----

sub sql_text
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub sql_texts
{
	return 'ARRAY[' . join(', ', map { sql_text($_) } @_) . ']::text[]';
}

sub golden_is
{
	my ($name, $got) = @_;
	my $file = "$golden/$name.txt";
	if ($ENV{UPDATE_GOLDEN})
	{
		open(my $fh, '>', $file) or die "open $file: $!";
		print $fh "$got\n";
		close($fh);
	}
	is("$got\n", slurp_file($file), "request $name");
	return;
}

my %credential = (
	aws_kms => [ 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', '' ],
	vault_transit => [ '', '', 's.EXAMPLEtoken' ],
	azure_key_vault => [ '', '', 'eyJ.example.token' ],
	gcp_kms => [ '', '', 'ya29.example' ]);

sub build
{
	my ($provider, $options, $operation, %arg) = @_;
	my $bytes = $arg{bytes} // ($operation eq 'wrap' ? '01' x 32 : 'c0ffee');
	return $node->sql(sprintf
		"SELECT remote_build('%s', %s, '%s', %s, %d, %s, 'data', 42, '\\x%s', %s)",
		$provider, sql_texts(@$options), $operation,
		sql_texts(@{ $arg{credential} // $credential{$provider} }),
		$now, sql_text($arg{key_name} // 'payroll'), $bytes, sql_text($arg{master_key} // ''));
}

sub read_reply
{
	my ($provider, $options, $operation, $status, $body, %arg) = @_;
	return $node->sql(sprintf
		"SELECT remote_read('%s', %s, '%s', %s, %d, %s, decode('%s', 'hex'))",
		$provider, sql_texts(@$options), $operation, sql_text($arg{master_key} // ''),
		$status, sql_text($arg{headers} // ''), unpack('H*', $body));
}

# Every prefix of a good reply, and single characters changed: a verdict comes,
# and it is only "ok" if the reply still says the same
sub fuzz
{
	my ($provider, $options, $operation, $body, $master_key) = @_;
	my $good = read_reply($provider, $options, $operation, 200, $body, master_key => $master_key);
	like($good, qr/^ok/, "$provider $operation: good reply");
	my $crashed = $node->sql(sprintf <<'SQL', unpack('H*', $body), $provider, sql_texts(@$options), $operation, sql_text($master_key), $provider, sql_texts(@$options), $operation, sql_text($master_key));
WITH good AS (SELECT decode('%s', 'hex') AS b),
cut AS (SELECT remote_read('%s', %s, '%s', %s, 200, '', substr(b, 1, n)) AS r
	FROM good, generate_series(0, length(b) - 1) n),
bent AS (SELECT remote_read('%s', %s, '%s', %s, 200, '', set_byte(b, n, v)) AS r
	FROM good, generate_series(0, length(b) - 1) n, unnest(ARRAY[0, 34, 92, 123, 125, 255]) v)
SELECT (SELECT count(*) FROM cut WHERE r LIKE 'ok%%'), (SELECT count(*) > 0 FROM bent WHERE r NOT LIKE 'ok%%')
SQL
	is($crashed, '0|t', "$provider $operation: no part of a reply passes for it");
	return;
}

# ---- JSON ----

sub json_is
{
	my ($document, $path, $expected, $name) = @_;
	is($node->sql(sprintf "SELECT json_member(decode('%s', 'hex'), %s)", unpack('H*', $document), sql_text($path)),
		$expected, "json: $name");
	return;
}

json_is('{"a":{"b":["x",{"c":"y"}]}}', 'a.b.1.c', 'string y', 'nested');
json_is('{"a":[[1,2],[3,4]]}', 'a.1.0', 'number 3', 'arrays of arrays');
json_is('{"a":"12","b":9223372036854775807}', 'b', 'number 9223372036854775807', 'int64');
json_is('{"a":1.5}', 'a', '(nothing)', 'no fractions');
json_is('{"a":9223372036854775808}', 'a', '(nothing)', 'no overflow');
json_is('{"a":true,"b":false}', 'a', 'true', 'true');
json_is('{"a":true,"b":false}', 'b', '(nothing)', 'false');
json_is('{"a":null}', 'a', '(nothing)', 'null');
json_is("{\"a\":\"\xc3\xa4\\u00e4\\u0041\\n\\ud83d\"}", 'a', "string ???A\n?", 'only ASCII');
json_is('{"a":"x\u0000y"}', 'a', 'string x?y', 'no NUL');
json_is('{"a":"\u00zz"}', 'a', '(not json)', 'bad escape');
json_is('{"a":1}x', 'a', '(not json)', 'garbage behind');
json_is('', 'a', '(not json)', 'empty');
json_is('[' x 16 . ']' x 16, 'a', '(nothing)', '16 levels');
json_is('[' x 17 . ']' x 17, 'a', '(not json)', '17 levels');
json_is('[' x 60000, 'a', '(not json)', 'very deep');
json_is('[' . join(',', (1) x 8192) . ']', '8191', 'number 1', '8192 values');
json_is('[' . join(',', (1) x 8193) . ']', '0', '(not json)', '8193 values');
json_is('"' . 'x' x (64 * 1024) . '"', '', '(not json)', 'too large');

is($node->sql("SELECT parse_date('Sun, 30 Aug 2015 12:36:00 GMT')"), $now, 'HTTP date');
is($node->sql("SELECT parse_date('2015-08-30T12:36:00Z')"), $now, 'ISO date');
is($node->sql("SELECT parse_date('2000-02-29T23:59:60.123Z')"), 951868800, 'leap day');
is($node->sql("SELECT parse_date(x) FROM unnest(ARRAY['', 'x', '2015-13-01T00:00:00Z', 'Sun, 30 Xyz 2015 12:36:00 GMT']) x"),
	"0\n0\n0\n0", 'no dates');

# ---- AWS signatures ----

# Three of AWS's test suite, and all of it where it is found
sub check_signatures
{
	my (@requests) = @_;

	foreach my $file (@requests)
	{
		my ($base) = $file =~ /(.*)\.req$/;
		my ($name) = $base =~ m{([^/]+)$};
		my $request = slurp_file($file);
		my $token = '';

		# there the token is added behind the signature, which KMS doesn't want
		next if $name eq 'post-sts-header-after';
		my $got = $node->sql(sprintf
			"SELECT s[1] || E'\\n--\\n' || s[2] || E'\\n--\\n' || s[3] FROM sigv4_steps(%s, 'us-east-1', 'service', %d, %s) s",
			sql_text($request), $now, sql_texts('AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', $token));
		is($got, join("\n--\n", map { slurp_file("$base.$_") } qw(creq sts authz)), "signature of $name");
	}
	return;
}

my @builtin = glob("$here/../../vectors/sigv4/*/*.req");
is(scalar @builtin, 3, 'signatures of the repository');
check_signatures(@builtin);

my $shared = $ENV{PGSEAL_SHARED} // "$here/../../../../shared";
my $suite = "$shared/vectors/aws-sig-v4-test-suite";
SKIP:
{
	skip "needs ../shared: the AWS test suite, $suite", 1 unless -d $suite;
	my @requests = glob("$suite/*/*.req $suite/*/*/*.req");
	cmp_ok(scalar @requests, '>=', 30, 'AWS test suite is complete');
	check_signatures(@requests);
}

# ---- aws_kms ----

my $arn = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
my @aws = ("key_id=$arn");
my @aws_alias = ('key_id=alias/pii', 'region=eu-west-1');
my $secret64 = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';
my $secret_hex = '01' x 32;

golden_is('aws_wrap', build('aws_kms', \@aws, 'wrap'));
golden_is('aws_unwrap', build('aws_kms', \@aws_alias, 'unwrap', master_key => "$arn#" . 'a' x 64));
golden_is('aws_generate', build('aws_kms', \@aws_alias, 'generate',
	credential => [ 'ASIAEXAMPLE', 'secret', 'TOKEN//' ]));
golden_is('aws_rewrap', build('aws_kms', \@aws_alias, 'rewrap', master_key => $arn));
golden_is('aws_describe', build('aws_kms', [ @aws_alias, 'fips=true' ], 'describe'));
golden_is('aws_endpoint_and_name', build('aws_kms',
	[ @aws_alias, 'endpoint=http://127.0.0.1:5000' ], 'generate', key_name => "caf\x{c3}\x{a9} \"x\"\\"));
golden_is('aws_china', build('aws_kms', [ 'key_id=alias/pii', 'region=cn-north-1' ], 'describe'));
golden_is('aws_assume_role', $node->sql(sprintf
	"SELECT aws_build_login('assume_role', %s, %s, $now, '')",
	sql_texts(@aws, 'role_arn=arn:aws:iam::111122223333:role/pg', 'external_id=a b&c'),
	sql_texts(@{ $credential{aws_kms} })));
golden_is('aws_web_identity', $node->sql(sprintf
	"SELECT aws_build_login('web_identity', %s, %s, $now, 'arn:aws:iam::111122223333:role/pg')",
	sql_texts(@aws, 'role_session_name=db1'), sql_texts('', '', 'eyJ.web/token+.x')));

sub aws_is
{
	my ($operation, $status, $body, $expected, $name, %arg) = @_;
	like(read_reply('aws_kms', $arg{options} // \@aws, $operation, $status, $body, master_key => $arn, %arg),
		$expected, "aws: $name");
	return;
}

aws_is('generate', 200, qq({"CiphertextBlob":"AQID","Plaintext":"$secret64","KeyId":"$arn","KeyMaterialId":"abc"}),
	qr/^ok\|$secret_hex\|010203\|\Q$arn\E#abc\|$/, 'data key');
aws_is('wrap', 200, qq({"CiphertextBlob":"AQID","KeyId":"$arn"}), qr/^ok\|010203\|\Q$arn\E\|$/, 'wrap');
aws_is('unwrap', 200, qq({"Plaintext":"$secret64","KeyId":"$arn"}), qr/^ok\|$secret_hex\|\|$/, 'unwrap');
aws_is('rewrap', 200, qq({"CiphertextBlob":"AQID","KeyId":"$arn","SourceKeyId":"$arn","SourceKeyMaterialId":"abc","DestinationKeyMaterialId":"def"}),
	qr/^ok\|010203\|\Q$arn\E#def\|$/, 'rewrap');
aws_is('describe', 200, qq({"KeyMetadata":{"Arn":"$arn","KeyState":"Enabled","CurrentKeyMaterialId":"def"}}),
	qr/^ok\|\Q$arn\E#def\|Key .* is enabled/, 'describe');
(my $other = $arn) =~ s/1234abcd/ffffabcd/;
aws_is('unwrap', 200, qq({"Plaintext":"$secret64","KeyId":"$other"}), qr/^invalid\|wrong_key/, 'unwrapped by another key');
aws_is('generate', 200, qq({"CiphertextBlob":"AQID","Plaintext":"$secret64","KeyId":"$other"}), qr/^invalid\|wrong_key/, 'another key in the reply');
aws_is('generate', 200, qq({"CiphertextBlob":"AQID","Plaintext":"$secret64","KeyId":"$other"}), qr/^ok/, 'an alias may be any key', options => \@aws_alias);
aws_is('unwrap', 200, qq({"Plaintext":"AQID","KeyId":"$arn"}), qr/^unreachable\|malformed_reply/, 'plaintext of wrong length');
aws_is('unwrap', 200, '<html>', qr/^unreachable\|malformed_reply/, 'no JSON');
foreach my $case (
	[ 400, 'ThrottlingException', 'retry' ],
	[ 400, 'LimitExceededException', 'retry' ],
	[ 500, 'KMSInternalException', 'retry' ],
	[ 500, 'KeyUnavailableException', 'retry' ],
	[ 503, 'DependencyTimeoutException', 'retry' ],
	[ 502, '', 'retry' ],
	[ 400, 'ExpiredTokenException', 'relogin' ],
	[ 400, 'UnrecognizedClientException', 'relogin' ],
	[ 400, 'AccessDeniedException', 'refused' ],
	[ 400, 'com.amazonaws.kms#DisabledException', 'refused' ],
	[ 409, 'KMSInvalidStateException', 'refused' ],
	[ 400, 'NotFoundException', 'refused' ],
	[ 400, 'InvalidKeyUsageException', 'refused' ],
	[ 400, 'InvalidCiphertextException', 'invalid' ],
	[ 400, 'IncorrectKeyException', 'invalid' ],
	[ 400, 'SomethingNewException', 'refused' ],
	[ 418, '', 'refused' ])
{
	my ($status, $code, $verdict) = @$case;
	my ($short) = $code =~ /([^#]*)$/;
	aws_is('unwrap', $status, qq({"__type":"$code","message":"why"}), qr/^\Q$verdict|$short|why|\E/, "error $status $code");
}
aws_is('unwrap', 400, '{"__type":"AccessDeniedException","Message":"big M"}', qr/^refused\|AccessDeniedException\|big M\|Allow/, 'Message');
aws_is('unwrap', 400, '{}', qr/^refused\|DisabledException/, 'type in the header', headers => 'x-amzn-ErrorType: DisabledException:http://x');
aws_is('unwrap', 400, '{"__type":"InvalidSignatureException","message":"Signature expired: 20150830T113600Z is now earlier than"}', qr/^skewed/, 'clock skew');
aws_is('unwrap', 400, '{"__type":"InvalidSignatureException","message":"The request signature we calculated does not match"}', qr/^refused/, 'wrong secret key');
foreach my $state (qw(Disabled PendingDeletion PendingImport Unavailable))
{
	aws_is('describe', 200, qq({"KeyMetadata":{"Arn":"$arn","KeyState":"$state"}}), qr/^refused\|$state\|/, "key state $state");
}
fuzz('aws_kms', \@aws, 'generate', qq({"CiphertextBlob":"AQID","Plaintext":"$secret64","KeyId":"$arn"}), $arn);
fuzz('aws_kms', \@aws, 'unwrap', qq({"Plaintext":"$secret64","KeyId":"$arn"}), $arn);
fuzz('aws_kms', \@aws, 'describe', qq({"KeyMetadata":{"Arn":"$arn","KeyState":"Enabled"}}), $arn);

# logins
sub login_is
{
	my ($kind, $status, $body, $expected, $name) = @_;
	like($node->sql(sprintf "SELECT aws_read_login('%s', %d, decode('%s', 'hex'), %d)", $kind, $status, unpack('H*', $body), $now),
		$expected, "aws login: $name");
	return;
}
my $sts = '<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/1</SecretAccessKey>'
  . '<SessionToken>t+1==</SessionToken><Expiration>2015-08-30T13:36:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>';
login_is('sts', 200, $sts, qr{^ok\|ASIA1\|s/1\|t\+1==\|@{[$now + 2400]}\|@{[$now + 3600]}$}, 'assumed role');
login_is('sts', 403, '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>',
	qr/^refused\|AccessDenied\|no\|Check the role's trust policy/, 'role denied');
login_is('sts', 200, substr($sts, 0, $_), qr/^unreachable/, "cut reply $_") foreach (0, 60, 120, 170);
my $meta = '{"Code":"Success","AccessKeyId":"ASIA2","SecretAccessKey":"s2","Token":"t2","Expiration":"2015-08-30T12:46:00Z"}';
login_is('metadata', 200, $meta, qr{^ok\|ASIA2\|s2\|t2\|@{[$now + 400]}\|@{[$now + 600]}$}, 'metadata');
(my $old = $meta) =~ s/12:46/12:30/;
login_is('metadata', 200, $old, qr{^ok\|.*\|@{[$now + 300]}$}, 'metadata that could not renew');
(my $long = $meta) =~ s/t2/'x' x 9000/e;
login_is('metadata', 200, $long, qr/^unreachable/, 'token that does not fit is refused, not cut');
(my $broken = $meta) =~ s/t2/a\\r\\nX: y/;
login_is('metadata', 200, $broken, qr/^unreachable/, 'no header injection by a token');
login_is('metadata', 404, '', qr/^refused\|metadata/, 'no role');

my $profiles = "# c\n[default]\naws_access_key_id = A1\naws_secret_access_key=S1\n\n[ two ]\r\naws_access_key_id=A2\r\naws_secret_access_key = S=2 \r\naws_session_token = T2\n[profile three]\naws_access_key_id=A3\naws_secret_access_key=S3\n[four]\naws_access_key_id=A4\n";
foreach my $case ([ 'default', 'false', 'A1|S1|' ], [ 'two', 'false', 'A2|S=2|T2' ], [ 'three', 'false', '' ],
	[ 'three', 'true', 'A3|S3|' ], [ 'default', 'true', 'A1|S1|' ], [ 'four', 'false', '' ], [ 'five', 'true', '' ])
{
	my ($profile, $in_config, $expected) = @$case;
	is($node->sql(sprintf "SELECT aws_profile(%s, '%s', %s)", sql_text($profiles), $profile, $in_config), $expected,
		"aws profile $profile, in config: $in_config");
}

# ---- vault_transit ----

my @vault = ('address=https://vault.example.com:8200', 'key_name=pii', 'token_file=/t');
my @team = (@vault, 'namespace=team/a', 'mount=kv/transit');
my $vault_wrapped = unpack('H*', 'vault:v3:AQID');
golden_is('vault_wrap', build('vault_transit', \@vault, 'wrap'));
golden_is('vault_unwrap', build('vault_transit', \@team, 'unwrap', bytes => $vault_wrapped, master_key => 'pii:v3'));
golden_is('vault_generate', build('vault_transit', \@team, 'generate', key_name => "caf\x{c3}\x{a9}"));
golden_is('vault_rewrap', build('vault_transit', \@vault, 'rewrap', bytes => $vault_wrapped, master_key => 'old name:v3'));
golden_is('vault_describe', build('vault_transit', [ 'address=http://127.0.0.1:8200', 'key_name=p/i' ], 'describe'));

sub vault_is
{
	my ($operation, $status, $body, $expected, $name) = @_;
	like(read_reply('vault_transit', \@vault, $operation, $status, $body, master_key => 'pii:v2'), $expected, "vault: $name");
	return;
}
my $text = unpack('H*', 'vault:v3:AQID');
vault_is('wrap', 200, '{"data":{"ciphertext":"vault:v3:AQID"}}', qr/^ok\|$text\|pii:v3\|$/, 'wrap');
vault_is('generate', 200, qq({"data":{"ciphertext":"vault:v3:AQID","plaintext":"$secret64"}}), qr/^ok\|$secret_hex\|$text\|pii:v3\|$/, 'data key');
vault_is('unwrap', 200, qq({"data":{"plaintext":"$secret64"}}), qr/^ok\|$secret_hex\|/, 'unwrap');
vault_is('describe', 200, '{"data":{"name":"pii","type":"aes256-gcm96","latest_version":12,"supports_encryption":true,"derived":true}}', qr/^ok\|pii:v12\|.*binds each/, 'describe');
vault_is('describe', 200, '{"data":{"name":"pix","type":"aes256-gcm96","latest_version":12,"supports_encryption":true}}', qr/^invalid\|wrong_key/, 'another key');
vault_is('describe', 200, '{"data":{"name":"pii","type":"ed25519","latest_version":1,"supports_encryption":false}}', qr/^refused\|key_type/, 'key that does not encrypt');
vault_is('describe', 200, '{"data":{"name":"pii","type":"aes256-gcm96","latest_version":1,"supports_encryption":true,"soft_deleted":true}}', qr/^refused\|key_deleted/, 'soft-deleted');
vault_is('wrap', 200, qq({"data":{"ciphertext":"$_"}}), qr/^unreachable\|malformed/, "malformed ciphertext '$_'") foreach ('', 'vault:v0:x', 'vault:vx:y', 'v1:AQID', 'vault:v1:');
foreach my $case (
	[ 403, '{"errors":["permission denied"]}', 'relogin|permission_denied' ],
	[ 412, '{}', 'retry once|replica_lag' ],
	[ 429, '{"errors":["request path: rate limit quota exceeded"]}', 'retry|throttled' ],
	[ 503, '{"errors":["Vault is sealed"]}', 'retry|sealed' ],
	[ 500, '', 'retry|unavailable' ],
	[ 473, '', 'retry|unavailable' ],
	[ 404, '{"errors":[]}', 'refused|not_found' ],
	[ 404, '{"errors":["no handler for route \"x/\". route entry not found."]}', 'refused|not_mounted' ],
	[ 400, '{"errors":["encryption key not found"]}', 'refused|key_not_found' ],
	[ 400, '{"errors":["invalid ciphertext: version is too new"]}', 'retry once|version_too_new' ],
	[ 400, '{"errors":["ciphertext or signature version is disallowed by policy (too old)"]}', 'refused|version_too_old' ],
	[ 400, '{"errors":["cipher: message authentication failed"]}', 'invalid|not_authentic' ],
	[ 500, '{"errors":["1 error occurred: cipher: message authentication failed"]}', 'invalid|not_authentic' ],
	[ 400, '{"errors":["invalid ciphertext: no prefix"]}', 'invalid|invalid_ciphertext' ],
	[ 400, '<html>', 'refused|bad_request' ])
{
	my ($status, $body, $expected) = @$case;
	vault_is('unwrap', $status, $body, qr/^\Q$expected|\E/, "error $status $body");
}
fuzz('vault_transit', \@vault, 'generate', qq({"data":{"ciphertext":"vault:v3:AQID","plaintext":"$secret64"}}), '');
fuzz('vault_transit', \@vault, 'unwrap', qq({"data":{"plaintext":"$secret64"}}), 'pii:v3');

# ---- azure_key_vault ----

my $vault_url = 'https://pii.vault.azure.net';
my @azure = ("vault_url=$vault_url", 'key_name=sealer');
my $kid = "$vault_url/keys/sealer/0123abcd";
(my $secret64url = $secret64) =~ s/=//;
golden_is('azure_wrap', build('azure_key_vault', \@azure, 'wrap', bytes => 'ff' x 32));
golden_is('azure_unwrap', build('azure_key_vault', [ @azure, 'algorithm=A256KW' ], 'unwrap', master_key => $kid, bytes => 'fbeffe'));
golden_is('azure_unwrap_foreign', build('azure_key_vault', \@azure, 'unwrap', master_key => 'https://evil.example.com/keys/sealer/1'));
golden_is('azure_describe', build('azure_key_vault', \@azure, 'describe'));

sub azure_is
{
	my ($operation, $status, $body, $expected, $name) = @_;
	like(read_reply('azure_key_vault', \@azure, $operation, $status, $body, master_key => $kid), $expected, "azure: $name");
	return;
}
azure_is('wrap', 200, qq({"kid":"$kid","value":"-_-_"}), qr/^ok\|fbffbf\|\Q$kid\E\|$/, 'wrap');
azure_is('unwrap', 200, qq({"kid":"$kid","value":"$secret64url"}), qr/^ok\|$secret_hex\|/, 'unwrap');
azure_is('unwrap', 200, qq({"kid":"${kid}0","value":"$secret64url"}), qr/^invalid\|wrong_key/, 'another version');
azure_is('wrap', 200, qq({"kid":"$_","value":"AQID"}), qr/^invalid\|wrong_key/, "not our versioned kid: $_")
  foreach ("$vault_url/keys/sealer", "$vault_url/keys/sealer/", "$vault_url/keys/other/1", 'https://evil.example.com/keys/sealer/1', "$vault_url/keys/sealer/1/2");
azure_is('describe', 200, qq({"key":{"kid":"$kid","kty":"RSA"},"attributes":{"enabled":true}}), qr/^ok\|\Q$kid\E\|/, 'describe');
azure_is('describe', 200, qq({"key":{"kid":"$kid","kty":"RSA"},"attributes":{"enabled":false}}), qr/^refused\|KeyDisabled/, 'disabled');
foreach my $case (
	[ 401, 'Unauthorized', '', 'relogin|Unauthorized' ],
	[ 403, 'Forbidden', 'ForbiddenByRbac', 'refused|ForbiddenByRbac' ],
	[ 403, 'Forbidden', 'KeyDisabled', 'refused|KeyDisabled' ],
	[ 404, 'KeyNotFound', '', 'refused|KeyNotFound' ],
	[ 400, 'BadParameter', '', 'invalid|BadParameter' ],
	[ 429, 'Throttled', '', 'retry|Throttled' ],
	[ 408, 'RequestTimeout', '', 'retry|RequestTimeout' ],
	[ 503, '', '', 'retry|' ])
{
	my ($status, $code, $inner, $expected) = @$case;
	foreach my $name ($inner ? ('innererror', 'innerError') : 'none')
	{
		azure_is('unwrap', $status, qq({"error":{"code":"$code","message":"why") . ($inner ? qq(,"$name":{"code":"$inner"}) : '') . '}}',
			qr/^\Q$expected|why|\E|^retry\|\|why/, "error $status $code $name");
	}
}
fuzz('azure_key_vault', \@azure, 'unwrap', qq({"kid":"$kid","value":"$secret64url"}), $kid);
fuzz('azure_key_vault', \@azure, 'wrap', qq({"kid":"$kid","value":"-_-_"}), '');

# ---- gcp_kms ----

my $key_name = 'projects/p-1/locations/europe-west1/keyRings/r/cryptoKeys/sealer';
my @gcp = ("key_name=$key_name");
my $version = "$key_name/cryptoKeyVersions/3";
golden_is('gcp_wrap', build('gcp_kms', \@gcp, 'wrap'));
golden_is('gcp_unwrap', build('gcp_kms', [ @gcp, 'endpoint=https://kms.example.com' ], 'unwrap', master_key => $version));
golden_is('gcp_describe', build('gcp_kms', \@gcp, 'describe'));

sub gcp_is
{
	my ($operation, $status, $body, $expected, $name) = @_;
	like(read_reply('gcp_kms', \@gcp, $operation, $status, $body, master_key => $version), $expected, "gcp: $name");
	return;
}
# a second implementation
sub crc32c
{
	my $crc = 0xFFFFFFFF;
	foreach my $byte (unpack('C*', $_[0]))
	{
		$crc ^= $byte;
		$crc = ($crc >> 1) ^ ($crc & 1 ? 0x82F63B78 : 0) foreach 1 .. 8;
	}
	return $crc ^ 0xFFFFFFFF;
}
is(crc32c('123456789'), 0xE3069283, 'CRC-32C check value');
my $crc = crc32c("\x01\x02\x03");
my $secret_crc = crc32c("\x01" x 32);
my $verified = '"verifiedPlaintextCrc32c":true,"verifiedAdditionalAuthenticatedDataCrc32c":true';
gcp_is('wrap', 200, qq({"name":"$version","ciphertext":"AQID","ciphertextCrc32c":"$crc",$verified}), qr/^ok\|010203\|\Q$version\E\|$/, 'wrap');
gcp_is('unwrap', 200, qq({"plaintext":"$secret64","plaintextCrc32c":"$secret_crc"}), qr/^ok\|$secret_hex\|/, 'unwrap');
gcp_is('wrap', 200, qq({"name":"$version","ciphertext":"AQID","ciphertextCrc32c":"1",$verified}), qr/^retry\|crc32c/, 'wrong checksum');
gcp_is('wrap', 200, qq({"name":"$version","ciphertext":"AQID","ciphertextCrc32c":"$crc"}), qr/^retry\|crc32c/, 'unverified');
gcp_is('unwrap', 200, qq({"plaintext":"$secret64"}), qr/^retry\|crc32c/, 'no checksum');
gcp_is('wrap', 200, qq({"name":"${key_name}2/cryptoKeyVersions/3","ciphertext":"AQID","ciphertextCrc32c":"$crc",$verified}), qr/^invalid\|wrong_key/, 'another key');
gcp_is('describe', 200, qq({"purpose":"ENCRYPT_DECRYPT","primary":{"name":"$version","state":"ENABLED"}}), qr/^ok\|\Q$version\E\|/, 'describe');
gcp_is('describe', 200, qq({"purpose":"ENCRYPT_DECRYPT","primary":{"name":"$version","state":"DESTROY_SCHEDULED"}}), qr/^refused\|DESTROY_SCHEDULED/, 'to be destroyed');
gcp_is('describe', 200, qq({"purpose":"ASYMMETRIC_SIGN"}), qr/^refused\|ASYMMETRIC_SIGN/, 'wrong purpose');
foreach my $case ([ 401, 'UNAUTHENTICATED', 'relogin' ], [ 403, 'PERMISSION_DENIED', 'refused' ], [ 404, 'NOT_FOUND', 'refused' ],
	[ 400, 'INVALID_ARGUMENT', 'invalid' ], [ 400, 'FAILED_PRECONDITION', 'refused' ], [ 429, 'RESOURCE_EXHAUSTED', 'retry' ],
	[ 503, 'UNAVAILABLE', 'retry' ], [ 504, 'DEADLINE_EXCEEDED', 'retry' ])
{
	my ($status, $code, $verdict) = @$case;
	gcp_is('unwrap', $status, qq({"error":{"code":$status,"status":"$code","message":"why"}}), qr/^\Q$verdict|$code|why|\E/, "error $code");
}
fuzz('gcp_kms', \@gcp, 'unwrap', qq({"plaintext":"$secret64","plaintextCrc32c":"$secret_crc"}), $version);
fuzz('gcp_kms', \@gcp, 'wrap', qq({"name":"$version","ciphertext":"AQID","ciphertextCrc32c":"$crc",$verified}), '');

unlike(slurp_file($node->logfile), qr/(PANIC|TRAP|terminated by signal)/, 'no crash');
$node->stop;
done_testing();
