# Where keys and credentials lie in shared memory: whole pages of their own, locked
# and left out of core dumps, whatever the size of the cache; also on a machine
# whose pages have 64 kB, which is made by LD_PRELOAD (test/module_cache).
#
# Needs Linux, a C compiler, and the right to lock 4 MB.

use strict;
use warnings;
no warnings qw(portable);

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = SealedNode->new('main');
$node->init(conf => 'pgseal.core_dumps = on');

# The mappings of a process that are left out of core dumps, but for the kernel's
# own: [kB, kB locked, start]
sub undumped
{
	my ($pid) = @_;
	my (@found, $start, $kb, $locked);

	open(my $smaps, '<', "/proc/$pid/smaps") or die "smaps: $!";
	while (<$smaps>)
	{
		($start, $locked) = (/\[/ ? undef : hex($1), 0) if /^([0-9a-f]+)-/;
		$kb = $1 if /^Size:\s+(\d+)/;
		$locked = $1 if /^Locked:\s+(\d+)/;
		push @found, [ $kb, $locked, $start ] if /^VmFlags:.* dd/ && defined $start;
	}
	return @found;
}

# The mapping of the key cache: the one of its size (there are others of one page)
sub keys_are_kept
{
	my ($page_kb, $slots, $name) = @_;
	my $pid = $node->safe_psql('postgres', 'SELECT pg_backend_pid() > 0') && (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $kb = int(($slots * 32 + $page_kb * 1024 - 1) / ($page_kb * 1024)) * $page_kb;
	my @cache = grep { $_->[0] == $kb && $_->[2] % ($page_kb * 1024) == 0 } undumped($pid);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(scalar(@cache), "$name: $kb kB in pages of their own are not dumped");
	ok(scalar(grep { $_->[1] == $kb } @cache), "$name: and locked") if $node->safe_psql('postgres', 'SELECT locked FROM pgseal.stat_cache') eq 't';
	return;
}

$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION pgseal; CREATE TABLE t (a encrypted_text); INSERT INTO t VALUES ('x')});
for my $slots (16, 1000, 4096, 50_000)
{
	$node->append_conf('postgresql.conf', "pgseal.cache_size = $slots");
	$node->restart;
	is($node->safe_psql('postgres', 'SELECT locked FROM pgseal.stat_cache'), 't', "$slots slots are locked");
	keys_are_kept(4, $slots, "$slots slots");
	is($node->safe_psql('postgres', 'SELECT a FROM t'), 'x', 'which work');
}

# One that may not be locked: said, with how much it takes
SKIP:
{
	skip 'no prlimit', 4 if system("prlimit --pid $$ --memlock=2048000: 2>/dev/null") != 0;
	$node->append_conf('postgresql.conf', 'pgseal.cache_size = 100000');
	my $offset = -s $node->logfile;
	$node->restart;
	is($node->safe_psql('postgres', 'SELECT locked, a FROM pgseal.stat_cache, t'), 'f|x', 'more than may be locked');
	my ($kb) = slurp_file($node->logfile, $offset) =~ /could not lock the key cache.*ulimit -l\) to at least (\d+) kB/s;
	ok($kb, 'is said');
	keys_are_kept(4, 100_000, 'not locked');
	system_or_bail('prlimit', '--pid', $$, '--memlock=' . 1024 * $kb . ':');
	$node->restart;
	is($node->safe_psql('postgres', 'SELECT locked FROM pgseal.stat_cache'), 't', 'and what is asked for is enough');
}

# Pages of 64 kB
my $library = "$dir/large_pages.so";
my $calls = "$dir/calls";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $library,
	dirname(__FILE__) . '/../../module_cache/large_pages.c', '-ldl');
$node->append_conf('postgresql.conf', 'pgseal.cache_size = 3000');
$node->stop;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{PGSEAL_PAGES_FILE} = $calls;
	$node->start;
}
keys_are_kept(64, 3000, 'large pages');
is($node->safe_psql('postgres', 'SELECT a FROM t'), 'x', 'which work');
my @unaligned = grep { !/^\w+ 0 / } split /\n/, slurp_file($calls);
is("@unaligned", '', 'all that is locked or left out of dumps begins with a page');
my @parts = grep { /^madvise/ && (split / /)[2] % 65536 } split /\n/, slurp_file($calls);
is("@parts", '', 'and ends with one');
cmp_ok(scalar(split /\n/, slurp_file($calls)), '>=', 6, 'cache, mask and credentials');
unlike(slurp_file($node->logfile), qr/could not exclude the key cache/, 'nothing failed');

$node->stop;
done_testing();
