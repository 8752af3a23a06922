# Extremes: values as large, as long and as deep as PostgreSQL takes them, none
# and empty ones, arrays of every type in both formats of the protocol, and
# databases of other encodings than UTF-8, which exchange sealed values.

use strict;
use warnings;
use utf8;

use Encode qw(encode encode_utf8);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

# Values are carried between databases as literals
my $node = SealedNode->started('extremes', conf => 'pgseal.sealed_input = on');
$node->query('postgres', 'CREATE EXTENSION pgseal');

#
# Long numbers, deep documents, no bytes at all
#

my %extreme = (
	numeric => [ "('9' || repeat('9', 131071) || '.' || repeat('9', 16383))::numeric", "1e131071::numeric + 1", "('-1' || repeat('0', 131071))::numeric",
		"('0.' || repeat('0', 16382) || '1')::numeric", "repeat('7', 1000)::numeric" ],
	jsonb => [ "(repeat('[', 5000) || repeat(']', 5000))::jsonb", "(repeat('{\"a\":', 3000) || '1' || repeat('}', 3000))::jsonb",
		"(SELECT jsonb_object_agg(i, repeat('x', i)) FROM generate_series(1, 1000) i)", "to_jsonb(repeat('é', 1000000))",
		"(SELECT jsonb_agg(i) FROM generate_series(1, 100000) i)", "('[1e400, ' || repeat('9', 1000) || ']')::jsonb" ],
	text => [ "''", "' '", "repeat('x', 1999)", "repeat('x', 2000)", "repeat('é', 10000000)",
		"(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300000) i)" ],
	bytea => [ "''::bytea", "'\\x00'::bytea", "decode(repeat('00', 10000000), 'hex')",
		"(SELECT string_agg(sha256(i::text::bytea), '') FROM generate_series(1, 300000) i)" ]);

for my $type (sort keys %extreme)
{
	$node->query('postgres', "CREATE TABLE x_$type (id int, p $type, e encrypted_$type)");
	my $i = 0;
	for my $value (@{ $extreme{$type} })
	{
		$i++;
		$node->query('postgres', "INSERT INTO x_$type SELECT $i, v, v FROM (SELECT ($value)::$type AS v OFFSET 0) x");
	}
	$node->query('postgres', "INSERT INTO x_$type VALUES (0, NULL, NULL)");
	is( $node->query('postgres', "SELECT count(*), count(e), count(*) FILTER (WHERE e = p AND e::$type = p AND e::text = p::text),
			count(*) FILTER (WHERE blind_index(e) = blind_index(p, key => 'public.x_$type')) FROM x_$type"),
		join('|', $i + 1, $i, $i, $i), "$type: extremes come back as they were");
	is($node->query('postgres', "SELECT string_agg(id::text, ',' ORDER BY e, id) FROM x_$type"),
		$node->query('postgres', "SELECT string_agg(id::text, ',' ORDER BY p, id) FROM x_$type"), "$type: and sort as they do");
	# Through the text and the binary form
	my $file = $node->basedir . "/$type";
	for my $format ('text', 'binary')
	{
		is($node->query('postgres', "COPY x_$type (id, e) TO '$file' (FORMAT $format); CREATE TABLE y (id int, e encrypted_$type('public.x_$type'));
				COPY y FROM '$file' (FORMAT $format); SELECT count(*) FROM x_$type x JOIN y USING (id) WHERE x.p = y.e; DROP TABLE y"), $i, "$type: by COPY, $format");
	}
}
is($node->query('postgres', "SELECT e IS NULL, e = '', length(e), length(blind_index(e)) FROM x_text WHERE id < 2 ORDER BY id"), "t|||\nf|t|0|16",
	'neither NULL nor empty text is taken for the other');
$node->fails_like('postgres', "INSERT INTO x_numeric (e) VALUES (repeat('9', 131073)::numeric)", qr/22003: value overflows numeric format/, 'too long a number');
$node->fails_like('postgres', "SELECT repeat('9', 131073)::encrypted_text::encrypted_numeric", qr/22003: (invalid input|value overflows)/, 'as text, too');
$node->fails_like('postgres', "SELECT (repeat('[', 100000))::encrypted_text::text::encrypted_jsonb", qr/54001: stack depth limit exceeded|22P02/, 'too deep a document');

#
# 1 GB is PostgreSQL's limit for a value, and so for a sealed one
#

my ($available) = slurp_file('/proc/meminfo') =~ /^MemAvailable:\s+(\d+) kB/m;
if ($available > 6_000_000)
{
	my $largest = 0x3fffffff - 4 - 38;
	is($node->query('postgres', "SELECT octet_length(decode(repeat('ab', 400000000), 'hex')::encrypted_bytea::bytea)"), 400000000, 'a value of 400 MB');
	is($node->query('postgres', "SELECT octet_length(repeat('x', $largest)::encrypted_text::text)"), $largest, 'the largest value');
	$node->fails_like('postgres', "SELECT octet_length(repeat('x', $largest + 1)::encrypted_text::text)",
		qr/54000: value is too large to be sealed/, 'one byte more');
	$node->fails_like('postgres', "COPY (SELECT pgseal.seal(repeat('x', 900000000), 'public.x_text')) TO '/dev/null'",
		qr/54000: sealed value is too large for its text form/, 'a text form over 1 GB');
	is($node->query('postgres', 'SELECT 1'), 1, 'the server is well');
}
else
{
	note('not enough memory to try values of 1 GB');
}

#
# Arrays of every type
#

my %sample = (
	text => ['a', 'a b', '{"x,y"}', ''], bytea => ['\\x00', '\\xff', ''], bool => ['t', 'f'], int2 => [ -1, 2 ], int4 => [ -1, 2 ], int8 => [ -1, 2 ],
	float4 => [ '1.5', 'NaN' ], float8 => [ '-0', 'Infinity' ], numeric => [ '1.50', 'NaN' ], date => [ '2000-01-01', 'infinity' ], time => [ '24:00', '12:00' ],
	timestamp => [ '2000-01-01 12:00', '-infinity' ], timestamptz => [ '2000-01-01 12:00+00', 'infinity' ], interval => [ '1 mon', '-1 day' ],
	uuid => [ 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ], inet => [ '10.0.0.0/8', '::1' ], jsonb => [ '{"a": [1.0]}', 'null' ]);

for my $type (sort keys %sample)
{
	my $quoted = join(', ', map { "'" . s/'/''/gr . "'" } @{ $sample{$type} });
	my $file = $node->basedir . "/array_$type";

	is( $node->query('postgres', <<SQL), 't|t|t|t|t', "arrays of encrypted_$type");
CREATE TABLE a_$type (id int, p $type\[], e encrypted_$type\[], m encrypted_$type\[]);
INSERT INTO a_$type VALUES (1, ARRAY[$quoted, NULL]::$type\[], ARRAY[$quoted, NULL]::$type\[], ARRAY[ARRAY[$quoted], ARRAY[$quoted]]::$type\[]), (2, '{}', '{}', '{}'), (3, NULL, NULL, NULL);
COPY a_$type TO '$file'; TRUNCATE a_$type; COPY a_$type FROM '$file';
COPY a_$type TO '$file' (FORMAT binary); TRUNCATE a_$type; COPY a_$type FROM '$file' (FORMAT binary);
SELECT bool_and(p IS NOT DISTINCT FROM e::$type\[]), bool_and(p::text IS NOT DISTINCT FROM e::$type\[]::text),
	bool_and(p[1]::text IS NOT DISTINCT FROM e[1]::text), bool_and(m[2][1]::text IS NOT DISTINCT FROM p[1]::text),
	(SELECT string_agg(x::$type\::text, ',') FROM (SELECT unnest(e) FROM a_$type) y (x)) = (SELECT string_agg(x::text, ',') FROM (SELECT unnest(p) FROM a_$type) y (x))
FROM a_$type;
SQL
	is($node->query('postgres', "SELECT e FROM a_$type ORDER BY id"), $node->query('postgres', "SELECT p FROM a_$type ORDER BY id"), "arrays of encrypted_$type: opened results");
}
is($node->query('postgres', "SELECT to_json(e)::text = to_json(p)::text, to_jsonb(e) = to_jsonb(p), json_build_object('e', e)::text = json_build_object('e', p)::text,
		row_to_json(ROW(e))::text = row_to_json(ROW(p))::text FROM a_jsonb WHERE id = 1"), 't|t|t|t', 'JSON of arrays');

#
# Encodings.  Inside, text is UTF-8, whatever the database's.
#

my %word = (LATIN1 => 'Zürich ½', EUC_JP => '日本 暗号', SQL_ASCII => 'plain', UTF8 => 'Žižkov ☃');
my %client = (LATIN1 => 'iso-8859-1', EUC_JP => 'euc-jp', SQL_ASCII => 'ascii', UTF8 => 'utf8');

for my $encoding (sort keys %word)
{
	my $db = 'in_' . lc $encoding;
	my $word = $word{$encoding};
	my $literal = "convert_from('\\x" . unpack('H*', encode_utf8($word)) . "', 'UTF8')";
	my $bytes = unpack('H*', encode($client{$encoding}, $word));

	$literal = "'$word'" if $encoding eq 'SQL_ASCII';
	$node->query('postgres', "CREATE DATABASE $db TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	$node->query($db, <<SQL);
CREATE EXTENSION pgseal;
CREATE TABLE t (id int, v encrypted_text, j encrypted_jsonb, plain text);
INSERT INTO t SELECT 1, w, jsonb_build_object(w, w), w FROM (SELECT $literal AS w) x;
DO \$\$BEGIN EXECUTE format('INSERT INTO t VALUES (2, %L, %L, %L)', $literal, jsonb_build_object($literal, $literal), $literal); END\$\$;
CREATE INDEX ON t (blind_index(v));
CREATE INDEX ON t USING hash (v);
SQL
	is($node->query($db, "SELECT encode(convert_to(v, '$encoding'), 'hex'), v = plain, j = jsonb_build_object(plain, plain), length(v) = length(plain), upper(v) = upper(plain) FROM t"),
		join("\n", ("$bytes|t|t|t|t") x 2), "$encoding: opened text is in the database's encoding");
	is($node->query($db, "SELECT count(*) FROM t WHERE v = $literal"), 2, "$encoding: is found");
	is($node->query($db, "SET enable_seqscan = off; SELECT count(*) FROM t WHERE v = $literal"), 2, "$encoding: is found by an index");
	is($node->query($db, "SELECT count(DISTINCT v), count(DISTINCT j) FROM t"), '1|1', "$encoding: is the same by literal and by value");
	is($node->query($db, "SELECT octet_length(pgseal_internal.encrypted_text_send(v)) - 38 FROM t WHERE id = 1"), length(encode_utf8($word)), "$encoding: is sealed as UTF-8");
	is($node->query($db, "SELECT encode(substr(blind_index(v), 1, 1), 'hex') FROM t WHERE id = 1"), '01', "$encoding: has a token");
}

# Values travel between them; tokens and hashes are of what is inside
$node->copy_keys($node, 'in_latin1', 'in_utf8');
$node->query('in_utf8', "SET pgseal.transparent = off; INSERT INTO t (id, v, j) VALUES (10, '" . $node->sealed('in_latin1', 'SELECT v FROM t WHERE id = 1') . "', '"
	  . $node->sealed('in_latin1', 'SELECT j FROM t WHERE id = 1') . "')");
is($node->query('in_utf8', "SELECT encode(convert_to(v, 'UTF8'), 'hex'), j ->> v FROM t WHERE id = 10"),
	encode_utf8(unpack('H*', encode_utf8($word{LATIN1})) . '|' . $word{LATIN1}), 'from LATIN1 to UTF8');
$node->copy_keys($node, 'in_utf8', 'in_latin1');
my ($snowman, $document) = map { $node->sealed('in_utf8', "SELECT $_ FROM t WHERE id = 1") } ('v', 'j');
$node->query($_, "CREATE TABLE foreign_words (v encrypted_text('public.t'), j encrypted_jsonb('public.t'));
	INSERT INTO foreign_words VALUES ('$snowman', '$document')") for ('in_latin1', 'in_euc_jp');
is($node->sealed('in_euc_jp', 'SELECT v FROM foreign_words'), $snowman, 'in_euc_jp stores what it cannot write');
# Here the worker may have renewed it, or retired its version before
is($node->query('in_latin1', 'SELECT (pgseal.inspect(v)).key FROM foreign_words'), 'public.t', 'in_latin1 does, too');
for my $column ('v', 'j')
{
	$node->fails_like('in_latin1', "SELECT $column FROM foreign_words", qr/22P05: sealed value has a character that encoding "LATIN1" lacks/,
		"but does not open it, $column");
}
# Nor does a newer key version need to write it, of what is stored and of what comes
$node->query('in_latin1', "ALTER SYSTEM SET pgseal.worker_interval = 1");
$node->reload;
$node->query('in_latin1', "SELECT pgseal.rotate_key('public.t')");
$node->poll_query_until('in_latin1', "SELECT bool_and(retired IS NOT NULL) FROM pgseal.key_versions WHERE key = 'public.t' AND purpose = 'data' AND version = 1")
  or die 'not re-encrypted';
$node->query('in_latin1', "INSERT INTO foreign_words VALUES ('$snowman', '$document')");
is($node->query('in_latin1', 'SELECT count(*) FROM foreign_words WHERE (pgseal.inspect(v)).current AND (pgseal.inspect(j)).current'), 2, 'but renews it');
# An index needs the value
$node->fails_like('in_latin1', "INSERT INTO t (id, v) VALUES (11, '$snowman')", qr/22P05: /, 'nor makes a token of it');
is($node->query('in_latin1', 'SELECT count(*) FROM t WHERE v = plain'), 2, 'what else there is, is well');

# A database without an encoding holds what is UTF-8, and refuses what isn't
is($node->query('in_sql_ascii', "INSERT INTO t (id, v) VALUES (12, E'\\303\\251'); SELECT octet_length(v), v = E'\\303\\251' FROM t WHERE id = 12"), '2|t', 'SQL_ASCII: UTF-8');
$node->fails_like('in_sql_ascii', "INSERT INTO t (id, v) VALUES (13, E'\\351')", qr/22021: invalid byte sequence for encoding "UTF8": 0xe9/, 'SQL_ASCII: no UTF-8');

# A client of another encoding than its database's
is($node->query('in_utf8', "SET client_encoding = 'LATIN1'; INSERT INTO t (id, v) VALUES (14, E'\\u00e9'); SELECT v = U&'\\00e9', octet_length(v) FROM t WHERE id = 14"), 't|2', 'a LATIN1 client');

$node->stop;
done_testing();
