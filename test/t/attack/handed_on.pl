# Attack: what was begun by a role that may search is gone on with by one that may not;
# and constraints, triggers and rules that somebody's blindness would let pass.

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

# Nor do triggers and rules miss what he writes
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE noted (id int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN INSERT INTO noted VALUES (new.id); RETURN new; END$$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF new.v > 1000 THEN RAISE 'too much'; END IF; RETURN new; END$$;
CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN IF EXISTS (SELECT 1 FROM ruled_by_all WHERE v > 1000) THEN RAISE 'too much'; END IF; RETURN NULL; END$$;
CREATE TABLE ruled_by_before (id int, v encrypted_int4('pay'));
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON ruled_by_before FOR EACH ROW WHEN (new.v > 1000) EXECUTE FUNCTION note();
CREATE TABLE ruled_by_after (id int, v encrypted_int4('pay'));
CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON ruled_by_after DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.v > 1000) EXECUTE FUNCTION note();
CREATE TABLE ruled_by_parted (id int, v encrypted_int4('pay')) PARTITION BY RANGE (id);
CREATE TABLE ruled_by_part PARTITION OF ruled_by_parted DEFAULT;
CREATE TRIGGER t AFTER INSERT OR UPDATE ON ruled_by_parted FOR EACH ROW WHEN (new.v IN (5000, 5001)) EXECUTE FUNCTION note();
CREATE TABLE ruled_by_body (id int, v encrypted_int4('pay'));
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON ruled_by_body FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TABLE ruled_by_all (id int, v encrypted_int4('pay')) WITH (parallel_workers = 2);
CREATE TRIGGER t AFTER INSERT OR UPDATE ON ruled_by_all EXECUTE FUNCTION refuse_many();
CREATE TABLE ruled_by_rule (id int, v encrypted_int4('pay'));
CREATE RULE r AS ON INSERT TO ruled_by_rule WHERE new.v > 1000 DO ALSO INSERT INTO noted VALUES (new.id);
CREATE RULE u AS ON UPDATE TO ruled_by_rule WHERE new.v > 1000 DO ALSO INSERT INTO noted VALUES (new.id);
GRANT ALL ON ALL TABLES IN SCHEMA public TO writer;
SQL
my $workers = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0';
for my $by (qw(before after parted body all rule))
{
	my $table = "ruled_by_$by";

	$node->safe_psql('postgres', "INSERT INTO $table VALUES (1, 6)");
	for my $write ("INSERT INTO $table VALUES (2, 5000)", "UPDATE $table SET v = '5000'", "COPY $table FROM stdin;\n3\t5000\n\\.\n")
	{
		next if $by eq 'rule' && $write =~ /COPY/;	# has no rules
		like(said("$workers; SET ROLE writer; SET pgseal.on_denied = 'null'; $write"), qr/^ERROR:  permission denied (for foreign server local_keyring|to check a constraint on encrypted values)$/, $write =~ s/\n.*//sr);
	}
	is(said("INSERT INTO $table VALUES (4, 5)"), '', "$table: others may");
	is($node->safe_psql('postgres', "SELECT string_agg(id || ' ' || v, ',' ORDER BY id) FROM $table"), '1 6,4 5', "$table: nothing came unseen");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM noted'), '0', 'and nothing is noted of what was refused');
is(said("SET ROLE writer; SET pgseal.on_denied = 'null'; UPDATE ruled_by_after SET id = 5 WHERE v > 1000; SELECT count(*) FROM ruled_by_after WHERE v > 1"), '0', 'conditions of his own are not true');

# Nor does what hides rows show them
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE hidden (id int, vip encrypted_bool('pay'), v encrypted_int4('pay'));
INSERT INTO hidden VALUES (1, true, 5000), (2, false, 5), (3, null, null);
CREATE TABLE listed (v encrypted_int4('pay'));
CREATE VIEW barred WITH (security_barrier) AS SELECT * FROM hidden WHERE vip IS NOT TRUE UNION ALL SELECT * FROM hidden WHERE false;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION inlined() RETURNS SETOF hidden LANGUAGE sql STABLE AS 'SELECT * FROM hidden';
GRANT ALL ON hidden, barred, listed TO writer, reader;
SQL
my $hiding = qr/^ERROR:  permission denied for (foreign server local_keyring|encrypted values in a condition that hides rows)$/;
for my $policy ('vip IS NOT TRUE', 'coalesce(v, 0) < 1000', 'v + 1 IS DISTINCT FROM 5001', "NOT coalesce(v IN ('5000', '5001'), false)", 'NOT EXISTS (SELECT 1 FROM listed l WHERE l.v > hidden.v)', 'id > 0 AND (v IS NULL OR v < 1000)')
{
	$node->safe_psql('postgres', "DROP POLICY IF EXISTS p ON hidden; CREATE POLICY p ON hidden USING ($policy)");
	$node->safe_psql('postgres', "DELETE FROM listed; INSERT INTO listed VALUES ('6')");
	for my $statement ('SELECT id FROM hidden', 'SELECT id FROM inlined()', 'UPDATE hidden SET id = id', 'DELETE FROM hidden', q{INSERT INTO hidden VALUES (4, true, 5000)},
		q{SET plan_cache_mode = force_generic_plan; PREPARE s AS SELECT id FROM hidden; SET pgseal.on_denied = 'null'; EXECUTE s})
	{
		like(said("SET ROLE writer; SET pgseal.on_denied = 'null'; $statement"), $hiding, "$policy: $statement");
	}
	is($node->safe_psql('postgres', 'SELECT string_agg(id::text, $$,$$ ORDER BY id) FROM hidden'), '1,2,3', "$policy: all is there");
	is(said('SET ROLE reader; SELECT id FROM hidden ORDER BY id'), $policy =~ /EXISTS \(/ ? '1 3' : '2 3', "$policy: who may see");
}
like(said("SET ROLE writer; SET pgseal.on_denied = 'null'; SELECT id FROM barred"), $hiding, 'a security_barrier view');
$node->safe_psql('postgres', 'DROP POLICY p ON hidden; CREATE POLICY p ON hidden USING (id > 1 AND vip IS NULL)');
is(said("SET ROLE writer; SET pgseal.on_denied = 'null'; SELECT id, v::int FROM hidden WHERE v IS NOT NULL OR id = 3"), '3|', 'a policy that asks for NULL only');
unlike(said('SET ROLE writer; EXPLAIN VERBOSE SELECT id FROM hidden'), qr/may_be_denied/, 'plans look as ever');

# PostgreSQL's functions that compare values themselves can't say NULL; no internal error
is(said("SET ROLE writer; SET pgseal.on_denied = 'null'; SELECT $_ FROM emp LIMIT 1"), 'ERROR:  permission denied to compare encrypted values', $_)
  for q{array_position(ARRAY[salary], '5')}, q{array_positions(ARRAY[salary], '5')};

$node->stop;
done_testing();
