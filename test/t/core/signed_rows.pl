# Signed rows, looked at from outside: files that are edited while the server is
# down, dumps, logical replication, a crash, sessions that write at the same time.

use strict;
use warnings;

use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->new('signed');
$node->init(allows_streaming => 'logical');
$node->without_checksums;
$node->start;
$node->query('postgres', 'CREATE DATABASE origin');
$node->query('origin', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text, note text, signature row_signature);
	INSERT INTO accounts SELECT i, 'owner ' || i, 'DE' || i, 'note' FROM generate_series(10, 29) i;
	CREATE TABLE chosen (id int, part text, note text, list int[], PRIMARY KEY (id, part)) PARTITION BY LIST (part);
	CREATE TABLE chosen_a PARTITION OF chosen FOR VALUES IN ('a');
	CREATE TABLE chosen_b PARTITION OF chosen FOR VALUES IN ('b');
	SELECT pgseal.sign_table('chosen', columns => '{id,part,list}', key => 'audit', signers => 'writers');
	INSERT INTO chosen SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, 'note', ARRAY[i] FROM generate_series(1, 10) i;
	ALTER TABLE accounts RENAME COLUMN owner TO holder;
	VACUUM FREEZE;
EOSQL

# Which rows verify
my $BAD = q{SELECT string_agg(t || ' ' || key || ' ' || reason, ', ' ORDER BY t, key) FROM (
	SELECT 'accounts' t, * FROM pgseal.tampered_rows('accounts')
	UNION ALL SELECT 'a', * FROM pgseal.tampered_rows('chosen_a')
	UNION ALL SELECT 'b', * FROM pgseal.tampered_rows('chosen_b')) r};
is($node->query('origin', $BAD), '', 'all rows verify');

#
# Files
#

my $sealed = $node->sealed('origin', 'SELECT iban FROM accounts WHERE id IN (12, 13) ORDER BY id');
my ($value12, $value13) = map { decode_base64(s/^pgseal:1://r) } split /\n/, $sealed;
my $file = $node->data_dir . '/' . $node->query('origin', q{SELECT pg_relation_filepath('accounts')});

$node->stop;
edit($file, 'owner 11', 'mallory!');
edit($file, $value12, $value13);
$node->start;

my $edited = 'accounts (id)=(11) forged, accounts (id)=(12) forged';
is($node->query('origin', $BAD), $edited, 'rows whose bytes were changed are found');
$node->fails_like('origin', 'SELECT holder FROM accounts WHERE id = 11',
	qr/ERROR:  XX001: row \(id\)=\(11\) of table public\.accounts does not verify\n/, 'a changed column');
$node->fails_like('origin', 'SELECT iban FROM accounts WHERE id = 12', qr/XX001/, 'a moved sealed value');
is($node->query('origin', 'SELECT count(*) FROM accounts WHERE id > 12'), 17, 'others can be read');
$node->fails_like('origin', q{UPDATE accounts SET note = 'x' WHERE id = 11}, qr/XX001/, 'no update');
$node->fails_like('origin', 'DELETE FROM accounts WHERE id = 12', qr/XX001/, 'no deletion');

# Puts bytes in the place of others in a file
sub edit
{
	my ($path, $from, $to) = @_;
	my $bytes = slurp_file($path);
	my $at = index($bytes, $from);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($at >= 0 && length($from) == length($to), 'what is to be changed is there');
	substr($bytes, $at, length($from)) = $to;
	open my $fh, '+<:raw', $path or die "could not open $path: $!\n";
	print $fh $bytes;
	close $fh;
	return;
}

#
# Dumps
#

my $target = SealedNode->started('elsewhere', allows_streaming => 'logical', conf => "pgseal.keyring_file = '" . $node->keyring . "'");
$target->query('postgres', 'CREATE DATABASE other; CREATE ROLE someone');

my %dumps = (plain => [], custom => ['-Fc'], inserts => ['--inserts']);
for my $form (sort keys %dumps)
{
	my $dump = "$dir/$form";

	local $ENV{PGOPTIONS} = '-c pgseal.verify_rows=off';
	$node->run_ok([ 'pg_dump', '-f', $dump, @{ $dumps{$form} }, 'origin' ], "$form: dump");
	$target->query('postgres', "CREATE DATABASE $form; ALTER DATABASE $form SET pgseal.sealed_input = on");
	$target->run_ok(
		$form eq 'custom' ? [ 'pg_restore', '-e', '-d', $form, $dump ] :
		  [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $form, '-f', $dump ],
		"$form: restore");
	delete $ENV{PGOPTIONS};
	is($target->query($form, $BAD), $edited, "$form: the same rows are good, and the same bad");
	is($target->query($form, q{UPDATE accounts SET holder = 'new' WHERE id = 20; INSERT INTO accounts (id) VALUES (1);
		UPDATE chosen SET part = 'a', list = '{1}' WHERE id = 1; SELECT count(*) FROM accounts WHERE id > 12}),
		17, "$form: rows can be written");
	is($target->query($form, $BAD), $edited, "$form: and are good");
}

# A dump of the data alone, into a schema that signs: what is good goes in
$node->query('origin', 'SET pgseal.verify_rows = off; UPDATE accounts SET note = note WHERE id IN (11, 12)');
is($node->query('origin', $BAD), '', 'mended');
$node->run_ok([ 'pg_dump', '-f', "$dir/schema", '--schema-only', 'origin' ], 'schema: dump');
$node->run_ok([ 'pg_dump', '-f', "$dir/keys", '--data-only', '-t', 'pgseal.key*', 'origin' ], 'keys: dump');
$node->run_ok([ 'pg_dump', '-f', "$dir/data", '--data-only', '-t', 'accounts', '-t', 'chosen*', 'origin' ], 'data: dump');
$target->query('postgres', 'CREATE DATABASE parts');
$target->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'parts', '-f', "$dir/$_" ], "$_: restore")
  for qw(schema keys data);
is($target->query('parts', $BAD . '; SELECT count(*) FROM accounts'), "\n20", 'the data alone: all rows verify');
slurp_and_change("$dir/data", 'owner 15', 'mallory!');
$target->query('parts', 'TRUNCATE accounts');
my ($stdout, $stderr);
IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('parts'), '-f', "$dir/data" ],
	'>', \$stdout, '2>', \$stderr);
like($stderr, qr/the given signature is not one of this row of table "accounts"/, 'the data alone: what is bad does not');

sub slurp_and_change
{
	my ($path, $from, $to) = @_;
	my $text = slurp_file($path);

	$text =~ s/\Q$from\E/$to/ or die "no $from in $path\n";
	open my $fh, '>', $path or die "could not open $path: $!\n";
	print $fh $text;
	close $fh;
	return;
}

#
# Logical replication: rows are kept as the publisher signed them
#

$node->query('origin', 'CREATE PUBLICATION signed FOR TABLE accounts, pgseal.key, pgseal.key_version');
$target->query('other', q{CREATE EXTENSION pgseal;
	CREATE TABLE accounts (id int PRIMARY KEY, holder text, iban encrypted_text, note text, signature row_signature);
	ALTER TABLE accounts RENAME COLUMN holder TO owner; SELECT pgseal.sign_table('accounts');
	ALTER TABLE accounts RENAME COLUMN owner TO holder;
	CREATE TABLE sink (id int)});
# Its trigger, as the publisher has it
my $trigger = $node->query('origin', q{SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'accounts'::regclass});
$target->query('other', "DROP TRIGGER zz_pgseal_sign ON accounts; $trigger; ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_sign");
$target->query('other', "CREATE SUBSCRIPTION signed CONNECTION '" . $node->connection('origin') . "' PUBLICATION signed");
$target->wait_for_subscription_sync($node, 'signed', 'other');
$node->query('origin', q{UPDATE accounts SET holder = 'replicated', iban = 'DE' WHERE id = 10; INSERT INTO accounts (id) VALUES (2); DELETE FROM accounts WHERE id = 11});
$node->wait_for_catchup('signed');
my $rows = 'SELECT count(*), min(holder), max(holder), min(signature::text), max(signature::text) FROM accounts';
is($target->query('other', $rows), $node->query('origin', $rows), 'replicated rows have the same signatures');
is($target->query('other', q{SELECT count(*) FROM pgseal.tampered_rows('accounts')}), 0, 'and verify');
$target->query('other', 'DROP SUBSCRIPTION signed');

#
# A crash, and sessions that write the same rows
#

$node->query('origin', 'CREATE TABLE busy (id int PRIMARY KEY, n int, v encrypted_int4, signature row_signature);
	INSERT INTO busy SELECT i, 0, 0 FROM generate_series(1, 20) i');
append_to_file("$dir/bench.sql", q{\set a random(1, 20)
\set b random(1, 20)
BEGIN;
UPDATE busy SET n = n + 1, v = n + 1 WHERE id = :a;
SAVEPOINT s;
UPDATE busy SET n = n - 5 WHERE id = :b;
ROLLBACK TO s;
SELECT count(*) FROM busy;
INSERT INTO busy VALUES (:b, 1, 1) ON CONFLICT (id) DO UPDATE SET n = busy.n + excluded.n;
COMMIT;
});
my $bench = IPC::Run::start([ 'pgbench', '-n', '-f', "$dir/bench.sql", '-c', '4', '-T', '5', '--max-tries=1000', $node->connstr('origin') ],
	'>', \my $bench_out, '2>', \my $bench_err);
$bench->finish;
unlike($bench_err, qr/ERROR:  (?!could not serialize|deadlock)/, 'no false alarm');
like($bench_out, qr/number of transactions actually processed: [1-9]/, 'while there was work');
is($node->query('origin', q{SELECT count(*) FROM pgseal.tampered_rows('busy')}), 0, 'all rows verify');
my $session = $node->background_psql('origin', on_error_stop => 0);
$session->query_safe('BEGIN; UPDATE busy SET n = -1');
$node->query('origin', 'CHECKPOINT; INSERT INTO busy VALUES (21, 1, 1)');
$node->stop('immediate');
$session->quit;
$node->start;
is($node->query('origin', q{SELECT count(*) FROM busy WHERE n >= 0; SELECT count(*) FROM pgseal.tampered_rows('busy')}), "21\n0",
	'after a crash in the middle of a transaction all rows verify');

$target->stop;
$node->stop;
done_testing();
