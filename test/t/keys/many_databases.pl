# A server with more databases than the launcher has places for workers: each is
# visited once, those without the extension only once at all, and an invalid one
# never.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('many_databases');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgseal'
pgseal.worker_interval = 1
autovacuum = off
fsync = off
max_locks_per_transaction = 256
log_min_messages = debug1
log_statement = none
});
$node->start;

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
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is back');
# A visit is every six seconds: this is two, and a launcher that forks for ever has made hundreds
sleep 14;
my $starts = starts($from);
cmp_ok(total($starts), '>=', 10, 'every database is visited');
cmp_ok(total($starts), '<=', 24, 'but not over and over') or diag(explain($starts));
ok(!$starts->{$broken}, 'nobody tries to connect to an invalid database');

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

$node->stop;
done_testing();
