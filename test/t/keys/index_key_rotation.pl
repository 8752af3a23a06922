# Replacing index keys: beyond 256 versions, as a token's first byte is the number of
# its version; and with conditions that hold tokens, which can't follow.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('main', conf => 'pgseal.worker_interval = 1');

sub refused
{
	my ($sql, $pattern, $name) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($ret != 0 && $err =~ $pattern, $name) or diag("$ret $err");
	return;
}

# The byte wraps at 256: of the two versions that may be in use at a time it still
# tells which a token is of
$node->sql(q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('k');
ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
UPDATE pgseal.key_version SET number = 254 WHERE key = 'k' AND purpose = 'i';
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard;
CREATE TABLE t (id int, a encrypted_text('k'), token bytea GENERATED ALWAYS AS (blind_index(a)) STORED);
CREATE INDEX ON t (token);
CREATE UNIQUE INDEX ON t (blind_index(a));
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i});
for my $number (255 .. 257)
{
	is($node->sql(q{SELECT pgseal.rotate_index_key('k')}), $number, "version $number");
	refused(q{SELECT pgseal.rotate_index_key('k')}, qr/already being replaced/, 'one after the other');
	refused(q{SELECT pgseal.retire_index_key('k')}, qr/still (?:holds tokens|has)|old index key/, 'not before its tokens are replaced');
	is($node->sql(q{SET enable_seqscan = off; SELECT id FROM t WHERE a = 'v7'}), 7, 'found meanwhile');
	refused(q{INSERT INTO t VALUES (0, 'v7')}, qr/duplicate key/, 'unique meanwhile');
	my $byte = $number % 256;
	$node->sql(qq{UPDATE t SET a = a WHERE get_byte(token, 0) <> $byte});
	$node->sql('VACUUM t; REINDEX TABLE t');
	# Transactions of the worker may still see the old rows
	my ($ret, $err);
	for (1 .. 60)
	{
		($ret, undef, $err) = $node->psql('postgres', q{SELECT pgseal.retire_index_key('k')});
		last if $ret == 0;
		sleep 1;
	}
	is($ret, 0, 'retired') or diag($err);
	is($node->sql(q{SELECT DISTINCT get_byte(token, 0) FROM t}), $byte, "all tokens begin with $byte");
	is($node->sql(q{SET enable_seqscan = off; SELECT id FROM t WHERE a = 'v7'}), 7, 'found');
	is($node->sql(q{SET enable_seqscan = off; SELECT count(*) FROM t x JOIN t y ON x.token = blind_index(y.a)}), 50, 'joined');
	refused(q{INSERT INTO t VALUES (0, 'v7')}, qr/duplicate key/, 'unique');
}

# Conditions
$node->sql(q{SELECT pgseal.create_key('c'); CREATE TABLE c (id int, a encrypted_text('c'), b encrypted_text('c'), token bytea);
INSERT INTO c VALUES (1, 'a', 'b', NULL)});
my $rotate = q{SELECT pgseal.rotate_index_key('c')};
my %refused = (
	'a constant' => q{CHECK (blind_index(a) <> '\x0102'::bytea)},
	'a column' => q{CHECK (token = blind_index(a))},
	'a constant, in words' => q{CHECK (id > 0 OR encode(blind_index(value => a), 'hex') <> 'abc')},);
for my $what (sort keys %refused)
{
	$node->sql("ALTER TABLE c ADD CONSTRAINT con $refused{$what}");
	refused($rotate, qr/check constraint "con" of table "c" compares its tokens/, "tokens and $what");
	$node->sql('ALTER TABLE c DROP CONSTRAINT con');
}
$node->sql(q{CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER tr BEFORE UPDATE ON c FOR EACH ROW WHEN (blind_index(NEW.a) = '\x0102') EXECUTE FUNCTION f()});
refused($rotate, qr/trigger "tr" of table "c" compares its tokens/, 'the condition of a trigger');
$node->sql('DROP TRIGGER tr ON c');
$node->sql(q{ALTER TABLE c ADD CONSTRAINT differ CHECK (id > 0 AND blind_index(a) <> blind_index(b));
CREATE TRIGGER tr BEFORE UPDATE ON c FOR EACH ROW WHEN (NEW.id > 0 AND blind_index(OLD.a) IS DISTINCT FROM blind_index(NEW.a)) EXECUTE FUNCTION f()});
is($node->sql($rotate), 2, 'tokens and tokens follow');
refused(q{INSERT INTO c VALUES (2, 'x', 'x')}, qr/violates check constraint "differ"/, 'and hold');

# Constants that are tokens, wherever expressions are stored: all of them are named,
# and what compares tokens with tokens, or another key's, isn't
$node->sql(q{SELECT pgseal.create_key('s'); SELECT pgseal.create_key('other');
CREATE TABLE s (id int, a encrypted_text('s'), b encrypted_text('s'), o encrypted_text('other'), plain bytea,
	token bytea GENERATED ALWAYS AS (blind_index(a)) STORED);
INSERT INTO s (id, a, b) VALUES (1, 'a', 'b')});
my %stored = (
	'domain' => [ q{CREATE DOMAIN dom AS encrypted_text('s') CHECK (blind_index(VALUE) <> '\x0102'::bytea)}, 'constraint dom_check', 'DROP DOMAIN dom' ],
	'check of a generated column' => [ q{ALTER TABLE s ADD CONSTRAINT con CHECK (token <> '\x77')}, 'constraint con on table public.s', 'ALTER TABLE s DROP CONSTRAINT con' ],
	'policy' => [ q{CREATE POLICY p ON s USING (token <> '\x01')}, 'policy p on table public.s', 'DROP POLICY p ON s' ],
	'policy with a subquery' => [ q{CREATE POLICY p ON s WITH CHECK (id IN (SELECT id FROM s x WHERE blind_index(x.a) = '\x02'))}, 'policy p on table public.s', 'DROP POLICY p ON s' ],
	'rule' => [ q{CREATE RULE r AS ON INSERT TO s WHERE blind_index(new.a) = '\x01' DO INSTEAD NOTHING}, 'rule r on table public.s', 'DROP RULE r ON s' ],
	'action of a rule' => [ q{CREATE RULE r AS ON DELETE TO s DO ALSO UPDATE s SET id = 1 WHERE token = '\x01'}, 'rule r on table public.s', 'DROP RULE r ON s' ],
	'function' => [ q{CREATE FUNCTION body() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM s WHERE token = '\x01'; END}, 'function public.body()', 'DROP FUNCTION body' ],
	'index' => [ q{CREATE INDEX part ON s (id) WHERE blind_index(a) = '\x01'}, 'index public.part', 'DROP INDEX part' ],
	'index of a generated column' => [ q{CREATE INDEX part ON s (id) WHERE token = '\x01'}, 'index public.part', 'DROP INDEX part' ],
	'view on a materialized view' => [ q{CREATE MATERIALIZED VIEW mv AS SELECT token AS t FROM s; CREATE VIEW v AS SELECT * FROM mv WHERE t = '\x01'}, 'view public.v', 'DROP MATERIALIZED VIEW mv CASCADE' ],
	map { my ($what, $query) = @$_; ("view: $what" => [ "CREATE VIEW v AS $query", 'view public.v', 'DROP VIEW v' ]) }
	[ 'condition', q{SELECT id FROM s WHERE blind_index(a) = '\x01'} ],
	[ 'list', q{SELECT id FROM s WHERE token IN ('\x01', '\x02')} ],
	[ 'subquery', q{SELECT id FROM (SELECT s.id, s.token FROM s JOIN s s2 USING (token)) j WHERE starts_with(encode(j.token, 'hex'), '01')} ],
	[ 'WITH and VALUES', q{WITH x AS (SELECT id, token AS t FROM s) SELECT id FROM x JOIN (VALUES ('\x01'::bytea)) y(t) ON x.t = y.t} ],
	[ 'recursive', q{WITH RECURSIVE x AS (SELECT token AS t, 1 AS n FROM s UNION ALL SELECT t, n + 1 FROM x WHERE n < 3) SELECT * FROM x WHERE t = '\x01'} ],
	[ 'IN', q{SELECT id FROM s WHERE blind_index(a) IN (SELECT '\x01'::bytea)} ],
	[ 'CASE', q{SELECT CASE token WHEN '\x01' THEN 1 ELSE 2 END FROM s} ],
	[ 'row', q{SELECT id FROM s WHERE (id, token) = (1, '\x01'::bytea)} ],
	[ 'plaintext', q{SELECT blind_index('x'::text, 's') = '\x01' AS y} ]);
$rotate = q{BEGIN; SELECT pgseal.rotate_index_key('s'); ROLLBACK};
for my $what (sort keys %stored)
{
	my ($create, $name, $drop) = @{ $stored{$what} };

	$node->sql($create);
	refused($rotate, qr/compare its tokens with constants\nDETAIL:[^\n]*\n\Q$name\E\nHINT/, $what);
	$node->sql($drop);
}
$node->sql(q{CREATE VIEW fine1 AS SELECT id, encode(blind_index(a), 'hex') AS t, a = 'x' AS same FROM s WHERE id > 5;
CREATE VIEW fine2 AS SELECT s.id FROM s JOIN s s2 ON s.token = blind_index(s2.b) WHERE s.id = 7;
CREATE VIEW fine3 AS SELECT id FROM s WHERE blind_index(o) = '\x01';
CREATE VIEW fine4 AS SELECT id FROM s WHERE blind_index(a) = blind_index('x'::text, 's') AND plain = '\x01';
CREATE VIEW fine5 AS SELECT encode(token, 'hex') = encode(blind_index(b), 'hex') FROM s;
CREATE DOMAIN fine6 AS encrypted_text('s') CHECK (blind_index(VALUE) IS NOT NULL);
CREATE INDEX fine7 ON s (token) WHERE id > 1});
is($node->sql(q{SELECT pgseal.rotate_index_key('s')}), 2, 'and nothing else is in the way');

$node->stop;
done_testing();
