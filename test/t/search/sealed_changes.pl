# Ordered, trigram and path indexes while what they are on changes: rolled back in whole and
# in part, two-phase commit, keys that are rotated in what is rolled back, other types, files
# and partitions; and rows that VACUUM removes while a scan is on its way.
# Beside each encrypted column stands a plain one, and the answers must be the same.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('sealed_changes', conf => q{
jit = off
autovacuum = off
max_prepared_transactions = 2
});
my $columns = q{(id int, p int, v encrypted_int4('one'), s text COLLATE "C", x encrypted_text('one') COLLATE "C", j jsonb, d encrypted_jsonb('one'), n int)};
my @rows = qw(p v s x j d);

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('one'), pgseal.create_key('two');
CREATE TABLE t $columns;
ALTER TABLE t ADD PRIMARY KEY (id);
CREATE INDEX t_v ON t USING sealed (v);
CREATE INDEX t_x ON t USING sealed (x, v);
CREATE INDEX t_g ON t USING sealed (x sealed_trgm_ops);
CREATE INDEX t_d ON t USING sealed (d);
CREATE INDEX t_n ON t USING sealed (v DESC NULLS FIRST) WHERE n = 1;
CREATE FUNCTION fill(low int, high int) RETURNS void LANGUAGE sql AS
\$\$INSERT INTO t SELECT g, p, p, s, s, j, j, g % 3 FROM generate_series(low, high) g,
 LATERAL (SELECT nullif(g % 500, 7), 'w' || lpad((g * 7919 % 10007)::text, 6, '0'), jsonb_build_object('a', g % 100, 'b', 'x' || g % 31)) r (p, s, j)\$\$;
SELECT fill(1, 1500);
SQL

# Plain and encrypted
my @conditions = (
	[ 'p BETWEEN 100 AND 140', 'v BETWEEN 100 AND 140' ], [ 'p IS NULL', 'v IS NULL' ], [ 'p IN (1, 5, 400, 1200)', 'v IN (1, 5, 400, 1200)' ],
	[ 'p > 490 AND n = 1', 'v > 490 AND n = 1' ], [ q{s > 'w009000'}, q{x > 'w009000'} ], [ q{s LIKE '%123%'}, q{x LIKE '%123%'} ],
	[ q{s ~ '00(12|34)'}, q{x ~ '00(12|34)'} ], [ q{j @> '{"a": 5}'}, q{d @> '{"a": 5}'} ], [ q{j @? '$.a ? (@ == 7)'}, q{d @? '$.a ? (@ == 7)'} ]);

# What says, of a table, which conditions are answered otherwise by its indexes than by its
# plain columns, and which index is damaged: one query, as it is also put inside of transactions
sub differences
{
	my ($table) = @_;
	my @answers = map { my ($plain, $sealed) = @$_; map { "(SELECT array_agg(id ORDER BY id) FROM $table WHERE $_)" } $plain, $sealed } @conditions;
	my @different;

	push @different, sprintf('CASE WHEN %s IS DISTINCT FROM %s THEN %s END', $answers[ 2 * $_ ], $answers[ 2 * $_ + 1 ], "'$_ '") for 0 .. $#conditions;
	return "SET LOCAL enable_seqscan = off; SELECT concat(" . join(', ', @different) . "); SET LOCAL enable_bitmapscan = off; SELECT concat(" . join(', ', @different)
	  . "), (SELECT sum(misplaced + missing) FROM pg_index JOIN pg_class ON oid = indexrelid, LATERAL pgseal.verify_index(indexrelid) WHERE relkind = 'i' AND relam = (SELECT oid FROM pg_am WHERE amname = 'sealed'));"
	  . ' RESET enable_seqscan; RESET enable_bitmapscan;';
}
my $same = differences('t');

# Each SAME stands for the comparison, whose lines must say nothing and 0
sub same_in
{
	my ($what, $script, $table) = @_;
	my $compare = $table ? differences($table) : $same;
	my $count = () = $script =~ /SAME/g;
	my $out = $node->safe_psql('postgres', "\\o /dev/null\n" . $script =~ s/SAME/\n\\o\n$compare\n\\o \/dev\/null\n/gr);

	is($out, join("\n", ("\n|0") x $count), $what);
	return;
}

like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN SELECT id FROM t WHERE $_->[1]"), qr/(using|on) t_/, "$_->[1]: by an index") for @conditions;

same_in(@$_) for (
	[ 'subtransactions', 'BEGIN; SAVEPOINT a; SELECT fill(5001, 5500); ROLLBACK TO a; SELECT fill(6001, 6100); SAVEPOINT b; DELETE FROM t WHERE id < 200; ROLLBACK TO b; SAME COMMIT; BEGIN; SAME COMMIT;' ],
	[ 'TRUNCATE rolled back', 'BEGIN; TRUNCATE t; SELECT fill(1, 50); SAME ROLLBACK; BEGIN; SELECT fill(9001, 9050); SAVEPOINT a; TRUNCATE t; SELECT fill(1, 300); ROLLBACK TO a; SAME SELECT fill(9101, 9150); COMMIT; BEGIN; SAME COMMIT;' ],
	[ 'DROP INDEX rolled back', 'BEGIN; SAVEPOINT a; DROP INDEX t_v, t_x, t_g, t_d; SELECT fill(12001, 12100); ROLLBACK TO a; SELECT fill(13001, 13100); SAME COMMIT; BEGIN; SAME COMMIT;' ],
	[ 'REINDEX rolled back', 'BEGIN; SELECT fill(15001, 15050); SAVEPOINT a; REINDEX TABLE t; SELECT fill(15101, 15200); SAME ROLLBACK TO a; SELECT fill(15201, 15300); SAME COMMIT; BEGIN; REINDEX INDEX t_g; SELECT fill(15401, 15500); ROLLBACK; BEGIN; SAME COMMIT;' ],
	[ 'CLUSTER rolled back', 'BEGIN; CLUSTER t USING t_pkey; SELECT fill(16001, 16100); SAME ROLLBACK; CLUSTER t USING t_pkey; BEGIN; SAME COMMIT;' ],
	[ 'rotations rolled back', q{BEGIN; SAVEPOINT s; SELECT pgseal.rotate_key('one'), pgseal.rotate_index_key('one'); SELECT fill(18001, 18100); REINDEX INDEX t_g; SAME ROLLBACK TO s; SELECT fill(18201, 18300); SAME COMMIT;
BEGIN; SELECT pgseal.rotate_index_key('one'); REINDEX TABLE t; SELECT fill(19001, 19100); ROLLBACK; SELECT fill(19201, 19300); BEGIN; SAME COMMIT;} ],
	[ 'a rotation, and a retirement rolled back', q{SELECT pgseal.rotate_index_key('one'); SELECT fill(20001, 20100); BEGIN; SELECT pgseal.retire_index_key('one'); SAME ROLLBACK; BEGIN; SAME COMMIT;} ],
	[ 'two-phase commit', q{BEGIN; CREATE INDEX t_2 ON t USING sealed (v, n); SELECT fill(21001, 21100); PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; BEGIN; SELECT fill(22001, 22100); DELETE FROM t WHERE id BETWEEN 21001 AND 21005; PREPARE TRANSACTION 'x'; ROLLBACK PREPARED 'x'; DROP INDEX t_2; BEGIN; SAME COMMIT;} ],
	[ 'another type', q{BEGIN; ALTER TABLE t ALTER v TYPE encrypted_numeric('one') USING v::int; SELECT fill(23001, 23050); SAME ROLLBACK; BEGIN; SAME COMMIT;} ],
	[ 'another key', q{BEGIN; DROP INDEX t_x; ALTER TABLE t ALTER v TYPE encrypted_int8('two') USING v::int; SAME ROLLBACK; BEGIN; SAME COMMIT;} ],
	[ 'another collation', q{ALTER TABLE t ALTER x TYPE encrypted_text('one') COLLATE "en-US-x-icu"; ALTER TABLE t ALTER x TYPE encrypted_text('one') COLLATE "C"; BEGIN; SAME COMMIT;} ],
	[ 'unlogged and back', 'ALTER TABLE t SET UNLOGGED; BEGIN; SAME COMMIT; ALTER TABLE t SET LOGGED; BEGIN; SAME COMMIT;' ],
	[ 'other options', 'ALTER INDEX t_v SET (node_size = 2048); ALTER INDEX t_g SET (pending_pages = 0); SELECT fill(24001, 24100); BEGIN; SAME COMMIT; ALTER INDEX t_g SET (pending_pages = 64); VACUUM FULL t; SELECT fill(24101, 24200); BEGIN; SAME COMMIT;' ],
	[ 'REINDEX CONCURRENTLY', 'REINDEX TABLE CONCURRENTLY t; BEGIN; SAME COMMIT;' ],
	[ 'a temporary table', 'CREATE TEMP TABLE tt (LIKE t INCLUDING ALL); BEGIN; INSERT INTO tt SELECT * FROM t; SAVEPOINT s; TRUNCATE tt; ROLLBACK TO s; SAME COMMIT;', 'tt' ],
	[ 'inheritance', 'CREATE TABLE parent (LIKE t INCLUDING ALL); CREATE TABLE child () INHERITS (parent); CREATE INDEX ON child USING sealed (v); INSERT INTO parent SELECT * FROM t WHERE id % 2 = 0; INSERT INTO child SELECT * FROM t WHERE id % 2 = 1; BEGIN; SAME ALTER TABLE child NO INHERIT parent; SAME ROLLBACK;', 'parent' ],
	[ 'partitions', <<"SQL", 'pt' ]);
CREATE TABLE pt $columns PARTITION BY RANGE (id);
CREATE INDEX pt_v ON pt USING sealed (v); CREATE INDEX pt_g ON pt USING sealed (x sealed_trgm_ops); CREATE INDEX pt_d ON pt USING sealed (d);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (1000);
CREATE TABLE pt2 (d encrypted_jsonb('one'), n int, x encrypted_text('one') COLLATE "C", gone int, j jsonb, v encrypted_int4('one'), id int, s text COLLATE "C", p int);
ALTER TABLE pt2 DROP gone; CREATE INDEX ON pt2 USING sealed (v); CREATE INDEX ON pt2 USING sealed (x);
INSERT INTO pt2 (id, p, v, s, x, j, d, n) SELECT id, p, v, s, x, j, d, n FROM t WHERE id BETWEEN 1000 AND 1999;
BEGIN; ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (1000) TO (2000); ROLLBACK; ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (1000) TO (2000);
INSERT INTO pt SELECT * FROM t WHERE id < 1000; BEGIN; SAME COMMIT;
UPDATE pt SET id = id - 1000 WHERE id >= 1400; BEGIN; SAME COMMIT;
BEGIN; ALTER TABLE pt DETACH PARTITION pt2; SAME ROLLBACK; ALTER TABLE pt DETACH PARTITION pt2 CONCURRENTLY; BEGIN; SAME COMMIT;
SQL

# An option that says nothing of an ordered index must not stand in the way of what makes it anew
my (undef, undef, $warning) = $node->psql('postgres', 'ALTER INDEX t_v SET (pending_pages = 8); BEGIN; TRUNCATE t; ROLLBACK; REINDEX INDEX CONCURRENTLY t_v');
like($warning, qr/^\S*\s*WARNING:  "pending_pages" of index "t_v" is ignored: only a sealed index of trigrams or paths has pending pages\n/, 'pending pages of an ordered index');
unlike($warning, qr/ERROR/, 'which is no error');

#
# VACUUM removes rows while a scan is among them
#

# How many rows a cursor gives before and after that
sub around_vacuum
{
	my ($condition, $index) = @_;
	my $session = $node->background_psql('postgres');

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS io;
CREATE TABLE io (id int, k int, v encrypted_int4('one'), pad text);
INSERT INTO io SELECT g, 1, g, repeat('x', 200) FROM generate_series(1, 1000) g;
CREATE INDEX io_v ON io $index;
SQL
	$node->safe_psql('postgres', $_) for 'VACUUM ANALYZE io', 'DELETE FROM io WHERE id BETWEEN 2 AND 950';
	$session->query_safe("SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN; DECLARE c CURSOR FOR SELECT 1 FROM io WHERE $condition;");
	my $plan = $session->query_safe("EXPLAIN (COSTS OFF) SELECT 1 FROM io WHERE $condition;");
	my $first = $session->query_safe('FETCH 1 FROM c;');
	$node->safe_psql('postgres', 'VACUUM io');
	my $others = $session->query_safe('FETCH ALL FROM c;');
	$session->query_safe('COMMIT;');
	$session->quit;
	return ($plan, scalar split /\n/, "$first\n$others");
}
for ([ 'k = 1', 'USING sealed (v) WHERE k = 1' ], [ 'v > 0', 'USING sealed (v)' ])
{
	my ($plan, $rows) = around_vacuum(@$_);

	like($plan, qr/Index Scan using io_v/, "$_->[0]: by the index, and the table");
	is($rows, 51, "$_->[0]: no row that was removed");
}
unlike($node->safe_psql('postgres', 'VACUUM io; EXPLAIN SELECT count(*) FROM io'), qr/Index/, 'nor does counting all rows pay by it');

$node->stop;
done_testing();
