# The disk is full where a sealed index needs another block: while it grows, at each level
# of the tree, as pending rows are merged, and as it is built.  The statement fails with
# PostgreSQL's error, nothing is damaged, and with space again all goes on.
#
# Done by LD_PRELOAD (test/module/full_disk.c); needs a C compiler.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $library = "$dir/full_disk.so";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/../../module/full_disk.c");

# The disk is full from the number-th time on that a file grows whose path has this part
sub full_at
{
	my ($number, $part) = @_;
	open(my $file, '>', "$dir/full.new") or die "open: $!";
	printf $file "%-8d%s\n", $number, $part;
	close($file) or die "close: $!";
	rename "$dir/full.new", "$dir/full" or die "rename: $!";
	return;
}
sub was_full { return slurp_file("$dir/full") =~ /^1 / }
full_at(0, 'none');

my $node = SealedNode->new('full_disk');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
jit = off
max_parallel_maintenance_workers = 0
CONF
sub start
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_FULL_DISK} = "$dir/full";
	$node->start;
	return;
}
start();

# A node a block, and few keys in a node: there are many splits, at several levels
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE p (id int, k text COLLATE "C");
CREATE TABLE s (id int, k encrypted_text COLLATE "C");
CREATE INDEX p_k ON p (k);
CREATE INDEX s_k ON s USING sealed (k) WITH (node_size = 8192);
CREATE TABLE pt (id int, v text);
CREATE TABLE st (id int, v encrypted_text);
CREATE INDEX st_v ON st USING sealed (v sealed_trgm_ops) WITH (node_size = 8192, pending_pages = 6);
SQL
sub file_of { return $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_[0]')") }
sub sound
{
	my ($index, $what) = @_;
	return is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$what: every row is in $index");
}
my $no_space = qr/ERROR:.*(No space left on device|wrote only \d+ of \d+ bytes)/s;

#
# An index that grows
#
my %grows = (
	s_k => {
		plain => 'p', table => 's',
		rows => sub { my ($from, $num) = @_; "SELECT i, lpad(((i::bigint * 7919) % 100003)::text, 900, 'x') FROM generate_series($from, $from + $num - 1) i" },
		question => 'SELECT count(*), sum(id), md5(string_agg(id::text, \',\' ORDER BY id)) FROM T WHERE k BETWEEN lpad(\'20000\', 900, \'x\') AND lpad(\'70000\', 900, \'x\')',
	},
	st_v => {
		plain => 'pt', table => 'st',
		rows => sub { my ($from, $num) = @_; "SELECT i, string_agg(md5((i * 1000 + j)::text), '') FROM generate_series($from, $from + $num - 1) i, generate_series(1, 8) j GROUP BY i" },
		question => 'SELECT count(*), sum(id) FROM T WHERE v LIKE \'%abc%\' OR v LIKE \'%77e%\'',
	});
for my $index (sort keys %grows)
{
	my %grow = %{ $grows{$index} };
	my ($failed, $other, $next) = (0, 0, 1);
	for my $round (1 .. 36)
	{
		my $rows = $grow{rows}->($next, 25);
		full_at(1 + $round % 4, file_of($index));
		my ($code, $out, $err) = $node->psql('postgres', "INSERT INTO $grow{table} $rows");
		if ($code)
		{
			$failed++;
			$other++, diag($err) if $err !~ $no_space;
			# Readers need no space
			sound($index, "$index: full the ${failed}th time") if $failed % 8 == 1;
			full_at(0, 'none');
			$node->safe_psql('postgres', "INSERT INTO $grow{table} $rows");
		}
		full_at(0, 'none');
		$node->safe_psql('postgres', "INSERT INTO $grow{plain} $rows");
		$next += 25;
		if ($round % 12 == 0)
		{
			$node->stop('immediate') if $round == 24;
			start() if $round == 24;
			sound($index, "$index: after round $round");
			my @answers = map { $node->safe_psql('postgres', 'SET enable_seqscan = off; ' . $grow{question} =~ s/\bT\b/$_/r) } @grow{qw(plain table)};
			is($answers[1], $answers[0], "$index: after round $round, the answers of a plain table");
			$node->safe_psql('postgres', "VACUUM $grow{table}");
			sound($index, "$index: after VACUUM");
		}
	}
	cmp_ok($failed, '>', 12, "$index: the disk was full $failed times");
	is($other, 0, "$index: each time the reason is told");
	like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN " . $grow{question} =~ s/\bT\b/$grow{table}/r), qr/Index Scan (using|on) $index/, "$index: by the index");
}
is($node->safe_psql('postgres', "SELECT entries = (SELECT count(*) FROM s) FROM pgseal.verify_index('s_k')"), 't', 's_k: no entry of what failed is left');

#
# An index that is built, and built anew
#
for my $index ('s_k', 'st_v')
{
	my ($table, $column) = $index eq 's_k' ? ('s', '(k) WITH (node_size = 8192)') : ('st', '(v sealed_trgm_ops) WITH (node_size = 8192)');
	for my $case ([ "base/", 1 ], [ "base/", 5 ], [ "base/", 30 ], [ 'pgsql_tmp', 1 ], [ 'pgsql_tmp', 2 ])
	{
		my ($part, $number) = @$case;
		my $files = join ',', sort glob($node->data_dir . '/base/*/*');
		for my $statement ("CREATE INDEX built ON $table USING sealed $column", "REINDEX INDEX $index", "REINDEX INDEX CONCURRENTLY $index")
		{
			my $old = file_of($index);
			full_at($number, $part);
			my ($code, $out, $err) = $node->psql('postgres', "SET maintenance_work_mem = '1MB'; $statement");
			my $full = was_full();
			full_at(0, 'none');
			my $what = "$statement, full at $part $number";
			ok($full && $code, "$what: fails") or diag("full: $full, code: $code");
			like($err, $no_space, "$what: says why");
			is(file_of($index), $old, "$what: the old index stays");
			$node->safe_psql('postgres', "DROP INDEX IF EXISTS built, ${index}_ccnew, ${index}_ccnew1");
			sound($index, $what);
		}
	}
	$node->safe_psql('postgres', "REINDEX INDEX $index; REINDEX INDEX CONCURRENTLY $index");
	sound($index, "$index: with space again");
}
#
# The log says why, too, where a transaction has opened values and what is filled into
# messages is left out
#
{
	my $offset = -s $node->logfile;
	my $told = 0;
	for my $round (1 .. 4)
	{
		full_at(1, file_of('p'));
		my ($code, $out, $err) = $node->psql('postgres', "BEGIN; SELECT max(k::text) FROM s; INSERT INTO p SELECT i, repeat('x', 900) FROM generate_series(1, 1000) i");
		full_at(0, 'none');
		$told++ if $code && $err =~ /No space left on device/;
	}
	cmp_ok($told, '>', 0, "a table could not grow: the client is told $told times that there is no space");
	my @lines = slurp_file($node->logfile, $offset) =~ /ERROR:  could not extend file "%s"[^\n]*: No space left on device/g;
	is(scalar(@lines), $told, 'and so is the log, without what else was filled in');
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process died of it');

$node->stop;
done_testing();
