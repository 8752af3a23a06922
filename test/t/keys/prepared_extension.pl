# CREATE EXTENSION in a transaction that is prepared, as Citus does when it adds a node:
# the worker, which knows by then that the database doesn't have it, comes back.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = SealedNode->started('extension', conf => q{
pgseal.worker_interval = 1
max_prepared_transactions = 2
log_min_messages = debug1
});

sub workers_until
{
	my ($from, $name, $database) = @_;
	my $line = $database ? qr/starting background worker process "pgseal worker for database $database"/ :
	  qr/background worker "pgseal worker[^"]*" \(PID \d+\) exited with exit code 0/;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		return pass($name) if slurp_file($node->logfile, $from) =~ $line;
		sleep 0.2;
	}
	return fail($name);
}

workers_until(0, 'a worker finds nothing');
sleep 1;
$node->query('postgres', "BEGIN; CREATE EXTENSION pgseal; PREPARE TRANSACTION 'made'");
sleep 3;
my $from = -s $node->logfile;
$node->query('postgres', "COMMIT PREPARED 'made'");
workers_until($from, 'and another one comes when it was committed');
# Not for what was asked, but by itself
$from = -s $node->logfile;
workers_until($from, 'and from time to time');

# A prepared transaction outlives the server, and its memory of what was asked for doesn't
$node->query('postgres', 'CREATE DATABASE later');
$node->query('later', "BEGIN; CREATE EXTENSION pgseal; PREPARE TRANSACTION 'made'");
$node->restart;
my $later = $node->query('postgres', q{SELECT oid FROM pg_database WHERE datname = 'later'});
sleep 8;
$node->query('later', "COMMIT PREPARED 'made'");
$from = -s $node->logfile;
workers_until($from, 'after a restart, too', $later);

$node->stop;
done_testing();
