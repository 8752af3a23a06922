# Encrypted columns through foreign tables: what travels sealed, and what comes back,
# as docs/operating.md says; beside plain ones of the same content.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('foreign', conf => "log_statement = all\n");
my ($host, $port) = ($node->host, $node->port);

$node->safe_psql('postgres', 'CREATE DATABASE here; CREATE DATABASE there');
$node->safe_psql('there', q{
CREATE EXTENSION pgseal;
CREATE TABLE sealed (id int PRIMARY KEY, v encrypted_text('shared'), n encrypted_int4('shared'), tags encrypted_text('shared')[]);
INSERT INTO sealed (id) VALUES (0);
CREATE TABLE plain (id int PRIMARY KEY, v text, n int, tags text[]);
INSERT INTO plain (id) VALUES (0);
CREATE TABLE kept (id int, v text)});
$node->safe_psql('there', q{UPDATE sealed SET v = 'x', n = 1; UPDATE plain SET v = 'x', n = 1});
$node->safe_psql('here', q{CREATE EXTENSION pgseal; CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw});
$node->copy_keys($node, 'there', 'here');
$node->safe_psql('there', q{CREATE TABLE solely (v encrypted_text('only there')); INSERT INTO solely VALUES ('lingonberry')});
$node->safe_psql('here', q{SELECT pgseal.create_key('mine')});

my %options = (none => '', believed => '-c pgseal.sealed_input=on', sealed => '-c pgseal.sealed_input=on -c pgseal.transparent=off');
for my $name (sort keys %options)
{
	my $options = $options{$name} ? ", options '$options{$name}'" : '';
	$node->safe_psql('here', qq{
CREATE SERVER $name FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'there', batch_size '7', use_remote_estimate 'true', extensions 'pgseal'$options);
CREATE USER MAPPING FOR CURRENT_USER SERVER $name; CREATE SCHEMA $name; IMPORT FOREIGN SCHEMA public LIMIT TO (sealed, plain) FROM SERVER $name INTO $name});
}
is($node->safe_psql('here', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'believed.sealed'::regclass AND format_type(atttypid, atttypmod) ~ $$encrypted_\w+\('shared'\)$$}), 3, 'imported with their keys');

# ---- as plain ones, and sealed on the way ----

my @statements = (
	q{INSERT INTO TABLE (id, v, n) VALUES (1, 'lingonberry', 471101)},
	q{INSERT INTO TABLE SELECT i, 'lingonberry' || i, 471100 + i, ARRAY['lingonberry', NULL] FROM generate_series(2, 40) i},
	q{INSERT INTO TABLE (id, v) VALUES (1, 'lingonberry') ON CONFLICT DO NOTHING},
	q{SELECT * FROM TABLE ORDER BY id},
	q{SELECT id FROM TABLE WHERE v = 'lingonberry'},
	q{SELECT id FROM TABLE WHERE v IN ('lingonberry', 'lingonberry3') ORDER BY 1},
	q{SELECT id FROM TABLE WHERE v LIKE 'lingonberry3%' AND n BETWEEN 471131 AND 471135 ORDER BY n DESC},
	q{SELECT id FROM TABLE ORDER BY n DESC NULLS LAST LIMIT 3},
	q{SELECT max(n), min(v), count(DISTINCT v) FROM TABLE},
	q{PREPARE p(text) AS SELECT id FROM TABLE WHERE v = $1; EXECUTE p('lingonberry4'); SET plan_cache_mode = force_generic_plan; EXECUTE p('lingonberry5')},
	q{SELECT a.id FROM TABLE a JOIN TABLE b ON a.v = b.v AND a.n > 471138 ORDER BY 1},
	q{UPDATE TABLE SET v = 'lingonberry up' WHERE id = 3},
	q{UPDATE TABLE SET v = v || '!', n = n + 1 WHERE v = 'lingonberry4' RETURNING v, n},
	q{DELETE FROM TABLE WHERE v = 'lingonberry5' RETURNING id},
	q{SELECT v, tags FROM TABLE WHERE id < 7 ORDER BY id});
my $from = -s $node->logfile;
for my $statement (@statements)
{
	my ($sealed, $plain) = map { $node->safe_psql('here', $statement =~ s/TABLE/believed.$_/gr) } qw(sealed plain);
	is($sealed, $plain, $statement);
}
my $remote = join "\n", grep { /public\.sealed/ } split /\n/, slurp_file($node->logfile, $from);
like($remote, qr/INSERT INTO public\.sealed/, 'the remote server logs what it is asked');
unlike($remote, qr/lingonberry|4711\d\d/, 'no constant of a condition is in it');
unlike($node->sealed('there', 'COPY sealed TO STDOUT'), qr/lingonberry|4711\d\d/, 'all is sealed there');
is($node->safe_psql('there', q{SELECT count(*) FROM sealed WHERE v ~ 'pgseal:1:'}), 0, 'once');
$node->safe_psql('here', q{ANALYZE believed.sealed});
is($node->safe_psql('here', q{SELECT count(*) FROM pg_stats WHERE schemaname = 'believed' AND tablename = 'sealed' AND attname IN ('v', 'n', 'tags')
	AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL)}), 0, 'ANALYZE keeps no values');
my $plan = $node->safe_psql('here', q{EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM believed.sealed WHERE v = 'lingonberry' AND n = 471101});
like($plan, qr/Remote SQL: SELECT id, v, n FROM public\.sealed$/m, 'conditions are not sent');

# ---- by the options ----

$node->safe_psql('here', q{INSERT INTO none.sealed (id, v) VALUES (100, 'lingonberry')});
like($node->safe_psql('there', 'SELECT v FROM sealed WHERE id = 100'), qr/^pgseal:1:/, 'without options: sealed once more');
$node->safe_psql('there', 'DELETE FROM sealed WHERE id = 100');
$node->safe_psql('here', qq{CREATE FOREIGN TABLE solely (v encrypted_text('mine')) SERVER believed});
is($node->safe_psql('here', 'SELECT v FROM solely'), 'lingonberry', 'what is read is opened there: under a key that is not known here');
$node->safe_psql('here', q{INSERT INTO sealed.sealed (id, v) VALUES (101, 'lingonberry')});
my (undef, undef, $error) = $node->psql('here', 'SELECT v FROM sealed.sealed WHERE id = 101');
like($error, qr/sealed values are not taken as input here/, 'sealed both ways: it is said what is missing');
is($node->safe_psql('here', 'SET pgseal.sealed_input = on; SELECT v FROM sealed.sealed WHERE id = 101'), 'lingonberry', 'and then it is read');
$node->safe_psql('here', q{CREATE FOREIGN TABLE sealed.solely (v encrypted_text('mine')) SERVER sealed OPTIONS (schema_name 'public')});
(undef, my $read, $error) = $node->psql('here', 'SET pgseal.sealed_input = on; SELECT v FROM sealed.solely');
like("$read$error", qr/is not known in this database/, 'not with a key that is not known here');

# ---- text that is kept elsewhere ----

$node->safe_psql('here', q{CREATE FOREIGN TABLE kept (id int, v encrypted_text('mine')) SERVER none; INSERT INTO kept VALUES (1, 'lingonberry')});
like($node->safe_psql('there', 'SELECT v FROM kept'), qr/^pgseal:1:[^ ]+$/, 'text elsewhere is sealed');
is($node->safe_psql('here', 'SET pgseal.sealed_input = on; SELECT v FROM kept WHERE v = \'lingonberry\''), 'lingonberry', 'and read');

# ---- files ----

my $file = $node->basedir . '/file';
$node->safe_psql('here', qq{CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE TABLE local (id int, v encrypted_text('mine')); INSERT INTO local VALUES (1, 'lingonberry'), (2, NULL); COPY local TO '$file';
CREATE FOREIGN TABLE file (id int, v encrypted_text('mine')) SERVER files OPTIONS (filename '$file');
CREATE FOREIGN TABLE bad (id int, v encrypted_int4('mine')) SERVER files OPTIONS (filename '$file')});
unlike(slurp_file($file), qr/lingonberry/, 'a file is sealed');
is($node->safe_psql('here', 'SELECT * FROM file ORDER BY id'), "1|lingonberry\n2|", 'and read');
append_to_file($file, "3\tcloudberry\n");
is($node->safe_psql('here', 'SELECT v FROM file WHERE id = 3'), 'cloudberry', 'so is a plain line');
append_to_file("$file.2", "3\tcloudberry\n");
$node->safe_psql('here', qq{ALTER FOREIGN TABLE bad OPTIONS (SET filename '$file.2')});
$from = -s $node->logfile;
(undef, undef, $error) = $node->psql('here', 'SELECT v FROM bad');
like($error, qr/invalid input for type encrypted_int4/, 'what is no value is refused');
unlike(slurp_file($node->logfile, $from), qr/cloudberry/, 'and not logged');

$node->stop;
done_testing();
