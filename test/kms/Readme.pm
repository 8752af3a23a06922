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

# The policy for AWS.  The key's ARN becomes "*": moto looks at no resources.
sub aws_policy
{
	my ($class) = @_;
	my ($policy) = $class->blocks('AWS KMS', 'json');
	$policy =~ s/"arn:aws:kms:[^"]*"/"*"/ or die 'README.md: the policy names no key';
	return $policy;
}

# The CREATE SERVER statements of a section: a list of [ name, statement ]
sub servers
{
	my ($class, $heading) = @_;
	my @servers;
	foreach my $block ($class->blocks($heading, 'sql'))
	{
		push @servers, [ $2, $1 ] while $block =~ /(CREATE SERVER (\w+) .*?;)/sg;
	}
	return @servers;
}

1;
