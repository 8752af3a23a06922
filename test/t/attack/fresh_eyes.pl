# Attack: a role that may read and write a table but has no USAGE on its key's server
# tries what it can think of, in queries and their plans
# (test/lib/GuessingNode.pm).

use strict;
use warnings;

use GuessingNode;
use Test::More;

my $node = guessing_node('fresh_eyes');
my @statements = (
	# queries
	'SELECT id FROM emp WHERE salary = GUESS', 'SELECT id FROM emp WHERE salary IN (GUESS, 7)', 'SELECT id FROM emp WHERE salary BETWEEN GUESS AND GUESS',
	'SELECT count(*) FROM emp JOIN guess ON emp.salary = guess.x', 'SELECT count(*) FROM emp JOIN guess ON emp.salary = guess.y',
	'SELECT count(*) FROM (SELECT salary FROM emp UNION SELECT y FROM guess) s', 'SELECT count(*) FROM (SELECT salary FROM emp INTERSECT SELECT y FROM guess) s',
	'SELECT count(*) FROM (SELECT salary FROM emp EXCEPT ALL SELECT y FROM guess) s', 'SELECT count(DISTINCT v) FROM (SELECT salary AS v FROM emp UNION ALL SELECT y FROM guess) s',
	'SELECT id FROM emp NATURAL JOIN (SELECT y AS salary FROM guess) s', 'SELECT rank() OVER (ORDER BY v) FROM (SELECT salary AS v FROM emp UNION ALL SELECT y FROM guess) s',
	'SELECT max(salary), min(name) FROM emp', 'SELECT dept, max(salary) FROM emp GROUP BY dept ORDER BY 1', 'SELECT mode() WITHIN GROUP (ORDER BY v) FROM (SELECT salary AS v FROM emp UNION ALL SELECT y FROM guess) s',
	'SELECT greatest(salary, (SELECT y FROM guess)) FROM emp WHERE id = 50', 'SELECT nullif(salary, (SELECT y FROM guess)) IS NULL FROM emp WHERE id = 50',
	'SELECT salary IS DISTINCT FROM (SELECT y FROM guess) FROM emp WHERE id = 50', 'SELECT ROW(salary) = ROW((SELECT y FROM guess)) FROM emp WHERE id = 50',
	'SELECT ROW(salary) *= ROW((SELECT y FROM guess)) FROM emp WHERE id = 50', 'SELECT ARRAY[salary] = ARRAY[(SELECT y FROM guess)] FROM emp WHERE id = 50',
	'SELECT array_position(array_agg(salary), (SELECT y FROM guess)) FROM emp', 'SELECT array_remove(array_agg(salary), (SELECT y FROM guess)) <> array_agg(salary) FROM emp',
	'SELECT array_agg(salary) @> ARRAY[(SELECT y FROM guess)] FROM emp', 'SELECT CASE salary WHEN GUESS THEN 1 END FROM emp WHERE id = 50',
	'SELECT width_bucket((SELECT y FROM guess), array_agg(salary)) FROM emp WHERE id < 9', 'SELECT salary::text, salary::varchar, name::name FROM emp WHERE id = 50',
	'SELECT octet_length(name::bytea) FROM emp WHERE id = 50', 'SELECT length(name) FROM emp WHERE id = 50', 'SELECT name ~ \'^SEC\' FROM emp WHERE id = 50', 'SELECT name LIKE \'SECRET%\' FROM emp',
	'SELECT doc ->> \'k\' FROM emp WHERE id = 50', 'SELECT id FROM emp WHERE doc @> \'{"k": "SECRET"}\'', 'SELECT jsonb_pretty(doc) FROM emp WHERE id = 50', 'SELECT to_tsvector(name) FROM emp WHERE id = 50',
	'SELECT row_to_json(emp) FROM emp WHERE id = 50', 'SELECT to_jsonb(emp) -> \'salary\' FROM emp WHERE id = 50', 'SELECT hstore(emp) -> \'name\' FROM emp WHERE id = 50', 'SELECT format(\'%s\', name) FROM emp WHERE id = 50',
	'SELECT xmlforest(name) FROM emp WHERE id = 50', 'SELECT query_to_xml(\'SELECT name FROM emp WHERE id = 50\', true, true, \'\')', 'SELECT json_populate_record(NULL::emp, to_json(emp)) FROM emp WHERE id = 50',
	'SELECT * FROM opened WHERE id = 50', 'SELECT id FROM opened WHERE s = GUESS', 'SELECT sums()', 'SELECT count(*) FROM mat WHERE salary = GUESS',
	# its own functions
	'SELECT pgseal.try_open(salary), pgseal.try_open(name) FROM emp WHERE id = 50', 'SELECT blind_index(salary) FROM emp WHERE id = 50', 'SELECT blind_index(GUESS, \'pay\')',
	'SELECT blind_index((SELECT y FROM guess))', 'SELECT pgseal_internal.open(salary) FROM emp WHERE id = 50', 'SELECT pgseal_internal.open_result(name) FROM emp WHERE id = 50', 'SELECT pgseal_internal.open_row(emp) FROM emp WHERE id = 50',
	'SELECT pgseal_internal.open_rows(array_agg(emp)) FROM emp WHERE id = 50', 'SELECT pgseal_internal.cmp(salary, GUESS) FROM emp WHERE id = 50', 'SELECT pgseal_internal.recheck(salary, GUESS) FROM emp WHERE id = 50',
	'SELECT pgseal_internal.late(salary)::int FROM emp WHERE id = 50', 'SELECT pgseal_internal.sealed_max(v)::text IS NULL FROM (SELECT salary AS v FROM emp WHERE id = 50 UNION ALL SELECT y FROM guess) s',
	'SELECT pgseal_internal.sealed_larger(salary, salary) FROM emp WHERE id = 50', 'SELECT pgseal_internal.hash(salary) FROM emp WHERE id = 50', 'SELECT pgseal_internal.token(GUESS, 1, \'\', 8)', 'SELECT bytes FROM emp, pgseal.inspect(salary) WHERE id = 50',
	'SELECT * FROM pgseal.verify_table(\'emp\')', 'SELECT pgseal.rotate_key(\'pay\')', 'SELECT pgseal.move_key(\'pay\', \'mine\')', 'SELECT pgseal.create_key(\'kid\', parent => \'pay\')', 'SELECT pgseal.sign_table(\'emp\')',
	'SELECT pgseal_internal.row_signature_eq(a.signature, a.signature), a.signature::text = \'x\' FROM kept a', 'UPDATE kept SET salary = GUESS WHERE id = 50 AND signature IS NOT NULL',
	# plans
	'EXPLAIN SELECT id FROM emp WHERE salary = GUESS', 'EXPLAIN (VERBOSE, SETTINGS) SELECT id FROM emp WHERE salary < GUESS', 'EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT id FROM emp WHERE salary = GUESS', 'EXPLAIN SELECT * FROM by_hash WHERE salary = GUESS',
	'SET enable_seqscan = off; EXPLAIN SELECT id FROM emp WHERE salary BETWEEN 0 AND GUESS', 'SET enable_seqscan = off; SELECT id FROM emp ORDER BY salary LIMIT 3', 'SET enable_seqscan = off; SELECT id FROM emp WHERE salary > GUESS ORDER BY salary LIMIT 1', 'SET enable_seqscan = off; SELECT id FROM emp WHERE name = \'SECRET5\'',
	'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT count(*) FROM emp WHERE salary = GUESS', 'SET debug_parallel_query = on', 'SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = \'emp\' AND attname IN (\'salary\', \'name\', \'doc\')',
	'SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = \'emp\'::regclass', 'SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = \'emp\'::regclass',
	# cursors, prepared statements, roles
	'BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT salary FROM emp WHERE id = 50; COMMIT; FETCH c', 'BEGIN; DECLARE c BINARY CURSOR FOR SELECT id FROM emp WHERE salary = GUESS; FETCH c; COMMIT',
	'PREPARE p(int) AS SELECT id FROM emp WHERE salary = $1; EXECUTE p(GUESS)', 'PREPARE p(encrypted_int4) AS SELECT id FROM emp WHERE salary = $1; SET plan_cache_mode = force_generic_plan; EXECUTE p(GUESS)',
	'SET pgseal.transparent = off; SELECT salary = GUESS FROM emp WHERE id = 50', 'SET SESSION AUTHORIZATION reader', 'SET ROLE reader', 'SELECT set_config(\'role\', \'reader\', false)',
	'DO $$BEGIN PERFORM id FROM emp WHERE salary = GUESS; RAISE NOTICE \'found %\', FOUND; END$$', 'DO $$DECLARE v int; BEGIN SELECT salary INTO v FROM emp WHERE id = 50; RAISE NOTICE \'%\', v; EXCEPTION WHEN OTHERS THEN RAISE NOTICE \'%\', SQLERRM; END$$',
	'DO $$DECLARE v encrypted_int4; BEGIN SELECT salary INTO v FROM emp WHERE id = 50; RAISE NOTICE \'%\', v = GUESS; END$$', 'DO $$DECLARE r emp; BEGIN SELECT * INTO r FROM emp WHERE id = 50; ASSERT r.salary = GUESS, r.name; END$$',
	'CREATE FUNCTION e.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS \'SELECT salary FROM public.emp WHERE id = 50\'; SELECT e.f()', 'SELECT pg_notify(\'c\', name::text) FROM emp WHERE id = 50', 'SELECT lo_from_bytea(0, name::text::bytea) IS NULL FROM emp WHERE id = 50');

cmp_ok(try_guesses($node, @statements), '>', 20, 'many are answered');

# Plans and verdicts that were made when the role still had the privilege
for my $mode ('force_generic_plan', 'force_custom_plan')
{
	my $sql = qq{SET plan_cache_mode = $mode; PREPARE p(int) AS SELECT id FROM emp WHERE salary = \$1; PREPARE q AS SELECT max(salary) FROM emp; PREPARE r AS SELECT id FROM emp WHERE blind_index(salary) = blind_index(50, 'pay');};
	my (undef, $out, $err) = $node->psql('postgres', qq{
		GRANT USAGE ON FOREIGN SERVER local_keyring TO e;
		SET ROLE e; $sql
		EXECUTE p(50); EXECUTE q; EXECUTE r;
		RESET ROLE; REVOKE USAGE ON FOREIGN SERVER local_keyring FROM e; SET ROLE e;
		\\set ON_ERROR_STOP 0
		EXECUTE p(50); EXECUTE q; EXECUTE r;
		RESET ROLE; SET ROLE reader; RESET ROLE; EXECUTE p(50)}, on_error_stop => 0);
	is(() = ($err =~ /permission denied for foreign server/g), 3, "$mode: nothing is left after REVOKE");
	is($out, "5\n1000\n5\n5", "$mode: and who may gets answers");
}
$node->stop;
done_testing();
