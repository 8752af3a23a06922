#!/usr/bin/perl
# Writes sql/install/70_parity.sql (to standard output); see there.
#
#   perl test/parity/generate.pl > sql/install/70_parity.sql
#
# Needs a running server of PostgreSQL 15, the oldest that pgseal supports, with
# pgseal installed WITHOUT that file, because it asks the server what fails.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__);
use ParityRun qw(judge base_types);

my %implicit_too = map { $_ => 1 } split ' ', $ENV{IMPLICIT} // '';
my @uses = judge();

my (%cast, %is_base);
$is_base{$_} = 1 for base_types();
for my $use (grep { $_->{kind} =~ /^(assignment|cast)$/ && !$_->{works} } @uses)
{
	my ($from, $to, $both) = $use->{object} =~ /^(.*) to (.*?)(, both encrypted)?$/;
	if ($both)                         { $from = "encrypted_$from"; $to = "encrypted_$to" }
	elsif ($use->{sql} =~ /^(\{|CAST\(\{)/) { $from = "encrypted_$from" }
	else                               { $to = "encrypted_$to" }
	$cast{$from}{$to} = 'ASSIGNMENT' if $use->{kind} eq 'assignment';
	$cast{$from}{$to} //= '';
}
for my $pair (keys %implicit_too)
{
	my ($from, $to) = split />/, $pair;
	$cast{"encrypted_$from"}{$to} = 'IMPLICIT';
}
for my $from (sort keys %cast)
{
	for my $to (sort keys %{ $cast{$from} })
	{
		my $as = $cast{$from}{$to} ? " AS $cast{$from}{$to}" : '';
		my $opened = $from =~ /^encrypted_/ ? 'pgseal.open($1)' : '$1';
		my $source_base = $from =~ s/^encrypted_//r;
		if ($to =~ /^encrypted_(.*)/)
		{
			my $base = $1;
			next if $base eq 'text' && $from !~ /^(encrypted_.*|varchar|bpchar|name)$/;
			print "CREATE FUNCTION pgseal.seal_cast($from, int4, bool) RETURNS $to\n"
			  . "LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal.seal_cast($opened\::$base, \$2, \$3);\n"
			  . "CREATE CAST ($from AS $to) WITH FUNCTION pgseal.seal_cast($from, int4, bool)$as;\n";
		}
		else
		{
			my $name = 'open_as_' . $to =~ s/"//gr =~ s/\[\]/_array/r;
			print "CREATE FUNCTION pgseal.$name($from) RETURNS $to\n"
			  . "LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal.open(\$1)::$to;\n"
			  . "CREATE CAST ($from AS $to) WITH FUNCTION pgseal.$name($from)$as;\n";
		}
	}
}
