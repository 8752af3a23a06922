# The generated parts of the extension's SQL script are what their generators make, and
# there is one list of the types, sql/install/types.txt.
#
# test/parity/generate.pl takes ten minutes: that its output is up to date is told by
# checksums of what it reads and of what it wrote.

use strict;
use warnings;

use BaseTypes qw(base_types);
use Digest::SHA qw(sha256_hex);
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../../..";
chdir $top or die "$top: $!\n";

foreach my $part (qw(47_related_types 56_in_range 71_sealed_related 75_later_versions))
{
	my $made = `perl test/parity/related.pl $part`;
	is($?, 0, "test/parity/related.pl $part");
	is($made, slurp_file("sql/install/$part.sql"), "$part.sql is what it makes");
}

# ---- 70_parity.sql

my @inputs = split /\n/, slurp_file('test/parity/inputs.txt');
my @sums = map { [ split /  / ] } split /\n/, slurp_file('test/parity/checksums');
is(join("\n", map { $_->[1] } @sums), join("\n", @inputs, 'sql/install/70_parity.sql'), 'what 70_parity.sql was made from');
foreach (@sums)
{
	my ($sum, $file) = @$_;
	my $text = slurp_file($file) =~ s/^[ \t]*--.*\n//mgr;
	is(sha256_hex($text), $sum, "$file is as it was at the last make parity");
}

# ---- types

my $basetype = slurp_file('src/value/basetype.c');
my ($rows) = $basetype =~ /base_types\[\] =\s*\{(.*?)\n\};/s;
is(join(' ', $rows =~ /\{\d+, "(\w+)"/g), join(' ', base_types()), 'basetype.c has the types of types.txt');

my %pairs = map { /^([^#\t]+)\t[^\t]*\t/ ? ($1 => 1) : () } split /\n/, slurp_file('test/parity/samples.txt');
is(join(' ', sort keys %pairs), join(' ', sort(base_types())), 'samples.txt has two values of each');

done_testing();
