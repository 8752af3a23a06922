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
	my ($from, $name) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		return pass($name) if slurp_file($node->logfile, $from) =~ /background worker "pgseal worker[^"]*" \(PID \d+\) exited with exit code 0/;
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

$node->stop;
done_testing();
