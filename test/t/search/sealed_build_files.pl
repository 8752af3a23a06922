# What a build of a sealed index that exceeds maintenance_work_mem leaves on the disk: its
# temporary files, looked at while it stands still, the WAL and the data files hold no
# byte of a key, and are as random bytes.

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
CREATE TABLE t (n encrypted_int8, v encrypted_text);
INSERT INTO t SELECT x'6c696e676f6e6265'::bigint + i * 7919 % 60000, 'lingonberry ' || i FROM generate_series(1, 60000) i;
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
for my $index ('t_n ON t USING sealed (n)', 't_v ON t USING sealed (v)', 't_g ON t USING sealed (v sealed_trgm_ops)')
{
	my ($stdout, $stderr) = ('', '');
	my $build = IPC::Run::start([ 'psql', '-XqAt', $node->connstr('postgres'), '-c', "SET application_name = 'build'; SET maintenance_work_mem = '1MB'", '-c', "CREATE INDEX $index" ],
		'<', \'', '>', \$stdout, '2>', \$stderr);
	my $pid = '';
	my $bytes = '';

	for (1 .. 1800)
	{
		$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = 'build'") if $pid eq '';
		if ($pid ne '')
		{
			last unless kill 'STOP', $pid;
			$bytes = join '', map { slurp_file($_) } grep { /pgsql_tmp$pid\./ } files($temporary) if -d $temporary;
			last if length($bytes) > 200_000;
			kill 'CONT', $pid;
		}
		select undef, undef, undef, 0.05;
	}
	cmp_ok(length($bytes), '>', 200_000, "$index: a temporary file is met");
	unlike($bytes, $keys, "$index: no byte of a key is in it");
	# Of each record of some 32 kB, eight bytes are its length
	my $chi = chi_square($bytes);
	cmp_ok($chi / (1 + length($bytes) / 1_000_000), '<', 450, "$index: it is as random bytes ($chi)");
	kill 'CONT', $pid;
	$build->finish;
	is($stderr, '', "$index: it is built");
}
$node->safe_psql('postgres', 'CHECKPOINT');
for my $file (files($node->data_dir . '/pg_wal'), map { $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") } qw(t t_n t_v t_g))
{
	unlike(slurp_file($file), $keys, 'nor in ' . ($file =~ s/.*pgdata.//r));
}

$node->stop;
done_testing();
