# Attack: what was begun by a role that may search is gone on with by one that may not;
# and constraints that somebody's blindness would let pass.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('handed_on', conf => q{
jit = off
autovacuum = off
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('pay');
CREATE ROLE reader; GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
CREATE ROLE writer; GRANT CREATE ON SCHEMA public TO reader;
CREATE TABLE emp (id int, salary encrypted_int4('pay'));
INSERT INTO emp SELECT g, g FROM generate_series(1, 2000) g;
CREATE INDEX ON emp USING sealed (salary);
GRANT SELECT ON emp TO reader, writer;
CREATE FUNCTION revoked_at(int, int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
$$BEGIN IF $1 = $2 THEN REVOKE USAGE ON FOREIGN SERVER local_keyring FROM reader; END IF; RETURN true; END$$;
SET ROLE reader;
CREATE FUNCTION begun() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS
$$DECLARE c refcursor := 'c'; r record; BEGIN OPEN c FOR SELECT id FROM emp WHERE salary BETWEEN 5 AND 1900; FETCH c INTO r; RETURN c; END$$;
CREATE FUNCTION ordered() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS
$$DECLARE c refcursor := 'c'; r record; BEGIN OPEN c FOR SELECT id FROM emp ORDER BY salary; FETCH c INTO r; RETURN c; END$$;
SQL

# What is printed, errors without their place
sub said
{
	my ($statements) = @_;
	my (undef, $out, $error) = $node->psql('postgres', "\\set VERBOSITY terse\n$statements", on_error_stop => 0);

	return join ' ', grep { length } split /\n/, "$out\n" . $error =~ s/psql:<stdin>:\d+: //gr;
}

my $denied = 'ERROR:  permission denied for foreign server local_keyring';

for my $function (qw(begun ordered))
{
	my $by_index = 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;';

	like(said("$by_index SET ROLE reader; BEGIN; SELECT $function(); FETCH 2 FROM c;"), qr/^c \d+ \d+$/, "$function: he who may");
	is(said("$by_index SET ROLE writer; BEGIN; SELECT $function(); FETCH 2 FROM c;"), "c $denied", "$function: he who may not");
	is(said("$by_index SET ROLE reader; BEGIN; SELECT $function(); SET ROLE writer; FETCH 2 FROM c;"), "c $denied", "$function: a role that comes later");
	like(said("$by_index SET ROLE reader; BEGIN; SELECT $function(); SET ROLE writer; SAVEPOINT s; SET ROLE reader; FETCH 2 FROM c;"), qr/^c \d+ \d+$/, "$function: and back");
}
is(said("SET enable_seqscan = off; SET enable_bitmapscan = off; SET pgseal.on_denied = 'null'; SET ROLE writer; BEGIN; SELECT begun(); FETCH 2 FROM c;"), 'c', 'conditions are not true');
is(said("SET enable_seqscan = off; SET enable_sort = off; SET pgseal.on_denied = 'null'; SET ROLE writer; BEGIN; SELECT ordered(); FETCH 2 FROM c;"),
	'c ERROR:  permission denied to compare encrypted values', 'an order is not one of fewer rows');

# The privilege is taken away amid a query
for my $by ('SET enable_seqscan = off; SET enable_bitmapscan = off', 'SET enable_indexscan = off; SET enable_bitmapscan = off')
{
	is(said("$by; BEGIN; SET LOCAL ROLE reader; SELECT count(*) FROM emp WHERE salary BETWEEN 5 AND 1900 AND revoked_at(id, 8)"), $denied, "revoked after a row: $by");
	is(said("$by; BEGIN; SET LOCAL ROLE reader; SELECT count(*) FROM emp WHERE salary BETWEEN 5 AND 1900 AND revoked_at(id, 3)"), '1896', "not revoked: $by");
}

# Who doesn't see the rows that are there could add another one of them
for my $method (qw(sealed hash))
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE ex_$method (id int, v encrypted_int4('pay'), CONSTRAINT x_$method EXCLUDE USING $method (v WITH =) DEFERRABLE);
INSERT INTO ex_$method VALUES (1, 5);
GRANT ALL ON ex_$method TO writer;
SQL
	is(said("INSERT INTO ex_$method VALUES (2, 5)"), "ERROR:  conflicting key value violates exclusion constraint \"x_$method\"", "EXCLUDE USING $method");
	is(said("SET ROLE writer; INSERT INTO ex_$method VALUES (2, 5)"), $denied, "EXCLUDE USING $method: by a role without USAGE");
	is(said("SET ROLE writer; SET pgseal.on_denied = 'null'; $_"), 'ERROR:  permission denied to compare encrypted values', "EXCLUDE USING $method: $_")
	  for "INSERT INTO ex_$method VALUES (3, 5)", "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO ex_$method VALUES (4, 5); COMMIT";
	is($node->safe_psql('postgres', "SELECT count(*) FROM ex_$method"), '1', "EXCLUDE USING $method: none came");
}

# PostgreSQL's functions that compare values themselves can't say NULL; no internal error
is(said("SET ROLE writer; SET pgseal.on_denied = 'null'; SELECT $_ FROM emp LIMIT 1"), 'ERROR:  permission denied to compare encrypted values', $_)
  for q{array_position(ARRAY[salary], '5')}, q{array_positions(ARRAY[salary], '5')};

$node->stop;
done_testing();
