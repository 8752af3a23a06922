# The ledger of a signed table beside sessions that write at the same time, two-phase
# commit, crashes, the worker, and the rotation of its key.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->new('ledger');
$node->init;
# The worker folds while sessions write
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\npgseal.worker_interval = 1");
$node->start;
$node->query('postgres', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE hot (id int PRIMARY KEY, n int, v encrypted_int4, signature row_signature);
	SELECT pgseal.sign_table('hot', ledger => true);
	INSERT INTO hot SELECT i, 0, 0 FROM generate_series(1, 40) i;
	CREATE TABLE other (id int, v text, signature row_signature) PARTITION BY LIST (v);
	CREATE TABLE other_a PARTITION OF other FOR VALUES IN ('a');
	CREATE TABLE other_b PARTITION OF other FOR VALUES IN ('b');
EOSQL
$node->query('postgres', q{SELECT pgseal.sign_table('other', ledger => true); INSERT INTO other SELECT i, 'a' FROM generate_series(1, 40) i});

my $STATE = q{SELECT ledger_status FROM pgseal.verify_table('%s', ledger => true) WHERE ledger_status IS NOT NULL};
sub state
{
	my ($table) = @_;
	return $node->query('postgres', sprintf($STATE, $table));
}
my $CHANGES = q{SELECT count(*) FROM pgseal.ledger WHERE kind = 'c'};

#
# Four clients on forty hot rows, while a fifth looks
#

append_to_file("$dir/write.sql", q{\set a random(1, 40)
\set b random(1, 40)
\set end random(1, 4)
BEGIN;
UPDATE hot SET n = n + 1, v = n + 1 WHERE id = :a;
SAVEPOINT s;
UPDATE hot SET n = n - 5 WHERE id = :b;
UPDATE other SET v = CASE v WHEN 'a' THEN 'b' ELSE 'a' END WHERE id = :b;
ROLLBACK TO s;
SAVEPOINT t;
INSERT INTO hot VALUES (:b, 1, 1) ON CONFLICT (id) DO UPDATE SET n = hot.n + excluded.n;
RELEASE t;
UPDATE other SET v = CASE v WHEN 'a' THEN 'b' ELSE 'a' END WHERE id = :a;
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
});
append_to_file("$dir/look.sql", q{SELECT 1 / (count(*) = 2)::int FROM (
	SELECT ledger_status FROM pgseal.verify_table('hot', ledger => true)
	UNION ALL SELECT ledger_status FROM pgseal.verify_table('other', ledger => true)) s WHERE ledger_status = 'good';
});
append_to_file("$dir/digest.sql", q{SELECT pgseal.ledger_digest('hot'); SELECT pg_sleep(0.2);
});
my @load = map { IPC::Run::start([ 'pgbench', '-n', '-f', "$dir/$_->[0].sql", '-c', $_->[1], '-T', 6, '--max-tries=1000', $node->connstr('postgres') ],
	'>', \$_->[2], '2>', \$_->[3]) } my @jobs = ([ 'write', 4 ], [ 'look', 1 ], [ 'digest', 1 ]);
$_->finish for @load;
for my $job (@jobs)
{
	unlike($job->[3], qr/ERROR:  (?!could not serialize|deadlock)/, "$job->[0]: no error, no false alarm");
	like($job->[2], qr/number of transactions actually processed: [1-9]/, "$job->[0]: there was work");
}
is(state('hot'), 'good', 'hot rows are those of the ledger');
is(state('other'), 'good', 'so are rows that moved between partitions');
is($node->query('postgres', q{SELECT count(*) FROM hot WHERE n <> v}) =~ /^\d+$/, 1, 'they can be read');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pgseal.ledger WHERE kind = 'c')}), 'the worker has added all records up');
is($node->query('postgres', q{SELECT count(*) FROM pgseal.ledger WHERE kind = 't'}), 2, 'to one total for each ledger');
is(state('hot') . state('other'), 'goodgood', 'which are right');

#
# Two-phase commit
#

$node->query('postgres', q{BEGIN; UPDATE hot SET n = 1000 WHERE id = 1; SAVEPOINT s; DELETE FROM hot WHERE id = 2; PREPARE TRANSACTION 'yes'});
$node->query('postgres', q{BEGIN; UPDATE hot SET n = 1000 WHERE id = 3; PREPARE TRANSACTION 'no'});
is(state('hot'), 'good', 'while transactions are prepared');
my $digest = $node->query('postgres', q{INSERT INTO hot VALUES (50, 1, 1); SELECT pgseal.ledger_digest('hot')});
$node->query('postgres', 'CHECKPOINT');
$node->stop('immediate');
$node->start;
is(state('hot'), 'good', 'after a crash');
$node->query('postgres', q{COMMIT PREPARED 'yes'});
is(state('hot'), 'good', 'one committed: recorded before the total, and added later');
$node->query('postgres', q{ROLLBACK PREPARED 'no'});
is(state('hot'), 'good', 'one rolled back');
is($node->query('postgres', 'SELECT count(*) FROM hot WHERE n = 1000'), 1, 'the rows are so');
is($node->query('postgres', qq{SELECT ledger_status FROM pgseal.verify_table('hot', digest => '$digest') WHERE ledger_status IS NOT NULL}),
	'good', 'the digest from between is good');

#
# A crash in the middle of a transaction
#

my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN; UPDATE hot SET n = -1; DELETE FROM other');
$node->query('postgres', 'CHECKPOINT; INSERT INTO hot VALUES (51, 1, 1)');
$node->stop('immediate');
$session->quit;
$node->start;
is(state('hot') . state('other'), 'goodgood', 'after a crash in the middle of a transaction');
is($node->query('postgres', 'SELECT count(*) FROM hot WHERE n >= 0 AND id = 51'), 1, 'the committed row is there');

#
# An old transaction keeps its record out of the total; the total says so
#

$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; UPDATE hot SET n = 7 WHERE id = 5; INSERT INTO other VALUES (100, \'a\')');
$digest = $node->query('postgres', q{UPDATE hot SET n = 8 WHERE id = 6; SELECT pgseal.ledger_digest('hot')});
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pgseal.ledger WHERE kind = 'c')}), 'what is committed is in the total');
$session->query_safe('COMMIT');
$session->quit;
is(state('hot') . state('other'), 'goodgood', 'then the old transaction commits');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pgseal.ledger WHERE kind = 'c')}), 'and is added');
is(state('hot') . state('other'), 'goodgood', 'once');

#
# Rotation: rows are signed anew, records and totals sealed anew
#

$node->query('postgres', q{INSERT INTO hot VALUES (60, 1, 1); SELECT pgseal.rotate_key('public.hot'); INSERT INTO hot VALUES (61, 1, 1)});
is(state('hot'), 'good', 'after a rotation');
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pgseal.events WHERE event = 'version_retired' AND key = 'public.hot')}), 'nothing is under the old version');
is($node->query('postgres', q{SELECT count(*) FROM pgseal.ledger l JOIN pgseal.key_version v ON v.id = l.key_version_id WHERE v.number = 1 AND v.key = 'public.hot'}),
	0, 'no record either');
is(state('hot'), 'good', 'after all rows were signed anew');
$node->destroys_version('postgres', 'public.hot', 1);
is(state('hot'), 'good', 'without the old version');
is($node->query('postgres', qq{SELECT ledger_status FROM pgseal.verify_table('hot', digest => '$digest') WHERE ledger_status IS NOT NULL}),
	'good', 'a digest that it has made is good still');
is($node->query('postgres', q{SELECT count(*) FROM pgseal.tampered_rows('hot')}), 0, 'all rows verify');

#
# The extension is dropped with ledgers in use
#

$node->query('postgres', q{INSERT INTO hot VALUES (70, 1, 1); BEGIN; INSERT INTO hot VALUES (71, 1, 1); DROP EXTENSION pgseal CASCADE; COMMIT;
	INSERT INTO hot (id) VALUES (72); DELETE FROM other_a; DROP TABLE other});
is($node->query('postgres', 'SELECT count(*) FROM hot WHERE id >= 70'), 3, 'tables go on without the extension');

$node->stop;
done_testing();
