# pg_dump and pg_restore in every format, and pg_dumpall.  What comes out of a
# dump is what went in: the same sealed values byte for byte, the same keys, the
# same key names in the column types; and no dump holds plaintext.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $source = SealedNode->started('source');
$source->make_sample('origin');
$source->query('origin', <<'EOSQL');
	CREATE TABLE written (who text, at int);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO public.written VALUES (TG_TABLE_NAME, 1); RETURN NEW; END $$;
	CREATE TRIGGER note AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION note();
	CREATE ROLE reader;
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
	CREATE ROLE archivist LOGIN IN ROLE pg_read_all_data;
EOSQL
my $origin = $source->fingerprint('origin');
is($source->opened('origin'), $SealedNode::OPENED, 'the original opens');

# Another cluster, with the same keyring
my $target = SealedNode->started('target',
	conf => "pgseal.keyring_file = '" . $source->keyring . "'\npgseal.worker_interval = 3600");
$target->query('postgres', 'CREATE ROLE reader; CREATE ROLE archivist');

#
# Formats
#

my %formats = (
	plain => [],
	custom => ['-Fc'],
	directory => [ '-Fd', '-j2' ],
	tar => ['-Ft'],
	inserts => ['--inserts'],
	column_inserts => [ '--column-inserts', '--rows-per-insert=7', '-Fc', '-Z0' ],
	quoted => [ '--quote-all-identifiers', '--no-owner', '--no-privileges' ],
	via_root => ['--load-via-partition-root'],);

for my $format (sort keys %formats)
{
	my @options = @{ $formats{$format} };
	my $file = "$dir/$format";

	$source->run_ok([ 'pg_dump', '-f', $file, @options, 'origin' ], "$format: dump");
	holds_no_plaintext($file, $format);
	$target->query('postgres', "CREATE DATABASE $format");
	restore($file, $format, grep { /^-F/ } @options);
	is_origin($format, $format);
}

# What a restored database can do
is( $target->query('directory', "SELECT has_server_privilege('reader', 'local_keyring', 'USAGE')"),
	't', 'the privilege to read is restored');
is($target->query('directory', 'SELECT count(*) FROM grown_up'),
	$source->query('origin', 'SELECT count(*) FROM grown_up'), 'a view opens');
is($target->query('directory', 'SELECT count(*) FROM who'),
	'200', 'a view with a literal in it works');
is($target->query('directory',
		"SET enable_seqscan = off; SELECT id FROM app.people WHERE name = '$SealedNode::SECRET 9' || chr(309)"),
	'9', 'a hash index works');
is($target->query('directory', 'INSERT INTO app.people (id) VALUES (1000) RETURNING title'),
	"$SealedNode::SECRET by default", 'a column default works');
is( $target->query('directory',
		"INSERT INTO tenants VALUES (100, pgseal.seal('new'::text, 'tenant:1')); INSERT INTO parts VALUES (-5, 'new');
		 UPDATE app.people SET age = 3 WHERE id = 1;
		 SELECT key, version FROM app.people, pgseal.inspect(age) WHERE id = 1"),
	'payroll|2', 'new values are sealed by the current version of the restored key');
is($target->query('directory', "SELECT count(*) FROM pgseal.key"),
	$source->query('origin', "SELECT count(*) FROM pgseal.key"), 'no key was made for that');

#
# Schema and data apart.  The hash indexes are there before the data then, so
# the keys must come first (see below).
#

for my $how ([ 'triggers', ['-a'] ], [ 'no_triggers', [ '-a', '--disable-triggers' ] ])
{
	my ($db, $data_options) = @$how;

	$target->query('postgres', "CREATE DATABASE $db");
	$target->run_ok([ 'pg_restore', '-e', '-s', '-d', $db, "$dir/custom" ], "$db: schema");
	is($target->query($db, 'SELECT count(*) FROM pgseal.key'), 0, "$db: the schema brings no keys");
	like($target->dump_text($db, '-s'), qr/name encrypted_text\('app\.people'\)/,
		"$db: but their names");
	restore_keys("$dir/directory", $db);
	$target->run_ok([ 'pg_restore', '-e', @$data_options, '-j2', '-d', $db, "$dir/directory" ],
		"$db: data");
	$target->query($db, 'REFRESH MATERIALIZED VIEW names');
	is_origin($db, $db);
	is($target->query($db, 'SELECT count(*) FROM written'),
		$db eq 'triggers' ? 20 : 0, "$db: triggers");
}

$target->query('postgres', 'CREATE DATABASE sections');
for my $section (qw(pre-data data post-data))
{
	$source->run_ok([ 'pg_dump', "--section=$section", '-f', "$dir/$section", 'origin' ],
		"sections: dump $section");
	$target->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'sections', '-f', "$dir/$section" ],
		"sections: restore $section");
}
is_origin('sections', 'sections');

is($target->query('no_triggers',
		q{SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgrelid::regclass::text ~ '^pgseal\.'}),
	'A', 'no_triggers: the triggers of the key catalog stay enabled');

#
# A dump of a restored dump; restoring again
#

is(lines_of($target->dump_text('custom')), lines_of($source->dump_text('origin')),
	'a dump of the restored is the dump');

my ($out, $err) = ('', '');
$target->run_program([ 'pg_restore', '-d', 'custom', "$dir/custom" ], \$out, \$err);
like($err, qr/already exists/, 'restoring twice: PostgreSQL complains as always');
unlike($err, qr/pgseal\.key|malformed|authentication/, 'restoring twice: not about keys or values');
is_origin('custom', 'restoring twice');

$target->run_ok([ 'pg_restore', '-e', '--clean', '--if-exists', '-d', 'custom', "$dir/custom" ],
	'restoring with --clean');
is_origin('custom', 'restoring with --clean');

#
# By a role that may read everything but is no superuser
#

is(lines_of($source->dump_text('origin', '-U', 'archivist')), lines_of($source->dump_text('origin')),
	'the dump of pg_read_all_data is the same');
$source->fails_like('origin', 'SET ROLE archivist; SELECT name FROM app.people',
	qr/42501: permission denied for foreign server local_keyring/,
	'who can dump can still not read');

#
# pg_dumpall
#

my $all = SealedNode->started('all', conf => "pgseal.keyring_file = '" . $source->keyring . "'");
$source->run_ok([ 'pg_dumpall', '-f', "$dir/all" ], 'pg_dumpall');
holds_no_plaintext("$dir/all", 'pg_dumpall');
$all->run_program([ 'psql', '-Xq', '-d', 'postgres', '-f', "$dir/all" ], \$out, \$err);
is(join('', grep { !/role "\w+" already exists/ } $err =~ /^.*ERROR.*\n/mg), '',
	'pg_dumpall restores');
is($all->fingerprint('origin'), $origin, 'pg_dumpall: the same');
is($all->opened('origin'), $SealedNode::OPENED, 'pg_dumpall: it opens');
$all->stop;

#
# pg_dump sorts by schema, pg_restore -j by size, so the keys may come last.  CHECK
# constraints pass what they can't look at yet.
#

$source->query('postgres', 'CREATE DATABASE checking');
$source->query('checking', <<"EOSQL");
	CREATE EXTENSION pgseal;
	CREATE SCHEMA app;
	CREATE DOMAIN app.positive AS encrypted_int4 CHECK (VALUE > 0);
	CREATE TABLE app.checked (id int PRIMARY KEY, low encrypted_int4 CHECK (low IS DISTINCT FROM 7 AND low BETWEEN 0 AND 10000),
		high encrypted_int8, name encrypted_text('names') CHECK (length(name) <= 40 AND name LIKE '%$SealedNode::SECRET%'),
		tags encrypted_text[] CHECK (tags <> ARRAY['forbidden']), domain app.positive, note encrypted_text NOT NULL DEFAULT 'none',
		CONSTRAINT ordered CHECK (low < high));
	INSERT INTO app.checked SELECT i, i + 10, i + 11, '$SealedNode::SECRET ' || i, ARRAY['a', 'b' || i], i FROM generate_series(1, 500) i;
	CREATE TABLE app.ranges (id int, v encrypted_int4 CHECK (v > 0)) PARTITION BY RANGE (id);
	CREATE TABLE app.ranges_1 PARTITION OF app.ranges FOR VALUES FROM (0) TO (100);
	CREATE TABLE app.ranges_2 PARTITION OF app.ranges (CHECK (v >= 100)) FOR VALUES FROM (100) TO (1000);
	INSERT INTO app.ranges SELECT i, i FROM generate_series(1, 500) i;
EOSQL
my $checking = 'SELECT sum(low), sum(high), max(name), min(tags[2]::text), sum(domain::int4), count(note::text) FROM app.checked; SELECT sum(v) FROM app.ranges';
my $checks = $source->query('checking', $checking);
my %not_accepted = (
	'a value' => q{UPDATE app.checked SET low = 7 WHERE id = 1},
	'two values' => q{UPDATE app.checked SET high = low WHERE id = 1},
	"a domain's value" => q{UPDATE app.checked SET domain = -1 WHERE id = 1});

for my $how ([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1' ], [ 'pg_restore', '-e' ], [ 'pg_restore', '-e', '-j2' ], [ 'pg_restore', '-e', '-1' ])
{
	my ($program, @options) = @$how;
	my $db = 'checking_' . join '_', map { tr/-=//dr } $program, @options;
	my $file = "$dir/$db";

	$source->run_ok([ 'pg_dump', ($program eq 'psql' ? () : '-Fd'), '-f', $file, 'checking' ], "$db: dump");
	$target->query('postgres', qq{CREATE DATABASE "$db"});
	ok($target->run_program([ $program, @options, '-d', $db, $program eq 'psql' ? ('-f', $file) : $file ], \$out, \$err), "$db: it is restored") or diag($err);
	like($err, qr/WARNING:  constraints of table "checked" don't look at values whose keys are not there yet/, "$db: with a warning")
	  if $program eq 'psql';
	is($target->query($db, $checking), $checks, "$db: it opens");
	is(catalog_of($target, $db), catalog_of($source, 'checking'), "$db: the keys are the same");
	$target->fails_like($db, $not_accepted{$_}, qr/23514: /, "$db: $_ that violates a constraint") for sort keys %not_accepted;
}

# Rows by INSERT, where sealed values are taken in statements
for my $inserts ('--inserts', '--column-inserts --rows-per-insert=100 --on-conflict-do-nothing')
{
	my $db = 'checking' . $inserts =~ tr/-= /_/r;

	$source->run_ok([ 'pg_dump', split(/ /, $inserts), '-f', "$dir/$db", 'checking' ], "$inserts: dump");
	$target->query('postgres', qq{CREATE DATABASE "$db"; ALTER DATABASE "$db" SET pgseal.sealed_input = on});
	ok($target->run_program([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', "$dir/$db" ], \$out, \$err), "$inserts: it is restored") or diag($err);
	is(join(' ', sort $err =~ /WARNING:  constraints of table "(\w+)" don't look at values whose keys are not there yet/g), 'checked ranges_1 ranges_2', "$inserts: with one warning a table");
	is($target->query($db, $checking), $checks, "$inserts: it opens");
	is(catalog_of($target, $db), catalog_of($source, 'checking'), "$inserts: the keys are the same");
	$target->fails_like($db, $not_accepted{$_}, qr/23514: /, "$inserts: $_ that violates a constraint") for sort keys %not_accepted;
}

# What isn't a restore, or would keep something for a value that nobody can read
my ($line) = $source->query('checking', "SET pgseal.transparent = off; SELECT v FROM app.ranges WHERE id = 1");
$target->query('postgres', 'CREATE DATABASE keyless');
$target->query('keyless', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE of_other (v encrypted_int4 CHECK (v > 0));
	GRANT INSERT ON of_other TO reader;
	CREATE TABLE generates (v encrypted_int4 CHECK (v > 0), token bytea GENERATED ALWAYS AS (blind_index(v)) STORED);
	CREATE TABLE routes (v encrypted_int4 CHECK (v > 0)) PARTITION BY HASH (v);
	CREATE TABLE routes_0 PARTITION OF routes FOR VALUES WITH (MODULUS 1, REMAINDER 0);
	CREATE TABLE indexes (v encrypted_int4 CHECK (v > 0));
	CREATE INDEX ON indexes USING hash (v);
	CREATE TABLE triggers (v encrypted_int4 CHECK (v > 0));
	CREATE TRIGGER written BEFORE INSERT ON triggers FOR EACH ROW WHEN (NEW.v > 5) EXECUTE FUNCTION suppress_redundant_updates_trigger();
	CREATE TABLE checks (v encrypted_int4 CHECK (v > 0));
EOSQL
for my $table ('of_other', 'generates', 'routes', 'indexes', 'triggers')
{
	my $role = $table eq 'of_other' ? 'SET ROLE reader;' : '';
	$target->fails_like('keyless', "$role COPY $table (v) FROM stdin;\n$line\n\\.\n", qr/42704: .*(?:is|not) known in this database/, "no key, $table");
}
$target->fails_like('keyless', "COPY checks FROM stdin WHERE v > 0;\n$line\n\\.\n", qr/42704: /, 'no key, and WHERE');
$target->query('keyless', "COPY checks FROM stdin;\n$line\n\\.\n");
is($target->query('keyless', 'SELECT count(*) FROM checks'), '1', 'no key, and a constraint alone');
$target->fails_like('keyless', "INSERT INTO checks SELECT * FROM checks", qr/42704: /, 'which is no restore');
$target->fails_like('keyless', "SET pgseal.sealed_input = on; $_", qr/42704: /, "no restore: $_")
  for "INSERT INTO checks SELECT * FROM checks", "INSERT INTO checks VALUES ((SELECT v FROM checks LIMIT 1))",
  "UPDATE checks SET v = v", "INSERT INTO checks VALUES ('$line') RETURNING 1",
  "GRANT INSERT ON checks TO reader; SET ROLE reader; INSERT INTO checks VALUES ('$line')",
  "CREATE FUNCTION put(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE format(''INSERT INTO checks VALUES (%L)'', \$1); END'; SET ROLE reader; SELECT put('$line')";
for my $table ('generates', 'routes', 'indexes', 'triggers')
{
	$target->fails_like('keyless', "SET pgseal.sealed_input = on; INSERT INTO $table (v) VALUES ('$line')", qr/42704: .*(?:is|not) known in this database/, "no key, INSERT, $table");
}
$target->query('keyless', "SET pgseal.sealed_input = on; INSERT INTO checks VALUES ('$line')");
is($target->query('keyless', 'SELECT count(*) FROM checks'), '2', 'no key, INSERT, and a constraint alone');

#
# Where the keys must come first: what keeps something for a value while its row is
# restored (blind_index() as generated column, partitioning by hash, an index that is
# there already), and any index in a parallel restore.  Restored before the rest, they
# merge with themselves.
#

$source->query('postgres', 'CREATE DATABASE computing');
$source->query('computing', <<"EOSQL");
	CREATE EXTENSION pgseal;
	CREATE SCHEMA app;
	CREATE TABLE app.checked (id int, v encrypted_int4, CHECK (v > 0));
	INSERT INTO app.checked SELECT i, i FROM generate_series(1, 1000) i;
	CREATE TABLE app.hashed (id int, v encrypted_text) PARTITION BY HASH (v);
	CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	INSERT INTO app.hashed SELECT i, '$SealedNode::SECRET ' || i FROM generate_series(1, 1000) i;
	CREATE TABLE app.looked_up (id int, v encrypted_text,
		token bytea GENERATED ALWAYS AS (blind_index(v)) STORED UNIQUE);
	CREATE UNIQUE INDEX ON app.looked_up (blind_index(v, 'lower'));
	INSERT INTO app.looked_up SELECT i, '$SealedNode::SECRET ' || i FROM generate_series(1, 1000) i;
	CREATE TABLE app.reindexed (id int, v encrypted_text);
	CREATE INDEX ON app.reindexed (blind_index(v));
	INSERT INTO app.reindexed SELECT i, '$SealedNode::SECRET ' || i FROM generate_series(1, 100) i;
	SELECT pgseal.rotate_index_key('app.reindexed');
	CREATE DOMAIN positive AS encrypted_int4 CHECK (VALUE > 0);
	CREATE TABLE app.domain_checked (id int, v positive);
	INSERT INTO app.domain_checked SELECT i, i FROM generate_series(1, 1000) i;
EOSQL
my $computing = q{
	SELECT sum(v) FROM app.checked; SELECT sum(v::int4) FROM app.domain_checked;
	SELECT md5(string_agg(v, ',' ORDER BY id)) FROM app.hashed;
	SET enable_seqscan = off; SELECT id FROM app.looked_up WHERE v = '} . $SealedNode::SECRET . q{ 7';
	SELECT id FROM app.reindexed WHERE v = '} . $SealedNode::SECRET . q{ 7';
	SELECT count(*) FROM pgseal.key_version WHERE key = 'app.reindexed' AND purpose = 'i';
	SELECT md5(string_agg(token::text, ',' ORDER BY id)) FROM app.looked_up;
	SELECT count(*) FROM app.hashed_0};
my $computed = $source->query('computing', $computing);

$source->run_ok([ 'pg_dump', '-Fd', '-f', "$dir/computing", 'computing' ], 'computing: dump');
$target->query('postgres', 'CREATE DATABASE computing');
$target->run_program([ 'pg_restore', '-d', 'computing', "$dir/computing" ], \$out, \$err);
like($err, qr/ERROR:  key version \w{16} is not known in this database/,
	'computing: without keys, what it keeps for values fails');
like($err, qr/Restore or copy the tables pgseal\.key and pgseal\.key_version/,
	'computing: and says what to do');
$target->query('postgres', 'DROP DATABASE computing');

for my $how ('-1', '-j2')
{
	my $db = 'computing' . ($how =~ tr/-/_/r);

	$target->query('postgres', "CREATE DATABASE $db");
	$target->query($db, 'CREATE EXTENSION pgseal');
	restore_keys("$dir/computing", $db);
	$target->run_ok([ 'pg_restore', '-e', $how, '-d', $db, "$dir/computing" ],
		"computing: keys first, then everything, $how");
	is($target->query($db, $computing), $computed, "computing: it opens, $how");
	is(catalog_of($target, $db), catalog_of($source, 'computing'),
		"computing: the keys are the same, $how");
}

# Where the database has an index key of its own, a value may belong to another
# hash partition: then rows must find their way from the root.
$source->run_ok([ 'pg_dump', '-Fc', '--load-via-partition-root', '-f', "$dir/by_root", 'computing' ],
	'by root: dump');
$target->query('postgres', 'CREATE DATABASE by_root');
$target->query('by_root', 'CREATE EXTENSION pgseal; CREATE TABLE own (v encrypted_text)');
restore_keys("$dir/by_root", 'by_root');
like(slurp_file($target->logfile),
	qr/WARNING:  key "default" keeps the index key that it has in this database/,
	'by root: the index key that is there stays, says the log');
$target->run_ok([ 'pg_restore', '-e', '-d', 'by_root', "$dir/by_root" ], 'by root: restore');
is($target->query('by_root', $computing =~ s/SELECT count[^;]*$//r), $computed =~ s/\n\d+$//r,
	'by root: it opens');
is( $target->query('by_root', "SELECT count(*) FROM app.hashed WHERE v = '$SealedNode::SECRET 7'"), 1,
	'by root: and is found');

# Some tables only, into another database: their keys, then they
$target->query('postgres', 'CREATE DATABASE some_tables');
$target->query('some_tables', 'CREATE EXTENSION pgseal; CREATE SCHEMA app');
is($target->copy_keys($source, 'origin', 'some_tables'), '', 'some tables: their keys');
$source->run_ok([ 'pg_dump', '-Fc', '-t', 'app.people', '-f', "$dir/some", 'origin' ], 'some tables: dump');
$target->run_ok([ 'pg_restore', '-e', '-d', 'some_tables', "$dir/some" ], 'some tables: restore');
is( $target->query('some_tables', 'SELECT count(*) FROM app.people WHERE md5(name::text) = name_md5'), 203,
	'some tables: they open');

#
# Into databases where there are keys and rows of the same names
#

$target->query('postgres', 'CREATE DATABASE merged');
$target->query('merged', <<"EOSQL");
	CREATE EXTENSION pgseal;
	CREATE SCHEMA app;
	CREATE TABLE app.people (id int PRIMARY KEY, name encrypted_text, name_md5 text,
		photo encrypted_bytea, photo_md5 text, age encrypted_int4('payroll'), age_md5 text,
		title encrypted_text);
	CREATE INDEX own_name ON app.people USING hash (name);
	CREATE TABLE own (id int, v encrypted_int4('payroll'));
	INSERT INTO app.people SELECT i, '$SealedNode::SECRET own', md5('$SealedNode::SECRET own')
		FROM generate_series(1001, 1100) i;
	INSERT INTO own SELECT i, i FROM generate_series(1, 100) i;
EOSQL
my $own = $target->query('merged', 'SELECT * FROM pgseal.key_version ORDER BY id');
restore_keys("$dir/custom", 'merged');
$target->run_program([ 'pg_restore', '-d', 'merged', "$dir/custom" ], \$out, \$err);
is(join('', grep { !/already exists|multiple primary keys/ } $err =~ /^.*ERROR.*\n/mg), '',
	'merged: restores');
is($target->query('merged', <<'EOSQL'), '300', 'merged: old and restored values open');
	SELECT count(*) FROM app.people WHERE md5(name::text) = name_md5 AND length(name) > 0
		AND (id <= 200 OR id > 1000)
EOSQL
is($target->query('merged', 'SELECT sum(v), count(v) FROM own'), '5050|100',
	'merged: so do those of other tables');
for my $index ('own_name', 'people_name')
{
	my $other = $index eq 'own_name' ? 'people_name' : 'own_name';

	is( $target->query('merged', <<"EOSQL"), "100\n9", "merged: $index finds old and restored rows");
		SET enable_seqscan = off;
		BEGIN;
		DROP INDEX app.$other;
		SELECT count(*) FROM app.people WHERE name = '$SealedNode::SECRET own';
		SELECT id FROM app.people WHERE name = '$SealedNode::SECRET 9' || chr(309);
		ROLLBACK;
EOSQL
}
is( $target->query('merged', q{SELECT count(*) FROM pgseal.key_version WHERE purpose = 'i'
		GROUP BY key HAVING count(*) <> 1}), '', 'merged: a key still has one index key');
is($target->query('merged',
		q{SELECT number, count(*) FROM pgseal.key_version WHERE key = 'payroll' AND purpose = 'd' GROUP BY 1 ORDER BY 1}),
	"1|2\n2|1", 'merged: and the data keys of both');
my $merged = $target->query('merged', 'SELECT * FROM pgseal.key_version ORDER BY id');
is(scalar(grep { index($merged, $_) < 0 } map { /^((?:[^|]*\|){8})/ } split(/\n/, $own)), 0,
	'merged: what was there stayed');

# Names that a type modifier can't tell apart aren't merged
$target->query('merged', "SELECT pgseal.create_key('key 6929')");
$target->fails_like('merged',
	"INSERT INTO pgseal.key SELECT 'key 22622', name_hash, server, parent, rotate_every, rewrap_every, created
	 FROM pgseal.key WHERE name = 'key 6929'",
	qr/23505: duplicate key value.*"key_name_hash_key"/, 'names with the same hash');

#
# Into a cluster with another keyring: nothing can be read, nothing is lost,
# and the right keyring needs no restart
#

my $stranger = SealedNode->started('stranger');
$stranger->query('postgres', 'CREATE ROLE reader; CREATE ROLE archivist; CREATE DATABASE lost');
$stranger->run_program([ 'pg_restore', '-d', 'lost', "$dir/directory" ], \$out, \$err);
is(join(' ', sort($err =~ /^Command was: (CREATE INDEX \w+|.*)/mg)),
	'CREATE INDEX people_age CREATE INDEX people_name',
	'without keyring: all but the hash indexes is restored');
$stranger->fails_like('lost', 'SELECT v FROM tenants', qr/58000: .*keyring/, 'without keyring: opening');
like(
	($stranger->psql('lost', 'SELECT v FROM tenants'))[2],
	qr/keyring_missing/, 'without keyring: the detail has the code');
ok(!-e $stranger->keyring, 'without keyring: none is made');

$stranger->query('postgres', 'CREATE DATABASE fresh');
$stranger->query('fresh', 'CREATE EXTENSION pgseal; CREATE TABLE t (v encrypted_text);
	INSERT INTO t VALUES (\'of the stranger\')');
ok(-e $stranger->keyring, 'another keyring: a database without keys makes one');
$stranger->fails_like('lost', 'SELECT v FROM tenants', qr/58000: could not unwrap key/,
	'another keyring: opening');
$stranger->fails_like('lost', "INSERT INTO parts VALUES (-7, 'x')", qr/58000/,
	'another keyring: sealing');
is($stranger->fingerprint('lost'), $origin, 'another keyring: nothing is lost');

# Joined as kms/keyring_file.c says: the lines of both, and the checksum of that
my $joined = join('', "pgseal keyring 1\n",
	map { grep { /^\d/ } slurp_file($_) =~ /^.*\n/mg } $source->keyring, $stranger->keyring);
open my $keyring, '>', $stranger->keyring or die $!;
print $keyring $joined, 'checksum ', sha256_hex($joined), "\n";
close $keyring;
# Each key that failed is asked for again after some seconds
ok( $stranger->poll_query_until('lost', q{
		SELECT (SELECT count(v::text) FROM tenants) = 20 AND (SELECT count(v::text) FROM parts) = 20 AND
			(SELECT count(name::text) = 203 AND count(age::int4) > 0 FROM app.people) AND
			'x'::encrypted_text::text = 'x'}),
	'right keyring: opens, without a restart');
is($stranger->opened('lost'), $SealedNode::OPENED, 'right keyring: every value');
$stranger->run_ok(
	[ 'pg_restore', '-e', '-I', 'people_age', '-I', 'people_name', '-d', 'lost', "$dir/directory" ],
	'right keyring: the hash indexes are restored');
is($stranger->query('fresh', 'SELECT v FROM t'), 'of the stranger', 'right keyring: also the other one\'s');
$stranger->stop;

$target->stop;
$source->stop;
done_testing();

# A file, or all files of a directory
sub holds_no_plaintext
{
	my ($path, $name) = @_;
	my $content = '';

	for my $file (-d $path ? glob("$path/*") : $path)
	{
		if ($file =~ /\.gz$/)
		{
			require IO::Uncompress::Gunzip;
			my $part;
			IO::Uncompress::Gunzip::gunzip($file => \$part) or die "gunzip $file";
			$content .= $part;
		}
		else
		{
			$content .= slurp_file($file);
		}
	}
	# A custom archive is compressed: pg_restore prints it
	if ($content =~ /^PGDMP/)
	{
		my ($stdout, $stderr) = ('', '');
		$source->run_program([ 'pg_restore', '-f', '-', $path ], \$stdout, \$stderr)
		  or die $stderr;
		$content = $stdout;
	}
	like($content, qr/pgseal:1:/, "$name: holds sealed values");
	unlike($content, $SealedNode::PLAINTEXT, "$name: holds no plaintext");
}

sub restore
{
	my ($file, $db, $archive) = @_;

	# INSERT statements of sealed values are taken only where that is said
	$target->query('postgres', "ALTER DATABASE $db SET pgseal.sealed_input = on") if $db =~ /insert/;
	if (!defined $archive)
	{
		$target->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', $file ],
			"$db: restore");
		return;
	}
	if ($archive eq '-Fd')
	{
		# In parallel, indexes are built as soon as their table is loaded
		$target->query($db, 'CREATE EXTENSION pgseal');
		restore_keys($file, $db);
	}
	$target->run_ok([ 'pg_restore', '-e', ($archive eq '-Fd' ? '-j2' : ()), '-d', $db, $file ],
		"$db: restore");
}

# The first of the two steps where keys must come first
sub restore_keys
{
	my ($file, $db) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$target->run_ok(
		[ qw(pg_restore -e --data-only -n pgseal -t key -t key_version -d), $db, $file ],
		"$db: restore keys");
	return;
}

# In any order: saving seal counts moves rows
sub lines_of
{
	my ($dump) = @_;
	# On a server of its own a retired version is looked for anew, when a worker comes by
	return join("\n", sort grep { !/\t(?:reencrypt_began|version_retired)\t/ } split(/\n/, $dump));
}

sub catalog_of
{
	my ($node, $db) = @_;
	return $node->query($db, q{
		SELECT name, name_hash, server, created FROM pgseal.key ORDER BY 1;
		SELECT id, key, number, purpose, wrapped, created FROM pgseal.key_version ORDER BY 1});
}

sub is_origin
{
	my ($db, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($target->fingerprint($db), $origin, "$name: keys, types and sealed values are the same");
	is($target->opened($db), $SealedNode::OPENED, "$name: all values open and are right");
}
