# Queries on tables of Citus: pgseal's calls go to other nodes under an IMMUTABLE name and
# are what they were there; literals are sealed on the way; between nodes results stay
# sealed, and sealed values are believed there and nowhere else.
# (An imitation of Citus, test/module_citus; test/citus/run.sh tries Citus itself.)

use strict;
use warnings;

use BaseTypes qw(base_types);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('citus_calls', preload => 'citus, pgseal');
$node->query('postgres', "
	CREATE EXTENSION citus;
	CREATE EXTENSION pgseal;
	CREATE ROLE app LOGIN;
	CREATE ROLE stranger LOGIN;
	GRANT ALL ON SCHEMA public TO app;
	GRANT CREATE ON DATABASE postgres TO app;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO app;
	SET ROLE app;
	CREATE TABLE people (id int PRIMARY KEY, name encrypted_text, salary encrypted_int4, tags encrypted_text[], city text);
	CREATE INDEX people_name ON people (blind_index(name));
	INSERT INTO people VALUES (1, 'lingonberry', 5200, '{a,b}', 'york'), (2, 'bob', 2100, NULL, 'bath'), (3, NULL, NULL, '{}', NULL);
	CREATE TABLE copies (id int, name encrypted_text, city text);
	GRANT ALL ON people, copies TO stranger;
	CREATE SCHEMA shards;
	CREATE TABLE shards.people (LIKE people INCLUDING ALL);
	INSERT INTO shards.people SELECT * FROM people;
	CREATE TABLE shards.copies (LIKE copies INCLUDING ALL);
	RESET ROLE;
	INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, partkey) VALUES ('people', 'h', 'id'), ('copies', 'h', 'id')");

my $app = $node->connstr('postgres') . ' user=app';
my $remote = "$app application_name='citus_internal gpid=10000000001'";

# The same on the shard that another node has of the table
sub on_shard
{
	my ($sql) = @_;
	return 'SET search_path = shards; ' . $sql =~ s/public\./shards./gr;
}

sub run_as
{
	my ($connstr, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, connstr => $connstr, on_error_stop => 0);
	return $err ne '' ? "$out\n$err" : $out;
}

# ---- what is sent does there what it does here

my @statements = (
	"SELECT id, name, salary FROM public.people ORDER BY id",
	"SELECT id FROM public.people WHERE name = 'lingonberry'",
	"SELECT id FROM public.people WHERE name IN ('lingonberry', 'x') OR salary <> ALL ('{2100}')",
	"SELECT id FROM public.people WHERE name IS DISTINCT FROM 'lingonberry' ORDER BY id",
	"SELECT nullif(name, 'lingonberry'), CASE name WHEN 'lingonberry' THEN 1 ELSE 0 END FROM public.people ORDER BY id",
	"SELECT lower(name), salary + 1, salary::numeric, name::varchar(2), tags FROM public.people ORDER BY id",
	"SELECT concat(name, city), row_to_json(people), people FROM public.people WHERE id = 1",
	"SELECT sum(salary), max(salary), min(name), avg(salary) OVER () FROM public.people GROUP BY salary ORDER BY 1",
	"SELECT DISTINCT name FROM public.people ORDER BY name",
	"SELECT name FROM (SELECT name, id FROM public.people ORDER BY name LIMIT 2) x",
	"WITH x AS (SELECT name FROM public.people WHERE salary > 3000) SELECT name FROM x",
	"INSERT INTO public.people VALUES (9, 'lingonberry', 7, '{x}', 'y') RETURNING name, salary, tags",
	"INSERT INTO public.people (id, name) VALUES (1, 'n') ON CONFLICT (id) DO UPDATE SET name = excluded.name, salary = people.salary + 1 RETURNING name, salary",
	"INSERT INTO public.people (id, name) VALUES (1, 'n') ON CONFLICT (id) DO UPDATE SET name = 'lingonberry' RETURNING name",
	"INSERT INTO public.copies SELECT id, name, city FROM public.people RETURNING name",
	"INSERT INTO public.copies (name) SELECT upper(name) FROM public.people RETURNING name",
	"UPDATE public.people SET name = 'lingonberry' RETURNING name",
	"UPDATE public.people SET name = upper(name), salary = salary * 2 WHERE salary > 3000 RETURNING id, name, salary",
	"UPDATE public.people SET name = CASE WHEN salary > 3000 THEN 'lingonberry' ELSE name END RETURNING name",
	"UPDATE public.people p SET name = c.name FROM public.people c WHERE c.name = 'lingonberry' RETURNING p.name",
	"UPDATE public.people SET tags = '{q}', name = NULL WHERE 'a' = ANY (tags) RETURNING name, tags",
	"DELETE FROM public.people WHERE name = 'lingonberry' AND salary BETWEEN 1 AND 9999 RETURNING name",
	"SELECT id FROM public.people WHERE (name, salary) <= ('lingonberry', 5200) ORDER BY id",
	"SELECT id FROM public.people WHERE ((name, id) > ('bob', 1)) IS NOT TRUE ORDER BY id",
	"SELECT id, (name, salary) < ('lingonberry', 5201), (id, name) >= (2, 'b'), (salary, id, name) > (2100, 2, 'a') FROM public.people ORDER BY id",
	"DELETE FROM public.people WHERE (name, id) >= ('lingonberry', 1) RETURNING id",
	"UPDATE public.people SET (name, salary) = ('lingonberry', salary + 1) WHERE (id, name) < (2, 'b') RETURNING id, name, salary",
	"UPDATE public.people p SET (name, salary) = (SELECT c.name, c.salary FROM public.people c WHERE c.id = 4 - p.id) RETURNING p.id, p.name, p.salary",
	"UPDATE public.people p SET (name, city) = (SELECT c.name, c.city FROM public.people c WHERE c.id = 1) RETURNING p.id, p.name, p.city",
	"UPDATE public.people p SET (name, salary) = (SELECT upper(c.name), c.id + 1 FROM public.people c WHERE c.id = p.id) RETURNING p.id, p.name, p.salary",
	"UPDATE public.people p SET (salary, tags, city) = (SELECT max(c.id) + 1, ARRAY[c.city], c.name FROM public.people c WHERE c.id < 3 GROUP BY c.city, c.name ORDER BY c.name LIMIT 1) RETURNING p.id, p.tags, p.salary, p.city",
	"UPDATE public.people p SET (name, salary) = (VALUES (upper('x'), 3)), (tags, city) = (SELECT c.tags, c.name FROM public.people c WHERE c.id = p.id) RETURNING p.id, p.name, p.salary, p.city, p.tags",
	"SELECT p.id, i.key, i.current, (pgseal.inspect(p.name)).version FROM public.people p, pgseal.inspect(p.name) i ORDER BY p.id",
	"DELETE FROM public.people WHERE name IN (SELECT lower(c.name) FROM public.people c WHERE c.name = 'lingonberry') RETURNING id",
	"DELETE FROM public.people WHERE salary <> ALL (SELECT c.salary FROM public.people c WHERE c.id = 1) RETURNING id",
	"UPDATE public.people SET city = 'z' WHERE name NOT IN (SELECT c.name FROM public.people c WHERE c.id < 2) RETURNING id, name",
	"SELECT id FROM public.people WHERE name IN (SELECT c.name FROM public.people c WHERE c.salary > 3000)",
	"MERGE INTO public.people p USING public.people c ON p.id = c.id WHEN MATCHED AND p.salary > 3000 THEN UPDATE SET name = 'lingonberry'",
);
foreach my $path ('public', "''")
{
	foreach my $statement (@statements)
	{
		my $here = run_as($app, "SET search_path = $path; BEGIN; $statement; SELECT E'sent\\n' || citus.sent()");
		my ($rows, $sent) = split /^sent\n/m, $here, 2;
		my $there = run_as($remote, on_shard('BEGIN; ' . ($sent // 'nothing was sent') . ';'));

		is($there =~ s/\n+\z//r, $rows =~ s/\n+\z//r, "$path: $statement");
		unlike($sent // '', qr/lingonberry/, 'sealed on the way');
	}
}
like(run_as($app, "BEGIN; UPDATE people SET name = upper(name) WHERE name = 'x'; SELECT citus.sent()"),
	qr/pgseal_citus_call\(NULL::boolean, 'operator pg_catalog\.=\(/, 'it is calls of pgseal_citus_call() that are sent');

# Each row has a nonce of its own, though the literal was sent once
my $sent = run_as($app, "BEGIN; UPDATE people SET name = 'same', tags = '{same}'; SELECT citus.sent()");
run_as($remote, on_shard($sent));
is($node->query('postgres', "SELECT count(*) FROM shards.people, pgseal.inspect(name) WHERE name = 'same' AND current AND key = 'public.people'"),
	3, 'an update of all rows, under the key of the column');
for my $column ('name', 'tags')
{
	my %values = map { $_ => 1 } split /\n/, $node->sealed('postgres', "SELECT $column FROM shards.people");
	is(scalar(keys %values), 3, "each value is sealed by itself: $column");
}

# Its parameters are those of the statement
like(run_as($app, "PREPARE p (text) AS SELECT id FROM people WHERE name = \$1 ORDER BY id; EXECUTE p ('bob'); SELECT citus.sent()"),
	qr/^2\n.*\$1/s, 'parameters');
$sent = run_as($app, "PREPARE p (text) AS UPDATE people SET name = \$1; BEGIN; EXECUTE p ('x'); SELECT citus.sent()");
is(run_as($remote, on_shard("PREPARE p (text) AS $sent; BEGIN; EXECUTE p ('y'); SELECT count(*) FROM people WHERE name = 'y'")), 3, 'of an update');

# ---- results and literals between nodes

like(run_as($remote, 'SELECT name FROM people WHERE id = 1'), qr/^pgseal:1:/, 'a node gets sealed results');
like(run_as("$app application_name='citus_rebalancer gpid=10000000001'", 'SELECT name FROM people WHERE id = 1'), qr/^pgseal:1:/, 'so does the rebalancer');
is(run_as("$app application_name='citus_run_command gpid=10000000001'", 'SELECT name FROM people WHERE id = 1'), 'lingonberry', "a user's command doesn't");

my @values = split /\n/, $node->sealed('postgres', 'SELECT name FROM shards.people');
my $literal = "SELECT '$values[0]'::encrypted_text::text";
is(run_as($remote, $literal), 'same', 'a node is believed a sealed literal');
my $not_taken = qr/sealed values are not taken as input here/;
like(run_as($app, $literal), $not_taken, 'a client is not');
like(run_as("$app options='-c application_name=citus'", $literal), $not_taken, 'nor is another name');
my $renamed = "SET application_name = 'citus_internal gpid=10000000001';";
like(run_as($app, "$renamed $literal"), $not_taken, 'nor is one that names itself a node later');
is(run_as($app, "$renamed SELECT name FROM people WHERE id = 1"), 'lingonberry', 'which goes on getting opened results');
is(run_as($remote, "PREPARE p AS SELECT (\$1)::text; EXECUTE p ('x')"), 'x', 'parameters of a node');
like(run_as($remote, "DO \$\$ BEGIN EXECUTE \$q\$ $literal \$q\$; END \$\$"), $not_taken, 'what runs inside a statement of a node is not');
like(run_as($remote, "SELECT citus.other_function('$values[0]', NULL::encrypted_text)"), $not_taken, 'nor is what a function converts');
like(run_as($remote, "SELECT (json_populate_record(NULL::copies, json_build_object('name', '$values[0]'::text))).name"), $not_taken, 'nor a row of JSON');
$node->query('postgres', 'ALTER ROLE app SET pgseal.sealed_input = off');
like(run_as($remote, $literal), $not_taken, 'pgseal.sealed_input = off');
$node->query('postgres', 'ALTER ROLE app RESET pgseal.sealed_input');

# What Citus reads itself, in any session
like(run_as($app, "SELECT citus.read_intermediate_result('$values[0]', NULL::encrypted_text)"), qr/^same$/, 'an intermediate result');
like(run_as($app, "SELECT citus.other_function('$values[0]', NULL::encrypted_text)"), $not_taken, 'another function');

# ---- casts are called with one argument

my %sample = (
	text => 'x', bytea => '\x01', bool => 't', date => '2020-01-02', time => '01:02:03', timestamp => '2020-01-02 03:04:05',
	timestamptz => '2020-01-02 03:04:05+00', interval => '1 day', uuid => 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
	inet => '10.0.0.1', jsonb => '{"k": 1}');
foreach my $type (base_types())
{
	my $value = $sample{$type} // 7;
	is(run_as($app, "SELECT citus.cast_as('$value'::$type, NULL::encrypted_$type) = '$value'::$type"), 't', "a cast with one argument: $type");
}
is(run_as($app, "SELECT citus.cast_as(7::int2, NULL::encrypted_int8) = 7"), 't', 'from another type');

# ---- nobody gets more by it

my $open = "pgseal_citus_call(NULL::text, 'call pgseal_internal.open(pg_catalog.encrypted_text)', name)";
is(run_as($app, "SELECT $open FROM people WHERE id = 1"), 'lingonberry', 'who may open values can call it');
like(run_as($node->connstr('postgres') . ' user=stranger', "SELECT $open FROM people"), qr/permission denied for foreign server/, 'who may not, cannot');
foreach my $what ('call pgseal.destroy_key(text,text,boolean)', 'call pg_catalog.pg_read_file(text)', 'call pgseal_internal.encrypted_text_out(pg_catalog.encrypted_text)',
	'operator pg_catalog.=(text,text)', 'open', '', 'call x.y(')
{
	like(run_as($app, "SELECT pgseal_citus_call(NULL::text, '$what', name) FROM people"), qr/knows no "\Q$what\E"/, "not for $what");
}
like(run_as($app, "SELECT pgseal_citus_call(NULL::int, 'call pgseal_internal.open(pg_catalog.encrypted_text)', name) FROM people"), qr/knows no/, 'nor with another result');
like(run_as($app, "SELECT pgseal_citus_call(NULL::text, 'call pgseal_internal.open(pg_catalog.encrypted_text)', salary) FROM people"), qr/knows no/, 'nor other arguments');
like(run_as($app, "SELECT pgseal_citus_call(NULL::text, NULL, name) FROM people"), qr/knows no|for Citus alone/, 'nor nothing');
like(run_as($app, "SELECT pgseal_citus_call(NULL::text, 'call pgseal_internal.open(pg_catalog.encrypted_text)', VARIADIC ARRAY['x']) FROM people"), qr/ERROR/, 'nor an array');

like(run_as($app, "CREATE INDEX ON people (($open))"), qr/would reveal encrypted values/, 'an index');
like(run_as($app, "CREATE INDEX ON people (id) WHERE $open = 'x'"), qr/would reveal encrypted values/, 'a predicate');
like(run_as($app, "ALTER TABLE people ADD g text GENERATED ALWAYS AS ($open) STORED"), qr/would store opened values/, 'a generated column');
like(run_as($app, "CREATE TABLE parted (name encrypted_text) PARTITION BY HASH (($open))"), qr/would reveal encrypted values/, 'a partition key');
like(run_as($app, "CREATE STATISTICS s ON ($open), id FROM people"), qr/would reveal encrypted values/, 'statistics');

$node->stop;
done_testing();
