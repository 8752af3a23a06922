# pg_upgrade, from a cluster to one of the same version (which is enough for
# everything of pgseal that takes part: the dump in binary mode, the check of
# loadable libraries, the tables' files), by copying and by linking.

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $SECRET = $SealedNode::SECRET;

chomp(my $bindir = `pg_config --bindir`);
# pg_upgrade writes a script to where it is called
chdir($PostgreSQL::Test::Utils::tmp_check) or die $!;

my $old = SealedNode->started('old');
$old->make_sample('sample');
$old->query('sample', "
	CREATE TABLE app.hashed (id int, v encrypted_text) PARTITION BY HASH (v);
	CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	INSERT INTO app.hashed SELECT i, '$SECRET ' || i FROM generate_series(1, 100) i;
	CREATE TABLE app.checked (id int, v encrypted_int4, CHECK (v > 0));
	INSERT INTO app.checked VALUES (1, 1);
	CREATE TABLE app.ordered (id int, n encrypted_int4);
	INSERT INTO app.ordered SELECT i, i FROM generate_series(1, 500) i;
	CREATE INDEX ON app.ordered USING sealed (n);
	CREATE ROLE reader;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
	CREATE TABLE app.toasted (v encrypted_text);
	INSERT INTO app.toasted SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3000) i;
	ALTER TABLE app.people ADD COLUMN second_title encrypted_text DEFAULT '$SECRET 2'");
my $facts = "
	SELECT md5(v) FROM app.toasted;
	SELECT tableoid::regclass, id FROM app.hashed WHERE v = '$SECRET 42';
	SET enable_seqscan = off;
	SELECT id FROM app.people WHERE name = '$SECRET 9' || chr(309);
	SELECT id FROM app.people WHERE age = 1042;
	SELECT id FROM app.ordered WHERE n BETWEEN 41 AND 43 ORDER BY n;
	SELECT has_server_privilege('reader', 'local_keyring', 'USAGE');
	SELECT second_title FROM app.people WHERE id = 7;
	SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text ~ 'key' ORDER BY tgrelid, 1";

# A rotation that doesn't end here: the worker takes a block in ten seconds
$old->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 1\npgseal.reencrypt_delay = 10000");
$old->reload;
$old->query('sample', q{
	CREATE TABLE app.turned (id int, v encrypted_text('turned'), plain text);
	INSERT INTO app.turned SELECT i, i, i FROM generate_series(1, 2000) i;
	SELECT pgseal.rotate_key('turned');
	INSERT INTO app.turned SELECT i, i, i FROM generate_series(2001, 3000) i;
	SELECT pgseal.rotate_key('turned')});
my $turned = q{SELECT count(*) FILTER (WHERE v::text IS DISTINCT FROM plain), count(*), count(*) FILTER (WHERE NOT current) > 0
	FROM app.turned, pgseal.inspect(v)};
my $expected = {
	fingerprint => $old->fingerprint('sample'),
	opened => $old->opened('sample'),
	facts => $old->query('sample', $facts) };
is($expected->{opened}, $SealedNode::OPENED, 'the old cluster opens');
is($old->query('sample', $turned), '0|3000|t', 'and is in the middle of a rotation');
$old->stop;

# Without the library preloaded, the new server cannot load it: pg_upgrade says
# so before it does anything.
my $bare = SealedNode->new('bare');
$bare->init(preload => '');
my ($out, $status) = upgrade($bare, '--check');
isnt($status, 1, 'check, not preloaded: fails');
like($out, qr/Checking for presence of required libraries\s+fatal/, 'check, not preloaded: as a missing library');
my ($list) = glob($bare->data_dir . '/pg_upgrade_output.d/*/loadable_libraries.txt');
like($list && slurp_file($list), qr/pgseal must be loaded via "shared_preload_libraries"/,
	'check, not preloaded: says why');

for my $mode ('copy', 'link')
{
	my @options = $mode eq 'link' ? ('--link') : ();
	my $new = SealedNode->new("new_$mode");
	$new->init;
	($out, $status) = upgrade($new, '--check', @options);
	is($status, 1, "$mode: check") or diag($out);
	like($out, qr/Checking for presence of required libraries\s+ok/, "$mode: libraries");
	($out, $status) = upgrade($new, @options);
	is($status, 1, "$mode: upgrade") or die $out;
	ok(!-e $new->keyring, "$mode: no keyring was made");

	$new->append_conf('postgresql.conf', 'pgseal.worker_interval = 1');
	$new->start;
	$new->fails_like('sample', 'SELECT v FROM tenants', qr/58000: could not unwrap key.*keyring_missing/s,
		"$mode: without the keyring");
	copy($old->keyring, $new->keyring) or die $!;
	chmod 0600, $new->keyring;
	ok($new->poll_query_until('sample', 'SELECT count(v::text) = 20 FROM tenants'),
		"$mode: with the keyring it opens");
	# Versions that were old before are retired, and go; values under them are there
	ok($new->poll_query_until('sample', $turned =~ s/, count\(\*\) FILTER \(WHERE NOT.*?\) > 0//r, '0|3000'), "$mode: values under old versions open");
	is($new->fingerprint('sample'), $expected->{fingerprint},
		"$mode: keys, types and sealed values are the same");
	is($new->opened('sample'), $expected->{opened}, "$mode: every value opens");
	is($new->query('sample', $facts), $expected->{facts}, "$mode: indexes, partitions, privileges");

	ok($new->poll_query_until('sample', q{SELECT bool_and(retired IS NOT NULL) FROM pgseal.key_version
		WHERE key = 'turned' AND purpose = 'd' AND number < 3}), "$mode: rotations that were interrupted end");
	is($new->query('sample', $turned), '0|3000|f', "$mode: with all values");
	my $offset = -s $new->logfile;
	is($new->query('sample', "INSERT INTO app.people (id, age) VALUES (1000, 5) RETURNING title"),
		"$SECRET by default", "$mode: writes");
	is($new->query('sample', "SELECT key, version FROM app.people, pgseal.inspect(age) WHERE id = 1000"),
		'payroll|2', "$mode: under the newest version");
	is($new->query('sample', "CREATE TABLE fresh (v encrypted_text); INSERT INTO fresh VALUES ('$SECRET');
			SELECT v FROM fresh"), $SECRET, "$mode: makes keys");
	$new->fails_like('sample', 'INSERT INTO app.checked VALUES (2, -2)', qr/23514: /, "$mode: a CHECK holds");
	unlike(slurp_file($new->logfile, $offset), qr/pgseal: could not/, "$mode: the worker has no trouble since");
	$new->stop;
}
done_testing();

# Output, and 1 when it was successful
sub upgrade
{
	my ($new, @options) = @_;
	my $output = '';
	my $result = IPC::Run::run(
		[
			'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
			'-b', $bindir, '-B', $bindir, '-s', $new->host, '-p', $old->port, '-P', $new->port, @options
		],
		'>', \$output, '2>', \$output);

	return ($output, $result ? 1 : 0);
}
