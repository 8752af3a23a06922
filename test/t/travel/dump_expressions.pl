# What pg_dump writes without a schema is found when the dump is restored, where
# the search path is empty: operators in checks, views, triggers, policies,
# domains, rules, materialized views and function bodies, also those that SQL
# writes without naming them (IS DISTINCT FROM, NULLIF, CASE, IN, BETWEEN).  And
# each of them answers after it what it answered before.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->started('node');

$node->query('postgres', "CREATE DATABASE $_") for qw(origin restored again);
$node->query('origin', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE f (id int, amt encrypted_numeric, big encrypted_int8, n encrypted_int4, d encrypted_date,
		t encrypted_text, ts encrypted_timestamp, a encrypted_numeric, b encrypted_numeric);
	INSERT INTO f VALUES
		(1, 0.1, 9007199254740993, 5, '2024-01-31', 'x', '2024-01-31 10:11:12', 1, 1.0),
		(2, 0.2, 1, 6, '2024-02-01', 'y', '2024-01-31 10:11:12', 2, 3);
	CREATE TABLE checked (n encrypted_int4, CHECK (n IS DISTINCT FROM 7), CHECK (nullif(n, 8) IS NOT NULL OR n IS NULL));
	INSERT INTO checked VALUES (1), (2), (NULL);
	CREATE VIEW seen AS SELECT id, a IS DISTINCT FROM b AS distinct_from, nullif(n, 5) AS nullif, n BETWEEN 1 AND 5 AS between_two,
		CASE n WHEN 5 THEN 'five' ELSE 'other' END AS case_of, t LIKE 'x%' AS like_x, coalesce(t, 'q') AS coalesced, d - d AS days,
		date_trunc('minute', ts) AS minute, sum(amt) OVER () AS sum, n IN (5, 7) AS in_list, t = 'x' AS equal,
		n = ANY (ARRAY[5, 9]) AS any_of, (n, t) = (5, 'x') AS row_equal, greatest(n, 5) AS greatest, concat(t, n) AS concat
	FROM f;
	CREATE MATERIALIZED VIEW kept AS SELECT id, a IS NOT DISTINCT FROM b AS same, amt * 2 AS twice, extract(year FROM d) AS year,
		t || '!' AS cried FROM f;
	CREATE FUNCTION hundred() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id + 100; RETURN NEW; END';
	CREATE TRIGGER hundred BEFORE UPDATE ON f FOR EACH ROW WHEN (OLD.n IS DISTINCT FROM NEW.n AND NEW.t = 'x') EXECUTE FUNCTION hundred();
	CREATE DOMAIN d AS encrypted_int4('k') CHECK (VALUE IS DISTINCT FROM 7) CHECK (VALUE > 0);
	CREATE TABLE of_domain (x d);
	INSERT INTO of_domain VALUES (3);
	CREATE TABLE secured (id int, t encrypted_text);
	ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON secured USING (t IS NOT DISTINCT FROM 'mine' OR nullif(t, 'x') = 'yours') WITH CHECK (t <> 'no');
	INSERT INTO secured VALUES (1, 'mine'), (2, 'other'), (3, 'yours');
	CREATE FUNCTION body(int) RETURNS numeric LANGUAGE SQL BEGIN ATOMIC
		SELECT sum(amt) FROM f WHERE n IS DISTINCT FROM $1 AND t = 'x'; END;
	CREATE FUNCTION returned(encrypted_int4) RETURNS int LANGUAGE SQL RETURN nullif($1, 5) + 1;
	CREATE TABLE generated (s encrypted_text, token bytea GENERATED ALWAYS AS (blind_index(s)) STORED UNIQUE);
	INSERT INTO generated VALUES ('x');
	CREATE UNIQUE INDEX ON f (blind_index(t));
	CREATE TABLE ruled (id int, t encrypted_text);
	INSERT INTO ruled VALUES (1, 'a');
	CREATE RULE r AS ON UPDATE TO ruled WHERE OLD.t IS DISTINCT FROM NEW.t DO INSTEAD NOTHING;
	CREATE ROLE secured_reader;
	GRANT SELECT ON secured TO secured_reader;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO secured_reader;
EOSQL

# Whatever a statement says, its error included
sub says
{
	my ($db, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($db, $sql);
	return $stdout . ($stderr =~ s/^psql:<stdin>:\d+: //r =~ s/pgseal:1:\S+/sealed/r =~ s/\bpublic\.//r);
}

my %asks = (
	view => 'TABLE public.seen',
	'materialized view' => 'TABLE public.kept',
	rows => 'SELECT count(*), count(n) FROM public.checked',
	check => 'INSERT INTO public.checked VALUES (7)',
	'check by nullif' => 'INSERT INTO public.checked VALUES (8)',
	domain => 'SELECT 7::public.d',
	'rows of a domain' => 'TABLE public.of_domain',
	policy => 'SET ROLE secured_reader; SELECT id, t FROM public.secured ORDER BY id',
	'standard body' => 'SELECT public.body(6)',
	'returned expression' => "SELECT public.returned('6'), public.returned('5')",
	'generated column' => "SELECT s FROM public.generated WHERE s = 'x'",
	'unique index' => "INSERT INTO public.f (t) VALUES ('x')",
	'trigger' => "BEGIN; UPDATE public.f SET n = 77 WHERE t = 'x' RETURNING id; ROLLBACK",
	'rule' => "UPDATE public.ruled SET t = 'b'; TABLE public.ruled",
	'sums' => 'SELECT sum(amt), sum(big), avg(n) FROM public.f');
my %asked = map { $_ => says('origin', $asks{$_}) } keys %asks;

# The first answers, which are a plain column's
is($asked{view}, "1|f||t|five|t|x|0|2024-01-31 10:11:00|0.3|t|t|t|t|5|x5\n"
	. "2|t|6|f|other|f|y|0|2024-01-31 10:11:00|0.3|f|f|f|f|6|y6", 'expressions in a view');
is($asked{sums}, '0.3|9007199254740994|5.5000000000000000', 'sums');
like($asked{$_}, qr/violates check constraint/, "$_ refuses") for 'check', 'check by nullif', 'domain';
is($asked{policy}, "1|mine\n3|yours", 'a policy');

for ([ qw(origin restored) ], [ qw(restored again) ])
{
	my ($from, $to) = @$_;

	$node->run_ok([ 'pg_dump', '-f', "$dir/$from.sql", $from ], "$from is dumped");
	$node->run_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $to, '-f', "$dir/$from.sql" ], "and restored as $to");
	is(says($to, $asks{$_}), $asked{$_}, "$to: $_") for sort keys %asks;
	is(says($to, "SET search_path = ''; $asks{$_}"), $asked{$_}, "$to, without a search path: $_") for sort keys %asks;
}

unlike(slurp_file("$dir/origin.sql"), qr/pgseal_internal|OPERATOR\(/, 'nothing internal and no qualified operator in a dump');
$node->stop;
done_testing();
