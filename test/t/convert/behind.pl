# Writers who change rows faster than a conversion can copy them have to wait for
# it in turns, so that it ends; what they do in between is kept.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('behind', conf => 'pgseal.reencrypt_batch = 32');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE t (id int PRIMARY KEY, n int, secret text, shadow text);
INSERT INTO t SELECT i, 0, i, i FROM generate_series(1, 2000) i;
});

# Each statement changes more rows than the conversion copies meanwhile
my $file = $node->basedir . '/update.sql';
append_to_file($file, q{
\set part random(0, 3)
UPDATE t SET n = n + 1, secret = n + 1, shadow = n + 1 WHERE id % 4 = :part;
});
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-T', 3600, '-c', 4, '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', '/dev/null', '2>', '/dev/null');
$node->safe_psql('postgres', q{CALL pgseal.encrypt_column('t', 'secret')});
ok($load->pumpable, 'ends while the load goes on');
$load->kill_kill;
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE secret::text IS DISTINCT FROM shadow'),
	0, 'every value is what it was');

$node->stop;
done_testing();
