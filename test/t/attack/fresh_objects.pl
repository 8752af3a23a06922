# Attack: a role that may read and write a table but has no USAGE on its key's server
# tries what it can think of, in statements that write, and with objects of its own
# (test/lib/GuessingNode.pm).

use strict;
use warnings;

use GuessingNode;
use Test::More;

my $node = guessing_node('fresh_objects');
my ($host, $port) = ($node->host, $node->port);
my $connection = "host=$host port=$port dbname=postgres user=e";
my @statements = (
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
	# other ways in
	"SELECT dblink_connect_u('$connection')", "CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres'); CREATE USER MAPPING FOR e SERVER loop OPTIONS (user 'e', password 'x'); CREATE FOREIGN TABLE e.ft (id int, salary encrypted_int4('mine')) SERVER loop OPTIONS (schema_name 'public', table_name 'emp'); SELECT salary FROM e.ft WHERE id = 50",
	'SELECT pg_read_file(\'postgresql.conf\')', 'LOAD \'pgseal\'', 'SELECT wrapped FROM pgseal.key_version', 'SELECT key, purpose FROM pgseal.stat_keys', 'UPDATE pgseal.key SET server = \'mine\'', 'DROP SERVER local_keyring', 'ALTER SERVER local_keyring OPTIONS (ADD file \'x\')',
	'LOCK TABLE pgseal.key_version', 'CREATE USER MAPPING FOR e SERVER local_keyring', 'IMPORT FOREIGN SCHEMA s FROM SERVER mine INTO e', 'GRANT USAGE ON FOREIGN SERVER local_keyring TO e', 'SECURITY LABEL ON TABLE emp IS \'x\'', 'COMMENT ON FUNCTION pgseal_internal.open(encrypted_int4) IS \'x\'',
	'SET pgseal.sealed_input = on; SELECT id FROM emp WHERE salary::text = \'x\'', 'SET pgseal.on_denied = \'null\'; SELECT count(*), count(salary::int), count(nullif(salary, GUESS)) FROM emp', 'SET pgseal.on_denied = \'null\'; SELECT id FROM emp WHERE salary = GUESS OR salary <> GUESS',
	'SET pgseal.on_denied = \'null\'; SELECT count(*) FROM emp JOIN guess ON salary = y', 'SET pgseal.on_denied = \'null\'; SELECT id FROM emp ORDER BY salary, id LIMIT 3', 'SET pgseal.on_denied = \'null\'; SELECT DISTINCT salary FROM emp WHERE id = 50', 'SET pgseal.on_denied = \'null\'; SELECT max(salary), min(name) FROM emp WHERE salary > GUESS');

cmp_ok(try_guesses($node, @statements), '>', 10, 'many are answered');
$node->stop;
done_testing();
