# The C source is indented as PostgreSQL's own: make indent would change nothing.
# The tool comes with PostgreSQL since 16.

use strict;
use warnings;

use FindBin;
use Test::More;

my $difference = `sh $FindBin::Bin/../../indent.sh --check 2>&1`;
my $status = $? >> 8;

plan skip_all => 'needs PostgreSQL 16 or later, which has pg_bsd_indent' if $status == 77;
is($difference, '', 'make indent would change nothing');
is($status, 0, 'and says so');
done_testing();
