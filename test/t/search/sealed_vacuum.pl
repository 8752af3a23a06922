# VACUUM of a sealed index that grows meanwhile, by more than a block.  And rows that come
# where others were: among those of their key, of which there are hundreds, or of keys that
# are equal, but of other bytes.
#
# VACUUM counts the nodes, visits them block by block, and counts again at the end: the
# last block it has seen in part, and what has come since begins in the midst of it.
# It is made slow, and rows come while it is known to be in the index.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('sealed_vacuum', conf => q{
jit = off
autovacuum = off
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE FUNCTION some_text() RETURNS text LANGUAGE sql VOLATILE AS
$$SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 16)$$;
CREATE TABLE t (id int, v encrypted_text) WITH (autovacuum_enabled = off);
-- Many blocks of the index to few of the table
CREATE INDEX t_v ON t USING sealed (v sealed_trgm_ops) WITH (node_size = 1024, pending_pages = 0);
INSERT INTO t SELECT g, some_text() FROM generate_series(1, 120) g;
SQL

sub in_index
{
	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_progress_vacuum WHERE phase = 'vacuuming indexes'") eq '1';
}

# True when VACUUM was in the index before the first row came and after the last
sub grow_beside_vacuum
{
	my ($round, $delay) = @_;
	my ($out, $err) = ('', '');
	my $began = 0;

	$node->safe_psql('postgres', "DELETE FROM t WHERE id % 100 = $round");
	my $vacuum = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "SET vacuum_cost_delay = $delay", '-c', 'SET vacuum_cost_limit = 1', '-c', 'VACUUM (INDEX_CLEANUP on) t', '-c', "SELECT 'done'" ],
		'>', \$out, '2>', \$err);
	$vacuum->pump_nb until $began = in_index() or $out =~ /done/ or $err ne '';
	$node->safe_psql('postgres', 'INSERT INTO t SELECT g, some_text() FROM generate_series(1, 15) g');
	my $lasted = in_index();
	$vacuum->finish;
	is($err, '', "round $round: no error in VACUUM");
	is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('t_v')"), '0|0', "round $round: the index is sound");
	return $began && $lasted;
}

my $met = 0;
my $delay = 10;
for my $round (1 .. 12)
{
	if (grow_beside_vacuum($round, $delay)) { $met++; }
	elsif ($delay < 80) { $delay *= 2; }
	last if $met >= 2;
}
ok($met >= 1, 'rows came while VACUUM was in the index');

$node->safe_psql('postgres', <<'SQL');
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE among (id int, i encrypted_int4, n encrypted_numeric, t encrypted_text, c encrypted_text COLLATE ignore_case, p int) WITH (autovacuum_enabled = off);
CREATE INDEX among_i ON among USING sealed (i DESC);
CREATE INDEX among_8kb ON among USING sealed (i) WITH (node_size = 8192);
CREATE INDEX among_n ON among USING sealed (n);
CREATE INDEX among_t ON among USING sealed (t);
CREATE INDEX among_c ON among USING sealed (c);
CREATE INDEX among_pi ON among USING sealed (p, i, t);
CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS
$$INSERT INTO among SELECT g, nullif(random() * 20, 7)::int, (ARRAY['1', '1.0', '1.00', '2', '2.0', 'NaN', NULL])[1 + (random() * 6)::int]::numeric,
	repeat('x', (random() * 400)::int % 300) || (random() * 50)::int, (ARRAY['a', 'A', 'b', 'B', 'aB', 'Ab'])[1 + (random() * 5)::int], random() * 5
FROM generate_series(1, 1500) g$$;
SQL
for my $round (0 .. 3)
{
	$node->safe_psql('postgres', "SELECT fill(); DELETE FROM among WHERE id % 3 = $round % 3");
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) among') if $round % 2;
}
for my $index (qw(among_i among_8kb among_n among_t among_c among_pi))
{
	is($node->safe_psql('postgres', "SELECT entries = rows, misplaced, missing FROM pgseal.verify_index('$index')"), 't|0|0', "$index: rows among others");
}
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT count(*) FROM among WHERE $_"),
	$node->safe_psql('postgres', "SET enable_indexscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM among WHERE $_"), "$_: as many as there are")
	for 'i = 3', 'i BETWEEN 5 AND 9', 'i IS NULL', 'n = 1', 'n > 1', q{c = 'Ab'}, 'p = 2 AND i = 4';

$node->stop;
done_testing();
