# SQL parity: what works on a plain column works on an encrypted one; how it is
# measured stands in test/parity/parity.pl.  The goals are those of the project, and
# what is left must be exactly what test/parity/known.txt says.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my %goal = (operator => 98, function => 99, aggregate => 100, window => 100, assignment => 100);

my $node = SealedNode->started('parity', conf => q{timezone = 'UTC'});

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
my ($table, $stderr);
my $status = IPC::Run::run([ $^X, 'test/parity/parity.pl', '--known', 'test/parity/known.txt' ],
	'>', \$table, '2>', \$stderr);
note($table);

my ($header) = $table =~ /^type\s+(.*)/m or BAIL_OUT("parity.pl failed: $stderr");
my ($all) = $table =~ /^all\s+(.*)/m;
my @kinds = split ' ', $header;
my @cells = $all =~ m{(\d+/\d+)}g;
my %cell = map { $kinds[$_] => $cells[$_] } 0 .. $#kinds;

for my $kind (sort keys %goal)
{
	my ($works, $total) = split '/', $cell{$kind};
	cmp_ok($total, '>=', 100, "$kind: $total uses are measured");
	cmp_ok(100 * $works, '>=', $goal{$kind} * $total, "$kind: $works of $total work");
}

ok($status, 'left is what known.txt says') or diag($table);

# The same in statements and objects in which something stands beside the column
# (test/parity/contexts.pl)
my $contexts;
$status = IPC::Run::run([ $^X, 'test/parity/contexts.pl', '--known', 'test/parity/known_contexts.txt' ], '>', \$contexts, '2>', \$stderr);
note($contexts);
my ($works, $of) = $contexts =~ /^contexts: (\d+) of (\d+)$/m or BAIL_OUT("contexts.pl failed: $stderr");
cmp_ok($of, '>=', 20000, "$of contexts are measured");
cmp_ok($works, '>=', 0.97 * $of, "$works of them work");
ok($status, 'left is what known_contexts.txt says') or diag($contexts);

# Resolution is half of it: an encrypted operand must not make sealed text of a result
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal;
	CREATE TABLE pay (name encrypted_text, salary encrypted_int4, born encrypted_date, price encrypted_numeric);
	INSERT INTO pay VALUES (\'ada\', 5000, \'1815-12-10\', 1.5), (\'bob\', 3000, \'1970-01-01\', 2.25), (NULL, NULL, NULL, NULL)');
is($node->safe_psql('postgres', q{SELECT salary * 1.1, salary / 2, 2 * salary, round(price), price * 2, price + salary,
		extract(year FROM born), to_char(born, 'YYYY'), born + interval '1 day', born - date '1800-01-01',
		coalesce(salary, 0), name || '!', '<' || name || '>', name = 'ada'::name, salary = 5000::int8, salary < 5000.5
	FROM pay ORDER BY name LIMIT 1}),
	'5500.0|2500|10000|2|3.0|5001.5|1815|1815|1815-12-11 00:00:00|5821|5000|ada!|<ada>|t|t|t',
	'arithmetic over the types');
is($node->safe_psql('postgres', 'SELECT sum(salary), pg_typeof(sum(salary)), avg(salary), min(salary), max(born), min(name), sum(price), stddev(salary)::int,
		bit_or(salary), pg_typeof(bit_or(salary)), count(DISTINCT salary), sum(DISTINCT salary), percentile_cont(0.5) WITHIN GROUP (ORDER BY salary) FROM pay'),
	'8000|bigint|4000.0000000000000000|3000|1970-01-01|ada|3.75|1414|7096|integer|2|8000|4000', 'aggregates');
is($node->safe_psql('postgres', 'SELECT sum(salary) OVER (ORDER BY salary ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), lag(salary, 1, 0) OVER (ORDER BY salary),
		jsonb_object_agg(name, salary) OVER (ORDER BY salary) FROM pay WHERE name IS NOT NULL ORDER BY salary'),
	qq(3000|0|{"bob": 3000}\n8000|3000|{"ada": 5000, "bob": 3000}), 'over windows');
is($node->safe_psql('postgres', q{CREATE TABLE plain (i int, n numeric, t text, d date, ts timestamptz, b encrypted_int8, k encrypted_text);
	INSERT INTO plain (i, n, t, d, ts, b, k) SELECT price, salary, salary, born, born, salary, salary FROM pay WHERE name = 'ada';
	SELECT i, n, t, d, ts, b, k FROM plain}), '2|5000|5000|1815-12-10|1815-12-10 00:00:00+00|5000|5000', 'assignments');
isnt($node->psql('postgres', q{INSERT INTO pay (salary) VALUES (3000000000::int8)}), 0, 'an assignment checks the range as on the plain column');

$node->stop;
done_testing();
