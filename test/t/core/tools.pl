# PostgreSQL's own tools on plain and on encrypted columns: another server's foreign tables
# (postgres_fdw), psql's \d, \gdesc, \copy, \crosstabview and \gexec, pg_dump and pg_restore.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('tools', conf => q{timezone = 'UTC'});

my $user = $node->safe_psql('postgres', 'SELECT current_user');
my $directory = PostgreSQL::Test::Utils::tempdir;
my %prefix = (plain => '', sealed => 'encrypted_');
my @databases = sort keys %prefix;

sub declared
{
	my ($database, $sql) = @_;
	$sql =~ s/\{(\w+)\}/$prefix{$database}$1/g;
	$sql =~ s/\bblind_index\((\w+)\)/$1/g if $database eq 'plain';
	return $sql;
}

# What psql prints, errors too
sub printed
{
	my ($database, $script) = @_;
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run([ 'psql', '-Xq', '-d', $node->connstr($database) ], '<', \$script, '>', \$stdout, '2>', \$stderr);
	return $stdout . $stderr;
}

sub same
{
	my ($got, $expected, $name) = @_;
	my ($first, @lines) = (0, map { [ split /\n/ ] } $got, $expected);

	return if ok($got eq $expected && $got ne '', $name);
	$first++ while ($lines[0][$first] // '') eq ($lines[1][$first] // '') && $first < @{ $lines[0] };
	diag("line $first, got:      " . ($lines[0][$first] // '(none)') . "\nexpected: " . ($lines[1][$first] // '(none)'));
}

$node->safe_psql('postgres', "CREATE DATABASE $_") for @databases, 'consumer', map { "restored_$_" } @databases;
foreach my $database (@databases)
{
	$node->safe_psql($database, 'CREATE EXTENSION pgseal');
	$node->safe_psql($database, declared($database, <<'EOS'));
CREATE TABLE person (id int PRIMARY KEY, email {text}, age {int4}, salary {numeric}, born {date}, seen {timestamptz}, doc {jsonb}, tags {text}[]);
CREATE UNIQUE INDEX person_email ON person (blind_index(email));
INSERT INTO person SELECT i, 'p' || i || '@x', 20 + i % 5, i * 1.50, date '2000-01-01' + i, timestamptz '2020-01-01 00:00Z' + i * interval '1 hour',
	jsonb_build_object('n', i), ARRAY['t' || i % 2, E'it''s "a" \\ tab\t'] FROM generate_series(1, 20) i;
INSERT INTO person (id, email) VALUES (21, E'line\nand \\back'), (22, '');
CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES person, total {numeric});
INSERT INTO orders SELECT i, 1 + i % 20, i / 4.0 FROM generate_series(1, 40) i;
CREATE VIEW adults AS SELECT id, lower(email) AS email, age + 1 AS next FROM person WHERE age > 21;
EOS
}

#
# Another database, which has no pgseal: its session here has search_path = pg_catalog
#

$node->safe_psql('consumer', 'CREATE EXTENSION postgres_fdw');
foreach my $database (@databases)
{
	my ($host, $port) = ($node->host, $node->port);

	$node->safe_psql('consumer', <<EOS);
CREATE SERVER $database FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname '$database', use_remote_estimate 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER $database OPTIONS (user '$user');
CREATE SCHEMA $database;
SET search_path = $database;
CREATE FOREIGN TABLE person (id int, email text, age int4, salary numeric, born date, seen timestamptz, doc jsonb, tags text[]) SERVER $database OPTIONS (schema_name 'public');
CREATE FOREIGN TABLE orders (id int, person int, total numeric) SERVER $database OPTIONS (schema_name 'public');
CREATE FOREIGN TABLE adults (id int, email text, next int) SERVER $database OPTIONS (schema_name 'public');
EOS
}

my @foreign = split /;\n/, <<'EOS';
SELECT * FROM person ORDER BY id
SELECT * FROM adults ORDER BY id
SELECT id FROM person WHERE email = 'p7@x'
SELECT id FROM person WHERE email IN ('p7@x', 'p8@x') AND age > 20 ORDER BY id
SELECT id FROM person WHERE lower(email) LIKE 'p1%' AND salary BETWEEN 2 AND 20.5 ORDER BY email
SELECT id FROM person WHERE tags @> ARRAY['t1'] AND doc ->> 'n' = '3' OR born > '2000-01-19' ORDER BY id
SELECT id, age FROM person ORDER BY age DESC NULLS LAST, email LIMIT 3
SELECT age, count(*), sum(salary), max(born), avg(age) FROM person GROUP BY age ORDER BY age
SELECT p.email, sum(o.total) FROM person p JOIN orders o ON o.person = p.id WHERE p.age < 23 GROUP BY p.email ORDER BY 2 DESC, 1
SELECT p.id, o.id FROM person p LEFT JOIN orders o ON o.total = p.salary ORDER BY 1, 2
SELECT count(*) FROM person p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.person = p.id AND o.total > p.salary)
SELECT email, coalesce(age, 0), CASE WHEN age > 22 THEN email ELSE 'young' END FROM person ORDER BY id
PREPARE s(text, numeric) AS SELECT id FROM person WHERE email = $1 OR salary > $2 ORDER BY id;
EXECUTE s('p3@x', 28.5); EXECUTE s('p3@x', 28.5); EXECUTE s('p3@x', 28.5); EXECUTE s('p3@x', 28.5); EXECUTE s('p3@x', 28.5); EXECUTE s('p3@x', 28.5)
INSERT INTO person VALUES (30, 'new@x', 5, 1.20, '2001-02-03', '2001-02-03 04:05Z', '{"a": 1}', '{a,b}') RETURNING *
INSERT INTO person (id, email) SELECT 100 + i, 'bulk' || i FROM generate_series(1, 5) i RETURNING id, email
UPDATE person SET age = age + 1, email = upper(email) WHERE email LIKE 'bulk%' AND id < 103 RETURNING id, email, age
UPDATE person SET salary = o.total FROM orders o WHERE o.person = person.id AND o.id = 4 RETURNING person.id, salary
INSERT INTO person (id, email) VALUES (31, 'p1@x') ON CONFLICT DO NOTHING
DELETE FROM person WHERE email = 'BULK1' RETURNING id, email
COPY person (id, email, age) FROM STDIN;
200	copied	7
\.
SELECT id, email, age FROM person WHERE id >= 100 ORDER BY id
BEGIN; DECLARE c CURSOR FOR SELECT email FROM person ORDER BY id; FETCH 2 FROM c; MOVE 3 IN c; FETCH c; COMMIT
ANALYZE person
EOS

foreach my $statement (@foreign)
{
	my %got = map { ($_ => printed('consumer', "SET search_path = $_;\n\\set VERBOSITY terse\n$statement;\n")) } @databases;

	same("$got{sealed}-", "$got{plain}-", 'foreign table: ' . substr($statement =~ s/\s+/ /gr, 0, 60));
}
is($node->safe_psql('sealed', 'SET pgseal.transparent = off; COPY (SELECT email FROM person) TO STDOUT') =~ s/pgseal:1:[\w+\/=]+\n?//gr,
	'', 'what came by foreign tables is sealed');


#
# psql
#

foreach my $script (
	"SELECT email, age, salary, born, seen, doc, tags FROM person \\gdesc\n",
	"SELECT age, tags[1], count(*) FROM person WHERE id < 20 GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview\n",
	"SELECT format('SELECT %L', email) FROM person ORDER BY id LIMIT 3 \\gexec\n",
	"SELECT email AS e, age AS a FROM person WHERE id = 3 \\gset\n\\echo :e :a\nSELECT id FROM person WHERE email = :'e' AND age = :a;\n",
	"\\x\nSELECT * FROM person ORDER BY id LIMIT 2;\n",
	"\\pset format csv\nTABLE person;\n\\pset format html\nTABLE adults;\n\\pset format latex\nTABLE orders;\n",
	"\\set FETCH_COUNT 3\nSELECT * FROM person ORDER BY id;\n",
	"\\copy (SELECT * FROM person ORDER BY id) TO STDOUT\n",
	"\\copy (SELECT email, tags FROM person ORDER BY id) TO STDOUT CSV HEADER QUOTE ''''\n",
	"\\dt\n\\dv+ adults\n\\di person_pkey\n\\d+ orders_pkey\n\\dn\n\\ds\n",
	"\\df pgseal.*\n")
{
	my %got = map { ($_ => printed($_, $script)) } @databases;

	same("$got{sealed}-", "$got{plain}-", 'psql: ' . substr($script =~ s/\s+/ /gr, 0, 60));
}

# \d and \sv name the encrypted types and otherwise say the same
foreach my $command ('\d person', '\d+ person', '\d orders', '\d+ adults', '\sv adults')
{
	my %got = map { ($_ => printed($_, "\\pset format unaligned\n$command\n")) } @databases;

	isnt($got{sealed}, $got{plain}, "psql: $command names the types") if $command =~ /person|orders/;
	$got{sealed} =~ s/encrypted_(\w+)\('public\.\w+'\)/$1/g;
	$got{sealed} =~ s/blind_index\((\w+)\)/$1/g;
	$got{sealed} =~ s/\(email\)/email/g;
	$got{sealed} =~ s/email::text/email/g;
	for (values %got)
	{
		s/\bint4\b/integer/g;
		s/\btimestamptz\b/timestamp with time zone/g;
		s/\|(?:plain|main|extended|external)\|/|/g;
		s/\((email)\)/$1/g;
		# An array has no statistics
		s/\|0\|$/||/mg;
	}
	same($got{sealed}, $got{plain}, "psql: $command");
}

# \copy of a table writes sealed values, as pg_dump does, and takes both them and plain ones
foreach my $format ('', 'CSV', 'BINARY')
{
	my $file = "$directory/copied";

	$node->safe_psql('sealed', "\\copy person TO '$file' $format");
	unlike(slurp_file($file), qr/p7\@x/, "\\copy of a table $format: sealed");
	$node->safe_psql('sealed', "CREATE TABLE again (LIKE person)");
	$node->safe_psql('sealed', "\\copy again FROM '$file' $format");
	same(printed('sealed', 'SELECT * FROM again ORDER BY id'), printed('plain', 'SELECT * FROM person ORDER BY id'), "\\copy of a table $format: read again");
	$node->safe_psql('plain', "\\copy person TO '$file' $format");
	$node->safe_psql('sealed', "TRUNCATE again");
	$node->safe_psql('sealed', "\\copy again FROM '$file' $format");
	same(printed('sealed', 'SELECT * FROM again ORDER BY id'), printed('plain', 'SELECT * FROM person ORDER BY id'), "\\copy $format: takes plain values");
	is($node->safe_psql('sealed', 'SET pgseal.transparent = off; COPY (SELECT email FROM again) TO STDOUT') =~ s/pgseal:1:[\w+\/=]+\n?//gr, '', "\\copy $format: and seals them");
	$node->safe_psql('sealed', 'DROP TABLE again');
}

#
# pg_dump
#

foreach my $options ([], ['--inserts'], [ '--column-inserts', '--rows-per-insert=7' ], [ '--inserts', '--on-conflict-do-nothing' ])
{
	my %got;

	foreach my $database (@databases)
	{
		$node->safe_psql('postgres', "DROP DATABASE restored_$database");
		$node->safe_psql('postgres', "CREATE DATABASE restored_$database");
		$node->command_ok([ 'pg_dump', '-f', "$directory/$database.sql", @$options, '-d', $node->connstr($database) ], "pg_dump @$options of $database");
		# INSERT takes sealed values where it is told to
		$got{$database} = printed("restored_$database", (@$options ? "SET pgseal.sealed_input = on;\n" : '')
			. "\\set ON_ERROR_STOP on\n\\o /dev/null\n\\i $directory/$database.sql\n\\o\nRESET search_path;\nSELECT * FROM person ORDER BY id;\nSELECT * FROM adults ORDER BY id;\nSELECT * FROM orders ORDER BY id;\nSELECT id FROM person WHERE email = 'p7\@x';\n");
	}
	unlike(slurp_file("$directory/sealed.sql"), qr/p7\@x/, "pg_dump @$options: sealed");
	same($got{sealed}, $got{plain}, "pg_dump @$options: restored");
}

$node->stop;
done_testing();
