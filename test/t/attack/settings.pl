# Types that come to hold encrypted values after tables were made of them, and
# options of servers that name files and programs.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('settings', conf => 'autovacuum = off');

#
# ANALYZE would keep a histogram in the order of the plaintext
#
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TYPE ct AS (a int);
CREATE TYPE outer_ct AS (inner_ct ct);
CREATE TABLE row_type (a int);
CREATE DOMAIN dct AS ct;
CREATE TABLE holder (c ct, cs ct[], o outer_ct, d dct);
CREATE TABLE row_holder (r row_type);
CREATE MATERIALIZED VIEW mv AS SELECT * FROM holder;
ALTER TYPE ct ADD ATTRIBUTE s encrypted_text;
ALTER TABLE row_type ADD COLUMN s encrypted_text;
INSERT INTO holder SELECT ROW(1, 's' || i)::ct, ARRAY[ROW(1, 's' || i)::ct], ROW(ROW(1, 's' || i)::ct)::outer_ct, ROW(1, 's' || i)::ct::dct
	FROM generate_series(1, 200) i;
INSERT INTO row_holder SELECT ROW(1, 's' || i)::row_type FROM generate_series(1, 200) i;
REFRESH MATERIALIZED VIEW mv;
ANALYZE holder, row_holder, mv});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stats WHERE tablename IN ('holder', 'row_holder', 'mv')}), '0',
	'no statistics of a composite type that has got an encrypted attribute');
$node->safe_psql('postgres', q{ALTER TABLE holder ALTER c SET STATISTICS 100; ANALYZE holder});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stats WHERE tablename = 'holder'}), '0', 'nor when they are asked for');

# A range over such a type, which nobody could make of an encrypted one
$node->safe_psql('postgres', q{
CREATE TYPE bound AS (a int);
CREATE TYPE between_bounds AS RANGE (subtype = bound);
CREATE TABLE ranges (r between_bounds, rs between_bounds[]);
ALTER TYPE bound ADD ATTRIBUTE s encrypted_text;
INSERT INTO ranges SELECT between_bounds(ROW(1, 's' || i)::bound, NULL) FROM generate_series(100, 300) i;
ANALYZE ranges});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stats WHERE tablename = 'ranges'}), '0', 'no statistics of a range over it');
for my $index ('USING btree (r)', 'USING gist (r)', 'USING btree (rs)')
{
	like(($node->psql('postgres', "CREATE INDEX ON ranges $index"))[2], qr/would reveal/, "no index $index");
}

#
# Two names of tables with the same 31-bit hash: nobody blocks another's CREATE TABLE
#
$node->safe_psql('postgres', q{
CREATE TABLE t2360 (x encrypted_text);
CREATE TABLE t19139 (x encrypted_text);
INSERT INTO t2360 VALUES ('a');
INSERT INTO t19139 VALUES ('b')});
is($node->safe_psql('postgres', q{SELECT (pgseal.inspect(x)).key, x FROM t2360 UNION ALL SELECT (pgseal.inspect(x)).key, x FROM t19139 ORDER BY 2}),
	"public.t2360|a\npublic.t19139_2|b", 'the second goes on to the next name');

#
# Keys of temporary tables: one for all
#
my $loop = join '', map { "CREATE TEMP TABLE loop$_ (x encrypted_text); DROP TABLE loop$_;" } 1 .. 20;
my $keys = $node->safe_psql('postgres', 'CREATE TEMP TABLE first (x encrypted_text); SELECT count(*) FROM pgseal.keys');
$node->safe_psql('postgres', $loop);
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgseal.keys'), $keys, 'temporary tables in a loop make no keys');

# A table that is refused has no key made
for my $by ('RANGE (x)', 'LIST (x)', 'RANGE (id, x)')
{
	my $log = -s $node->logfile;

	like(($node->psql('postgres', "CREATE TABLE no_such (id int, x encrypted_text) PARTITION BY $by"))[2], qr/would reveal encrypted values/, "refused: $by");
	unlike(slurp_file($node->logfile, $log), qr/key_created/, 'and no key was made for it');
}

#
# Files and programs
#
$node->safe_psql('postgres', q{
CREATE ROLE e LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER local_keyring, vault_transit, aws_kms, azure_key_vault, gcp_kms TO e});
my $keyring = PostgreSQL::Test::Utils::tempdir() . '/keyring';
my %refused = (
	"CREATE SERVER s1 FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring')" => 'pg_write_server_files',
	"CREATE SERVER s2 FOREIGN DATA WRAPPER local_keyring OPTIONS (command '/bin/cat $keyring')" => 'pg_execute_server_program',
	"CREATE SERVER s3 FOREIGN DATA WRAPPER vault_transit OPTIONS (address 'https://127.0.0.1:1', key_name 'k', token_file '$keyring')" => 'pg_read_server_files',
	"CREATE SERVER s4 FOREIGN DATA WRAPPER gcp_kms OPTIONS (key_name 'projects/p/locations/l/keyRings/r/cryptoKeys/k', credentials_file '$keyring')" => 'pg_read_server_files',
	"CREATE SERVER s5 FOREIGN DATA WRAPPER aws_kms OPTIONS (region 'us-east-1', key_id 'k', credentials_file '$keyring')" => 'pg_read_server_files');
for my $sql (sort keys %refused)
{
	my (undef, undef, $stderr) = $node->psql('postgres', $sql, connstr => $node->connstr('postgres') . ' user=e');
	like($stderr, qr/permission denied to set option.*$refused{$sql}/s, $sql);
}
$node->safe_psql('postgres', 'GRANT pg_read_server_files TO e');
my ($code) = $node->psql('postgres', "CREATE SERVER s3 FOREIGN DATA WRAPPER vault_transit OPTIONS (address 'https://127.0.0.1:1', key_name 'k', token_file '$keyring')",
	connstr => $node->connstr('postgres') . ' user=e');
is($code, 0, 'who may read the server\'s files may name one');

#
# Making keys, which calls a KMS and leaves rows, by declaring columns in a loop
#
$node->safe_psql('postgres', q{
CREATE ROLE maker LOGIN;
GRANT CREATE ON SCHEMA public TO maker;
SELECT pgseal.create_key('there is one')});
my $made = q{SELECT (SELECT count(*) FROM pgseal.keys) + (SELECT count(*) FROM pgseal_internal.declared_key)};
my $before = $node->safe_psql('postgres', $made);
sub maker
{
	my ($sql) = @_;
	my ($code, $stdout, $stderr) = $node->psql('postgres', $sql, connstr => $node->connstr('postgres') . ' user=maker');
	return $stderr;
}
# Temporary tables end, so they make no keys but the one that they all share
maker('CREATE TEMP TABLE mk (x encrypted_text)');
my $shared = $node->safe_psql('postgres', $made);
like(maker("BEGIN; $_; COMMIT"), qr/permission denied to make key "[^"]+".*by declaring columns of temporary tables/s, "of a session: $_")
	for q{CREATE TEMP TABLE mk (x encrypted_text('t1'))}, q{CREATE TABLE pg_temp.mk (x encrypted_text('t2'))}, q{CREATE TEMP TABLE mk (id int); ALTER TABLE mk ADD x encrypted_int4('t4')},
	q{CREATE DOMAIN pg_temp.mk AS encrypted_text('t5')}, q{CREATE TYPE pg_temp.mk AS (x encrypted_text('t6'))}, q{CREATE TEMP TABLE mk (xs encrypted_text('t7')[])},
	q{CREATE TEMP TABLE mk (x encrypted_text); ALTER TABLE mk ALTER x TYPE encrypted_text('t8')}, q{DO $$BEGIN FOR i IN 1..9 LOOP EXECUTE format('CREATE TEMP TABLE mk%s (x encrypted_text(%L))', i, 'loop' || i); END LOOP; END$$};
is(maker(q{DO $$BEGIN FOR i IN 1..9 LOOP EXECUTE format('CREATE TEMP TABLE mk%s (x encrypted_text, y encrypted_int4)', i); END LOOP; END$$; CREATE TEMP TABLE mk AS SELECT 'x'::text::encrypted_text AS x}), '', 'as many temporary tables as one likes');
is($node->safe_psql('postgres', $made), $shared, 'made no key and declared none');
is($node->safe_psql('postgres', q{BEGIN; CREATE TEMP TABLE mk (x encrypted_text('of a superuser')); INSERT INTO mk VALUES ('a'); SELECT count(*) FROM mk; ROLLBACK}), '1', 'a superuser may');

$before = $node->safe_psql('postgres', $made);
$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.make_keys = 'owner'; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', "SELECT current_setting('pgseal.make_keys') = 'owner'");
my $no_maker = qr/permission denied to make key "[^"]+".*HINT:  Have the key made by pgseal\.create_key/s;
foreach my $sql ('CREATE TABLE mk (x encrypted_text)', q{CREATE TEMP TABLE mk (x encrypted_text('k1'))}, q{CREATE DOMAIN mk AS encrypted_text('k2')},
	q{CREATE TYPE mk AS (x encrypted_text('k3'))}, q{CREATE TABLE mk (id int); ALTER TABLE mk ADD x encrypted_int4('k4')},
	q{CREATE TABLE mk AS SELECT 'a'::encrypted_text('k5') AS x}, q{DO $$ DECLARE x encrypted_text('k6') := 'a'; BEGIN END $$; SELECT 1/0},
	q{CREATE TABLE mk (xs encrypted_text('k7')[])}, q{CREATE FUNCTION mk() RETURNS encrypted_text LANGUAGE sql AS $$ SELECT 'a'::encrypted_text('k8') $$; SELECT mk()},
	'SET pgseal.make_keys = anyone; CREATE TABLE mk (x encrypted_text)')
{
	like(maker("BEGIN; $sql; COMMIT"), qr/$no_maker|there is no key for|does not exist|is not known|division by zero|permission denied to set/, "maker: $sql");
}
is($node->safe_psql('postgres', $made), $before, 'no key was made or declared');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER local_keyring TO maker');
is(maker(q{CREATE TABLE mk (x encrypted_text('there is one')); INSERT INTO mk VALUES ('a')}), '', 'a key that exists may be named');
$node->safe_psql('postgres', q{CREATE TABLE by_superuser (x encrypted_text); INSERT INTO by_superuser VALUES ('a'); CREATE DATABASE makers OWNER maker});
$node->safe_psql('makers', 'CREATE EXTENSION pgseal');
is($node->safe_psql('makers', q{CREATE TABLE mk (x encrypted_text); INSERT INTO mk VALUES ('a'); SELECT count(*) FROM mk},
		connstr => $node->connstr('makers') . ' user=maker'), '1', "the database's owner makes keys");
$node->stop;

done_testing();
