# Together with extensions that hook in where pgseal does: pg_stat_statements,
# auto_explain, pgaudit; loaded before and after it.  Results are right, and what
# they log or keep has no value in it that the statement's own text hasn't.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

chomp(my $pkglibdir = `$ENV{PG_CONFIG} --pkglibdir`);
my @others = grep { -e "$pkglibdir/$_.so" } qw(pg_stat_statements auto_explain pgaudit);

for my $order ([ 'pgseal', @others ], [ reverse(@others), 'pgseal' ])
{
	my $libraries = join(', ', @$order);
	my $node = SealedNode->started($order->[0] eq 'pgseal' ? 'first' : 'last', preload => $libraries, conf => q{
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
pgaudit.log = 'all'
pgaudit.log_parameter = off
compute_query_id = on
});
	$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');
	for (@others)
	{
		$node->safe_psql('postgres', "CREATE EXTENSION $_") if $_ ne 'auto_explain';
	}
	$node->safe_psql('postgres', q{
		CREATE TABLE t (id int, v encrypted_text, n encrypted_int4);
		INSERT INTO t SELECT i, reverse('yranac') || i, 4710 + i FROM generate_series(1, 3) i;
		CREATE FUNCTION nested() RETURNS text LANGUAGE plpgsql AS
			$$ DECLARE r text; BEGIN SELECT v INTO r FROM t WHERE id = 1; RETURN r; END $$});

	is($node->safe_psql('postgres', 'SELECT v, n FROM t ORDER BY id'),
		"canary1|4711\ncanary2|4712\ncanary3|4713", "$libraries: SELECT");
	is($node->safe_psql('postgres', 'SELECT DISTINCT v FROM t WHERE n = 4712'), 'canary2', 'DISTINCT');
	is($node->safe_psql('postgres', 'WITH w AS (UPDATE t SET n = n + 1 RETURNING n) SELECT n FROM w UNION SELECT n FROM w ORDER BY 1'),
		"4712\n4713\n4714", 'data-modifying WITH');
	is($node->safe_psql('postgres', 'SELECT nested()'), 'canary1', 'function');
	is($node->safe_psql('postgres', 'PREPARE p (int) AS SELECT v FROM t WHERE id = $1; EXECUTE p (1); EXECUTE p (2)'),
		"canary1\ncanary2", 'EXECUTE');
	is($node->safe_psql('postgres', 'BEGIN; DECLARE c CURSOR FOR SELECT v FROM t ORDER BY id; FETCH 2 FROM c; COMMIT'),
		"canary1\ncanary2", 'cursor');
	like($node->safe_psql('postgres', 'EXPLAIN (ANALYZE, VERBOSE) SELECT v FROM t'), qr/open_result/, 'EXPLAIN');
	$node->safe_psql('postgres', q{INSERT INTO t VALUES (4, 'canary4', 4999)});
	$node->safe_psql('postgres', q{SELECT id FROM t WHERE v = 'canary4'});

	if (grep { $_ eq 'pg_stat_statements' } @others)
	{
		my $statements = $node->safe_psql('postgres', 'SELECT calls, query FROM pg_stat_statements');

		unlike($statements, qr/canary4|4999/, 'pg_stat_statements keeps no literal');
		like($statements, qr/INSERT INTO t VALUES \(\$1, \$2, \$3\)/, 'it normalizes them');
		$node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1; SELECT v FROM t WHERE id = 2');
		is($node->safe_psql('postgres', q{SELECT calls FROM pg_stat_statements WHERE query = 'SELECT v FROM t WHERE id = $1'}),
			2, 'it takes statements that differ in a constant for one');
	}
  SKIP:
	{
		skip 'pgaudit is not installed', 1 if !grep { $_ eq 'pgaudit' } @others;
		like(slurp_file($node->logfile), qr/AUDIT: SESSION,\d+,1,READ,SELECT/, 'pgaudit logs');
	}

	# The plans in the log, without the statements' texts
	my $log = slurp_file($node->logfile);
	my @plans = $log =~ /^\t +(.*)$/mg;
	ok(scalar(grep { /open_result/ } @plans), 'auto_explain logs plans');
	is(join("\n", grep { /canary\d|\b47\d\d\b/ && !/= 4712\)$|\(4710 \+/ } @plans), '',
		'with no value but those that the statements give as base types');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE (pgseal.inspect(v)).key = 'public.t'}), 4, 'all sealed');
	$node->stop;
}

done_testing();
