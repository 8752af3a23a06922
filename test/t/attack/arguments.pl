# Every function of the extension, called by a superuser with NULLs, extremes,
# wrong lengths and wrong nesting: it may refuse, but it must not crash, and what
# it returns must be well-formed.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('arguments', conf => q{
autovacuum = off
restart_after_crash = off
statement_timeout = '300s'
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE sample (id int, v encrypted_text);
INSERT INTO sample VALUES (1, 'x');
});

# The text of values for an argument of each type
$node->safe_psql('postgres', <<'EOSQL');
CREATE FUNCTION candidates(type oid) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	name text := format_type(type, NULL);
	element oid := (SELECT typelem FROM pg_type WHERE oid = type AND typcategory = 'A');
	base text := regexp_replace(name, '^encrypted_', '');
	result text[] := ARRAY['NULL::' || name];
BEGIN
	CASE
	WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype, 'float4'::regtype,
			'float8'::regtype, 'numeric'::regtype) THEN
		result := result || ARRAY['0', '1', '-1', '-20', '121', '1000000'];
		IF type NOT IN ('int2'::regtype, 'oid'::regtype) THEN
			result := result || ARRAY['2147483647', '-2147483648'];
		END IF;
		RETURN (SELECT array_agg(CASE WHEN r LIKE 'NULL%' THEN r ELSE format('(%L)::%s', r, name) END)
			FROM unnest(result) r WHERE type <> 'oid'::regtype OR r NOT LIKE '-%');
	WHEN type IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype, 'cstring'::regtype) THEN
		RETURN result || ARRAY[$q$''::$q$ || name, $q$'lower,prefix:3'::$q$ || name,
			format('%L::%s', repeat('x', 3000), name), $q$'default'::$q$ || name,
			$q$'pgseal:1:AQEA'::$q$ || name];
	WHEN type = 'cstring[]'::regtype THEN
		RETURN result || ARRAY[$q$'{}'::cstring[]$q$, $q$'{NULL}'::cstring[]$q$, $q$'{a,b}'::cstring[]$q$,
			$q$'{#00000001}'::cstring[]$q$, $q$'{{a},{b}}'::cstring[]$q$];
	WHEN type = 'bool'::regtype THEN
		RETURN result || ARRAY['true', 'false'];
	WHEN type = 'record'::regtype THEN
		RETURN result || ARRAY['ROW()', 'ROW(NULL)', '(SELECT s FROM sample s)',
			'ROW(1, ROW(NULL::sample, ARRAY[NULL::sample]))'];
	WHEN type IN ('anyarray'::regtype, 'anycompatiblearray'::regtype) THEN
		RETURN ARRAY['NULL::int4[]', $q$'{}'::int4[]$q$, '(SELECT array_agg(s) FROM sample s)', 'ARRAY[NULL::sample]'];
	WHEN type IN ('anyelement'::regtype, 'anycompatible'::regtype, '"any"'::regtype) THEN
		RETURN ARRAY['NULL::int4', '(SELECT s FROM sample s)'];
	WHEN name LIKE 'encrypted\_%' AND element IS NULL THEN
		RETURN result || (SELECT array_agg(format('(%s)::%s', c, name)) FROM unnest((candidates(base::regtype))[1:3]) c);
	WHEN element IS NOT NULL THEN
		RETURN result || ARRAY[format('%L::%s', '{}', name), format('%L::%s', '{NULL}', name),
			format('%L::%s', '{{NULL,NULL}}', name)] ||
			format('ARRAY[%s, %s]', (candidates(element))[2], (candidates(element))[1]);
	ELSE
		RETURN result || (SELECT array_agg(format('%L::%s', v, name)) FROM (VALUES
			('bytea', '\x'), ('bytea', '\x0102'), ('date', 'infinity'), ('date', '2000-01-01'),
			('timestamp without time zone', '-infinity'), ('timestamp with time zone', 'infinity'),
			('time without time zone', '24:00'), ('time with time zone', '24:00+15'), ('interval', '1 year'), ('interval', '-1 day'),
			('uuid', '00000000-0000-0000-0000-000000000000'), ('inet', '::/0'), ('cidr', '::/0'), ('json', '[]'),
			('jsonb', '{"a": [null]}'), ('regclass', 'sample'), ('regclass', '0'), ('"char"', ''),
			('point', '(0,0)'), ('bit', '1'), ('bit varying', ''), ('money', '1'), ('xml', '<a/>')) x(t, v) WHERE t = name);
	END CASE;
END $$;

CREATE TABLE internal_errors (call text, message text);

-- Calls a function in all ways, or in as many as are given, at random
CREATE FUNCTION call_it(function oid, at_most int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	p pg_proc := (SELECT p FROM pg_proc p WHERE oid = function);
	lists text[] := ARRAY[''];
	called int := 0;
	list text;
	result text;
BEGIN
	FOR i IN 0 .. p.pronargs - 1 LOOP
		lists := (SELECT array_agg(CASE WHEN i = 0 THEN c ELSE l || ', ' || c END)
			FROM (SELECT l, c FROM unnest(lists) l, unnest(candidates(p.proargtypes[i])) c
				ORDER BY i > 0 AND random() < 0.5 LIMIT at_most * 4) x);
	END LOOP;
	FOR list IN SELECT l FROM (SELECT l FROM unnest(lists) l ORDER BY hashtext(l) LIMIT at_most) x LOOP
		called := called + 1;
		BEGIN
			IF p.prokind = 'p' THEN
				EXECUTE format('CALL %I.%I(%s)', p.pronamespace::regnamespace::text, p.proname, list);
			ELSE
				EXECUTE format('SELECT pg_column_size(x)::text || md5(x::text) FROM %s.%I(%s) x',
					p.pronamespace::regnamespace, p.proname, list) INTO result;
			END IF;
		EXCEPTION
			WHEN internal_error THEN
				INSERT INTO internal_errors VALUES (format('%s(%s)', p.proname, left(list, 300)), SQLERRM);
			WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	RETURN called;
END $$;
EOSQL

my @functions = split /\n/, $node->safe_psql('postgres', q{
SELECT p.oid, p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgseal'
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
	AND p.prokind IN ('f', 'p') AND NOT 'internal'::regtype = ANY (p.proargtypes)
	AND p.prorettype <> 'trigger'::regtype ORDER BY p.proname, p.oid});
cmp_ok(scalar @functions, '>', 500, scalar(@functions) . ' functions are called');

# The inputs that were found
my ($stdout, $stderr);
my %found = (
	q{pgseal_internal.token('x'::text, 1, '', 4096)} => qr/bits of a blind index must be between/,
	q{pgseal_internal.token('x'::text, 1, '', 1000000)} => qr/bits of a blind index must be between/,
	q{pgseal_internal.token('x'::text, 1, '', 2147483647)} => qr/bits of a blind index must be between/,
	q{pgseal_internal.token('x'::text, 1, '', -20)} => qr/bits of a blind index must be between/,
	q{pgseal_internal.tokens('{x}'::text[], 1, '', 4096)} => qr/bits of a blind index must be between/);
for my $call (sort keys %found)
{
	(undef, $stdout, $stderr) = $node->psql('postgres', "SELECT $call");
	like($stderr, $found{$call}, $call);
}
my ($transition) = map { /\|(.*)\(bigint\[\],encrypted_int4\)/ ? $1 : () } @functions;
(undef, $stdout, $stderr) = $node->psql('postgres', "SELECT $transition(NULL::int8[], '1'::encrypted_int4)");
like($stderr, qr/non-aggregate context/, "$transition()");

# What isn't there, or is something else, is told apart, by its name
$node->safe_psql('postgres', q{
	CREATE VIEW a_view AS SELECT id FROM sample;
	CREATE SEQUENCE a_sequence;
	CREATE INDEX an_index ON sample (id);
	CREATE TABLE parts (id int, v encrypted_text) PARTITION BY RANGE (id)});
my @wrong = (
	[ "SELECT pgseal_internal.verify_row(0, NULL, 1)", '42P01: there is no table with OID 0' ],
	[ "SELECT pgseal.sign_table(0)", '42P01: there is no table with OID 0' ],
	[ "SELECT pgseal.unsign_table(0, '')", '42P01: there is no table with OID 0' ],
	[ "SELECT pgseal.verify_table(0)", '42P01: there is no table with OID 0' ],
	[ "SELECT pgseal.tampered_rows(0)", '42P01: there is no table with OID 0' ],
	[ "CALL pgseal.encrypt_column(0, 'v')", '42P01: relation with OID 0 does not exist' ],
	[ "CALL pgseal.cancel_conversion(NULL)", '22004: table must not be null' ],
	[ "SELECT pgseal.verify_index(0)", '42704: there is no index with OID 0' ],
	[ "SELECT pgseal.verify_index('sample')", '42809: "sample" is not an index' ],
	[ "SELECT pgseal.verify_index('an_index')", '42809: "an_index" is not a sealed index' ],
	[ "SELECT pgseal.destroy_version('public.sample', 7, 'public.sample')", '42704: key "public.sample" has no version 7 that could be destroyed' ],
	(map { [ "CALL pgseal.encrypt_column('$_', 'id')", qq{42809: "$_" is not a table} ], [ "SELECT pgseal.sign_table('$_')", qq{42809: "$_" is not a table} ] }
		qw(a_view a_sequence an_index)),
	[ "CALL pgseal.encrypt_column('parts', 'id')", '0A000: cannot encrypt column "id" of table "parts" while the table is in use' ]);
$node->fails_like('postgres', $_->[0], qr/\Q$_->[1]\E$/m, "$_->[0]: $_->[1]") for @wrong;

# One session for all: it must live to the end.  Last, as keys are destroyed, too.
my $calls = 0;
my $script = join '', map { /^(\d+)/ ? "SELECT call_it($1, 24);\n" : '' } @functions;
my $code = $node->psql('postgres', "SET pgseal.kms_timeout = 100;\n" . $script, stdout => \$stdout, stderr => \$stderr,
	on_error_stop => 0);
$calls += $_ for split /\n/, $stdout;
is($code, 0, "the session lives after $calls calls");
my @answers = split /\n/, $stdout;
is($node->safe_psql('postgres', q{SELECT DISTINCT ON (message, split_part(call, '(', 1)) message || ': ' || call FROM internal_errors WHERE call !~ '^table_to_xml'	-- PostgreSQL's own
	ORDER BY message, split_part(call, '(', 1)}), '',
	'and no error is an internal one');
ok(@answers >= @functions, 'every function was called') or diag("the last was $functions[$#answers]");
is($node->psql('postgres', 'SELECT 1'), 0, 'and so does the server');

# Who isn't a superuser calls none of what only PostgreSQL calls
is($node->safe_psql('postgres', q{
CREATE ROLE nobody;
SELECT string_agg(p.oid::regprocedure::text, ' ') FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND has_function_privilege('nobody', p.oid, 'EXECUTE')
	AND (p.prosrc IN ('pgseal_transition', 'pgseal_in', 'pgseal_recv') OR p.prorettype = 'trigger'::regtype AND p.proname NOT IN ('sign_row', 'record_row')	-- owners restore their triggers
		OR 'internal'::regtype = ANY (p.proargtypes) AND p.pronamespace = 'pgseal_internal'::regnamespace AND p.proname <> 'column_default');	-- in statements of whoever writes
}), '', 'EXECUTE on functions behind types, aggregates and triggers is nobody\'s');
is($node->safe_psql('postgres', q{SELECT has_schema_privilege('nobody', 'pgseal_internal', 'USAGE')}), 'f',
	'nor can the schema of the others be used');


# Bodies that are strings are parsed as whoever calls them, with his search_path, and
# pg_temp comes first for types: every name in them says where it is
my $bodies = $node->safe_psql('postgres', q{
SELECT p.oid::regprocedure || E'\t' || regexp_replace(p.prosrc, '\s+', ' ', 'g')
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL
	AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')});
for (split /\n/, $bodies)
{
	my ($function, $body) = split /\t/;
	my $rest = $body =~ s/OPERATOR\(pg_catalog\.[^)]+\)//gr =~ s/\b(?:pg_catalog|pgseal_internal)\.\w+//gr
	  =~ s/::(?=\s|[,)\[]|$)//gr =~ s/\b(?:SELECT|CASE|WHEN|THEN|ELSE|END|NULL|IS|NOT|AND|OR)\b//gr;

	unlike($rest, qr{::|[a-z]\w*|[-+*/<>=~!@#%^&|`?]}i, "$function names what it means: $body");
}

done_testing();
