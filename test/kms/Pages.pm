# The commands, policies and statements of README.md and docs/, so that tests try
# them as they are written there.
package Pages;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Find qw(find);
use File::Spec;

my $top = File::Spec->rel2abs(dirname(__FILE__)) . '/../..';

# All pages, from the top directory: README.md, docs/kms/aws.md, ...
sub all
{
	my @pages = grep { -f "$top/$_" } qw(README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md);
	find({ no_chdir => 1, wanted => sub { push @pages, $1 if m{^\Q$top\E/(docs/.*\.md)$} } }, "$top/docs");
	return sort @pages;
}

sub text
{
	my ($class, $page) = @_;
	open(my $fh, '<:encoding(UTF-8)', "$top/$page") or die "open $page: $!";
	local $/;
	return scalar <$fh>;
}

# A section of whatever page has this heading, with the sections below it
sub section
{
	my ($class, $heading) = @_;
	foreach my $page ($class->all)
	{
		my $text = $class->text($page);
		my ($level) = $text =~ /^(#+) \Q$heading\E$/m or next;
		my $end = length $level;
		my ($section) = $text =~ /^$level \Q$heading\E\n(.*?)(?=^#{1,$end} [A-Z`]|\z)/ms;
		return $section;
	}
	die "no page has a section \"$heading\"";
}

# The code blocks of a language in such a section, in order
sub blocks
{
	my ($class, $heading, $language) = @_;
	my @blocks = $class->section($heading) =~ /^```$language\n(.*?)^```$/msg
	  or die "section \"$heading\" has no $language";
	return @blocks;
}

# The policy for AWS.  The key's ARN becomes "*": moto looks at no resources.
sub aws_policy
{
	my ($class) = @_;
	my ($policy) = $class->blocks('AWS KMS', 'json');
	$policy =~ s/"arn:aws:kms:[^"]*"/"*"/ or die 'docs/kms/aws.md: the policy names no key';
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
