# Installing pgseal changes nothing for plain columns: what PostgreSQL's parser
# makes of an operator or a function with plain arguments, one of them at least
# a literal or an untyped parameter, is the same before CREATE EXTENSION and after
# it.  (With typed arguments alone nothing can change, as no plain type becomes an
# encrypted one by itself; and only names that pgseal adds to can.)

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('node');
$node->query('postgres', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE added AS
		SELECT DISTINCT 'operator' AS kind, oprname AS name FROM pg_operator WHERE oid >= 16384
		UNION SELECT DISTINCT 'function', proname FROM pg_proc p WHERE oid >= 16384 AND pronamespace = 'pg_catalog'::regnamespace
			AND EXISTS (SELECT FROM pg_proc b WHERE b.proname = p.proname AND b.oid < 16384);
	DROP EXTENSION pgseal;
	CREATE EXTENSION pgseal_test;

	-- Operators: each name with each type and an unknown one
	CREATE TABLE types AS SELECT oid FROM pg_type WHERE oid < 16384 AND typtype IN ('b', 'r', 'm') AND typisdefined
		AND (typcategory <> 'A' OR typname IN ('_int2', '_int4', '_int8', '_text', '_varchar', '_name', '_numeric', '_date', '_char'));
	CREATE TABLE uses AS
	SELECT kind, name, args FROM added, types,
		LATERAL (VALUES (ARRAY[types.oid, 'unknown'::regtype]), (ARRAY['unknown'::regtype, types.oid]),
			(ARRAY['unknown'::regtype, 'unknown'::regtype]), (ARRAY[0::oid, 'unknown'::regtype])) v (args)
	WHERE kind = 'operator'
		AND (args[1] <> 0 OR EXISTS (SELECT FROM pg_operator WHERE oprname = added.name AND oprleft = 0 AND oid < 16384));

	-- Functions: each signature, each argument of the declared type, unknown, or
	-- of a type that becomes the declared one by itself
	CREATE TABLE variants AS
	SELECT oid AS declared, oid AS given FROM pg_type WHERE oid < 16384
	UNION SELECT oid, 'unknown'::regtype FROM pg_type WHERE oid < 16384
	UNION SELECT casttarget, castsource FROM pg_cast WHERE castcontext = 'i' AND oid < 16384
	UNION SELECT 'anyrange'::regtype, oid FROM pg_type WHERE typtype = 'r' AND oid < 16384
	UNION SELECT 'anymultirange'::regtype, oid FROM pg_type WHERE typtype = 'm' AND oid < 16384
	UNION SELECT p, types.oid FROM unnest(ARRAY['anyelement', 'anycompatible', 'anynonarray', '"any"']::regtype[]) p, types;
	CREATE VIEW candidates AS SELECT name, proargtypes AS a, pronargs AS num
		FROM pg_proc p JOIN added ON kind = 'function' AND name = proname WHERE p.oid < 16384;
	INSERT INTO uses
	SELECT 'function', name, ARRAY[a.given] FROM candidates c JOIN variants a ON a.declared = c.a[0] WHERE num = 1
	UNION SELECT 'function', name, ARRAY[a.given, b.given] FROM candidates c
		JOIN variants a ON a.declared = c.a[0] JOIN variants b ON b.declared = c.a[1] WHERE num = 2
	UNION SELECT 'function', name, ARRAY[a.given, b.given, c3.given] FROM candidates c
		JOIN variants a ON a.declared = c.a[0] JOIN variants b ON b.declared = c.a[1] JOIN variants c3 ON c3.declared = c.a[2] WHERE num = 3;
	DELETE FROM uses WHERE 'unknown'::regtype <> ALL (args);

	CREATE FUNCTION resolved(kind text, name text, args oid[]) RETURNS int8 LANGUAGE SQL AS
		$$ SELECT CASE kind WHEN 'operator' THEN pgseal_test.resolve_operator(name, args[1], args[2])::int8
			ELSE pgseal_test.resolve_function(name, args) END $$;
	CREATE TABLE before AS SELECT u.*, resolved(kind, name::text, args) AS was FROM uses u;
	CREATE EXTENSION pgseal;
EOSQL
cmp_ok($node->query('postgres', "SELECT count(*) FROM before WHERE kind = 'operator' AND was > 0"), '>', 1000, 'operators are looked at');
cmp_ok($node->query('postgres', "SELECT count(*) FROM before WHERE kind = 'function' AND was > 0"), '>', 300, 'functions are looked at');
is($node->query('postgres', "SELECT kind, name, args::regtype[], was, resolved(kind, name::text, args) FROM before
	WHERE resolved(kind, name::text, args) <> was ORDER BY 1, 2, 3"), '', 'all resolve as before');

# As statements
for ([ q{'[1,5)'::int4range @> '[2,3)'}, 't' ], [ q{'{[2,3)}' <@ '{[1,5)}'::int4multirange}, 't' ],
	[ q{(SELECT count(*) FROM generate_series(1, 3::bigint, '1'))}, '3' ], [ q{get_bit(B'101', '0')}, '1' ],
	[ q{set_bit(B'101', '0', 0)}, '001' ], [ q{oid('7')}, '7' ])
{
	my ($expression, $value) = @$_;
	is($node->query('postgres', "SELECT $expression"), $value, $expression);
}

# The input that COPY could not read is shown, also beside types of users
$node->query('postgres', "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (m mood, n int); CREATE DOMAIN small AS int CHECK (VALUE < 5);
	CREATE TABLE smalls (s small)");
$node->fails_like('postgres', "COPY moods FROM STDIN;\nhappy\t1\n\\.\n", qr/COPY moods, line 1, column m: "happy"/, 'COPY of an enum');
$node->fails_like('postgres', "COPY smalls FROM STDIN;\n7\n\\.\n", qr/COPY smalls, line 1, column s: "7"/, 'COPY of a domain');
$node->query('postgres', 'CREATE TABLE sealed_moods (m mood, v encrypted_int4[])');
$node->fails_like('postgres', "COPY sealed_moods FROM STDIN;\nsad\t{1,x}\n\\.\n", qr/invalid input for type encrypted_int4(?!.*1,x)/s, 'COPY of encrypted values');

# ALTER TABLE takes the lock that it takes, and no weaker one before it: two that have that
# would wait for each other
for my $alter ([ 'ADD n int' => 'AccessExclusiveLock' ], [ 'ALTER s SET STATISTICS 10' => 'ShareUpdateExclusiveLock' ])
{
	is($node->query('postgres', "BEGIN; ALTER TABLE smalls $alter->[0];
		SELECT string_agg(mode, ' ') FROM pg_locks WHERE relation = 'smalls'::regclass AND pid = pg_backend_pid()"),
		$alter->[1], "lock of ALTER TABLE $alter->[0]");
}

# And an encrypted element is still in a range or not, by an index on the range, too
$node->query('postgres', <<'EOSQL');
	CREATE TABLE e (n encrypted_int4, d encrypted_date);
	INSERT INTO e VALUES (4, '2024-01-31');
	CREATE TABLE r AS SELECT int4range(i, i + 2) AS r FROM generate_series(1, 1000) i;
	CREATE INDEX ON r USING gist (r);
	ANALYZE r;
EOSQL
is($node->query('postgres', q{SELECT n <@ '[1,5)'::int4range, '{[1,3)}'::int4multirange @> n, daterange('2024-01-01', '2024-02-01') @> d FROM e}),
	't|f|t', 'encrypted elements of ranges');
is($node->query('postgres', 'SELECT count(*) FROM e JOIN r ON r @> n'), '2', 'a join with ranges');
like($node->query('postgres', 'SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT count(*) FROM e JOIN r ON r @> n'),
	qr/Index (Only )?Scan.*r_r_idx/, 'by the index');
$node->stop;
done_testing();
