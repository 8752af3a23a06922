# verify_index() opens every node: one damaged byte is found wherever it lies, in leaves
# and above them.  And it finds rows that the index lacks, also in several parts.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->new('sealed_verify');
$node->init;
$node->without_checksums;
$node->append_conf('postgresql.conf', <<CONF);
jit = off
fsync = off
autovacuum = off
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id int, v encrypted_int4);
INSERT INTO t SELECT g, g FROM generate_series(1, 1500) g;
CREATE INDEX t_0 ON t USING sealed (v) WITH (node_size = 1024);
CREATE TABLE d (v encrypted_text);
CREATE INDEX d_v ON d USING sealed (v sealed_trgm_ops) WITH (pending_pages = 2);
INSERT INTO d SELECT string_agg(md5((g * 1000 + h)::text), '') FROM generate_series(1, 120) g, generate_series(1, 40) h GROUP BY g;
SQL

# Nodes of 1024 bytes lie eight to a block behind the metapage; as many indexes as t_0
# has nodes, a leaf or not, and in each another is damaged
my $leaves = $node->safe_psql('postgres', "SELECT leaves FROM pgseal.verify_index('t_0')");
cmp_ok($leaves, '>', 4, 'there is more than one leaf');
my $nodes = $leaves + 1;
$node->safe_psql('postgres', join ';', map { "CREATE INDEX t_$_ ON t USING sealed (v) WITH (node_size = 1024)" } 1 .. $nodes);
my %file = map { $_ => $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('t_$_')") } 1 .. $nodes;
$node->stop;
for my $damaged (1 .. $nodes)
{
	my ($place, $byte) = ($damaged - 1, '');
	my $offset = 8192 * (1 + int($place / 8)) + 24 + ($place % 8) * 1021 + 500;

	open my $file, '+<:raw', $file{$damaged} or die $!;
	seek $file, $offset, 0;
	read $file, $byte, 1;
	seek $file, $offset, 0;
	print $file chr(ord($byte) ^ 1);
	close $file;
}
$node->start;
for my $damaged (1 .. $nodes)
{
	my ($ret, $out, $err) = $node->psql('postgres', "SELECT * FROM pgseal.verify_index('t_$damaged')");
	like($err, qr/block \d+ of sealed index "t_$damaged" failed authentication/, "node $damaged of $nodes");
}
$node->safe_psql('postgres', 'REINDEX INDEX t_1');
is($node->safe_psql('postgres', "SELECT misplaced, rows, missing FROM pgseal.verify_index('t_1')"), '0|1500|0', 'REINDEX makes it anew');

# Rows of a table that has become another behind the index's back
my $in_parts = "SET maintenance_work_mem = '1MB'; SELECT misplaced, rows, missing FROM pgseal.verify_index('d_v')";
is($node->safe_psql('postgres', $in_parts), '0|120|0', 'in parts, pending rows as well');
$node->safe_psql('postgres', <<'SQL');
SET allow_system_table_mods = on;
UPDATE pg_index SET indisready = false WHERE indexrelid = 'd_v'::regclass;
INSERT INTO d SELECT 'not in the index ' || g FROM generate_series(1, 7) g;
UPDATE pg_index SET indisready = true WHERE indexrelid = 'd_v'::regclass;
SQL
is($node->safe_psql('postgres', $in_parts), '0|127|7', 'rows that the index lacks are counted, in parts');
is($node->safe_psql('postgres', "SELECT misplaced, rows, missing FROM pgseal.verify_index('d_v')"), '0|127|7', 'and at once');

$node->stop;
done_testing();
