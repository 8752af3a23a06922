# Inserts, updates, deletes and VACUUM at once, while others read by the sealed indexes, on
# the primary and on a standby: each answer is that of a plain column in the same snapshot,
# and pgseal.verify_index() finds every row, all the time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->new('together');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
jit = off
wal_keep_size = 512MB
CONF
$node->start;
# Small nodes: a split after every few rows
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int, sn encrypted_int4, v text COLLATE "C", sv encrypted_text COLLATE "C");
CREATE INDEX t_n ON t USING sealed (sn) WITH (node_size = 1024);
CREATE INDEX t_v ON t USING sealed (sv) WITH (node_size = 1024);
CREATE INDEX t_g ON t USING sealed (sv sealed_trgm_ops) WITH (node_size = 1024, pending_pages = 2);
CREATE INDEX t_id ON t (id);
INSERT INTO t (n, sn, v, sv) SELECT x, x, 'name ' || x, 'name ' || x FROM (SELECT i * 7919 % 5000 AS x FROM generate_series(1, 1500) i) s;
SQL
$node->backup('base');
my $standby = SealedNode->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
# Replay waits for who reads
$standby->append_conf('postgresql.conf', "pgseal.keyring_file = '" . $node->keyring . "'\nmax_standby_streaming_delay = -1\nmax_standby_archive_delay = -1");
$standby->start;

my $dir = PostgreSQL::Test::Utils::tempdir;
sub script
{
	my ($name, $content) = @_;
	append_to_file("$dir/$name", $content);
	return "$dir/$name";
}
my $write = script('write', <<'SQL');
\set x random(1, 5000)
INSERT INTO t (n, sn, v, sv) SELECT y, y, 'name ' || y, 'name ' || y FROM (SELECT :x + g * 37 AS y FROM generate_series(1, 10) g) s;
DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > :x ORDER BY id LIMIT 6);
UPDATE t SET n = :x, sn = :x, v = 'name ' || :x, sv = 'name ' || :x WHERE id = :x + 1000;
SQL
my $vacuum = script('vacuum', "VACUUM (INDEX_CLEANUP on) t;\n");

# A wrong answer divides by 0, in the statement whose snapshot it was
my $read = script('read', <<'SQL');
\set x random(1, 5000)
SELECT 1 / ((SELECT ROW (count(*), sum(id)) FROM t WHERE sn BETWEEN :x AND :x + 300) IS NOT DISTINCT FROM (SELECT ROW (count(*), sum(id)) FROM t WHERE n BETWEEN :x AND :x + 300))::int AS numbers;
SELECT 1 / ((SELECT array_agg(id) FROM (SELECT id FROM t WHERE sn > :x ORDER BY sn, id LIMIT 20) s) IS NOT DISTINCT FROM (SELECT array_agg(id) FROM (SELECT id FROM t WHERE n > :x ORDER BY n, id LIMIT 20) s))::int AS in_order;
SELECT 1 / ((SELECT ROW (count(*), sum(id)) FROM t WHERE sv >= 'name ' || :x AND sv < 'name ' || :x || '5') IS NOT DISTINCT FROM (SELECT ROW (count(*), sum(id)) FROM t WHERE v >= 'name ' || :x AND v < 'name ' || :x || '5'))::int AS texts;
SELECT 1 / ((SELECT ROW (count(*), sum(id)) FROM t WHERE sv LIKE '%' || :x % 100 || '%') IS NOT DISTINCT FROM (SELECT ROW (count(*), sum(id)) FROM t WHERE v LIKE '%' || :x % 100 || '%'))::int AS parts;
SQL
my $verify = script('verify', join '', map { "SELECT 1 / (misplaced + missing = 0)::int AS $_ FROM pgseal.verify_index('$_');\n" } 't_n', 't_v', 't_g');

sub start_bench
{
	my ($server, @options) = @_;
	my $run = { out => '', err => '' };
	local $ENV{PGAPPNAME} = 'pgbench';
	local $ENV{PGOPTIONS} = '-c enable_seqscan=off -c enable_sort=on';
	$run->{handle} = IPC::Run::start([ 'pgbench', '-n', @options, $server->connstr('postgres') ], '<', \'', '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}
my $question = 'SET enable_seqscan = off; EXPLAIN SELECT count(*) FROM t WHERE ';
like($standby->safe_psql('postgres', "$question$_->[0]"), qr/Scan (?:using|on) $_->[1]/, "by the index $_->[1]")
  for [ 'sn BETWEEN 5 AND 300', 't_n' ], [ q{sv >= 'name 5' AND sv < 'name 55'}, 't_v' ], [ q{sv LIKE '%name 77%'}, 't_g' ];
my $leaves = $node->safe_psql('postgres', q{SELECT sum(leaves) FROM (VALUES ('t_n'), ('t_v'), ('t_g')) i (i), pgseal.verify_index(i::regclass)});

my @writers = map { start_bench($node, '-T', 1200, @$_) } [ '-c', 2, '-f', $write ], [ '-c', 1, '-f', $vacuum ];
my %readers = (
	'readers of the primary' => start_bench($node, '-t', 40, '-c', 2, '-f', $read),
	'readers of the standby' => start_bench($standby, '-t', 40, '-c', 2, '-f', $read),
	'verify_index() on the primary' => start_bench($node, '-t', 12, '-f', $verify),
	'verify_index() on the standby' => start_bench($standby, '-t', 12, '-f', $verify));
for my $name (sort keys %readers)
{
	my $run = $readers{$name};
	IPC::Run::finish($run->{handle});
	is($run->{handle}->result(0), 0, "$name: to the end") or diag($run->{err});
	unlike($run->{err}, qr/ERROR|division/, "$name: never a wrong answer");
}
for my $run (@writers)
{
	ok($run->{handle}->pumpable, 'the load was there all the time');
	$run->{handle}->signal('TERM');
	IPC::Run::finish($run->{handle});
	unlike($run->{err}, qr/ERROR/, 'and without an error');
}
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'") or die 'the load does not end';
cmp_ok($node->safe_psql('postgres', q{SELECT sum(leaves) FROM (VALUES ('t_n'), ('t_v'), ('t_g')) i (i), pgseal.verify_index(i::regclass)}), '>', $leaves, 'the indexes have grown');
$node->safe_psql('postgres', 'VACUUM t');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
for my $server ($node, $standby)
{
	is($server->safe_psql('postgres', q{SELECT entries = (SELECT count(*) FROM t), misplaced, missing FROM pgseal.verify_index('t_n')}), 't|0|0', $server->name . ': an entry for each row, at the end');
}

$standby->stop;
$node->stop;
done_testing();
