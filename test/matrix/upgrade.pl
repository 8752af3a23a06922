# One step of `sh test/matrix.sh upgrade 15 17 18`, in the root directory of one
# release: pg_upgrade of the cluster that the step before has left, if there is
# one, and looks whether every value can be read; leaves the new one to the next.
#
# What goes from step to step is one file, cluster.tar: the cluster, its keyring,
# what it held at first, and the private PostgreSQL with pgseal that it ran on.
# That needs the libraries of its own root directory, which is mounted here; so
# its programs are run by that directory's dynamic linker.

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $SECRET = $SealedNode::SECRET;
my $carried = '/mnt/pgseal/upgrade/cluster.tar';
my $old_root = '/mnt/pgseal/old_root';
my $work = "$PostgreSQL::Test::Utils::tmp_check/carried";
my $scratch = $ENV{PGSEAL_SCRATCH} or die 'not in a scratch directory';

chomp(my $bindir = `pg_config --bindir`);
chomp(my $version = `pg_config --version`);
mkdir $work or die $!;
chdir $work or die $!;

my $node = SealedNode->new('upgraded');
my $facts = "
	SELECT count(*), sum(length(v::text)) FROM app.toasted;
	SET enable_seqscan = off;
	SELECT id FROM app.people WHERE name = '$SECRET 9' || chr(309);
	SELECT id FROM app.people WHERE age = 1042;
	SELECT id FROM app.ordered WHERE n BETWEEN 41 AND 43 ORDER BY n;
	SELECT count(*), min(id), max(id) FROM app.ranged WHERE at > 950 AND at < 2030;
	SELECT leaves = entries AND leaves > 5, misplaced, rows, missing FROM pgseal.verify_index('app.ranged_at');
	SELECT tableoid::regclass, id FROM app.hashed WHERE v = '$SECRET 42'";

if (-e $carried)
{
	my $old = carried_cluster();

	$node->init(extra => checksums());
	my $output = '';
	my $result = IPC::Run::run(
		[
			'pg_upgrade', '--no-sync', '-d', 'data', '-D', $node->data_dir, '-b', $old, '-B', $bindir,
			'-s', $node->host, '-p', PostgreSQL::Test::Cluster::get_free_port(), '-P', $node->port
		],
		'>', \$output, '2>', \$output);
	ok($result, "pg_upgrade to $version") or die $output, errors();
	copy('keyring', $node->keyring) or die $!;
	chmod 0600, $node->keyring;
	$node->start;
}
else
{
	$node->init;
	$node->start;
	$node->make_sample('sample');
	$node->query('sample', "
		CREATE TABLE app.toasted (v encrypted_text);
		INSERT INTO app.toasted SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3000) i;
		CREATE TABLE app.ordered (id int, n encrypted_int4);
		INSERT INTO app.ordered SELECT i, i FROM generate_series(1, 500) i;
		CREATE INDEX ON app.ordered USING sealed (n);
		CREATE TABLE app.ranged (id int, at encrypted_int8);
		INSERT INTO app.ranged SELECT i, i FROM generate_series(1, 2000) i;
		CREATE INDEX ranged_at ON app.ranged USING brin (at) WITH (pages_per_range = 1);
		CREATE TABLE app.hashed (id int, v encrypted_text) PARTITION BY HASH (v);
		CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
		INSERT INTO app.hashed SELECT i, '$SECRET ' || i FROM generate_series(1, 100) i;
		CREATE TABLE app.signed (id int, v encrypted_text, part int, signature row_signature) PARTITION BY LIST (part);
		CREATE TABLE app.signed_0 PARTITION OF app.signed FOR VALUES IN (0);
		CREATE TABLE app.signed_1 PARTITION OF app.signed FOR VALUES IN (1);
		SELECT pgseal.sign_table('app.signed', ledger => true);
		INSERT INTO app.signed SELECT i, '$SECRET ' || i, i % 2 FROM generate_series(1, 10) i;
		CREATE TABLE app.redefined (id int, v encrypted_text, n int);
		INSERT INTO app.redefined SELECT i, '$SECRET ' || i, i FROM generate_series(1, 10) i;
		SELECT pgseal.sign_table('app.redefined', columns => '{id,v}')");
	redefine('{id,v,n}');
	append_to_file('digest', $node->query('sample', q{SELECT pgseal.ledger_digest('app.signed')}));
	append_to_file('fingerprint', $node->fingerprint('sample'));
	append_to_file('facts', $node->query('sample', $facts));
}

is($node->opened('sample'), $SealedNode::OPENED, "$version: every value opens");
is($node->fingerprint('sample'), slurp_file('fingerprint'), "$version: keys, types and sealed values are the same");
is($node->query('sample', $facts), slurp_file('facts'), "$version: indexes and partitions find them");
my $digest = slurp_file('digest');
my $state = qq{SELECT broken, ledger_status FROM pgseal.verify_table('app.signed', digest => '$digest') WHERE ledger_status IS NOT NULL};
is($node->query('sample', "$state; UPDATE app.signed SET part = 1 - part WHERE id < 6; INSERT INTO app.signed VALUES (11, 'new', 0); $state"),
	"0|good\n0|good", "$version: signed rows and their ledger");
# What is signed was about to change
my $redefined = q{SELECT broken, old_definition FROM pgseal.verify_table('app.redefined') WHERE "column" = 'signature'};
is($node->query('sample', "$redefined; UPDATE app.redefined SET n = n + 1 WHERE id = 1; $redefined"), "0|10\n0|9", "$version: two definitions stand");
$node->query('sample', 'UPDATE pgseal_internal.redefinition SET pause_until = NULL');
$node->append_conf('postgresql.conf', 'pgseal.worker_interval = 1');
$node->reload;
ok($node->poll_query_until('sample', q{SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'app.redefined'::regclass AND encode(tgargs, 'escape') LIKE '%\\000\\000%')}),
	"$version: the worker signs by one");
is($node->query('sample', $redefined), '0|0', "$version: all rows");
redefine($version =~ / 17/ ? '{id,v,n}' : '{id,v}');
# A key of its own: the step before has destroyed its
my ($major) = $version =~ /(\d+)/;
is($node->query('sample', "
		CREATE TABLE fresh_$major (v encrypted_text); INSERT INTO fresh_$major VALUES ('$SECRET');
		SELECT v FROM fresh_$major; DROP TABLE fresh_$major"),
	$SECRET, "$version: makes keys, writes and reads");

# The next release finds what this one held before that
$node->query('sample', "SELECT pgseal.destroy_key('public.fresh_$major', 'public.fresh_$major')");
unlink 'fingerprint';
append_to_file('fingerprint', $node->fingerprint('sample'));
$node->stop;
carry();
done_testing();

# Begins to sign other columns; the worker waits
sub redefine
{
	my ($columns) = @_;
	$node->query('sample', "
		BEGIN;
		SELECT pgseal.sign_table('app.redefined', columns => '$columns');
		INSERT INTO pgseal_internal.redefinition (relid, root, former, pause_until)
			SELECT oid, oid, definition, 'infinity' FROM pg_class, (SELECT max(get_byte(decode(substr(signature::text, 9), 'base64'), 9)) AS definition FROM app.redefined) d
			WHERE oid = 'app.redefined'::regclass;
		COMMIT");
	return;
}

# Unpacks it; the directory of the programs that can run here
sub carried_cluster
{
	system_or_bail('tar', '-xf', $carried);
	chomp(my $pg = slurp_file('bindir'));
	my $programs = "$work/pg$pg";
	my $loader = "$old_root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";	# a link elsewhere would lead out of it
	my $libraries = join ':', map { "$old_root$_" } qw(/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu);

	for my $program (qw(postgres pg_ctl pg_controldata pg_resetwal pg_dump pg_dumpall))
	{
		rename "$programs/$program", "$programs/$program.real" or die "$program: $!";
		append_to_file("$programs/$program",
			qq{#!/bin/sh\nexec $loader --argv0 "\$0" --library-path $libraries $programs/$program.real "\$@"\n});
		chmod 0755, "$programs/$program";
	}
	return $programs;
}

# What the logs that pg_upgrade has left say of them
sub errors
{
	return map {
		my $log = slurp_file($_);
		map { "---- $_\n" } $log =~ /^(.*(?:error:|FATAL).*\n(?:.*\n){0,12})/mg
	} glob($node->data_dir . '/pg_upgrade_output.d/*/log/*');
}

# initdb makes them by default since 18; the cluster has what the first one had.
sub checksums
{
	return `initdb --help` =~ /--no-data-checksums/ ? ['--no-data-checksums'] : [];
}

sub carry
{
	my $pg = $bindir =~ s/^\Q$scratch\E\/pg//r;

	unlink 'bindir', 'keyring';
	system_or_bail('rm', '-rf', 'data', 'pg');
	append_to_file('bindir', "$pg\n");
	copy($node->keyring, 'keyring') or die $!;
	system_or_bail('cp', '-r', $node->data_dir, 'data');
	system_or_bail('cp', '-rL', "$scratch/pg", 'pg');
	system_or_bail('tar', '-cf', "$carried.new", 'bindir', 'keyring', 'fingerprint', 'facts', 'digest', 'data', 'pg');
	rename "$carried.new", $carried or die $!;
	chmod 0644, $carried;
	return;
}
