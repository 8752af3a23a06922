# Checks the structure of the source: perl test/check_layers.pl
#
# - A file includes headers of its own folder and of those before it in the list
#   below; src/init.c, of all.
# - The same holds for what their object files call (nm); within a folder there is
#   no circle of files that call each other but in those that are named below.
# - What a file has for others, others call, or tests in C; else it is static.
# - OpenSSL is included by base/crypto.c alone, libcurl by base/libcurl.h alone,
#   and PG_VERSION_NUM is looked at by base/compat.h alone.
# - SQL runs through base/spi_query.c alone, which sets the search_path for it.
#   Expressions of tables are read as they are stored (search/stored_expressions.h), as
#   PostgreSQL's functions for it evaluate parts of them as whoever asks.  A file
#   in which code of a table's owner runs has it run between
#   pgseal_as_owner_begin() and pgseal_as_owner_end().
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

# From the bottom to the top.  What each is for stands in CONTRIBUTING.md.
my @folders = qw(base kms keys value type sealed search signed life statement citus ddl log convert admin);
my %rank = map { ("src/$folders[$_]" => $_) } 0 .. $#folders;
$rank{src} = @folders;

my %source;
find({ no_chdir => 1, wanted => sub { $source{$_} = slurp($_) if /\.[ch]$/ } }, 'src');

# ---- folders

my %only_in = (
	'an OpenSSL header' => [ 'src/base/crypto.c', qr{^\s*#\s*include\s*[<"]openssl/}m ],
	'a libcurl header' => [ 'src/base/libcurl.h', qr{^\s*#\s*include\s*[<"]curl/}m ],
	'PG_VERSION_NUM' => [ 'src/base/compat.h', qr{\bPG_VERSION_NUM\b} ]);

for my $file (sort keys %source)
{
	my $code = $source{$file} =~ s{/\*.*?\*/}{}gsr;
	my $folder = dirname($file);
	my @wrong;

	ok(exists $rank{$folder}, "$file is in a folder that the list has") or next;
	while ($code =~ /^\s*#\s*include\s*"([^"]+)"/mg)
	{
		my $header = "src/$1";
		push @wrong, $header if exists $source{$header} && $rank{ dirname($header) } > $rank{$folder};
	}
	is("@wrong", '', "$file includes nothing of a higher folder");

	for my $what (sort keys %only_in)
	{
		my ($owner, $pattern) = @{ $only_in{$what} };
		ok($file eq $owner || $code !~ $pattern, "$file leaves $what to $owner");
	}
}

# ---- whose rights

my $runs_sql = qr/\bSPI_(?:exec|prepare|open|cursor)\w*\s*\(/;
# The planner has read partition keys already, and whoever makes a table makes its key
my %reads_partition_keys = map { ("src/$_.c" => 1) } qw(search/hashindex ddl/ddl);
my $evaluates = qr/\b(?:RelationGetIndexExpressions|RelationGetIndexPredicate|eval_const_expressions)\s*\(/;
my $runs_owners_code = qr/\b(?:ExecOpenIndices|BuildIndexInfo|RelationBuildPartitionKey)\s*\(/;
# Called as the owner, whom convert.c becomes by it
my %within = ('src/convert/copy.c' => 'src/convert/steps.c');

for my $file (sort grep { /\.c$/ } keys %source)
{
	my $code = $source{$file} =~ s{/\*.*?\*/}{}gsr;

	ok($file eq 'src/base/spi_query.c' || $code !~ $runs_sql, "$file leaves SQL to base/spi_query.c");
	ok($code !~ $evaluates, "$file evaluates no expression in reading it");
	ok($reads_partition_keys{$file} || $code !~ /\bRelationGetPartitionKey\s*\(/, "$file evaluates no partition key");
	next if $code !~ $runs_owners_code;
	like($source{ $within{$file} || $file }, qr/\bpgseal_as_owner_begin\s*\(/,
		"$file runs code of a table's owner as the owner");
}

# ---- who calls whom

# A tree, its nodes and who walks through them call each other
my %may_be_circular = map { ("src/$_" => 1) } qw(sealed);

my (%defined_in, %wants, %calls);
for my $file (grep { /\.c$/ } keys %source)
{
	(my $object = $file) =~ s/c$/o/;
	for (`nm $object`)
	{
		$defined_in{$1} = $file if / [TDBRC] (\w+)/;
		$wants{$file}{$1} = 1 if / U (\w+)/;
	}
}
ok(%wants, 'the object files have been built');
for my $file (sort keys %wants)
{
	my @upwards;
	for my $symbol (sort keys %{ $wants{$file} })
	{
		my $other = $defined_in{$symbol} or next;
		push @upwards, "$symbol of $other" if $rank{ dirname($other) } > $rank{ dirname($file) };
		push @{ $calls{$file} }, $other if $other ne $file && dirname($other) eq dirname($file);
	}
	is("@upwards", '', "$file calls nothing of a higher folder");
}
for my $file (sort grep { !$may_be_circular{ dirname($_) } } keys %calls)
{
	my %reached;
	my @next = @{ $calls{$file} };
	while (my $other = shift @next)
	{
		push @next, @{ $calls{$other} || [] } unless $reached{$other}++;
	}
	ok(!$reached{$file}, "$file is in no circle of files that call each other")
	  or diag(join ' ', grep { grep { $_ eq $file } @{ $calls{$_} || [] } } sort keys %reached);
}

my $tests = join '', map { slurp($_) } glob('test/*/*.c');
my %wanted_elsewhere = map { map { $_ => 1 } keys %$_ } values %wants;
is(join(' ', grep {
		 !$wanted_elsewhere{$_}
	  && !$defined_in{"pg_finfo_$_"}
	  && !/^(_PG_init|Pg_magic_func|pg_finfo_\w+|pgseal_\w+_main)$/
	  && $tests !~ /\b$_\b/
} sort keys %defined_in), '', 'what no other file calls is static');

# ---- symbols

my %exported = map { /^(\S+) [A-Z]/ ? ($1 => 1) : () } `nm -D --defined-only --format=posix pgseal.so`;
is($?, 0, 'pgseal.so has been built');

my ($version) = slurp('pgseal.control') =~ /^default_version = '(.*)'$/m;
my $sql = slurp("sql/pgseal--$version.sql");
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
