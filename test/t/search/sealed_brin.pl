# BRIN on encrypted columns against BRIN on plain ones: over random values of every type,
# all that it serves must get the same answer, from rows that came one by one and after a
# build; on a standby, too, and after a crash.  And what lies in its file.
#
#   PGSEAL_SEED    repeats a run (the seed is printed)
#   PGSEAL_VALUES  rows a type (1000)
#   PGSEAL_TYPES   only these types

use strict;
use warnings;
use utf8;

use BaseTypes qw(base_types);
use DifferentialValues qw(rows literal);
use Encode qw(encode_utf8);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $seed = $ENV{PGSEAL_SEED} // int(rand(1_000_000_000));
my $count = $ENV{PGSEAL_VALUES} // 1000;
my @types = $ENV{PGSEAL_TYPES} ? split(' ', $ENV{PGSEAL_TYPES}) : grep { $_ ne 'jsonb' } base_types();
srand($seed);
diag("PGSEAL_SEED=$seed");

my %collations = (text => [ '', 'COLLATE "C"', 'COLLATE "en-US-x-icu"', 'COLLATE public.ignore_case' ]);
my %related = (
	int2 => [qw(int4 int8 numeric)], int4 => [qw(int2 int8 numeric)], int8 => [qw(int2 int4 numeric)],
	float4 => [qw(float8)], float8 => [qw(float4)],
	date => [qw(timestamp timestamptz)], timestamp => [qw(date timestamptz)], timestamptz => [qw(date timestamp)],
	text => [qw(name varchar)]);

my $node = SealedNode->new('sealed_brin');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ], allows_streaming => 1, conf => q{
timezone = 'Europe/Zurich'
jit = off
autovacuum = off
wal_level = logical
});
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pgseal;
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SQL

sub quote
{
	my ($value) = @_;
	return "'" . ($value =~ s/'/''/gr) . "'";
}

sub condition
{
	my ($type, @values) = @_;
	my ($a, $b, $c) = map { quote($values[ rand @values ]) } 1 .. 3;
	my $typed = "::$type";
	my @forms = (
		"X < $a", "X <= $a", "X = $a", "X >= $a", "X > $a", "X < $a$typed", "X >= $a$typed", "$a$typed > X",
		"X BETWEEN $a AND $b", "X > $a AND X <= $b AND X < $c", "X IN ($a, $b, $c)", "X IS NULL", "X IS NOT NULL",
		"X < $a OR X > $b", "X IS NOT NULL AND X >= $a", "X IS NULL AND X = $a");
	for (@{ $related{$type} // [] })
	{
		push @forms, "X < $a$typed\::$_", "X <= $a$typed\::$_", "X = $a$typed\::$_", "X >= $a$typed\::$_", "X > $a$typed\::$_";
	}
	return $forms[ rand @forms ];
}

sub answers
{
	my ($server, $column, @questions) = @_;
	my $script = "\\set VERBOSITY sqlstate\nSET enable_seqscan = off;\n";
	$script .= s/\bX\b/$column/gr . ";\n" for @questions;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-d', $server->connstr('postgres') ], '<', \encode_utf8($script), '>', \$stdout, '2>', \$stderr);
	return ($stdout, $stderr);
}

sub same_answers
{
	my ($what, $server, $type, $table, @values) = @_;
	my @questions = map {
		"SELECT md5(coalesce(string_agg(id::text, ',' ORDER BY id), '')) FROM $table WHERE " . condition($type, @values)
	} 1 .. 40;
	my ($plain, $plain_errors) = answers($server, 'p', @questions);
	my ($sealed, $sealed_errors) = answers($server, 'v', @questions);
	my @plain = split /\n/, $plain;
	my @sealed = split /\n/, $sealed;
	my @different = grep { ($plain[$_] // '') ne ($sealed[$_] // '') } 0 .. $#questions;

	is($sealed_errors, $plain_errors, "$what: the same errors");
	is(scalar(@different), 0, "$what: the same answers") or diag(map { "$questions[$_]\n" } @different);
	like($server->safe_psql('postgres', "SET enable_seqscan = off; EXPLAIN SELECT id FROM $table WHERE v >= " . encode_utf8(quote($values[0]))),
		qr/${table}_v/, "$what: by the index");
	is($server->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('${table}_v')"), '0|0', "$what: every row is within its range");
	return;
}

$node->backup('base');
my $standby = SealedNode->from_backup('sealed_brin_standby', $node, 'base', has_streaming => 1, conf => "pgseal.keyring_file = '" . $node->keyring . "'");
my %values_of;

for my $type (@types)
{
	my $variant = 0;

	for my $collation (@{ $collations{$type} // [''] })
	{
		my $table = "t_$type" . $variant++;
		my $what = "$type $collation";
		my @rows = map { $_->[0] } rows($type, $count, $node->pg_version);
		my @values = grep { defined } @rows;
		my $id = 0;
		my $copy = join '', map { ++$id . "\t" . literal($_) . "\n" } @rows;

		$values_of{$table} = [ $type, @values ];
		$node->safe_psql('postgres', <<SQL);
CREATE TABLE copied (id int, p $type);
CREATE TABLE $table (id int, p $type $collation, v encrypted_$type $collation);
CREATE INDEX ${table}_v ON $table USING brin (v) WITH (pages_per_range = 1);
SQL
		my ($stdout, $stderr) = ('', '');
		IPC::Run::run([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', 'COPY copied FROM STDIN' ],
			'<', \encode_utf8($copy), '>', \$stdout, '2>', \$stderr);
		die $stderr if $stderr;
		# In order, so that ranges differ; then a part of them anywhere, into ranges that there are
		$node->safe_psql('postgres', <<SQL);
INSERT INTO $table SELECT id, p, p FROM copied ORDER BY p $collation;
SELECT brin_summarize_new_values('${table}_v');
DELETE FROM $table WHERE id % 5 = 0;
VACUUM $table;
INSERT INTO $table SELECT id, p, p FROM copied WHERE id % 5 = 0;
DROP TABLE copied;
SQL
		same_answers("$what: grown", $node, $type, $table, @values);
		$node->safe_psql('postgres', "REINDEX INDEX ${table}_v");
		same_answers("$what: built", $node, $type, $table, @values);
	}
}

#
# What lies in the file
#

sub file_of
{
	my ($relation) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	return slurp_file($node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$relation')"));
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE disk (id int, v encrypted_text COLLATE "C");
INSERT INTO disk SELECT g, CASE g % 2 WHEN 0 THEN 'lingonberry' ELSE 'lingonberry jam' END FROM generate_series(1, 3000) g;
CREATE INDEX disk_v ON disk USING brin (v) WITH (pages_per_range = 1);
SQL
my $file = file_of('disk_v');
unlike($file, qr/lingon/, 'no plaintext');
my $heap = file_of('disk');
my $shared = 0;
for (my $at = 0; $at + 16 <= length $file; $at += 8)
{
	my $part = substr($file, $at, 16);
	next if $part =~ /\0{4}/;
	$shared++ if index($heap, $part) >= 0;
}
is($shared, 0, 'nothing of the table is in the index');
my $ranges = $node->safe_psql('postgres', "SELECT leaves FROM pgseal.verify_index('disk_v')");
cmp_ok($ranges, '>', 10, 'there are ranges');
my %seen;
my $repeated = 0;
for (my $at = 8192; $at + 40 <= length $file; $at++)
{
	my $part = substr($file, $at, 40);
	next if $part =~ /\0{3}/;
	$repeated++ if $seen{$part}++;
}
# The salt of the process that built it and the key's version, which are shorter, are the same in all
is($repeated, 0, 'equal ranges look different');

#
# By several processes, which PostgreSQL does from 17 on; into another database; by
# autovacuum's workers
#

my ($code, $built, $building) = $node->psql('postgres', <<'SQL');
ALTER TABLE disk SET (parallel_workers = 2);
SET client_min_messages = debug1;
CREATE INDEX disk_parallel ON disk USING brin (v) WITH (pages_per_range = 1);
RESET client_min_messages;
SELECT leaves = entries, leaves > 10, misplaced, rows, missing FROM pgseal.verify_index('disk_parallel');
SQL
is($built, 't|t|0|3000|0', 'built by several processes');
like($building, $node->pg_version < 17 ? qr/disk_parallel" on table "disk" serially/ : qr/disk_parallel" on table "disk" with request for 2 parallel workers/, 'they are several');
$node->safe_psql('postgres', 'DROP INDEX disk_parallel');


$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_dump', '-f', $node->basedir . '/dump', $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $node->basedir . '/dump', $node->connstr('restored') ], 'it restores');
is($node->safe_psql('restored', "SELECT leaves = entries, misplaced, rows, missing FROM pgseal.verify_index('disk_v')"), 't|0|3000|0', 'restored: every row is within its range');
is($node->safe_psql('restored', "SET enable_seqscan = off; SELECT count(*) FROM disk WHERE v > 'lingonberry'"), '1500', 'restored: found');

$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1s\n");
$node->reload;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE by_itself (id int, v encrypted_int4);
CREATE INDEX by_itself_v ON by_itself USING brin (v) WITH (pages_per_range = 1, autosummarize = on);
INSERT INTO by_itself SELECT g, g FROM generate_series(1, 1000) g;
SQL
ok($node->poll_query_until('postgres', "SELECT leaves > 3 AND leaves = entries AND missing = 0 FROM pgseal.verify_index('by_itself_v')"), 'autosummarize');
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->reload;

#
# Another index key while rows come; a crash; a standby
#

$node->safe_psql('postgres', <<'SQL');
SELECT pgseal.create_key('turned');
CREATE TABLE turned (id int, p int, v encrypted_int4('turned'));
CREATE INDEX turned_v ON turned USING brin (v) WITH (pages_per_range = 2);
INSERT INTO turned SELECT g, g, g FROM generate_series(1, 5000) g;
SELECT brin_summarize_new_values('turned_v');
SQL
my $script = $node->basedir . '/load.sql';
append_to_file($script, "\\set r random(1, 100000)\nINSERT INTO turned VALUES (:r, :r, :r);\nUPDATE turned SET p = :r, v = :r WHERE id = 1 + :r % 5000;\n");
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '600', '-f', $script, $node->connstr('postgres') ], '>', \my $load_out, '2>', \my $load_err);
$node->poll_query_until('postgres', 'SELECT count(*) > 5020 FROM turned') or die 'no load';
for my $round (1 .. 2)
{
	$node->safe_psql('postgres', "SELECT pgseal.rotate_index_key('turned')");
	my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM turned');
	$node->poll_query_until('postgres', "SELECT count(*) > $rows + 20 FROM turned") or die 'no load';
	is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('turned_v')"), '0|0', "round $round: two versions of the index key");
	$node->safe_psql('postgres', "SELECT pgseal.retire_index_key('turned')");
	is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('turned_v')"), '0|0', "round $round: the new one alone");
}
# Keys that nobody has at hand: what is inserted after a start asks for them before it locks a block
my @cold = qw(inserted updated copied parted moved rewritten);
my %is_parted = (parted => 1, moved => 1);
sub cold_index { return $_[0] eq 'moved' ? 'moved_2_v_idx' : $_[0] eq 'parted' ? 'parted_1_v_idx' : "$_[0]_v"; }
$node->safe_psql('postgres', <<SQL) for @cold;
SELECT pgseal.create_key('$_');
CREATE TABLE $_ (id int, v encrypted_int4('$_')) @{[ $is_parted{$_} ? "PARTITION BY RANGE (id); CREATE TABLE ${_}_1 PARTITION OF $_ FOR VALUES FROM (0) TO (99); CREATE TABLE ${_}_2 PARTITION OF $_ FOR VALUES FROM (99) TO (199)" : '' ]};
CREATE INDEX ON $_ (id);
CREATE INDEX ${_}_v ON $_ USING brin (v);
INSERT INTO $_ VALUES (1, 1), (2, 2)@{[ $_ eq 'moved' ? ', (101, 1)' : '' ]};
SELECT brin_summarize_new_values('@{[ cold_index($_) ]}');
@{[ $_ eq 'moved' ? '' : "SELECT pgseal.rotate_key('$_')" ]};
SQL
# Nor has a subscription's worker, whose rows no statement writes
$node->safe_psql('postgres', 'CREATE DATABASE subscriber');
$node->safe_psql('subscriber', <<'SQL');
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('applied');
CREATE TABLE applied (id int PRIMARY KEY, v encrypted_int4('applied'));
CREATE INDEX applied_v ON applied USING brin (v);
INSERT INTO applied VALUES (1, 1), (2, 2);
SELECT brin_summarize_new_values('applied_v');
SQL
$node->safe_psql('postgres', 'CREATE TABLE applied (id int PRIMARY KEY, v int); CREATE PUBLICATION p FOR TABLE applied');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
$node->safe_psql('subscriber', q{CREATE SUBSCRIPTION s CONNECTION $$} . $node->connstr('postgres') . q{$$ PUBLICATION p WITH (create_slot = false, slot_name = s, copy_data = false)});
$node->stop('immediate');
$load->finish;
$node->start;
$node->safe_psql('postgres', 'INSERT INTO applied VALUES (3, 300)');
$node->poll_query_until('subscriber', 'SELECT count(*) = 3 FROM applied') or die 'the row was not applied';
is($node->safe_psql('subscriber', "SELECT leaves = entries, misplaced, missing FROM pgseal.verify_index('applied_v')"), 't|0|0', 'applied: bounds, without keys at hand');
$node->safe_psql('postgres', $_) for (
	'INSERT INTO inserted VALUES (3, 300)', 'UPDATE updated SET id = id + 1', "COPY copied FROM PROGRAM 'printf \"3\\t300\\n\"'",
	'INSERT INTO parted VALUES (3, 300)', 'UPDATE moved SET id = id + CASE WHEN id < 99 THEN 100 ELSE 50 END');
$node->poll_query_until('postgres', 'SELECT bool_and((pgseal.inspect(v)).current) FROM rewritten') or die 'the worker has not re-encrypted it';
is($node->safe_psql('postgres', "SELECT leaves = entries, misplaced, missing FROM pgseal.verify_index('" . cold_index($_) . "')"),
	't|0|0', "$_: bounds, without keys at hand") for @cold;
is($node->safe_psql('postgres', "SELECT misplaced, missing FROM pgseal.verify_index('turned_v')"), '0|0', 'after a crash');
same_answers('after a crash', $node, 'int4', 'turned', 1 .. 100, 99000 .. 99100);
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
same_answers('standby', $standby, 'int4', 'turned', 1 .. 100, 99000 .. 99100);
same_answers("standby: $_", $standby, $values_of{$_}[0], $_, @{ $values_of{$_} }[ 1 .. $#{ $values_of{$_} } ]) for sort keys %values_of;

$standby->stop;
$node->stop;
done_testing();
