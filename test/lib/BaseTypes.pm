# The base types, each of which has an encrypted one: the rows of sql/install/types.txt.

package BaseTypes;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);

our @EXPORT_OK = qw(base_types);

my @types;

sub base_types
{
	return @types if @types;
	my $path = dirname(__FILE__) . '/../../sql/install/types.txt';
	open my $file, '<', $path or die "$path: $!\n";
	my ($names, @rows) = grep { !/^\s*(#|$)/ } <$file>;
	close $file;
	@types = map { (split)[1] } @rows;
	return @types;
}

1;
