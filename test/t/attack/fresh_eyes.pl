# Attack: a role that may read and write a table but has no USAGE on its key's server
# tries what it can think of.  Each statement is run with a right guess and with wrong
# ones: whatever comes back, rows, errors, notices, plans and statistics, must be the
# same, and hold no plaintext.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('fresh_eyes');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgseal'
wal_level = logical
autovacuum = off
fsync = off
compute_query_id = off
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal; CREATE EXTENSION postgres_fdw; CREATE EXTENSION dblink; CREATE EXTENSION hstore;
SELECT pgseal.create_key('pay');
CREATE ROLE e LOGIN REPLICATION; CREATE ROLE reader LOGIN; GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
CREATE TABLE emp (id int PRIMARY KEY, salary encrypted_int4('pay'), name encrypted_text('pay'), doc encrypted_jsonb('pay'), dept int);
INSERT INTO emp SELECT i, i * 10, 'SECRET' || i, '{"k": "SECRET"}', i % 3 FROM generate_series(1, 100) i;
CREATE UNIQUE INDEX ON emp (blind_index(salary)); CREATE INDEX ON emp USING sealed (salary); CREATE INDEX ON emp USING hash (name);
CREATE TABLE kept (id int PRIMARY KEY, salary encrypted_int4('pay')); SELECT pgseal.sign_table('kept'); INSERT INTO kept VALUES (50, 500);
CREATE TABLE by_hash (salary encrypted_int4('pay')) PARTITION BY HASH (salary);
CREATE TABLE by_hash0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE SERVER mine FOREIGN DATA WRAPPER local_keyring; GRANT USAGE ON FOREIGN SERVER mine TO e; SELECT pgseal.create_key('mine', server => 'mine');
CREATE TABLE guess (g int, x encrypted_int4('mine'), y encrypted_int4('*'), t encrypted_text('*')); GRANT ALL ON guess TO e;
CREATE VIEW opened AS SELECT id, salary::int AS s, name::text AS n FROM emp;
CREATE VIEW checked AS SELECT * FROM emp WHERE dept < 5 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW mat AS SELECT id, salary FROM emp;
CREATE FUNCTION sums() RETURNS bigint LANGUAGE sql AS 'SELECT sum(salary) FROM public.emp';
CREATE SCHEMA e AUTHORIZATION e; GRANT CREATE, TEMP ON DATABASE postgres TO e;
GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER, REFERENCES ON emp, kept, opened, checked TO e; GRANT SELECT ON mat, by_hash TO e;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO e;
ANALYZE});

# What e puts before each statement: values of his own, of the guess
my $port = $node->port;
my $host = $node->host;
my $connection = "host=$host port=$port dbname=postgres user=e";
my $setup = q{SET search_path = e, public; SET client_min_messages = notice; INSERT INTO guess VALUES (GUESS, GUESS, pgseal.seal(GUESS, 'mine'), pgseal.seal('SECRET' || (GUESS / 10), 'mine'));};

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
	# writing
	'MERGE INTO guess USING emp ON guess.y = emp.salary WHEN MATCHED THEN DELETE', 'MERGE INTO emp USING guess ON id = 50 WHEN MATCHED AND emp.salary = guess.y THEN UPDATE SET dept = 1 WHEN MATCHED THEN DO NOTHING',
	'UPDATE emp SET dept = 9 WHERE salary = GUESS', 'DELETE FROM emp WHERE salary < GUESS', 'UPDATE emp SET dept = g FROM guess WHERE emp.salary = guess.x', 'DELETE FROM guess USING emp WHERE emp.salary = guess.y',
	'INSERT INTO guess (g) SELECT salary FROM emp WHERE id = 50 RETURNING g', 'INSERT INTO guess (g) SELECT CASE WHEN salary > GUESS THEN 1 ELSE 0 END FROM emp WHERE id = 50 RETURNING g',
	'INSERT INTO guess (x) SELECT salary FROM emp WHERE id = 50 RETURNING x::int', 'INSERT INTO guess (x) SELECT salary FROM emp WHERE id = 50; SELECT count(DISTINCT x) FROM guess WHERE x = GUESS',
	'INSERT INTO checked (id, salary) SELECT 1000, salary FROM emp WHERE salary = GUESS', 'UPDATE checked SET dept = 1 WHERE salary = GUESS',
	'SELECT id FROM emp WHERE salary = GUESS FOR UPDATE', 'COPY (SELECT salary::int FROM emp WHERE id = 50) TO STDOUT', 'COPY (SELECT count(*) FROM emp WHERE salary = GUESS) TO STDOUT',
	# objects of one's own
	'CREATE TEMP TABLE t AS SELECT salary::int FROM emp', 'CREATE TEMP TABLE t AS SELECT id, salary AS v FROM emp UNION ALL SELECT 0, y FROM guess; CREATE STATISTICS e.st ON id, v FROM t',
	'CREATE TEMP TABLE t AS SELECT salary AS v FROM emp WHERE id = 50 UNION ALL SELECT y FROM guess; ANALYZE t; SELECT n_distinct, null_frac, most_common_vals::text, histogram_bounds::text, correlation FROM pg_stats WHERE tablename = \'t\'',
	'CREATE TEMP TABLE t AS SELECT salary AS v FROM emp WHERE id = 50 UNION ALL SELECT y FROM guess; EXPLAIN SELECT v FROM t GROUP BY v',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\'), EXCLUDE USING hash (v WITH =)); INSERT INTO t SELECT salary FROM emp WHERE id = 50; INSERT INTO t SELECT y FROM guess',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50 UNION ALL SELECT y FROM guess; CREATE UNIQUE INDEX ON t USING sealed (v)',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50; CREATE INDEX ON t USING sealed (v); SET enable_seqscan = off; SELECT count(*) FROM t WHERE v = GUESS',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); CREATE INDEX ON t USING sealed (v); INSERT INTO t SELECT salary FROM emp; SELECT pg_relation_size(\'t_v_idx\') > 0',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50; ALTER TABLE t ADD CHECK (v <> GUESS)',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50; SET pgseal.allow_decryption = on; ALTER TABLE t ALTER v TYPE int; SELECT v FROM t',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50; ALTER TABLE t ALTER v TYPE encrypted_int4(\'mine\'); SELECT v = GUESS FROM t',
	'CREATE TEMP TABLE t (v encrypted_int4(\'pay\')); INSERT INTO t SELECT salary FROM emp WHERE id = 50; ALTER TABLE t ADD g int GENERATED ALWAYS AS (v) STORED; SELECT g FROM t',
	'CREATE TABLE e.t (k int PRIMARY KEY, v encrypted_int4(\'mine\')); INSERT INTO e.t SELECT id, salary FROM emp WHERE id = 50; SELECT v = GUESS FROM e.t; CALL pgseal.decrypt_column(\'e.t\', \'v\')',
	'CREATE TABLE e.t (k int PRIMARY KEY, v encrypted_int4(\'pay\')); INSERT INTO e.t SELECT id, salary FROM emp WHERE id = 50; CALL pgseal.decrypt_column(\'e.t\', \'v\'); SELECT * FROM e.t',
	'CREATE DOMAIN e.d AS encrypted_int4(\'pay\') CHECK (VALUE <> GUESS); SELECT salary::e.d IS NULL FROM emp WHERE id = 50',
	'CREATE DOMAIN e.d AS encrypted_int4(\'pay\') CHECK (blind_index(VALUE) <> blind_index(GUESS, \'pay\')); SELECT salary::e.d IS NULL FROM emp WHERE id = 50',
	'CREATE DOMAIN e.d AS encrypted_int4(\'pay\'); CREATE TEMP TABLE t (v e.d, CHECK (v <> GUESS)); INSERT INTO t SELECT salary FROM emp WHERE id = 50',
	'CREATE TYPE e.r AS (v encrypted_int4(\'pay\')); SELECT ROW(salary)::e.r = ROW((SELECT y FROM guess))::e.r FROM emp WHERE id = 50',
	'CREATE TYPE e.r AS RANGE (subtype = encrypted_int4); SELECT e.r(salary, salary, \'[]\') @> (SELECT y FROM guess) FROM emp WHERE id = 50',
	'CREATE FUNCTION e.same(encrypted_int4, encrypted_int4) RETURNS bool LANGUAGE sql IMMUTABLE AS \'SELECT $1 = $2\'; CREATE TEMP TABLE t (v encrypted_int4(\'pay\'), w encrypted_int4(\'*\'), s bool GENERATED ALWAYS AS (e.same(v, w)) STORED); INSERT INTO t SELECT salary, y FROM emp, guess WHERE id = 50; SELECT s FROM t',
	'CREATE OPERATOR e.=== (LEFTARG = encrypted_int4, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.eq); SELECT salary === (SELECT y FROM guess) FROM emp WHERE id = 50',
	'CREATE OPERATOR CLASS e.oc FOR TYPE encrypted_int4 USING hash AS OPERATOR 1 =', 'CREATE AGGREGATE e.best(encrypted_int4) (SFUNC = pgseal_internal.sealed_larger, STYPE = encrypted_int4); SELECT e.best(salary) IS NULL FROM emp',
	'CREATE AGGREGATE e.add(encrypted_int4) (SFUNC = pgseal_internal.int4_avg_accum, STYPE = int8[], INITCOND = \'{0,0}\'); SELECT e.add(salary) FROM emp',
	'CREATE CAST (encrypted_int4 AS int2) WITH FUNCTION pgseal_internal.open(encrypted_int4)', 'CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION e.f()',
	'CREATE FUNCTION e.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE \'%\', NEW.salary::int; RETURN NEW; END$$; CREATE TRIGGER tr BEFORE UPDATE ON emp FOR EACH ROW EXECUTE FUNCTION e.f(); UPDATE emp SET dept = 5 WHERE id = 50',
	'CREATE FUNCTION e.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE \'fired\'; RETURN NEW; END$$; CREATE TRIGGER tr BEFORE UPDATE ON emp FOR EACH ROW WHEN (NEW.salary = GUESS) EXECUTE FUNCTION e.f(); UPDATE emp SET dept = 5 WHERE id = 50',
	'CREATE FUNCTION e.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE \'fired\'; RETURN NEW; END$$; CREATE TRIGGER tr BEFORE UPDATE ON emp FOR EACH ROW WHEN (NEW.salary IS DISTINCT FROM OLD.salary) EXECUTE FUNCTION e.f(); UPDATE emp SET salary = GUESS WHERE id = 50',
	'CREATE FUNCTION e.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE \'fired\'; RETURN NEW; END$$; CREATE TRIGGER tr BEFORE UPDATE ON emp FOR EACH ROW WHEN (blind_index(NEW.salary) = blind_index(OLD.salary)) EXECUTE FUNCTION e.f()',
	'CREATE TABLE e.t (id int, salary encrypted_int4(\'pay\')); CREATE RULE r AS ON INSERT TO e.t WHERE NEW.salary = GUESS DO INSTEAD NOTHING; INSERT INTO e.t SELECT id, salary FROM emp WHERE id = 50; SELECT count(*) FROM e.t',
	'CREATE TABLE e.t (salary encrypted_int4(\'pay\')); ALTER TABLE e.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON e.t USING (salary = GUESS); INSERT INTO e.t SELECT salary FROM emp WHERE id = 50; SELECT count(*) FROM e.t',
	'CREATE TABLE e.p (salary encrypted_int4(\'pay\')) PARTITION BY RANGE (salary)', 'CREATE TABLE e.p (salary encrypted_int4(\'pay\')) PARTITION BY LIST (salary)',
	'CREATE TABLE e.p (salary encrypted_int4(\'pay\')) PARTITION BY HASH (salary); CREATE TABLE e.p0 PARTITION OF e.p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE e.p1 PARTITION OF e.p FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO e.p SELECT y FROM guess; INSERT INTO e.p SELECT salary FROM emp WHERE id = 50; SELECT count(DISTINCT tableoid) FROM e.p',
	'CREATE TABLE e.p (salary encrypted_int4(\'pay\')) PARTITION BY LIST (blind_index(salary)); INSERT INTO e.p SELECT salary FROM emp WHERE id = 50', 'SELECT satisfies_hash_partition(\'by_hash\'::regclass, 2, 0, salary) FROM emp WHERE id = 50',
	'CREATE TABLE e.t (t bytea REFERENCES e.nothing)', 'CREATE MATERIALIZED VIEW e.m AS SELECT id, salary::int FROM emp', 'CREATE VIEW e.v WITH (security_invoker) AS SELECT salary::int AS s FROM emp; SELECT * FROM e.v',
	'CREATE INDEX ON e.t ((1))', 'CREATE TEMP TABLE t (v encrypted_int4(\'pay\') DEFAULT GUESS, d int DEFAULT \'50\'::encrypted_int4 + 0); INSERT INTO t (d) VALUES (0); SELECT v FROM t',
	# cursors, prepared statements, roles
	'BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT salary FROM emp WHERE id = 50; COMMIT; FETCH c', 'BEGIN; DECLARE c BINARY CURSOR FOR SELECT id FROM emp WHERE salary = GUESS; FETCH c; COMMIT',
	'PREPARE p(int) AS SELECT id FROM emp WHERE salary = $1; EXECUTE p(GUESS)', 'PREPARE p(encrypted_int4) AS SELECT id FROM emp WHERE salary = $1; SET plan_cache_mode = force_generic_plan; EXECUTE p(GUESS)',
	'SET pgseal.transparent = off; SELECT salary = GUESS FROM emp WHERE id = 50', 'SET SESSION AUTHORIZATION reader', 'SET ROLE reader', 'SELECT set_config(\'role\', \'reader\', false)',
	'DO $$BEGIN PERFORM id FROM emp WHERE salary = GUESS; RAISE NOTICE \'found %\', FOUND; END$$', 'DO $$DECLARE v int; BEGIN SELECT salary INTO v FROM emp WHERE id = 50; RAISE NOTICE \'%\', v; EXCEPTION WHEN OTHERS THEN RAISE NOTICE \'%\', SQLERRM; END$$',
	'DO $$DECLARE v encrypted_int4; BEGIN SELECT salary INTO v FROM emp WHERE id = 50; RAISE NOTICE \'%\', v = GUESS; END$$', 'DO $$DECLARE r emp; BEGIN SELECT * INTO r FROM emp WHERE id = 50; ASSERT r.salary = GUESS, r.name; END$$',
	'CREATE FUNCTION e.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS \'SELECT salary FROM public.emp WHERE id = 50\'; SELECT e.f()', 'SELECT pg_notify(\'c\', name::text) FROM emp WHERE id = 50', 'SELECT lo_from_bytea(0, name::text::bytea) IS NULL FROM emp WHERE id = 50',
	# plans
	'EXPLAIN SELECT id FROM emp WHERE salary = GUESS', 'EXPLAIN (VERBOSE, SETTINGS) SELECT id FROM emp WHERE salary < GUESS', 'EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT id FROM emp WHERE salary = GUESS', 'EXPLAIN SELECT * FROM by_hash WHERE salary = GUESS',
	'SET enable_seqscan = off; EXPLAIN SELECT id FROM emp WHERE salary BETWEEN 0 AND GUESS', 'SET enable_seqscan = off; SELECT id FROM emp ORDER BY salary LIMIT 3', 'SET enable_seqscan = off; SELECT id FROM emp WHERE salary > GUESS ORDER BY salary LIMIT 1', 'SET enable_seqscan = off; SELECT id FROM emp WHERE name = \'SECRET5\'',
	'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT count(*) FROM emp WHERE salary = GUESS', 'SET debug_parallel_query = on', 'SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = \'emp\' AND attname IN (\'salary\', \'name\', \'doc\')',
	'SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = \'emp\'::regclass', 'SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = \'emp\'::regclass',
	# other ways in
	"SELECT dblink_connect_u('$connection')", "CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres'); CREATE USER MAPPING FOR e SERVER loop OPTIONS (user 'e', password 'x'); CREATE FOREIGN TABLE e.ft (id int, salary encrypted_int4('mine')) SERVER loop OPTIONS (schema_name 'public', table_name 'emp'); SELECT salary FROM e.ft WHERE id = 50",
	'SELECT pg_read_file(\'postgresql.conf\')', 'LOAD \'pgseal\'', 'SELECT wrapped FROM pgseal.key_version', 'SELECT key, purpose FROM pgseal.stat_keys', 'UPDATE pgseal.key SET server = \'mine\'', 'DROP SERVER local_keyring', 'ALTER SERVER local_keyring OPTIONS (ADD file \'x\')',
	'LOCK TABLE pgseal.key_version', 'CREATE USER MAPPING FOR e SERVER local_keyring', 'IMPORT FOREIGN SCHEMA s FROM SERVER mine INTO e', 'GRANT USAGE ON FOREIGN SERVER local_keyring TO e', 'SECURITY LABEL ON TABLE emp IS \'x\'', 'COMMENT ON FUNCTION pgseal_internal.open(encrypted_int4) IS \'x\'',
	'SET pgseal.sealed_input = on; SELECT id FROM emp WHERE salary::text = \'x\'', 'SET pgseal.on_denied = \'null\'; SELECT count(*), count(salary::int), count(nullif(salary, GUESS)) FROM emp', 'SET pgseal.on_denied = \'null\'; SELECT id FROM emp WHERE salary = GUESS OR salary <> GUESS',
	'SET pgseal.on_denied = \'null\'; SELECT count(*) FROM emp JOIN guess ON salary = y', 'SET pgseal.on_denied = \'null\'; SELECT id FROM emp ORDER BY salary, id LIMIT 3', 'SET pgseal.on_denied = \'null\'; SELECT DISTINCT salary FROM emp WHERE id = 50', 'SET pgseal.on_denied = \'null\'; SELECT max(salary), min(name) FROM emp WHERE salary > GUESS');

# Sealed text and file names differ each time, the guess does of itself
sub neutral
{
	my ($text, $guess) = @_;

	$text =~ s/(pgseal:1:)?[A-Za-z0-9+\/]{30,}=*(\.\.\.)?/sealed/g;
	$text =~ s/\b\Q$guess\E\b/GUESS/g;
	$text =~ s/SECRET\Q${\int($guess \/ 10)}\E\b/own guess/g;
	$text =~ s/(pg_temp_|slot_|pgsql_tmp)\d+\S*/$1/g;
	$text =~ s/\bLINE \d+:.*//g;
	$text =~ s/^\s*\^\s*$//mg;
	return $text;
}

is(($node->psql('postgres', "BEGIN; $setup" =~ s/GUESS/50/gr, extra_params => [ '-U', 'e' ]))[2], '', 'the guess is there');
my $answered = 0;
for my $statement (@statements)
{
	my @answers;

	for my $guess (500, 505, 55555)
	{
		(my $sql = "BEGIN; $setup SAVEPOINT s; $statement") =~ s/GUESS/$guess/g;
		$sql = "$setup $statement" =~ s/GUESS/$guess/gr if $statement =~ /^(BEGIN|CREATE TABLE e\.t \(k)/;
		my (undef, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'e' ]);
		my $answer = neutral("$out$err", $guess);

		$answered++ if $err !~ /ERROR/;
		push @answers, $answer;
		$node->safe_psql('postgres', 'TRUNCATE guess; DROP TABLE IF EXISTS e.t') if $statement =~ /^(BEGIN|CREATE TABLE e\.t \(k)/;
	}
	ok($answers[0] eq $answers[1] && $answers[1] eq $answers[2], "says the same: $statement") or diag(join "\n----\n", @answers);
	unlike($answers[0], qr/SECRET/, 'and no plaintext') if $statement !~ /SECRET/;
}
cmp_ok($answered, '>', 30, 'many are answered');

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
