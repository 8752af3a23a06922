# Crypto and envelope against published test vectors, against tampering, and
# against the reuse of nonces.
#
# The vectors in test/vectors are always used.  Two larger sets are used where
# they are found: Wycheproof in vectors/wycheproof under $PGSEAL_SHARED (else
# ../shared beside the repository), and the NIST files of Debian's package
# python3-cryptography-vectors.
#
# Needs the extension in test/module to be installed.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $root = "$FindBin::Bin/../../..";
my $builtin = "$root/test/vectors";
my $wycheproof = ($ENV{PGSEAL_SHARED} // "$root/../shared") . '/vectors/wycheproof';
my $debian = '/usr/lib/python3/dist-packages/cryptography_vectors';

# Preloading fills the postmaster's nonce pool, which all backends inherit
my $node = SealedNode->started('vectors', preload => 'pgseal_test');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_test');

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SET search_path = pgseal_test, pg_catalog;\n$sql");
}

# Readers: each returns a list of hashes

# NIST's "name = value" blocks; "FAIL" makes a block invalid
sub read_rsp
{
	my ($path) = @_;
	my @vectors;
	my $text = slurp_file($path);

	$text =~ s/\r//g;
	foreach my $block (split /\n\s*\n/, $text)
	{
		my %vector = $block =~ /^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$/mg;
		$vector{valid} = $block !~ /^FAIL/m;
		push @vectors, \%vector;
	}
	return @vectors;
}

sub read_wycheproof
{
	my ($path) = @_;
	my $file = decode_json(slurp_file($path));

	return map { { %$_, valid => $_->{result} eq 'valid' } }
	  map { @{ $_->{tests} } } @{ $file->{testGroups} };
}

# Runs one set: $condition must be true for every row of columns v.c1, v.c2, ...
sub check_vectors
{
	my ($name, $at_least, $condition, @rows) = @_;
	my $values = join ",\n", map {
		my $row = $_;
		die "incomplete vector in $name" if grep { !defined } @$row;
		'(' . join(', ', map { $_ =~ /^(true|false|\d+::int)$/ ? $_ : "'\\x$_'::bytea" } @$row) . ')'
	} @rows;
	my $columns = join ', ', map { "c$_" } 1 .. @{ $rows[0] };

	cmp_ok(scalar @rows, '>=', $at_least, "$name: " . scalar @rows . ' vectors');
	is(query("SELECT * FROM (VALUES $values) AS v ($columns) WHERE ($condition) IS NOT TRUE"),
		'', "$name: all as published");
}

sub bool { return $_[0] ? 'true' : 'false' }

# Sealing gives exactly the published bytes, opening gives the plaintext;
# an invalid one must not open
sub check_gcm
{
	my ($name, $at_least, @vectors) = @_;

	check_vectors($name, $at_least,
		'CASE WHEN c6 THEN aead_seal(c1, c2, c3, c4) = c5 AND aead_open(c1, c2, c3, c5) = c4'
		  . ' ELSE aead_open(c1, c2, c3, c5) IS NULL END',
		map { [ $_->{key}, $_->{iv}, $_->{aad}, $_->{msg}, $_->{ct} . $_->{tag}, bool($_->{valid}) ] }
		  grep { length $_->{key} == 64 && length $_->{iv} == 24 && length $_->{tag} == 32 } @vectors);
}

sub gcm_of_rsp
{
	return map {
		{   key => $_->{Key}, iv => $_->{IV}, aad => $_->{AAD}, msg => $_->{PT} // '',
			ct => $_->{CT}, tag => $_->{Tag}, valid => $_->{valid} }
	} grep { defined $_->{Key} } @_;
}

# Tags may be truncated.  The prefix takes a part of the message, so that both
# of pgseal_hmac()'s inputs are used.
sub check_hmac
{
	my ($name, $at_least, @vectors) = @_;

	check_vectors($name, $at_least,
		"(substr(hmac(c1, substr(c2, 1, 5), substr(c2, 6)), 1, length(c3)) = c3) = c4"
		  . " AND hmac(c1, c2, '') = hmac(c1, '', c2)",
		map { [ $_->{key}, $_->{msg}, $_->{tag}, bool($_->{valid}) ] } @vectors);
}

sub hmac_of_rsp
{
	return map { { key => $_->{Key}, msg => $_->{Msg}, tag => $_->{MD}, valid => 1 } }
	  grep { defined $_->{Key} } @_;
}

# The invalid ones ask for too many bytes and are refused
sub check_hkdf
{
	my ($name, $at_least, @vectors) = @_;

	check_vectors($name, $at_least,
		'hkdf(c1, c2, c3, c4) IS NOT DISTINCT FROM CASE WHEN c6 THEN c5 END',
		map { [ $_->{ikm}, $_->{salt}, $_->{info}, "$_->{size}::int", $_->{okm}, bool($_->{valid}) ] }
		  @vectors);
}

sub hkdf_of_rsp
{
	return map {
		{   ikm => $_->{IKM}, salt => $_->{salt}, info => $_->{info},
			size => $_->{L}, okm => $_->{OKM}, valid => 1 }
	} grep { defined $_->{IKM} } @_;
}

# CAVP writes the empty message as one zero byte with Len = 0
sub check_sha256
{
	my ($name, $at_least, @vectors) = @_;

	check_vectors($name, $at_least, 'pgseal_test.sha256(c1) = c2',
		map { [ $_->{Len} == 0 ? '' : $_->{Msg}, $_->{MD} ] } grep { defined $_->{Msg} } @vectors);
}

# Published vectors

check_gcm('built-in AES-GCM', 25, gcm_of_rsp(read_rsp("$builtin/aes_256_gcm.rsp")));
check_hmac('built-in HMAC', 6, hmac_of_rsp(read_rsp("$builtin/hmac_sha256.rsp")));
check_hkdf('built-in HKDF', 3, hkdf_of_rsp(read_rsp("$builtin/hkdf_sha256.rsp")));
check_sha256('built-in SHA-256', 5, read_rsp("$builtin/sha256.rsp"));

SKIP:
{
	skip 'needs ../shared: Wycheproof', 6 if !-d $wycheproof;
	check_gcm('Wycheproof AES-GCM', 66, read_wycheproof("$wycheproof/aes_gcm_test.json"));
	check_hmac('Wycheproof HMAC', 174, read_wycheproof("$wycheproof/hmac_sha256_test.json"));
	check_hkdf('Wycheproof HKDF', 86, read_wycheproof("$wycheproof/hkdf_sha256_test.json"));
}

SKIP:
{
	skip 'no python3-cryptography-vectors', 10 if !-d $debian;
	check_gcm("NIST $_", 375, gcm_of_rsp(read_rsp("$debian/ciphers/AES/GCM/$_.rsp")))
	  foreach qw(gcmEncryptExtIV256 gcmDecrypt256);
	check_sha256("NIST $_", 64, read_rsp("$debian/hashes/SHA2/$_.rsp"))
	  foreach qw(SHA256ShortMsg SHA256LongMsg);
	check_hkdf('1200 bytes of HKDF', 1, hkdf_of_rsp(read_rsp("$debian/KDF/hkdf-generated.txt")));
}

# Primitives beyond the vectors

my $key = 'decode(repeat(\'6b\', 32), \'hex\')';

is(query(q{SELECT encode(pg_catalog.sha256(s), 'hex'), aead_open(k, n, a, s) = p, aead_open(k, n, 'a', s) IS NULL
	FROM (SELECT decode('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex') AS k,
				 decode('000102030405060708090a0b', 'hex') AS n,
				 convert_to(repeat('a', 17825795), 'UTF8') AS a,
				 convert_to(repeat('pgseal', 6990507) || 'ppp', 'UTF8') AS p OFFSET 0) AS v,
		 LATERAL (SELECT aead_seal(k, n, a, p) AS s OFFSET 0) AS w}),
	'908bc10493167e46fb7c7cb108e41559c5427f95f5bc73f63bbd087783ff5129|t|t',
	'40 MB of plaintext and 17 MB of authenticated data, computed by another implementation');

is(query(q{SELECT length(hkdf('k', '', '', 8160)), hkdf('k', '', '', 8161) IS NULL}),
	'8160|t', 'HKDF gives 255 blocks and no more');
is(query(q{SELECT equal_bytes('', ''), equal_bytes('ab', 'ab'), equal_bytes('ab', 'ac'), equal_bytes('ab', 'bb')}),
	't|t|f|f', 'equality');
is(query('SELECT count(DISTINCT random_bytes(16)), length(random_bytes(1000)) FROM generate_series(1, 1000)'
		. ' GROUP BY 2'),
	'1000|1000', 'random bytes differ');

# Envelope

is(query("SELECT status, type_code, compressed, key_version_id FROM envelope_parse(
	decode('01' || '84' || 'fedcba9876543210' || repeat('00', 28), 'hex'))"),
	'ok|4|t|-81985529216486896', 'the header lies as documented');
is(query("SELECT substr(e, 1, 10) = decode('01' || '3f' || '0123456789abcdef', 'hex'),
		aead_open($key, substr(e, 11, 12), substr(e, 1, 10), substr(e, 23)) = 'payload'
	FROM envelope_seal($key, 63, false, 81985529216486895, 'payload') AS e"),
	't|t', 'an envelope is AES-GCM with its first ten bytes as authenticated data');
is(query("SELECT bool_and(status = 'ok' AND payload = p AND length(e) = n + 38)
	FROM generate_series(0, 100) AS n, LATERAL (SELECT random_bytes(n) AS p OFFSET 0) AS v,
		 LATERAL (SELECT envelope_seal($key, 1, n % 2 = 0, n, p) AS e OFFSET 0) AS w,
		 LATERAL envelope_open($key, e)"),
	't', 'what was sealed opens, from 0 bytes on');
is(query("SELECT envelope_seal($key, 0, false, 1, '') IS NULL, envelope_seal($key, 64, false, 1, '') IS NULL"),
	't|t', 'a type code that could not be read back is not sealed');
is(query("SELECT DISTINCT status, payload FROM envelope_open($key, envelope_seal(random_bytes(32), 1, false, 1, 'xx'))"),
	'not authentic|\x0000', 'another key does not open it');

$node->safe_psql('postgres',
	"CREATE TABLE sealed AS SELECT pgseal_test.envelope_seal($key, 4, true, 42, 'attack at dawn') AS e");

# 52 bytes: 8 bits of the format, one flag and the only bit of the type code
is(query("SELECT status, count(*), bool_and(payload = decode(repeat('00', 14), 'hex'))
	FROM public.sealed, generate_series(0, length(e) * 8 - 1) AS i,
		 LATERAL envelope_open($key, set_bit(e, i, 1 - get_bit(e, i)))
	GROUP BY status ORDER BY status"),
	"not authentic|406|t\nunknown flag|2|t\nunknown format|8|t",
	'every flipped bit is noticed, and no plaintext is left in the buffer');
is(query("SELECT status, count(*), min(length(payload)), max(length(payload)), bool_and(payload = decode(repeat('00', length(payload)), 'hex'))
	FROM public.sealed, generate_series(0, length(e) - 1) AS i, LATERAL envelope_open($key, substr(e, 1, i))
	GROUP BY status ORDER BY status"),
	"not authentic|14|0|13|t\ntruncated|38|0|0|t", 'every truncation is noticed');
is(query("SELECT status, count(*)
	FROM public.sealed, generate_series(0, 255) AS i,
		 LATERAL (SELECT set_byte('\\x00', 0, i) AS b) AS v,
		 LATERAL (VALUES (e || b), (substr(e, 1, 30) || b || substr(e, 31)), (substr(e, 1, 10) || b || substr(e, 11))) AS w (x),
		 LATERAL envelope_open($key, x)
	GROUP BY status"),
	'not authentic|768', 'every extension is noticed');
is(query("SELECT status, count(*) FROM public.sealed, generate_series(0, 255) AS i,
		 LATERAL envelope_parse(set_byte(e, 0, i)) GROUP BY status ORDER BY status"),
	"ok|1\nunknown format|255", 'one format is known');
is(query("SELECT status, count(*) FROM public.sealed, generate_series(0, 255) AS i,
		 LATERAL envelope_parse(set_byte(e, 1, i)) GROUP BY status ORDER BY status"),
	"ok|126\nunknown flag|130", 'bit 6 and type code 0 are refused');
is(query(q{SELECT status, type_code, compressed, key_version_id FROM envelope_parse('\x02ff')}),
	'unknown format|0|f|0', 'a later format is told from a truncated value');

# Text form

is(query(q{SELECT string_agg(envelope_to_text(convert_to(b, 'UTF8')), ' ' ORDER BY length(b))
	FROM unnest('{"",f,fo,foo,foob,fooba,foobar}'::text[]) AS b}),
	join(' ', map { "pgseal:1:$_" } '', qw(Zg== Zm8= Zm9v Zm9vYg== Zm9vYmE= Zm9vYmFy)),
	'base64 as in RFC 4648, section 10');
is(query(q{SELECT bool_and(envelope_from_text(envelope_to_text(b)) = b) FROM generate_series(0, 300) AS n,
		LATERAL (SELECT random_bytes(n) AS b OFFSET 0) AS v}),
	't', 'text form and back');
is(query(q{SELECT form FROM (VALUES ('pgseal:1:Z'), ('pgseal:1:Zg'), ('pgseal:1:Zg='), ('pgseal:1:Zg==='), ('pgseal:1:====' ),
		('pgseal:1:Z==='), ('pgseal:1:Zh=='), ('pgseal:1:Zm9='), ('pgseal:1:Zg==Zg=='), ('pgseal:1:Zm=v'), ('pgseal:1:Zm 8='),
		('pgseal:1: Zm8='), (E'pgseal:1:Zm8=\n'), ('pgseal:1:Zm-_'), ('pgseal:1:Zm8é'), ('pgseal:1'), ('pgseal:2:Zm8='),
		('PGSEAL:1:Zm8='), (' pgseal:1:Zm8='), (''), ('Zm8=')) AS v (form) WHERE envelope_from_text(form) IS NOT NULL}),
	'', 'malformed and non-canonical text is refused');

# Whatever one character does to the text: if it is still accepted then it is
# the one text form of what it decodes to
is(query(q{SELECT count(*) > 10000, bool_and(envelope_to_text(envelope_from_text(x)) = x), bool_or(x IS NULL),
		bool_or(envelope_from_text(x) IS NULL), bool_or(envelope_from_text(x) IS NOT NULL)
	FROM public.sealed, LATERAL (SELECT envelope_to_text(e || '\x00') AS t) AS f, generate_series(1, length(t)) AS i,
		 generate_series(1, 255) AS c,
		 LATERAL (VALUES (overlay(t PLACING chr(c) FROM i FOR 1)), (overlay(t PLACING chr(c) FROM i FOR 0)),
						 (overlay(t PLACING '' FROM i FOR 1))) AS w (x)}),
	't|t|f|t|t', 'a value has one text form');
is(query(q{SELECT string_agg(envelope_is_text(form)::text, ',') FROM
	(VALUES ('pgseal:1:'), ('pgseal:1:%'), ('pgseal:2:x'), ('pgseal:10:'), ('pgseal::'), ('pgseal:1'), ('pgseal'), (' pgseal:1:'), ('')) AS v (form)}),
	'true,true,true,true,false,false,false,false,false', 'what claims to be a sealed value');

# Nonces

is(query('SELECT count(*), count(DISTINCT n) FROM nonces(1000000) AS n'),
	'1000000|1000000', 'a million nonces, no duplicate');
is(query("SELECT count(DISTINCT substr(envelope_seal($key, 1, false, 1, ''), 11, 12)) FROM generate_series(1, 10000)"),
	'10000', 'every sealed value has its own nonce');

$node->safe_psql('postgres', 'CREATE TABLE nonce (n bytea)');
query('INSERT INTO public.nonce SELECT * FROM nonces(1000)') foreach 1 .. 5;
is(query('SELECT count(*), count(DISTINCT n) FROM public.nonce'),
	'5000|5000', 'backends forked from a postmaster with a filled pool share no nonce');
is(query(q{SELECT nonces(1) IS NOT NULL;
	CREATE TEMP TABLE f AS SELECT * FROM nonces_of_fork(1000) AS n;
	INSERT INTO f SELECT * FROM nonces_of_fork(1000);
	INSERT INTO f SELECT * FROM nonces(1000);
	SELECT count(*), count(DISTINCT n) FROM f}),
	"t\n3000|3000", 'neither do processes forked off a backend');

$node->stop;
done_testing();
