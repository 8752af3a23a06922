# The sealed database through three drivers in their defaults: node-postgres, psycopg 3
# and asyncpg.  The same program runs on a plain and on a sealed database and must
# print the same: values as native types, type OIDs of the columns, errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use BaseTypes qw(base_types);
use IPC::Run;
use PgsealChinook qw(chinook_node chinook_script chinook_sealed);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($cache, $why);
if (!IPC::Run::run([ 'sh', "$FindBin::Bin/../../drivers/setup.sh" ], '>', \$cache, '2>', \$why))
{
	die "setup.sh failed: $why" if $? >> 8 != 77;
	plan skip_all => 'drivers cannot be installed: ' . $why =~ s/\s+/ /gr;
}
chomp $cache;

my %command = (
	psycopg => [ "$cache/python/bin/python", "$FindBin::Bin/../../drivers/cases.py" ],
	asyncpg => [ "$cache/python/bin/python", "$FindBin::Bin/../../drivers/cases_asyncpg.py" ],
	'node-postgres' => [ 'node', "$FindBin::Bin/../../drivers/cases.js" ],
);
$ENV{NODE_PATH} = "$cache/node_modules";
$ENV{TZ} = 'Europe/Berlin';

my $node = chinook_node('drivers');
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my @types = base_types();

# The plain columns are text, so that the OIDs can be the same
my $script = chinook_script();

sub load
{
	my ($database, $prefix, $sql) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION pgseal');
	$sql =~ s/ VARCHAR\(\d+\)/ text/g;
	$node->safe_psql($database, $sql);
	$node->safe_psql($database, 'CREATE TABLE typed (id int4 PRIMARY KEY, '
		. join(', ', map { "c_$_ $prefix$_" } @types) . ')');
}

foreach my $driver (sort keys %command)
{
	my %lines;

	my $suffix = $driver =~ s/\W//gr;
	load("plain_$suffix", '', $script);
	load("sealed_$suffix", 'encrypted_', chinook_sealed($script));
	foreach my $database ("plain_$suffix", "sealed_$suffix")
	{
		my ($stdout, $stderr) = ('', '');
		my $uri = "postgresql:///$database?user=$user&host=" . $node->host . '&port=' . $node->port;
		my $ok = IPC::Run::run([ @{ $command{$driver} }, $uri ], '>', \$stdout, '2>', \$stderr,
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

		ok($ok, "$driver runs on $database") or diag($stderr);
		$lines{$database} = [ map { [ split /\t/, $_, 2 ] } split /\n/, $stdout ];
	}
	my ($plain, $sealed) = @lines{ "plain_$suffix", "sealed_$suffix" };

	cmp_ok(scalar @$plain, '>=', 100, "$driver: " . @$plain . ' cases');
	is(scalar @$sealed, scalar @$plain, "$driver: as many on both");
	foreach my $i (0 .. $#$plain)
	{
		my ($name, $expected) = @{ $plain->[$i] };
		my ($sealed_name, $got) = @{ $sealed->[$i] // [ 'nothing', '' ] };

		is($expected =~ /^error/, $name =~ /^error/, "$driver: $name: works on the plain one");
		ok($name eq $sealed_name && $got eq $expected, "$driver: $name")
		  or diag('got:      ' . substr($got, 0, 300) . "\nexpected: " . substr($expected, 0, 300));
	}

	# What was written is sealed
	my $all = $node->safe_psql("sealed_$suffix", 'SET pgseal.transparent = off; SELECT * FROM typed');
	is(join("\n", grep { !/^\d+(?:\|(?:pgseal:1:[A-Za-z0-9+\/]+=*)?)+$/ } split /\n/, $all), '',
		"$driver: everything in the table is sealed");
}

$node->stop;
done_testing();
