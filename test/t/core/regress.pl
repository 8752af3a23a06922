# The regression tests of sql/ and the isolation tests of test/isolation/, run
# by PostgreSQL's own pg_regress against one server.  Each topic counts as a
# test.  `make installcheck` runs the same against a server of the user's.

use strict;
use warnings;

use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('regress');

my @sql = $ENV{REGRESS} ? split(' ', $ENV{REGRESS}) : topics('sql/*.sql');
run('regression', $ENV{PG_REGRESS}, '.', @sql);
run('isolation', $ENV{PG_ISOLATION_REGRESS}, 'test/isolation',
	topics('test/isolation/specs/*.spec'));

$node->stop;
done_testing();

# The names of the topics; the extension's script lies beside the tests.
sub topics
{
	my ($pattern) = @_;
	return grep { !/^pgseal--/ } map { basename($_) =~ s/\.\w+$//r } sort glob($pattern);
}

sub run
{
	my ($kind, $program, $inputdir, @topics) = @_;
	my $outputdir = "$PostgreSQL::Test::Utils::tmp_check/$kind";
	my %verdict;

	return unless @topics;
	mkdir $outputdir;

	my ($stdout, $stderr);
	my $status = IPC::Run::run(
		[
			$program, '--bindir=',
			'--host=' . $node->host, '--port=' . $node->port,
			"--inputdir=$inputdir", "--outputdir=$outputdir",
			"--dbname=pgseal_$kind", '--encoding=UTF8',
			'--load-extension=pgseal', @topics
		],
		'>', \$stdout, '2>', \$stderr);

	# PostgreSQL 15 prints "test name ... ok", later ones "ok 1 - name".
	for (split /\n/, $stdout)
	{
		$verdict{$1} = $2 eq 'ok' if /^test (\S+)\s+\.\.\. (ok|FAILED)/;
		$verdict{$2} = !$1 if /^(not )?ok \d+\s+- (\S+)/;
	}
	my $diffs = "$outputdir/regression.diffs";
	ok($verdict{$_}, "$kind $_") for @topics;
	ok($status, "$kind: pg_regress is content")
	  or diag(-s $diffs ? slurp_file($diffs) : "$stdout$stderr");
}
