# encrypt_column() of values at the limit of the sealed index that their btree becomes:
# the longest goes through, and one byte more is refused before anything is copied.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use SealedNode;
use Test::More;

my $node = SealedNode->started('long_values', conf => 'autovacuum = off');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');

for my $type ('text', 'bytea')
{
	$node->safe_psql('postgres', <<SQL);
DROP TABLE IF EXISTS t;
CREATE TABLE t (id int PRIMARY KEY, v $type);
CREATE INDEX t_v ON t (v);
INSERT INTO t VALUES (1, repeat('x', 575)::$type), (2, repeat('y', 576)::$type), (3, NULL);
SQL
	my ($ret, $out, $err) = $node->psql('postgres', "CALL pgseal.encrypt_column('t', 'v')");
	like($err, qr/ERROR:  value of 576 bytes is too long for the sealed index that would replace index "t_v" \(at most 575\)/, "$type: a value that is too long is refused");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pgseal.progress_convert'), '0', "$type: nothing was begun");
	is($node->safe_psql('postgres', "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'"), $type, "$type: the column is what it was");

	$node->safe_psql('postgres', "DELETE FROM t WHERE id = 2; CALL pgseal.encrypt_column('t', 'v')");
	is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v >= repeat('x', 575)::$type"), '1', "$type: the longest goes through");
	($ret, $out, $err) = $node->psql('postgres', "INSERT INTO t VALUES (2, repeat('y', 576)::$type)");
	like($err, qr/too long for sealed index "t_v" \(at most 577\).*HINT:  Make it WITH \(node_size = 8192\)/s, "$type: and no longer one afterwards");
}

# Without the index
$node->safe_psql('postgres', <<'SQL');
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE INDEX t_v ON t (v);
INSERT INTO t VALUES (1, repeat('x', 2000));
DROP INDEX t_v;
CALL pgseal.encrypt_column('t', 'v');
SQL
my ($ret, $out, $err) = $node->psql('postgres', 'CREATE INDEX t_v ON t USING sealed (v) WITH (node_size = 8192)');
like($err, qr/too long.*HINT:  Use blind_index\(\) for equality, sealed_trgm_ops for patterns/s, 'of the greatest size of nodes the hint is another');
$node->safe_psql('postgres', 'CREATE INDEX t_v ON t USING sealed (v sealed_trgm_ops)');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v LIKE '%xxxx%'"), '1', 'what the hint says works');

$node->stop;
done_testing();
