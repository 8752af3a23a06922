# encrypt_column() and decrypt_column() beside other sessions: what they do to
# the table meanwhile is kept or noticed, nobody waits for long, and no plaintext
# is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PgsealScan qw(scan_tree);
use SealedNode;
use Test::More;
use Time::HiRes qw(usleep time);

my $node = SealedNode->started('convert', allows_streaming => 'logical', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 2
autovacuum = off
});
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');

$node->backup('before');
my $standby = SealedNode->from_backup('convert_standby', $node, 'before', has_streaming => 1, conf => "pgseal.keyring_file = '" . $node->keyring . "'");

my $secret = 'cloudberry';

# So many that each phase has many steps
my $rows = 700;

sub make_table
{
	my ($table) = @_;
	$node->safe_psql('postgres', qq{
		CREATE TABLE $table (id int PRIMARY KEY, c text, shadow text, pad text DEFAULT repeat('x', 500));
		INSERT INTO $table SELECT i, '$secret' || i, '$secret' || i FROM generate_series(1, $rows) i;
	});
	return;
}

my ($out, $err, $pid, $driver);

# What calls that begin pause between two steps
sub pace
{
	my ($delay) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.reencrypt_delay = $delay");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT setting = '$delay' FROM pg_settings WHERE name = 'pgseal.reencrypt_delay'") or die 'no reload';
	return;
}

sub begin_call
{
	my ($table) = @_;
	($out, $err, $driver) = ('', '', undef);
	my $call = IPC::Run::start(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
		  '-c', "CALL pgseal.encrypt_column('$table', 'c')" ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', qq{
		SELECT count(*) = 1 FROM pgseal.progress_convert WHERE "table" = '$table'::regclass})
	  or die "$table is not converted";
	$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL pgseal.encrypt%''$table''%'");
	return $call;
}

# Begins a call that stands still between two steps, amid the copying.  SIGHUP ends a
# pause: on machines of all speeds it is where it should be.
sub start_call
{
	my ($table) = @_;
	pace(60_000);
	my $call = begin_call($table);
	pace(20);
	step_to('copying');
	return $call;
}

sub step_to
{
	my ($phase) = @_;
	for (1 .. 10_000)
	{
		return if $node->safe_psql('postgres', "SELECT count(*) FROM pgseal_internal.conversion WHERE phase = '$phase' AND next_block > 3");
		kill 'HUP', $pid or last;
		usleep(10_000);
	}
	die "not $phase";
}

# Makes changes in one transaction while the conversion is in a phase.  The table is
# locked first, as everywhere: a conversion that is late would wait for the row with
# the table locked.
sub change_in
{
	my ($table, $phase, $sql) = @_;
	step_to($phase);
	$node->safe_psql('postgres', "BEGIN; LOCK TABLE $table IN ROW EXCLUSIVE MODE; SELECT FROM pgseal_internal.conversion FOR UPDATE;\n$sql\nCOMMIT");
	return;
}

# Without pauses, as long as it runs
sub let_run
{
	$driver //= IPC::Run::start([ 'sh', '-c', "while kill -HUP $pid; do sleep 0.01; done" ], '2>', '/dev/null');
	return;
}

sub ends
{
	my ($call) = @_;
	let_run();
	$call->finish;
	$driver->finish;
	return;
}

sub finish_call
{
	my ($call, $name) = @_;
	ends($call);
	is($call->result(0), 0, "$name: done") or diag($err);
	return;
}

sub wrong_rows
{
	my ($table) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM $table WHERE c::text IS DISTINCT FROM shadow");
}

sub count_events
{
	my ($event, $table) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pgseal.events WHERE event = '$event' AND detail LIKE 'table=public.$table %'");
}

sub type_of_column
{
	my ($table) = @_;
	return $node->safe_psql('postgres',
		"SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attname = 'c'");
}

# ---- changes in every way, in every phase, are followed

make_table('changed');
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('slot', 'test_decoding')");
my $changes = sub {
	my ($n) = @_;
	return qq{
		UPDATE changed SET c = '$secret changed $n', shadow = '$secret changed $n' WHERE id % 7 = $n;
		DELETE FROM changed WHERE id % 100 = $n;
		INSERT INTO changed SELECT 10000 * $n + i, i, i FROM generate_series(1, 50) i;
		UPDATE changed SET id = id + 1000000 WHERE id % 101 = $n;
		UPDATE changed SET c = NULL, shadow = NULL WHERE id % 103 = $n;
		SET session_replication_role = replica;
		UPDATE changed SET c = 'replica $n', shadow = 'replica $n' WHERE id % 11 = $n;
		RESET session_replication_role;
		COPY changed (id, c, shadow) FROM STDIN;
${n}77777\t$secret\t$secret
\\.
	};
};
my $call = start_call('changed');
# Not even 60 seconds
$node->safe_psql('postgres', q{SET lock_timeout = '5s'; BEGIN; LOCK TABLE changed; COMMIT});
pass('while it pauses, nothing is locked');
change_in('changed', 'copying', $changes->(1));
change_in('changed', 'verifying', $changes->(2));
change_in('changed', 'verifying copy', $changes->(3));
finish_call($call, 'changed meanwhile');
is(type_of_column('changed'), 'encrypted_text', 'changed meanwhile: encrypted');
is(wrong_rows('changed'), 0, 'changed meanwhile: every value is right');
is($node->safe_psql('postgres', "SELECT count(*) FROM changed WHERE shadow LIKE 'replica%' AND c LIKE 'replica%'") > 50 ? 1 : 0,
	1, 'session_replication_role = replica does not pass it by');

my $decoded = $node->safe_psql('postgres',
	"SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL)");
unlike($decoded, qr/table pgseal\.(?:copy_of|conversion)/, 'logical decoding passes over the copy');
$node->safe_psql('postgres', "INSERT INTO changed VALUES (0, '$secret', '$secret')");
$decoded = $node->safe_psql('postgres',
	"SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL)");
like($decoded, qr/table public\.changed: INSERT: id\[integer\]:0 c\[encrypted_text\]:'pgseal:1:/,
	'logical decoding sees the table afterwards');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('slot')");

# ---- changes of the table's definition and files begin it anew

my %definition = (
	'added a column' => 'ALTER TABLE %s ADD COLUMN more int DEFAULT 7',
	'dropped a column' => 'ALTER TABLE %s DROP COLUMN pad',
	'made an index' => 'CREATE INDEX ON %s (shadow)',
	'rewritten' => 'VACUUM FULL %s',
	'truncated' => "TRUNCATE %s; INSERT INTO %1\$s SELECT i, i, i FROM generate_series(1, 300) i",
	'had its triggers off' => "ALTER TABLE %s DISABLE TRIGGER ALL; UPDATE %1\$s SET c = 'unseen', shadow = 'unseen' WHERE id > 500; ALTER TABLE %1\$s ENABLE TRIGGER ALL");
my $n = 0;
for my $what (sort keys %definition)
{
	my $table = 'defined' . $n++;
	make_table($table);
	$call = start_call($table);
	(my $sql = $definition{$what}) =~ s/%s|%1\$s/$table/g;
	$node->safe_psql('postgres', $_) foreach split /; /, $sql;
	finish_call($call, $what);
	cmp_ok(count_events('conversion_restarted', $table), '>', 0, "$what: begun anew");
	is(type_of_column($table), 'encrypted_text', "$what: encrypted");
	is(wrong_rows($table), 0, "$what: every value is right");
}
is($node->safe_psql('postgres', 'SELECT sum(more) FROM defined0'), 7 * $rows, 'the added column has its values');

# ---- what stands in the way later is named, and the work goes on without it

make_table('viewed');
$call = start_call('viewed');
$node->safe_psql('postgres', 'CREATE VIEW late AS SELECT c FROM viewed');
ends($call);
isnt($call->result(0), 0, 'a view made meanwhile: refused');
like($err, qr/rule _RETURN on view public.late uses the column/, 'a view made meanwhile: named');
is(type_of_column('viewed'), 'text', 'a view made meanwhile: the column is as it was');
$node->safe_psql('postgres', 'DROP VIEW late');
$node->safe_psql('postgres', "CALL pgseal.encrypt_column('viewed', 'c')");
is(count_events('conversion_restarted', 'viewed'), 0, 'the next call goes on');
is(count_events('column_encrypted', 'viewed'), 1, 'the next call ends it');

# ---- cancelled, given up, dropped

make_table('given_up');
$call = start_call('given_up');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL pgseal%'");
ends($call);
like($err, qr/canceling statement due to user request/, 'a call can be cancelled');
$node->safe_psql('postgres', "UPDATE given_up SET c = 'x', shadow = 'x' WHERE id = 1");
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgseal_internal.conversion_change'), 1, 'changes are noted on');
$node->fails_like('postgres', "CALL pgseal.encrypt_column('given_up', 'shadow')",
	qr/55006: column "c" of table "given_up" is being encrypted/, 'another column of the table');
$node->safe_psql('postgres', "CALL pgseal.cancel_conversion('given_up')");
is($node->safe_psql('postgres', q{
	SELECT (SELECT count(*) FROM pgseal_internal.conversion) + (SELECT count(*) FROM pgseal_internal.conversion_change)
		+ (SELECT count(*) FROM pg_class WHERE relname LIKE 'copy_of_%')
		+ (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'given_up'::regclass)}),
	0, 'given up: nothing is left');
$node->fails_like('postgres', "CALL pgseal.cancel_conversion('given_up')",
	qr/42704: no column of table "given_up" is being/, 'nothing to give up');

$call = start_call('given_up');
$node->safe_psql('postgres', 'ALTER TABLE given_up DROP COLUMN c');
ends($call);
like($err, qr/the column of table "given_up" has been dropped/, 'the column is dropped meanwhile');
$node->safe_psql('postgres', "CALL pgseal.cancel_conversion('given_up')");

make_table('dropped');
$call = start_call('dropped');
$node->safe_psql('postgres', 'DROP TABLE dropped');
ends($call);
like($err, qr/does not exist/, 'the table is dropped meanwhile');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'copy_of_%'}), 0,
	'the copy goes with its table');

# ---- a copy that isn't the same never takes the table's place

make_table('tampered');
$call = start_call('tampered');
my $copy = $node->safe_psql('postgres', 'SELECT copy::regclass FROM pgseal_internal.conversion');
change_in('tampered', 'copying', "UPDATE $copy SET c = 'something else' WHERE id = 1;");
ends($call);
like($err, qr/a row of table "tampered" differs from its copy/, 'a changed value is noticed');
$node->safe_psql('postgres', "CALL pgseal.cancel_conversion('tampered')");
$call = start_call('tampered');
$copy = $node->safe_psql('postgres', 'SELECT copy::regclass FROM pgseal_internal.conversion');
change_in('tampered', 'copying', "INSERT INTO $copy (id) VALUES (-1);");
ends($call);
like($err, qr/a row of table "tampered" differs from its copy/, 'a row too many is noticed');
$node->safe_psql('postgres', "CALL pgseal.cancel_conversion('tampered')");
is(type_of_column('tampered') . wrong_rows('tampered'), 'text0', 'the table is as it was');

# Its owner can't write to it: verifying would tell him whether a sealed value of
# somebody else's is equal to a guess in the table.
make_table('guessed');
$node->safe_psql('postgres', q{
	CREATE ROLE guesser LOGIN;
	GRANT CREATE ON SCHEMA public TO guesser;
	ALTER TABLE guessed OWNER TO guesser});
$call = start_call('guessed');
$copy = $node->safe_psql('postgres', 'SELECT copy::regclass FROM pgseal_internal.conversion');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM $copy") or die 'nothing is copied';
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL pgseal%'");
ends($call);
for my $sql ("UPDATE $copy SET c = 'guess'", "DELETE FROM $copy", "INSERT INTO $copy (id) VALUES (-1)",
	"ALTER TABLE $copy DISABLE TRIGGER ALL; DELETE FROM $copy")
{
	my ($status, undef, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-U', 'guesser' ]);
	like($stderr, qr/cannot change table "copy_of_/, "its owner cannot: $sql");
}
$node->safe_psql('postgres', "CALL pgseal.encrypt_column('guessed', 'c')");
is(count_events('conversion_restarted', 'guessed') . wrong_rows('guessed'), '00', 'guessed: every value is right');

# ---- two calls at once

make_table('twice');
$call = start_call('twice');
let_run();
$node->safe_psql('postgres', "CALL pgseal.encrypt_column('twice', 'c')");
finish_call($call, 'two calls');
is(wrong_rows('twice') . count_events('column_encrypted', 'twice'), '01', 'two calls: once, and right');

# ---- keys are rotated meanwhile

make_table('rotated');
$node->safe_psql('postgres', q{
	ALTER TABLE rotated ADD COLUMN other encrypted_text;
	UPDATE rotated SET other = shadow;
	CREATE INDEX ON rotated (blind_index(other));
	CREATE INDEX ON rotated (c)});
$call = start_call('rotated');
$node->safe_psql('postgres', "SELECT pgseal.rotate_key('public.rotated')");
$node->safe_psql('postgres', "SELECT pgseal.rotate_index_key('public.rotated')");
finish_call($call, 'keys rotated');
is(wrong_rows('rotated'), 0, 'keys rotated: every value is right');
is($node->safe_psql('postgres', q{
	SET enable_seqscan = off;
	SELECT count(*) FROM rotated a JOIN rotated b ON b.c = a.shadow JOIN rotated d ON d.other = a.shadow}),
	$rows, 'keys rotated: both indexes find every row');
ok($node->poll_query_until('postgres', q{
	SELECT count(*) = 0 FROM rotated WHERE NOT (pgseal.inspect(c)).current OR NOT (pgseal.inspect(other)).current}),
	'keys rotated: the worker re-encrypts the table afterwards');

# ---- a publication of all tables is of ours, too

make_table('published');
$node->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');
$call = start_call('published');
$node->safe_psql('postgres', "UPDATE published SET c = 'new', shadow = 'new' WHERE id = 5");
finish_call($call, 'published');
is(wrong_rows('published'), 0, 'published: every value is right');
$node->safe_psql('postgres', 'DROP PUBLICATION everything');

# ---- nobody queues for long behind the switch

make_table('busy');
# Read when it has begun, and then as fast as it is by itself
$call = start_call('busy');
my ($in, $reader_out) = ('', '');
my $reader = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$reader_out);
$in .= "BEGIN; SELECT 'holds', count(*) FROM busy;\n";
$reader->pump until $reader_out =~ /holds/;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
ends($call);
$call = begin_call('busy');
ok($node->poll_query_until('postgres', q{
	SELECT count(*) > 0 FROM pg_locks WHERE relation = 'busy'::regclass AND NOT granted}),
	'the switch waits for a reader');
my $worst = 0;
for (1 .. 20)
{
	my $began = time;
	$node->safe_psql('postgres', "UPDATE busy SET c = 'busy', shadow = 'busy' WHERE id = 5");
	$worst = time - $began if time - $began > $worst;
	usleep(100_000);
}
cmp_ok($worst, '<', 20, "others had to wait for $worst s at most");
$in .= "END;\n\\q\n";
$reader->finish;
$call->finish;
is($call->result(0), 0, 'busy: done') or diag($err);
is(wrong_rows('busy'), 0, 'busy: every value is right');

# ---- no plaintext is left, but in the WAL

$node->safe_psql('postgres', q{
	CREATE DATABASE clean});
$node->safe_psql('clean', qq{
	CREATE EXTENSION pgseal;
	CREATE TABLE person (id int PRIMARY KEY, c text, long text DEFAULT 'multeberry', n int);
	CREATE INDEX ON person (c);
	ALTER TABLE person ALTER long SET STORAGE EXTERNAL;
	INSERT INTO person SELECT i, 'multeberry ' || i % 10, repeat('boysenberry ' || i, 500), 7000000 + i FROM generate_series(1, 300) i;
	ANALYZE person;
	CHECKPOINT;
});
my $oid = $node->safe_psql('clean', "SELECT oid FROM pg_database WHERE datname = 'clean'");
my $files = $node->data_dir . "/base/$oid";
my %found = scan_tree($files, 'multeberry', 'boysenberry');
is(join(' ', sort keys %found), 'boysenberry multeberry', 'before: the plaintext is there');
cmp_ok(scalar(@{ $found{multeberry} }), '>', 2, 'before: in the table, an index and pg_statistic');
$node->safe_psql('clean', "CALL pgseal.encrypt_column('person', 'c'); CALL pgseal.encrypt_column('person', 'long'); CHECKPOINT");
%found = scan_tree($files, 'multeberry', 'boysenberry');
is(join(' ', map { @$_ } values %found), '', 'afterwards: nowhere in the database');
is($node->safe_psql('clean', q{SELECT count(*) FROM person WHERE c = 'multeberry ' || id % 10 AND long LIKE 'boysenberry ' || id || 'boys%'}),
	300, 'afterwards: the values open');
$node->safe_psql('clean', "CALL pgseal.decrypt_column('person', 'c'); CHECKPOINT");
%found = scan_tree($files, 'multeberry');
isnt(scalar(keys %found), 0, 'decrypted: it is there again');

# ---- a standby has it all, and can take over

$node->safe_psql('clean', q{CREATE INDEX ON person (blind_index(long)); INSERT INTO person VALUES (301, 'later', 'later')});
$node->wait_for_catchup($standby);
$standby->promote;
is($standby->safe_psql('clean', q{
	SELECT count(*) FROM person WHERE c = 'multeberry ' || id % 10 AND long LIKE 'boysenberry ' || id || 'boys%'}),
	300, 'standby: every value is right');
is($standby->safe_psql('clean', q{SET enable_seqscan = off; SELECT id FROM person WHERE c = 'later'}), 301,
	'standby: the index finds it');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM changed WHERE c::text IS DISTINCT FROM shadow}), 0,
	'standby: what changed meanwhile is right');
$standby->safe_psql('clean', "CALL pgseal.encrypt_column('person', 'c')");
$standby->stop;

# ---- a dump taken meanwhile is of use

make_table('dumped');
$call = start_call('dumped');
my $dump = $node->dump_text('postgres', '-t', 'public.dumped');
unlike($dump, qr/note_change/, 'a dump has no trigger of ours');
like($dump, qr/c text/, 'a dump has the column as it is');
finish_call($call, 'dumped');

# ---- the extension goes while a column is converted

make_table('orphan');
$call = start_call('orphan');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL pgseal%'");
ends($call);
$node->safe_psql('postgres', 'DROP EXTENSION pgseal CASCADE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orphan WHERE c = shadow'), $rows,
	'DROP EXTENSION leaves the table as it was');
$node->safe_psql('postgres', 'INSERT INTO orphan VALUES (0)');

$node->stop;
done_testing();
