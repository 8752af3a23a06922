# Attack: text that looks like a sealed value, stolen or made up, from a user of
# an application.  Only COPY, replication and definitions take it for one.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('sealed_input');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE ROLE app LOGIN;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO app;
	CREATE TABLE c (id int, email encrypted_text, n encrypted_int4);
	CREATE TABLE many (emails encrypted_text[]);
	INSERT INTO c VALUES (1, 'ada@example.org', 5);
	GRANT SELECT, INSERT ON c, many TO app});

sub sealed
{
	return $node->safe_psql('postgres', "SET pgseal.transparent = off; SELECT $_[0] FROM c WHERE id = 1");
}

# As the application's role: output and errors together
sub app
{
	my ($sql) = @_;
	my (undef, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'app' ]);
	return "$out$err";
}

my $stolen = sealed('email');
my $stolen_int = sealed('n');
# An unknown key version, under which nobody can open anything
my $garbage = 'pgseal:1:AQEAAQIDBAUGBwABAgMEBQYHCAkKCwABAgMEBQYHCAkKCwwNDg8=';
my $refused = qr/sealed values are not taken as input here.*HINT: .*pgseal\.sealed_input/s;

for my $attack ("INSERT INTO c VALUES (2, '$stolen')", "INSERT INTO c VALUES (2, '$garbage')",
	"INSERT INTO c VALUES (2, NULL, '$stolen_int')",
	"INSERT INTO many VALUES ('{$stolen}')", "SELECT ('(2,$stolen,)'::c).email",
	"SELECT email FROM json_populate_record(NULL::c, json_build_object('email', '$stolen'))",
	"SELECT '$stolen'::encrypted_text", "SELECT id FROM c WHERE email = '$stolen'")
{
	like(app($attack), $refused, substr($attack, 0, 60));
}
like(app("SET pgseal.sealed_input = on"), qr/permission denied to set parameter/, 'nobody widens it');
like(app("SELECT set_config('pgseal.sealed_input', 'on', false)"), qr/permission denied/, 'by no way');

# Not taken is not: sealed as it is
is(app("SELECT ('$stolen'::text)::encrypted_text::text = '$stolen'"), 't', 'a text value is text');
is(app("INSERT INTO c VALUES (3, 'pgseal:1:not sealed'), (4, 'pgseal: I like it'); SELECT email FROM c WHERE id > 2 ORDER BY id"),
	"pgseal:1:not sealed\npgseal: I like it", 'what only begins like one is just text');
is($node->safe_psql('postgres', 'SELECT count(*) FROM c WHERE id = 2'), 0, 'nothing was stored');

# A file for COPY
sub copied
{
	my ($as, $setting, $table, $line) = @_;
	my $file = $node->basedir . '/line';

	PostgreSQL::Test::Utils::append_to_file($file, '');
	open my $fh, '>', $file or die $!;
	print $fh "$line\n";
	close $fh;
	my (undef, $out, $err) = $node->psql('postgres', "\\copy $table from '$file'",
		extra_params => [ '-U', $as ], on_error_stop => 1);
	return "$out$err";
}

is(copied('app', undef, 'c (email)', $stolen), '', 'COPY takes it');
is(copied('app', undef, 'many', "{$stolen}"), '', 'and in an array');
like(copied('app', undef, 'c (email)', $garbage), qr/key version that is not known/,
	'but no unknown key of who does not own the table');
(my $forged = $stolen) =~ s/(.{12})(.)(=*)$/$1 . ($2 eq 'A' ? 'B' : 'A') . $3/e;
like(copied('app', undef, 'c (email)', $forged), qr/malformed sealed value|failed authentication/, 'nor a forged one');
my $flipped = substr($stolen, 0, -12) . (substr($stolen, -12, 1) eq 'A' ? 'B' : 'A') . substr($stolen, -11);
like(copied('app', undef, 'c (email)', $flipped), qr/failed authentication/, 'it is authenticated at once');
is(app('SELECT count(email::text) FROM c'), 4, 'all that is stored opens');

$node->safe_psql('postgres', q{ALTER ROLE app SET pgseal.sealed_input = off});
like(copied('app', undef, 'c (email)', $stolen), $refused, 'off: not even COPY');
$node->safe_psql('postgres', q{ALTER ROLE app SET pgseal.sealed_input = on});
is(app("INSERT INTO c (email) VALUES ('$stolen'); SELECT DISTINCT email FROM c WHERE id IS NULL"),
	'ada@example.org', 'on: statements, too');
$node->safe_psql('postgres', q{ALTER ROLE app RESET pgseal.sealed_input});

# A function inside of a COPY, or of a definition, hears what a user says
$node->safe_psql('postgres', q{
	CREATE TABLE inbox (x encrypted_text, said text);
	CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			EXECUTE format('INSERT INTO c (id, email) VALUES (9, %L)', NEW.said);
			RETURN NEW;
		END $$;
	CREATE TRIGGER hear BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION hear();
	GRANT INSERT, SELECT ON inbox TO app});
like(copied('app', undef, 'inbox', "x\t$stolen"), $refused, 'a trigger of a COPY');
is(copied('app', undef, 'inbox (x, said)', "$stolen\thello"), '', 'the column of that COPY itself');

# A dump's definitions
$node->safe_psql('postgres', qq{
	CREATE TABLE d (x encrypted_text DEFAULT '$stolen', CHECK (x <> '$stolen'::encrypted_text OR true));
	CREATE VIEW v AS SELECT id FROM c WHERE email = '$stolen'::encrypted_text;
	INSERT INTO d DEFAULT VALUES});
is($node->safe_psql('postgres', 'SELECT x FROM d'), 'ada@example.org', 'definitions are taken');

$node->stop;
done_testing();
