# Three applications: a web shop, a clinic, a payroll.  Each is a script in
# test/applications of some hundred statements, which is run in a database with plain
# columns and in one with encrypted ones: what the client is told must be the same, the
# types that are described, the rows and the SQLSTATE of what fails, statement by
# statement.
#
# A statement may begin with a comment "differs: WHY", which docs/sql.md explains:
# then, and only then, it does.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = "$FindBin::Bin/../../applications";
my @TYPES = qw(text bytea bool int2 int4 int8 float4 float8 numeric date time timestamp timestamptz interval uuid inet jsonb);
my $node = SealedNode->started('main', conf => q{
max_prepared_transactions = 4
log_statement = none
});

# Statements end with a semicolon at a line's end, outside of $$; COPY has its data; what
# begins with \if goes to \endif
sub statements
{
	my ($file) = @_;
	my @statements = ('');

	for (split /^/, slurp_file($file))
	{
		$statements[-1] .= $_;
		next if (() = $statements[-1] =~ /\$\$/g) % 2;
		push @statements, ''
		  if $statements[-1] =~ /\A\\if/ ? /^\\endif$/ :
		  $statements[-1] =~ /\A(?:--.*\n)*COPY .* FROM STDIN/ ? /^\\\.$/ : /;\n\z/;
	}
	return grep { /\S/ } @statements;
}

# Each statement is announced, described and run
sub script
{
	my $script = '';
	my $n = 0;

	for (@_)
	{
		$script .= "\\echo \@$n\n";
		$n++;
		$script .= s/;\n\z//r . " \\gdesc\n" if !/\A\\if/ && !/\A(?:--.*\n)*(?:COPY|PREPARE|BEGIN|COMMIT|ROLLBACK|SAVEPOINT)\b/;
		$script .= $_;
	}
	return $script;
}

sub answers
{
	my ($database, $sealed, @statements) = @_;
	my $script = script(@statements);
	my $out = '';

	IPC::Run::run(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-v', 'SHOW_CONTEXT=never', '-v', 'ON_ERROR_STOP=0',
			'-P', 'null=<NULL>', '-v', "sealed=$sealed",
			(map { ('-v', "$_=" . ($sealed ? "encrypted_$_" : $_)) } @TYPES),
			'-d', $node->connstr($database)
		],
		'<', \$script, '>', \$out, '2>&1');
	$out =~ s/^psql:<stdin>:\d+: //mg;
	$out =~ s/PID \d+/PID/g;
	return split /^\@\d+\n/m, $out;
}

for my $application (qw(shop clinic payroll))
{
	my @statements = statements("$dir/$application.sql");
	my (%answers, $unlike, $sql);

	for my $sealed (0, 1)
	{
		my $database = $application . ($sealed ? '_sealed' : '_plain');

		$node->safe_psql('postgres', "CREATE DATABASE $database");
		$node->safe_psql($database, 'CREATE EXTENSION pgseal') if $sealed;
		$answers{$sealed} = [ answers($database, $sealed, @statements) ];
		shift @{ $answers{$sealed} };
		is(@{ $answers{$sealed} }, @statements, "$database: all statements are answered");
	}
	cmp_ok(scalar(@statements), '>=', 150, "$application: enough statements");
	for my $i (0 .. $#statements)
	{
		my $differs = $statements[$i] =~ /^-- differs: /m;

		if ($differs)
		{
			isnt($answers{1}[$i], $answers{0}[$i], "$application: differs as it is said: $statements[$i]");
		}
		elsif (($answers{1}[$i] // '') ne ($answers{0}[$i] // ''))
		{
			$unlike++;
			diag("$statements[$i]plain:\n$answers{0}[$i]encrypted:\n$answers{1}[$i]");
		}
	}
	is($unlike // 0, 0, "$application: the same answers to " . @statements . ' statements');
	is($node->safe_psql("${application}_sealed", q{SELECT count(*) > 8 FROM pgseal.columns}), 't', "$application: columns are encrypted");
}

$node->stop;
done_testing();
