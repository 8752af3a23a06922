# What a row holds that a view hides must not show in an error.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('leakproof', extra => [ '--locale=C', '--encoding=UTF8' ], conf => 'autovacuum = off');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE ROLE alice LOGIN;
CREATE TABLE secrets (owner text, secret text, number int, sealed encrypted_text);
INSERT INTO secrets VALUES ('alice', 'lower', 8, 'mine'), ('bob', 'BOBS SECRET', 4711, 'his');
CREATE VIEW visible WITH (security_barrier) AS SELECT * FROM secrets WHERE owner = current_user;
GRANT SELECT ON visible TO alice;
CREATE TABLE policed AS SELECT * FROM secrets;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner = current_user);
GRANT SELECT ON policed TO alice;
GRANT USAGE ON FOREIGN SERVER local_keyring TO alice});

for my $relation ('visible', 'policed')
{
	for my $call (
		q{blind_index(sealed, secret)},
		q{blind_index(sealed, secret, 8)},
		q{blind_index(sealed, 'lower', number)},
		q{blind_index(sealed, number)},
		q{blind_index('x'::encrypted_text, secret)},
		q{blind_index('x'::encrypted_int4, number)},
		q{blind_index(secret, secret)},
		q{blind_index(secret, 'default', secret)},
		q{blind_index(secret::encrypted_text, secret)})
	{
		my ($code, $stdout, $stderr) = $node->psql('postgres', "SELECT count(*) FROM $relation WHERE $call IS NULL",
			connstr => $node->connstr('postgres') . ' user=alice');
		unlike($stderr, qr/BOBS|4711|bits of/, "$relation: $call");
	}
}
# One's own mistakes are told
my (undef, undef, $stderr) = $node->psql('postgres', q{SELECT blind_index(sealed, 'lwer') FROM secrets});
like($stderr, qr/unknown normalizer "lwer"/, 'a constant normalizer is named in the error');
(undef, undef, $stderr) = $node->psql('postgres', q{SELECT blind_index(sealed, 500) FROM secrets});
like($stderr, qr/bits of a blind index must be between/, 'and so are constant bits');
# All that is leakproof is on this list
is($node->safe_psql('postgres', q{
SELECT string_agg(DISTINCT p.prosrc, ' ' ORDER BY p.prosrc) FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND p.proleakproof}),
	'pgseal_blind_index pgseal_blind_index_bits pgseal_eq pgseal_ge pgseal_gt pgseal_le pgseal_lt pgseal_ne pgseal_token pgseal_tokens pgseal_tokens_of_array',
	'nothing else is leakproof');

# Comparisons are as PostgreSQL's own of the same operands in plain
is($node->safe_psql('postgres', q{
WITH names AS MATERIALIZED (SELECT oid, regexp_replace(typname, '^encrypted_', '') AS base FROM pg_type)
SELECT count(*) > 400, count(*) FILTER (WHERE ours.proleakproof <> core.proleakproof)
FROM pg_operator o JOIN pg_proc ours ON ours.oid = o.oprcode JOIN names l ON l.oid = o.oprleft JOIN names r ON r.oid = o.oprright,
	pg_operator plain JOIN pg_proc core ON core.oid = plain.oprcode JOIN pg_type pl ON pl.oid = plain.oprleft JOIN pg_type pr ON pr.oid = plain.oprright
WHERE ours.prosrc ~ '^pgseal_(eq|ne|lt|le|gt|ge)$' AND plain.oprname = o.oprname AND pl.typname = l.base AND pr.typname = r.base
	AND plain.oprnamespace = 'pg_catalog'::regnamespace AND core.prosrc NOT LIKE 'pgseal%'}), 't|0', 'comparisons are leakproof where those of the base types are');

# Beside a plain twin: the same conditions are served by an index
my %values = (
	text => q{'v' || i}, bytea => q{convert_to('v' || i, 'UTF8')}, int2 => 'i', int4 => 'i', int8 => 'i', float4 => 'i', float8 => 'i', numeric => 'i',
	date => q{date '2000-01-01' + i}, time => q{time '00:00' + i * interval '1 second'}, timestamp => q{timestamp '2000-01-01' + i * interval '1 day'},
	timestamptz => q{timestamptz '2000-01-01' + i * interval '1 day'}, interval => q{i * interval '1 day'},
	uuid => q{md5(i::text)::uuid}, inet => q{inet '10.0.0.0' + i});
for my $type (sort keys %values)
{
	$node->safe_psql('postgres', <<SQL);
SET client_min_messages = error;
DROP SCHEMA IF EXISTS plain, sealed CASCADE;
CREATE SCHEMA plain;
CREATE SCHEMA sealed;
CREATE TABLE plain.t (id int, owner text, v $type);
CREATE TABLE sealed.t (id int, owner text, v encrypted_$type);
INSERT INTO plain.t SELECT i, CASE i % 10 WHEN 0 THEN 'alice' ELSE 'bob' END, $values{$type} FROM generate_series(1, 3000) i;
INSERT INTO sealed.t SELECT * FROM plain.t;
CREATE INDEX ON plain.t (v);
CREATE INDEX ON sealed.t USING sealed (v);
VACUUM ANALYZE plain.t, sealed.t;
CREATE VIEW plain.w WITH (security_barrier) AS SELECT * FROM plain.t WHERE owner = current_user;
CREATE VIEW sealed.w WITH (security_barrier) AS SELECT * FROM sealed.t WHERE owner = current_user;
ALTER TABLE plain.t ENABLE ROW LEVEL SECURITY;
ALTER TABLE sealed.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON plain.t USING (owner = current_user);
CREATE POLICY own ON sealed.t USING (owner = current_user);
GRANT USAGE ON SCHEMA plain, sealed TO alice;
GRANT SELECT, UPDATE, DELETE ON plain.t, sealed.t TO alice;
GRANT SELECT ON plain.w, sealed.w TO alice;
SQL
	my ($low, $high) = map { my $expr = $values{$type} =~ s/\bi\b/$_/r; $node->safe_psql('postgres', "SELECT ($expr)::$type") } (1500, 1520);
	($low, $high) = ($high, $low) if $low gt $high && $type eq 'uuid';
	my @statements;
	for my $condition ("v = '$low'", "v > '$high'", "v >= '$low' AND v < '$high'", "v BETWEEN '$low' AND '$high'", "v IN ('$low', '$high')", "'$high' <= v",
		"v = '$low'::$type", "v < (SELECT '$low'::$type)")
	{
		push @statements, "SELECT id FROM t WHERE $condition ORDER BY 1", "SELECT id FROM w WHERE $condition ORDER BY 1", "UPDATE t SET id = id WHERE $condition RETURNING id";
	}
	my %outputs;
	for my $schema ('plain', 'sealed')
	{
		my $script = join "\\echo \@\n", map { "EXPLAIN (COSTS OFF) $_;\n$_;\n" } @statements;
		my ($code, $out, $err) = $node->psql('postgres', "SET search_path = $schema, public; SET enable_seqscan = off;\n$script",
			connstr => $node->connstr('postgres') . ' user=alice', on_error_stop => 1);
		die $err if $code;
		$outputs{$schema} = [ split /^\@\n/m, $out ];
	}
	my @differ;
	my ($by_index, $answers) = (0, 0);
	for my $i (0 .. $#statements)
	{
		my ($plain, $sealed) = map { [ $outputs{$_}[$i] =~ /Index Cond: .*\bv\b/ ? 'index' : 'none', join ',', sort grep { /^\d+$/ } split /\n/, $outputs{$_}[$i] ] } ('plain', 'sealed');
		push @differ, "$statements[$i]: @$plain / @$sealed" if "@$plain" ne "@$sealed";
		$by_index++ if $sealed->[0] eq 'index';
		$answers++ if $sealed->[1] ne '';
	}
	is(join("\n", @differ), '', "$type: served as the plain twin");
	ok(($by_index > 0) == ($type ne 'numeric'), "$type: $by_index by the index");
	cmp_ok($answers, '>', 10, "$type: there are answers");
}

# Who may not open the column learns nothing of hidden rows by the error that he gets
$node->safe_psql('postgres', q{
CREATE ROLE mallory LOGIN;
SELECT pgseal.create_key('person ' || i) FROM generate_series(0, 2) i;
CREATE TABLE hidden (id int PRIMARY KEY, owner text, n encrypted_int4, many encrypted_int4[], any_key encrypted_int4('*'));
INSERT INTO hidden SELECT i, 'bob', i, ARRAY[i, i + 1], pgseal.seal(i, 'person ' || i % 3) FROM generate_series(1, 20) i;
CREATE INDEX ON hidden (blind_index(n));
CREATE VIEW barred WITH (security_barrier) AS SELECT * FROM hidden WHERE owner = current_user;
-- Where a join hides rows, what is leakproof is applied to them before it.  In a scan,
-- PostgreSQL puts what costs as much behind the conditions that hide them
CREATE TABLE shared (id int, who name);
INSERT INTO shared SELECT i, 'mallory' FROM generate_series(21, 40) i;
CREATE VIEW joined WITH (security_barrier) AS SELECT h.* FROM hidden h JOIN shared s ON s.id = h.id AND s.who = current_user;
CREATE VIEW related WITH (security_barrier) AS SELECT * FROM hidden h WHERE EXISTS (SELECT FROM shared s WHERE s.id = h.id AND s.who = current_user);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON hidden USING (owner = current_user);
GRANT SELECT ON hidden, barred, joined, related TO mallory, alice;
GRANT SELECT ON shared TO mallory;
GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION mine(encrypted_int4) RETURNS bool LANGUAGE sql AS 'SELECT $1 > 0';
CREATE FUNCTION of_row(hidden) RETURNS bool LANGUAGE sql AS 'SELECT $1.n > 0';
CREATE FUNCTION of_row(barred) RETURNS bool LANGUAGE sql AS 'SELECT $1.n > 0';
CREATE FUNCTION of_row(joined) RETURNS bool LANGUAGE sql AS 'SELECT $1.n > 0';
CREATE FUNCTION of_row(related) RETURNS bool LANGUAGE sql AS 'SELECT $1.n > 0';
});
$node->safe_psql('postgres', "SELECT pgseal.destroy_key('person 1', confirm => 'person 1', force => true)");

sub tells
{
	my ($role, $query, $settings) = @_;
	my ($code, $out, $err) = $node->psql('postgres', ($settings // '') . $query, connstr => $node->connstr('postgres') . " user=$role");
	return $code ? "error $err" : $out;
}

for my $relation ('hidden', 'barred', 'joined', 'related')
{
	for my $query (
		"SELECT id FROM $relation WHERE id = 5 AND n > 0",
		"SELECT id FROM $relation WHERE id = 5 AND 0 <> n",
		"SELECT id FROM $relation WHERE id = 5 AND n = 5",
		"SELECT id FROM $relation WHERE id = 5 AND n IN (4, 5)",
		"SELECT id FROM $relation WHERE id = 5 AND many[1] > 0",
		"SELECT id FROM $relation WHERE id = 5 AND any_key > 0",
		"SELECT id FROM $relation WHERE id = 5 AND blind_index(n) IS NULL",
		"SELECT id FROM $relation WHERE id = 5 AND mine(n)",
		"SELECT id FROM $relation h WHERE id = 5 AND of_row(h)",
		"SELECT id FROM $relation h WHERE id = 5 AND (h).n > 0",
		"SELECT id FROM $relation GROUP BY id, n HAVING id = 5 AND n > 0",
		"SELECT id FROM $relation GROUP BY id, mine(n) HAVING id = 5 AND mine(n)",
		"SELECT id FROM (SELECT id, n AS x FROM $relation) s WHERE id = 5 AND x > 0",
		"SELECT id FROM (SELECT id, n AS x FROM $relation UNION ALL SELECT id, n FROM $relation) s WHERE id = 5 AND x > 0",
		"SELECT a.id FROM $relation a JOIN $relation b ON a.n < b.n WHERE b.id = 5",
		"SELECT a.id FROM $relation a JOIN $relation b USING (n) WHERE b.id = 5",
		"SELECT id FROM $relation a WHERE id = 5 AND EXISTS (SELECT WHERE a.n > 0)",
		"WITH x AS (SELECT * FROM $relation) SELECT id FROM x WHERE id = 5 AND n > 0",
		"MERGE INTO $relation t USING (VALUES (1)) s ON t.id = 5 AND t.n > 0 WHEN MATCHED THEN DO NOTHING",
		"MERGE INTO $relation t USING (VALUES (1)) s ON t.id = 5 WHEN MATCHED AND t.n > 0 THEN DO NOTHING",
		"MERGE INTO shared t USING $relation s ON s.id = 5 AND s.n > 0 WHEN MATCHED THEN DO NOTHING")
	{
		for my $settings ('', "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off;")
		{
			is(tells('mallory', $query, $settings), tells('mallory', $query =~ s/= 5\b/= 77/r, $settings), "a hidden row is as none: $query");
		}
	}
}
is(tells('alice', "SELECT id FROM $_ WHERE id = 10 AND any_key > 0"), '', "$_: one whose key was destroyed, too") for 'hidden', 'barred', 'joined', 'related';

# A plan is for the role that it was made for
is(tells('postgres', qq{GRANT mallory TO alice; PREPARE q AS SELECT id FROM $_ WHERE id = 5 AND n > 0;
SET ROLE alice; EXECUTE q; EXECUTE q; SET ROLE mallory; EXECUTE q}), '', "$_: a prepared statement, when the role changes") for 'barred', 'joined';

# A character that the database's encoding lacks isn't shown
$node->safe_psql('postgres', $_) for 'CREATE DATABASE wide', q{CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0};
$node->safe_psql('wide', q{CREATE EXTENSION pgseal; CREATE TABLE moved (id int, v encrypted_text, d encrypted_jsonb);
SET client_encoding = 'UTF8'; INSERT INTO moved VALUES (1, U&'5 \20AC', to_jsonb(U&'5 \20AC'::text)), (2, U&'5 \00A3', to_jsonb(U&'5 \00A3'::text))});
my $dump = "$PostgreSQL::Test::Utils::tmp_check/moved.sql";
PostgreSQL::Test::Utils::system_or_bail('pg_dump', '-f', $dump, $node->connstr('wide'));
PostgreSQL::Test::Utils::system_or_bail('psql', '-Xqf', $dump, $node->connstr('narrow'));
is($node->safe_psql('narrow', q{SELECT encode(convert_to(v::text, 'UTF8'), 'hex'), encode(convert_to(d::jsonb #>> '{}', 'UTF8'), 'hex') FROM moved WHERE id = 2}),
	'3520c2a3|3520c2a3', 'characters that it has');
for my $query (q{v > 'a'}, q{v::text = 'a'}, q{d::jsonb #>> '{}' = 'a'})
{
	my ($code, $out, $err) = $node->psql('narrow', "SELECT id FROM moved WHERE $query");
	like($err, qr/has a character that encoding "LATIN1" lacks/, "$query: an error");
	unlike($err, qr/0x|20ac|\xe2/i, "$query: without it");
}

done_testing();
