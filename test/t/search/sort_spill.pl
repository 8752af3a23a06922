# pgseal.sort_spill = error: what puts rows in the order of an encrypted column writes no
# temporary files, whichever way it orders them; all else may.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('sort_spill', conf => q{
jit = off
log_temp_files = 0
work_mem = '64kB'
});
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE TABLE t (id int, g int, v encrypted_text, p text);
INSERT INTO t SELECT g, g % 3, md5(g::text), md5(g::text) FROM generate_series(1, 3000) g;
CREATE INDEX t_v ON t USING sealed (v);
CREATE INDEX t_g ON t (g);
ANALYZE t;
CREATE FUNCTION by_function() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r record; n bigint := 0;
BEGIN
	FOR r IN SELECT id FROM t ORDER BY v LOOP n := n + 1; END LOOP;
	RETURN n;
END $$;
SQL

my %ordering = (
	'ORDER BY' => 'SELECT id FROM t ORDER BY v OFFSET 2999',
	'ORDER BY more' => 'SELECT id FROM t ORDER BY g, v OFFSET 2999',
	'incremental sort' => 'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT id FROM t ORDER BY g, v OFFSET 2999',
	'subquery' => 'SELECT count(*) FROM (SELECT v, row_number() OVER (ORDER BY v) AS n FROM t) x WHERE n > 5',
	'aggregate' => 'SELECT length(string_agg(p, NULL ORDER BY v)) FROM t',
	'DISTINCT in an aggregate' => 'SELECT count(DISTINCT v) FROM t',
	'merge join' => 'SET enable_hashjoin = off; SET enable_nestloop = off; SELECT count(*) FROM t a JOIN t b ON a.v = b.v',
	'CREATE TABLE AS' => 'CREATE TABLE made AS SELECT v FROM t ORDER BY v',
	'rows of an index kept' => 'SET enable_sort = off; BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT v, p FROM t ORDER BY v; COMMIT',
	'PL/pgSQL' => 'SELECT by_function()');

for my $what (sort keys %ordering)
{
	my $off = $what =~ /index|incremental/ ? '' : 'SET enable_indexscan = off; SET enable_bitmapscan = off;';
	my ($ret, $out, $err) = $node->psql('postgres', "SET pgseal.sort_spill = error; $off $ordering{$what}");
	like($err, qr/temporary file size exceeds/, "$what fails") or diag($out);
	($ret, $out, $err) = $node->psql('postgres', "SET pgseal.sort_spill = error; SET work_mem = '64MB'; $off $ordering{$what}");
	is($err, '', "$what in memory doesn't");
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS made; $off $ordering{$what}; DROP TABLE IF EXISTS made");
}
my ($ret, $out, $err) = $node->psql('postgres', 'SET pgseal.sort_spill = error; SET enable_indexscan = off; SELECT id FROM t ORDER BY v OFFSET 2999');
like($err, qr/pgseal\.sort_spill = error/, 'the error says why');

# What has no such order may spill, also after an error
for my $statement ('SELECT id FROM t ORDER BY p OFFSET 2999', 'SELECT count(*) FROM (SELECT DISTINCT p FROM t) x', 'SELECT count(*) FROM t a JOIN t b ON a.p = b.p')
{
	my $before = -s $node->logfile;
	($ret, $out, $err) = $node->psql('postgres', "SET pgseal.sort_spill = error; SET enable_indexscan = off; SELECT id FROM t ORDER BY v OFFSET 2999; $statement", on_error_stop => 0);
	unlike($err =~ s/.*\n//r, qr/temporary file/, $statement);
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile, $before), qr/temporary file: path/, 'it wrote one');
}
$node->safe_psql('postgres', 'CREATE ROLE somebody LOGIN');
($ret, $out, $err) = $node->psql('postgres', 'SET ROLE somebody; SET pgseal.sort_spill = allow');
like($err, qr/permission denied/, 'for superusers to set');

$node->stop;
done_testing();
