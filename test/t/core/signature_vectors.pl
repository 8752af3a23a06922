# Signatures of rows, computed here from the bytes that src/signed/signing.c and
# canonical.c say they cover, with a key whose secret is known; and digests of a
# ledger (src/signed/ledger.c).

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256);
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('signature_vectors');

#
# The key: master key 00..1f, secret 20..3f, wrapped with the nonce 40..4b
#

my $id = pack('H*', '0102030405060708');
my $wrapped = '01022b0f00fb8bd437404142434445464748494a4bc2988c000219a124e5ed3d1db7493d7449f7606f830039144f7e74deab2ed3e4365bc0c2133ba0036562d2fb45c93b9a';
append_to_file($node->keyring, <<'EOT');
pgseal keyring 1
1 2026-01-31T12:00:00Z AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= 022b0f00fb8bd437
checksum 58b490b56d115cdaf660b3322598955cb942727eb66c49c6ab233cc3f3f904ac
EOT
chmod 0600, $node->keyring;
my $hash = unpack('N', sha256('golden')) & 0x7fffffff;
$node->query('postgres', <<"EOSQL");
	CREATE EXTENSION pgseal;
	INSERT INTO pgseal.key (name, name_hash, server, created) VALUES ('golden', $hash, 'local_keyring', now());
	INSERT INTO pgseal.key_version (id, key, number, purpose, server, master_key, wrapped, seals, created)
		VALUES (x'0102030405060708'::int8, 'golden', 1, 'd', 'local_keyring', 'v1:022b0f00fb8bd437', '\\x$wrapped', 0, now());
EOSQL

# RFC 5869, of 32 bytes, without salt
sub hkdf
{
	my ($material, $info) = @_;
	return hmac_sha256("$info\x01", hmac_sha256($material, "\0" x 32));
}
my $secret = join('', map { chr } 32 .. 63);
my $signer = hkdf(hkdf($secret, "pgseal key v1\0d$id"), "pgseal row v1\0");

#
# Values: as SQL, and the bytes of their canonical form in hexadecimal digits
#

sub lp { return pack('N', length $_[0]) . $_[0]; }
sub plain { return 'P' . lp(pack('H*', $_[0] =~ s/\s//gr)); }

my @columns = (
	# type, its label, value, canonical bytes
	[ 'text', 'text', q('é'), plain('c3a9') ],
	[ 'bytea', 'bytea', q('\x00ff'), plain('00ff') ],
	[ 'bool', 'boolean', 'true', plain('01') ],
	[ 'int2', 'smallint', '-2', plain('fffe') ],
	[ 'int4', 'integer', '66051', plain('00010203') ],
	[ 'int8', 'bigint', '-1', plain('ffffffffffffffff') ],
	[ 'float4', 'real', '1.5', plain('3fc00000') ],
	[ 'float8', 'double precision', q('-0'), plain('8000000000000000') ],
	# two digits of base 10000, weight 0, positive, scale 2: 1, 5000
	[ 'numeric', 'numeric', '1.50', plain('0002 0000 0000 0002 0001 1388') ],
	[ 'date', 'date', q('2000-01-02'), plain('00000001') ],
	[ 'time', 'time without time zone', q('00:00:01'), plain('00000000000f4240') ],
	[ 'timestamp', 'timestamp without time zone', q('2000-01-01 00:00:01'), plain('00000000000f4240') ],
	[ 'timestamptz', 'timestamp with time zone', q('2000-01-01 02:00:01+02'), plain('00000000000f4240') ],
	# microseconds, days, months
	[ 'interval', 'interval', q('1 mon 2 days 1 us'), plain('0000000000000001 00000002 00000001') ],
	[ 'uuid', 'uuid', q('00010203-0405-0607-0809-0a0b0c0d0e0f'), plain('000102030405060708090a0b0c0d0e0f') ],
	# family, bits, not a cidr, bytes
	[ 'inet', 'inet', q('10.1.2.3/24'), plain('02 18 00 04 0a010203') ],
	[ 'jsonb', 'jsonb', q('{"b": 1,"a": "é"}'), plain(unpack('H*', "{\"a\": \"\xc3\xa9\", \"b\": 1}")) ],
	[ 'varchar(5)', 'character varying', q('x'), plain('78') ],
	[ 'char(3)', 'character', q('x'), plain('782020') ],
	[ 'int4[]', 'integer[]', q('[0:1]={7,NULL}'), plain('00000001 00000002 00000000 50 00000004 00000007 4e') ],
	[ 'golden.pair', 'golden.pair', q[ROW(1, NULL, ARRAY['y'])],
		plain('00000003 50 00000004 00000001 4e 50 00000012 00000001 00000001 00000001 50 00000001 79') ],
	[ 'golden.short', 'golden.short', q('d'), plain('64') ],
	[ 'golden.mood', 'golden.mood', q('glad'), plain('676c6164') ],
	# inclusive lower bound; two bounds of four bytes
	[ 'int4range', 'int4range', q{'[1,3)'}, plain('02 00000004 00000001 00000004 00000003') ],
	[ 'name', 'name', q('n'), plain('6e') ],
	[ 'text', 'text', 'NULL', 'N' ]);

$node->query('postgres', 'CREATE SCHEMA golden; CREATE TYPE golden.pair AS (a int, b text, c text[]);
	CREATE DOMAIN golden.short AS varchar(5); CREATE TYPE golden.mood AS ENUM (\'sad\', \'glad\')');
$node->query('postgres', 'CREATE TABLE golden.vectors (' .
	join(', ', map { "c$_ $columns[$_][0]" } 0 .. $#columns) . ', "Sealed" encrypted_text(\'golden\'), not_signed int)');
$node->query('postgres', q{SELECT pgseal.sign_table('golden.vectors', key => 'golden', ledger => true,
	columns => (SELECT array_agg(attname::text ORDER BY attnum DESC) FROM pg_attribute
		WHERE attrelid = 'golden.vectors'::regclass AND attnum > 0 AND attname <> 'not_signed'))});
$node->query('postgres', 'INSERT INTO golden.vectors VALUES (' .
	join(', ', map { $_->[2] } @columns) . q{, 'secret', 1)});

sub type_label
{
	my ($type) = @_;
	# Those that have a keyword of SQL's have no schema in front
	return $type =~ /^(?:text|bytea|date|uuid|inet|jsonb|int4range|name)$/ ? "pg_catalog.$type" : $type;
}

sub signed_bytes
{
	my ($counter, $sealed) = @_;
	my $bytes = 'pgseal row 1' . lp('golden.vectors') . "\x01" . pack('NN', 0, $counter) . pack('n', @columns + 1) .
	  lp('Sealed') . lp('pg_catalog.encrypted_text') . 'E' . lp($sealed);

	for my $i (reverse 0 .. $#columns)
	{
		my ($type, $label, $sql, $value) = @{ $columns[$i] };
		$bytes .= lp("c$i") . lp(type_label($label)) . $value;
	}
	return $bytes;
}

sub stored
{
	my ($sealed, $signature) = split /\n/, $node->sealed('postgres', 'SELECT "Sealed" FROM golden.vectors; SELECT signature FROM golden.vectors');
	return map { decode_base64(s/^pg(?:seal|sig):1://r) } $sealed, $signature;
}

my ($sealed, $signature) = stored();
is(length($signature), 34, 'a signature has 34 bytes');
is(unpack('H*', substr($signature, 0, 18)), '01' . unpack('H*', $id) . '01' . '0000000000000001',
	'format, key version, definition, counter');
is(unpack('H*', substr($signature, 18)), unpack('H*', substr(hmac_sha256(signed_bytes(1, $sealed), $signer), 0, 16)),
	'MAC of a row with all types');

$node->query('postgres', 'UPDATE golden.vectors SET not_signed = 2');
is(join(',', map { unpack 'H*', $_ } stored()), join(',', map { unpack 'H*', $_ } $sealed, $signature),
	'a change of what is not signed keeps it');
$node->query('postgres', q{UPDATE golden.vectors SET "Sealed" = 'other'});
my ($sealed2, $signature2) = stored();
is(unpack('H*', $signature2), unpack('H*', "\x01$id\x01" . pack('NN', 0, 2) .
	substr(hmac_sha256(signed_bytes(2, $sealed2), $signer), 0, 16)), 'one of the next change');

# A row of plain columns has a signature that is known beforehand
$node->query('postgres', q{SET client_encoding = latin1; SET timezone = 'Asia/Tokyo'; SET datestyle = 'sql, dmy';
	CREATE TABLE golden.plain (id int, v text, at timestamptz);
	SELECT pgseal.sign_table('golden.plain', key => 'golden');
	INSERT INTO golden.plain VALUES (1, 'one', '2000-01-01 00:00:01+00')});
my $golden = 'pgsig:1:AQECAwQFBgcIAQAAAAAAAAAB/onsjQTbR8fPRtonJr/J1Q==';
is($node->query('postgres', 'SELECT signature FROM golden.plain'), $golden, 'the golden signature, whatever the settings');
is($node->query('postgres', qq{INSERT INTO golden.plain VALUES (1, 'one', '2000-01-01 00:00:01+00', '$golden') RETURNING id}), 1, 'it is taken as given');

#
# A digest
#

my ($ledger, $number, $lsn, $rows, $sum, $hmac) = split /\|/, $node->query('postgres',
	q{INSERT INTO golden.vectors (c4) VALUES (1);
	SELECT ledger, number, lsn - '0/0'::pg_lsn, rows, encode(hash, 'hex'), encode(hmac, 'hex') FROM pgseal.ledger_digest('golden.vectors')});
my @signatures = map { decode_base64(s/^pgsig:1://r) } split /\n/, $node->query('postgres', 'SELECT signature FROM golden.vectors');
is(join(' ', scalar(@signatures), $number, $rows), '2 1 2', 'a digest of two rows');

# Sums of 256 bits, as four numbers of 64, the highest first; 32 bits at a time
sub add
{
	my ($x, $y) = @_;
	my @x = reverse unpack('N8', $x);
	my @y = reverse unpack('N8', $y);
	my $carry = 0;
	my @sum;

	for my $i (0 .. 7)
	{
		my $limb = $x[$i] + $y[$i] + $carry;
		push @sum, $limb & 0xffffffff;
		$carry = $limb >> 32;
	}
	return pack('N8', reverse @sum);
}
my $total = "\0" x 32;
$total = add($total, hmac_sha256("pgseal ledger row 1$_", $signer)) for @signatures;
my $ledger_be = pack('q>', $ledger);
is($sum, unpack('H*', hmac_sha256("pgseal ledger hash 1$ledger_be$total", $signer)), 'its hash');
is($hmac, unpack('H*', $id . hmac_sha256('pgseal ledger digest 1' . $ledger_be . pack('q>q>q>', $number, $lsn, $rows) . pack('H*', $sum), $signer)),
	'its HMAC');

$node->stop;
done_testing();
