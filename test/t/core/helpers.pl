# What the tests themselves stand on: what only they use is installed once, their servers
# are SealedNodes, and no helper is left that nobody calls.

use strict;
use warnings;

use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

#
# test/cache.sh
#

my $dir = abs_path(PostgreSQL::Test::Utils::tempdir);

# Its own user's alone, as the umask there is
sub once
{
	my ($name, $function) = @_;

	return qx{umask 022; PGSEAL_CACHE='$dir' sh -c '. test/cache.sh; fill() { $function; }; once $name fill; echo "\$installed"' 2>&1};
}

is(once('good', 'echo made >>file; sleep 1'), "$dir/good\n", 'installed');
once('good', 'echo again >>file');
is(slurp_file("$dir/good/file"), "made\n", 'once');

like(once('broken', 'echo half >file; echo no such package; false'), qr/^could not install broken: no such package$/, 'what fails says why');
is(once('broken', '[ ! -e file ] && echo whole >file'), "$dir/broken\n", 'and is begun anew');
is(slurp_file("$dir/broken/file"), "whole\n", 'in an empty directory');

# As when the machine stops in between
qx{PGSEAL_CACHE='$dir' sh -c '. test/cache.sh; fill() { echo half >file; kill -KILL \$\$; }; once killed fill' 2>&1};
is(once('killed', '[ ! -e file ] && echo whole >file'), "$dir/killed\n", 'as what was broken off');

my @together = map { my $number = $_; open(my $out, '-|', 'sh', '-c', "PGSEAL_CACHE='$dir' sh -c '. test/cache.sh; fill() { echo made >>file; sleep 1; }; once together fill; cat \$installed/file'") or die; $out } 1 .. 3;
is(join('', map { my $out = $_; local $/; scalar <$out> } @together), "made\n" x 3, 'several wait for the one that installs');

# Python's programs begin with the path of their interpreter
once('place', 'pwd >where; echo "$1" >>where');
is(slurp_file("$dir/place/where"), "$dir/place\n" x 2, 'where it was made is where it is');

#
# Servers and helpers
#

my %text = map { $_ => slurp_file($_) } glob('test/*.pl test/*/*.pl test/t/*/*.pl test/lib/*.pm test/kms/*.pm test/parity/*.pm test/matrix/*.pl');

is(join(' ', grep { $text{$_} =~ /PostgreSQL::Test::Cluster->new/ && $_ !~ /helpers\.pl$/ } sort keys %text), '', 'servers are SealedNodes');

for my $module (grep { /\.pm$/ } sort keys %text)
{
	my @unused;

	for my $sub ($text{$module} =~ /^sub (\w+)/mg)
	{
		my $uses = () = join("\n", values %text) =~ /(?<!sub )\b$sub\b/g;
		my $exported = () = $text{$module} =~ /EXPORT(?:_OK)? = qw\([^)]*\b$sub\b/g;
		push @unused, $sub if $uses <= $exported;
	}
	is(join(' ', grep { $_ ne 'import' } @unused), '', "$module: all of it is used");
}

done_testing();
