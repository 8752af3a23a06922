# What a build of a sealed index that exceeds maintenance_work_mem leaves on the disk: its
# temporary files, looked at while it stands still, the WAL and the data files hold no
# byte of a key, and are as random bytes.  It stands still at the last row, where the
# index's predicate waits for a lock.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Find;
use PgsealScan qw(chi_square);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('build_files', conf => q{
autovacuum = off
log_temp_files = 0
max_parallel_maintenance_workers = 0
wal_compression = off
});

# The numbers are lingonbe and what follows it: in the order of the index and of the machine
my $keys = qr/lingonb|ebnognil|bnognil|$SealedNode::PLAINTEXT/;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE FUNCTION at_last_row(id int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF id = 60000 THEN
		PERFORM pg_advisory_lock_shared(1);
		PERFORM pg_advisory_unlock_shared(1);
	END IF;
	RETURN true;
END $$;
CREATE TABLE t (id int, n encrypted_int8, v encrypted_text);
INSERT INTO t SELECT i, x'6c696e676f6e6265'::bigint + i * 7919 % 60000, 'lingonberry ' || i FROM generate_series(1, 60000) i;
CHECKPOINT;
SELECT pg_switch_wal();
SQL

sub files
{
	my ($dir) = @_;
	my @files;
	find({ no_chdir => 1, wanted => sub { push @files, $_ if -f } }, $dir);
	return @files;
}

my $temporary = $node->data_dir . '/base/pgsql_tmp';
my $gate = $node->background_psql('postgres');
for my $index ('t_n ON t USING sealed (n)', 't_v ON t USING sealed (v)', 't_g ON t USING sealed (v sealed_trgm_ops)')
{
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	my ($stdout, $stderr) = ('', '');
	my $build = IPC::Run::start([ 'psql', '-XqAt', $node->connstr('postgres'), '-c', "SET application_name = 'build'; SET maintenance_work_mem = '1MB'", '-c', "CREATE INDEX $index WHERE at_last_row(id)" ],
		'<', \'', '>', \$stdout, '2>', \$stderr);
	my $waits = "FROM pg_stat_activity WHERE application_name = 'build' AND wait_event = 'advisory'";
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT $waits)"), "$index: the build stands still at the last row");
	my $pid = $node->safe_psql('postgres', "SELECT pid $waits");
	my $bytes = join '', map { slurp_file($_) } grep { /pgsql_tmp$pid\./ } files($temporary);
	$gate->query_safe('SELECT pg_advisory_unlock(1)');
	$build->finish;
	is($stderr, '', "$index: it is built");

	cmp_ok(length($bytes), '>', 200_000, "$index: a temporary file is met");
	unlike($bytes, $keys, "$index: no byte of a key is in it");
	# Of each record of some 32 kB, eight bytes are its length
	my $chi = chi_square($bytes);
	cmp_ok($chi / (1 + length($bytes) / 1_000_000), '<', 450, "$index: it is as random bytes ($chi)");
}
$gate->quit;
$node->safe_psql('postgres', 'CHECKPOINT');
for my $file (files($node->data_dir . '/pg_wal'), map { $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") } qw(t t_n t_v t_g))
{
	unlike(slurp_file($file), $keys, 'nor in ' . ($file =~ s/.*pgdata.//r));
}

$node->stop;
done_testing();
