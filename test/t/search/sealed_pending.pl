# Pending rows of a sealed index of trigrams or paths: writers, VACUUM, searches and
# rotations at once, a crash in the midst of it, and a standby.
#
# Each writer's rows are searched by the index and by reading the table in one snapshot:
# never may the index lack one.  A search that meets rows on their way from the pending
# blocks to the tree would show here.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('pending', allows_streaming => 1, conf => q{
jit = off
autovacuum = off
log_statement = none
max_connections = 40
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id bigserial PRIMARY KEY, v encrypted_text, d encrypted_jsonb);
CREATE INDEX t_v ON t USING sealed (v sealed_trgm_ops) WITH (pending_pages = 2, node_size = 1024);
CREATE INDEX t_d ON t USING sealed (d) WITH (pending_pages = 1, node_size = 1024);
INSERT INTO t (v, d) SELECT md5(g::text), jsonb_build_object('n', g % 50, 'm', md5(g::text)) FROM generate_series(1, 500) g;
SQL

# What the index finds and what reading finds, in one snapshot
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION compare(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	pattern text := '%' || substr(md5(random()::text), 1, 3) || '%';
	document jsonb := jsonb_build_object('n', (random() * 50)::int);
	by_index bigint[];
	by_reading bigint[];
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true);
	EXECUTE 'SELECT array_agg(id ORDER BY id) FROM t WHERE v LIKE $1' INTO by_index USING pattern;
	PERFORM set_config('enable_seqscan', 'on', true);
	PERFORM set_config('enable_indexscan', 'off', true);
	PERFORM set_config('enable_bitmapscan', 'off', true);
	EXECUTE 'SELECT array_agg(id ORDER BY id) FROM t WHERE v LIKE $1' INTO by_reading USING pattern;
	IF by_index IS DISTINCT FROM by_reading THEN
		RAISE EXCEPTION 'index: %, table: %', by_index, by_reading;
	END IF;
	EXECUTE 'SELECT array_agg(id ORDER BY id) FROM t WHERE d @> $1' INTO by_reading USING document;
	PERFORM set_config('enable_seqscan', 'off', true);
	PERFORM set_config('enable_indexscan', 'on', true);
	PERFORM set_config('enable_bitmapscan', 'on', true);
	EXECUTE 'SELECT array_agg(id ORDER BY id) FROM t WHERE d @> $1' INTO by_index USING document;
	IF by_index IS DISTINCT FROM by_reading THEN
		RAISE EXCEPTION 'index: %, table: %', by_index, by_reading;
	END IF;
	RETURN 'same';
END $$;
SQL

my $writer = "$PostgreSQL::Test::Utils::tmp_check/writer.sql";
PostgreSQL::Test::Utils::append_to_file($writer, <<'SQL');
\set r random(1, 1000000)
\set victim random(1, 3000)
INSERT INTO t (v, d) VALUES (md5(:r::text) || repeat('x', :r % 3), jsonb_build_object('n', :r % 50, 'm', md5(:r::text)));
UPDATE t SET v = md5((:r + 1)::text) WHERE id = :victim;
DELETE FROM t WHERE id = :victim + 1;
SQL
my $reader = "$PostgreSQL::Test::Utils::tmp_check/reader.sql";
PostgreSQL::Test::Utils::append_to_file($reader, "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT compare(1);\nCOMMIT;\n");
my $vacuum = "$PostgreSQL::Test::Utils::tmp_check/vacuum.sql";
PostgreSQL::Test::Utils::append_to_file($vacuum, "VACUUM t;\n\\sleep 200 ms\n");

sub start_load
{
	my ($seconds) = @_;
	my @runs;
	for ([ $writer, 2 ], [ $reader, 1 ], [ $vacuum, 1 ])
	{
		my ($script, $clients) = @$_;
		my ($out, $err) = ('', '');
		push @runs, { handle => IPC::Run::start([ 'pgbench', '-n', '-T', $seconds, '-c', $clients, '-f', $script, $node->connstr('postgres') ], '>', \$out, '2>', \$err), err => \$err };
	}
	return @runs;
}

sub sound
{
	my ($what, $on) = @_;
	for my $index ('t_v', 't_d')
	{
		is(($on // $node)->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$what: $index is sound");
	}
	return;
}

# At once
my @runs = start_load(6);
sleep 2;
$node->safe_psql('postgres', "SELECT pgseal.rotate_index_key('public.t')");
$node->safe_psql('postgres', "SELECT pgseal.retire_index_key('public.t')");
$_->{handle}->finish foreach @runs;
unlike(${ $_->{err} }, qr/ERROR/, 'no error, and the same by the index and by reading') foreach @runs;
sound('after writers, VACUUM and a rotation at once');

# A standby that answers while rows come
$node->backup('base');
my $standby = SealedNode->new('pending_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1");
PostgreSQL::Test::Utils::system_or_bail('cp', $node->data_dir . '.keyring', $standby->data_dir . '.keyring');
$standby->start;

@runs = start_load(5);
my $answers = 0;
my $deadline = time + 4;
while (time < $deadline)
{
	my ($ret, $out, $err) = $standby->psql('postgres', "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT compare(1); COMMIT");
	$answers++ if $ret == 0 && $out =~ /same/;
	last unless ok($ret == 0, 'the standby answers the same') || diag($err);
}
$_->{handle}->finish for @runs;
$node->wait_for_catchup($standby);
sound('standby', $standby);
$standby->stop;

# A crash
for my $round (1 .. 2)
{
	@runs = start_load(30);
	sleep 2;
	$node->stop('immediate');
	$_->{handle}->finish for @runs;
	$node->start;
	sound("after crash $round");
	is($node->safe_psql('postgres', 'SELECT compare(1)'), 'same', "after crash $round: the same answers");
	$node->safe_psql('postgres', 'VACUUM t');
	sound("after crash $round and VACUUM");
}

# CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY beside writers
@runs = start_load(5);
$node->safe_psql('postgres', 'CREATE INDEX CONCURRENTLY t_w ON t USING sealed (v sealed_trgm_ops)');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY t_d');
$_->{handle}->finish for @runs;
is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('t_w')"), '0|0', 'CREATE INDEX CONCURRENTLY');
sound('REINDEX CONCURRENTLY');

# A value with more terms than a record and a page have room for
$node->safe_psql('postgres', <<'SQL');
INSERT INTO t (id, v, d) SELECT 10000000, string_agg(md5(g::text), ''), jsonb_agg(g) FROM generate_series(1, 500) g;
INSERT INTO t (id, v) VALUES (10000001, NULL);
SQL
sound('long values');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v LIKE '%' || md5('77') || md5('78') || '%'"), '10000000', 'a long value is found, pending');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE d @> '[499]'"), '10000000', 'a long document is found, pending');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v IS NULL"), '10000001', 'NULL is found, pending');
$node->safe_psql('postgres', 'VACUUM t');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v LIKE '%' || md5('77') || md5('78') || '%'"), '10000000', 'a long value is found');
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT id FROM t WHERE v IS NULL"), '10000001', 'NULL is found');
sound('long values, after VACUUM');

# Unlogged
$node->safe_psql('postgres', "CREATE UNLOGGED TABLE u (v encrypted_text); CREATE INDEX u_v ON u USING sealed (v sealed_trgm_ops); INSERT INTO u VALUES ('abcdef')");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SET enable_seqscan = off; SELECT count(*) FROM u WHERE v LIKE '%bcd%'"), '0', 'unlogged: empty after a crash');
is($node->safe_psql('postgres', "INSERT INTO u VALUES ('abcdef'); SET enable_seqscan = off; SELECT count(*) FROM u WHERE v LIKE '%bcd%'"), '1', 'and usable');

$node->stop;
done_testing();
