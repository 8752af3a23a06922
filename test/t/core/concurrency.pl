# Many sessions at once: one unwrap of a key that all of them need, one version
# of a key that all of them use first, tables made side by side.
#
# The sessions queue up behind a lock and are let go together.  The master key
# comes from a command that writes a line for each call, so that it is known how
# often the keyring was really asked.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $num_sessions = 50;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $calls = "$directory/calls";
append_to_file($calls, '');
append_to_file("$directory/master_key", '00112233445566778899aabbccddeeff' x 2 . "\n");

my $node = SealedNode->started('main', conf => qq{
max_connections = @{[ $num_sessions + 30 ]}
pgseal.keyring_file = '$directory/keyring'
pgseal.worker_interval = 3600
});

sub new_database
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION pgseal');
	$node->safe_psql($name,
		"ALTER SERVER local_keyring OPTIONS (ADD command 'echo >>$calls && sleep 0.2 && cat $directory/master_key')");
}

sub num_calls { return scalar split /\n/, slurp_file($calls), -1 }

# Runs one script for each session, all at once; returns what they print
sub at_once
{
	my ($database, @scripts) = @_;
	my (@stdout, @stderr);
	my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

	my ($gate_in, $gate_out) = ('', '');
	my $holder = IPC::Run::start([ 'psql', '-XAqt', '-d', $node->connstr($database) ],
		'<', \$gate_in, '>', \$gate_out, '2>&1', $timeout);
	$gate_in = "SELECT pg_advisory_lock(1);\n\\echo closed\n";
	$holder->pump until $gate_out =~ /closed/ || !$holder->pumpable;

	# Scripts in files: IPC::Run would feed standard input to one at a time
	my @sessions = map {
		my $file = "$directory/script$_";
		unlink $file;
		append_to_file($file, "SET application_name = 'racer'; SELECT pg_advisory_lock_shared(1) \\g /dev/null\n$scripts[$_]\n");
		IPC::Run::start([ 'psql', '-XAqt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ],
			'<', \undef, '>', \$stdout[$_], '2>', \$stderr[$_], $timeout)
	} 0 .. $#scripts;
	$node->poll_query_until('postgres',
		"SELECT count(*) = @{[ scalar @scripts ]} FROM pg_stat_activity WHERE application_name = 'racer' AND wait_event_type = 'Lock'")
	  or die 'sessions do not queue up';
	$gate_in .= "\\q\n";
	$holder->finish;
	$_->finish foreach @sessions;
	return map { $stdout[$_] . $stderr[$_] =~ s/^psql:\S+ //mgr } 0 .. $#scripts;
}

sub distinct
{
	my %seen = map { $_ => 1 } @_;
	return join '', sort keys %seen;
}

sub versions
{
	my ($database, $condition) = @_;
	return $node->safe_psql($database,
		"SELECT key, purpose, count(*) FROM pgseal.key_versions WHERE $condition GROUP BY 1, 2 ORDER BY 1, 2");
}

#
# Cold start
#

new_database('cold');
$node->safe_psql('cold', q{
	CREATE TABLE person (id int PRIMARY KEY, name encrypted_text, born encrypted_date);
	INSERT INTO person SELECT n, 'Name ' || n, date '2000-01-01' + n FROM generate_series(1, 100) AS n;
});
$node->restart;

my $calls_before = num_calls();
is($node->safe_psql('cold', 'SELECT misses FROM pgseal.stat_cache'), '0', 'after the start nothing is in the cache');
is(distinct(at_once('cold', ('SELECT name, born FROM person WHERE id = 7;') x $num_sessions)),
	"Name 7|2000-01-08\n", "$num_sessions sessions read at once");
is($node->safe_psql('cold', 'SELECT misses, failures FROM pgseal.stat_cache'), '1|0', 'one of them has unwrapped the key');
is(num_calls() - $calls_before, 1, 'the keyring was asked once');
cmp_ok($node->safe_psql('cold', 'SELECT waits FROM pgseal.stat_cache'), '>', 0, 'others have waited for it');

is(distinct(at_once('cold', ("SELECT count(*), max(name), max(born) FROM person;\nSELECT name FROM person ORDER BY born DESC LIMIT 1;") x 10)),
	"100|Name 99|2000-04-10\nName 100\n", 'later ones read too');
is(num_calls() - $calls_before, 1, 'and ask nobody');

#
# First use of the default key, which nobody has made.  A dump's schema comes
# without keys: so does a database whose keys are taken away here.
#

new_database('first');
$node->safe_psql('first', q{
	CREATE TABLE literal (id int, v encrypted_text);
	ALTER TABLE pgseal.key DISABLE TRIGGER guard;
	ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
	DELETE FROM pgseal.key_version WHERE key = 'default';
	DELETE FROM pgseal.key WHERE name = 'default';
});
is(versions('first', "key = 'default'"), '', 'there is no default key');
# Before its column is known, a literal is sealed under the default key
is(distinct(at_once('first', map { "INSERT INTO literal VALUES ($_, 'literal $_');" } 1 .. $num_sessions)),
	'', "$num_sessions sessions use the default key first");
is(versions('first', "key = 'default'"), "default|data|1\ndefault|index|1", 'one of them has made it');
is($node->safe_psql('first', "SELECT count(*) FROM literal WHERE v::text = 'literal ' || id"), $num_sessions, 'all values are readable');
is($node->safe_psql('first', 'SELECT DISTINCT (pgseal.inspect(v)).key FROM literal'), 'public.literal', "and sealed under the table's key");

#
# First use of a key that a column has declared
#

$node->safe_psql('first', q{
	CREATE TABLE a (id int, v encrypted_text('declared_a'));
	CREATE TABLE b (id int, v encrypted_int4('declared_b'));
	DELETE FROM pgseal.key_version WHERE key LIKE 'declared%';
	DELETE FROM pgseal.key WHERE name LIKE 'declared%';
});
is(versions('first', "key LIKE 'declared%'"), '', 'two keys are declared and not made');

# Every third is rolled back, maybe the one that makes the key; the snapshots of
# others are older than the key
is( distinct(at_once('first', map {
			my $begin = $_ % 3 == 1 ? 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM a WHERE false' : 'BEGIN';
			my $end = $_ % 3 ? 'COMMIT' : 'ROLLBACK';
			"$begin; INSERT INTO a VALUES ($_, 'declared $_'); INSERT INTO b VALUES ($_, $_); SELECT v FROM b WHERE id = $_ AND v <> $_; $end;"
		} 1 .. $num_sessions)),
	'', "$num_sessions sessions use two declared keys first");
my $num_committed = grep { $_ % 3 } 1 .. $num_sessions;
is(versions('first', "key LIKE 'declared%' AND purpose = 'data'"), "declared_a|data|1\ndeclared_b|data|1", 'each was made once');
is($node->safe_psql('first', "SELECT count(*) FROM a JOIN b USING (id) WHERE a.v::text = 'declared ' || id AND b.v = id"),
	$num_committed, 'what was committed is readable');
$node->restart;
is($node->safe_psql('first', "SELECT count(*) FROM a JOIN b USING (id) WHERE a.v::text = 'declared ' || id AND b.v = id"),
	$num_committed, 'also after a restart');

#
# CREATE TABLE
#

new_database('tables');
is( distinct(at_once('tables', map {
			"CREATE TABLE t$_ (id int, own encrypted_text, common encrypted_numeric('common'));
			INSERT INTO t$_ VALUES ($_, 'text of $_', $_.50);
			SELECT own = 'text of ' || id, common FROM t$_ WHERE common <> id + 0.5;"
		} 1 .. $num_sessions)),
	'', "$num_sessions sessions make tables with their own and with a common key");
is($node->safe_psql('tables', q{SELECT count(*), count(DISTINCT key) FROM pgseal.key_versions WHERE key LIKE 'public.t%' AND purpose = 'data'}),
	"$num_sessions|$num_sessions", 'each table has its key');
is(versions('tables', "key = 'common' AND purpose = 'data'"), 'common|data|1', 'the common one was made once');
is(distinct(map { $node->safe_psql('tables', join ';', map { "SELECT own = 'text of $_' AND common = $_.5 FROM t$_" } $_ * 10 + 1 .. $_ * 10 + 10) . "\n" } 0 .. 4),
	"t\n" x 10, 'all values are readable');

# The same table: one makes it, and what the others tried leaves no key behind
is( distinct(at_once('tables', map {
			"SET client_min_messages = error; CREATE TABLE IF NOT EXISTS same (id int, v encrypted_text);
			INSERT INTO same VALUES ($_, 'same $_');"
		} 1 .. 10)) =~ s/ERROR:  duplicate key value violates unique constraint "pg_type_typname_nsp_index"\nDETAIL:.*\n|//r,
	'', '10 sessions make the same table');
is(versions('tables', "key = 'public.same' AND purpose = 'data'"), 'public.same|data|1', 'it has one key');
is($node->safe_psql('tables', "SELECT count(*) > 0, bool_and(v = 'same ' || id) FROM same"), 't|t', 'its values are readable');

$node->stop;
done_testing();
