# Of a statement that has opened a value, no error of any class puts it into the log,
# and no line of its context does; the client still sees it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('log', conf => q{
log_min_messages = notice
log_error_verbosity = verbose
log_min_error_statement = error
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE c (id int PRIMARY KEY, name encrypted_text);
INSERT INTO c VALUES (1, 'Bob''sSecret'), (2, 'Bob''sSecret');
CREATE TABLE plain (name text PRIMARY KEY, n int CHECK (n > 0), CONSTRAINT short CHECK (length(name) < 20));
CREATE FUNCTION ex(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v text; BEGIN SELECT name INTO v FROM c WHERE id = 1; EXECUTE format(what, v); END$$;
CREATE FUNCTION nested(what text) RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM ex(what); END$$;
CREATE FUNCTION assigns() RETURNS void LANGUAGE plpgsql AS $$
DECLARE v text; i int; BEGIN SELECT name INTO v FROM c WHERE id = 1; i := v; END$$;
CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS $$
DECLARE v text; BEGIN SELECT name INTO v FROM c WHERE id = 1;
	BEGIN EXECUTE format('SELECT %L::int', v); EXCEPTION WHEN OTHERS THEN RAISE WARNING 'again: %', SQLERRM; END; END$$;
CREATE FUNCTION in_sql(text) RETURNS int LANGUAGE sql AS $$SELECT $1::int$$});

my %attacks = (
	'22 a cast' => 'SELECT name::text::int FROM c',
	'22 a number out of range' => q{SELECT ('9999999999999' || length(name))::int, name::text::date FROM c},
	'22 JSON' => q{SELECT ('[1, ' || name::text)::json FROM c},
	'22 XML' => q{SELECT ('<a>' || name::text)::xml FROM c},
	'22 a regular expression' => q{SELECT 'x' ~ ('(' || name::text) FROM c},
	'22 a date' => q{SELECT to_timestamp(name::text, 'YYYY') FROM c},
	'22 in a function of SQL' => 'SELECT in_sql(name) FROM c',
	'23 a key' => 'INSERT INTO plain SELECT name FROM c',
	'23 a check' => q{INSERT INTO plain SELECT name::text || repeat('x', 20) FROM c},
	'23 a failing row' => 'INSERT INTO plain SELECT name, 0 FROM c',
	'23 NULL' => 'CREATE TEMP TABLE n (a text, b int NOT NULL); INSERT INTO n SELECT name FROM c',
	'42 a table' => q{SELECT ex('SELECT * FROM %I')},
	'42 a column' => q{SELECT ex('SELECT %I FROM c')},
	'42 syntax' => q{SELECT ex('SELECT FROM %L')},
	'42 a function' => q{SELECT ex('SELECT %I()')},
	'42 a role' => q{SELECT ex('SET ROLE %I')},
	'42 regclass' => 'SELECT name::text::regclass FROM c',
	'58 a file' => q{SELECT pg_read_file('/nowhere/' || name::text) FROM c},
	'58 a library' => q{SELECT ex('LOAD %L')},
	'58 COPY' => q{SELECT ex('COPY plain FROM %L')},
	'3D a database' => q{SELECT ex('ALTER DATABASE %I RENAME TO x')},
	'context of dynamic SQL' => q{SELECT ex('SELECT 1/0, %L')},
	'context of nested functions' => q{SELECT nested('SELECT 1/0, %L')},
	'context of an assignment' => 'SELECT assigns()',
	'a warning' => 'SELECT caught()',
	'P0 raised' => q{DO $$BEGIN RAISE EXCEPTION 'no %', (SELECT name::text FROM c LIMIT 1) USING DETAIL = (SELECT name::text FROM c LIMIT 1), HINT = (SELECT name::text FROM c LIMIT 1); END$$},
	'P0 asserted' => q{DO $$BEGIN ASSERT false, (SELECT name::text FROM c LIMIT 1); END$$});

for my $attack (sort keys %attacks)
{
	my $from = -s $node->logfile;
	my (undef, $out, $err) = $node->psql('postgres', $attacks{$attack}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	like($err, qr/ERROR|WARNING/, "$attack: fails");
	like("$out$err", qr/bob/i, "$attack: the client sees the value") if $attack !~ /^(22 a (number|regular|date)|58 a library)/;
	unlike(slurp_file($node->logfile, $from), qr/bob/i, "$attack: the log has it not");
}

$node->stop;
done_testing();
