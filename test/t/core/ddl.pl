# DDL of every kind, on plain columns and on the same encrypted ones: the same
# statements succeed, with the same results, and the others fail with the same
# error; as a superuser and as a role that owns its tables.  What differs is known
# and said.

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my %types = (
	plain => { T => 'text', I => 'int4', B => 'int8', D => 'date', J => 'jsonb' },
	sealed => {
		T => 'encrypted_text', I => 'encrypted_int4', B => 'encrypted_int8',
		D => 'encrypted_date', J => 'encrypted_jsonb' });

# Statements that are refused on encrypted columns, and why
my %refused = (
	qr/^CREATE STATISTICS/ => qr/0A000: extended statistics would reveal/,
	qr/^ALTER TABLE t_into ADD UNIQUE/ => qr/0A000: index .* would reveal the order/,
	qr/GENERATED ALWAYS AS IDENTITY/ => qr/22023: identity column type must be/,);

my @statements;
open(my $in, '<', dirname(__FILE__) . '/../../ddl/statements.sql') or die $!;
while (my $line = <$in>)
{
	chomp $line;
	push @statements, $line if $line !~ /^--/ && $line ne '';
}

my $node = SealedNode->started('ddl');
$node->query('postgres', 'CREATE ROLE ddl_owner; CREATE ROLE ddl_other; GRANT ddl_other TO ddl_owner');

# What each statement answers, one string a statement
sub answers
{
	my ($database, $role, $schema) = @_;
	my $script = "\\set VERBOSITY verbose\n\\pset format unaligned\n\\pset tuples_only on\n" .
	  "SET ROLE $role; SET client_min_messages = error; SET search_path = $schema, public;\n";
	my ($out, @answers);

	for my $i (0 .. $#statements)
	{
		my $statement = $statements[$i];

		$statement =~ s/\@([TIBDJ])\b/$types{$schema}{$1}/g;
		$statement =~ s/\@S/$schema/g;
		$script .= "\\echo ##$i\n$statement\n";
	}
	PostgreSQL::Test::Utils::run_log(
		[ 'psql', '-Xq', '-d', $node->connstr($database) ], '<', \$script, '>&', \$out);
	for my $part (split(/^##/m, $out))
	{
		my ($i, $answer) = $part =~ /\A(\d+)\n(.*)\z/s or next;

		$answer =~ s/^(LOCATION|LINE|DETAIL|HINT|CONTEXT|SQL|   ).*\n//mg;
		$answer =~ s/encrypted_|\b$schema(_\d)?\.//g;
		$answer =~ s/\b$schema/schema/g;
		# Of an error the code counts
		$answer =~ s/ERROR:  (\w+):.*/ERROR $1/s if $answer !~ /0A000|22023|42P17|55000/;
		$answers[$i] = $answer;
	}
	return @answers;
}

for my $role ('postgres', 'ddl_owner')
{
	my $database = "as_$role";
	my (@plain, @sealed);
	my $differ = 0;

	$node->query('postgres', "CREATE DATABASE $database");
	$node->query($database, <<EOSQL);
		CREATE EXTENSION pgseal;
		CREATE EXTENSION btree_gist;
		CREATE FOREIGN DATA WRAPPER dummy;
		CREATE SERVER dummy_srv FOREIGN DATA WRAPPER dummy;
		CREATE SCHEMA plain; CREATE SCHEMA plain_2; CREATE SCHEMA sealed; CREATE SCHEMA sealed_2;
		GRANT CREATE ON DATABASE $database TO ddl_owner;
		GRANT ALL ON SCHEMA plain, plain_2, sealed, sealed_2 TO ddl_owner, ddl_other;
		GRANT USAGE ON FOREIGN SERVER dummy_srv, local_keyring TO ddl_owner;
EOSQL
	@plain = answers($database, $role, 'plain');
	@sealed = answers($database, $role, 'sealed');
	cmp_ok(scalar(grep { defined } @plain), '==', scalar(@statements), "$role: all were run on plain columns");
	cmp_ok(scalar(grep { !/ERROR/ } @plain), '>', 200, "$role: most of them work there");
	for my $i (0 .. $#statements)
	{
		my ($known) = grep { $statements[$i] =~ $_ } keys %refused;

		if (defined $known)
		{
			like($sealed[$i], $refused{$known}, "$role: $statements[$i]");
			next;
		}
		next if $sealed[$i] eq $plain[$i];
		$differ++;
		diag("$statements[$i]\nplain: $plain[$i]\nencrypted: $sealed[$i]");
	}
	is($differ, 0, "$role: no statement answers otherwise");
}

$node->stop;
done_testing();
