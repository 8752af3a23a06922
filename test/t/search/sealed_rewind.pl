# A primary is lost amid the growth of sealed indexes, its standby is promoted, both write
# more, and pg_rewind makes the old primary a standby of the new one: on both every row is
# in its index, nothing is left of what only the old one had, and the answers are those of
# a plain table.  Then the other way round.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my %nodes;

$nodes{a} = SealedNode->new('a');
$nodes{a}->init(allows_streaming => 1);
$nodes{a}->append_conf('postgresql.conf', <<CONF);
autovacuum = off
jit = off
wal_log_hints = on
wal_keep_size = 512MB
pgseal.keyring_file = '$keyring'
CONF
$nodes{a}->start;
# Small nodes: a split after every few rows
$nodes{a}->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int, sn encrypted_int4, v text COLLATE "C", sv encrypted_text COLLATE "C");
CREATE INDEX t_n ON t USING sealed (sn) WITH (node_size = 1024);
CREATE INDEX t_v ON t USING sealed (sv) WITH (node_size = 1024);
CREATE INDEX t_g ON t USING sealed (sv sealed_trgm_ops) WITH (node_size = 1024, pending_pages = 2);
INSERT INTO t (n, sn, v, sv) SELECT x, x, 'base ' || x, 'base ' || x FROM (SELECT i * 7919 % 20000 AS x FROM generate_series(1, 2000) i) s;
SQL
$nodes{a}->backup('base');

sub follow
{
	my ($follower, $leader) = @_;

	# What was copied from the leader says whom it followed, and which port it had
	$follower->append_conf('postgresql.conf', 'port = ' . $follower->port . "\nprimary_conninfo = '" . $leader->connstr . " application_name=" . $follower->name . "'");
	$follower->set_standby_mode;
	return;
}
$nodes{b} = SealedNode->new('b');
$nodes{b}->init_from_backup($nodes{a}, 'base');
follow($nodes{b}, $nodes{a});
$nodes{b}->start;

my $load = PostgreSQL::Test::Utils::tempdir . '/load.sql';
append_to_file($load, <<'SQL');
\set x random(1, 1000000)
INSERT INTO t (n, sn, v, sv) SELECT y, y, :who || ' ' || y, :who || ' ' || y FROM (SELECT :x + g * 37 AS y FROM generate_series(1, 20) g) s;
DELETE FROM t WHERE id BETWEEN :x % 20000 AND :x % 20000 + 5;
SQL
sub start_load
{
	my ($node, $who) = @_;
	my ($out, $err) = ('', '');
	local $ENV{PGAPPNAME} = 'pgbench';
	return IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-T', 600, '-D', "who='$who'", '-f', $load, $node->connstr('postgres') ], '<', \'', '>', \$out, '2>', \$err);
}
# The first is of a server that was stopped
sub stop_load
{
	my ($node, @loads) = @_;

	$loads[-1]->signal('TERM');
	IPC::Run::finish($_) for @loads;
	return $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'") || die 'the load does not end';
}
sub nodes_in { return $_[0]->safe_psql('postgres', "SELECT pg_relation_size('t_v') + pg_relation_size('t_n')") }
sub grown
{
	my ($node, $by) = @_;
	my $size = nodes_in($node) + $by;
	return $node->poll_query_until('postgres', "SELECT pg_relation_size('t_v') + pg_relation_size('t_n') >= $size") || die 'the indexes do not grow';
}

my %questions = (
	t_n => [ 'FROM t WHERE X BETWEEN 1000 AND 300000', 'n', 'sn' ],
	t_v => [ "FROM t WHERE X >= 'new' AND X < 'old 5'", 'v', 'sv' ],
	t_g => [ "FROM t WHERE X LIKE '% 77%' OR X LIKE '%only old%'", 'v', 'sv' ]);
sub look
{
	my ($node, $what) = @_;
	my $answers = '';

	for my $index (sort keys %questions)
	{
		my ($question, $plain, $sealed) = @{ $questions{$index} };
		my $select = 'SET enable_seqscan = off; SELECT count(*), md5(string_agg(id::text, \',\' ORDER BY id))';
		is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$what: every row is in $index");
		my ($expected, $got) = map { $node->safe_psql('postgres', "$select " . $question =~ s/\bX\b/$_/gr) } $plain, $sealed;
		is($got, $expected, "$what: $index answers as a plain column does");
		cmp_ok($got =~ s/\|.*//r, '>', 0, "$what: there are rows ($index)");
		$answers .= "$got\n";
	}
	like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN SELECT count(*) FROM t WHERE sn BETWEEN 1000 AND 300000"), qr/Scan (using|on) t_n/, "$what: by the index");
	return $answers;
}

sub change_over
{
	my ($old, $new, $round) = @_;
	my @loads = start_load($old, "old $round");
	my $name = "round $round";

	grown($old, 100_000);
	$old->wait_for_catchup($new->name, 'replay', $old->lsn('insert'));

	# Promoted while the primary writes: from here on their histories differ
	$new->promote;
	push @loads, start_load($new, "new $round");
	grown($old, 60_000);
	$old->safe_psql('postgres', "INSERT INTO t (n, sn, v, sv) SELECT 5000, 5000, 'only old', 'only old' FROM generate_series(1, 50)");
	$old->safe_psql('postgres', 'CHECKPOINT') if $round == 1;
	grown($new, 100_000);
	$old->stop('immediate');
	stop_load($new, @loads);
	my $before = look($new, "$name, promoted");

	# pg_rewind wants a server that was shut down; it sees to it by itself
	$new->safe_psql('postgres', 'CHECKPOINT');
	$old->run_ok([ 'pg_rewind', '-D', $old->data_dir, '--source-server', $new->connstr('postgres') ], "$name: pg_rewind");
	follow($old, $new);
	$old->start;
	$new->wait_for_catchup($old->name, 'replay', $new->lsn('insert'));
	is(look($old, "$name, rewound"), $before, "$name: both give the same answers");
	is($old->safe_psql('postgres', q{SELECT count(*) FROM t WHERE v = 'only old'}), 0, "$name: what only the old one had is gone");

	# The rewound one goes on with what comes
	my $more = start_load($new, "more $round");
	grown($new, 40_000);
	stop_load($new, $more);
	$new->safe_psql('postgres', 'VACUUM t');
	$new->wait_for_catchup($old->name, 'replay', $new->lsn('insert'));
	is(look($old, "$name, later, standby"), look($new, "$name, later, primary"), "$name: and goes on alike");
	return;
}
change_over($nodes{a}, $nodes{b}, 1);
change_over($nodes{b}, $nodes{a}, 2);

$nodes{$_}->stop for 'b', 'a';
done_testing();
