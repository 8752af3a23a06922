# The sealed index on the disk: what its file and the WAL show, what a crash
# leaves, and a standby.

use strict;
use warnings;

use PgsealScan qw(chi_square scan_bytes);
use PostgreSQL::Test::Utils;
use Test::More;

use SealedNode;

my $node = SealedNode->started('sealed_files', allows_streaming => 1, conf => q{
autovacuum = off
wal_level = replica
checkpoint_timeout = 1h
full_page_writes = off
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE t (id int, n encrypted_int4, v encrypted_text);
INSERT INTO t SELECT i, i * 3, 'lingonberry ' || i FROM generate_series(1, 20000) i;
SET maintenance_work_mem = '1MB';
CREATE INDEX t_n ON t USING sealed (n);
CREATE INDEX t_v ON t USING sealed (v);
CREATE TABLE grown (id int, n encrypted_int4);
CREATE INDEX grown_n ON grown USING sealed (n);
INSERT INTO grown SELECT i, (i * 7919) % 20000 * 3 FROM generate_series(1, 20000) i;
CREATE TABLE parts (id int, v encrypted_text, d encrypted_jsonb);
INSERT INTO parts SELECT i, 'lingonberry ' || i, jsonb_build_object('lingonberry', i) FROM generate_series(1, 3000) i;
CREATE INDEX parts_v ON parts USING sealed (v sealed_trgm_ops);
CREATE INDEX parts_d ON parts USING sealed (d);
INSERT INTO parts SELECT i, 'lingonberry ' || i, jsonb_build_object('lingonberry', i) FROM generate_series(3001, 3500) i;
CHECKPOINT});

#
# The file
#
sub file_of { return $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_[0]')") }

# The bytes of all nodes, without page headers and the metapage
sub nodes_of
{
	my ($index) = @_;
	my $bytes = slurp_file(file_of($index));
	my $nodes = '';

	$nodes .= substr($bytes, $_ * 8192 + 24, 8168) for 1 .. length($bytes) / 8192 - 2;
	return $nodes;
}

for my $index (qw(t_n t_v grown_n))
{
	unlike(slurp_file(file_of($index)), $SealedNode::PLAINTEXT, "$index: no plaintext in the file");
	# Slots in a block, as the metapage says
	my $slots = $index eq 't_v' ? 2 : 8;
	is(unpack('V', substr(slurp_file(file_of($index)), 36, 4)), $slots, "$index: nodes of the size that is best for its type");
	# Of each slot what is sealed: nonce, tag and ciphertext
	my ($slot, $sealed) = (8168 / $slots, '');
	my $nodes = nodes_of($index);
	$sealed .= substr($nodes, $_ * $slot + 12, $slot - 12) for 0 .. int(length($nodes) / $slot) - 1;
	my $chi = chi_square($sealed);
	cmp_ok($chi, '<', 400, "$index: its bytes are as random ones ($chi)");
	# A free slot is all zeroes; no written one shares a block of 16 bytes with another
	my %blocks;
	$blocks{$_}++ for unpack('(a16)*', $sealed);
	is(scalar(grep { $_ > 1 } values %blocks), 0, "$index: no block of bytes occurs twice");
}

# Of terms: nodes behind the blocks of pending rows, which have a header for each row
for my $index (qw(parts_v parts_d))
{
	my $bytes = slurp_file(file_of($index));
	unlike($bytes, $SealedNode::PLAINTEXT, "$index: no plaintext in the file");
	my $pending = 0;
	my $sealed = '';
	my %blocks;

	for my $block (1 .. 32)
	{
		my $page = substr($bytes, $block * 8192, 8192);
		my ($lower) = unpack('x12 S', $page);
		for (my $offset = 24; $offset < $lower;)
		{
			my ($len) = unpack("x$offset S", $page);
			is(($len - 42) % 64, 0, "$index: a record is padded") if $pending++ < 3;
			$sealed .= substr($page, $offset + 14, $len - 14);
			$blocks{$_}++ for unpack('(a16)*', substr($page, $offset + 42, $len - 42));
			$offset += $len;
		}
	}
	is($pending, 500, "$index: 500 rows wait");
	my $chi = chi_square($sealed);
	cmp_ok($chi, '<', 400, "$index: pending rows are as random bytes ($chi)");
	is(scalar(grep { $_ > 1 } values %blocks), 0, "$index: no block of bytes occurs twice");
	$sealed = '';
	for my $block (33 .. length($bytes) / 8192 - 2)
	{
		$sealed .= substr($bytes, $block * 8192 + 24 + $_ * 2042 + 12, 2030) for 0 .. 3;
	}
	$chi = chi_square($sealed);
	cmp_ok($chi, '<', 400, "$index: nodes are as random bytes ($chi)");
}

#
# The WAL: which node is written tells no order
#

# Spearman's rank correlation of two lists
sub correlation
{
	my (@x) = @{ $_[0] };
	my (@y) = @{ $_[1] };
	my $ranks = sub {
		my @values = @_;
		my %seen;
		my @order = sort { $values[$a] <=> $values[$b] } 0 .. $#values;
		my @rank;
		for (my $i = 0; $i < @order;)
		{
			my $j = $i;
			$j++ while $j < @order && $values[ $order[$j] ] == $values[ $order[$i] ];
			$rank[ $order[$_] ] = ($i + $j - 1) / 2 for $i .. $j - 1;
			$i = $j;
		}
		return @rank;
	};
	my @a = $ranks->(@x);
	my @b = $ranks->(@y);
	my $mean = $#a / 2;
	my ($xy, $xx, $yy) = (0, 0, 0);

	for my $i (0 .. $#a)
	{
		$xy += ($a[$i] - $mean) * ($b[$i] - $mean);
		$xx += ($a[$i] - $mean)**2;
		$yy += ($b[$i] - $mean)**2;
	}
	return $xy / sqrt($xx * $yy);
}

# Inserts values in ascending order and tells which place each one changed
sub places
{
	my ($table, $index, @values) = @_;
	my $file = $node->safe_psql('postgres', "SELECT pg_relation_filenode('$index')");
	my $start = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', join '', map { "INSERT INTO $table (id, n) VALUES (0, $_);\n" } @values);
	my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
	my ($stdout, $stderr) = run_command([ 'pg_waldump', '-p', $node->data_dir . '/pg_wal', '-s', $start, '-e', $end, '-r', 'Generic' ]);
	my @places;

	for my $line (split /\n/, $stdout)
	{
		my ($high, $low, $block) = $line =~ m{ lsn: (\w+)/(\w+), .*rel \d+/\d+/$file blk (\d+)$} or next;
		my $at = hex($low) % 2**24;
		# Headers of the record and its block, then where the changed bytes begin: with a slot.  What
		# the page of the WAL has no room for is left out
		next if $block == 0 || $at % 8192 + 46 > 8192;
		my $segment = sprintf('%s/pg_wal/00000001%08X%08X', $node->data_dir, hex($high), hex($low) >> 24);
		my $offset = unpack('S', substr(slurp_file($segment, $at), 44, 2));
		push @places, $block * 8 + ($offset - 24) / 1021;
	}
	return @places;
}

for my $case ([ 't', 't_n' ], [ 'grown', 'grown_n' ])
{
	my ($table, $index) = @$case;
	my @values = map { $_ * 150 + 1 } 1 .. 400;
	my @places = places($table, $index, @values);
	cmp_ok(scalar(@places), '>=', 350, "$index: writes are seen in the WAL");
	my $n = @places < @values ? @places : @values;
	my $rho = correlation([ @places[ 0 .. $n - 1 ] ], [ @values[ 0 .. $n - 1 ] ]);

	# A node takes several neighbours, so it is the nodes that lie at random: of so many, the
	# deviation of the correlation is this
	my %nodes = map { $_ => 1 } @places;
	my $deviation = 1 / sqrt(keys(%nodes) - 1);
	cmp_ok($deviation, '<', 0.15, "$index: enough nodes are written ($deviation)");
	cmp_ok(abs($rho), '<', 4.5 * $deviation, sprintf('%s: places do not tell the order (%.3f)', $index, $rho));
}

#
# A standby
#
$node->backup('base');
my $standby = SealedNode->new('sealed_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "pgseal.keyring_file = '" . $node->keyring . "'");
$standby->start;
$node->safe_psql('postgres', q{
INSERT INTO t SELECT i, i * 3, 'lingonberry ' || i FROM generate_series(20001, 26000) i;
DELETE FROM t WHERE id % 11 = 0;
VACUUM t});
$node->wait_for_catchup($standby, 'replay');
my $question = q{SET enable_seqscan = off; SELECT count(*), sum(id) FROM t WHERE n BETWEEN 300 AND 60500 AND v > 'lingonberry 2'};
is($standby->safe_psql('postgres', $question), $node->safe_psql('postgres', $question), 'a standby answers by the index');
for my $index (qw(t_n t_v))
{
	is($standby->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$index is sound on the standby");
}
$standby->stop;

#
# Crashes
#
my $script = $node->basedir . '/load.sql';
append_to_file($script, <<'SQL');
\set v random(1, 1000000)
\set d random(1, 26000)
INSERT INTO t VALUES (:v, :v, 'lingonberry ' || :v);
UPDATE t SET n = :v WHERE id = :d;
DELETE FROM t WHERE id = :d + 1;
SQL
for my $round (1, 2)
{
	my ($out, $err) = ('', '');
	my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '30', '-f', $script, $node->connstr('postgres') ], '<', \'', '>', \$out, '2>', \$err);
	sleep 3;
	$node->safe_psql('postgres', 'CHECKPOINT') if $round == 2;
	sleep 1;
	$node->stop('immediate');
	IPC::Run::finish($load);
	$node->start;
	for my $index (qw(t_n t_v))
	{
		is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "crash $round: $index has every row");
	}
}
$node->safe_psql('postgres', 'VACUUM t');
is($node->safe_psql('postgres', q{SELECT entries = (SELECT count(*) FROM t) FROM pgseal.verify_index('t_n')}), 't', 'and no other after VACUUM');

$node->stop;
done_testing();
