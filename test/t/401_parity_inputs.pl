# sql/install/70_parity.sql is what test/parity/generate.pl makes: its last line has a
# checksum of all that it was made of.  Where this fails: make parity.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
$top = "$top/.." if !-f "$top/pgseal.control";

my ($made_of) = slurp_file("$top/sql/install/70_parity.sql") =~ /^-- Made of ([0-9a-f]{64})\n\z/m;
my ($now) = `sh $top/test/parity/inputs.sh` =~ /^-- Made of ([0-9a-f]{64})$/m;
ok(defined $now, 'there is a checksum');
is($made_of, $now, 'made of what there is now (else: make parity)');

done_testing();
