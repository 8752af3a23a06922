# The sealed index where it is used in unusual ways: several columns in either direction,
# cursors that turn round, merge joins, parallel plans, each beside a plain twin; and where
# a process is killed amid inserts, splits and VACUUM: pgseal.verify_index() finds every row.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->new('faults');
$node->init(allows_streaming => 1, extra => ['--wal-segsize=1']);
$node->without_checksums;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
restart_after_crash = on
wal_log_hints = on
wal_keep_size = 512MB
jit = off
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE p (id int, n int, team int, v text);
CREATE TABLE s (id int, n encrypted_int4, team int, v encrypted_text);
INSERT INTO p SELECT i, CASE WHEN i % 17 > 0 THEN i * 7919 % 500 END, CASE WHEN i % 13 > 0 THEN i % 5 END, 'v' || i % 300 FROM generate_series(1, 3000) i;
INSERT INTO s SELECT * FROM p;
SQL

sub answers
{
	my ($table, $script) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;\n" . ($script =~ s/\bT\b/$table/gr));
	return $code ? $err : $out;
}

#
# Directions
#
my @orders = map { my $n = $_; map { ("$n, $_") } ('team', 'team DESC', 'team NULLS FIRST', 'team DESC NULLS LAST') } ('n', 'n DESC', 'n NULLS FIRST', 'n DESC NULLS LAST');
for my $order (@orders)
{
	my $turned = join ', ', map {
		my $desc = /DESC/ ? '' : ' DESC';
		my $first = /NULLS/ ? /FIRST/ : /DESC/;
		/^(\w+)/; "$1$desc NULLS " . ($first ? 'LAST' : 'FIRST')
	} split /, /, $order;
	$node->safe_psql('postgres', "DROP INDEX IF EXISTS p_i, s_i; CREATE INDEX p_i ON p ($order); CREATE INDEX s_i ON s USING sealed ($order) WITH (node_size = 1024)");
	# Of equal rows the order isn't told: what they have in common is
	my $script = join ";\n", map { "SELECT string_agg(coalesce(n::text, '-') || ' ' || coalesce(team::text, '-'), ',') FROM (SELECT n, team FROM T $_) x" }
	  ("ORDER BY $order", "ORDER BY $turned", "WHERE n = 77 ORDER BY $order", "WHERE n > 470 AND team < 3 ORDER BY $turned", "WHERE n BETWEEN 100 AND 120 AND team >= 2 ORDER BY $order LIMIT 7",
		"WHERE n IS NULL ORDER BY $order", "WHERE n IS NOT NULL AND team IS NULL ORDER BY $turned LIMIT 50");
	is(answers('s', $script), answers('p', $script), "index ($order)");
	is(() = $node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; EXPLAIN SELECT * FROM s ORDER BY $order; EXPLAIN SELECT * FROM s ORDER BY $turned") =~ /Index Scan (?:Backward )?using s_i/g,
		2, 'by the index, forwards and backwards');
}

#
# Cursors that turn round, within a leaf and beyond, at both ends
#
$node->safe_psql('postgres', 'DROP INDEX p_i, s_i; CREATE INDEX p_n ON p (n); CREATE INDEX s_n ON s USING sealed (n) WITH (node_size = 1024); CREATE INDEX s_v ON s USING sealed (v) WITH (node_size = 1024); CREATE INDEX p_v ON p (v COLLATE "C")');
srand(15);
my $cursor = "BEGIN;\nDECLARE c SCROLL CURSOR FOR SELECT n FROM T WHERE n BETWEEN 20 AND 480 ORDER BY n;\n";
$cursor .= ('FETCH ALL', 'FETCH BACKWARD ALL', 'FETCH NEXT', 'FETCH PRIOR', 'FETCH LAST', 'FETCH FIRST', 'FETCH 3', 'FETCH BACKWARD 5', 'FETCH 400', 'FETCH BACKWARD 390', 'MOVE 700', 'FETCH RELATIVE -1',
	'FETCH ABSOLUTE 250', 'FETCH ABSOLUTE -30', 'FETCH 0')[ rand 15 ] . " IN c;\n" for 1 .. 300;
$cursor .= "COMMIT;\n";
is(answers('s', $cursor), answers('p', $cursor), 'cursors turn round as over a btree');
like($node->safe_psql('postgres', 'SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; EXPLAIN DECLARE c SCROLL CURSOR FOR SELECT n FROM s WHERE n BETWEEN 20 AND 480 ORDER BY n'), qr/Index Scan using s_n/, 'by the index');

#
# Merge joins (which go back in the inner side), and parallel plans beside
#
my $merge = 'SET enable_hashjoin = off; SET enable_nestloop = off; ';
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
for my $set ($merge, 'SET enable_mergejoin = off; SET enable_hashjoin = off; ', "SET $parallel = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; ")
{
	my $script = $set . 'SELECT count(*), sum(a.id::bigint * b.id) FROM T a JOIN T b ON a.n = b.n WHERE a.n < 60; SELECT count(*), sum(a.id::bigint * b.id) FROM T a LEFT JOIN T b ON a.n = b.n AND a.n > 450;
		SELECT count(*), sum(id) FROM T WHERE n > 100 AND n < 300';
	is(answers('s', $script), answers('p', $script), "joined: $set");
}
like($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; $merge EXPLAIN SELECT * FROM s a JOIN s b ON a.n = b.n"), qr/Merge Join.*s_n/s, 'a merge join by the index');

sub sound
{
	my ($what, $on) = @_;
	for my $index ('s_n', 's_v')
	{
		is(($on // $node)->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$what: $index has every row");
	}
	return;
}
my $load_file = $node->basedir . '/load.sql';
append_to_file($load_file, <<'SQL');
\set i random(1, 1000000)
INSERT INTO s SELECT :i + g, :i + g, g % 5, 'v' || :i + g FROM generate_series(1, 50) g;
DELETE FROM s WHERE id BETWEEN :i AND :i + 100;
SQL
my $vacuum_file = $node->basedir . '/vacuum.sql';
append_to_file($vacuum_file, "VACUUM s;\n");

sub load
{
	my (%scripts) = @_;
	my @runs;
	while (my ($file, $clients) = each %scripts)
	{
		my ($out, $err) = ('', '');
		push @runs, { handle => IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-T', 120, '-f', $file, $node->connstr('postgres') ], '<', \'', '>', \$out, '2>', \$err) };
	}
	return @runs;
}
sub grown { $node->poll_query_until('postgres', "SELECT pg_relation_size('s_v') > $_[0]") or die 'the index does not grow' }
sub size { return $node->safe_psql('postgres', "SELECT pg_relation_size('s_v')") }

#
# kill -9 of a backend amid inserts, splits and VACUUM
#
for my $round (1, 2)
{
	my $before = size();
	my @runs = load($load_file => 3, $vacuum_file => 1);
	grown($before + 40_000);
	my $victim = $round == 2 ? "query LIKE 'VACUUM%'" : "query LIKE 'INSERT%'";
	my $pid = '';
	for (1 .. 1800)
	{
		$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND $victim LIMIT 1");
		last if $pid ne '';
		select undef, undef, undef, 0.1;
	}
	kill 'KILL', $pid if $pid ne '';
	$_->{handle}->finish for @runs;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	sound("kill -9, round $round");
}

$node->stop;
done_testing();
