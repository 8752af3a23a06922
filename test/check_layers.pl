# Checks the structure of the source: perl test/check_layers.pl
#
# - Every source file names its layer in its first comment ("Layer 2."), or has
#   a header of its name that does.  No file includes a header of a higher
#   layer.
# - OpenSSL is included by crypto.c alone, libcurl by http.c alone, and
#   PG_VERSION_NUM is looked at by compat.h alone.
# - pgseal.so exports what PostgreSQL looks up by name, and nothing else: the
#   functions of the SQL script, _PG_init, the magic block, and the main
#   functions of background workers (pgseal_..._main).
#
# Run from the top directory, after make.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Find qw(find);
use Test::More;

sub slurp
{
	my ($file) = @_;
	open my $fh, '<', $file or die "could not open $file: $!\n";
	local $/;
	return scalar <$fh>;
}

my (%source, %layer);
find({ no_chdir => 1, wanted => sub { $source{$_} = slurp($_) if /\.[ch]$/ } }, 'src');

# ---- layers

for my $file (sort keys %source)
{
	my $header = $file =~ s/\.c$/.h/r;
	my @named = map { ($source{$_} // '') =~ m{\A/\*(?:(?!\*/).)*?\bLayer (\d)\b}s ? $1 : () }
	  $file eq $header ? $file : ($file, $header);

	ok(@named && $named[0] == $named[-1], "$file names its layer");
	$layer{$file} = $named[0] // 0;
}

my %only_in = (
	'an OpenSSL header' => [ 'src/crypto.c', qr{^\s*#\s*include\s*[<"]openssl/}m ],
	'a libcurl header' => [ 'src/http.c', qr{^\s*#\s*include\s*[<"]curl/}m ],
	'PG_VERSION_NUM' => [ 'src/compat.h', qr{\bPG_VERSION_NUM\b} ]);

for my $file (sort keys %source)
{
	my $code = $source{$file} =~ s{/\*.*?\*/}{}gsr;
	my @wrong;

	while ($code =~ /^\s*#\s*include\s*"([^"]+)"/mg)
	{
		my ($header) = grep { exists $source{$_} } dirname($file) . "/$1", "src/$1" or next;
		push @wrong, "$header (layer $layer{$header})" if $layer{$header} > $layer{$file};
	}
	is("@wrong", '', "$file (layer $layer{$file}) includes nothing of a higher layer");

	for my $what (sort keys %only_in)
	{
		my ($owner, $pattern) = @{ $only_in{$what} };
		ok($file eq $owner || $code !~ $pattern, "$file leaves $what to $owner");
	}
}

# ---- symbols

my %exported = map { /^(\S+) [A-Z]/ ? ($1 => 1) : () } `nm -D --defined-only --format=posix pgseal.so`;
is($?, 0, 'pgseal.so has been built');

my $sql = slurp('sql/pgseal--1.0.sql');
my %wanted = map { $_ => 1 } $sql =~ /'MODULE_PATHNAME'\s*,\s*'(\w+)'/g;

for my $function (sort keys %wanted)
{
	ok($exported{$function} && $exported{"pg_finfo_$function"}, "$function is exported");
}

my @surplus = grep {
		 !/^(_PG_init|Pg_magic_func|pgseal_\w+_main)$/
	  && !/^(_init|_fini|_edata|_end|__bss_start)$/    # of the linker's making
	  && !$exported{"pg_finfo_$_"}
	  && !(/^pg_finfo_(.+)/ && $exported{$1})
} sort keys %exported;
is("@surplus", '', 'nothing else is exported');

done_testing();
