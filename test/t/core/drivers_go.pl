# GORM with its AutoMigrate, pgx in four modes with its binary COPY, and lib/pq.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Twins qw(installed twins_node runs_alike all_sealed);

my $program = installed('setup_go.sh');
my $node = twins_node();
my @lines = runs_alike($node, 'GORM, pgx and lib/pq', 70, $program);

is_deeply([ grep { /^schema/ } @lines ], [], 'AutoMigrate finds the encrypted columns as they are declared');
is($node->safe_psql('sealed', "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'person_gorm'::regclass AND attnum > 0"),
	'bigint ' . join(' ', map { "encrypted_$_('public.person_gorm')" } qw(text numeric int4 date timestamptz jsonb bytea bool)),
	'and leaves them so');
all_sealed($node, qw(person_gorm person_go));
$node->stop;
done_testing();
