# A server that is started without pgseal in shared_preload_libraries, and then with
# it again: meanwhile nothing touches rows with encrypted values, and nothing is lost.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('node');
$node->query('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE t (id int, v encrypted_text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i;
CREATE INDEX ON t USING sealed (v);
CREATE INDEX ON t (blind_index(v));
CREATE UNLOGGED TABLE u (id int, v encrypted_text);
INSERT INTO u VALUES (1, 'u');
CREATE INDEX ON u USING sealed (v)});

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
for my $statement (
	'SELECT v FROM t', 'SELECT v::text FROM t', q{INSERT INTO t VALUES (0, 'x')}, 'INSERT INTO t (id) VALUES (0)',
	'UPDATE t SET id = 0 WHERE id = 1', 'DELETE FROM t', 'CREATE INDEX ON t (v)', 'ALTER TABLE t ALTER v TYPE text',
	'CREATE TABLE copied AS SELECT v FROM t', 'COPY t TO STDOUT', 'VACUUM t', 'ANALYZE t', 'DELETE FROM pgseal.key_version')
{
	my ($code, undef, $err) = $node->psql('postgres', $statement);
	like($err, qr/pgseal must be loaded via "shared_preload_libraries"/, $statement);
}
# PostgreSQL asks pgseal for nothing here
is($node->psql('postgres', 'CREATE TABLE made (id int, v encrypted_text, many encrypted_int4[])'), 0, 'a table can be made');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pgseal'");
$node->restart;
is($node->query('postgres', q{SELECT count(*), count(*) FILTER (WHERE v = 'v' || id) FROM t}), '100|100', 'all rows are there');
is($node->query('postgres', q{SELECT misplaced, missing FROM pgseal.verify_index('t_v_idx')}), '0|0', 'and in the index');
is($node->query('postgres', 'SELECT v FROM u'), 'u', 'also of an unlogged table');

my $unkeyed = q{SELECT string_agg(object, ', ' ORDER BY object) FROM pgseal.check() WHERE status = 'invalid' AND detail LIKE 'It has no key%'};
is($node->query('postgres', $unkeyed), 'column public.made.many, column public.made.v', 'check() names columns that have no key');
$node->query('postgres', q{INSERT INTO made VALUES (1, 'x', '{1}');
ALTER TABLE made ALTER v TYPE encrypted_text, ALTER many TYPE encrypted_int4[]});
is($node->query('postgres', $unkeyed), '', 'what it says to do gives them one');
is($node->query('postgres', 'SELECT DISTINCT i.key FROM made, LATERAL (SELECT key FROM pgseal.inspect(v) UNION ALL SELECT key FROM pgseal.inspect(many[1])) i'),
	'public.made', 'by which their values are sealed');

# An unlogged table after a crash: empty, and its index is one
$node->stop('immediate');
$node->start;
is($node->query('postgres', 'SELECT count(*) FROM u'), 0, 'after a crash an unlogged table is empty');
is($node->query('postgres', q{INSERT INTO u VALUES (2, 'again'); SET enable_seqscan = off; SELECT id FROM u WHERE v >= 'a'}), 2, 'and can be used');

done_testing();
