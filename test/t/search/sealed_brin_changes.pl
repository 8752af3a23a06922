# BRIN on encrypted columns while what it is on changes: types, keys, the table's files,
# partitions, index keys that are rolled back, who summarizes; without keys at hand.
# Beside each encrypted column stands a plain one, and the answers must be the same.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('sealed_brin_changes', conf => q{
jit = off
autovacuum = off
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('one'), pgseal.create_key('two');
CREATE TABLE b (id int PRIMARY KEY, p int, v encrypted_int4('one'), w encrypted_text('two') COLLATE "C", q text COLLATE "C");
CREATE INDEX b_mix ON b USING brin (p, v, w, q) WITH (pages_per_range = 1);
CREATE FUNCTION fill(low int, high int) RETURNS void LANGUAGE sql AS
$$INSERT INTO b SELECT g, g, g, 'w' || lpad(g::text, 6, '0'), 'w' || lpad(g::text, 6, '0') FROM generate_series(low, high) g$$;
SELECT fill(1, 3000), brin_summarize_new_values('b_mix');
CREATE ROLE owner;
GRANT ALL ON SCHEMA public TO owner;
SQL

# By BRIN, and by reading the table
sub ids
{
	my ($table, $condition) = @_;
	my $query = "SELECT md5(string_agg(id::text, ',' ORDER BY id)) FROM $table WHERE $condition";
	my $by_index = $node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_indexscan = off; $query");

	return $node->safe_psql('postgres', "SET enable_bitmapscan = off; SET enable_indexscan = off; $query") eq $by_index ? $by_index : 'different';
}

sub failing
{
	my ($query) = @_;
	my (undef, undef, $error) = $node->psql('postgres', $query);
	return $error;
}

sub still_same
{
	my ($what) = @_;

	is(ids('b', 'v BETWEEN 100 AND 300'), ids('b', 'p BETWEEN 100 AND 300'), "$what: the same rows");
	is(ids('b', q{w > 'w000290' AND v < 305 AND p > 5}), ids('b', q{q > 'w000290' AND p < 305}), "$what: by two of one index");
	is($node->safe_psql('postgres', "SELECT leaves > 20, misplaced, missing FROM pgseal.verify_index('b_mix')"), 't|0|0', "$what: the index is sound");
	return;
}

still_same('at first');
for (
	[ 'another type and key', q{ALTER TABLE b ALTER COLUMN v TYPE encrypted_int8('two') USING v::int::int8} ],
	[ 'another collation', q{ALTER TABLE b ALTER COLUMN w TYPE encrypted_text('one') COLLATE "en-US-x-icu"} ],
	[ 'the plain one encrypted, too', q{ALTER TABLE b ALTER COLUMN p TYPE encrypted_int4} ],
	[ 'and plain again', 'SET pgseal.allow_decryption = on; ALTER TABLE b ALTER COLUMN p TYPE int USING p::int' ],
	[ 'VACUUM FULL', 'VACUUM FULL b' ], [ 'CLUSTER', 'CLUSTER b USING b_pkey' ],
	[ 'REINDEX CONCURRENTLY', 'REINDEX TABLE CONCURRENTLY b' ], [ 'TRUNCATE', q{TRUNCATE b; SELECT fill(1, 3000), brin_summarize_new_values('b_mix')} ])
{
	my ($what, $statement) = @$_;
	my ($code, undef, $error) = $node->psql('postgres', $statement);

	is($error, '', "$what: done");
	still_same($what);
}
like(failing(q{ALTER TABLE b ALTER COLUMN v TYPE encrypted_int4('*') USING v::int8::int}), qr/a BRIN index cannot be on a column of any key/, 'any key');
like(failing('CREATE INDEX ON b USING brin (v) INCLUDE (id)'), qr/does not support included columns/, 'INCLUDE');

#
# Index keys that are rolled back, or come between
#

for (
	q{BEGIN; SELECT pgseal.rotate_index_key('two'); SELECT fill(6000, 6100), brin_summarize_new_values('b_mix'); ROLLBACK},
	q{BEGIN; SAVEPOINT s; SELECT pgseal.rotate_key('two'), pgseal.rotate_index_key('two'); SELECT fill(6000, 6100); ROLLBACK TO s; SELECT fill(7000, 7100); COMMIT},
	q{SELECT pgseal.rotate_index_key('two'); SELECT brin_desummarize_range('b_mix', 0), brin_desummarize_range('b_mix', 5); BEGIN; SELECT pgseal.retire_index_key('two'); ROLLBACK},
	q{SELECT pgseal.retire_index_key('two'); SELECT brin_summarize_new_values('b_mix')})
{
	$node->safe_psql('postgres', $_);
	still_same(substr($_, 0, 60));
}

# Who owns the table summarizes, without the privilege, and learns nothing
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE b OWNER TO owner;
SET ROLE owner;
SELECT fill(8000, 9000), brin_desummarize_range('b_mix', 1), brin_summarize_new_values('b_mix');
REINDEX INDEX b_mix;
SQL
still_same('by a role without USAGE');
like(failing('SET ROLE owner; SET enable_seqscan = off; SELECT id FROM b WHERE v < 5'), qr/permission denied/, 'which may not search');

#
# Between the check of the privilege and the rows; and between fetches
#

# What a cursor gives after something has happened, and whether that failed
sub fetched
{
	my ($method, $between) = @_;
	my (undef, $out, $error) = $node->psql('postgres', <<SQL, on_error_stop => 0);
\\set VERBOSITY terse
SET enable_indexscan = off;
SET enable_$method = off;
BEGIN;
DECLARE by_v CURSOR FOR SELECT id FROM b WHERE v BETWEEN 100 AND 1000;
MOVE 50 FROM by_v;
\\o /dev/null
$between;
\\o
FETCH 3 FROM by_v;
COMMIT;
SQL
	return join ' ', split /\n/, $out . $error =~ s/psql:<stdin>:\d+: //gr;
}
for my $between (
	'SET enable_bitmapscan = off', "SET work_mem = '64kB'", 'SET pgseal.transparent = off', "SET pgseal.on_denied = 'null'", 'SET enable_seqscan = on',
	"SELECT brin_desummarize_range('b_mix', 3)", "SELECT pgseal.rotate_index_key('two')", 'ALTER INDEX b_mix RENAME TO b_mix_2; ALTER INDEX b_mix_2 RENAME TO b_mix')
{
	is(fetched('seqscan', $between), '150 151 152', "between fetches: $between");
}
my $denied = fetched('seqscan', 'SET LOCAL ROLE owner');
like($denied, qr/^ERROR:  permission denied/, 'between fetches: another role');
is($denied, fetched('bitmapscan', 'SET LOCAL ROLE owner'), 'which is told what it is told when the table is read');
like(fetched('seqscan', 'ALTER INDEX b_mix SET (pages_per_range = 2)'), qr/being used by active queries/, 'between fetches: not while it is used');

# A prepared statement whose index is made anew by another session
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET enable_seqscan = off; SET enable_indexscan = off; SET plan_cache_mode = force_generic_plan; PREPARE s(int) AS SELECT count(*) FROM b WHERE v BETWEEN \$1 AND \$1 + 99;");
is($session->query('EXECUTE s(100);'), '100', 'prepared');
for ('REINDEX INDEX CONCURRENTLY b_mix', 'ALTER INDEX b_mix SET (autosummarize = on)', 'VACUUM FULL b', 'DROP INDEX b_mix', 'CREATE INDEX b_mix ON b USING brin (p, v, w, q) WITH (pages_per_range = 1)')
{
	$node->safe_psql('postgres', $_);
	is($session->query('EXECUTE s(100);'), '100', "prepared, after $_");
}
$session->quit;

#
# Partitions
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE pt (id int, v encrypted_int4('one')) PARTITION BY RANGE (id);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (1000);
CREATE INDEX pt_v ON pt USING brin (v) WITH (pages_per_range = 1);
CREATE TABLE pt2 (v encrypted_int4('one'), id int NOT NULL);
INSERT INTO pt2 SELECT g, g FROM generate_series(1000, 1999) g;
CREATE INDEX pt2_v ON pt2 USING brin (v) WITH (pages_per_range = 4);
ALTER TABLE pt ATTACH PARTITION pt2 FOR VALUES FROM (1000) TO (2000);
INSERT INTO pt SELECT g, g FROM generate_series(0, 1999) g;
SELECT brin_summarize_new_values('pt1_v_idx'), brin_summarize_new_values('pt2_v');
SQL
is(ids('pt', 'v BETWEEN 990 AND 1010'), ids('pt', 'id BETWEEN 990 AND 1010'), 'partitions: the same rows');
$node->safe_psql('postgres', 'UPDATE pt SET id = id - 1000, v = v + 5 WHERE id > 1900');
is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('$_')"), '0|0', "$_: rows that have moved") for qw(pt1_v_idx pt2_v);
$node->safe_psql('postgres', 'ALTER TABLE pt DETACH PARTITION pt2 CONCURRENTLY');
is($node->safe_psql('postgres', q{SELECT misplaced, missing FROM pgseal.verify_index('pt2_v')}), '0|0', 'detached');

#
# Networks
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE nets (id int PRIMARY KEY, p inet, ip inet, other inet);
INSERT INTO nets SELECT g, a, a, a FROM generate_series(1, 3000) g, LATERAL (SELECT '10.0.0.0'::inet + g) s (a);
CREATE INDEX nets_ip ON nets USING brin (ip) WITH (pages_per_range = 1);
CREATE INDEX nets_other ON nets USING brin (other inet_minmax_ops) WITH (pages_per_range = 1);
SQL
my (undef, undef, $notice) = $node->psql('postgres', q{CALL pgseal.encrypt_column('nets', 'ip')});
like($notice, qr/index "nets_ip" will keep minimum and maximum of ip\nDETAIL:  It will serve <, <=, =, >= and >, and no longer <<, <<=, >>, >>= and &&\./, 'networks: what is lost is said');
(undef, undef, $notice) = $node->psql('postgres', q{CALL pgseal.encrypt_column('nets', 'other')});
unlike($notice, qr/minimum and maximum/, 'networks: nothing is lost of the class that is like ours');
is(ids('nets', "$_ <<= '10.0.1.0/24' AND $_ >= network('10.0.1.0/24') AND $_ <= set_masklen(broadcast('10.0.1.0/24'), 32)"), ids('nets', "p <<= '10.0.1.0/24'"), "networks: $_ by its bounds")
	for qw(ip other);
$node->safe_psql('postgres', "CALL pgseal.decrypt_column('nets', 'ip'); CALL pgseal.decrypt_column('nets', 'other')");
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_indexes WHERE tablename = 'nets' AND indexdef LIKE '% USING brin (% inet_minmax_ops)%'"), '2', 'networks: decrypted, they serve what they served');

#
# No key at hand: summarizing says so, and does nothing
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE cold (id int, v encrypted_int4('one'));
CREATE INDEX cold_v ON cold USING brin (v) WITH (pages_per_range = 1, autosummarize = on);
INSERT INTO cold SELECT g, g FROM generate_series(1, 2000) g;
CREATE TABLE cold_parts (LIKE cold) PARTITION BY RANGE (id);
CREATE TABLE cold_part PARTITION OF cold_parts FOR VALUES FROM (0) TO (9999);
CREATE INDEX ON cold_parts USING brin (v);
SQL
$node->stop;
my $keyring = $node->keyring;
rename $keyring, "$keyring.away" or die $!;
$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1s\n");
$node->start;
my $log = -s $node->logfile;
like(failing(q{SELECT brin_summarize_new_values('cold_v')}), qr/key/, 'no key: not summarized');
like(failing("INSERT INTO $_ VALUES (1, 1)"), qr/key/, "no key: not inserted, $_") for qw(cold cold_parts);
# Nothing of a NULL is sealed, as without the index
is($node->safe_psql('postgres', "INSERT INTO $_ (id) VALUES (5000), (5001); UPDATE $_ SET id = 5002 WHERE id = 5001; UPDATE $_ SET v = NULL WHERE id IN (1, 5000);
	SELECT count(*) FROM $_ WHERE id > 4999"), '2', "no key: NULL, $_") for qw(cold cold_parts);
is($node->safe_psql('postgres', q{SELECT brin_desummarize_range('cold_v', 2)}), '', 'no key: the other way');
rename "$keyring.away", $keyring or die $!;
ok($node->poll_query_until('postgres', q{SELECT leaves > 5 AND misplaced = 0 AND missing = 0 FROM pgseal.verify_index('cold_v')}), 'the key is back: summarized by itself');
is(ids('cold', 'v BETWEEN 100 AND 300'), ids('cold', 'id BETWEEN 100 AND 300 AND v IS NOT NULL'), 'the key is back: the same rows');
is(ids('cold', 'v IS NULL'), ids('cold', 'id IN (1, 5000, 5002)'), 'the key is back: NULLs');
unlike(slurp_file($node->logfile, $log), qr/PANIC|terminated by signal/, 'nothing has crashed');

$node->stop;
done_testing();
