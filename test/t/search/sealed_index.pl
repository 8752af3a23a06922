# The sealed index against a btree on plain values: over random values of every
# type, all that the index serves must get the same answer.
#
# In t the same value lies as p, plain with a btree, and as v, sealed with a
# sealed index; c is the rank of p, so that results can name values without showing
# one of several equal forms.  Then rows come, change and go, and the answers are
# compared again.
#
#   PGSEAL_SEED    repeats a run (the seed is printed)
#   PGSEAL_VALUES  rows a type (2000)
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
my $count = $ENV{PGSEAL_VALUES} // 2000;
my @types = $ENV{PGSEAL_TYPES} ? split(' ', $ENV{PGSEAL_TYPES}) : grep { $_ ne 'jsonb' } base_types();
srand($seed);
diag("PGSEAL_SEED=$seed");

my %collations = (
	text => {
		'default collation' => '',
		'C' => 'COLLATE "C"',
		'en-US' => 'COLLATE "en-US-x-icu"',
		'nondeterministic' => 'COLLATE public.ignore_case' });
# Other types whose values a column is compared with
my %related = (
	int2 => [qw(int4 int8 numeric)], int4 => [qw(int2 int8 numeric)], int8 => [qw(int2 int4 numeric)], numeric => [qw(int4 int8)],
	float4 => [qw(float8 numeric int4)], float8 => [qw(float4 numeric int4)],
	date => [qw(timestamp timestamptz)], timestamp => [qw(date timestamptz)], timestamptz => [qw(date timestamp)],
	text => [qw(name varchar)], interval => ['time'], time => ['time']);
my @directions = ('', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST');

my $node = SealedNode->started('sealed_index', conf => q{
timezone = 'Europe/Zurich'
jit = off
autovacuum = off
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SQL

sub quote
{
	my ($value) = @_;
	return "'" . ($value =~ s/'/''/gr) . "'";
}

# A condition on X, and what it is called
sub condition
{
	my ($type, @values) = @_;
	my ($a, $b, $c) = map { quote($values[ rand @values ]) } 1 .. 3;
	my $typed = "::$type";
	my @related = @{ $related{$type} // [] };
	my @forms = (
		"X < $a", "X <= $a", "X = $a", "X >= $a", "X > $a", "X < $a$typed", "X >= $a$typed", "$a$typed > X",
		"X BETWEEN $a AND $b", "X BETWEEN $b$typed AND $a$typed", "X > $a AND X <= $b AND X < $c", "X IN ($a, $b, $c)",
		"X = ANY (ARRAY[$a, $b]::$type\[])", "X IS NULL", "X IS NOT NULL", "X < $a OR X > $b", "X IS NOT NULL AND X >= $a",
		"X > $a AND X > $b");
	for (@related)
	{
		my ($d, $e) = map { $type eq 'interval' ? "'11:59'::time" : "$_$typed\::" . $related[ rand @related ] } $a, $b;
		push @forms, "X < $d", "X <= $d", "X = $d", "X >= $d", "X > $d", "$d >= X", "X BETWEEN $d AND $e";
	}
	return $forms[ rand @forms ];
}

# The same questions about p and v; each answer is a line.
sub differences
{
	my ($what, $type, $num, $collation, @values) = @_;
	my @questions = map {
		my $order = 'X ' . $directions[ rand @directions ];
		my $condition = condition($type, @values);
		rand() < 0.7
		  ? "SELECT md5(coalesce(string_agg(id::text, ',' ORDER BY id), '')) FROM t WHERE $condition"
		  : "SELECT md5(coalesce(string_agg(c::text, ','), '')) FROM (SELECT c FROM t WHERE $condition ORDER BY $order LIMIT 30) x"
	} 1 .. $num;
	my $answers = sub {
		my ($column) = @_;
		my $script = "\\set VERBOSITY sqlstate\nSET enable_seqscan = off; SET enable_sort = off;\n";
		$script .= s/\bX\b/$column/gr . ";\n" for @questions;
		my ($stdout, $stderr) = ('', '');
		IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \encode_utf8($script), '>', \$stdout, '2>', \$stderr);
		return ($stdout, $stderr);
	};
	my ($plain, $plain_errors) = $answers->('p');
	my ($sealed, $sealed_errors) = $answers->('v');
	my @plain = split /\n/, $plain;
	my @sealed = split /\n/, $sealed;
	my @different = grep { ($plain[$_] // '') ne ($sealed[$_] // '') } 0 .. $#questions;

	is($sealed_errors, $plain_errors, "$what: the same errors");
	is(scalar(@different), 0, "$what: $num answers") or diag(map { "$questions[$_]\n" } @different);
	my $used = $node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN SELECT id FROM t WHERE v >= " . encode_utf8(quote($values[0])));
	like($used, qr/t_v/, "$what: by the index");
	my $state = $node->safe_psql('postgres', "SELECT misplaced, missing, entries >= rows FROM pgseal.verify_index('t_v')");
	is($state, '0|0|t', "$what: the index is sound");
	return;
}

for my $type (@types)
{
	my $variants = $collations{$type} // { '' => '' };

	for my $variant (sort keys %$variants)
	{
		my $collation = $variants->{$variant};
		my $direction = $directions[ rand @directions ];
		my $what = join ', ', grep { $_ ne '' } $type, $variant, $direction;
		# What is too long for an index is another test's
		my @rows = grep { length($_ // '') <= 400 } map { $_->[0] } rows($type, $count, $node->pg_version);
		my @values = grep { defined } @rows;
		my $id = 0;
		my $copy = join '', map { ++$id . "\t" . literal($_) . "\n" } @rows;

		$node->safe_psql('postgres', <<SQL);
DROP TABLE IF EXISTS t;
CREATE TABLE t (id int PRIMARY KEY, p $type $collation, v encrypted_$type $collation, c bigint);
CREATE INDEX t_v ON t USING sealed (v $direction);
CREATE INDEX t_p ON t (p $direction);
SQL
		my ($stdout, $stderr) = ('', '');
		IPC::Run::run([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', "COPY t (id, p) FROM STDIN" ],
			'<', \encode_utf8($copy), '>', \$stdout, '2>', \$stderr);
		die $stderr if $stderr;
		# Row by row into an index that is there, then built anew from them
		$node->safe_psql('postgres', 'UPDATE t SET v = p, c = r FROM (SELECT id AS i, dense_rank() OVER (ORDER BY p) AS r FROM t) x WHERE i = id');
		differences("$what: grown", $type, 60, $collation, @values);
		$node->safe_psql('postgres', "DELETE FROM t WHERE id % 5 = 0; VACUUM t; UPDATE t SET p = o.p, v = o.v, c = o.c FROM t o WHERE t.id % 7 = 1 AND o.id = t.id + 1");
		differences("$what: after DELETE, VACUUM and UPDATE", $type, 60, $collation, @values);
		$node->safe_psql('postgres', "SET maintenance_work_mem = '1MB'; REINDEX INDEX t_v");
		differences("$what: built", $type, 60, $collation, @values);
	}
}

$node->stop;
done_testing();
