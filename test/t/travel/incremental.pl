# What brings a table elsewhere since PostgreSQL 17: incremental backups, while
# values are sealed anew, columns converted and sealed indexes written; a standby that
# becomes a subscriber; and transactions that are applied while they run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PgsealScan qw(scan_tree);
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;

my $secret = 'cloudberry';
my $node = SealedNode->new('incremental');

plan skip_all => 'needs PostgreSQL 17' if $node->pg_version < 17;
$node->init(allows_streaming => 'logical', conf => q{
summarize_wal = on
pgseal.worker_interval = 1
autovacuum = off
log_statement = none
});

# By io_uring, where there is one
my $postgresql_conf = $node->data_dir . '/postgresql.conf';
my $by_default = slurp_file($postgresql_conf);
$node->append_conf('postgresql.conf', 'io_method = io_uring') if $node->pg_version >= 18;
if (!$node->start(fail_ok => 1))
{
	write_file($postgresql_conf, $by_default);
	$node->start;
}
my $keyring = "pgseal.keyring_file = '" . $node->keyring . "'";

# All values open, and all indexes have all rows
sub sound
{
	my ($where, $tables, $name) = @_;

	is($where->query('postgres', join ' UNION ALL ', map { "SELECT '$_', max(sealed), sum(stale), sum(broken) FROM pgseal.verify_table('$_')" } sort keys %$tables),
		join("\n", map { "$_|$tables->{$_}|0|0" } sort keys %$tables), "$name: values");
	is($where->query('postgres', q{SELECT count(*), sum(misplaced + missing) FROM (VALUES ('by_n'), ('by_block')) i (name), pgseal.verify_index(name::regclass)}), '2|0', "$name: indexes");
	is($where->query('postgres', "SELECT count(*) FROM t WHERE v = '$secret 77' AND n = 77"), 1, "$name: a lookup");
	return;
}

$node->query('postgres', qq{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int PRIMARY KEY, v encrypted_text, n encrypted_int4);
	INSERT INTO t SELECT i, '$secret ' || i, i FROM generate_series(1, 3000) i;
	CREATE INDEX by_n ON t USING sealed (n);
	CREATE INDEX by_block ON t USING brin (n);
	CREATE INDEX by_token ON t (blind_index(v));
	CREATE TABLE converted (id int PRIMARY KEY, v encrypted_text);
	CREATE TABLE later (id int PRIMARY KEY, c text);
	INSERT INTO later SELECT i, 'plain ' || i FROM generate_series(1, 500) i});

#
# Incremental backups
#

$node->backup('full');
$node->query('postgres', qq{
	UPDATE t SET v = v || '.' WHERE id % 100 = 0;
	INSERT INTO t SELECT i, '$secret ' || i, i FROM generate_series(3001, 4000) i;
	INSERT INTO converted SELECT i, 'plain ' || i FROM generate_series(1, 500) i;
	SELECT pgseal.rotate_key('public.t')});
$node->backup('first', backup_options => [ '--incremental', $node->backup_dir . '/full/backup_manifest' ]);
$node->poll_query_until('postgres', "SELECT sum(stale) = 0 FROM pgseal.verify_table('t')") or die 'no re-encryption';
$node->query('postgres', $_)
  for "CALL pgseal.encrypt_column('later', 'c')", "CALL pgseal.decrypt_column('converted', 'v')", "CALL pgseal.encrypt_column('converted', 'v')", 'VACUUM FULL t', 'UPDATE t SET n = n + 1 WHERE id % 7 = 1';
$node->backup('second', backup_options => [ '--incremental', $node->backup_dir . '/first/backup_manifest' ]);
my $combined = SealedNode->from_backup('combined', $node, 'second', combine_with_prior => [ 'full', 'first' ], conf => $keyring);
sound($combined, { t => 4000, later => 500, converted => 500 }, 'combined');
is($combined->query('postgres', "SELECT count(*) FROM later WHERE c LIKE 'plain %'"), 500, 'a column that was converted between two backups');
$combined->stop;

#
# A standby becomes a subscriber
#

$node->backup('standby');
my $standby = SealedNode->from_backup('standby', $node, 'standby', has_streaming => 1, conf => $keyring);
$node->wait_for_replay_catchup($standby);
$standby->stop;
$standby->command_ok([ 'pg_createsubscriber', '--pgdata', $standby->data_dir, '--publisher-server', $node->connstr('postgres'), '--socketdir', $standby->host,
		'--subscriber-port', $standby->port, '--database', 'postgres', '--publication', 'pub', '--subscription', 'sub' ], 'pg_createsubscriber');
$standby->start;
$node->query('postgres', "INSERT INTO t VALUES (5000, '$secret new', 0); UPDATE later SET c = 'changed' WHERE id = 1");
$node->wait_for_catchup('sub');
is($standby->query('postgres', "SELECT id FROM t WHERE v = '$secret new'"), 5000, 'what is written then arrives');
is($standby->query('postgres', 'SELECT c FROM later WHERE id = 1'), 'changed', 'and what is changed');

#
# By several workers, before the commit
#

$node->append_conf('postgresql.conf', 'debug_logical_replication_streaming = immediate');
$node->reload;
$standby->query('postgres', $_) for 'ALTER SUBSCRIPTION sub DISABLE', 'ALTER SUBSCRIPTION sub SET (streaming = parallel)', 'ALTER SUBSCRIPTION sub ENABLE';
$node->query('postgres', qq{
	BEGIN;
	INSERT INTO t SELECT i, '$secret ' || i, i FROM generate_series(10001, 11000) i;
	SAVEPOINT s;
	UPDATE t SET n = n + 1 WHERE id > 10000;
	ROLLBACK TO s;
	DELETE FROM t WHERE id BETWEEN 10001 AND 10100;
	COMMIT});
$node->wait_for_catchup('sub');
is($standby->query('postgres', "SELECT count(*), count(*) FILTER (WHERE v = '$secret ' || id AND n = id) FROM t WHERE id > 10000"), '900|900', 'applied in parallel');
sound($standby, { t => 4901, later => 500, converted => 500 }, 'subscriber');

# What was plain for a while goes by another word
for my $directory ($node->backup_dir . '/second', map { $_->data_dir . '/base' } $standby, $combined)
{
	my %found = scan_tree($directory, $secret);

	is(join(' ', map { @$_ } values %found), '', "no plaintext in $directory" =~ s/ \S*tmp_check\// /r);
}
unlike(slurp_file($_->logfile), qr/$secret/, 'nor in the log of ' . $_->name) for $node, $standby, $combined;

$standby->stop;
$node->stop;
done_testing();
