# Building and starting where something is otherwise than usual: a build beside the
# source, a machine with no more headers than there must be, and a server's without libcurl.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $top = getcwd();
my $dir = PostgreSQL::Test::Utils::tempdir;

#
# A build beside the source (VPATH), which must be clean.  Most objects are those of the
# build that there is; what is compiled here is a folder that is missing.
#

my ($source, $build) = ("$dir/source", "$dir/build");
make_path($source, $build);
system("cp -Rp Makefile pgseal.control sql src '$source' && cp -Rp src '$build' && find '$build' ! -name '*.o' -type f -delete"
	. " && find '$source' -name '*.o' -delete && rm -r '$build/src/admin' '$source'/sql/pgseal--?.?.sql") == 0 or die 'cp';
my $make = "cd '$build' && make -s -f '$source/Makefile' PG_CONFIG='$ENV{PG_CONFIG}'";
is(system("$make all >'$dir/log' 2>&1"), 0, 'make beside the source') or diag(slurp_file("$dir/log"));
sub symbols { return join '', sort map { s/^\S+ //r } `nm -D --defined-only '$_[0]/pgseal.so'`; }
cmp_ok(length symbols($top), '>', 1000, 'pgseal.so exports something');
is(symbols($build), symbols($top), 'as much as when it is built in the source');
my ($script) = map { s{.*/}{}r } glob('sql/pgseal--?.?.sql');
is(slurp_file("$build/sql/$script"), slurp_file("sql/$script"), 'the same SQL script');
is(system("$make install DESTDIR='$dir/installed' >'$dir/log' 2>&1"), 0, 'make install') or diag(slurp_file("$dir/log"));
my $installed = join ' ', sort map { s{.*/}{}r =~ s/\n//r } `find '$dir/installed' -type f`;
is($installed, join(' ', (sort map { s{.*/}{}r } glob('sql/pgseal--?.?*.sql')), 'pgseal.control pgseal.so'), 'and what it installs');

#
# A machine that has PostgreSQL's and OpenSSL's headers need have no others
#

chomp(my $headers = `$ENV{PG_CONFIG} --includedir-server`);
like($headers = `cc -M -Isrc -I$headers src/base/*.c src/citus/*.c`, qr/libpq-be\.h/, 'headers that are included');
is(join(' ', $headers =~ m{(\S*/(?:gssapi|krb5|ldap|libxml2|unicode|security|systemd)\b\S*)}g), '', 'none of a library that PostgreSQL alone is linked with');

#
# Without libcurl: a file of its name that is no library stands before it
#

unlike(`readelf -d pgseal.so`, qr/NEEDED.*curl/, 'libcurl is not linked');
make_path("$dir/lib");
append_to_file("$dir/lib/libcurl.so.4", '');
my $node = SealedNode->new('without_libcurl');
$node->init;
{
	local $ENV{LD_LIBRARY_PATH} = "$dir/lib";
	$node->start;
}
$node->query('postgres', "CREATE EXTENSION pgseal; CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('x')");
is($node->query('postgres', 'SELECT v FROM t'), 'x', 'the local keyring needs no libcurl');
$node->query('postgres', "CREATE SERVER aws FOREIGN DATA WRAPPER aws_kms
	OPTIONS (key_id 'alias/k', region 'eu-west-1', endpoint 'http://127.0.0.1:9', credentials_file '$dir/credentials')");
append_to_file("$dir/credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=B\n");
$node->fails_like('postgres', "SELECT pgseal.create_key('k', server => 'aws')",
	qr/58000: .*code "libcurl"\. libcurl\.so\.4 could not be loaded.*HINT:.*package libcurl4/s, 'a KMS does, and says so');
is($node->query('postgres', "SELECT sum(unreachable) > 0 AND sum(refused + invalid) = 0 FROM pgseal.stat_kms WHERE server = 'aws'"), 't', 'which takes no cached key away');
$node->stop;
done_testing();
