# A search for bytes that must not be there: plaintext in a data directory, a
# log, a dump.

package PgsealScan;

use strict;
use warnings;

use Exporter qw(import);
use File::Find;

our @EXPORT_OK = qw(scan_tree scan_bytes log_without_statements chi_square);

# Which of the needles the text holds: needle => how often
sub scan_bytes
{
	my ($text, @needles) = @_;
	my %found;

	# One pass for all of them, the longest first; (?=) also finds overlapping ones
	my $any = join '|', map { quotemeta } sort { length $b <=> length $a } @needles;
	$found{$1}++ while $text =~ /(?=($any))/g;
	return %found;
}

# Every file below a directory: needle => [files]
sub scan_tree
{
	my ($directory, @needles) = @_;
	my %found;

	find(
		sub {
			return unless -f $_;
			# Files come and go under a running server
			open my $fh, '<:raw', $_ or return;
			local $/;
			my %here = scan_bytes(<$fh> // '', @needles);
			push @{ $found{$_} }, $File::Find::name foreach keys %here;
		},
		$directory);
	return %found;
}

# A server's log without the text of the statements that clients sent.  Entries
# begin with log_line_prefix '%m [%p] '; their further lines with a tab.
sub log_without_statements
{
	my ($log) = @_;

	return join '', grep { !/^\S+ \S+ \S+ \[\d+\] (?:LOG:  (?:statement|execute [^:]+):|STATEMENT:)/ }
	  split /^(?!\t)/m, $log;
}

# Pearson's statistic for 256 equally likely bytes; it has 255 degrees of freedom
sub chi_square
{
	my ($bytes) = @_;
	my @count = (0) x 256;
	my $expected = length($bytes) / 256;
	my $sum = 0;

	$count[$_]++ for unpack('C*', $bytes);
	$sum += ($_ - $expected)**2 / $expected for @count;
	return $sum;
}

1;
