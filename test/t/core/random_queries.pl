# Plain against encrypted: random queries made of subqueries.
#
# Tables of the same rows lie in plain and in sealed, there with blind indexes,
# generated columns of tokens, a hash index, a partitioned table and a view.  Each
# query is run with one schema and then with the other in the search_path; the
# rows must be the same.  What writes is rolled back, after a look at what it left.
# The columns that are compared all open to few values, so that joins meet.
#
#   PGSEAL_SEED     repeats a run (the seed is printed)
#   PGSEAL_QUERIES  how many (1500)
#   PGSEAL_ROUNDS   runs of the encrypted side, under plans of their own (1 to 4)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $seed = $ENV{PGSEAL_SEED} // int(rand(1_000_000_000));
my $count = $ENV{PGSEAL_QUERIES} // 1500;
srand($seed);
diag("PGSEAL_SEED=$seed");

my @PLANS = (
	'',
	'SET enable_seqscan = off',
	'SET enable_hashjoin = off; SET enable_mergejoin = off',
	'SET enable_nestloop = off; SET enable_hashjoin = off');
my $rounds = $ENV{PGSEAL_ROUNDS} // 2;

# Columns by type; all tables have them.
my %columns = (text => [qw(s u)], int => [qw(n m)]);
my @tables = qw(t1 t2 t3 parts v);
my @writable = qw(t1 t2 t3 parts);

sub one { return $_[ int(rand(@_)) ] }
sub chance { return rand() < $_[0] }

#
# The grammar.  A scope is a list of what columns may be taken from, innermost
# first: [ alias, ... ] of each query level.
#

my $next_alias = 0;
my $with = [];		# names of CTEs that may be used

sub alias { return 'x' . $next_alias++ }

sub literal_of
{
	my ($type) = @_;
	return $type eq 'text' ? "'s" . int(rand(12)) . "'" : int(rand(12));
}

sub column_of
{
	my ($type, @scope) = @_;
	my @level = @{ chance(0.7) ? $scope[0] : one(@scope) };
	return one(@level) . '.' . one(@{ $columns{$type} });
}

sub value_of
{
	my ($type, $depth, @scope) = @_;
	my $dice = rand();
	return literal_of($type) if $dice < 0.35;
	return column_of($type, @scope) if $dice < 0.8;
	return 'lower(' . column_of($type, @scope) . ')' if $type eq 'text' && $dice < 0.84;
	return 'coalesce(' . column_of($type, @scope) . ', ' . column_of($type, @scope) . ')' if $dice < 0.88;
	return column_of($type, @scope) . ($type eq 'text' ? '::text' : '::int') if $dice < 0.93 || $depth <= 0;
	my $a = alias();
	return "(SELECT min($a." . one(@{ $columns{$type} }) . ') FROM ' . source($a) . ' WHERE '
	  . condition($depth - 1, [$a], @scope) . ')';
}

sub source
{
	my ($a) = @_;
	return (@$with && chance(0.3) ? one(@$with) : one(@tables)) . " $a";
}

sub condition
{
	my ($depth, @scope) = @_;
	my $type = one('text', 'text', 'int');
	my $dice = rand();

	if ($depth > 0 && $dice < 0.45)
	{
		my $a = alias();
		my $inner = source($a) . ' WHERE ' . condition($depth - 1, [$a], @scope);
		my $column = "$a." . one(@{ $columns{$type} });

		return one('', 'NOT ') . "EXISTS (SELECT 1 FROM $inner)" if $dice < 0.2;
		return column_of($type, @scope) . one(' IN ', ' IN ', ' NOT IN ') . "(SELECT $column FROM $inner)" if $dice < 0.32;
		return column_of($type, @scope) . one(' = ANY ', ' <> ALL ') . "(SELECT $column FROM $inner)" if $dice < 0.36;
		return column_of('int', @scope) . " > (SELECT count(*) FROM $inner)" if $dice < 0.4;
		return '(' . column_of('text', @scope) . ', ' . column_of('int', @scope) . ") IN (SELECT $a.s, $a.n FROM $inner)";
	}
	return '(' . condition($depth - 1, @scope) . one(' AND ', ' OR ') . condition($depth - 1, @scope) . ')'
	  if $depth > 0 && $dice < 0.7;
	return 'NOT (' . condition($depth - 1, @scope) . ')' if $depth > 0 && $dice < 0.74;
	return column_of('int', @scope) . one(' < ', ' >= ') . value_of('int', 0, @scope) if $dice < 0.78;
	return column_of($type, @scope) . ' IN (' . join(', ', map { literal_of($type) } 1 .. 3) . ')' if $dice < 0.82;
	return column_of($type, @scope) . one(' IS NULL', ' IS NOT NULL') if $dice < 0.85;
	return column_of($type, @scope) . one(' IS DISTINCT FROM ', ' IS NOT DISTINCT FROM ') . value_of($type, $depth, @scope) if $dice < 0.88;
	return column_of($type, @scope) . ($type eq 'text' ? '::text' : '::int') . ' = ' . value_of($type, $depth, @scope) if $dice < 0.9;
	return column_of($type, @scope) . ' = ' . value_of($type, $depth, @scope);
}

# A FROM item of several tables; names of its aliases are added to @$aliases.
sub from_item
{
	my ($depth, $aliases, @outer) = @_;
	my $a = alias();
	my $dice = rand();

	if ($depth > 0 && $dice < 0.25)
	{
		my $lateral = chance(0.5) && @$aliases ? 'LATERAL ' : '';
		my @scope = $lateral ? ([@$aliases], @outer) : @outer;
		my $b = alias();
		my $sub = "SELECT $b.s, $b.u, $b.n, $b.m, $b.id FROM " . source($b) . ' WHERE ' . condition($depth - 1, [$b], @scope);

		$sub = "SELECT DISTINCT * FROM ($sub) d" if chance(0.15);
		if (chance(0.2))
		{
			my $c = alias();
			$sub .= one(' UNION ', ' UNION ALL ', ' EXCEPT ') . "SELECT $c.s, $c.u, $c.n, $c.m, $c.id FROM " . source($c)
			  . ' WHERE ' . condition(0, [$c], @scope);
		}
		push @$aliases, $a;
		return "$lateral($sub) $a";
	}
	push @$aliases, $a;
	return source($a);
}

sub from_clause
{
	my ($depth, $aliases, @outer) = @_;
	my $sql = from_item($depth, $aliases, @outer);

	for (1 .. int(rand(2.2)))
	{
		if (chance(0.3))
		{
			$sql .= ', ' . from_item($depth, $aliases, @outer);
			next;
		}
		# What is before a comma is out of sight of ON: only the last two
		my $left = $aliases->[-1];
		my $join = one('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN');
		my $own = [];
		my $item = from_item($join =~ /^(RIGHT|FULL)/ ? 0 : $depth, $own, @outer);
		my $right = $own->[0];
		my $type = one('text', 'int');
		my $on = "$left." . one(@{ $columns{$type} }) . " = $right." . one(@{ $columns{$type} });

		$on .= ' AND ' . condition($depth - 1, [ $left, $right ], @outer) if $join ne 'FULL JOIN' && chance(0.4);
		$sql .= " $join $item ON $on";
		push @$aliases, $right;
	}
	return $sql;
}

sub select_query
{
	my ($depth) = @_;
	my @aliases;
	my $from = from_clause($depth, \@aliases);
	my $where = condition($depth, \@aliases);
	my $a = one(@aliases);
	my $dice = rand();

	return "SELECT count(*), min($a.id), max($a.id) FROM $from WHERE $where" if $dice < 0.2;
	return "SELECT $a.s::text, count(*) FROM $from WHERE $where GROUP BY $a.s" if $dice < 0.3;
	return "SELECT DISTINCT $a.id, $a.s, $a.n FROM $from WHERE $where" if $dice < 0.45;
	# An EXISTS among the results of a subquery, which is simplified with the parent's root
	if ($dice < 0.6)
	{
		my $b = alias();
		my $c = alias();
		return "SELECT q.id, q.f, $c.id FROM (SELECT $a.id, EXISTS (SELECT 1 FROM " . source($b) . ' WHERE '
		  . condition(1, [$b], \@aliases) . ") AS f FROM $from WHERE $where) q, " . source($c)
		  . " WHERE $c.n > q.f::int AND $c.id < 5";
	}
	return 'SELECT ' . join(', ', map { "$_.id" } @aliases) . ", $a.s, $a.n FROM $from WHERE $where";
}

# Names its CTEs; @$with lasts for the query.
sub with_clause
{
	my @ctes;

	for (1 .. 1 + int(rand(2)))
	{
		my $a = alias();
		my $name = 'w' . alias();

		push @ctes, "$name AS " . one('', 'MATERIALIZED ', 'NOT MATERIALIZED ') . "(SELECT $a.id, $a.s, $a.u, $a.n, $a.m FROM "
		  . source($a) . ' WHERE ' . condition(1, [$a]) . ')';
		push @$with, $name;
	}
	return 'WITH ' . join(', ', @ctes) . ' ';
}

sub writing_query
{
	my ($depth) = @_;
	my $table = one(@writable);
	my $dice = rand();
	my $b = alias();

	return "DELETE FROM $table t WHERE " . condition($depth, ['t']) . ' RETURNING t.id, t.s' if $dice < 0.3;
	return "DELETE FROM $table t USING " . source($b) . " WHERE t.s = $b.u AND " . condition($depth, [ 't', $b ]) . ' RETURNING t.id'
	  if $dice < 0.5;
	return "UPDATE $table t SET u = 'new' WHERE " . condition($depth, ['t']) . ' RETURNING t.id, t.u' if $dice < 0.75;
	return "UPDATE $table t SET n = t.n + 1 FROM " . source($b) . " WHERE t.s = $b.s AND " . condition($depth, [ 't', $b ]) . ' RETURNING t.id, t.n'
	  if $dice < 0.85;
	return "WITH d AS (DELETE FROM $table t WHERE " . condition($depth, ['t']) . " RETURNING t.id, t.s, t.u, t.n, t.m), "
	  . "i AS (INSERT INTO " . one(qw(t2 t3)) . " (id, s, u, n, m) SELECT id + 1000, s, u, n, m FROM d RETURNING id, s) "
	  . 'SELECT id, s FROM i ' . one('UNION ALL', 'UNION') . ' SELECT id, s FROM d';
}

#
# The two sides
#

my $node = SealedNode->started('random_queries', conf => 'restart_after_crash = on');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');

my %types = (plain => [qw(text int)], sealed => [qw(encrypted_text encrypted_int4)]);
for my $schema (qw(plain sealed))
{
	my ($text, $int) = @{ $types{$schema} };
	my $row = "id int, s $text, u $text, n $int, m $int";
	my $other = $row;
	# Columns in another order, dropped ones between, and another table's key
	$other = "gone int, m $int, note bytea, id int, u $text, s $text, n $int";
	$node->safe_psql('postgres', <<"SQL");
CREATE SCHEMA $schema;
SET search_path = $schema, public, pg_catalog;
CREATE TABLE t1 ($row);
CREATE TABLE t2 ($other);
ALTER TABLE t2 DROP COLUMN gone;
CREATE TABLE t3 ($row);
CREATE TABLE parts ($row) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
CREATE VIEW v AS SELECT id, s, u, n, m FROM t1 UNION ALL SELECT id, s, u, n, m FROM t3 WHERE n IS NOT NULL;
SQL
}
$node->safe_psql('postgres', <<'SQL');
SET search_path = sealed, public, pg_catalog;
CREATE INDEX ON t1 (blind_index(s));
CREATE INDEX ON t1 (blind_index(n));
CREATE INDEX ON t2 USING hash (s);
CREATE INDEX ON t2 (blind_index(u));
ALTER TABLE t3 ADD COLUMN token bytea GENERATED ALWAYS AS (blind_index(s)) STORED;
CREATE INDEX ON t3 (token);
CREATE INDEX ON t3 (blind_index(m, bits => 5));
CREATE INDEX ON parts (blind_index(s));
SQL
for my $table (@writable)
{
	my @rows;

	for my $id (1 .. 30)
	{
		my @values = map { chance(0.08) ? 'NULL' : $_ < 2 ? literal_of('text') : literal_of('int') } 0 .. 3;
		push @rows, "($id, " . join(', ', @values) . ')';
	}
	$node->safe_psql('postgres', "INSERT INTO $_.$table (id, s, u, n, m) VALUES " . join(', ', @rows)) for qw(plain sealed);
}
$node->safe_psql('postgres', 'ANALYZE');


# All queries of a side in one session, in batches; the answer to each ends with a mark.
sub answers
{
	my ($schema, $plan, $queries) = @_;
	my $script = "SET search_path = $schema, public, pg_catalog; SET statement_timeout = '20s'; SET jit = off; $plan;\n";

	for my $query (@$queries)
	{
		my ($sql, $writes) = @$query;
		$script .= "BEGIN;\n$sql;\n";
		$script .= join('', map { "SELECT '$_', id, s, u, n, m FROM $_;\n" } @writable) if $writes;
		$script .= "ROLLBACK;\n\\echo -- end\n";
	}
	my $stdout = '';
	my $file = "$PostgreSQL::Test::Utils::tmp_check/random_queries.sql";
	unlink $file;
	append_to_file($file, $script);
	# Errors stand among the answers
	IPC::Run::run([ 'sh', '-c', 'exec psql -X -q -A -t -d "$0" -f "$1" 2>&1', $node->connstr('postgres'), $file ],
		'>', \$stdout);
	my @parts = split(/^-- end\n/m, $stdout, -1);
	pop @parts;
	return map { normalized($_) } @parts;
}

# Does it take a second and more on plain columns?
sub is_slow
{
	my ($query) = @_;
	my ($answer) = answers('plain', "SET statement_timeout = '1s'", [$query]);
	return $answer =~ /statement timeout/;
}

# Rows have no order; of an error only what it says.
sub normalized
{
	my ($answer) = @_;
	$answer =~ s/^psql:[^\n]*?: (ERROR|FATAL|WARNING)/$1/mg;
	my @lines = grep { !/^(LINE \d|\s*\^|HINT|DETAIL|CONTEXT|ROLLBACK)/ } split(/\n/, $answer);
	return join("\n", sort @lines);
}

# Some that failed once
my @known = (
	[ "SELECT x0.id, x1.id, x3.id, x0.s, x0.n FROM t3 x0 JOIN t3 x1 ON x0.s = x1.u AND EXISTS (SELECT 1 FROM t1 x2 WHERE x2.s IN ('s3', 's4', 's6'))"
		. " FULL JOIN v x3 ON x1.s = x3.s WHERE EXISTS (SELECT 1 FROM t2 x4 WHERE ((x4.u = x0.u AND x1.n::int = coalesce(x4.m, x4.m))"
		. " OR EXISTS (SELECT 1 FROM parts x5 WHERE x5.m < 2)))", 0 ]);

my ($different, $crashes, $failed, $empty, $slow, $done) = (0, 0, 0, 0, 0, 0);
while ($done < $count)
{
	my @queries = splice(@known);

	for (1 .. 100)
	{
		my $writes = chance(0.2);
		$next_alias = 0;
		$with = [];
		my $depth = 1 + int(rand(2.3));
		my $prefix = !$writes && chance(0.25) ? with_clause() : '';
		push @queries, [ $prefix . ($writes ? writing_query($depth) : select_query($depth)), $writes ];
	}
	my @plain = answers('plain', '', \@queries);
	for my $round (1 .. $rounds)
	{
		my $plan = $round == 1 ? '' : one(@PLANS);
		my @sealed = answers('sealed', $plan, \@queries);

		if (@sealed < @queries || grep { /server closed the connection/ } @sealed)
		{
			$crashes++;
			diag("the server crashed ($plan): $queries[ @sealed < @queries ? scalar @sealed : $#queries ][0]");
		}
		for my $i (0 .. $#queries)
		{
			next if ($plain[$i] // '') eq ($sealed[$i] // '');
			# Only what is slow on plain columns, too, is nobody's fault
			if (($plain[$i] // '') =~ /statement timeout/
				|| (($sealed[$i] // '') =~ /statement timeout/ && is_slow($queries[$i])))
			{
				$slow++;
				next;
			}
			$different++;
			diag("$plan\n$queries[$i][0]\nplain:\n" . substr($plain[$i] // '', 0, 400) . "\nsealed:\n" . substr($sealed[$i] // '', 0, 400))
			  if $different <= 10;
		}
	}
	$failed += grep { /^ERROR/m } @plain;
	$empty += grep { $_ eq '' || /^0\|\|$/ } @plain;
	$done += @queries;
}

diag("$done queries, $rounds plans, $failed of them errors, $empty without a row, $slow too slow, $different different, $crashes crashes");
cmp_ok($failed, '<', $done / 10, 'nearly all queries are valid');
cmp_ok($empty, '<', $done / 2, 'most have rows');
cmp_ok($slow, '<', $done / 50, 'few take too long');
is($crashes, 0, 'the server never crashed');
is($different, 0, "$done queries: the same rows");

$node->stop;
done_testing();
