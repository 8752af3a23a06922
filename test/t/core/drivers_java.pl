# Hibernate with hbm2ddl, jOOQ with its generator, and pgjdbc in five modes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Twins qw(installed twins_node runs_alike all_sealed);

my $class_path = installed('setup_java.sh');
my $node = twins_node();

# "hibernate validate", "hibernate update" and "jooq generator" are among the lines
runs_alike($node, 'Hibernate, jOOQ and pgjdbc', 200, 'java', '-XX:TieredStopAtLevel=1', '-cp', $class_path, 'Cases');
is($node->safe_psql('sealed', "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'person_hibernate'::regclass AND attnum > 0 AND attname < 'c' OR attrelid = 'person_hibernate'::regclass AND attname IN ('doc', 'email')"),
	join(', ', map { my ($column, $type) = split; "$column encrypted_$type('public.person_hibernate')" } 'active bool', 'age int4', 'born date', 'doc jsonb', 'email text'),
	'hbm2ddl makes the columns as they are declared, and leaves them so');
all_sealed($node, qw(person_hibernate person_jooq person_jdbc));
$node->stop;
done_testing();
