# Attack: functions, operators, types and tables of a user's, with the names of
# PostgreSQL's own and found before them by the session's search_path, in a schema and in
# pg_temp.  None is called by what pgseal's functions, views and its worker do.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('search_path', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_delay = 0
autovacuum = off
max_locks_per_transaction = 1024
});

# Whatever pg_catalog has that can be written in PL/pgSQL, in a schema of e's
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE ROLE e LOGIN;
CREATE SCHEMA es AUTHORIZATION e;
SET ROLE e;
CREATE FUNCTION es.caught(what text) RETURNS void LANGUAGE plpgsql AS $$BEGIN
	RAISE EXCEPTION 'CAUGHT % as %', what, current_user; END$$;
CREATE FUNCTION es.make() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	f record;
	o record;
	functions int := 0;
	operators int := 0;
BEGIN
	FOR f IN SELECT p.oid, p.proname, p.prorettype, p.proretset, (SELECT string_agg(t::regtype::text, ', ' ORDER BY n)
				FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)) AS arguments
		FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.oid < 16384
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION es.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L', f.proname, f.arguments,
				CASE WHEN f.proretset THEN 'SETOF' END, f.prorettype::regtype,
				format('BEGIN PERFORM es.caught(%L); END', f.oid::regprocedure));
			functions := functions + 1;
		EXCEPTION WHEN OTHERS THEN NULL;	-- of a pseudo-type
		END;
	END LOOP;
	FOR o IN SELECT * FROM pg_operator WHERE oid < 16384
	LOOP
		BEGIN
			EXECUTE format('CREATE OPERATOR es.%s (%s RIGHTARG = %s, FUNCTION = es.%I)', o.oprname,
				CASE WHEN o.oprleft <> 0 THEN format('LEFTARG = %s,', o.oprleft::regtype) END, o.oprright::regtype,
				(SELECT proname FROM pg_proc WHERE oid = o.oprcode));
			operators := operators + 1;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	RETURN functions > 1500 AND operators > 500;
END$$;
SQL
is($node->safe_psql('postgres', 'SET ROLE e; SELECT es.make()'), 'true', 'there are functions and operators');

# And tables, views and types of the session's own
my $relations = $node->safe_psql('postgres', q{SELECT string_agg(format('CREATE TEMP VIEW %I AS SELECT * FROM pg_catalog.%1$I WHERE pg_catalog.set_config(''es.caught'', %1$L, false) IS NULL', relname), '; ')
	FROM pg_class c WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND atttypid IN ('anyarray'::regtype, 'pg_statistic[]'::regtype))});
my $hostile = "$relations; SET search_path = pg_temp, es, pg_catalog;";

sub attack
{
	my ($sql) = @_;
	my (undef, $out, $err) = $node->psql('postgres', "$hostile $sql; SELECT 'end', pg_catalog.current_setting('es.caught', true)");

	return ($out, $err);
}

# It works
like((attack('SELECT 1 = 1'))[1], qr/CAUGHT int4eq/, 'an operator is caught that is not qualified');
like((attack(q{SELECT count(*) FROM pg_roles}))[0], qr/^end\|pg_/m, 'and a view');

$node->safe_psql('postgres', q{
CREATE TABLE t (id int PRIMARY KEY, v encrypted_text, n encrypted_int4('pay'), d encrypted_jsonb, p text);
INSERT INTO t SELECT i, 'a' || i, i, '{"a": 1}', 'plain' FROM generate_series(1, 100) i;
CREATE INDEX ON t (blind_index(v)); CREATE INDEX ON t USING sealed (n); CREATE INDEX ON t USING hash (n);
CREATE TABLE s (id int PRIMARY KEY, v encrypted_text); SELECT pgseal.sign_table('s'); INSERT INTO s VALUES (1, 'x');
SELECT pgseal.create_key('people'), pgseal.create_key('person', parent => 'people'), pgseal.create_key('gone')});

for my $sql (
	(map { "SELECT * FROM pgseal.$_" } split / /, $node->safe_psql('postgres',
		q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'pgseal'::regnamespace AND relkind IN ('r', 'v')})),
	'SELECT * FROM pgseal.check()',
	q{SELECT * FROM pgseal.verify_table('public.t')},
	q{SELECT pgseal.create_key('new', rotate_every => '1 year')},
	q{SELECT pgseal.alter_key('new', rotate_every => '2 years')},
	q{SELECT pgseal.create_key('child', parent => 'people')},
	q{SELECT pgseal.rotate_key('pay')},
	q{SELECT pgseal.rewrap()},
	q{SELECT pgseal.destroy_key('gone', 'gone')},
	q{SELECT pgseal.move_key('people', 'local_keyring')},
	q{SELECT pgseal.rotate_index_key('public.t'); REINDEX TABLE public.t; SELECT pgseal.retire_index_key('public.t')},
	q{CALL pgseal.encrypt_column('public.t', 'p')},
	q{CALL pgseal.decrypt_column('public.t', 'p')},
	q{SELECT (pgseal.inspect(v)).key, pgseal.try_open(v) FROM public.t LIMIT 1},
	q{SELECT pgseal.seal('x'::text, 'pay')},
	q{SELECT id, v, n, d FROM public.t},
	q{INSERT INTO public.t VALUES (0, 'x', 5, '{}'), (-1, 'y', NULL, NULL) RETURNING v},
	q{UPDATE public.t SET v = 'other' RETURNING v},
	q{INSERT INTO public.s VALUES (2, 'y'); SELECT * FROM public.s; UPDATE public.s SET v = 'z'},
	q{CREATE TABLE public.made (id int, v encrypted_text, PRIMARY KEY (id)); CREATE INDEX made_v ON public.made USING sealed (v)},
	q{ALTER TABLE public.made ADD w encrypted_int4, ALTER v TYPE encrypted_text('pay')},
	q{VACUUM ANALYZE public.t},
	q{REINDEX TABLE public.t},
	q{DROP INDEX public.made_v; SET pgseal.allow_decryption = on; ALTER TABLE public.made ALTER v TYPE text},
	q{DROP TABLE public.made})
{
	my ($out, $err) = attack($sql);

	unlike($err, qr/CAUGHT/, $sql);
	like($out, qr/^end\|$/m, 'to its end, by no view') or diag($err);
}

# The worker, whose search_path is that of its database
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET search_path = es, pg_catalog});
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('pay')});
ok($node->poll_query_until('postgres', q{SELECT pg_catalog.bool_and((pgseal.inspect(n)).current) FROM public.t}),
	'the worker does its work');
unlike(slurp_file($node->logfile) =~ s/RAISE EXCEPTION 'CAUGHT//r, qr/CAUGHT (?!int4eq)/, 'and catches nothing');
$node->stop;
done_testing();
