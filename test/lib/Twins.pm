# Programs of other ecosystems (test/drivers/) that do the same on encrypted columns
# and on plain ones, and must print the same.
package Twins;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

our @EXPORT_OK = qw(installed twins_node runs_alike all_sealed);

# What a setup script installed; skips the test where that can't be had
sub installed
{
	my ($script) = @_;
	my ($path, $why);

	if (!IPC::Run::run([ 'sh', "$FindBin::Bin/../../drivers/$script" ], '>', \$path, '2>', \$why))
	{
		die "$script failed: $why" if $? >> 8 != 77;
		plan skip_all => $why =~ s/\s+/ /gr;
	}
	chomp $path;
	return $path;
}

# A server with the databases "sealed" and "plain"
sub twins_node
{
	my $node = SealedNode->started('twins', conf => q{
timezone = 'UTC'
listen_addresses = '127.0.0.1'
});
	$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(sealed plain);
	$node->safe_psql('sealed', 'CREATE EXTENSION pgseal');
	return $node;
}

# Runs COMMAND HOST PORT USER DATABASE sealed|plain on both; not all can use a Unix socket
sub runs_alike
{
	my ($node, $name, $least, @command) = @_;
	my $user = $node->safe_psql('postgres', 'SELECT current_user');
	my %printed;

	foreach my $database (qw(plain sealed))
	{
		my ($stdout, $stderr) = ('', '');
		my $ok = IPC::Run::run([ @command, '127.0.0.1', $node->port, $user, $database, $database ],
			'>', \$stdout, '2>', \$stderr, IPC::Run::timeout(5 * $PostgreSQL::Test::Utils::timeout_default));

		ok($ok, "$name runs on $database") or diag($stderr);
		$printed{$database} = [ split /\n/, $stdout ];
	}
	cmp_ok(scalar @{ $printed{plain} }, '>=', $least, "$name: " . @{ $printed{plain} } . ' lines');
	is_deeply($printed{sealed}, $printed{plain}, "$name: the same on both");
	return @{ $printed{sealed} };
}

# All columns of these tables that are encrypted hold sealed values
sub all_sealed
{
	my ($node, @tables) = @_;

	foreach my $table (@tables)
	{
		my @columns = split /\n/, $node->safe_psql('sealed',
			"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$table'::regclass AND atttypid::regtype::text LIKE 'encrypted\\_%'");

		cmp_ok(scalar @columns, '>', 0, "$table has encrypted columns: @columns");
		is($node->safe_psql('sealed', 'SET pgseal.transparent = off; COPY (SELECT '
				. join(', ', @columns) . " FROM $table) TO STDOUT") =~ s/pgseal:1:[A-Za-z0-9+\/=]+|\\N|[{},\s]|NULL//gr,
			'', "$table: everything in them is sealed");
	}
}

1;
