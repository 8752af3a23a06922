# A signed column is converted while rows are written, and while what is signed
# changes: the conversion begins anew, and all rows verify in the end.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->started('signed_conversion');
$node->query('postgres', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int PRIMARY KEY, v text, n int, note text);
	INSERT INTO t SELECT i, 'v' || i, 0, 'note' FROM generate_series(1, 5000) i;
	SELECT pgseal.sign_table('t', columns => '{id,v,n}');
	ALTER TABLE t DISABLE TRIGGER USER;
	SET pgseal.verify_rows = off;
	UPDATE t SET v = 'mallory' WHERE id = 4999;
	ALTER TABLE t ENABLE ALWAYS TRIGGER zz_pgseal_sign;
EOSQL
sub tampered { return $node->query('postgres', q{SELECT string_agg(key || ' ' || reason, ', ') FROM pgseal.tampered_rows('t')}); }

# Too slow to end by itself
sub pace
{
	my ($batch, $delay) = @_;
	$node->query('postgres', "ALTER SYSTEM SET pgseal.reencrypt_batch = $batch");
	$node->query('postgres', "ALTER SYSTEM SET pgseal.reencrypt_delay = $delay");
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT current_setting('pgseal.reencrypt_batch')::int = $batch"), "$batch blocks at a time");
	return;
}
pace(1, 500);
my $session = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', q{CALL pgseal.encrypt_column('t', 'v')} ], '>', \my $out, '2>', \my $err);
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pgseal_internal.conversion WHERE phase = 'copying' AND next_block > 1)}), 'rows are copied');
$node->query('postgres', q{UPDATE t SET n = n + 1 WHERE id % 7 = 0 AND id < 4000; INSERT INTO t VALUES (5001, 'new', 0); DELETE FROM t WHERE id = 13; UPDATE t SET note = 'x' WHERE id = 14});
$node->query('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL pgseal.encrypt%'});
$session->finish;
like($err, qr/canceling statement/, 'it is interrupted');
is(tampered(), '(id)=(4999) forged', 'meanwhile rows are what they were');

# Other columns are signed: the copy's rows are of no use
$node->query('postgres', q{SET client_min_messages = error; SELECT pgseal.sign_table('t', columns => '{v,id}')});
$node->fails_like('postgres', q{CALL pgseal.encrypt_column('t', 'v')}, qr/first call pgseal\.sign_table\(\) again/, 'rows by two definitions');
$node->query('postgres', q{SET client_min_messages = error; SELECT pgseal.sign_table('t', ledger => true)});
pace(1024, 0);
append_to_file("$dir/write.sql", q{\set id random(1, 4000)
UPDATE t SET v = v || 'x', n = n + 1 WHERE id = :id;
});
my $bench = IPC::Run::start([ 'pgbench', '-n', '-f', "$dir/write.sql", '-c', '2', '-T', '4', $node->connstr('postgres') ], '>', \my $bench_out, '2>', \my $bench_err);
$node->query('postgres', q{SET client_min_messages = error; CALL pgseal.encrypt_column('t', 'v')});
$bench->finish;
unlike($bench_err, qr/ERROR/, 'writers go on');
is($node->query('postgres', q{SELECT count(*) FROM pgseal.events WHERE event = 'conversion_restarted'}), 1, 'the conversion began anew');
is($node->query('postgres', q{SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'}), 'encrypted_text', 'and has ended');
is(tampered(), '(id)=(4999) old definition', 'all rows verify, but the one that did not');
is($node->query('postgres', q{SELECT ledger_status FROM pgseal.verify_table('t', ledger => true) WHERE ledger_status IS NOT NULL}), 'good', 'the ledger is true');
is($node->query('postgres', q{SELECT count(*), count(v) FROM t WHERE id <> 4999}), '4999|4999', 'they can be read');
$node->fails_like('postgres', 'SELECT * FROM t WHERE id = 4999', qr/XX001/, 'that one');

$node->stop;
done_testing();
