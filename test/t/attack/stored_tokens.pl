# Attack: tokens and statistics that are stored, on a table of one's own, tell which
# guess is equal to a value that one may not open; and tokens in somebody's index
# answer conditions.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('stored_tokens');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('pay');
	CREATE TABLE emp (id int, salary encrypted_int4('pay'));
	CREATE UNIQUE INDEX emp_tokens ON emp (blind_index(salary)) INCLUDE (id);
	INSERT INTO emp SELECT i, i * 10 FROM generate_series(1, 100) i;
	VACUUM ANALYZE emp;
	CREATE ROLE e LOGIN; CREATE SCHEMA e AUTHORIZATION e;
	GRANT SELECT, INSERT ON emp TO e});

my $denied = qr/permission denied for foreign server/;

# Stored, on a table of one's own
for my $setup (
	q{CREATE TABLE e.g1 (id int, x encrypted_int4('no such key'), t bytea GENERATED ALWAYS AS (blind_index(x)) STORED)},
	q{CREATE TABLE e.g2 (id int, x encrypted_int4('no such key')); CREATE UNIQUE INDEX ON e.g2 (blind_index(x))},
	q{CREATE TABLE e.g3 (id int, x encrypted_int4('*')); CREATE UNIQUE INDEX ON e.g3 (blind_index(x))},
	q{CREATE TABLE e.g4 (id int, x encrypted_int4('no such key')); CREATE INDEX ON e.g4 (id) WHERE blind_index(x) > ''},
	q{CREATE TABLE e.g5 (id int, x encrypted_int4('no such key'), CHECK (blind_index(x) > ''))})
{
	my ($table) = $setup =~ /(e\.g\d)/;

	$node->as('e', $setup);
	like($node->as('e', "SET pgseal.on_denied = 'null'; INSERT INTO $table SELECT id, salary FROM emp"), $denied, $setup);
	is($node->as('e', "SELECT count(*) FROM $table"), 0, 'nothing is in it');
}

# Hashes: of values of another server in a column of any key, of a key that comes to be
# on another server
$node->safe_psql('postgres', q{
	CREATE SERVER mine FOREIGN DATA WRAPPER local_keyring;
	GRANT USAGE ON FOREIGN SERVER mine TO e;
	CREATE DATABASE other});
$node->safe_psql('other', q{
	CREATE EXTENSION pgseal;
	CREATE SERVER mine FOREIGN DATA WRAPPER local_keyring;
	GRANT USAGE ON FOREIGN SERVER mine TO e;
	SELECT pgseal.create_key('default', server => 'mine');
	SELECT pgseal.create_key('pay', server => 'local_keyring'), pgseal.create_key('open', server => 'mine');
	CREATE TABLE emp (id int, salary encrypted_int4('pay'));
	INSERT INTO emp SELECT i, i * 10 FROM generate_series(1, 10) i;
	CREATE SCHEMA e AUTHORIZATION e;
	GRANT SELECT ON emp TO e});
for my $table ('CREATE TABLE e.h (x encrypted_int4(\'*\')); CREATE INDEX ON e.h USING hash (x)',
	q{CREATE TABLE e.p (x encrypted_int4('*')) PARTITION BY HASH (x); CREATE TABLE e.p1 PARTITION OF e.p FOR VALUES WITH (MODULUS 1, REMAINDER 0)},
	q{CREATE TABLE e.q (x encrypted_int4('no such key')); CREATE INDEX ON e.q USING hash (x)})
{
	my ($name) = $table =~ /(e\.\w)/;

	is(($node->psql('other', $table, extra_params => [ '-U', 'e' ]))[2], '', $table);
	for my $as ('e', 'postgres')
	{
		my (undef, undef, $error) = $node->psql('other', "INSERT INTO $name SELECT salary FROM public.emp",
			$as eq 'e' ? (extra_params => [ '-U', 'e' ]) : ());
		like($error, $denied, "$name: the owner needs the privilege, whoever writes");
	}
	is($node->safe_psql('other', "SELECT count(*) FROM $name"), 0, 'nothing is in it');
	is(($node->psql('other', "INSERT INTO $name SELECT pgseal.seal(1, 'open')", extra_params => [ '-U', 'e' ]))[2], '',
		'but what he may open') if $name ne 'e.q';
}

# Which partition of somebody's table has a guess
$node->safe_psql('postgres', q{
	CREATE TABLE parts (id int, x encrypted_int4('pay')) PARTITION BY HASH (x);
	CREATE TABLE parts0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parts1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	GRANT SELECT ON parts TO e});
for my $sql ('EXPLAIN SELECT id FROM parts WHERE x = 5', "SET pgseal.on_denied = 'null'; EXPLAIN SELECT id FROM parts WHERE x = 5",
	'EXPLAIN SELECT id FROM parts WHERE x IN (5, 6)',
	'PREPARE p AS SELECT id FROM parts WHERE x = $1; SET plan_cache_mode = force_generic_plan; EXPLAIN EXECUTE p(5)')
{
	like($node->as('e', $sql), qr/parts0.*parts1/s, "both: $sql");
}
my $pruned = q{EXPLAIN SELECT id FROM parts WHERE x = 5};
unlike($node->safe_psql('postgres', $pruned), qr/parts0.*parts1/s, 'one, for who may open');

# The privilege counts when the token is made
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER local_keyring TO e');
is($node->as('e', q{CREATE TABLE e.mine (x encrypted_int4('pay')); CREATE INDEX ON e.mine (blind_index(x)); INSERT INTO e.mine VALUES (1)}),
	'', 'with USAGE');
$node->safe_psql('postgres', 'INSERT INTO e.mine VALUES (2); REVOKE USAGE ON FOREIGN SERVER local_keyring FROM e');
like($node->as('e', 'INSERT INTO e.mine VALUES (3)'), $denied, 'after REVOKE');
like(($node->psql('postgres', 'INSERT INTO e.mine VALUES (3)'))[2], $denied, 'whoever writes');

# Statistics
$node->as('e', q{CREATE TABLE e.s (x encrypted_int4('seen')); INSERT INTO e.s SELECT salary FROM emp WHERE id = 1; INSERT INTO e.s VALUES (10); ANALYZE e.s});
is($node->safe_psql('postgres', q{SELECT n_distinct FROM pg_stats WHERE tablename = 's'}), 0, 'ANALYZE does not count');
is($node->safe_psql('postgres', q{SELECT n_distinct FROM pg_stats WHERE tablename = 'emp' AND attname = 'salary'}), -1,
	'but where the owner may open');

# Somebody's index
my $settings = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
for my $sql (q{SELECT id FROM emp WHERE blind_index(salary) < '\x0180'}, 'SELECT blind_index(salary) FROM emp',
	'SELECT blind_index(salary), id FROM emp WHERE blind_index(salary) IS NOT NULL',
	'SELECT id FROM emp ORDER BY blind_index(salary)')
{
	like($node->as('e', "$settings $sql"), $denied, $sql);
	unlike($node->as('e', "$settings EXPLAIN $sql"), qr/emp_tokens/, 'the index is hidden');
}
like($node->safe_psql('postgres', q{EXPLAIN SELECT id FROM emp WHERE salary = 10}), qr/emp_tokens/, 'not from who may');

# Expressions of the user that PostgreSQL evaluates outside of a query
$node->safe_psql('postgres', q{
	CREATE DOMAIN money_enc AS encrypted_int4('dom');
	CREATE TABLE e.u (x money_enc, y bytea); ALTER TABLE e.u OWNER TO e; INSERT INTO e.u VALUES (5)});
like($node->as('e', 'SET pgseal.allow_decryption = on; ALTER TABLE e.u ALTER y TYPE bytea USING blind_index(x)'), $denied,
	'ALTER ... USING, through a domain');
append_to_file($node->basedir . '/row', "5\t\n");
like($node->as('e', "\\copy e.u FROM '" . $node->basedir . "/row' WHERE blind_index(x) > ''"), $denied, 'COPY ... WHERE, through a domain');

# Writers stay free
is($node->as('e', 'INSERT INTO emp VALUES (200, 2000)'), '', 'a writer needs no privilege');
is($node->safe_psql('postgres', 'SELECT id FROM emp WHERE salary = 2000'), 200, 'and what was written is found');
is($node->safe_psql('postgres', q{SELECT pg_get_indexdef('emp_tokens'::regclass)}),
	'CREATE UNIQUE INDEX emp_tokens ON public.emp USING btree ((blind_index(salary))) INCLUDE (id)', 'the definition reads as it was written');
is($node->safe_psql('postgres', 'REINDEX TABLE emp; ALTER TABLE emp ADD y int DEFAULT random(); SELECT id FROM emp WHERE salary = 2000'),
	200, 'an index that was made anew');

$node->stop;
done_testing();
