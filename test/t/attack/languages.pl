# Functions in PL/Perl, PL/Python and PL/Tcl: what they see of encrypted columns, that nobody
# without the privilege gets plaintext by them, and that none gets into the log.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('languages', conf => q{
log_statement = none
log_min_error_statement = panic
});

# The same functions in each language
my %languages = (
	plperlu => {
		query => q{return spi_exec_query($_[0])->{rows}[0]{v};},
		cursor => q{my $c = spi_query($_[0]); my $r = spi_fetchrow($c); spi_cursor_close($c); return $r->{v};},
		prepared => q{my $p = spi_prepare('SELECT id AS v FROM t WHERE name = $1', 'text'); return spi_exec_prepared($p, $_[0])->{rows}[0]{v};},
		sealed => q{my $p = spi_prepare('SELECT id AS v FROM t WHERE name = $1', 'encrypted_text'); return spi_exec_prepared($p, $_[0])->{rows}[0]{v};},
		same => 'return $_[0];',
		rows => q{return_next({id => 7, name => 'returned', salary => 70}); return undef;},
		see => q{elog(NOTICE, "new $_TD->{new}{name} old $_TD->{old}{name} $_TD->{new}{tags}"); return;},
		modify => q{$_TD->{new}{note} = 'noted'; return 'MODIFY';},
		change => q{$_TD->{new}{name} = 'changed'; return 'MODIFY';},
		take => q{$_TD->{new}{name} = $_TD->{new}{note}; return 'MODIFY';},
		insert => q{spi_exec_query("INSERT INTO copies VALUES (" . quote_literal($_TD->{new}{name}) . ")"); return;},
		fail => q{die spi_exec_query('SELECT name AS v FROM t WHERE id = 1')->{rows}[0]{v};},
	},
	plpython3u => {
		query => 'return plpy.execute(args[0])[0]["v"]',
		cursor => 'return plpy.cursor(args[0]).fetch(1)[0]["v"]',
		prepared => q{r = plpy.execute(plpy.prepare('SELECT id AS v FROM t WHERE name = $1', ['text']), [args[0]]); return r[0]["v"] if len(r) else None},
		sealed => q{r = plpy.execute(plpy.prepare('SELECT id AS v FROM t WHERE name = $1', ['encrypted_text']), [args[0]]); return r[0]["v"] if len(r) else None},
		same => 'return args[0]',
		rows => q{return [{"id": 7, "name": "returned", "salary": 70, "tags": None, "note": None}]},
		see => q{plpy.notice("new %s old %s %s" % (TD["new"]["name"], TD["old"]["name"], TD["new"]["tags"]))},
		modify => q{TD["new"]["note"] = "noted"; return "MODIFY"},
		change => q{TD["new"]["name"] = "changed"; return "MODIFY"},
		take => q{TD["new"]["name"] = TD["new"]["note"]; return "MODIFY"},
		insert => q{plpy.execute("INSERT INTO copies VALUES (" + plpy.quote_literal(TD["new"]["name"]) + ")")},
		fail => q{raise Exception(plpy.execute('SELECT name AS v FROM t WHERE id = 1')[0]["v"])},
	},
	pltclu => {
		query => 'spi_exec -array r $1; return [expr {[info exists r(v)] ? $r(v) : {}}]',
		cursor => 'set v {}; spi_exec -array r $1 { if {[info exists r(v)]} { set v $r(v) }; break }; return $v',
		prepared => q{set v ""; spi_execp -array r [spi_prepare {SELECT id AS v FROM t WHERE name = $1} {text}] [list $1] { set v $r(v) }; return $v},
		sealed => q{set v ""; spi_execp -array r [spi_prepare {SELECT id AS v FROM t WHERE name = $1} {encrypted_text}] [list $1] { set v $r(v) }; return $v},
		same => 'return $1',
		rows => q{return_next {id 7 name returned salary 70}},
		see => q{elog NOTICE "new $NEW(name) old $OLD(name) $NEW(tags)"; return OK},
		modify => q{set NEW(note) noted; return [array get NEW]},
		change => q{set NEW(name) changed; return [array get NEW]},
		take => q{set NEW(name) $NEW(note); return [array get NEW]},
		insert => q{spi_exec "INSERT INTO copies VALUES ([quote [set NEW(name)]])"; return OK},
		fail => q{spi_exec -array r {SELECT name AS v FROM t WHERE id = 1}; error $r(v)},
	});
$languages{pltclu}{insert} = q{spi_exec "INSERT INTO copies VALUES ('[quote $NEW(name)]')"; return OK};

plan skip_all => 'needs PL/Perl, PL/Python and PL/Tcl'
	if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name IN ('plperlu', 'plpython3u', 'pltclu')") != 3;

$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal; CREATE EXTENSION plperlu; CREATE EXTENSION plpython3u; CREATE EXTENSION pltclu;
CREATE ROLE reader LOGIN; CREATE ROLE e LOGIN; GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
CREATE TABLE t (id int, name encrypted_text, salary encrypted_int4, tags encrypted_text[], note text);
INSERT INTO t VALUES (1, 'SECRET', 4711, '{SECRET,b}'), (2, 'other', 5, NULL);
CREATE TABLE copies (name encrypted_text);
GRANT ALL ON t, copies TO reader, e});

my $denied = qr/permission denied for foreign server/;
my $stolen = $node->safe_psql('postgres', 'SET pgseal.transparent = off; SELECT name FROM t WHERE id = 1');
like($stolen, qr/^pgseal:1:/, 'a sealed value of a dump');
for my $language (sort keys %languages)
{
	my %body = %{ $languages{$language} };
	my $function = sub {
		my ($name, $arguments, $result) = @_;
		return "CREATE OR REPLACE FUNCTION $name($arguments) RETURNS $result LANGUAGE $language AS \$x\$$body{$name}\$x\$;";
	};
	my $trigger = sub {
		my ($name) = @_;
		$node->safe_psql('postgres', $function->($name, '', 'trigger') .
			" DROP TRIGGER IF EXISTS x ON t; CREATE TRIGGER x BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION $name()");
	};

	$node->safe_psql('postgres', 'DROP TRIGGER IF EXISTS x ON t; DROP FUNCTION IF EXISTS same; DROP FUNCTION IF EXISTS rows;' .
		join(' ', $function->('query', 'text', 'text'), $function->('cursor', 'text', 'text'), $function->('prepared', 'text', 'text'), $function->('sealed', 'text', 'text'),
			$function->('same', 'encrypted_text', 'encrypted_text'), $function->('rows', '', 'SETOF t'), $function->('fail', '', 'text')));

	# Queries
	for my $how ('query', 'cursor')
	{
		for my $query ('SELECT name AS v FROM t WHERE id = 1', 'SELECT max(name) AS v FROM t WHERE salary > 100', 'SELECT format($$%s$$, name) AS v FROM t WHERE id = 1')
		{
			is($node->as('reader', "SELECT $how('$query')"), 'SECRET', "$language $how: $query");
			like($node->as('e', "SELECT $how('$query')"), $denied, 'denied without the privilege');
			is($node->as('e', "SET pgseal.on_denied = 'null'; SELECT coalesce(nullif($how('$query'), ''), 'nothing')"), 'nothing', 'or NULL');
		}
	}
	is($node->as('reader', "SELECT $_('SECRET')"), '1', "$language: a prepared query finds it, $_") for 'prepared', 'sealed';
	like($node->as('e', "SELECT $_('GUESS')"), $denied, "$language: and not for everybody, $_") for 'prepared', 'sealed';
	like($node->as('reader', "SELECT sealed('$stolen')"), qr/sealed values are not taken as input here/, "$language: what looks sealed is not believed");

	# Arguments and results
	is($node->as('reader', 'SELECT same(name) FROM t WHERE id = 1'), 'SECRET', "$language: a value through a function");
	like($node->as('e', 'SELECT same(name) FROM t WHERE id = 1'), $denied, 'denied');
	is($node->as('reader', 'SELECT id, name, salary FROM rows()'), '7|returned|70', "$language: rows of a table's type");
	like($node->as('e', 'SET pgseal.transparent = off; SELECT name FROM rows()'), qr/^pgseal:1:/, 'are sealed');

	# Triggers
	$trigger->('see');
	my $seen = $node->as('reader', "UPDATE t SET name = 'SECRET', tags = '{SECRET}' WHERE id = 1");
	like($seen, qr/new pgseal:1:\S+ old pgseal:1:\S+ \W*pgseal:1:/, "$language: a trigger sees the sealed form");
	unlike($seen, qr/SECRET/, 'and no plaintext');
	$trigger->('modify');
	is($node->as('e', "UPDATE t SET note = 'x' WHERE id = 1"), '', "$language: a trigger hands back the row");
	is($node->as('reader', 'SELECT name, salary, tags, note FROM t WHERE id = 1'), 'SECRET|4711|{SECRET}|noted', 'with all that was in it');
	is($node->as('e', "INSERT INTO t VALUES (3, 'new', 6, '{x,NULL}')"), '', "$language: also of a new one");
	is($node->as('reader', 'SELECT name, salary, tags, note FROM t WHERE id = 3; DELETE FROM t WHERE id = 3'), 'new|6|{x,NULL}|noted', 'as it should be');
	$trigger->('change');
	$node->as('e', 'UPDATE t SET note = NULL WHERE id = 2');
	is($node->as('reader', 'SELECT name FROM t WHERE id = 2'), 'changed', "$language: changes a value");
	like($node->safe_psql('postgres', 'SET pgseal.transparent = off; SELECT name FROM t WHERE id = 2'), qr/^pgseal:1:/, 'which is sealed');
	$trigger->('take');
	like($node->as('e', "UPDATE t SET note = '$stolen' WHERE id = 2"), qr/sealed values are not taken as input here/, "$language: text of a user is not believed");
	$trigger->('insert');
	is($node->as('e', "UPDATE t SET note = 'x' WHERE id = 1"), '', "$language: a statement made of the row");
	is($node->safe_psql('postgres', 'SELECT name FROM copies; DELETE FROM copies'), 'SECRET', 'has its value');
	$node->safe_psql('postgres', 'DROP TRIGGER x ON t');
	like($node->as('e', "INSERT INTO copies VALUES ('$stolen')"), qr/sealed values are not taken as input here/, 'outside of a function it is not believed');

	# Errors
	like($node->as('reader', 'SELECT fail()'), qr/SECRET/, "$language: the client sees what is thrown");
	like($node->as('reader', "SELECT query('SELECT name::int AS v FROM t WHERE id = 1')"), qr/SECRET/, 'and what fails');
	like($node->as('reader', "SELECT query('SELECT 1 / (salary - 4711) AS v FROM t WHERE id = 1')"), qr/division by zero/, 'or is computed');
	like($node->as('e', 'SELECT fail()'), $denied, 'who may');
	like($node->psql('postgres', "DO LANGUAGE $language \$x\$$body{fail}\$x\$"), qr/^3$/, 'also by DO');
}
unlike(slurp_file($node->logfile), qr/SECRET/, 'nothing is in the log');

$node->stop;
done_testing();
