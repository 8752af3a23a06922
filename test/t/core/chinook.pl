# An application's database, plain and with its personal columns encrypted: the
# same statements give the same results, and afterwards no plaintext lies in
# anything that the server of the sealed one has written.
#
# Two clusters, so that the sealed one never held anything plain.  The scanner
# is shown to work on the other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../lib";
use IPC::Run;
use PgsealChinook qw(chinook_altered chinook_node chinook_script chinook_sealed chinook_tables);
use PgsealScan qw(log_without_statements scan_bytes scan_tree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %tables = chinook_tables();
my $plain = chinook_node('plain');
my $sealed = chinook_node('sealed');

# Returns what the client sees: rows, messages, exit status
sub run_psql
{
	my ($node, $database, $sql) = @_;
	my $text = $node == $sealed || $database ne 'plain' ? 'encrypted_text' : 'text';
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run(
		[
			'psql', '-XAqt', '-v', 'VERBOSITY=terse', '-v', "text=$text",
			'-P', 'null=<NULL>', '-d', $node->connstr($database)
		],
		'<', \$sql, '>', \$stdout, '2>', \$stderr);
	return ($stdout, $stderr);
}

sub load
{
	my ($node, $database, $script) = @_;
	my ($stdout, $stderr) = run_psql($node, $database, "SET log_statement = none;\n$script");

	is($stderr, '', "$database: the script runs without a message");
}

sub lines { return join "\n", sort split /\n/, $_[0] }

# is(), but of two long texts it shows the first lines that differ
sub same
{
	my ($got, $expected, $name) = @_;
	my ($first, @lines) = (0, map { [ split /\n/ ] } $got, $expected);

	return if ok($got eq $expected, $name);
	$first++ while ($lines[0][$first] // '') eq ($lines[1][$first] // '') && $first < @{ $lines[0] };
	diag("line $first, got:      " . ($lines[0][$first] // '(none)'));
	diag("line $first, expected: " . ($lines[1][$first] // '(none)'));
}

#
# Load
#

my $script = chinook_script();

$_->[0]->safe_psql('postgres', "CREATE DATABASE $_->[1]")
  foreach [ $plain, 'plain' ], [ $plain, 'convert' ], [ $sealed, 'sealed' ];
$plain->safe_psql('convert', 'CREATE EXTENSION pgseal');
$sealed->safe_psql('sealed', 'CREATE EXTENSION pgseal');

# The table employee gets its types by ALTER TABLE, before it has rows
my $sealed_script = chinook_sealed($script, employee => 1);
my $altered = chinook_altered('employee');
$sealed_script =~ s/(CREATE TABLE employee\n.*?^\);\n)/$1\n$altered\n/ms;

load($plain, 'plain', $script);
load($plain, 'convert', $script);
load($sealed, 'sealed', $sealed_script);

is($sealed->safe_psql('sealed', 'SELECT "table"::text, count(*), min(key) FROM pgseal.columns GROUP BY 1 ORDER BY 1'),
	join("\n", map { "$_|" . @{ $tables{$_} } . "|public.$_" } sort keys %tables),
	'the personal columns are encrypted, each table has its key');

# Converts tables that have rows, there and back
sub same_tables
{
	my ($name) = @_;

	foreach my $table (sort keys %tables)
	{
		my @outputs = map { (run_psql($plain, $_, "SELECT * FROM $table ORDER BY 1"))[0] } qw(plain convert);
		ok($outputs[0] ne '' && $outputs[0] eq $outputs[1], "$table: $name");
	}
}

my $count_sealed = join ' UNION ALL ',
  map { my $table = $_; map { "SELECT count(pgseal.inspect($_)) FROM $table" } @{ $tables{$table} } } sort keys %tables;

$plain->safe_psql('convert', chinook_altered($_)) foreach sort keys %tables;
same_tables('the same after ALTER TABLE to the encrypted types');
is( $plain->safe_psql('convert', "SELECT sum(count) FROM ($count_sealed) AS c"),
	$sealed->safe_psql('sealed', "SELECT sum(count) FROM ($count_sealed) AS c"),
	'ALTER TABLE has sealed as many values as the script did');
$plain->safe_psql('convert', "SET pgseal.allow_decryption = on; " . chinook_altered($_, 'plain')) foreach sort keys %tables;
same_tables('the same after ALTER TABLE back to the base types');
is($plain->safe_psql('convert', 'SELECT count(*) FROM pgseal.columns'), '0', 'no encrypted column is left');

#
# The application's statements
#

# What must not be found: what the plain server stores, and what it only sends.
# Values of the encrypted columns are collected before and after, for the
# statements change them.
my %stored;
my %sent;

sub collect_secrets
{
	foreach my $table (sort keys %tables)
	{
		foreach my $column (@{ $tables{$table} })
		{
			my $kept = $column =~ /_date$/ ? \%sent : \%stored;
			$kept->{ substr $_, 0, 60 } = 1
			  foreach grep { length >= 5 } split /\n/, $plain->safe_psql('plain', "SELECT $column FROM $table");
		}
	}
	foreach my $microseconds (split /\n/, $plain->safe_psql('plain',
		"SELECT (extract(epoch FROM d) * 1000000)::int8 - 946684800000000
		FROM employee, unnest(ARRAY[birth_date, hire_date]) AS d WHERE d IS NOT NULL"))
	{
		$stored{ pack('q', $microseconds) } = 1;
		$sent{ pack('q>', $microseconds) } = 1;
	}
}

collect_secrets();
$_->safe_psql('postgres', "ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()") foreach $plain, $sealed;

my @statements = split /^--- (.+)\n/m, slurp_file("$FindBin::Bin/../../chinook/application.sql");
my $num_statements = @statements / 2;
shift @statements;
cmp_ok($num_statements, '>=', 40, "$num_statements statements of an application");

while (my ($name, $sql) = splice @statements, 0, 2)
{
	my @plain = run_psql($plain, 'plain', $sql);
	my @sealed = run_psql($sealed, 'sealed', $sql);
	my $any_order = $name =~ /any order/;

	if ($name =~ /^error/)
	{
		isnt($plain[1], '', "$name: is an error");
	}
	else
	{
		is($plain[1], '', "$name: no message");
	}
	same($any_order ? lines($sealed[0]) : $sealed[0], $any_order ? lines($plain[0]) : $plain[0], "$name: result");
	if ($name =~ /without the value/)
	{
		like($sealed[1], qr/^ERROR:  invalid input for type encrypted_\w+\n\z/, "$name: message");
	}
	else
	{
		same($sealed[1], $plain[1], "$name: messages");
	}

	# The types of the result.  A column of the table has no length any more.
	if ($sql =~ /^(?:SELECT|WITH|TABLE)\b[^;]*;\s*\z/ && $name !~ /^error/)
	{
		my @types = map { (run_psql(@$_, $sql =~ s/;\s*\z/ \\gdesc\n/r))[0] }
		  [ $plain, 'plain' ], [ $sealed, 'sealed' ];

		s/\|(?:character varying(?:\(\d+\))?|text)(?=(?:\[\])?$)/|string/mg foreach @types;
		isnt($types[0], '', "$name: has columns");
		same($types[1], $types[0], "$name: types of the columns");
	}
}

# One switch off, and the sealed form is what there is
like($sealed->safe_psql('sealed', 'SET pgseal.transparent = off; SELECT email FROM customer LIMIT 1'),
	qr{^pgseal:1:[A-Za-z0-9+/]+=*$}, 'pgseal.transparent = off shows the sealed form');

#
# No plaintext
#

collect_secrets();

# What a plain column holds too may be found, and so may the words that every
# database knows, and short numbers, as OIDs are
my $elsewhere = join "\n", map {
	my $personal = join ',', @{ $tables{$_} // [] };
	$plain->safe_psql('plain', "SELECT to_jsonb(t) - '{$personal}'::text[] FROM $_ t")
} split /\n/, $plain->safe_psql('plain',
	"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('archive', 'letter')");
my $template0 = $plain->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'template0'");
my %known = scan_tree($plain->data_dir . "/base/$template0", keys %stored);

my $num_stored = keys %stored;
my @stored = grep { index($elsewhere, $_) < 0 && !$known{$_} && !/^\d{5,7}\z/ } sort keys %stored;
my @secrets = (@stored, sort keys %sent);
cmp_ok(scalar @stored, '>=', 0.8 * $num_stored, "of $num_stored plaintexts, " . @stored . ' are in no plain column');

sub none_found
{
	my ($name, %found) = @_;

	my @found = sort keys %found;

	splice @found, 5;
	is(join('', map { "$_: " . join(' ', ref $found{$_} ? @{ $found{$_} } : $found{$_}) . "\n" } @found), '', $name);
}

$_->safe_psql('postgres', 'CHECKPOINT') foreach $plain, $sealed;

# The scanner finds every one of them where they are
my %in_plain = scan_tree($plain->data_dir, @secrets);
is(join("\n", grep { !$in_plain{$_} } @stored), '', 'every plaintext is found in the data directory of the plain cluster');
cmp_ok(scalar(grep { grep { /pg_wal/ } @$_ } values %in_plain), '>', 0.9 * @stored, 'also in its WAL');

# Statistics
my ($table_list) = join ', ', sort keys %tables;
$_->safe_psql($_ == $plain ? 'plain' : 'sealed', "ANALYZE $table_list") foreach $plain, $sealed;
my $statistics = "SELECT string_agg(s::text, ' ') FROM pg_statistic s WHERE starelid = 'customer'::regclass";
my %in_statistics = scan_bytes($plain->safe_psql('plain', $statistics), @secrets);
cmp_ok(scalar keys %in_statistics, '>', 0, 'plaintexts are found in the statistics of the plain database');
none_found('none in those of the sealed one', scan_bytes($sealed->safe_psql('sealed', $statistics), @secrets));

# Spill files.  What a cursor has spilled stays while it is open.
my %nodes = (sort => 'SELECT email, c.* FROM customer c, generate_series(1, 100) ORDER BY last_name, first_name',
	distinct => 'SELECT DISTINCT email, address, n FROM customer, generate_series(1, 100) AS n ORDER BY address',
	hash_aggregate => 'SELECT email, city, n, count(*) FROM customer, generate_series(1, 100) AS n GROUP BY email, city, n',
	set_operation => 'SELECT email, n FROM customer, generate_series(1, 100) AS n UNION SELECT billing_address, n FROM invoice, generate_series(1, 20) AS n',
	hash_join => 'SELECT email, address FROM (SELECT email, n FROM customer, generate_series(1, 100) AS n OFFSET 0) AS a
		JOIN (SELECT email, address, n FROM customer, generate_series(1, 100) AS n OFFSET 0) AS b USING (email, n)',
	window => 'SELECT last_name, lag(email) OVER (ORDER BY phone, n), count(*) OVER () FROM customer, generate_series(1, 100) AS n',
	cte => 'WITH c AS MATERIALIZED (SELECT email, address, city, n FROM customer, generate_series(1, 100) AS n) SELECT email, city, (SELECT max(n) FROM c) FROM c');
my %spilling = map { $_ => "DECLARE c NO SCROLL CURSOR FOR $nodes{$_};\nFETCH 100 FROM c" } keys %nodes;

# PostgreSQL keeps these results for the client as they will be sent: opened.
my $many = 'SELECT email, address FROM customer, generate_series(1, 100)';
my %kept = (
	'a cursor WITH HOLD' => "DECLARE h CURSOR WITH HOLD FOR $many; COMMIT; FETCH 1 FROM h",
	'a SCROLL cursor' => "DECLARE s SCROLL CURSOR FOR $nodes{hash_aggregate}; FETCH LAST FROM s");

# Returns the needles that are in the files which the statements leave
sub scan_spilled
{
	my ($node, $database, $sql) = @_;
	my ($stdin, $stdout, $stderr) = ('', '', '');
	my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	my $psql = IPC::Run::start([ 'psql', '-XAqt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
		'<', \$stdin, '>', \$stdout, '2>', \$stderr, $timeout);

	$stdin = "SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0; SET enable_mergejoin = off; BEGIN;\n"
	  . "$sql;\n\\echo\n\\echo spilled\n";
	$psql->pump until $stdout =~ /^spilled$/m || !$psql->pumpable;
	my $directory = $node->data_dir . '/base/pgsql_tmp';
	my $spilled = grep { -s } glob "$directory/pgsql_tmp*";
	my %found = scan_tree($directory, @secrets);
	$stdin .= "\\q\n";
	$psql->finish;
	die "$database: $sql: $stderr" if $stderr;
	return ($spilled, %found);
}

foreach my $name (sort(keys %spilling), sort keys %kept)
{
	my $sql = $spilling{$name} // $kept{$name};
	my (undef, %in_plain) = scan_spilled($plain, 'plain', $sql);
	my ($spilled, %in_sealed) = scan_spilled($sealed, 'sealed', $sql);

	cmp_ok(scalar keys %in_plain, '>', 10, "$name: plaintexts are found in the spill files of the plain database");
	cmp_ok($spilled, '>', 0, "$name: the sealed one has some too");
	if ($kept{$name})
	{
		cmp_ok(scalar keys %in_sealed, '>', 0, "$name: a result kept for the client is opened, as docs/security.md says");
	}
	else
	{
		none_found("$name: with no plaintext", %in_sealed);
	}
}

# Dumps
foreach my $format ('--format=plain', '--inserts', '--format=custom --compress=0')
{
	my %found;
	foreach my $node ($plain, $sealed)
	{
		my $dump = '';
		IPC::Run::run([ 'pg_dump', split(' ', $format), '-d', $node->connstr($node == $plain ? 'plain' : 'sealed') ], '>', \$dump)
		  or die 'pg_dump failed';
		# In much base64, any five letters turn up sooner or later
		$dump =~ s{pgseal:1:[A-Za-z0-9+/]+=*}{pgseal:1:}g;
		$found{ $node->name } = { scan_bytes($dump, @secrets) };
	}
	cmp_ok(scalar keys %{ $found{plain} }, '>', 0.8 * @stored, "pg_dump $format: plaintexts of the plain database");
	none_found("pg_dump $format: none of the sealed one", %{ $found{sealed} });
}

# Everything, after a clean shutdown has written what there is to write
$_->stop foreach $plain, $sealed;
none_found('none in the data directory of the sealed cluster', scan_tree($sealed->data_dir, @secrets));

my $log = slurp_file($sealed->logfile);
cmp_ok(scalar(() = $log =~ /LOG:  statement:/g), '>=', $num_statements, 'the log has the statements');
my %in_log = scan_bytes($log, @secrets);
cmp_ok(scalar keys %in_log, '>', 0, 'and in them plaintexts, so it can be searched');

# One statement converts a name to an integer, on purpose: what PostgreSQL itself
# says of an opened value isn't pgseal's to hide (docs/security.md)
my $rest = log_without_statements($log);
$rest =~ s/invalid input syntax for type integer: ".*?"//g;
none_found('none in the rest of the log', scan_bytes($rest, @secrets));
like(log_without_statements(slurp_file($plain->logfile)), qr/Failing row contains .*Missingmail/,
	'where the plain one has them: in the details of errors');
my $redacted = log_without_statements($log);
like($redacted, qr/violates .*constraint/, 'there the sealed one names the constraint');
unlike($redacted, qr/Failing row contains .*Missingmail/, 'and not the row');

done_testing();
