# Runs the tests, each a program that speaks TAP:
#
#   perl test/suite.pl [FILE ...]        (in the scratch copy: test/run.sh)
#
# The files of test/t, in folders by topic, use the modules that PostgreSQL comes with
# (PostgreSQL::Test::Cluster); the servers' data and logs go to tmp_check.
# They run in parallel, one for each processor.
#
# A test of something that is not on this machine (a KMS server) skips itself.
# With PGSEAL_NO_SKIP=1 or CI=true that is a failure: there, everything must
# be tested.  Only a skip whose reason is "needs PostgreSQL N" stays one, or one
# whose reason is "needs ../shared": data that is too large, or not ours, to be
# in the repository, in a directory beside it; or "needs Go", "needs Java", "needs Rust",
# for a server or drivers that are some more of a kind.
#
# The last line is "N passed, N failed"; the exit status is 1 if any failed.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Path qw(make_path);
use TAP::Harness;

# Those that take longest begin first, so that none is left running by itself.
my %first = map { ("test/t/$_.pl" => 1) } qw(core/differential keys/rotation_crash convert/crash);
my %given;
my @files = @ARGV ? grep { !$given{$_}++ } @ARGV : (
	'test/check_layers.pl',
	sort { ($first{$b} // 0) <=> ($first{$a} // 0) || $a cmp $b } glob('test/t/*/*.pl test/t/*.pl'));
my $no_skip = $ENV{PGSEAL_NO_SKIP} || ($ENV{CI} // '') eq 'true';

my $top = getcwd();
chomp(my $pgxs = `$ENV{PG_CONFIG} --pgxs`);
my $pgtest = $pgxs =~ s{/makefiles/pgxs\.mk$}{/test}r;
chomp(my $jobs = `nproc`);

# What PostgreSQL's makefiles set: TESTDIR in 15, the other two since 16.
$ENV{TESTDIR} = $top;
$ENV{TESTDATADIR} = "$top/tmp_check";
$ENV{TESTLOGDIR} = "$top/tmp_check/log";
$ENV{PG_REGRESS} = "$pgtest/regress/pg_regress";
$ENV{PG_ISOLATION_REGRESS} = "$pgtest/isolation/pg_isolation_regress";
make_path($ENV{TESTLOGDIR});

my $harness = TAP::Harness->new(
	{
		jobs => $jobs,
		lib => [ "$pgtest/perl", "$top/test/lib" ],
		verbosity => 0,
		timer => 1,
	});
my @skips;
my @broken_off;

$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		$parser->callback(bailout => sub { push @broken_off, $job->[0] });
		$parser->callback(
			test => sub {
				my ($test) = @_;
				push @skips, $job->[0] . ': ' . $test->explanation if $test->has_skip;
			});
		$parser->callback(
			plan => sub {
				my ($plan) = @_;
				push @skips, $job->[0] . ': ' . $plan->explanation if $plan->has_skip;
			});
	});

my $results = eval { $harness->runtests(@files) };
if (!$results)
{
	# A test that bails out, as where its server doesn't start, ends all of it
	print "the tests were broken off: $@";
	show_log($_) for @broken_off;
	exit 1;
}
my $passed = $results->passed;
my $failed = $results->failed;

# A program that fails without a failed test (it died, it was killed, its plan
# was not kept) counts as one.
for my $file ($results->descriptions)
{
	my ($parser) = $results->parsers($file);
	next unless $parser->has_problems;
	$failed++ unless $parser->failed;
	show_log($file);
}

for my $skip (@skips)
{
	my $fatal = $no_skip && $skip !~ m{: needs (?:PostgreSQL \d+|\.\./shared|(?:Go|Java|Rust)\b)};
	print $fatal ? 'not allowed here: ' : '', "skipped $skip\n";
	$passed--, $failed++ if $fatal;
}

print "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);

# The end of the log that PostgreSQL's modules keep of a test, and of the logs
# of its servers.
sub show_log
{
	my ($file) = @_;
	my ($name) = $file =~ m{([^/]+)\.pl$};

	for my $log (glob("$ENV{TESTLOGDIR}/{regress_log_$name,${name}_*.log}"))
	{
		open my $fh, '<', $log or next;
		my @lines = <$fh>;
		splice @lines, 0, -20;
		print "---- the end of $log\n", @lines, "----\n";
	}
}
