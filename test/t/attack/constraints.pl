# Constraints see the value, as the table's owner, whoever writes and whatever
# the writer has set; nothing else of his statement does.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('constraints');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE ROLE w LOGIN; CREATE ROLE e LOGIN; CREATE SCHEMA e AUTHORIZATION e;
CREATE DOMAIN begins_with_a AS encrypted_text CHECK (VALUE::text ~ '^a');
CREATE TABLE c (id int,
	mail encrypted_text CONSTRAINT mail CHECK (mail ~ '@'),
	number encrypted_int4 CONSTRAINT number CHECK (number > 5 AND number IN (6,7,8,9,10,11,12,13,14,15,16)),
	short encrypted_text CONSTRAINT short CHECK (length(short) < 5 AND short::text IS DISTINCT FROM 'no'),
	numbers encrypted_int4[] CONSTRAINT numbers CHECK (numbers::int4[] <> '{1}'),
	doc encrypted_jsonb CONSTRAINT doc CHECK (doc @> '{"a": 1}'),
	pair encrypted_int4 CONSTRAINT pair CHECK ((pair, pair) < (10, 10) AND greatest(pair, 3) < 9),
	dom begins_with_a, p int, q int, CHECK (p < q));
CREATE TABLE parted (LIKE c INCLUDING ALL) PARTITION BY LIST (id);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE by_token (id int, x encrypted_int4) PARTITION BY LIST (blind_index(x));
CREATE TABLE by_token_null PARTITION OF by_token FOR VALUES IN (NULL);
CREATE TABLE by_token_other PARTITION OF by_token DEFAULT;
CREATE TABLE emp (id int, salary encrypted_int4);
INSERT INTO emp VALUES (1, 1000), (2, 2000);
GRANT INSERT, UPDATE, SELECT ON c, parted, parted1, emp TO w;
GRANT SELECT ON emp TO e;
GRANT INSERT ON by_token TO w;
INSERT INTO c VALUES (0, 'a@b', 6, 'yes', '{2}', '{"a": 1}', 7)});

my $denied = qr/permission denied for foreign server/;
my %good = (mail => "'a\@b'", number => 6, short => "'yes'", numbers => "'{2}'", doc => q{'{"a": 1}'}, pair => 7);
my %bad = (mail => "'ab'", number => 5, short => "'no'", numbers => "'{1}'", doc => q{'{"a": 2}'}, pair => 12);
my @columns = sort keys %good;
my $columns = join(', ', 'id', @columns);

for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	for my $table ('c', 'parted', 'parted1')
	{
		is($node->as('w', $null . "INSERT INTO $table ($columns) VALUES (" . join(', ', 1, map { $good{$_} } @columns) . ')'), '',
			"${null}$table: a role that only writes can write");
		for my $column (@columns)
		{
			my %row = (%good, $column => $bad{$column});
			my $values = join(', ', 1, map { $row{$_} } @columns);

			like($node->as('w', $null . "INSERT INTO $table ($columns) VALUES ($values)"), qr/violates check constraint "$column"/,
				"$null$table: not what a constraint of $column forbids");
			like($node->as('w', $null . "COPY $table (id, $column) FROM STDIN;\n1\t" . ($bad{$column} =~ s/^'|'$//gr) . "\n\\.\n"),
				qr/violates check constraint "$column"/, "${null}$table: by COPY");
		}
		like($node->as('w', $null . "UPDATE $table SET mail = 'none' WHERE id < 2"), qr/violates check constraint "mail"/, "$null$table: by UPDATE");
		is($node->as('w', $null . "UPDATE $table SET id = 1 WHERE id < 2"), '', "$null$table: an update of something else");
	}
	like($node->as('w', $null . "INSERT INTO c (dom) VALUES ('bb')"), qr/permission denied/, "${null}a domain's constraint is not passed by NULL");
	like($node->as('w', $null . "COPY c (dom) FROM STDIN;\nbb\n\\.\n"), qr/permission denied/, "${null}by COPY");
	is($node->as('w', $null . 'INSERT INTO by_token VALUES (1, 5)'), '', "${null}a partition by tokens");
}
is($node->safe_psql('postgres', 'SELECT DISTINCT tableoid::regclass FROM by_token'), 'by_token_other', 'the right partition');

# What isn't a constraint
for my $sql ('SELECT mail FROM c WHERE number > 5', 'INSERT INTO c (id) SELECT 2 FROM c WHERE number > 5',
	q{UPDATE c SET id = 1 WHERE mail ~ '@'}, q{INSERT INTO c (id) SELECT CASE WHEN number > 5 THEN 1 END FROM c},
	q{UPDATE c SET short = 'yes' WHERE id = 1 RETURNING number > 5},
	"COPY c (mail) FROM STDIN WHERE mail ~ '\@';\na\@b\n\\.\n", "COPY c (mail) FROM STDIN WHERE mail::text ~ '\@';\na\@b\n\\.\n")
{
	like($node->as('w', $sql), $denied, "denied: $sql");
}

# A constraint that compares columns, with somebody's value in the one and a guess in the other
$node->safe_psql('postgres', q{
CREATE TABLE r1 (low encrypted_int4, high encrypted_int4, CHECK (low < high));
CREATE TABLE r2 (low encrypted_int4, high int, CHECK (low::int4 < high));
CREATE TABLE r3 (low encrypted_int4, high int, CHECK (low > 0), CHECK (low::int4 < high));
CREATE TABLE r4 (low encrypted_int4, high int) PARTITION BY LIST (high);
CREATE TABLE r4a (high int, low encrypted_int4, CHECK (low::int4 < high));
ALTER TABLE r4 ATTACH PARTITION r4a DEFAULT;
GRANT INSERT ON r1, r2, r3, r4, r4a TO w});
for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	for my $table ('r1', 'r2', 'r3', 'r4', 'r4a')
	{
		like($node->as('w', "${null}INSERT INTO $table (low, high) SELECT salary, 1500 FROM emp"), qr/permission denied/,
			"$null$table: columns are not compared for who may not");
		like($node->as('w', "${null}COPY $table (low, high) FROM STDIN;\n2000\t1500\n\\.\n"), qr/permission denied/, "$null$table: by COPY");
		is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), 0, 'nothing is in it');
	}
}

# The same by tokens; and tokens of a guess under a key of a server that the owner may not use
$node->safe_psql('postgres', q{
CREATE SERVER mine FOREIGN DATA WRAPPER local_keyring; GRANT USAGE ON FOREIGN SERVER mine TO e;
SELECT pgseal.create_key('mine', server => 'mine'), pgseal.create_key('pay');
CREATE TABLE paid (id int, salary encrypted_int4('pay'), t bytea GENERATED ALWAYS AS (blind_index(salary)) STORED);
INSERT INTO paid (id, salary) VALUES (1, 1000);
GRANT SELECT ON paid TO e, w;
CREATE TABLE t1 (low encrypted_int4('pay'), high encrypted_int4('pay'), CHECK (blind_index(low) <> blind_index(high)));
CREATE TABLE t2 (low encrypted_int4('pay'), high bytea, CHECK (blind_index(low) <> high));
CREATE TABLE t3 (low encrypted_int4('pay'), CHECK (blind_index(low) IS NOT NULL));
CREATE TABLE any_key (x encrypted_int4('*'), y encrypted_int4('*'));
GRANT INSERT ON t1, t2, t3, any_key TO w; GRANT INSERT, TRIGGER ON any_key TO e});
$node->as('e', q{
CREATE TABLE e.o (x encrypted_int4('mine'), CHECK (blind_index(x) IS NULL OR blind_index(1000, 'pay') <> '\x00'));
CREATE TABLE e.p (g int, x encrypted_int4('mine') CHECK (blind_index(x) IS NULL), y int DEFAULT length(blind_index(1000, 'pay')))});
for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	like($node->as('w', "${null}INSERT INTO t1 SELECT salary, 1000 FROM paid"), qr/permission denied/, "${null}a constraint that compares tokens of columns");
	like($node->as('w', "${null}INSERT INTO t2 SELECT salary, t FROM paid"), qr/permission denied/, "${null}or with tokens in a column");
	like($node->as('w', "${null}COPY t1 FROM STDIN;\n1000\t1000\n\\.\n"), qr/permission denied/, "${null}by COPY");
	is($node->as('w', "${null}INSERT INTO t3 SELECT salary FROM paid"), '', "${null}one of a single column lets a writer write");
	like($node->as('e', "${null}INSERT INTO e.o VALUES (1)"), $denied, "${null}a token of a guess in a constraint of one's own");
	unlike($node->as('e', "${null}INSERT INTO e.p (g) VALUES (1) RETURNING y"), qr/17/, "${null}and in a default");
}

# The condition of a trigger that somebody with TRIGGER has made, evaluated where constraints are
$node->safe_psql('postgres', q{CREATE TABLE watched (x encrypted_int4, CHECK (x > 0)); GRANT INSERT, TRIGGER ON watched TO e});
$node->as('e', q{
CREATE FUNCTION e.fired() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'fired'; RETURN NEW; END$$;
CREATE TRIGGER fired BEFORE INSERT ON watched FOR EACH ROW WHEN (NEW.x = 50) EXECUTE FUNCTION e.fired()});
$node->as('e', q{
CREATE TRIGGER guess BEFORE INSERT ON any_key FOR EACH ROW WHEN (blind_index(NEW.x) = blind_index(1000, 'pay')) EXECUTE FUNCTION e.fired()});
like($node->as('e', 'INSERT INTO any_key SELECT salary, salary FROM paid'), $denied, "tokens in the condition of somebody else's trigger");
$node->as('e', q{
DROP TRIGGER guess ON any_key;
CREATE TRIGGER guess BEFORE INSERT ON any_key FOR EACH ROW WHEN (blind_index(NEW.x) = blind_index(NEW.y)) EXECUTE FUNCTION e.fired()});
unlike($node->as('e', 'INSERT INTO any_key SELECT salary, salary FROM paid'), qr/fired/, 'or of two columns');
for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	unlike($node->as('e', "${null}COPY watched FROM STDIN;\n50\n\\.\n"), qr/fired/, "${null}a trigger's condition by COPY");
	unlike($node->as('e', "${null}INSERT INTO watched SELECT salary FROM emp"), qr/fired/, "${null}a trigger's condition");
}

# Somebody's values under a constraint of one's own
$node->as('e', q{CREATE TABLE e.t (x encrypted_int4('*') CHECK (x < 1500)); CREATE TABLE e.u (x encrypted_int4('new') CHECK (x < 1500))});
for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	for my $table ('e.t', 'e.u')
	{
		like($node->as('e', "${null}INSERT INTO $table SELECT salary FROM emp"), $denied, "${null}$table: a constraint of one's own");
		is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), 0, 'nothing is in it');
	}
}

$node->stop;
done_testing();
