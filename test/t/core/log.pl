# What PostgreSQL itself says of an opened value that it can't compute with: all
# of it to the client, who may open it, and none of it to the log.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('log', conf => q{
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_min_messages = debug1
log_error_verbosity = verbose
log_statement = none
});
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, v encrypted_text, n encrypted_int8, d encrypted_numeric);
	INSERT INTO t SELECT i, reverse('yrana') || 'c' || i, 4611686018427387904, 1e60
		FROM generate_series(1, 2000) i;
	CREATE TABLE plain AS SELECT 'pelican7'::text AS v;
	CREATE FUNCTION again() RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			RETURN (SELECT v::text::int FROM t WHERE id = 1);
		EXCEPTION WHEN invalid_text_representation THEN RAISE;
		END $$;
	CREATE PROCEDURE later() LANGUAGE plpgsql AS $$
		DECLARE kept text := (SELECT v::text FROM t WHERE id = 3);
		BEGIN
			COMMIT;
			PERFORM kept::int;
		END $$;
	CREATE FUNCTION built() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			EXECUTE format('SELECT %L::int', (SELECT v::text FROM t WHERE id = 4));
		END $$;
	CREATE FUNCTION raised() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			RAISE data_exception USING MESSAGE = (SELECT v::text FROM t WHERE id = 5);
		END $$});

sub logs
{
	my $dir = $node->data_dir . '/log';
	return join '', map { slurp_file($_) } glob("$dir/*");
}

# The client's message, after the log has it too
sub fails
{
	my ($sql) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', $sql);

	isnt($status, 0, "fails: $sql");
	return $stderr;
}

my %client = (
	'SELECT v::int FROM t WHERE id = 1' => qr/invalid input syntax for type integer: "anaryc1"/,
	'SELECT v::date FROM t WHERE id = 1' => qr/anaryc1/,
	'SELECT v::text::json FROM t WHERE id = 1' => qr/JSON data, line 1: anaryc1/,
	'SELECT v::numeric, count(*) FROM t GROUP BY 1' => qr/anaryc\d/,
	'SELECT n + n FROM t' => qr/bigint out of range/,
	'CALL later()' => qr/anaryc3/,
	'SELECT built()' => qr/anaryc4/,
	'SELECT raised()' => qr/anaryc5/,
	'SELECT again()' => qr/anaryc1.*again\(\) line/s,
	'BEGIN; SELECT count(v::text) FROM t; SELECT v::int FROM t WHERE id = 2' => qr/anaryc2/,
	q{DO $$ DECLARE name text; BEGIN SELECT v::text FROM t WHERE id = 1 INTO name;
	  EXECUTE format('COPY plain FROM %L', '/nowhere/' || name); END $$} => qr/anaryc1" for reading: No such file/,
	'SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	 SET min_parallel_table_scan_size = 0; SELECT sum(length(v)) FROM t WHERE v::text::int > 0' => qr/anaryc\d/);

for my $sql (sort keys %client)
{
	my $run = $sql;

	$run =~ s/force_parallel_mode/debug_parallel_query/ if $node->pg_version->major >= 16;
	like(fails($run), $client{$sql}, 'the client is told');
}

# What is passed to a parameter for an encrypted column and is no such value, by EXECUTE
# (which psql logs as a statement, too) and by the protocol
like(fails(q{PREPARE p AS UPDATE t SET n = $1 WHERE id = $2; EXECUTE p('anaryc6', 1)}), qr/anaryc6/, 'the client is told of a parameter');
my $bench = $PostgreSQL::Test::Utils::tmp_check . '/log.bench';
append_to_file($bench, q{\set id 7
UPDATE t SET n = :n WHERE id = :id;
});
for my $mode (qw(extended prepared))
{
	my ($out, $err);
	IPC::Run::run([ 'pgbench', '-n', '-M', $mode, '-t', 1, '-D', 'n=anaryc8', '-f', $bench, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$err);
	like($err, qr/invalid input syntax for type bigint: "anaryc8"/, "and by the protocol, $mode");
}
like(fails('SELECT v::int FROM plain'), qr/pelican7/, 'a plain value');

# The last of what was said has reached all three files
my $plain = qr/invalid input syntax for type integer: \W{1,4}pelican7/;
my $log;
for (1 .. 100)
{
	$log = logs();
	last if (() = $log =~ /$plain/g) >= 3;
	sleep 1;
}
unlike($log, qr/anaryc/, 'no opened value is in any log');
is(scalar(() = $log =~ /$plain/g), 3,
	'of a plain value all is in the log, in each format');
like($log, qr/ERROR:  22P02: invalid input syntax for type %s: "%s"/, 'the kind of error is');
like($log, qr/could not open file "%s" for reading: No such file or directory/, 'with the reason of the operating system');
like($log, qr/Values are left out of the log/, 'and why it has no value');
like($log, qr/PL\/pgSQL function again\(\) line/, 'and where it happened');
like($log, qr/data exception \(SQLSTATE 22000\).*PL\/pgSQL function raised\(\) line \d+ at RAISE/s, 'of RAISE, its SQLSTATE and the line');

$node->stop;
done_testing();
