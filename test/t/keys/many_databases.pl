# A server with more databases than the launcher has places for workers: each is
# visited once, those without the extension only once at all, and an invalid one
# never; also where there are more than the launcher looks at in one round (512).

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('many_databases', conf => q{
pgseal.worker_interval = 1
autovacuum = off
log_min_messages = debug1
log_statement = none
});

# How often a worker was started for each database, in the log from an offset on
sub starts
{
	my ($from) = @_;
	my $log = substr(slurp_file($node->logfile), $from);
	my %starts;

	$starts{$1}++ while $log =~ /registering background worker "pgseal worker for database (\d+)"/g;
	return \%starts;
}

sub now { return -s $node->logfile }

sub total
{
	my ($starts) = @_;
	my $sum = 0;

	$sum += $_ for values %$starts;
	return $sum;
}

$node->safe_psql('postgres', "CREATE DATABASE empty_$_") for 1 .. 9;
$node->safe_psql('postgres', 'CREATE DATABASE broken');
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'});
my $broken = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'broken'});

my $from = now();
$node->restart;
my @all = split /\n/, $node->safe_psql('postgres', 'SELECT oid FROM pg_database WHERE datallowconn AND datconnlimit <> -2');
# A visit is every six seconds: this is two, and a launcher that forks for ever has made hundreds
sleep 14;
my $starts;
for (1 .. 180)
{
	$starts = starts($from);
	last if !grep { !$starts->{$_} } @all;
	sleep 1;
}
is(scalar(grep { !$starts->{$_} } @all), 0, 'every database is visited');
cmp_ok(total($starts), '<=', 24, 'but not over and over') or diag(explain($starts));
ok(!$starts->{$broken}, 'nobody tries to connect to an invalid database');

$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pgseal worker'}) or die 'workers stay';
$from = now();
sleep 8;
is(total(starts($from)), 0, 'databases without the extension are not visited again');
unlike(slurp_file($node->logfile), qr/FATAL:.*pgseal|FATAL:  cannot connect to invalid database/, 'no worker fails');

# In one of them the extension comes: work is found there
$node->safe_psql('empty_5', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (v encrypted_text);
	INSERT INTO t SELECT 'v' || i FROM generate_series(1, 50) i;
	SELECT pgseal.rotate_key('public.t')});
ok($node->poll_query_until('empty_5', q{SELECT bool_and((pgseal.inspect(v)).current) FROM t}),
	'a database that gets the extension later is served');

# So it is after a restart, which forgets what was asked for
$node->restart;
$node->safe_psql('empty_5', q{SELECT pgseal.rotate_key('public.t')});
ok($node->poll_query_until('empty_5', q{SELECT bool_and((pgseal.inspect(v)).current) FROM t}), 'also after a restart');

# 600 databases more.  Making them would take minutes and gigabytes: these share the
# files of one, which nobody changes.
my $empty = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'empty_1'});
$node->safe_psql('postgres', q{
	SET allow_system_table_mods = on;
	INSERT INTO pg_database SELECT (jsonb_populate_record(d, jsonb_build_object('oid', 4000000000 + i, 'datname', 'many_' || i))).*
		FROM pg_database d, generate_series(1, 600) i WHERE datname = 'empty_1'});
$node->stop;
for my $i (1 .. 600)
{
	symlink($empty, $node->data_dir . '/base/' . (4_000_000_000 + $i)) or die "symlink: $!";
}
my $last = 4_000_000_601;
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE last OID $last");
$node->safe_psql('last', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (v encrypted_text);
	INSERT INTO t SELECT 'v' || i FROM generate_series(1, 50) i});
$node->stop;
$from = now();
$node->start;
for my $round (1, 2)
{
	$node->safe_psql('last', q{SELECT pgseal.rotate_key('public.t')});
	ok($node->poll_query_until('last', q{SELECT bool_and((pgseal.inspect(v)).current) FROM t}),
		"behind 600 others, a database is served, round $round");
}
my $unvisited = q{SELECT count(*) FROM generate_series(4000000001, 4000000600) AS i WHERE i <> ALL ('{%s}')};
for (1 .. 180)
{
	$starts = starts($from);
	last if $node->safe_psql('postgres', sprintf($unvisited, join(',', keys %$starts))) == 0;
	sleep 1;
}
is($node->safe_psql('postgres', sprintf($unvisited, join(',', keys %$starts))), 0, 'and every one is visited');
$from = now();
sleep 8;
is(scalar(grep { $_ != $last && $_ > 4_000_000_000 } keys %{ starts($from) }), 0, 'once');

$node->stop;
done_testing();
