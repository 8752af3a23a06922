# Replacing index keys: beyond 256 versions, as a token's first byte is the number of
# its version; and with conditions that hold tokens, which can't follow.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgseal'
pgseal.worker_interval = 1
fsync = off
});
$node->start;

sub query { return $node->safe_psql('postgres', $_[0]); }

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
query(q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('k');
ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
UPDATE pgseal.key_version SET number = 254 WHERE key = 'k' AND purpose = 'i';
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard;
CREATE TABLE t (id int, a encrypted_text('k'), token bytea GENERATED ALWAYS AS (blind_index(a)) STORED);
CREATE INDEX ON t (token);
CREATE UNIQUE INDEX ON t (blind_index(a));
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i});
for my $number (255 .. 257)
{
	is(query(q{SELECT pgseal.rotate_index_key('k')}), $number, "version $number");
	refused(q{SELECT pgseal.rotate_index_key('k')}, qr/already being replaced/, 'one after the other');
	refused(q{SELECT pgseal.retire_index_key('k')}, qr/still (?:holds tokens|has)|old index key/, 'not before its tokens are replaced');
	is(query(q{SET enable_seqscan = off; SELECT id FROM t WHERE a = 'v7'}), 7, 'found meanwhile');
	refused(q{INSERT INTO t VALUES (0, 'v7')}, qr/duplicate key/, 'unique meanwhile');
	my $byte = $number % 256;
	query(qq{UPDATE t SET a = a WHERE get_byte(token, 0) <> $byte});
	query('VACUUM t; REINDEX TABLE t');
	# Transactions of the worker may still see the old rows
	my ($ret, $err);
	for (1 .. 60)
	{
		($ret, undef, $err) = $node->psql('postgres', q{SELECT pgseal.retire_index_key('k')});
		last if $ret == 0;
		sleep 1;
	}
	is($ret, 0, 'retired') or diag($err);
	is(query(q{SELECT DISTINCT get_byte(token, 0) FROM t}), $byte, "all tokens begin with $byte");
	is(query(q{SET enable_seqscan = off; SELECT id FROM t WHERE a = 'v7'}), 7, 'found');
	is(query(q{SET enable_seqscan = off; SELECT count(*) FROM t x JOIN t y ON x.token = blind_index(y.a)}), 50, 'joined');
	refused(q{INSERT INTO t VALUES (0, 'v7')}, qr/duplicate key/, 'unique');
}

# Conditions
query(q{SELECT pgseal.create_key('c'); CREATE TABLE c (id int, a encrypted_text('c'), b encrypted_text('c'), token bytea);
INSERT INTO c VALUES (1, 'a', 'b', NULL)});
my $rotate = q{SELECT pgseal.rotate_index_key('c')};
my %refused = (
	'a constant' => q{CHECK (blind_index(a) <> '\x0102'::bytea)},
	'a column' => q{CHECK (token = blind_index(a))},
	'a constant, in words' => q{CHECK (id > 0 OR encode(blind_index(value => a), 'hex') <> 'abc')},);
for my $what (sort keys %refused)
{
	query("ALTER TABLE c ADD CONSTRAINT con $refused{$what}");
	refused($rotate, qr/check constraint "con" of table "c" compares its tokens/, "tokens and $what");
	query('ALTER TABLE c DROP CONSTRAINT con');
}
query(q{CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER tr BEFORE UPDATE ON c FOR EACH ROW WHEN (blind_index(NEW.a) = '\x0102') EXECUTE FUNCTION f()});
refused($rotate, qr/trigger "tr" of table "c" compares its tokens/, 'the condition of a trigger');
query('DROP TRIGGER tr ON c');
query(q{ALTER TABLE c ADD CONSTRAINT differ CHECK (id > 0 AND blind_index(a) <> blind_index(b));
CREATE TRIGGER tr BEFORE UPDATE ON c FOR EACH ROW WHEN (NEW.id > 0 AND blind_index(OLD.a) IS DISTINCT FROM blind_index(NEW.a)) EXECUTE FUNCTION f()});
is(query($rotate), 2, 'tokens and tokens follow');
refused(q{INSERT INTO c VALUES (2, 'x', 'x')}, qr/violates check constraint "differ"/, 'and hold');

$node->stop;
done_testing();
