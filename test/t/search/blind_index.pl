# Blind indexes in a server at work: lookups over the extended protocol use the
# index, ANALYZE and autovacuum need no key and keep no token, and an index key
# is replaced without a lookup that misses.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $keyring = "$dir/keyring";

my $node = SealedNode->started('blind', conf => qq{
pgseal.keyring_file = '$keyring'
autovacuum_naptime = 1
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE people (id int PRIMARY KEY, ssn encrypted_text, city encrypted_text, email encrypted_text,
	token bytea GENERATED ALWAYS AS (blind_index(email)) STORED) WITH (autovacuum_enabled = off);
INSERT INTO people SELECT i, 's' || i, 'c' || i % 100, 'e' || i FROM generate_series(1, 5000) i;
CREATE UNIQUE INDEX people_ssn ON people (blind_index(ssn));
CREATE INDEX people_city ON people (blind_index(city));
CREATE INDEX people_token ON people (token);
ANALYZE people;
SQL

sub scans
{
	my ($index) = @_;
	return $node->safe_psql('postgres',
		"SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes WHERE indexrelname = '$index'");
}

# Runs a script that divides by zero when a lookup finds nothing.
sub pgbench
{
	my ($name, $script, @options) = @_;
	append_to_file("$dir/$name.sql", $script);
	return [
		'pgbench', '-n', '-M', 'prepared', '-f', "$dir/$name.sql", @options,
		'-h', $node->host, '-p', $node->port, 'postgres'
	];
}

# ---- extended protocol

my @lookups = (
	[ 'equality', 'people_ssn', 1, "SELECT 1 / count(*) FROM people WHERE ssn = 's' || (:id)::text;\n" ],
	[ 'parameter', 'people_ssn', 1, "SELECT 1 / count(*) FROM people WHERE ssn = :ssn;\n" ],
	[ 'any', 'people_ssn', 1, "SELECT 2 / count(*) FROM people WHERE ssn IN (:ssn, 's1', 's2');\n" ],
	[ 'city', 'people_city', 1, "SELECT 1 / (count(*) = 50)::int FROM people WHERE city = 'c' || (:id % 100)::text;\n" ],
	[ 'generated', 'people_token', 1, "SELECT 1 / count(*) FROM people WHERE email = 'e' || (:id)::text;\n" ],
	[ 'update', 'people_ssn', 1, "UPDATE people SET id = id WHERE ssn = :ssn RETURNING 1 / id;\n" ]);
for my $lookup (@lookups)
{
	my ($name, $index, $each, $statement) = @$lookup;
	my $before = scans($index);
	my $set = "\\set id random(10, 5000)\n";
	# pgbench sends :ssn as a parameter without a type
	$set .= "SELECT 's' || :id AS ssn \\gset\n" if $statement =~ /:ssn/;
	command_ok(pgbench($name, $set . $statement, '-c', '2', '-t', '100'), "$name: each lookup finds its row");
	my $enough = $node->poll_query_until('postgres',
		"SELECT idx_scan - $before >= 200 FROM pg_stat_user_indexes WHERE indexrelname = '$index'");
	ok($enough, "$name: through the index");
}
is($node->safe_psql('postgres', "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'people'") < 10,
	1, 'and hardly a sequential scan');

# ---- ANALYZE and autovacuum without any key

my $kept = "SELECT count(*) FROM pg_statistic s JOIN pg_attribute a ON attrelid = starelid AND attnum = staattnum"
  . " JOIN pg_class c ON c.oid = starelid WHERE relname LIKE 'people%'"
  . " AND (atttypid = 'bytea'::regtype OR (atttypid::regtype::text LIKE 'encrypted%' AND num_nonnulls(stavalues1, stavalues2, stavalues3) > 0))";
$node->safe_psql('postgres', 'VACUUM ANALYZE people');
is($node->safe_psql('postgres', $kept), 0, 'ANALYZE kept no token');

my $estimate = sub {
	my ($condition) = @_;
	my ($rows) = $node->safe_psql('postgres', "EXPLAIN SELECT * FROM people WHERE $condition") =~ /rows=(\d+)/;
	return $rows;
};
is($estimate->("ssn = 'x'"), 1, 'estimate of a unique column: one row');
my $rows = $estimate->("city = 'x'");
ok($rows >= 40 && $rows <= 60, "estimate of 100 cities of 5000 rows, by a sample: $rows");
is($estimate->("email = 'x'"), 1, 'estimate by a generated column');

$node->stop;
rename $keyring, "$keyring.away" or die;
$node->start;
$node->safe_psql('postgres', 'ANALYZE people');
pass('ANALYZE needs no key');
is($node->safe_psql('postgres', $kept), 0, 'and keeps no token then either');
is($estimate->("token = '\\x01'"), 1, 'estimates are those of the last time');
is($estimate->("blind_index(city) = '\\x01'"), 50, 'also of the index on an expression');
my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT id FROM people WHERE ssn = 's7'");
isnt($status, 0, 'while a lookup does need it');
$node->safe_psql('postgres',
	"SELECT pg_stat_reset_single_table_counters('people'::regclass); ALTER TABLE people SET (autovacuum_enabled = on, autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)");
# deleting by id takes no key either
$node->safe_psql('postgres', 'DELETE FROM people WHERE id < 10');
ok($node->poll_query_until('postgres',
		"SELECT autoanalyze_count > 0 AND autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'people'"),
	'autovacuum and its ANALYZE need no key');
is($node->safe_psql('postgres', $kept), 0, 'and keep no token');
unlike(slurp_file($node->logfile), qr/automatic (vacuum|analyze).*\n.*ERROR|ERROR.*keyring.*\n.*automatic/,
	'without an error in the log');
$node->stop;
rename "$keyring.away", $keyring or die;
$node->start;
is($node->safe_psql('postgres', "SELECT id FROM people WHERE ssn = 's77'"), 77, 'the key is back');

# ---- an index key is replaced while sessions look up, insert and prepare

$node->safe_psql('postgres', 'ALTER TABLE people SET (autovacuum_enabled = off)');
$node->safe_psql('postgres', 'CREATE SEQUENCE fresh START 100001');
my %load = (
	reader => "\\set id random(10, 5000)\nBEGIN;\nSELECT 1 / count(*) FROM people WHERE ssn = 's' || (:id)::text;\n"
	  . "SELECT 1 / (count(*) >= 49)::int FROM people WHERE city = 'c' || (:id % 100)::text;\n"
	  . "SELECT 1 / count(*) FROM people WHERE email = 'e' || (:id)::text;\nCOMMIT;\n",
	# a row is found in the same and in the next transaction; a duplicate is not taken
	writer => "\\set old random(10, 5000)\nSELECT nextval('fresh') AS id \\gset\nBEGIN;\n"
	  . "INSERT INTO people (id, ssn, city, email) VALUES ((:id)::int, 's' || (:id)::text, 'fresh', 'e' || (:id)::text);\n"
	  . "SELECT 1 / count(*) FROM people WHERE ssn = 's' || (:id)::text;\nCOMMIT;\n"
	  . "SELECT 1 / count(*) FROM people WHERE email = 'e' || (:id)::text;\n"
	  . "INSERT INTO people (id, ssn) VALUES (-(:id)::int, 's' || (:old)::text) ON CONFLICT (blind_index(ssn)) DO NOTHING;\n");
# Without sequential scans, which would find what the index misses
$node->safe_psql('postgres', 'ALTER DATABASE postgres SET enable_seqscan = off');
my @running;
for my $name (sort keys %load)
{
	my ($out, $err) = ('', '');
	# A thread for each: pgbench prepares statements one after the other in a
	# thread, so one that waits for a lock would keep others from releasing it
	my $h = IPC::Run::start(pgbench("load_$name", $load{$name}, '-c', '3', '-j', '3', '-T', '8'), '>', \$out, '2>', \$err);
	push @running, [ $name, $h, \$err ];
}
for my $round (2 .. 4)
{
	my $number = $node->safe_psql('postgres', "SELECT pgseal.rotate_index_key('public.people')");
	is($number, $round, "round $round: a new version under load");
	$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY people_city');
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT pgseal.retire_index_key('public.people')");
	like($err, qr/column "token" of table "people" still holds tokens/, 'generated columns are looked at');
	# In batches, so as not to hold up the others
	for my $part (0 .. 3)
	{
		$node->safe_psql('postgres',
			"UPDATE people SET email = email WHERE id % 4 = $part AND get_byte(token, 0) <> $number");
	}
	# Row versions that a running transaction may still see count, too
	ok($node->poll_query_until('postgres', <<SQL, "DO\nt"), 'the old version is retired');
DO \$\$BEGIN PERFORM pgseal.retire_index_key('public.people');
EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END\$\$;
SELECT count(*) = 1 FROM pgseal.key_versions WHERE key = 'public.people' AND purpose = 'index' AND destroyed IS NULL;
SQL
}
for my $load (@running)
{
	my ($name, $h, $err) = @$load;
	$h->finish;
	unlike($$err, qr/ERROR|aborted/, "$name: no lookup missed") or diag($$err);
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT ssn FROM people GROUP BY ssn HAVING count(*) > 1) x'),
	0, 'no duplicate slipped in');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM people WHERE id > 100000'), 't', 'though rows were written');

$node->stop;
done_testing();
