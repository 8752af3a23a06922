# A column's default sees values as the table's owner, whoever writes and whatever he has
# set; nothing else of his statement does, and nobody's code by way of a default.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('column_defaults');

my $table = q{(id int PRIMARY KEY,
	a text DEFAULT lower('SECRET'::encrypted_text), b bytea DEFAULT blind_index('x'::text, 'pay'), c int DEFAULT '5'::encrypted_int4 + 1,
	d encrypted_text DEFAULT upper('shown'::encrypted_text), e bool DEFAULT 'a'::encrypted_text < 'b',
	f bool DEFAULT ('a'::encrypted_text = ANY (ARRAY['a', 'b'])), g text DEFAULT CASE WHEN '1'::encrypted_int4 IN (1, 2) THEN concat('y', greatest(length('z'::encrypted_text), 0)) END,
	h date DEFAULT '2000-01-01'::encrypted_date + 1, i encrypted_int4('*') DEFAULT pgseal.seal('7'::encrypted_int4 + 1, 'pay'), j mail, k int DEFAULT 4)};
$node->safe_psql('postgres', qq{
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('pay');
CREATE ROLE owner LOGIN; CREATE ROLE w LOGIN; CREATE ROLE e LOGIN; CREATE SCHEMA e AUTHORIZATION e; CREATE SCHEMA o AUTHORIZATION owner;
GRANT USAGE ON FOREIGN SERVER local_keyring TO owner; GRANT USAGE ON SCHEMA o TO PUBLIC; GRANT CREATE, TEMP ON DATABASE postgres TO e, w;
SET ROLE owner; SET search_path = o;
CREATE DOMAIN mail AS text DEFAULT lower('A\@B'::encrypted_text);
CREATE TABLE t $table;
CREATE TABLE parted (LIKE t INCLUDING DEFAULTS) PARTITION BY LIST (id); CREATE TABLE parted1 PARTITION OF parted DEFAULT;
CREATE TABLE child () INHERITS (t);
GRANT INSERT, UPDATE, SELECT ON t, parted, parted1, child TO w;
CREATE FUNCTION write() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO o.t (id) VALUES (1); END';
CREATE FUNCTION write_sql() RETURNS void LANGUAGE sql AS 'INSERT INTO o.t (id) VALUES (1)';
CREATE VIEW v AS SELECT * FROM t; GRANT INSERT ON v TO w});

my $denied = qr/permission denied for foreign server/;
my $columns = 'a, length(b), c, d, e, f, g, h, i, j, k';
my $values = 'secret|16|6|SHOWN|t|t|y1|2000-01-02|8|a@b|4';

# Every way into a table
for my $settings ('', "SET pgseal.on_denied = 'null';", "SET search_path = '';", 'SET pgseal.transparent = off;', 'SET plan_cache_mode = force_generic_plan;')
{
	for my $in ('INSERT INTO o.t (id) VALUES (1)', 'INSERT INTO o.t VALUES (1, DEFAULT, DEFAULT)', 'INSERT INTO o.t (id, c) VALUES (1, DEFAULT), (2, 3), (3, DEFAULT)',
		'INSERT INTO o.t (id) SELECT 1', 'WITH i AS (INSERT INTO o.t (id) VALUES (1)) SELECT', 'PREPARE p(int) AS INSERT INTO o.t (id) VALUES ($1); EXECUTE p(1)',
		'INSERT INTO o.t (id, a, j, h, e) VALUES (1, NULL, NULL, NULL, NULL); UPDATE o.t SET a = DEFAULT, (j, e) = (DEFAULT, DEFAULT), h = DEFAULT',
		"INSERT INTO o.t (id, a) VALUES (1, 'x'); INSERT INTO o.t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = DEFAULT",
		'MERGE INTO o.t USING (VALUES (1)) n(id) ON t.id = n.id WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)',
		"INSERT INTO o.t (id, a) VALUES (1, 'x'); MERGE INTO o.t USING (VALUES (1)) n(id) ON t.id = n.id WHEN MATCHED THEN UPDATE SET a = DEFAULT",
		"COPY o.t (id) FROM STDIN;\n1\n\\.\n", 'SELECT o.write()', 'SELECT o.write_sql()', 'INSERT INTO o.parted (id) VALUES (1)', 'INSERT INTO o.parted1 (id) VALUES (1)', "COPY o.parted (id) FROM STDIN;\n1\n\\.\n",
		'INSERT INTO o.v (id, a, b, c, d, e, f, g, h, i, k) VALUES (1, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT)')
	{
		my $from = $in =~ /(parted1?)/ ? "o.$1" : 'o.t';

		is($node->as('w', "$settings $in"), '', "$settings $in");
		is($node->safe_psql('postgres', "SELECT $columns FROM $from WHERE id = 1"), $values, 'is as it should be');
		$node->safe_psql('postgres', 'TRUNCATE o.t, o.parted, o.child');
	}
}
is($node->as('w', 'INSERT INTO o.t (id) VALUES (1) RETURNING a, c'), 'secret|6', 'who may read the column may read what is returned of it');
like($node->as('w', 'INSERT INTO o.t (id) VALUES (2) RETURNING d'), $denied, 'a sealed value is not opened');
like($node->as('w', 'UPDATE o.t SET d = DEFAULT RETURNING lower(d)'), $denied, 'nor a new one');
like($node->as('w', 'UPDATE o.t SET c = DEFAULT WHERE d = \'SHOWN\''), $denied, 'nor compared');
if ($node->pg_version >= 16)
{
	is($node->as('w', "COPY o.t (id, a) FROM STDIN (DEFAULT 'd');\n3\td\n\\.\n"), '', 'COPY with a sign for the default');
	is($node->safe_psql('postgres', 'SELECT a FROM o.t WHERE id = 3'), 'secret', 'means it');
}
is($node->as('owner', "ALTER TABLE o.t ADD l text DEFAULT lower('NEW'::encrypted_text), ADD m text DEFAULT upper('o'::text::encrypted_text), ADD n bytea DEFAULT blind_index('x'::text, 'pay')"), '', 'columns are added');
is($node->safe_psql('postgres', 'SELECT DISTINCT l, m, n = b FROM o.t'), 'new|O|t', 'to rows that exist');
unlike($node->safe_psql('postgres', 'EXPLAIN VERBOSE INSERT INTO o.t (id) VALUES (9)'), qr/secret/i, 'nothing is in a plan');
unlike(slurp_file($node->logfile), qr/secret/, 'nor in the log');

# Through a dump
$node->safe_psql('postgres', 'TRUNCATE o.t, o.child, o.parted');
my $dump = $node->backup_dir . '/dump.sql';
$node->run_log([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ]);
unlike(slurp_file($dump), qr/secret/i, 'nor in a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'it is restored');
is(($node->psql('restored', 'INSERT INTO o.t (id) VALUES (11) RETURNING a, c, j', extra_params => [ '-U', 'w' ]))[1], 'secret|6|a@b', 'and works');

# What the user writes is his, and so is what is somebody's code
$node->safe_psql('postgres', q{
CREATE TABLE emp (id int, salary encrypted_int4('pay')); INSERT INTO emp VALUES (1, 1234); GRANT SELECT ON emp TO w, e;
SET ROLE owner;
SET check_function_bodies = off; CREATE FUNCTION o.of_setting() RETURNS encrypted_int4 LANGUAGE sql AS 'SELECT salary FROM settings';
CREATE TABLE o.by_function (id int, x int DEFAULT o.of_setting() + 0); GRANT INSERT, SELECT ON o.by_function TO w});
for my $null ('', "SET pgseal.on_denied = 'null'; ")
{
	for my $sql ("INSERT INTO o.t (id, a) VALUES (20, lower('SECRET'::encrypted_text))", "INSERT INTO o.t (id, c) SELECT 20, salary + 1 FROM emp",
		'CREATE TEMP TABLE settings AS SELECT salary FROM emp; INSERT INTO o.by_function VALUES (1)', "CREATE TEMP TABLE settings AS SELECT salary FROM emp; COPY o.by_function (id) FROM STDIN;\n1\n\\.\n",
		'UPDATE o.t SET c = (SELECT salary FROM emp)', 'INSERT INTO o.t (id) SELECT salary FROM emp')
	{
		unlike($node->as('w', "$null$sql; SELECT max(c) FROM o.t; SELECT max(x) FROM o.by_function"), qr/123[45]/, "${null}denied: $sql");
	}
}
$node->as('e', q{
SET search_path = e, public; CREATE FUNCTION steal() RETURNS encrypted_int4 LANGUAGE sql AS 'SELECT salary FROM public.emp';
CREATE TABLE mine (id int, x int DEFAULT steal() + 0, y int DEFAULT '5'::encrypted_int4 + 1, z bytea DEFAULT blind_index(1234, 'pay'));
CREATE DOMAIN d AS int DEFAULT '5'::encrypted_int4 + 1; CREATE DOMAIN spy AS text DEFAULT 'x' CHECK (length(VALUE) > steal()::int); GRANT ALL ON mine TO PUBLIC; GRANT USAGE ON SCHEMA e TO PUBLIC});
like($node->as($_, 'INSERT INTO e.mine (id, x, z) VALUES (1, 0, NULL)'), $denied, "the owner has no USAGE, though $_ may have") for 'e', 'w', 'owner';
like($node->as('e', 'INSERT INTO e.mine (id, x, y) VALUES (1, 0, 0)'), $denied, 'tokens');
like($node->as('e', 'INSERT INTO e.mine (id, y, z) VALUES (1, 0, NULL)'), $denied, 'what a function of his returns');
like($node->as('e', "COPY e.mine (id, x, z) FROM STDIN;\n1\t0\t\\N\n\\.\n"), $denied, 'by COPY');
is($node->safe_psql('postgres', 'SELECT count(*) FROM e.mine'), 0, 'nothing is in it');

# A sealed value that he has seen, in a definition, which is believed to be one
$node->safe_psql('postgres', 'GRANT SELECT ON o.t TO e');
my $stolen = $node->safe_psql('postgres', 'SET pgseal.transparent = off; SELECT salary FROM emp');
is($node->as('e', "CREATE TABLE e.trap (id int, x int DEFAULT '$stolen'::encrypted_int4 + 0); GRANT ALL ON e.trap TO PUBLIC; CREATE TABLE e.copied (LIKE o.t INCLUDING DEFAULTS); GRANT ALL ON e.copied TO PUBLIC"), '', 'a trap');
for my $role ('postgres', 'owner')
{
	like($node->as($role, 'INSERT INTO e.trap (id) VALUES (1)'), $denied, "$role opens nothing for him");
	like($node->as($role, "COPY e.trap (id) FROM STDIN;\n1\n\\.\n"), $denied, 'by COPY neither');
	like($node->as($role, 'INSERT INTO e.copied (id) VALUES (1)'), $denied, 'nor by a copied default');
}
$node->safe_psql('postgres', q{SET ROLE owner; CREATE TABLE o.of_domains (id int, x e.d, y e.spy DEFAULT lower('A'::encrypted_text)); GRANT INSERT, SELECT ON o.of_domains TO e});
like($node->as('e', "INSERT INTO o.of_domains (id, y) VALUES (1, 'x')"), qr/permission denied/, "the default of somebody else's domain");
like($node->as('e', 'INSERT INTO o.of_domains (id, x) VALUES (1, 0)'), qr/permission denied/, 'the constraint of one');
like($node->as('e', "COPY o.of_domains (id, x) FROM STDIN;\n1\t0\n\\.\n"), qr/permission denied/, 'by COPY');
like($node->psql('postgres', $_), qr/^[123]$/, "not callable: $_")
	for 'SELECT pgseal_internal.column_default(\'o.t\', 2::int2, NULL)', "SELECT pgseal_internal.column_default('o.t', '2', '')";

# A constant that is the default of a column that becomes encrypted, as encrypt_column() and CREATE TABLE have it
$node->safe_psql('postgres', q{
SET ROLE owner; SET search_path = o;
CREATE DOMAIN sealed_mail AS encrypted_text;
CREATE TABLE late (id int, a text DEFAULT 'SECRETa', b varchar(20) DEFAULT 'SECRETb', c numeric(10, 2) DEFAULT 4711, d text[] DEFAULT '{SECRETd,NULL}', e jsonb DEFAULT '{"SECRET": 1}', f text DEFAULT 'SECRETf', g text DEFAULT 'SECRETg'::varchar(9),
	h int DEFAULT 4711, i date DEFAULT '4711-01-01', j text DEFAULT lower('MADE OF'), k timestamptz DEFAULT now(), l text DEFAULT NULL, m text);
CREATE TABLE late_child () INHERITS (late); ALTER TABLE late_child ALTER a SET DEFAULT 'SECRETchild';
ALTER TABLE late ALTER a TYPE encrypted_text, ALTER b TYPE encrypted_text('pay2'), ALTER c TYPE encrypted_numeric, ALTER d TYPE encrypted_text[], ALTER e TYPE encrypted_jsonb, ALTER f TYPE sealed_mail, ALTER g TYPE encrypted_text,
	ALTER h TYPE encrypted_int8, ALTER i TYPE encrypted_timestamp, ALTER j TYPE encrypted_text, ALTER k TYPE encrypted_timestamptz, ALTER l TYPE encrypted_text, ALTER m TYPE encrypted_text, ALTER id SET DEFAULT 7;
INSERT INTO late (m) VALUES (NULL); INSERT INTO late_child DEFAULT VALUES});
is($node->safe_psql('postgres', 'SELECT id, a, b, c, d, e, f, g, h, i, j, k <= now(), l, m FROM ONLY o.late'),
	'7|SECRETa|SECRETb|4711|{SECRETd,NULL}|{"SECRET": 1}|SECRETf|SECRETg|4711|4711-01-01 00:00:00|made of|t||', 'constants of columns that become encrypted');
is($node->safe_psql('postgres', 'SELECT a, b FROM o.late_child'), 'SECRETchild|SECRETb', 'and of children');
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE pg_get_expr(adbin, adrelid) ~ 'SECRET|4711'), count(*) FILTER (WHERE pg_get_expr(adbin, adrelid) ~ 'pgseal:1:')
	FROM pg_attrdef WHERE adrelid IN ('o.late'::regclass, 'o.late_child'::regclass)}), '24|0|18', 'are sealed');
$node->safe_psql('postgres', q{CREATE TABLE o.converted (id int PRIMARY KEY, a text DEFAULT 'SECRETa', b numeric DEFAULT 4711)});
$node->safe_psql('postgres', "CALL pgseal.encrypt_column('o.converted', '$_')") for 'a', 'b';
$node->safe_psql('postgres', 'INSERT INTO o.converted VALUES (1)');
is($node->safe_psql('postgres', q{SELECT a, b, (SELECT bool_and(pg_get_expr(adbin, adrelid) LIKE '%pgseal:1:%') FROM pg_attrdef WHERE adrelid = 'o.converted'::regclass) FROM o.converted}),
	'SECRETa|4711|t', 'as by encrypt_column()');

# Who alters another's table runs no code of his by it
$node->safe_psql('postgres', q{
SET ROLE e; SET search_path = e, public;
CREATE TYPE e.odd AS (v text);
CREATE FUNCTION e.spy(odd) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN CREATE ROLE spied; RETURN ($1).v; END $$;
CREATE CAST (odd AS text) WITH FUNCTION e.spy(odd) AS IMPLICIT;
CREATE FUNCTION e.spy_too(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN CREATE ROLE spied; RETURN true; END $$;
CREATE DOMAIN e.checked AS text;
CREATE TABLE e.bait (a text DEFAULT '(SECRET)'::odd, b checked DEFAULT 'SECRETb');
ALTER DOMAIN e.checked ADD CHECK (e.spy_too(VALUE)) NOT VALID});
$node->psql('postgres', 'ALTER TABLE e.bait ALTER a TYPE encrypted_text, ALTER b TYPE encrypted_text');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_roles WHERE rolname = 'spied'}), 0, 'neither casts nor domains');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attrdef WHERE adrelid = 'e.bait'::regclass AND pg_get_expr(adbin, adrelid) LIKE '%SECRETb%'}), 0, 'the constant of a domain is sealed');

# As it is now
$node->safe_psql('postgres', 'TRUNCATE o.t, o.child');
is($node->as('w', "PREPARE p AS INSERT INTO o.t (id) VALUES (1); EXECUTE p;\n\\! true\nSET client_min_messages = error"), '', 'with the privilege');
my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'w' ]);
$session->query_safe('SET plan_cache_mode = force_generic_plan; PREPARE p(int) AS INSERT INTO o.t (id) VALUES ($1) RETURNING a, c');
is($session->query('EXECUTE p(2)'), 'secret|6', 'a prepared statement');
$node->safe_psql('postgres', q{ALTER TABLE o.t ALTER a SET DEFAULT lower('OTHER'::encrypted_text), ALTER c DROP DEFAULT});
is($session->query('EXECUTE p(3)'), 'other|', 'follows the defaults');
$node->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER local_keyring FROM owner');
unlike($session->query('EXECUTE p(4)') // '', qr/other/, 'and the privilege');
$session->quit;

$node->stop;
done_testing();
