# Which conditions a sealed index serves: all that a btree serves on a plain column of
# the base type, whatever the type of the other operand, from literals, from stable
# functions, from typed and untyped parameters of generic plans, whichever side the
# column stands on.
#
# The conditions and the answers are compared elsewhere (search/sealed_index.pl); here the plans.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my %value = (
	int2 => '5::int2', int4 => '5', int8 => '5::int8', numeric => '5.5', float4 => '5.5::float4', float8 => '5.5::float8',
	date => 'current_date', timestamp => 'localtimestamp', timestamptz => 'now()', time => 'localtime', timetz => 'current_time',
	interval => "'1 day'::interval", text => "'x'::text", varchar => "'x'::varchar", bpchar => "'x'::bpchar", name => "'x'::name",
	'"char"' => q{'x'::"char"}, inet => "'1.1.1.1'::inet", cidr => "'1.1.1.0/24'::cidr", bool => 'true', bytea => "'x'::bytea",
	uuid => "'00000000-0000-0000-0000-000000000001'::uuid", oid => '5::oid', unknown => "'5'");
my @types = qw(int2 int4 int8 numeric float4 float8 date timestamp timestamptz time interval text inet bool bytea uuid);

my $node = SealedNode->started('sealed_plans', conf => q{
jit = off
log_statement = none
});
$node->safe_psql('postgres', join '',
	'CREATE EXTENSION pgseal; CREATE TABLE t (id int',
	(map { ", p_$_ $_, v_$_ encrypted_$_" } @types), ');',
	map { "CREATE INDEX ON t (p_$_); CREATE INDEX ON t USING sealed (v_$_);" } @types);

# The condition, and how to explain a query with it
sub explained
{
	my ($column, $operator, $other, $form) = @_;
	my $explain = 'EXPLAIN (COSTS OFF)';

	if ($form eq 'parameter' || $form eq 'left parameter')
	{
		my $condition = $form eq 'parameter' ? "$column $operator \$1" : "\$1 $operator $column";
		my $declared = $other eq 'unknown' ? '' : "($other)";
		return "PREPARE q $declared AS SELECT id FROM t WHERE $condition; $explain EXECUTE q($value{$other}); DEALLOCATE q;";
	}
	my $condition = $form eq 'left' ? "$value{$other} $operator $column" : "$column $operator $value{$other}";
	return "$explain SELECT id FROM t WHERE $condition;";
}

for my $type (@types)
{
	my (@cases, $script);

	for my $other (sort keys %value)
	{
		for my $operator (qw(< <= = >= >))
		{
			push @cases, map { [ $other, $operator, $_ ] } ('right', 'left', 'parameter', 'left parameter');
		}
	}
	for my $i (0 .. $#cases)
	{
		my ($other, $operator, $form) = @{ $cases[$i] };
		$script .= "\\echo == $i $_\n" . explained("${_}_$type", $operator, $other, $form) . "\n" for 'p', 'v';
	}
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \"SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;\n$script",
		'>', \$stdout, '2>', \$stderr);
	my (%plan, $case);
	for (split /\n/, $stdout)
	{
		if (/^== (\d+ [pv])$/) { $plan{ $case = $1 } = '' }
		else { $plan{$case} .= "$_\n" }
	}
	my @by_btree = grep { $plan{"$_ p"} =~ /Index Cond/ } 0 .. $#cases;
	my @not_by_sealed = grep { $plan{"$_ v"} !~ /Index Cond/ } @by_btree;

	cmp_ok(scalar(@by_btree), '>=', 20, "$type: a btree serves " . @by_btree . ' of ' . @cases);
	is(scalar(@not_by_sealed), 0, "$type: a sealed index serves them, too")
	  or diag(map { "@{ $cases[$_] }: " . ($plan{"$_ v"} || "no plan\n") } @not_by_sealed);
}

# With numbers that a btree on integers doesn't serve
for my $condition ('v_int4 > 5.5', '5.5 > v_int4', 'v_int8 BETWEEN 5.5 AND 7.5', 'v_int2 = 5.0')
{
	like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN SELECT id FROM t WHERE $condition"), qr/Index Cond/, $condition);
}

# Columns of related types are joined by hashes or by merging, not row by row
for my $condition ('a.v_date = b.p_timestamp', 'a.v_date = b.v_timestamptz', 'a.v_float4 = b.v_float8', 'a.v_int4 = b.p_int8')
{
	like($node->safe_psql('postgres', "SET enable_nestloop = off; EXPLAIN SELECT a.id FROM t a JOIN t b ON $condition"), qr/(Hash|Merge) Join/, "joined: $condition");
}

$node->stop;
done_testing();
