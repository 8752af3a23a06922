# What PostgreSQL has since a later version than 15, on encrypted columns: it
# works as on plain ones, and shows no value to whom it shouldn't.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('versions', conf => q{
timezone = 'Europe/Berlin'
log_statement = none
log_min_error_statement = panic
log_min_messages = notice
});
my $version = $node->pg_version =~ s/\D.*//r;

sub same
{
	my ($sql, $expected, $name) = @_;
	my ($stdout, $stderr);

	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	is($stdout . $stderr, $expected, $name);
}

# Fails with an error like this
sub fails
{
	my ($sql, $pattern, $name) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql);

	ok($status != 0 && $stderr =~ $pattern, $name) or diag("$status: $stdout$stderr");
}

$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, v encrypted_text, n encrypted_int4, b encrypted_bytea, j encrypted_jsonb, ts encrypted_timestamp);
	INSERT INTO t VALUES (1, 'ada', 5000, '\x0102', '{"a": [1, 2, {"b": "x"}]}', '2020-01-01 12:00'),
		(2, 'bob', 3000, '\xff', '{"a": [3]}', NULL)});

#
# COPY and its messages
#

$node->safe_psql('postgres', q{
	CREATE TABLE c (a text, n encrypted_int4, j encrypted_jsonb, d encrypted_date);
	CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'warned'; RETURN new; END$$;
	CREATE TRIGGER warn BEFORE INSERT ON c FOR EACH ROW WHEN (new.a = 'warn') EXECUTE FUNCTION warn()});
my $canary = reverse 'yranac';
my ($stdout, $stderr);

$node->psql('postgres', qq{COPY c FROM stdin;\nwarn\t4711\t"$canary"\t2020-01-01\n\\.\n}, stderr => \$stderr);
like($stderr, qr/WARNING:  warned/, 'a trigger of COPY warns');
is($node->safe_psql('postgres', 'SELECT n, j FROM c'), qq(4711|"$canary"), 'the row is there');

my $rows = join '', map { "$_\n" } "one\t1\t{}\t2020-01-01", "two\t$canary\t{}\t2020-01-01", "three\t3\t{\"$canary\"\t2020-01-01",
  "four\tpgseal:1:$canary\t{}\t2020-01-01", "five\t5\t{}\t2020-01-05";
SKIP:
{
	skip 'needs PostgreSQL 17', 4 if $version < 17;
	$node->psql('postgres', "TRUNCATE c; COPY c FROM stdin (ON_ERROR ignore, LOG_VERBOSITY verbose);\n$rows\\.\n", stderr => \$stderr);
	unlike($stderr, qr/$canary/, 'LOG_VERBOSITY verbose: no value');
	like($stderr, qr/at line 2 for column "n"\n.* at line 3 for column "j"\n.* at line 4 for column "n"\n/s,
		'but the line and the column');
	same('SELECT a, n, d FROM c', "one|1|2020-01-01\nfive|5|2020-01-05", 'ON_ERROR ignore: the other rows are there');
	like(slurp_file($node->logfile), qr/skipping row/, 'the log has these messages, too');
}
fails("COPY c FROM stdin;\n$rows\\.\n", qr/^psql:<stdin>:\d+: ERROR:  invalid input for type encrypted_int4$/m, 'by default it is an error');
unlike(slurp_file($node->logfile), qr/$canary|4711/, 'and no value is in the log');

#
# SQL/JSON, functions, casts
#

SKIP:
{
	skip 'needs PostgreSQL 16', 5 if $version < 16;
	same('SELECT any_value(v), any_value(n) FROM t WHERE id = 1', 'ada|5000', 'any_value');
	same('SELECT array_shuffle(ARRAY[n]), random_normal(n, 0) FROM t WHERE id = 1', '{5000}|5000', 'functions of 16');
	same(q{SELECT JSON_OBJECT(v: n, 'k': v RETURNING jsonb), JSON_ARRAY(v, n, j->'a'->0), v IS JSON FROM t WHERE id = 1},
		'{"k": "ada", "ada": 5000}|["ada", 5000, 1]|f', 'JSON_OBJECT, JSON_ARRAY, IS JSON');
	same('SELECT JSON_OBJECTAGG(v: n ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb), JSON_ARRAYAGG(v ORDER BY v) FROM t',
		'{"ada": 5000, "bob": 3000}|["ada", "bob"]', 'JSON_OBJECTAGG, JSON_ARRAYAGG');
	same(q{SELECT pg_input_is_valid('12', 'encrypted_int4'), pg_input_is_valid('1x', 'encrypted_int4'), pg_input_is_valid('pgseal:1:AA', 'encrypted_int4'),
			message FROM pg_input_error_info('1x', 'encrypted_int4')}, 't|f|f|invalid input for type encrypted_int4', 'pg_input_is_valid');
}
SKIP:
{
	skip 'needs PostgreSQL 17', 7 if $version < 17;
	same('SELECT to_bin(n), to_oct(n) FROM t WHERE id = 1', '1001110001000|11610', 'functions of 17');
	# Of a jsonb, plain or not, PostgreSQL's JSON_SERIALIZE makes text of the binary form
	same(q{SELECT JSON_VALUE(j, '$.a[0]'), JSON_QUERY(j, '$.a'), JSON_EXISTS(j, '$.a[2]'), JSON_SCALAR(v), JSON_SERIALIZE(j::json) FROM t WHERE id = 2},
		'3|[3]|f|"bob"|{"a": [3]}', 'JSON_VALUE, JSON_QUERY, JSON_EXISTS, JSON_SCALAR, JSON_SERIALIZE');
	same(q{SELECT x.* FROM t, JSON_TABLE(t.j, '$.a[*]' COLUMNS (e encrypted_int4 PATH '$' DEFAULT 7 ON ERROR, o FOR ORDINALITY)) AS x WHERE id = 1},
		"1|1\n2|2\n7|3", 'JSON_TABLE with an encrypted column');
	same('SELECT ts AT LOCAL = ts::timestamp AT LOCAL, pg_typeof(ts AT LOCAL) FROM t WHERE id = 1', 't|timestamp with time zone', 'AT LOCAL');
	same(q{MERGE INTO t USING (VALUES (1, 'ida'), (3, 'cid')) AS s (id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v
		WHEN NOT MATCHED THEN INSERT (id, v, n) VALUES (s.id, s.v, 1) RETURNING merge_action(), t.v, t.n}, "UPDATE|ida|5000\nINSERT|cid|1", 'MERGE RETURNING');
	same(q{MERGE INTO t USING (VALUES (1, 'ada')) AS s (id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v
		WHEN NOT MATCHED BY SOURCE AND t.v = 'cid' THEN DELETE RETURNING merge_action(), t.v}, "UPDATE|ada\nDELETE|cid", 'NOT MATCHED BY SOURCE');
	unlike($node->safe_psql('postgres', 'EXPLAIN (ANALYZE, VERBOSE, SERIALIZE, MEMORY) SELECT v, n FROM t'), qr/ada|5000/, 'EXPLAIN (SERIALIZE)');
}
SKIP:
{
	skip 'needs PostgreSQL 18', 11 if $version < 18;
	same('UPDATE t SET n = n + 1 WHERE id = 1 RETURNING old.n, new.n, n, old.v', '5000|5001|5001|ada', 'RETURNING old, new');
	same(q{UPDATE t SET n = 5000 WHERE id = 1 RETURNING (old).n, old, new},
		join('|', 5001, map { qq{(1,ada,$_,"\\\\x0102","{""a"": [1, 2, {""b"": ""x""}]}","2020-01-01 12:00:00")} } 5001, 5000), 'RETURNING whole rows');
	same(q{SELECT casefold(v), reverse(b), crc32(b), n::bytea, b::int8, 7::int2::encrypted_bytea, array_sort(ARRAY[n, 1]) FROM t WHERE id = 1},
		'ada|\x0201|3066839698|\x00001388|258|\x0007|{1,5000}', 'functions and casts of 18');
	fails('CREATE TABLE g (v encrypted_text, l text GENERATED ALWAYS AS (lower(v)) VIRTUAL)', qr/not immutable/, 'no virtual generated column of an opened value');
	fails('CREATE TABLE g (v encrypted_text, w encrypted_text GENERATED ALWAYS AS (v) VIRTUAL)', qr/virtual generated column/, 'nor of an encrypted type');
	fails('CREATE TABLE g (v encrypted_int4, r int4range, PRIMARY KEY (v, r WITHOUT OVERLAPS))', qr/cannot index encrypted column/, 'no key WITHOUT OVERLAPS');
	same(q{CREATE TABLE nn (v encrypted_text); INSERT INTO nn VALUES (NULL); ALTER TABLE nn ADD CONSTRAINT nn NOT NULL v NOT VALID;
		UPDATE nn SET v = 'x'; ALTER TABLE nn VALIDATE CONSTRAINT nn; SELECT v FROM nn}, 'x', 'NOT NULL, NOT VALID');
	fails('INSERT INTO nn VALUES (NULL)', qr/violates not-null constraint/, 'it holds');
	same('SELECT v, n, count(*) FROM t GROUP BY ROLLUP (v, n) ORDER BY v, n', "ada|5000|1\nada||1\nbob|3000|1\nbob||1\n||2", 'GROUP BY');

	# Statistics travel with a dump
	$node->safe_psql('postgres', 'CREATE INDEX ON t (blind_index(v)); ANALYZE t');
	my ($dump, $errors) = run_command([ 'pg_dump', '--statistics-only', '-d', $node->connstr('postgres') ]);
	like($dump, qr/pg_restore_attribute_stats\(.*?'v'/s, 'pg_dump --statistics-only has the column');
	unlike($dump, qr/'most_common_vals', '(?!\{\d)|\b(?:ada|bob)\b/, 'but no value');
}

$node->stop;
done_testing();
