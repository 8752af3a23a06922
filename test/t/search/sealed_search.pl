# LIKE, ILIKE, ^@, regular expressions and JSON containment by a sealed index, against
# PostgreSQL on plain values: over random values and random patterns, the same answers.
#
# The characters are those whose upper and lower case differ between providers and
# languages, or depend on what stands around them, and those that mean something in a
# pattern.  Then rows come, change and go, and the answers are compared again.
#
#   PGSEAL_SEED       repeats a run (the seed is printed)
#   PGSEAL_QUESTIONS  patterns a column and round (150)

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $seed = $ENV{PGSEAL_SEED} // int(rand(1_000_000_000));
my $questions = $ENV{PGSEAL_QUESTIONS} // 150;
srand($seed);
diag("PGSEAL_SEED=$seed");

my @characters = (
	('a' .. 'e') x 3, ('A' .. 'E'), qw(i I k K s S), 0 .. 3, ' ', '.', '-', '%', '_', '\\', '(', '|', '*', "'",
	'ß', 'ẞ', 'ſ', 'K', 'İ', 'ı', 'Σ', 'σ', 'ς', 'é', 'É', 'ǅ', 'ŉ', "\x{0301}", "\x{0307}", '中', '文', '😀');

my $node = SealedNode->started('sealed_search', conf => q{
jit = off
autovacuum = off
standard_conforming_strings = on
});
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');

sub pick { return $_[ rand @_ ] }
sub quote { return "'" . ($_[0] =~ s/'/''/gr) . "'" }
sub random_text { return join '', map { pick(@characters) } 1 .. int(rand(14)) }

# A part of one of the values, sometimes in another case
sub part
{
	my @values = @_;
	my $value = pick(@values);
	my $part = length $value ? substr($value, int(rand(length $value)), 1 + int(rand(6))) : '';
	return rand() < 0.3 ? uc $part : rand() < 0.3 ? lc $part : $part;
}

sub like_pattern
{
	my @values = @_;
	my $pattern = '';
	for (1 .. 1 + int(rand(3)))
	{
		my $part = part(@values);
		$part =~ s/([%_\\])/\\$1/g if rand() < 0.8;
		$pattern .= pick('', '', '%', '%', '_') . $part;
	}
	$pattern .= pick('', '%', '%', '_');
	$pattern =~ s/\\$/\\\\/ if rand() < 0.9 && $pattern !~ /\\\\$/;
	return $pattern;
}

sub regex
{
	my ($depth, @values) = @_;
	my @atoms;

	for (1 .. 1 + int(rand(3)))
	{
		my $kind = rand();
		push @atoms,
		    $kind < 0.55 ? part(@values) =~ s/([.*+?()\[\]{}|\\^\$])/\\$1/gr
		  : $kind < 0.6 ? pick('.', '\\d', '\\w', '\\s', '\\y', '\\m', '\\x41', '\\t', 'a{2}', '{', '\\.')
		  : $kind < 0.7 ? pick('[ab]', '[^a]', '[]a]', '[[:alpha:]]', '[a\\]b]', '[^]]')
		  : $kind < 0.75 ? pick('(?=a)', '(?!ab)', '(?:ab)', '(?i)', '(?x)')
		  : $kind < 0.95 && $depth < 2 ? '(' . regex($depth + 1, @values) . ')'
		  : pick('^', '$');
		$atoms[-1] .= pick('', '', '', '', '', '*', '+', '?', '{2}', '{0,1}', '*?', '+?') if length $atoms[-1] && $atoms[-1] !~ /^[\^\$]$/;
	}
	my $branch = (rand() < 0.15 ? '^' : '') . join('', @atoms) . (rand() < 0.15 ? '$' : '');
	$branch .= '|' . regex($depth + 1, @values) if rand() < 0.25 && $depth < 2;
	return ($depth == 0 && rand() < 0.15 ? pick('***:', '***=', '(?i)', '***:(?i)', '(?c)', '(?ix)', '(?q)') : '') . $branch;
}

sub condition
{
	my @values = @_;
	my $kind = rand();

	return 'X LIKE ' . quote(like_pattern(@values)) if $kind < 0.3;
	return 'X ILIKE ' . quote(like_pattern(@values)) if $kind < 0.5;
	return 'X ^@ ' . quote(part(@values)) if $kind < 0.55;
	return 'X ~ ' . quote(regex(0, @values)) if $kind < 0.7;
	return 'X ~* ' . quote(regex(0, @values)) if $kind < 0.85;
	return 'X SIMILAR TO ' . quote('%' . (part(@values) =~ s/[^\w ]//gr) . pick('', '%')) if $kind < 0.88;
	return 'X LIKE ' . quote(like_pattern(@values)) . pick(' AND', ' OR') . ' X ~* ' . quote(regex(0, @values)) if $kind < 0.93;
	return 'X LIKE ANY (ARRAY[' . quote(like_pattern(@values)) . ', ' . quote(like_pattern(@values)) . '])' if $kind < 0.96;
	return pick('X IS NULL', 'X IS NOT NULL', 'X LIKE NULL', "X LIKE ''", "X LIKE '%'", "X ~ ''", "X IS NOT NULL AND X LIKE " . quote(like_pattern(@values)));
}

sub document
{
	my ($depth) = @_;
	my $kind = rand();

	return pick(0 .. 5, '"x"', '"y"', '"é"', '1.5', 'true', 'false', 'null', '""') if $depth > 2 || $kind < 0.4;
	return '[' . join(', ', map { document($depth + 1) } 1 .. int(rand(4))) . ']' if $kind < 0.6;
	my %seen;
	return '{' . join(', ', map { "\"$_\": " . document($depth + 1) } grep { !$seen{$_}++ } map { pick('a' .. 'd') } 1 .. int(rand(4))) . '}';
}

sub json_condition
{
	my $kind = rand();
	my $path = '$' . join('', map { pick('.a', '.b', '.c', '[*]', '[0]', '.*') } 1 .. int(rand(3)));
	my $value = pick(0 .. 5, '"x"', 'true', 'null', '1.5');

	return "X @> '" . document(0) . "'" if $kind < 0.5;
	return "X \@? '$path'" if $kind < 0.6;
	return "X \@? '$path ? (@ == $value)'" if $kind < 0.75;
	return "X \@? '$path ? (@.a == $value " . pick('&&', '||') . " @.b == 1)'" if $kind < 0.85;
	return "X \@@ '$path " . pick('==', '>', '!=') . " $value " . pick('', '&& $.a == 1', '|| $.a == 1') . "'" if $kind < 0.97;
	return pick('X IS NULL', 'X IS NOT NULL', "X @> '{}'", "X @> '[]'");
}

# The same questions about p and v
sub compare
{
	my ($what, $index, @conditions) = @_;
	my %answers;

	for my $column ('p', 'v')
	{
		my $script = "\\set VERBOSITY sqlstate\nSET enable_seqscan = off;\n" . join '', map {
			"\\echo == $_\nSELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM t WHERE " . ($conditions[$_] =~ s/\bX\b/$column/gr) . ";\n\\echo :SQLSTATE\n" } 0 .. $#conditions;
		my $output = '';
		IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \encode_utf8($script), '>', \$output, '2>', \my $errors);
		$answers{$column} = [ map { s/^\d+\n//r } grep { length } split /^== /m, $output ];
	}
	# A condition beside another that no row meets isn't evaluated, wrong or not
	my @different = grep { !($conditions[$_] =~ / AND / && ($answers{p}[$_] // '') =~ /^2201B/) } grep { ($answers{p}[$_] // '') ne ($answers{v}[$_] // '') } 0 .. $#conditions;
	is(scalar(@{ $answers{p} }), scalar(@conditions), "$what: all answered");
	is(scalar(@different), 0, "$what: " . @conditions . ' answers')
	  or diag(map { encode_utf8("$conditions[$_]\n") . "plain:  $answers{p}[$_]sealed: $answers{v}[$_]" } grep { defined } @different[ 0 .. 5 ]);
	my $used = $node->safe_psql('postgres', join '', map { "SET enable_seqscan = off; EXPLAIN SELECT id FROM t WHERE " . (encode_utf8($_) =~ s/\bX\b/v/gr) . ';' } grep { !/NULL|'[^']*'[^']*'|''|\{2/ && /LIKE|@/ } @conditions[ 0 .. 19 ]);
	like($used, qr/Index Scan (using|on) t_v/, "$what: by the index");
	is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('t_v')"), '0|0', "$what: the index is sound");
	return;
}

sub fill
{
	my ($type, $collation, $class, @values) = @_;
	my $id = 0;
	my $with = $class =~ /pattern/ ? '' : pick('', 'WITH (pending_pages = 0)', 'WITH (pending_pages = 1)', 'WITH (node_size = 1024, pending_pages = 3)');
	my $rows = join ",\n", map { ++$id; my $value = defined $_ ? quote($_) : 'NULL'; "($id, $value)" } @values;
	$node->safe_psql('postgres', encode_utf8(<<SQL));
DROP TABLE IF EXISTS t;
CREATE TABLE t (id int PRIMARY KEY, p $type $collation, v encrypted_$type $collation);
CREATE INDEX t_v ON t USING sealed (v $class) $with;
INSERT INTO t (id, p, v) SELECT id, x::$type, x::$type FROM (VALUES $rows) AS r (id, x);
SQL
	return;
}

sub rounds
{
	my ($what, $type, $collation, $class, $condition, @values) = @_;

	fill($type, $collation, $class, @values);
	my @known = grep { defined } @values;
	compare("$what: grown", 't_v', map { $condition->(@known) } 1 .. $questions);
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 5 = 0; VACUUM t; UPDATE t SET p = o.p, v = o.v FROM t o WHERE t.id % 7 = 1 AND o.id = t.id + 1; INSERT INTO t SELECT id + 10000, p, v FROM t WHERE id % 5 = 1');
	compare("$what: after DELETE, VACUUM and UPDATE", 't_v', map { $condition->(@known) } 1 .. $questions);
	$node->safe_psql('postgres', "SET maintenance_work_mem = '1MB'; REINDEX INDEX t_v");
	compare("$what: built", 't_v', map { $condition->(@known) } 1 .. $questions);
	return;
}

my %collations = (
	'default collation' => '', 'C' => 'COLLATE "C"', 'en-US' => 'COLLATE "en-US-x-icu"', 'Turkish' => 'COLLATE "tr-x-icu"',
	'Lithuanian' => 'COLLATE "lt-x-icu"', 'Greek' => 'COLLATE "el-x-icu"');
for my $collation (sort keys %collations)
{
	for my $class ('sealed_trgm_ops', 'sealed_text_pattern_ops')
	{
		next if $class eq 'sealed_text_pattern_ops' && $collation =~ /Lith|Greek/;
		my @values = (map { rand() < 0.03 ? undef : random_text() } 1 .. 800);
		push @values, map { join '', map { random_text() } 1 .. 40 } 1 .. 5;
		rounds("$class, $collation", 'text', $collations{$collation}, $class, \&condition, @values);
	}
}
rounds('documents', 'jsonb', '', 'sealed_path_ops', sub { json_condition() }, map { rand() < 0.03 ? undef : document(0) } 1 .. 800);

# Of one's own
$node->safe_psql('postgres', encode_utf8(<<'SQL'));
DROP TABLE t;
CREATE TABLE t (id int, v encrypted_text COLLATE "en-US-x-icu", c encrypted_text COLLATE "C");
CREATE INDEX t_v ON t USING sealed (v sealed_trgm_ops);
CREATE INDEX t_c ON t USING sealed (c);
INSERT INTO t SELECT g, x, x FROM (SELECT g, 'name ' || g || ' ΟΔΥΣΣΕΥΣ' AS x FROM generate_series(1, 500) g) y;
INSERT INTO t VALUES (0, '', ''), (-1, 'a', 'a');
ANALYZE t;
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SQL
sub ids { return $node->safe_psql('postgres', encode_utf8("SELECT string_agg(id::text, ',' ORDER BY id) FROM t WHERE $_[0]")) }
sub plan_of { return $node->safe_psql('postgres', "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; " . encode_utf8($_[0])) }
is(ids("v ILIKE '%77 οδυσσευς'"), '77,177,277,377,477', 'a final sigma is one');
is(ids("v LIKE ''"), '0', 'an empty text');
is(ids("v LIKE 'a'"), '-1', 'a text of one character');
is(ids("v ~ '^(name 12|a)\$'"), '-1', 'alternatives');
for my $expression ('(?i)NAME 77 ', '***:name 77 ', '***:(?i)NAME 77 ', '***=name 77 ')
{
	is(ids("v ~ '$expression'"), '77', "$expression finds what it should");
	like(plan_of("EXPLAIN SELECT id FROM t WHERE v ~ '$expression'"), qr/Index Cond/, "$expression: by the index");
}
like(plan_of("EXPLAIN SELECT id FROM t WHERE v LIKE '%77 %'"), qr/Index Cond/, 'a literal');
like(plan_of("PREPARE q AS SELECT id FROM t WHERE v ILIKE \$1; EXPLAIN EXECUTE q('%77 %')"), qr/Index Cond/, 'an untyped parameter of a generic plan');
like(plan_of("PREPARE q (varchar) AS SELECT id FROM t WHERE v ILIKE '%' || \$1 || '%'; EXPLAIN EXECUTE q('77')"), qr/Index Cond/, 'a typed parameter in an expression');
like(plan_of("EXPLAIN SELECT id FROM t WHERE v LIKE ANY (ARRAY['%77 %', '%78 %'])"), qr/Index Cond/, 'LIKE ANY');
like(plan_of("EXPLAIN SELECT id FROM t WHERE c LIKE 'name 7%'"), qr/Index Cond/, 'the default class under the collation "C"');
is(ids("c LIKE 'name 77%'"), '77', 'and what it finds');
unlike($node->safe_psql('postgres', "EXPLAIN SELECT id FROM t WHERE v LIKE '%a%'"), qr/Index/, 'a pattern without a trigram reads the table');
my ($ret, $out, $err) = $node->psql('postgres', "SELECT id FROM t WHERE v ~ 'name ('");
like($err, qr/invalid regular expression/, 'a wrong expression is an error');
for my $class ('sealed_trgm_ops', 'sealed_text_pattern_ops')
{
	($ret, $out, $err) = $node->psql('postgres', "DROP TABLE IF EXISTS n; CREATE TABLE n (v encrypted_text COLLATE ignore_case); CREATE INDEX ON n USING sealed (v $class)");
	like($err, qr/nondeterministic/, "$class: no nondeterministic collation");
}
($ret, $out, $err) = $node->psql('postgres', 'CREATE INDEX ON t USING sealed (v sealed_trgm_ops, c)');
like($err, qr/has one column/, 'trigrams are alone in an index');

# Without the privilege
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN; GRANT SELECT, INSERT ON t TO nobody');
($ret, $out, $err) = $node->psql('postgres', "SET ROLE nobody; SET enable_seqscan = off; SELECT id FROM t WHERE v LIKE '%77 %'");
like($err, qr/permission denied/, 'a search takes USAGE');
$node->safe_psql('postgres', "SET ROLE nobody; INSERT INTO t VALUES (9999, 'from nobody', 'x')");
is(ids("v LIKE '%om nob%'"), '9999', 'writing takes none');

$node->stop;
done_testing();
