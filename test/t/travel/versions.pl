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
pgseal.worker_interval = 1
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

$node->safe_psql('postgres', q{CREATE TABLE texts (doc encrypted_text, d encrypted_date DEFAULT '2020-01-01', i encrypted_int4 DEFAULT 2, ts encrypted_timestamptz DEFAULT '2020-01-01 00:00')});
$node->safe_psql('postgres', q{ALTER TABLE texts ADD CHECK (JSON_ARRAY(doc FORMAT JSON)::text <> '[{"a": [3]}]')}) if $version >= 16;
$node->safe_psql('postgres', q{INSERT INTO texts VALUES ('{"a": [1, 2]}')});
same(q{SELECT doc::json, doc::json->'a', json_build_array(doc), row_to_json(ROW(doc)) FROM texts},
	join('|', '{"a": [1, 2]}', '[1, 2]', '["{\"a\": [1, 2]}"]', '{"f1":"{\"a\": [1, 2]}"}'), 'a cast to json parses, functions make a string');
same(q{PREPARE casts (text) AS SELECT $1 || (doc::json->'a')::text FROM texts GROUP BY (doc::json->'a')::text; EXECUTE casts('x')}, 'x[1, 2]', 'so in a prepared statement');
same(q{CREATE FUNCTION first(encrypted_text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN $1::json->'a'->>0; END$$; SELECT first(doc) FROM texts}, '1', 'and in an expression of PL/pgSQL');

SKIP:
{
	skip 'needs PostgreSQL 16', 7 if $version < 16;
	same('SELECT any_value(v), any_value(n) FROM t WHERE id = 1', 'ada|5000', 'any_value');
	same('SELECT array_shuffle(ARRAY[n]), random_normal(n, 0) FROM t WHERE id = 1', '{5000}|5000', 'functions of 16');
	same(q{SELECT JSON_OBJECT(v: n, 'k': v RETURNING jsonb), JSON_ARRAY(v, n, j->'a'->0), v IS JSON FROM t WHERE id = 1},
		'{"k": "ada", "ada": 5000}|["ada", 5000, 1]|f', 'JSON_OBJECT, JSON_ARRAY, IS JSON');
	same('SELECT JSON_OBJECTAGG(v: n ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb), JSON_ARRAYAGG(v ORDER BY v) FROM t',
		'{"ada": 5000, "bob": 3000}|["ada", "bob"]', 'JSON_OBJECTAGG, JSON_ARRAYAGG');
	same(q{SELECT pg_input_is_valid('12', 'encrypted_int4'), pg_input_is_valid('1x', 'encrypted_int4'), pg_input_is_valid('pgseal:1:AA', 'encrypted_int4'),
			message FROM pg_input_error_info('1x', 'encrypted_int4')}, 't|f|f|invalid input for type encrypted_int4', 'pg_input_is_valid');
	same(q{SELECT JSON_OBJECT('k': doc FORMAT JSON), JSON_ARRAY(doc FORMAT JSON, doc), JSON_ARRAY(SELECT doc FROM texts FORMAT JSON),
			JSON_OBJECTAGG(doc: doc FORMAT JSON), JSON_ARRAYAGG(doc FORMAT JSON) FROM texts GROUP BY doc},
		join('|', '{"k" : {"a": [1, 2]}}', '[{"a": [1, 2]}, "{\"a\": [1, 2]}"]', '[{"a": [1, 2]}]', '{ "{\"a\": [1, 2]}" : {"a": [1, 2]} }', '[{"a": [1, 2]}]'),
		'FORMAT JSON parses what an encrypted text holds');
	fails(q{INSERT INTO texts VALUES ('{"a": [3]}')}, qr/violates check constraint/, 'also in a check');
}
SKIP:
{
	skip 'needs PostgreSQL 17', 13 if $version < 17;
	same('SELECT JSON(doc), JSON_SERIALIZE(doc), JSON(doc WITH UNIQUE KEYS) FROM texts', join('|', ('{"a": [1, 2]}') x 3), 'JSON, JSON_SERIALIZE of text');
	same(q{SELECT JSON_EXISTS('"2020-01-02"'::jsonb, '$ ? (@.datetime() > $d)' PASSING d AS d), JSON_VALUE(j, '$.a[*] ? (@ == $i)' PASSING i AS i),
			JSON_VALUE(j, '$doc' PASSING doc AS doc), JSON_VALUE(j, '$doc.a[1]' PASSING doc FORMAT JSON AS doc),
			JSON_EXISTS('"2020-01-02T00:00:00Z"'::jsonb, '$ ? (@.timestamp_tz() > $t)' PASSING texts.ts AS t) FROM t, texts WHERE id = 1},
		't|2|{"a": [1, 2]}|2|t', 'PASSING values to a path');
	same(q{SELECT x.* FROM t, texts, JSON_TABLE(j, '$.a[*] ? (@ < $i)' PASSING i AS i, d AS d COLUMNS (e int PATH '$', later bool EXISTS PATH '$ ? ("2020-01-02".datetime() > $d)')) AS x WHERE id = 1},
		'1|t', 'PASSING of JSON_TABLE');
	$node->safe_psql('postgres', q{CREATE VIEW passing AS SELECT JSON_EXISTS('"2020-01-02"'::jsonb, '$ ? (@.datetime() > $d)' PASSING d AS d) AS later FROM texts});
	same('SELECT later FROM passing', 't', 'PASSING in a view');
	$node->safe_psql('postgres', q{ALTER TABLE texts ADD CHECK (JSON_EXISTS('"2020-01-02"'::jsonb, '$ ? (@.datetime() > $d)' PASSING d AS d))});
	same(q{INSERT INTO texts (d) VALUES ('2019-01-01') RETURNING d}, '2019-01-01', 'PASSING in a check');
	fails(q{INSERT INTO texts (d) VALUES ('2021-01-01')}, qr/violates check constraint/, 'which holds');
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
	skip 'needs PostgreSQL 18', 14 if $version < 18;
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

	# A table that has what is new in 18 is converted as any other
	$node->safe_psql('postgres', q{
		CREATE EXTENSION btree_gist;
		CREATE TABLE converted (id int PRIMARY KEY, v text CONSTRAINT named NOT NULL, n int CONSTRAINT positive CHECK (n > 0) NOT ENFORCED, during daterange,
			twice int CONSTRAINT there NOT NULL GENERATED ALWAYS AS (id * 2), thrice int GENERATED ALWAYS AS (id * 3) STORED, UNIQUE (id, during WITHOUT OVERLAPS));
		INSERT INTO converted VALUES (1, 'ada', -1, '[2020-01-01,2021-01-01)'), (2, 'bob', 1, NULL)});
	my $constraints = q{SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated, E'\n' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'converted'::regclass};
	my $before = $node->safe_psql('postgres', $constraints);
	$node->safe_psql('postgres', "CALL pgseal.encrypt_column('converted', '$_')") for 'v', 'n';
	is($node->safe_psql('postgres', "TABLE converted; $constraints"), "1|ada|-1|[2020-01-01,2021-01-01)|2|3\n2|bob|1||4|6\n$before", 'encrypt_column() beside virtual columns and keys WITHOUT OVERLAPS');
	fails(q{INSERT INTO converted VALUES (1, 'x', 1, '[2020-06-01,2020-07-01)')}, qr/violates|conflicts/, 'the keys hold');
	$node->safe_psql('postgres', "CALL pgseal.decrypt_column('converted', '$_')") for 'v', 'n';
	is($node->safe_psql('postgres', "TABLE converted; $constraints"), "1|ada|-1|[2020-01-01,2021-01-01)|2|3\n2|bob|1||4|6\n$before", 'and back');

	# Statistics travel with a dump
	$node->safe_psql('postgres', 'CREATE INDEX ON t (blind_index(v)); ANALYZE t');
	my ($dump, $errors) = run_command([ 'pg_dump', '--statistics-only', '-d', $node->connstr('postgres') ]);
	like($dump, qr/pg_restore_attribute_stats\(.*?'v'/s, 'pg_dump --statistics-only has the column');
	unlike($dump, qr/'most_common_vals', '(?!\{\d)|\b(?:ada|bob)\b/, 'but no value');
}

# The condition of a MERGE finds the index, as that of a join does
$node->safe_psql('postgres', q{CREATE TABLE merged (id int, v encrypted_text); INSERT INTO merged SELECT i, 'v' || i FROM generate_series(1, 9) i; CREATE INDEX by_token ON merged (blind_index(v))});
like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN MERGE INTO merged m USING (SELECT 1) s ON $_ WHEN MATCHED THEN DELETE"), qr/on by_token|using by_token/, "MERGE ... ON $_")
  for "m.v = 'v1'", "m.v IN ('v1', 'v2')", "m.v = 'v1' OR m.v = 'v2'", "upper('V1') = m.v::text";
SKIP:
{
	skip 'needs PostgreSQL 18', 1 if $version < 18;
	$node->safe_psql('postgres', 'CREATE INDEX by_value ON merged USING sealed (v)');
	like($node->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN (ANALYZE) SELECT id FROM merged WHERE v > 'v3'"), qr/by_value.*Index Searches: 1\b/s, 'a search of a sealed index counts');
}

# The worker has all the time that it needs
SKIP:
{
	skip 'needs PostgreSQL 17', 1 if $version < 17;
	$node->safe_psql('postgres', q{
		CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN $1; END';
		CREATE TABLE patient (id int, v encrypted_text);
		INSERT INTO patient VALUES (1, 'x');
		CREATE INDEX ON patient (slow(id), blind_index(v))});
	$node->safe_psql('postgres', $_) for "ALTER DATABASE postgres SET transaction_timeout = '1s'", "SELECT pgseal.rotate_key('public.patient')";
	ok($node->poll_query_until('postgres', "SELECT sum(stale) = 0 FROM pgseal.verify_table('patient')"), 'transaction_timeout does not end the worker');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET transaction_timeout');
}

# Since 18, what is grouped by is a column of its own
same('SELECT ROW(v, 1), concat(ROW(v, 1)), ARRAY[ROW(v, 1)] FROM t WHERE id < 3 GROUP BY ROW(v, 1) ORDER BY ROW(v, 1)',
	join("\n", map { qq{($_,1)|($_,1)|{"($_,1)"}} } 'ada', 'bob'), 'rows that are grouped by');

$node->stop;
done_testing();
