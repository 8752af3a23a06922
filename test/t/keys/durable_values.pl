# Keys are made, replaced and rolled back by every way that SQL has to begin, end
# and interrupt a transaction; beside each encrypted column stands what was put in.
# No value is ever sealed under a key that isn't there afterwards.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('main', conf => q{
pgseal.worker_interval = 1
max_prepared_transactions = 4
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
});

my $number = 0;
my $db;

# In a new database, in one session: SQL that may fail in parts; then the table t(id, a,
# p) has these ids, and every a is its p
sub holds
{
	my ($name, $sql, $ids, $table) = @_;
	$table //= 't';
	$db = 'd' . ++$number;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION pgseal');
	my ($ret, $out, $err) = $node->psql($db, $sql, on_error_stop => 0);
	my ($ret2, $ids_found, $err2) = $node->psql($db, "SELECT string_agg(id::text, ',' ORDER BY id) FROM $table WHERE a::text = p");
	my (undef, $wrong) = $node->psql($db, "SELECT count(*) FROM $table WHERE a::text IS DISTINCT FROM p");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("$ids_found/$wrong$err2", "$ids/0", $name) or diag($err);
	return;
}
my $t = q{CREATE TABLE t (id int, a encrypted_text('k'), p text);};
my $rotate = q{SELECT pgseal.rotate_key('k');};

holds('savepoints', qq{$t
	BEGIN; SAVEPOINT a; INSERT INTO t VALUES (1, '1', '1'); SAVEPOINT b; $rotate INSERT INTO t VALUES (2, '2', '2');
	ROLLBACK TO b; INSERT INTO t VALUES (3, '3', '3'); RELEASE a; SAVEPOINT c; $rotate INSERT INTO t VALUES (4, '4', '4');
	RELEASE c; COMMIT; INSERT INTO t VALUES (5, '5', '5');}, '1,3,4,5');
holds('cursors that outlive a rotation that was rolled back', qq{$t INSERT INTO t VALUES (1, '1', '1');
	BEGIN; SAVEPOINT q; $rotate DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t; ROLLBACK TO q; COMMIT;
	BEGIN; $rotate INSERT INTO t VALUES (2, '2', '2'); DECLARE c2 CURSOR WITH HOLD FOR SELECT * FROM t; COMMIT; FETCH ALL c2;}, '1,2');
holds('a procedure with COMMIT, ROLLBACK and exceptions', qq{$t
	CREATE PROCEDURE p() LANGUAGE plpgsql AS \$\$ DECLARE v t.a%TYPE; BEGIN
		FOR i IN 1..3 LOOP
			BEGIN
				PERFORM pgseal.rotate_key('k') WHERE EXISTS (SELECT FROM pgseal.keys WHERE name = 'k');
				v := 'p' || i; IF i % 2 = 1 THEN RAISE 'x'; END IF;
			EXCEPTION WHEN raise_exception THEN NULL; END;
			INSERT INTO t VALUES (i, v, 'p' || i);
			IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF;
			INSERT INTO t VALUES (10 + i, v, 'p' || i); COMMIT;
		END LOOP; END \$\$;
	CALL p(); CALL p();}, '1,1,3,3,11,11,12,12,13,13');
holds('rows that a function has returned and then rolled back', qq{$t SELECT pgseal.create_key('k');
	CREATE FUNCTION f() RETURNS SETOF t LANGUAGE plpgsql AS \$\$ DECLARE x t; BEGIN
		BEGIN PERFORM pgseal.rotate_key('k'); x := ROW(1, 'f', 'f'); RETURN NEXT x; PERFORM 1/0;
		EXCEPTION WHEN division_by_zero THEN NULL; END;
		x.id := 2; RETURN NEXT x; END \$\$;
	INSERT INTO t SELECT * FROM f();}, '1,2');
holds('composites and arrays', qq{CREATE TYPE c AS (a encrypted_text('k'), n int);
	CREATE TABLE held (id int, c c, arr encrypted_text('k')[]); $t
	DO \$\$ DECLARE r held; BEGIN
		BEGIN r := ROW(1, ROW('q', 2)::c, ARRAY['q']::encrypted_text('k')[]); PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
		BEGIN PERFORM pgseal.rotate_key('k') WHERE EXISTS (SELECT FROM pgseal.keys WHERE name = 'k');
			r := ROW(2, ROW('q', 2)::c, ARRAY['q']::encrypted_text('k')[]); PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;
		INSERT INTO held SELECT r.*; END \$\$;
	INSERT INTO t SELECT id, (c).a, 'q' FROM held UNION ALL SELECT id + 1, arr[1], 'q' FROM held;}, '2,3');
holds('SET LOCAL ROLE of who may only write', qq{$t CREATE ROLE writer_$number; GRANT INSERT ON t TO writer_$number;
	BEGIN; SET LOCAL ROLE writer_$number; INSERT INTO t VALUES (1, '1', '1'); ROLLBACK;
	BEGIN; SET LOCAL ROLE writer_$number; INSERT INTO t VALUES (2, '2', '2'); SAVEPOINT s; INSERT INTO t VALUES (3, '3', '3'); ROLLBACK TO s; COMMIT;}, '2');
holds('DISCARD ALL', qq{$t INSERT INTO t VALUES (1, '1', '1'); DISCARD ALL; INSERT INTO t VALUES (2, '2', '2');
	BEGIN; $rotate INSERT INTO t VALUES (3, '3', '3'); ROLLBACK; DISCARD ALL; INSERT INTO t VALUES (4, '4', '4');}, '1,2,4');
holds('the extension is dropped and made again, which is rolled back', qq{$t INSERT INTO t VALUES (1, '1', '1');
	BEGIN; DROP EXTENSION pgseal CASCADE; CREATE EXTENSION pgseal; CREATE TABLE n (a encrypted_text('k')); INSERT INTO n VALUES ('n'); ROLLBACK;
	INSERT INTO t VALUES (2, '2', '2');}, '1,2');
holds('and which is committed', qq{CREATE TABLE before (a encrypted_text('k')); INSERT INTO before VALUES ('x');
	BEGIN; DROP EXTENSION pgseal CASCADE; CREATE EXTENSION pgseal; $t INSERT INTO t VALUES (1, '1', '1'); COMMIT; INSERT INTO t VALUES (2, '2', '2');}, '1,2');
holds('SET SCHEMA and RENAME, and a namesake', q{CREATE SCHEMA other; CREATE TABLE t (id int, a encrypted_text, p text); INSERT INTO t VALUES (1, '1', '1');
	BEGIN; ALTER TABLE t SET SCHEMA other; INSERT INTO other.t VALUES (2, '2', '2'); ALTER TABLE other.t RENAME TO u; INSERT INTO other.u VALUES (3, '3', '3'); COMMIT;
	CREATE TABLE t (id int, a encrypted_text, p text); INSERT INTO t VALUES (4, '4', '4');
	BEGIN; SELECT pgseal.rotate_key('public.t'); INSERT INTO other.u VALUES (5, '5', '5'); INSERT INTO t SELECT * FROM other.u; COMMIT;}, '1,2,3,4,5');
holds('ATTACH and DETACH PARTITION', q{CREATE TABLE t (id int, a encrypted_text, p text) PARTITION BY RANGE (id);
	CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100); CREATE TABLE loose (id int, a encrypted_text, p text);
	INSERT INTO t VALUES (1, '1', '1'); INSERT INTO loose VALUES (101, '101', '101');
	BEGIN; SELECT pgseal.rotate_key(k) FROM unnest('{public.t,public.loose}'::text[]) k; ALTER TABLE t ATTACH PARTITION loose FOR VALUES FROM (100) TO (200);
		INSERT INTO t VALUES (102, '102', '102'); COMMIT;
	BEGIN; ALTER TABLE t DETACH PARTITION t1; SELECT pgseal.rotate_key('public.t'); INSERT INTO t1 VALUES (2, '2', '2'); SAVEPOINT s;
		ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (100); ROLLBACK TO s; INSERT INTO t1 VALUES (3, '3', '3'); COMMIT;
	ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (100);}, '1,2,3,101,102');
holds('inheritance that ends', q{CREATE TABLE t (id int, a encrypted_text, p text); CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES (1, '1', '1');
	BEGIN; ALTER TABLE child NO INHERIT t; SELECT pgseal.rotate_key('public.t'); INSERT INTO child VALUES (9, '9', '9'); ROLLBACK; INSERT INTO child VALUES (2, '2', '2');
	ALTER TABLE child NO INHERIT t; INSERT INTO child VALUES (3, '3', '3');}, '1,2,3', 'child');
holds('COPY FREEZE', qq{BEGIN; CREATE TABLE t (id int, a encrypted_text, p text); COPY t FROM STDIN WITH (FREEZE);\n1\tx\tx\n\\.\nCOMMIT;
	BEGIN; SAVEPOINT s; TRUNCATE t; COPY t FROM STDIN WITH (FREEZE);\n2\tx\tx\n\\.\nROLLBACK TO s; INSERT INTO t VALUES (3, '3', '3'); COMMIT;}, '1,3');
holds('temporary tables that go', q{CREATE UNLOGGED TABLE t (id int, a encrypted_text, p text);
	BEGIN; CREATE TEMP TABLE x (id int, a encrypted_text, p text) ON COMMIT DROP; INSERT INTO x VALUES (1, '1', '1'); INSERT INTO t SELECT * FROM x; COMMIT;
	BEGIN; CREATE TEMP TABLE x (id int, a encrypted_text, p text) ON COMMIT DROP; INSERT INTO x VALUES (2, '2', '2'); CREATE TABLE copied AS SELECT * FROM x; COMMIT;
	INSERT INTO t SELECT * FROM copied;
	BEGIN; CREATE TEMP TABLE y (id int, a encrypted_text, p text); INSERT INTO y VALUES (9, '9', '9'); SAVEPOINT s; ROLLBACK; INSERT INTO t VALUES (3, '3', '3');}, '1,2,3');
holds('between tables with different keys', qq{$t CREATE TABLE s (id int, a encrypted_text('other'), p text); INSERT INTO s SELECT i, i, i FROM generate_series(1, 3) i;
	BEGIN; SELECT pgseal.rotate_key('other'); INSERT INTO t SELECT * FROM s; ROLLBACK; INSERT INTO t SELECT * FROM s;
	WITH moved AS (DELETE FROM s RETURNING *) INSERT INTO t SELECT id + 10, a, p FROM moved;}, '1,2,3,11,12,13');
holds('large values', q{CREATE TABLE t (id int, a encrypted_text, p text);
	INSERT INTO t SELECT i, v, v FROM (SELECT i, string_agg(md5((i * j)::text), '') AS v FROM generate_series(1, 3) i, generate_series(1, 5000) j GROUP BY 1) x;
	SELECT pgseal.rotate_key('public.t'); UPDATE t SET a = a WHERE id = 1; UPDATE t SET id = id + 10; BEGIN; CREATE TABLE u AS SELECT * FROM t; ROLLBACK;
	CREATE TABLE u AS SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;}, '11,12,13');
holds('ON CONFLICT over a rotation', qq{$t CREATE UNIQUE INDEX ON t (blind_index(a)); CREATE INDEX ON t ((id * 2)) WHERE blind_index(a) IS NOT NULL;
	INSERT INTO t VALUES (1, 'x', 'x'), (2, 'y', 'y'); INSERT INTO t VALUES (3, 'x', 'x') ON CONFLICT (a) DO UPDATE SET id = excluded.id, a = 'x2', p = 'x2';
	BEGIN; $rotate INSERT INTO t VALUES (4, 'y', 'y') ON CONFLICT (a) DO UPDATE SET a = 'z', p = 'z'; SAVEPOINT s; $rotate
		INSERT INTO t VALUES (5, 'z', 'z') ON CONFLICT (a) DO UPDATE SET a = 'zz', p = 'zz'; ROLLBACK TO s;
		INSERT INTO t VALUES (6, 'z', 'z') ON CONFLICT (a) DO UPDATE SET a = 'zzz', p = 'zzz'; COMMIT;}, '2,3');
holds('parallel workers under versions of the same transaction', qq{$t CREATE TABLE s AS SELECT i FROM generate_series(1, 5000) i; ANALYZE s; SELECT pgseal.create_key('k');
	BEGIN; $rotate CREATE TABLE w AS SELECT i AS id, i::text::encrypted_text('k') AS a FROM s; SAVEPOINT q; $rotate
		CREATE TABLE x AS SELECT i AS id, i::text::encrypted_text('k') AS a FROM s; ROLLBACK TO q; COMMIT;
	INSERT INTO t SELECT 1, min(id), '1' FROM w WHERE a::text = id::text HAVING count(*) = 5000;}, '1');
holds('plans that were made before', qq{$t PREPARE p AS INSERT INTO t VALUES (\$1, 'lit', 'lit'); EXECUTE p(1);
	BEGIN; $rotate SELECT pgseal.rotate_key('default'); EXECUTE p(2); ROLLBACK; EXECUTE p(3); $rotate SELECT pgseal.rotate_key('default'); EXECUTE p(4);
	BEGIN; EXECUTE p(5); PREPARE TRANSACTION 'x'; ROLLBACK PREPARED 'x'; EXECUTE p(6);
	BEGIN; $rotate EXECUTE p(7); PREPARE TRANSACTION 'y'; COMMIT PREPARED 'y'; EXECUTE p(8);}, '1,3,4,6,7,8');

# A session of its own, opened by the transaction that has made a key: neither sees the
# other's, and neither's values are lost
SKIP:
{
	skip 'no dblink', 1 if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'}) == 0;
	my $self = $node->connstr . ' dbname=d' . ($number + 1);
	holds('autonomous sessions by dblink', qq{CREATE EXTENSION dblink; $t
		BEGIN; INSERT INTO t VALUES (1, '1', '1'); SELECT dblink_exec('$self', \$q\$SET lock_timeout = '500ms'; INSERT INTO t VALUES (2, '2', '2')\$q\$); ROLLBACK;
		SELECT dblink_exec('$self', \$q\$INSERT INTO t VALUES (3, '3', '3')\$q\$);
		BEGIN; SELECT * FROM dblink('$self', \$q\$SELECT pgseal.rotate_key('k')\$q\$) AS x(n int); INSERT INTO t VALUES (4, '4', '4'); COMMIT;
		BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t; SELECT * FROM dblink('$self', \$q\$SELECT pgseal.rotate_key('k')\$q\$) AS x(n int);
			INSERT INTO t VALUES (5, '5', '5'); COMMIT;}, '3,4,5');
}

# Whatever versions there are, one rotation leads out of them
my @some = grep { $_ % 6 == 1 } 1 .. $number;
$node->safe_psql("d$_", 'SELECT pgseal.rotate_key(name) FROM pgseal.keys') for @some;
for my $i (@some)
{
	my $table = $node->safe_psql("d$i", q{SELECT coalesce(to_regclass('child'), to_regclass('t'))::text});
	ok($node->poll_query_until("d$i", q{SELECT count(*) = 0 FROM (SELECT retired, wrapped, rank() OVER (PARTITION BY key ORDER BY number DESC, id DESC) AS rank
		FROM pgseal.key_version WHERE purpose = 'd') v WHERE rank > 1 AND retired IS NULL AND wrapped IS NOT NULL}), "d$i: rotations end");
	is($node->safe_psql("d$i", "SELECT count(*) FROM $table WHERE a::text IS DISTINCT FROM p"), 0, "d$i: with every value");
}

$node->stop;
done_testing();
