# The pages: what they link to is there, and they can be scanned.
#
# - Each relative link leads to a file, and to a heading in it.
# - No paragraph, list item or quotation is over four lines of 120 characters.
# - Files of tests that a page names exist.
#
# docs/reference.md against the server is in core/reference.pl.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use Pages;
use Test::More;

use constant LONGEST => 4 * 120;

my $top = File::Spec->rel2abs(dirname(__FILE__)) . '/../../..';

# As the usual hosts make them
sub anchor
{
	my ($heading) = @_;
	$heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
	return lc($heading =~ s/[^\w\- ]//gr) =~ s/ /-/gr;
}

my %anchors;
foreach my $page (Pages->all)
{
	my $text = Pages->text($page) =~ s/^```.*?^```$//msgr;
	$anchors{$page} = { map { anchor($_) => 1 } $text =~ /^#+ (.*)$/mg };
}

foreach my $page (Pages->all)
{
	my $text = Pages->text($page) =~ s/^```.*?^```$//msgr;
	my $dir = dirname($page);
	my @broken;
	while ($text =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^https?:/;
		my ($file, $anchor) = split /#/, $link, 2;
		my $target = $file eq '' ? $page : $dir eq '.' ? $file : "$dir/$file";
		1 while $target =~ s{[^/]+/\.\./}{};
		push @broken, $link
		  if !-e "$top/$target" || defined $anchor && !$anchors{$target}{$anchor};
	}
	is("@broken", '', "$page: links");

	next if $page eq 'CHANGELOG.md';
	my @long;
	foreach my $paragraph (split /\n\s*\n|\n(?=\s*(?:[-*>]|\d+\.) )/, $text)
	{
		next if $paragraph =~ /^\s*(?:\||#|$)/;
		push @long, substr($paragraph, 0, 60) if length($paragraph) > LONGEST;
	}
	is(join("\n", @long), '', "$page: no paragraph over four lines");

	my @missing = grep { !-e "$top/test/t/$_.pl" } $text =~ m{\btest/t/(\w+/\w+)\.pl}g, $page eq "SECURITY.md" ? $text =~ /`((?:core|kms|search|travel|keys|convert|attack)\/\w+)`/g : ();
	is("@missing", '', "$page: the tests that it names");
}

#
# Comments
#

# Files of the source's folders without src/, others from the top
my $folder = join '|', map { s{.*/}{}r } grep { -d } glob("$top/src/*");
my @stale;
for my $file (glob("$top/{src,test,sql/install}/*.* $top/{src,test,test/t}/*/*.* $top/sql/*.sql"))
{
	next unless $file =~ /\.(?:[ch]|p[lm]|sh|sql|in)$/;
	open(my $fh, '<', $file) or die "open $file: $!";
	my $text = join '', <$fh>;
	my @comments = $file =~ /\.[ch]$/ ? $text =~ m{/\*.*?\*/}gs : $file =~ /\.(?:sql|in)$/ ? $text =~ /--.*/g : $text =~ /^\s*#.*/mg;

	for (map { m{(?<![\w/.\$-])((?:test|sql|docs|deploy|src|$folder)/[a-z_0-9/]+\.(?:[ch]|p[lm]|sh|sql|md))\b}g } @comments)
	{
		push @stale, ($file =~ s{^\Q$top/}{}r) . ": $_" unless grep { -e "$top/$_" } $_, "src/$_", "test/t/$_";
	}
}
is(join(', ', @stale), '', 'the files that comments name');

done_testing();
