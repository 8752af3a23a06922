#!/usr/bin/perl
# SQL parity in contexts: what stands beside a plain column in a statement or an
# object may stand beside an encrypted one.
#
#   perl test/parity/contexts.pl [--verbose] [--known FILE] [--failed FILE]
#
# Needs a running server with pgseal (PGHOST, PGPORT, ...) and a superuser; it works
# in databases of its own, "parity_contexts" and "parity_restored".
#
# Each statement of ParityContexts.pm is sent by a client, psql, in a schema with
# plain columns and in one with encrypted columns: with the usual search path and
# with an empty one.  Objects are made in both, used, used with an empty search path,
# and used in a database that pg_dump and psql made of the first.  What PostgreSQL
# accepts on plain columns must give the same on encrypted ones: the same rows in the
# same types, or the same SQLSTATE where a value is refused.
#
# One that differs in any of these ways has failed.  With --known, the failed ones must
# be exactly those that lines of the file match: context, type and what stands beside the
# column, tab-separated, where * is any text.

use strict;
use warnings;

use FindBin;
use Getopt::Long;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use BaseTypes qw(base_types);
use ParityContexts qw(tables statements objects);

my ($verbose, $known, $failed);
GetOptions('verbose' => \$verbose, 'known=s' => \$known, 'failed=s' => \$failed)
  or die "usage: contexts.pl [--verbose] [--known FILE] [--failed FILE]\n";

my @schemas = qw(plain sealed);
my %long = (bool => 'boolean', int2 => 'smallint', int4 => 'integer', int8 => 'bigint', float4 => 'real', float8 => 'double precision',
	time => 'time without time zone', timestamp => 'timestamp without time zone', timestamptz => 'timestamp with time zone');
my $types = join '|', base_types();
my $settings = "SET client_min_messages = error;\nSET timezone = 'America/New_York';\n";
my $empty_path = "SET search_path = '';\n";

# A type as plain columns have it, {s} and {t}
sub in_schema
{
	my ($schema, $sql) = @_;
	$sql =~ s/\{($types)\}/$schema eq 'sealed' ? "encrypted_$1" : $1/ge;
	return $sql =~ s/\{s\}/$schema/gr =~ s/\{t\}/$schema.t/gr;
}

sub slurp
{
	open(my $in, '<:utf8', $_[0]) or die "$_[0]: $!\n";
	local $/;
	return <$in>;
}

# Starts psql with a script; what it prints goes to files
my @running;
my $directory = $ENV{TMPDIR} // '/tmp';

sub start
{
	my ($database, $name, $script) = @_;
	my $file = "$directory/parity_$$\_$name";

	open(my $out, '>:utf8', "$file.sql") or die "$file.sql: $!\n";
	print $out "\\set VERBOSITY sqlstate\n$settings$script";
	close $out;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		open STDOUT, '>', "$file.out";
		open STDERR, '>', "$file.err";
		exec 'psql', '-XAtq', '-F', '|', '-d', $database, '-f', "$file.sql";
		die "psql: $!\n";
	}
	push @running, $pid;
	return $file;
}

sub finish
{
	waitpid $_, 0 for @running;
	@running = ();
}

# What a script printed, by the numbers that it echoed: rows, then errors
sub printed
{
	my ($file) = @_;
	my (%rows, %errors);

	for ([ out => \%rows ], [ err => \%errors ])
	{
		my ($suffix, $into) = @$_;
		my ($first, @chunks) = split /^@(\d+)\n/m, slurp("$file.$suffix"), -1;
		while (@chunks)
		{
			my ($number, $text) = splice @chunks, 0, 2;
			$into->{$number} = $suffix eq 'out' ? $text : join ' ', $text =~ /(?:ERROR|FATAL): +(\w+)/g;
		}
	}
	unlink map { "$file.$_" } qw(sql out err);
	return {
		map {
			my $rows = $rows{$_};
			$rows =~ s/\b(?:public\.)?encrypted_(\w+)/$long{$1} \/\/ $1/ge;
			($_ => [ $rows =~ s/\b(plain|sealed)\./s./gr, $errors{$_} ])
		} keys %rows
	};
}

sub script
{
	my ($schema, $uses, $what) = @_;
	return join '', map { my $n = $_; "\\echo \@$n\n\\warn \@$n\n" . join('', map { in_schema($schema, $_) . ";\n" } @{ $uses->[$n]{$what} }) } 0 .. $#$uses;
}

# Runs the uses in both schemas; notes the first difference of each
sub compare
{
	my ($database, $how, $uses, $what, $before) = @_;
	my %file = map { $_ => start($database, "$_", ($before // '') . script($_, $uses, $what)) } @schemas;
	finish();
	my ($plain, $sealed) = map { printed($file{$_}) } @schemas;

	for my $n (0 .. $#$uses)
	{
		my $use = $uses->[$n];
		my ($rows, $error) = @{ $plain->{$n} // die "psql ended early: @{ $use->{sql} }\n" };
		my ($sealed_rows, $sealed_error) = @{ $sealed->{$n} // [ 'server crashed', '' ] };

		$use->{counts} //= $error !~ /^42/;
		next if !$use->{counts} || defined $use->{why};
		next if $rows eq $sealed_rows && $error eq $sealed_error;
		$use->{why} = "$how: " . ($sealed_error ne $error ? "error " . ($sealed_error || 'none') . ($error ? " instead of $error" : '')
			: $sealed_rows =~ /pgseal:1:/ ? 'ciphertext' : join ' ', 'other rows:', map { s/\n/ /gr } substr($sealed_rows, 0, 120) . 'instead of ' . substr($rows, 0, 120));
	}
}

sub run { system(@_) == 0 or die "@_ failed\n" }

sub psql
{
	my ($database, $script) = @_;
	open(my $in, '|-', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $database) or die "psql: $!\n";
	print $in $settings, $script;
	close $in or die "psql failed in database $database\n";
}

psql('postgres', join '', map { "DROP DATABASE IF EXISTS $_;\nCREATE DATABASE $_ TEMPLATE template0 ENCODING 'UTF8';\n" } qw(parity_contexts parity_restored));
psql('postgres', 'DROP ROLE IF EXISTS parity_reader; CREATE ROLE parity_reader;');
psql('parity_contexts', "CREATE EXTENSION pgseal;\nGRANT USAGE ON FOREIGN SERVER local_keyring TO parity_reader;\n" . join '', map { "CREATE SCHEMA $_;\n" . in_schema($_, tables()) . ";\n" } @schemas);

my @statements = statements();
my @objects = objects();

compare('parity_contexts', 'usual path', \@statements, 'sql');
compare('parity_contexts', 'empty path', \@statements, 'sql', $empty_path);
compare('parity_contexts', 'made', \@objects, 'sql');
compare('parity_contexts', 'empty path', \@objects, 'again', $empty_path);
run("pg_dump parity_contexts | psql -Xq -d parity_restored >/dev/null 2>$directory/parity_$$\_restore");
unlink "$directory/parity_$$\_restore";
compare('parity_restored', 'restored', \@objects, 'again');

my (%works, %total, %left);
for my $use (grep { $_->{counts} } @statements, @objects)
{
	$total{ $_ }++, $works{ $_ } += !defined $use->{why} for $use->{context}, 'all';
	push @{ $left{"$use->{context}\t$use->{type}\t$use->{beside}"} }, $use if defined $use->{why};
}
printf "%-30s %6d of %6d\n", "$_:", $works{$_}, $total{$_} for (grep { $_ ne 'all' } sort keys %total);
print "contexts: $works{all} of $total{all}\n";
printf "%d of them print ciphertext\n", scalar grep { ($_->{why} // '') =~ /ciphertext|pgseal:1:/ } @statements, @objects;

if ($verbose)
{
	print join("\t", $_, $left{$_}[0]{why}, join '; ', @{ $left{$_}[0]{sql} }), "\n" for sort keys %left;
}
if ($failed)
{
	open(my $out, '>:utf8', $failed) or die "$failed: $!\n";
	print $out join("\t", @$_{qw(context type beside why)}, join '; ', @{ $_->{sql} }), "\n" for grep { defined $_->{why} } @statements, @objects;
	close $out;
}
if ($known)
{
	my %used;
	my @known = map { my $line = $_; [ $line, qr/^${\(quotemeta($line) =~ s,\\\*,[^\t]*,gr)}$/ ] } grep { !/^(#|$)/ } split /\n/, slurp($known);
	my @new = grep { my $one = $_; !grep { $one =~ $_->[1] && ++$used{ $_->[0] } } @known } sort keys %left;
	my @gone = grep { !$used{$_} } map { $_->[0] } @known;
	print "not in $known: $_ ($left{$_}[0]{why}: ", join('; ', @{ $left{$_}[0]{sql} }), ")\n" for @new;
	print "works, but is in $known: $_\n" for @gone;
	exit 1 if @new || @gone;
}
