# dbt: seeds, views, tables, incremental models in three strategies, snapshots, tests, docs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Twins qw(installed twins_node runs_alike all_sealed);

my $cache = installed('setup_dbt.sh');
my $node = twins_node();

runs_alike($node, 'dbt', 24, "$cache/python/bin/python", "$FindBin::Bin/../../drivers/orm_dbt.py");
all_sealed($node, qw(person person_table person_computed person_incremental person_snapshot));
$node->stop;
done_testing();
