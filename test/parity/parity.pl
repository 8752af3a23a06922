#!/usr/bin/perl
# SQL parity: what works on a plain column works on an encrypted one.
#
#   perl test/parity/parity.pl [--verbose] [--known FILE] [--failed FILE]
#
# Needs a running server with pgseal (PGHOST, PGPORT, PGDATABASE, ...) and a role
# that may create a database; it works in a database of its own, "parity".
#
# For each base type, each operator, function, aggregate and window function of
# pg_catalog that takes the type in some position (as it is, by an implicit cast,
# or as a pseudo-type) is used in several ways: the other arguments typed as
# declared, as untyped literals, as columns too, and of other types that convert to
# what is declared.  So is each cast, as assignment and explicit, and a list of
# expressions that are in no catalog (COALESCE, CASE, IN, ...).  Each use is a
# template with {type} where a column of that type stands.  It is tried on the plain
# columns; where PostgreSQL accepts it, it must be accepted on the encrypted columns,
# too, with the same result type and value, NULLs included.  An encrypted result
# counts as its base type, because that is what a client gets.  A use that changes
# or depends on more than its arguments (a VOLATILE function, table_to_xml) is not
# executed; its result type is compared.
#
# The extension must not change what plain columns do either: a use that is resolved in
# another way once it is there has failed, too.
#
# An object of the catalog counts as working for a type when all its uses do.  The
# percentages are of objects; --failed writes all failed uses to a file, tab-separated.
# With --known, the objects that don't work must be exactly those in the file, where
# "since N" names the version of PostgreSQL that first has the object.

use strict;
use warnings;

use FindBin;
use Getopt::Long;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use BaseTypes qw(base_types);
use ParityRun qw(judge);

my ($verbose, $known, $failed);
GetOptions('verbose' => \$verbose, 'known=s' => \$known, 'failed=s' => \$failed)
  or die "usage: parity.pl [--verbose] [--known FILE] [--failed FILE]\n";

my @kinds = qw(operator function aggregate window assignment cast expression);
my @uses = judge();
my (%works, %types, %total, %left);

for my $use (@uses)
{
	my ($type, $kind, $object) = @$use{qw(type kind object)};
	$types{$type} = 1;
	$works{$kind}{$type}{$object} //= 1;
	next if $use->{works};
	$works{$kind}{$type}{$object} = 0;
	push @{ $left{"$type\t$kind\t$object"} }, $use;
}

printf "%-12s" . '%18s' x @kinds . "\n", 'type', @kinds;
for my $type (base_types(), 'all')
{
	my @cells;
	for my $kind (@kinds)
	{
		my @objects = map { values %{ $works{$kind}{$_} } } $type eq 'all' ? keys %types : $type;
		my $works = grep { $_ } @objects;
		push @cells, @objects ? sprintf('%d/%d %5.1f %%', $works, scalar @objects, 100 * $works / @objects) : '-';
	}
	printf "%-12s" . '%18s' x @kinds . "\n", $type, @cells;
}
printf "%d uses that PostgreSQL accepts on plain columns, %d of them fail on encrypted ones\n",
  scalar @uses, scalar grep { !$_->{works} } @uses;

if ($verbose)
{
	print "\nleft:\n";
	print join("\t", $_, $left{$_}[0]{why}, $left{$_}[0]{encrypted}), "\n" for sort keys %left;
}
if ($failed)
{
	open(my $out, '>:utf8', $failed) or die "$failed: $!\n";
	print $out join("\t", @$_{qw(type kind object why encrypted plain_type)}), "\n" for grep { !$_->{works} } @uses;
	close $out;
}
if ($known)
{
	open(my $in, '<:utf8', $known) or die "$known: $!\n";
	my ($version) = map { int($_->[0] / 10000) } ParityRun::psql('postgres', 'SHOW server_version_num');
	my %known = map { chomp; /^(.*?)(?:\tsince (\d+))?$/ && $version >= ($2 // 0) ? ($1 => 1) : () } grep { !/^(#|$)/ } <$in>;
	my @new = grep { !$known{$_} } sort keys %left;
	my @gone = grep { !$left{$_} } sort keys %known;
	print "not in $known: $_ ($left{$_}[0]{why}: $left{$_}[0]{encrypted})\n" for @new;
	print "works, but is in $known: $_\n" for @gone;
	exit 1 if @new || @gone;
}
