# CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY of sealed indexes that are broken off,
# at each place where they wait for others, by a cancel, the end of their session or its
# death: meanwhile and afterwards rows are written, and the answers are those of plain
# columns; what is left is dropped, or made good by REINDEX CONCURRENTLY; and a build that
# was broken off before it began or amid it leaves no key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->new('concurrently');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
jit = off
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int, sn encrypted_int4, v text COLLATE "C", sv encrypted_text COLLATE "C");
CREATE FUNCTION add(num int) RETURNS void LANGUAGE sql AS
$$INSERT INTO t (n, sn, v, sv) SELECT x, x, 'name ' || x, 'name ' || x FROM (SELECT (random() * 2000)::int AS x FROM generate_series(1, num)) s$$;
SELECT add(1500);
SQL

my %kinds = (
	t_n => [ '(sn) WITH (node_size = 1024)', 'X BETWEEN 100 AND 900', 'n', 'sn' ],
	t_v => [ '(sv) WITH (node_size = 1024)', "X >= 'name 3' AND X < 'name 7'", 'v', 'sv' ],
	t_g => [ '(sv sealed_trgm_ops) WITH (node_size = 1024, pending_pages = 1)', "X LIKE '%me 77%' OR X LIKE '%19'", 'v', 'sv' ]);

# Rows come, change and go, and the answers are right, of whatever index there is
sub right
{
	my ($what) = @_;
	my @differ;

	$node->safe_psql('postgres', 'SELECT add(30); DELETE FROM t WHERE id = (SELECT min(id) FROM t); UPDATE t SET n = n + 1, sn = n + 1 WHERE id % 97 = 5');
	for my $kind (sort keys %kinds)
	{
		my ($definition, $condition, $plain, $sealed) = @{ $kinds{$kind} };
		my ($expected, $got) = map { $node->safe_psql('postgres', "SET enable_seqscan = off; SELECT count(*), md5(string_agg(id::text, ',' ORDER BY id)) FROM t WHERE " . $condition =~ s/\bX\b/$_/gr) } $plain, $sealed;
		push @differ, "$condition: $got, not $expected" if $got ne $expected || $got =~ /^0/;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", @differ), '', "$what: the answers are right");
}
sub sound
{
	my ($index, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$index')"), '0|0', "$what: $index has every row");
}
sub used
{
	my ($kind) = @_;
	return $node->safe_psql('postgres', 'SET enable_seqscan = off; EXPLAIN SELECT * FROM t WHERE ' . $kinds{$kind}[1] =~ s/\bX\b/$kinds{$kind}[3]/gr) =~ /Scan (?:using|on) $kind\b/ ? 'used' : 'not used';
}
sub indexes { return $node->safe_psql('postgres', q{SELECT string_agg(i.indexrelid::regclass || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY relname) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass}) }
sub versions { return $node->safe_psql('postgres', 'SELECT count(*) FROM pgseal.key_version') }
# Waits until the command waits there, and knows for whom
sub reach
{
	my ($phase) = @_;
	return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase = '$phase' AND lockers_total > 0)") || die "it does not come to $phase";
}

my @places = ('waiting for writers before build', 'waiting for writers before validation', 'waiting for old snapshots', 'waiting for readers before marking dead');

# Runs the command until it waits at the place, and breaks it off
sub broken_off_at
{
	my ($place, $how, $command) = @_;
	my ($out, $err) = ('', '');
	my $name = "$command, $how, $place";
	my %session = map { $_ => $node->background_psql('postgres') } 'first', 'second';
	my $early = $place =~ /writers/;

	$session{first}->query_safe(
		  $early ? 'BEGIN; SELECT add(3)'
		: $place =~ /snapshots/ ? 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class'
		:                         'BEGIN; SELECT id FROM t LIMIT 1');
	my $run = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', $command ], '<', \'', '>', \$out, '2>', \$err);
	if ($place =~ /validation/)
	{
		# Who writes since it has begun to wait for others is waited for next
		reach($places[0]);
		$session{second}->query_safe('BEGIN; SELECT add(3)');
		$session{first}->query_safe('COMMIT');
	}
	reach($place);
	right("$name, while it waits");
	my $pid = $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_progress_create_index');
	my $offset = -s $node->logfile;
	if ($how eq 'kill')
	{
		kill 'KILL', $pid or die "kill: $!";
	}
	else
	{
		$node->safe_psql('postgres', "SELECT pg_${how}_backend($pid)");
	}
	$run->finish;
	like($err, $how eq 'cancel' ? qr/canceling statement/ : qr/terminating connection|server closed/, "$name: it ends");
	if ($how eq 'kill')
	{
		$node->wait_for_restart($offset);
		$_->{run}->finish for values %session;
	}
	else
	{
		$session{$_}->query_safe('COMMIT') for $place =~ /validation/ ? ('second') : ('first');
		$_->quit for values %session;
	}
	right("$name, afterwards");
	return $name;
}

# ---- CREATE INDEX CONCURRENTLY ----

my $versions = versions();
for my $kind (sort keys %kinds)
{
	for my $place (@places[ 0 .. 2 ])
	{
		my $how = $kind eq 't_n' ? 'cancel' : 'terminate';
		my $name = broken_off_at($place, $how, "CREATE INDEX CONCURRENTLY $kind ON t USING sealed $kinds{$kind}[0]");

		is(indexes(), "$kind invalid", "$name: an invalid index is left");
		is(versions(), $versions, "$name: and no key") if $kind eq 't_g' && $place eq $places[0];
		is(used($kind), 'not used', "$name: which is not used");
		(undef, undef, my $says) = $node->psql('postgres', "SELECT pgseal.verify_index('$kind')");
		like($says, qr/index "$kind" is not valid/, "$name: as verify_index() says");
		# Dropped, or made good
		if ($place ne $places[1])
		{
			$node->safe_psql('postgres', "DROP INDEX CONCURRENTLY $kind");
			is(indexes(), '', "$name: dropped");
		}
		else
		{
			$node->safe_psql('postgres', "REINDEX INDEX CONCURRENTLY $kind");
			is(indexes(), $kind, "$name: REINDEX CONCURRENTLY makes it valid");
			sound($kind, $name);
			is(used($kind), 'used', "$name: and it is used");
			right("$name, made good");
			sound($kind, "$name, after writes");
			$node->safe_psql('postgres', "DROP INDEX $kind");
		}
	}
}

# ---- a build that fails ----

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE long (id int, v encrypted_text('of long'));
INSERT INTO long SELECT i, 'v' || i FROM generate_series(1, 500) i;
INSERT INTO long VALUES (0, repeat('x', 5000));
SQL
$versions = versions();
my ($code, $out, $err) = $node->psql('postgres', 'CREATE INDEX CONCURRENTLY long_v ON long USING sealed (v)');
like($err, qr/too long for/, 'a value that is too long breaks a build off');
is(versions(), $versions, 'which leaves no key');
$node->safe_psql('postgres', "INSERT INTO long VALUES (501, 'v501'); DELETE FROM long WHERE id = 0; VACUUM long");
is($node->safe_psql('postgres', q{SET enable_seqscan = off; SELECT id FROM long WHERE v = 'v501'}), '501', 'the table goes on');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY long_v');
is(versions(), $versions, 'REINDEX CONCURRENTLY builds the index, under the key that there is');
is($node->safe_psql('postgres', q{SELECT misplaced, rows, missing FROM pgseal.verify_index('long_v')}), '0|501|0', 'of every row');

# ---- REINDEX CONCURRENTLY ----

$node->safe_psql('postgres', "CREATE INDEX $_ ON t USING sealed $kinds{$_}[0]") for sort keys %kinds;
my $all = join ', ', sort keys %kinds;
for my $kind (sort keys %kinds)
{
	for my $place (@places)
	{
		my $how = $kind eq 't_n' ? 'terminate' : $kind eq 't_g' && $place eq $places[1] ? 'kill' : 'cancel';
		my $name = broken_off_at($place, $how, "REINDEX INDEX CONCURRENTLY $kind");
		my $left = $place =~ /dead/ ? "${kind}_ccold" : "${kind}_ccnew";

		like(indexes(), qr/\b$left invalid/, "$name: leaves $left");
		is(used($kind), 'used', "$name: the index is used");
		# What is left is in the way of no new index key
		$node->safe_psql('postgres', "SELECT pgseal.rotate_index_key('public.t')");
		$node->safe_psql('postgres', "SELECT pgseal.retire_index_key('public.t')");
		sound($kind, $name);
		$node->safe_psql('postgres', "DROP INDEX $left; VACUUM t");
		is(indexes(), $all, "$name: what was left is dropped");
		sound($kind, "$name, after VACUUM");
		right("$name, dropped");
	}
	$node->safe_psql('postgres', "REINDEX INDEX CONCURRENTLY $kind");
	sound($kind, "REINDEX CONCURRENTLY of $kind to its end");
}
$node->safe_psql('postgres', 'VACUUM t');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.verify_index('t_n') WHERE entries = (SELECT count(*) FROM t)}), 1, 'no entry too many is left') or diag($node->safe_psql('postgres', "SELECT v, (SELECT count(*) FROM t) FROM pgseal.verify_index('t_n') v"));

$node->stop;
done_testing();
