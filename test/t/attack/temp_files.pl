# Attack: the temporary files of a sort.  What a query makes of encrypted columns, and
# sorts nothing by, isn't in them; and the answer is that of plain columns.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('temp_files', conf => 'autovacuum = off');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE other (id int, note text);
INSERT INTO other SELECT i, 'note' || i FROM generate_series(1, 6000) i;
CREATE SCHEMA sealed; CREATE SCHEMA plain;
CREATE TABLE sealed.c (id int, grp int, x int, mail encrypted_text, born encrypted_date, n encrypted_int4);
CREATE TABLE plain.c (id int, grp int, x int, mail text, born date, n int4);
INSERT INTO plain.c SELECT i, i / 2, i * 791 % 6007, 'ada-secret-' || i || '@example.org', date '1990-01-01' + i % 500, i % 77
	FROM generate_series(1, 6000) i;
INSERT INTO sealed.c SELECT * FROM plain.c;
CREATE VIEW sealed.v AS SELECT id, lower(mail) AS l, x FROM sealed.c;
CREATE VIEW plain.v AS SELECT id, lower(mail) AS l, x FROM plain.c;
CREATE FUNCTION sealed.f() RETURNS TABLE (id int, l text) LANGUAGE sql STABLE AS 'SELECT id, lower(mail) FROM sealed.c ORDER BY x';
CREATE FUNCTION plain.f() RETURNS TABLE (id int, l text) LANGUAGE sql STABLE AS 'SELECT id, lower(mail) FROM plain.c ORDER BY x';
ANALYZE});

# A cursor that is opened as a query is that asks for all rows, so that nothing but its
# being made of encrypted values keeps a column out of the sort
my $few = q{SET search_path = sealed, public; SET work_mem = '64kB'; SET cursor_tuple_fraction = 1; SET max_parallel_workers_per_gather = 0;};
my $look = q{SELECT count(*) > 0, coalesce(bool_or(position('ada-secret'::bytea IN lower(encode(pg_read_binary_file('base/pgsql_tmp/' || f), 'escape'))::bytea) > 0), false)
	FROM pg_ls_dir('base/pgsql_tmp', true, false) f};

# DISTINCT ON gives any of the rows, unless these are equal or sorted
my @queries = (
	'SELECT id, mail FROM c ORDER BY x',
	'SELECT id, lower(mail) FROM c ORDER BY x',
	'SELECT id, mail::text FROM c ORDER BY x',
	'SELECT id, mail::varchar(20) FROM c ORDER BY x',
	q{SELECT id, mail || 'z', mail LIKE 'b%', CASE WHEN x > 5 THEN mail END FROM c ORDER BY x},
	'SELECT id, row_to_json(c) FROM c ORDER BY x',
	'SELECT id, to_jsonb(c) FROM c ORDER BY x',
	q{SELECT id, format('%s!', mail), concat(mail, id) FROM c ORDER BY x},
	'SELECT id, c FROM c ORDER BY x',
	'SELECT id, l FROM v ORDER BY x',
	'SELECT id, l FROM (SELECT id, upper(mail) AS l, x FROM c) s ORDER BY x',
	'SELECT o.id, upper(mail) FROM c JOIN other o USING (id) ORDER BY note',
	'SELECT o.id, s.l FROM other o LEFT JOIN (SELECT id, upper(mail) AS l FROM c WHERE grp > 50) s USING (id) ORDER BY note',
	'SELECT id, lower(mail), row_number() OVER (ORDER BY x) FROM c ORDER BY grp, x',
	'SELECT DISTINCT ON (grp) grp, lower(mail) FROM c ORDER BY grp, x',
	'SELECT DISTINCT ON (x) x, lower(mail) FROM c',
	'SELECT grp, max(mail), min(mail), max(born), min(n) FROM c GROUP BY grp ORDER BY count(*), 1',
	q{SELECT grp, lower(max(mail)), min(mail) FILTER (WHERE x > 100) FROM c GROUP BY grp HAVING max(mail) > 'ada-secret-2' ORDER BY 1},
	'SELECT id, max(mail) OVER (PARTITION BY grp), min(n) OVER (ORDER BY id ROWS 3 PRECEDING) FROM c ORDER BY x',
	q{SELECT grp, array_agg(mail ORDER BY id) FROM c GROUP BY grp ORDER BY count(*), 1},
	'SELECT id, (SELECT upper(mail)) FROM c ORDER BY x',
	'SELECT id, l FROM (SELECT id, upper(mail) AS l, x FROM c ORDER BY x LIMIT 5999) s');

for my $query (@queries)
{
	my $sealed = $node->safe_psql('postgres', "$few BEGIN; DECLARE k CURSOR FOR $query; MOVE 1 FROM k; $look; COMMIT");

	is($sealed, 't|f', "a file, without what is in it: $query");
	is($node->safe_psql('postgres', "SET search_path = sealed, public; $query"),
		$node->safe_psql('postgres', "SET search_path = plain, public; $query"), 'the answer');
}

# What the client is told of a column
my $types = join '; ', map { "$_ \\gdesc" } 'SELECT mail::varchar(20), born::timestamp(3), n::numeric(9, 2) FROM c ORDER BY x',
	'SELECT max(mail), min(born), max(n) FROM c GROUP BY grp ORDER BY grp';
$types =~ s/; /\n/;
is($node->safe_psql('postgres', "SET search_path = sealed;\n$types"), $node->safe_psql('postgres', "SET search_path = plain;\n$types"),
	'types of columns, with their modifiers');

# Prepared, in functions, by several processes
for my $sql ('SELECT * FROM f() ORDER BY l LIMIT 20',
	q{PREPARE p(int) AS SELECT id, lower(mail) FROM c WHERE x > $1 ORDER BY x; SET plan_cache_mode = force_generic_plan; EXECUTE p(5990); EXECUTE p(5995)},
	q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
	SELECT grp % 7, max(mail), min(born) FROM c GROUP BY 1 ORDER BY 1; SELECT id, lower(mail) FROM c ORDER BY x LIMIT 100},
	'CREATE TEMP TABLE made AS SELECT id, lower(mail) AS l, max(mail) OVER (PARTITION BY grp) AS m FROM c ORDER BY x; SELECT * FROM made ORDER BY id LIMIT 100',
	q{DO $$DECLARE r record; n int := 0; BEGIN FOR r IN SELECT lower(mail) AS l FROM c ORDER BY x LOOP n := n + hashtext(r.l) % 10; END LOOP; RAISE NOTICE '%', n; END$$})
{
	is($node->safe_psql('postgres', "SET search_path = sealed, public; $sql"), $node->safe_psql('postgres', "SET search_path = plain, public; $sql"), $sql);
}

# Without the privilege
$node->safe_psql('postgres', q{CREATE ROLE e LOGIN; GRANT USAGE ON SCHEMA sealed TO e; GRANT SELECT ON ALL TABLES IN SCHEMA sealed TO e});
for my $query ('SELECT id, lower(mail) FROM c ORDER BY x', 'SELECT x % 7, max(mail) FROM c GROUP BY 1 ORDER BY count(*)',
	'SELECT grp, max(mail) FROM c GROUP BY grp ORDER BY count(*)', 'SELECT id, max(n) OVER (PARTITION BY grp) FROM c ORDER BY x',
	'SELECT pgseal_internal.sealed_max(n) OVER (PARTITION BY x % 7) FROM c')
{
	like(($node->psql('postgres', "SET search_path = sealed; $query", extra_params => [ '-U', 'e' ]))[2], qr/permission denied/, "denied: $query");
}
is($node->safe_psql('postgres', q{SET search_path = sealed; SET pgseal.on_denied = 'null'; SELECT DISTINCT x % 7 IS NULL, max(mail), min(n) FROM c GROUP BY x % 7 ORDER BY 1},
		extra_params => [ '-U', 'e' ]), 'f||', 'or NULL');
$node->stop;
done_testing();
