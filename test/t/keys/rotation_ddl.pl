# Tables are altered, rewritten, emptied, dropped, made, detached and reindexed
# while their key rotates again and again and others write: no value is lost,
# none stays under an old version, and nobody gets a deadlock.
#
# Environment: PGSEAL_DDL_ROTATIONS (default 4).

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $rotations = $ENV{PGSEAL_DDL_ROTATIONS} // 4;

my $node = SealedNode->started('ddl', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 4
pgseal.reencrypt_delay = 1
log_statement = none
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('k');
	CREATE TABLE t (id int PRIMARY KEY, plain text, v encrypted_text('k'), list encrypted_text('k')[]);
	CREATE UNIQUE INDEX ON t (blind_index(v));
	CREATE TABLE parts (id int, plain text, v encrypted_text('k')) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
	CREATE TABLE p2 PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
	CREATE TABLE emptied (plain text, v encrypted_text('k'));
	CREATE TABLE made (plain text, v encrypted_text('k'));
	INSERT INTO t SELECT i, 'v' || i, 'v' || i, ARRAY['v' || i] FROM generate_series(1, 2000) i;
	INSERT INTO parts SELECT i, 'v' || i, 'v' || i FROM generate_series(0, 1999) i;
});

sub script
{
	my ($name, $sql) = @_;
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, $sql);
	return $file;
}

my $writes = script('writes', q{
\set id random(1, 2000)
\set value random(1, 1000000000000)
UPDATE t SET plain = 'w' || :value, v = 'w' || :value, list = ARRAY['w' || :value] WHERE id = :id;
UPDATE parts SET plain = 'w' || :value, v = 'w' || :value WHERE id = :id - 1;
SELECT v FROM t WHERE id = :id;
});
# Who rewrites a table without a pause keeps re-encryption from coming to its end: on a
# slow machine for ever
my $ddl = script('ddl', q{
ALTER TABLE t ADD COLUMN extra encrypted_text('k');
UPDATE t SET extra = plain WHERE id % 100 = 0;
VACUUM FULL t;
ALTER TABLE t DROP COLUMN extra;
CLUSTER t USING t_pkey;
REINDEX TABLE CONCURRENTLY t;
CREATE INDEX CONCURRENTLY hashed ON t USING hash (v);
DROP INDEX CONCURRENTLY hashed;
ALTER TABLE t ALTER COLUMN v TYPE encrypted_text('k');
TRUNCATE emptied;
INSERT INTO emptied SELECT plain, v FROM t LIMIT 500;
BEGIN;
DROP TABLE made;
CREATE TABLE made AS SELECT plain, v FROM t LIMIT 500;
COMMIT;
ALTER TABLE parts DETACH PARTITION p2;
ALTER TABLE parts ATTACH PARTITION p2 FOR VALUES FROM (1000) TO (2000);
CREATE MATERIALIZED VIEW seen AS SELECT id, v FROM t;
REFRESH MATERIALIZED VIEW seen;
DROP MATERIALIZED VIEW seen;
\sleep 5 s
});

sub run_load
{
	my ($name, $clients, $file, $out) = @_;

	local $ENV{PGAPPNAME} = 'pgbench';
	return IPC::Run::start(
		[ 'pgbench', '-n', '-T', 3600, '-c', $clients, '-j', $clients, '-f', $file,
		  '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', $out);
}

my ($write_errors, $ddl_errors) = ('', '');
my @loads = (run_load('writes', 2, $writes, \$write_errors), run_load('ddl', 1, $ddl, \$ddl_errors));

my $retired = q{SELECT count(*) = 0 FROM pgseal.key_versions o JOIN pgseal.key_versions n USING (key, purpose)
	WHERE n.version > o.version AND o.retired IS NULL};
for my $i (1 .. $rotations)
{
	$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('k')});
	# Every second one begins while the one before is under way
	next if $i % 2 && $i < $rotations;
	ok($node->poll_query_until('postgres', $retired), "rotation $i is finished, under load");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE v::text IS DISTINCT FROM plain
		OR list::text[] IS DISTINCT FROM ARRAY[plain]}), 0, 'every value is what it was');
}
$_->pump_nb for @loads;
ok($loads[0]->pumpable && $loads[1]->pumpable, 'the load went on until now');
$_->signal('TERM') for @loads;
$_->finish for @loads;
# The server may still be at work for them
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'}), 'the load has ended');
unlike($write_errors . $ddl_errors, qr/ERROR/, 'without an error');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'nor a deadlock of anybody');

for my $table (qw(t p1 p2 emptied made))
{
	is($node->safe_psql('postgres', qq{SELECT count(*) FROM $table WHERE v::text IS DISTINCT FROM plain}), 0,
		"$table: every value is what it was");
	is($node->safe_psql('postgres', qq{SELECT sum(stale), sum(broken) FROM pgseal.verify_table('$table')}), '0|0',
		"$table: and under the current version");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 2000, 'none is lost');
is($node->safe_psql('postgres', q{
	SET enable_seqscan = off;
	SELECT count(*) FROM t a WHERE NOT EXISTS (SELECT FROM t b WHERE b.v = a.plain)}), 0,
	'the blind index finds every row');
$node->destroys_version('postgres', 'k', $_) for 1 .. $rotations;
is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE v::text = plain}), 2000,
	'also without the old versions');

$node->stop;
done_testing();
