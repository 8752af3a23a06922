# The commands, policies and statements of README.md, so that tests try them as
# they are written there.
package Readme;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;

my $path = File::Spec->rel2abs(dirname(__FILE__)) . '/../../README.md';

# The code blocks of a language in the section with this heading, in order
sub blocks
{
	my ($class, $heading, $language) = @_;
	open(my $fh, '<', $path) or die "open $path: $!";
	local $/;
	my ($section) = <$fh> =~ /^#+ \Q$heading\E\n(.*?)(?=^#{1,4} [A-Z]|\z)/ms
	  or die "README.md has no section \"$heading\"";
	my @blocks = $section =~ /^```$language\n(.*?)^```$/msg
	  or die "README.md, section \"$heading\", has no $language";
	return @blocks;
}

1;
