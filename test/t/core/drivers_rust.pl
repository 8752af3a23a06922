# sqlx, with what query!() asks the server, and tokio-postgres with binary COPY.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Twins qw(installed twins_node runs_alike all_sealed);

my $program = installed('setup_rust.sh');
my $node = twins_node();

runs_alike($node, 'sqlx and tokio-postgres', 28, $program);
all_sealed($node, qw(person_sqlx person_tokio));
$node->stop;
done_testing();
