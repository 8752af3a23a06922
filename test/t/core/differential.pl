# Plain against encrypted: over random values of every type, all that SQL can ask
# must get the same answer from both.
#
# For each type (and for text, each kind of collation) the same rows lie in
# plain.t and in sealed.t.  v went in through the input function, o through the
# cast and under another key; c is the rank of v, computed on the plain table, so
# that results can name values without showing one of several equal forms.
#
# - Expressions (rowwise) are computed over both tables, joined by id.
# - Queries are run with one schema and then with the other in the search_path,
#   on the encrypted side under several plans: default, sorts and merge joins, hash
#   tables in batches by parallel workers, nested loops over a blind index and
#   over a hash index.
#
#   PGSEAL_SEED    repeats a run (the seed is printed)
#   PGSEAL_VALUES  rows a type (10000)
#   PGSEAL_TYPES   only these types

use strict;
use warnings;
use utf8;

use BaseTypes qw(base_types);
use DifferentialValues qw(rows literal);
use Encode qw(encode_utf8);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $seed = $ENV{PGSEAL_SEED} // int(rand(1_000_000_000));
my $count = $ENV{PGSEAL_VALUES} // 10000;
my @types = $ENV{PGSEAL_TYPES} ? split(' ', $ENV{PGSEAL_TYPES}) : base_types();
srand($seed);
diag("PGSEAL_SEED=$seed");

# Text is compared under each of these
my %collations = (
	text => {
		'default collation' => '',
		'C' => 'COLLATE "C"',
		'en-US' => 'COLLATE "en-US-x-icu"',
		'nondeterministic' => 'COLLATE public.ignore_case' });

# Few rows of one side are enough for a join, or it gets too large for bool
my $FEW = 'a.id <= 60';

#
# Expressions of a row: X stands for v, Y for o.  The general ones for all types,
# then those of one.
#

my @general = ('X = Y', 'X <> Y', 'X < Y', 'X <= Y', 'X > Y', 'X >= Y', 'X = Y::T', 'X <> Y::T', 'X < Y::T', 'X <= Y::T', 'X > Y::T',
	'X >= Y::T', 'X::T = Y', 'X::T <> Y', 'X::T < Y', 'X::T <= Y', 'X::T > Y', 'X::T >= Y', 'NOT (X = Y)', 'X IS NULL',
	'X IS DISTINCT FROM Y', 'X IS NOT DISTINCT FROM Y', 'X BETWEEN Y AND Y', 'X NOT BETWEEN SYMMETRIC Y AND X',
	'X IN (X, Y)', 'X NOT IN (Y, Y)', 'X = ANY (ARRAY[Y, Y])', 'X <> ALL (ARRAY[Y::T, X::T])', 'X < ANY (ARRAY[X, Y])',
	'coalesce(X, Y)::T::text', 'nullif(X, Y)::T::text', 'greatest(X, Y) = X', 'least(X, Y) = Y', 'CASE X WHEN Y THEN 1 ELSE 2 END',
	'(X, Y) = (Y, X)', '(X, Y) < (Y, X)', 'ROW(X, Y) IS NULL', 'ROW(X, 1) IS DISTINCT FROM ROW(Y, 1)',
	'X::text', 'X::T::text', 'X::varchar', 'to_json(X)::text', 'to_jsonb(X)', 'json_build_array(X, Y)::text', 'ARRAY[X, Y]::T[]',
	'ARRAY[X] = ARRAY[Y]', 'num_nulls(X, Y)', q(format('%s', X)), q(concat(X::T, '-')));

my $number = [ '-X', 'abs(X)', 'X > 0', 'X = 0', 'X < 1.5', '0 <= X' ];
my $integer = [ @$number, 'X % 7', 'X / 3', 'X & 12', 'X | 1', '~X', 'X::numeric', 'X::float8', 'X = Y::numeric', 'X < Y::int8', 'X::int8 >= Y' ];
my $real = [ @$number, 'X + 0', 'sign(X)', 'X = Y::float8', 'X < Y::float8', 'X::float8', 'sign(X) * 2', 'X > Y::float8', 'cbrt(X)' ];
my $clock = [ 'extract(epoch FROM X)', 'extract(year FROM X)', q(date_trunc('month', X)), 'isfinite(X)', 'X > now()' ];
my %rowwise = (
	text => [ "X LIKE 'a%'", "X LIKE '%\x{301}%'", "X NOT LIKE '_'", "X ILIKE '%A%'", "X ~ '^[a-c]'", "X ~* 'Á'", "X !~ '[0-9] \$'", "X SIMILAR TO '(a|b)%'",
		'lower(X)', 'upper(X)', 'initcap(X)', 'length(X)', 'octet_length(X)', 'bit_length(X)', 'substr(X, 2, 2)', 'left(X, 3)', 'right(X, 2)', 'reverse(X)',
		q(X || '-' || Y), q(X || 1), 'btrim(X)', "X = ''", "X = 'a '", "'a' = X", 'X::varchar(5)', 'X::char(4)', 'X::bpchar', "X = 'a'::char(3)",
		"X = 'a'::varchar", 'X::name', 'md5(X)', 'strpos(X, Y)', "split_part(X, 'a', 1)", 'X ^@ Y', 'starts_with(X, Y)', 'ascii(X)', 'quote_literal(X)',
		"regexp_replace(X, '[a-z]', '', 'g')", "string_to_array(X, 'a')", "translate(X, 'abc', 'xyz')", "to_tsvector('simple', X)", 'convert_to(X, \'UTF8\')',
		'X COLLATE "C" < Y', 'X < Y COLLATE "C"', 'X COLLATE "en-US-x-icu" <= Y', 'normalize(X)', "overlay(X PLACING 'q' FROM 1 FOR 1)" ],
	bytea => [ 'length(X)', 'X || Y', 'substr(X, 2)', q(encode(X, 'base64')), q(position('\\x00'::bytea IN X)), q(btrim(X, '\\x00'::bytea)), 'md5(X)', 'sha256(X)', "X = ''",
		"X LIKE '\\x00%'::bytea" ],
	bool => [ 'NOT X', 'X AND Y', 'X OR Y', 'X IS TRUE', 'X IS NOT TRUE', 'X IS UNKNOWN', 'X::int', 'CASE WHEN X THEN 1 ELSE 0 END' ],
	int2 => $integer,
	int4 => $integer,
	int8 => $integer,
	float4 => $real,
	float8 => $real,
	numeric => [ @$number, 'X + Y', 'X - 1', 'X * 2', 'round(X, 1)', 'trunc(X)', 'ceil(X)', 'scale(X)', 'trim_scale(X)', 'sign(X)', 'X * 1.10',
		'X < Y + 0.01', 'X::text', 'min_scale(X)', 'X > 5::int4', 'X = Y * 1.0', 'width_bucket(X, 0, 10, 5)' ],
	date => [ 'extract(year FROM X)', 'isfinite(X)', 'X = Y::date', 'X < Y::timestamp', 'X::timestamp', "to_char(X, 'YYYY-MM-DD BC J')", 'X > current_date' ],
	time => [ 'extract(epoch FROM X)', q(X + interval '1 hour'), 'X - Y', q(date_trunc('hour', X)), 'X::interval', "X::time(0)" ],
	timestamp => [ @$clock, 'X::date', 'X::time', "to_char(X, 'YYYY BC MM DD HH24:MI:SS.US')", 'X = Y::timestamp', 'X < Y::date', 'age(X)' ],
	timestamptz => [ @$clock, 'X::date', 'X::timestamp', q(X AT TIME ZONE 'Asia/Kolkata'), "to_char(X, 'YYYY BC MM DD HH24:MI:SS.US TZ')", 'X < Y::date', 'X::timetz' ],
	interval => [ 'extract(epoch FROM X)', '-X', 'justify_hours(X)', 'X > Y::interval', 'X::text', 'X * 0.5', "to_char(X, 'YYYY MM DD HH24:MI:SS')", 'X::time' ],
	uuid => [ 'X::text LIKE \'0%\'', q(X = '00000000-0000-0000-0000-000000000000') ],
	inet => [ 'host(X)', 'masklen(X)', 'netmask(X)', 'network(X)', 'broadcast(X)', 'family(X)', 'X << Y', 'X <<= Y', 'X >> Y', 'X && Y', 'abbrev(X)', 'text(X)',
		'set_masklen(X, 8)', 'X::cidr', 'inet_same_family(X, Y)', "X << '10.0.0.0/9'" ],
	jsonb => [ q(X -> 'a'), q(X ->> 'a'), 'X -> 0', 'X @> Y', 'X <@ Y', q(X ? 'a'), q(X #> '{list,1}'), q(X ->> 'long key'), 'jsonb_typeof(X)', 'X::text', 'X::json::text',
		q(X || '{"z":1}'), q(X - 'a'), 'jsonb_strip_nulls(X)', q(X @? '$.list[*] ? (@ == 1)'), "jsonb_path_exists(X, '\$.a')", 'X = Y::text::jsonb', 'jsonb_pretty(X)' ]);

# What text is made of the values, under each of these settings
my %settings = (
	date => [ "datestyle = 'German'", "datestyle = 'SQL, DMY'" ],
	timestamp => [ "datestyle = 'Postgres, MDY'" ],
	timestamptz => [ "timezone = 'Asia/Kathmandu'", "timezone = 'America/New_York'", "timezone = 'Europe/Dublin'", "datestyle = 'SQL, DMY'" ],
	interval => [ "intervalstyle = 'iso_8601'", "intervalstyle = 'sql_standard'", "intervalstyle = 'postgres_verbose'" ],
	bytea => ["bytea_output = 'escape'"],
	float4 => [ 'extra_float_digits = 0', 'extra_float_digits = -3' ],
	float8 => [ 'extra_float_digits = 0', 'extra_float_digits = -15' ]);

#
# Queries.  T is the base type, FEW the restriction of the table called a.
#

my $ranks = '(SELECT v, min(c) AS c FROM t GROUP BY v) ranks USING (v)';
my %queries = (
	'sets and order' => [
		'SELECT min(c), max(c), count(*), count(o) FROM t GROUP BY v ORDER BY 1',
		'SELECT min(c), count(*) FROM t GROUP BY v HAVING count(*) > 3 ORDER BY 1',
		'SELECT min(c), id % 3, count(*) FROM t GROUP BY v, id % 3 ORDER BY 1, 2',
		'SELECT min(c), id % 3, count(*) FROM t GROUP BY GROUPING SETS ((v), (id % 3), ()) ORDER BY 1, 2, 3',
		'SELECT count(*) FROM (SELECT DISTINCT v FROM t) x',
		'SELECT count(*) FROM (SELECT DISTINCT v, o FROM t) x',
		'SELECT DISTINCT ON (v) c, id FROM t ORDER BY v, id',
		'SELECT DISTINCT ON (v, id % 2) c, id FROM t ORDER BY v DESC NULLS LAST, id % 2, id',
		'SELECT count(DISTINCT v), count(v), count(DISTINCT o) FROM t',
		'SELECT id % 7, count(DISTINCT v) FROM t GROUP BY 1 ORDER BY 1',
		(map { "SELECT ranks.c FROM (SELECT v FROM t WHERE id % 2 = 0 $_ SELECT o FROM t WHERE id % 3 = 0) x JOIN $ranks ORDER BY 1" }
			  ('UNION', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL')),
		'SELECT count(*) FROM (SELECT v FROM t UNION SELECT o FROM t) x',
		'SELECT id FROM t ORDER BY v, id',
		'SELECT id FROM t ORDER BY v DESC, id',
		'SELECT id FROM t ORDER BY v NULLS FIRST, id DESC',
		'SELECT id FROM t ORDER BY v DESC NULLS LAST, id',
		'SELECT id FROM t ORDER BY o, v DESC, id',
		'SELECT id FROM t ORDER BY id % 10, v, id',
		'SELECT c FROM t ORDER BY v LIMIT 50 OFFSET 20',
		'SELECT id FROM t ORDER BY v DESC NULLS LAST, id LIMIT 300',
		'SELECT id FROM (SELECT id FROM t ORDER BY v FETCH FIRST 30 ROWS WITH TIES) x ORDER BY id',
		"SELECT ranks.c FROM (SELECT min(v) AS v FROM t UNION ALL SELECT max(v) FROM t) x JOIN $ranks ORDER BY 1",
		"SELECT g, ranks.c FROM (SELECT id % 50 AS g, max(v) AS v FROM t GROUP BY 1) x JOIN $ranks ORDER BY 1",
		"SELECT ranks.c FROM (SELECT percentile_disc(f) WITHIN GROUP (ORDER BY v) AS v FROM t, (VALUES (0.0), (0.3), (1.0)) y (f) GROUP BY f) x JOIN $ranks ORDER BY 1",
		'SELECT id, rank() OVER w, dense_rank() OVER w, cume_dist() OVER w, count(*) OVER w FROM t WINDOW w AS (ORDER BY v) ORDER BY id',
		'SELECT id, lag(c) OVER (ORDER BY v, id), first_value(c) OVER (ORDER BY v DESC, id), ntile(7) OVER (ORDER BY v, id) FROM t ORDER BY id',
		'SELECT id, row_number() OVER (PARTITION BY v ORDER BY id), sum(c) OVER (PARTITION BY v) FROM t ORDER BY id',
		'SELECT id, lag(v) OVER (ORDER BY id) = v, lead(v, 1, o) OVER (ORDER BY id) < v FROM t ORDER BY id',
		'SELECT string_agg(v::text, \',\' ORDER BY v, id) FROM t',
		'SELECT array_agg(v ORDER BY id)::T[]::text FROM t WHERE id <= 2000',
		'SELECT json_agg(v ORDER BY id)::text FROM t WHERE id <= 2000',
		'SELECT string_agg(id::text, \',\' ORDER BY v, id) FROM t GROUP BY id % 5 ORDER BY min(id)' ],
	'joins' => [
		'SELECT count(*), sum(a.id::bigint * b.id) FROM t a JOIN t b ON a.v = b.v WHERE FEW',
		'SELECT count(*), sum(a.id::bigint * b.id) FROM t a JOIN t b ON a.v = b.o WHERE FEW',
		'SELECT count(*), sum(a.id::bigint * b.id) FROM t a JOIN plain.t b ON a.v = b.v WHERE FEW',
		'SELECT count(*), sum(a.id::bigint * b.id) FROM plain.t a JOIN t b ON a.o = b.v WHERE FEW',
		'SELECT count(*), sum(a.id::bigint * b.id) FROM t a JOIN t b USING (v, o) WHERE FEW',
		'SELECT count(*), count(a.id), count(b.id) FROM (SELECT * FROM t a WHERE FEW) a LEFT JOIN t b ON a.o = b.v',
		'SELECT count(*), count(a.id), count(b.id) FROM (SELECT * FROM t a WHERE FEW) a FULL JOIN t b ON a.v = b.v',
		'SELECT id FROM t a WHERE FEW AND EXISTS (SELECT FROM t b WHERE b.v = a.o AND b.id > 60) ORDER BY 1',
		'SELECT id FROM t a WHERE FEW AND NOT EXISTS (SELECT FROM t b WHERE b.v = a.o AND b.id > 60) ORDER BY 1',
		'SELECT count(*), sum(id) FROM t WHERE v IN (SELECT o FROM t a WHERE FEW)',
		'SELECT count(*), sum(id) FROM t WHERE v IN (SELECT o FROM plain.t a WHERE FEW)',
		'SELECT count(*), sum(id) FROM t WHERE v NOT IN (SELECT o FROM t a WHERE FEW AND o IS NOT NULL)',
		'SELECT count(*), sum(id) FROM t WHERE v NOT IN (SELECT o FROM plain.t a WHERE FEW AND o IS NOT NULL)',
		'SELECT count(*) FROM t WHERE v NOT IN (SELECT o FROM t a WHERE FEW)',
		'SELECT count(*), sum(id) FROM t WHERE v = ANY (ARRAY(SELECT o FROM t a WHERE FEW))',
		'SELECT count(*), sum(id) FROM t WHERE v = (SELECT o FROM t WHERE o IS NOT NULL ORDER BY id LIMIT 1)',
		'SELECT a.id, l.n FROM t a, LATERAL (SELECT count(*) AS n FROM t b WHERE b.v = a.o) l WHERE FEW AND a.id % 3 = 0 ORDER BY 1' ],
	'inequalities' => [
		'SELECT a.id, count(*) FILTER (WHERE a.v < b.v), count(*) FILTER (WHERE a.v <= b.v), count(*) FILTER (WHERE a.v > b.o), count(*) FILTER (WHERE a.v <> b.v) '
		  . 'FROM t a, t b WHERE a.id IN (1, 2, 3) GROUP BY 1 ORDER BY 1',
		'SELECT count(*), sum(id) FROM t WHERE v BETWEEN (SELECT min(o) FROM t WHERE id % 900 = 0) AND (SELECT max(o) FROM t WHERE id % 900 = 0)' ]);

# Sums and the like, where the type has them; floats in the order of ids
my %aggregates = (
	(map { $_ => [ 'SELECT sum(v), avg(v), bit_and(v), bit_or(v), variance(v), stddev_pop(v), sum(DISTINCT v) FROM t' ] } qw(int2 int4 int8)),
	(map { $_ => ["SELECT sum(v ORDER BY id), avg(v ORDER BY id), max(v), min(v), corr(v, o) IS NULL FROM (SELECT * FROM t WHERE v BETWEEN -1e6 AND 1e6 AND o BETWEEN -1e6 AND 1e6 ORDER BY id) x"] }
		  qw(float4 float8)),
	numeric => [ "SELECT sum(v), avg(v), max(v) = min(v) FROM t WHERE v < 'Infinity' AND v > '-Infinity'", 'SELECT sum(v), avg(v) FROM t', 'SELECT trim_scale(sum(DISTINCT v)) FROM t WHERE v BETWEEN -50 AND 50' ],
	interval => ["SELECT sum(v), avg(v) FROM t WHERE v BETWEEN '-1000 days' AND '1000 days'"],
	time => ['SELECT min(v), max(v), sum(v) FROM t'],
	bool => ['SELECT bool_and(v), bool_or(v), every(o) FROM t'],
	text => [ 'SELECT string_agg(v, o ORDER BY id) FROM t', "SELECT count(*) FROM t WHERE v LIKE 'a%' OR v ~ 'b'" ],
	bytea => ['SELECT md5(string_agg(v, o ORDER BY id)) FROM t'],
	jsonb => ['SELECT jsonb_agg(v ORDER BY id)::text FROM t WHERE id < 500']);

# What the planner must find an index for, with the values of some rows as
# literals: L and M (of v and o of a row)
my @lookups = (
	'SELECT count(*), sum(id) FROM t WHERE v = L',
	'SELECT count(*), sum(id) FROM t WHERE M = v',
	'SELECT count(*), sum(id) FROM t WHERE v = L::T',
	'SELECT count(*), sum(id) FROM t WHERE v IN (L, M)',
	'SELECT count(*), sum(id) FROM t WHERE v = ANY (ARRAY[L, M]::T[])',
	'SELECT count(*), sum(id) FROM t WHERE v = L OR v = M',
	'EXECUTE one_unknown(L)',
	'EXECUTE one(L)',
	'EXECUTE some(ARRAY[L, M]::T[])',
	'SELECT lookup(L)');
# The same with values of related types, R
my %related = (
	int2 => [ 'int4', 'int8', 'numeric' ], int4 => [ 'int2', 'int8', 'numeric', 'float8' ], int8 => [ 'int2', 'int4', 'numeric' ],
	float4 => [ 'float8', 'int4' ], float8 => [ 'float4', 'int8', 'numeric' ], numeric => [ 'int2', 'int4', 'int8', 'float8' ],
	date => [ 'timestamp', 'timestamptz' ], timestamp => [ 'date', 'timestamptz' ], timestamptz => [ 'date', 'timestamp' ],
	text => [ 'varchar', 'bpchar', 'name' ], inet => ['cidr']);
my @lookups_related = ('SELECT count(*), sum(id) FROM t WHERE v = L::R', 'SELECT count(*), sum(id) FROM t WHERE v = ANY (ARRAY[L, M]::R[])',
	'SELECT count(*), sum(id) FROM t WHERE L::R = v OR v IN (M::R, L::R)');
my @comparisons = (
	'SELECT count(*) FILTER (WHERE v <> L), count(*) FILTER (WHERE v < L), count(*) FILTER (WHERE v <= M), count(*) FILTER (WHERE v > L), count(*) FILTER (WHERE M >= v) FROM t',
	'SELECT count(*), sum(id) FROM t WHERE v NOT IN (L, M)',
	'SELECT count(*), sum(id) FROM t WHERE v BETWEEN SYMMETRIC L AND M',
	'SELECT count(*), sum(id) FROM t WHERE v IS NOT DISTINCT FROM L OR v IS DISTINCT FROM M',
	'SELECT count(*) FROM t WHERE (v IN (L, NULL)) IS NULL',
	'SELECT rank(L::T) WITHIN GROUP (ORDER BY v::T) FROM t');

#
# The server
#

my $node = SealedNode->started('differential', conf => q{
timezone = 'Europe/Zurich'
jit = off
autovacuum = off
max_parallel_workers_per_gather = 0
pgseal.worker_interval = '1 h'
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('other');
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SQL

my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $nested = 'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off';
my %plans = (
	'by default' => '',
	'sorted' => "SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_nestloop = off; SET work_mem = '64kB'",
	'in batches, parallel' => "SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET enable_mergejoin = off; SET $parallel = on; SET parallel_setup_cost = 0; "
	  . 'SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2');

# Runs statements in a session; their output, and an error as its SQLSTATE
sub answers
{
	my ($schema, $setup, @statements) = @_;
	my $script = "\\set VERBOSITY sqlstate\nSET client_min_messages = error; SET search_path = $schema, public; $setup;\n";

	$script .= "$_;\n\\echo \@end :SQLSTATE\n" for @statements;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \encode_utf8($script), '>', \$stdout, '2>', \$stderr);
	my @answers = split /\@end (\w{5})\n/, $stdout;
	die "psql: $stderr" unless @answers == 2 * @statements;
	return map { $answers[ 2 * $_ + 1 ] eq '00000' ? $answers[ 2 * $_ ] : $answers[ 2 * $_ + 1 ] } 0 .. $#statements;
}

# The rows of an answer as a checksum
sub digest
{
	my ($query) = @_;
	return $query =~ /^SELECT/ ? "SELECT count(*), md5(string_agg(answer::text, E'\\n')) FROM ($query) answer" : $query;
}

# Rows end in a line feed
sub is_error { return $_[0] =~ /^[0-9A-Z]{5}\z/ }

# The first lines that differ
sub difference
{
	my ($query, $setup) = @_;
	my ($plain) = answers('plain', '', $query);
	my ($sealed) = answers('sealed', $setup, $query);
	my @plain = split /\n/, $plain;
	my @sealed = split /\n/, $sealed;

	for my $i (0 .. ($#plain > $#sealed ? $#plain : $#sealed))
	{
		my ($p, $s) = map { defined $_ ? substr($_, 0, 200) : '(nothing)' } ($plain[$i], $sealed[$i]);
		return "row $i: plain $p, encrypted $s" if ($plain[$i] // '') ne ($sealed[$i] // '');
	}
	return 'only the digest differs';
}

# Asks both.  What the plain column refuses is no question.
my %asked;

sub same_answers
{
	my ($name, $setup, $plain, @queries) = @_;
	my @sealed = answers('sealed', $setup, map { digest($_) } @queries);
	my @differ = grep { !is_error($plain->[$_]) && $plain->[$_] ne $sealed[$_] } 0 .. $#queries;

	$asked{$name =~ s/:.*//r} += grep { !is_error($_) } @$plain;
	ok(!@differ, $name);
	for my $i (@differ)
	{
		last if $i > $differ[0] && $differ[2] && $i > $differ[2];
		my $why = is_error($sealed[$i]) ? "error $sealed[$i]" : difference($queries[$i], $setup);
		diag(encode_utf8(substr($queries[$i], 0, 400)), "\n  $why");
	}
	diag(scalar(@differ), ' queries differ') if @differ > 3;
	return;
}

sub load
{
	my ($type, $collation, $rows) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir_short() . "/$type";
	my $id = 0;

	append_to_file($file, join('', map { $id++; encode_utf8(join("\t", $id, map { literal($_) } @$_) . "\n") } @$rows));
	$node->safe_psql('postgres', <<SQL);
SET client_min_messages = error;
DROP SCHEMA IF EXISTS plain, sealed CASCADE;
CREATE SCHEMA plain;
CREATE SCHEMA sealed;
CREATE TABLE plain.loaded (id int, v $type $collation, o $type $collation);
CREATE TABLE sealed.loaded (id int, v encrypted_$type('input') $collation, o encrypted_$type('input') $collation);
\\copy plain.loaded FROM '$file'
\\copy sealed.loaded FROM '$file'
CREATE TABLE plain.t AS SELECT id, v, o, dense_rank() OVER (ORDER BY v) AS c FROM plain.loaded ORDER BY id;
CREATE TABLE sealed.t (id int, v encrypted_$type $collation, o encrypted_$type('other') $collation, c bigint);
INSERT INTO sealed.t SELECT id, sealed.v, plain.o, plain.c FROM sealed.loaded sealed JOIN plain.t plain USING (id) ORDER BY id;
ANALYZE plain.t, sealed.t;
SQL
	return;
}

sub compare
{
	my ($name, $type, $collation, $rows) = @_;

	load($type, $collation, $rows);

	# Rows
	my $deterministic = $collation !~ /ignore_case/;
	my @expressions = (@general, $deterministic ? @{ $rowwise{$type} } : ());
	my @rowwise = map {
		my $plain = s/\bX\b/p.v/gr =~ s/\bY\b/p.o/gr =~ s/\bT\b/$type/gr;
		my $sealed = s/\bX\b/e.v/gr =~ s/\bY\b/e.o/gr =~ s/\bT\b/$type/gr;
		[ $plain, "SELECT count(*), min(p.id), min(ROW(p.v, p.o)::text) FROM plain.t p JOIN sealed.t e USING (id) WHERE ($plain)::text IS DISTINCT FROM ($sealed)::text" ]
	} @expressions;
	my @possible = answers('plain', '', map { "SELECT count(($_->[0])::text) FROM plain.t p" } @rowwise);
	my @sane = grep { !is_error($possible[$_]) } 0 .. $#possible;
	my @wrong = answers('public', '', map { $rowwise[$_][1] } @sane);
	my @differ = grep { $wrong[$_] !~ /^0\|/ } 0 .. $#sane;
	ok(!@differ, "$name: expressions");
	diag(encode_utf8($expressions[ $sane[$_] ]), ': ', substr($wrong[$_], 0, 300)) for @differ;
	$asked{$name} += @sane;
	note("$name: refused by the plain column: ", encode_utf8(join('; ', map { $expressions[$_] } grep { is_error($possible[$_]) } 0 .. $#possible)));
	for my $setting (@{ $settings{$type} // [] })
	{
		my ($plain, $sealed) =
		  map { answers($_, "SET $setting", digest("SELECT v::$type, v::text FROM t ORDER BY id")) } ('plain', 'sealed');
		is($sealed, $plain, "$name: text with $setting");
	}
	my ($plain, $sealed) = map { answers($_, '', 'SELECT v, o FROM t ORDER BY v, o, id') } ('plain', 'sealed');
	ok($plain eq $sealed, "$name: opened results");

	# Queries
	my %plain;
	my %of_type = map {
		my $group = $_;
		$group => [ map { s/\bT\b/$type/gr =~ s/\bFEW\b/$FEW/gr } @{ $queries{$group} } ]
	} keys %queries;
	$of_type{aggregates} = $aggregates{$type} if $aggregates{$type};
	for my $group (sort keys %of_type)
	{
		$plain{$group} = [ answers('plain', '', map { digest($_) } @{ $of_type{$group} }) ];
		for my $plan (sort keys %plans)
		{
			next if $group eq 'inequalities' && $plan ne 'by default';
			same_answers("$name: $group, $plan", $plans{$plan}, $plain{$group}, @{ $of_type{$group} });
		}
	}

	# Literals and parameters, of values that occur often, of odd ones and of others
	my @samples = grep { defined $_->[0] } @$rows[ 0 .. 11 ];
	my $literal = sub { return defined $_[0] ? "'" . $_[0] =~ s/'/''/gr . "'" : 'NULL' };
	my $fill = sub {
		my ($query, $row) = @_;
		my %value = (T => $type, L => $literal->($row->[0]), M => $literal->($row->[1]));

		return $query =~ s/\b([TLM])\b/$value{$1}/gr;
	};
	my $prepare = "PREPARE one_unknown AS SELECT count(*), sum(id) FROM t WHERE v = \$1; PREPARE one($type) AS SELECT count(*), sum(id) FROM t WHERE v = \$1; "
	  . "PREPARE some($type\[]) AS SELECT count(*), sum(id) FROM t WHERE v = ANY (\$1); "
	  . "CREATE FUNCTION pg_temp.lookup($type) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*)::text || sum(id) FROM t WHERE v = \$1); END'; "
	  . "SET plan_cache_mode = force_generic_plan";
	my @forms = (@lookups, map { my $related = $_; map { s/\bR\b/$related/gr } @lookups_related } @{ $related{$type} // [] });
	my @lookup = map { my $row = $_; map { $fill->(s/\blookup\b/pg_temp.lookup/r, $row) } @forms } @samples;
	my @comparison = map { my $row = $_; map { $fill->($_, $row) } @comparisons } @samples[ 0 .. 3 ];

	$plain{lookup} = [ answers('plain', $prepare, map { digest($_) } @lookup) ];
	$plain{comparison} = [ answers('plain', '', map { digest($_) } @comparison) ];
	same_answers("$name: comparisons with literals", '', $plain{comparison}, @comparison);
	for my $index ('(blind_index(v))', 'USING hash (v)')
	{
		$node->safe_psql('postgres', "SET client_min_messages = error; DROP INDEX IF EXISTS sealed.t_v; CREATE INDEX t_v ON sealed.t $index; ANALYZE sealed.t");
		same_answers("$name: lookups, $index", "$prepare; SET enable_seqscan = off", $plain{lookup}, @lookup);
		same_answers("$name: joins, $index", $nested, $plain{joins}, @{ $of_type{joins} });
	}

	# What is unique, and where rows go
	is( $node->safe_psql('postgres', <<SQL), 't|t|0', "$name: uniqueness and partitions");
CREATE TABLE sealed.u (v encrypted_$type $collation);
CREATE UNIQUE INDEX ON sealed.u (blind_index(v));
INSERT INTO sealed.u SELECT v FROM sealed.t ON CONFLICT (blind_index(v)) DO NOTHING;
CREATE TABLE sealed.h (v encrypted_$type $collation) PARTITION BY HASH (v);
CREATE TABLE sealed.h0 PARTITION OF sealed.h FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE sealed.h1 PARTITION OF sealed.h FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE sealed.h2 PARTITION OF sealed.h FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO sealed.h SELECT v FROM sealed.t;
SELECT (SELECT count(v) FROM sealed.u) = (SELECT count(DISTINCT v) FROM plain.t),
	(SELECT count(*) FROM sealed.u WHERE v IS NULL) = (SELECT count(*) FROM plain.t WHERE v IS NULL),
	(SELECT count(*) FROM (SELECT FROM sealed.h GROUP BY v HAVING count(DISTINCT tableoid) > 1) x);
SQL
	return;
}

for my $type (@types)
{
	my $rows = [ rows($type, $count, $node->pg_version) ];
	my %kinds = %{ $collations{$type} // { '' => '' } };
	my $started = time;

	compare($_ eq '' ? $type : "$type, $_", $type, $kinds{$_}, $rows) for sort keys %kinds;
	note("$type: ", scalar(@$rows), ' rows, ', time - $started, ' s');
}
note(map { "$_: $asked{$_} questions\n" } sort keys %asked);

$node->stop;
done_testing();
