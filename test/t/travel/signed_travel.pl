# Signed rows and their ledger where they travel: dumps in all forms, the binary
# format, a hot standby, logical replication.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->started('signed_origin', allows_streaming => 'logical', conf => 'max_prepared_transactions = 5');
$node->query('postgres', 'CREATE DATABASE origin');
$node->query('origin', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text, note text);
	SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true);
	INSERT INTO accounts SELECT i, 'owner ' || i, 'DE' || i, 'note' FROM generate_series(10, 29) i;
	CREATE TABLE parts (id int, part text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
	CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
	CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
	SELECT pgseal.sign_table('parts', ledger => true);
	INSERT INTO parts SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 10) i;
	SELECT pgseal.ledger_digest('accounts');
	UPDATE accounts SET owner = 'changed' WHERE id = 10;
	UPDATE parts SET part = 'a' WHERE id < 4;
EOSQL
my $digest = $node->query('origin', q{SELECT pgseal.ledger_digest('accounts')});

# Of a table: which rows don't verify, and what its ledger says
my $STATE = q{SELECT string_agg(bad || ' bad, ' || ledger_status, '; ' ORDER BY t) FROM (
	SELECT 'accounts' AS t, unsigned + bad + old_definition AS bad, ledger_status FROM pgseal.verify_table('accounts', ledger => true)
	UNION ALL SELECT 'parts', unsigned + bad + old_definition, ledger_status FROM pgseal.verify_table('parts', ledger => true)) s WHERE ledger_status IS NOT NULL};
my $GOOD = '0 bad, good; 0 bad, good';
my $SINCE = qq{SELECT ledger_status FROM pgseal.verify_table('accounts', digest => '$digest') WHERE ledger_status IS NOT NULL};
my $WRITE = q{INSERT INTO accounts (id, owner) VALUES (%1$s, 'new'); UPDATE accounts SET iban = 'new' WHERE id = 20; DELETE FROM accounts WHERE id = 2%1$s;
	UPDATE parts SET part = CASE part WHEN 'a' THEN 'b' ELSE 'a' END; INSERT INTO parts VALUES (1%1$s, 'b')};
is($node->query('origin', $STATE), $GOOD, 'before');

#
# Dumps; one row is missing, one is changed
#

$node->query('origin', q{ALTER TABLE accounts DISABLE TRIGGER USER; SET pgseal.verify_rows = off;
	DELETE FROM accounts WHERE id = 11; UPDATE accounts SET owner = 'mallory' WHERE id = 12;
	ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_sign; ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_record; ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_record_truncate});
my $BAD = '1 bad, it has 20 rows, not these; 0 bad, good';
is($node->query('origin', $STATE), $BAD, 'with a missing row and a changed one');

sub psql_file
{
	my ($to, $db, $file) = @_;
	return $to->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', $file ], "$db: restore");
}

my $target = SealedNode->started('signed_target', allows_streaming => 'logical',
	conf => "pgseal.keyring_file = '" . $node->keyring . "'\npgseal.worker_interval = 1");
my %dumps = (plain => [], custom => ['-Fc'], inserts => ['--inserts']);
for my $form (sort keys %dumps)
{
	local $ENV{PGOPTIONS} = '-c pgseal.verify_rows=off';
	$node->run_ok([ 'pg_dump', '-f', "$dir/$form", @{ $dumps{$form} }, 'origin' ], "$form: dump");
	$target->query('postgres', "CREATE DATABASE $form; ALTER DATABASE $form SET pgseal.sealed_input = on");
	if ($form eq 'custom')
	{
		$target->run_ok([ 'pg_restore', '-e', '-j', '2', '-d', $form, "$dir/$form" ], 'custom: restore by two jobs');
	}
	else
	{
		psql_file($target, $form, "$dir/$form");
	}
	delete $ENV{PGOPTIONS};
	is($target->query($form, $STATE), $BAD, "$form: the same rows are good, bad and missing");
	is($target->query($form, $SINCE), 'it has 20 rows, not these', "$form: the digest is one of this ledger");
	$target->query($form, sprintf($WRITE, 1));
	is($target->query($form, $STATE), $BAD, "$form: written, and no better");
	# The worker has added what was recorded here to the total from there
	ok($target->poll_query_until($form, q{SELECT NOT EXISTS (SELECT FROM pgseal.ledger WHERE kind = 'c')}), "$form: records are added up");
	is($target->query($form, $STATE), $BAD, "$form: no better either");
	is($target->query($form, q{SET pgseal.verify_rows = off; UPDATE accounts SET owner = 'owner 12' WHERE id = 12; RESET pgseal.verify_rows;
		SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => false); SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true); } . $STATE) =~ /.*\z/ && $&,
		$GOOD, "$form: mended, and begun anew");
}

# Under another name, in another schema: what is signed has the names of then
my $text = slurp_file("$dir/plain");
$text =~ s/^(?!.*(?:sign_row\(|encrypted_text|\t))(.*)\bpublic\.accounts\b/$1elsewhere.bookings/mg;
$text =~ s/(CREATE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON) public\.accounts/$1 elsewhere.bookings/;
$text =~ s/^(CREATE TABLE elsewhere)/CREATE SCHEMA elsewhere;\n$1/m;
append_to_file("$dir/renamed", $text);
$target->query('postgres', 'CREATE DATABASE renamed');
psql_file($target, 'renamed', "$dir/renamed");
my $RENAMED = $STATE =~ s/\('accounts'/('elsewhere.bookings'/r;
is($target->query('renamed', $RENAMED), $BAD, 'under another name in another schema');
$target->query('renamed', sprintf($WRITE, 1) =~ s/accounts/elsewhere.bookings/gr);
is($target->query('renamed', $RENAMED), $BAD, 'and written');

# The data alone, into tables that record: the rows are there twice in the ledger
$node->query('origin', q{SET pgseal.verify_rows = off; UPDATE accounts SET owner = owner WHERE id = 12; SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => false);
	SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true)});
is($node->query('origin', $STATE), $GOOD, 'mended');
$node->run_ok([ 'pg_dump', '-f', "$dir/schema", '--schema-only', 'origin' ], 'schema: dump');
$node->run_ok([ 'pg_dump', '-f', "$dir/keys", '--data-only', '-t', 'pgseal.key*', 'origin' ], 'keys: dump');
$node->run_ok([ 'pg_dump', '-f', "$dir/rows", '--data-only', '-t', 'accounts', '-t', 'parts*', 'origin' ], 'rows: dump');
$target->query('postgres', 'CREATE DATABASE data');
psql_file($target, 'data', "$dir/$_") for qw(schema keys rows);
is($target->query('data', $STATE), '0 bad, it is missing; 0 bad, it is missing', 'the data alone: rows verify, the ledgers must be begun');
$target->query('data', q{SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true); SELECT pgseal.sign_table('parts', ledger => true); } . sprintf($WRITE, 1));
is($target->query('data', $STATE), $GOOD, 'begun');

#
# Names in another encoding
#

$node->query('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'});
$node->query('latin', qq{SET client_encoding = 'UTF8'; CREATE EXTENSION pgseal; CREATE DOMAIN "maß" AS text;
	CREATE TABLE "größe" (id int PRIMARY KEY, "straße" "maß", v encrypted_text, signature row_signature); INSERT INTO "größe" VALUES (1, 'größer', 'größer')});
$node->run_ok([ 'pg_dump', '-f', "$dir/latin", 'latin' ], 'LATIN1: dump');
$target->query('postgres', 'CREATE DATABASE latin');
psql_file($target, 'latin', "$dir/latin");
is($target->query('latin', q{SELECT "straße", v FROM "größe"}), 'größer|größer', 'LATIN1: read where the encoding is UTF-8');

#
# The binary format
#

is($node->query('origin', qq{COPY accounts TO '$dir/binary' (FORMAT binary); CREATE TABLE before AS SELECT id, signature::text s FROM accounts; TRUNCATE accounts;
	COPY accounts FROM '$dir/binary' (FORMAT binary); SELECT count(*) FROM accounts a JOIN before b USING (id) WHERE a.signature::text = b.s}), 19, 'binary COPY: the same signatures');
is($node->query('origin', $STATE), $GOOD, 'and they are good');

#
# A hot standby
#

$node->backup('base');
my $standby = SealedNode->from_backup('signed_standby', $node, 'base', has_streaming => 1, conf => "pgseal.keyring_file = '" . $node->keyring . "'");
$node->query('origin', sprintf($WRITE, 2) . q{; BEGIN; UPDATE accounts SET owner = 'prepared' WHERE id = 25; PREPARE TRANSACTION 'p'});
$digest = $node->query('origin', q{SELECT pgseal.ledger_digest('accounts')});
$node->wait_for_catchup($standby);
is($standby->query('origin', $STATE), $GOOD, 'standby: rows and ledgers');
is($standby->query('origin', "SELECT ledger_status FROM pgseal.verify_table('accounts', digest => '$digest') WHERE ledger_status IS NOT NULL"), 'good', 'standby: a digest');
is($standby->query('origin', 'SELECT count(iban) FROM accounts WHERE id > 12 AND owner IS NOT NULL'), 16, 'standby: rows are read');
$standby->fails_like('origin', q{SELECT pgseal.ledger_digest('accounts')}, qr/25006/, 'standby: makes no digest');
$standby->promote;
is($standby->query('origin', q{COMMIT PREPARED 'p'; } . sprintf($WRITE, 3) . "; $STATE"), $GOOD, 'promoted: written, and good');
is($standby->query('origin', qq{SELECT pgseal.ledger_digest('accounts') IS NOT NULL; $STATE}), "t\n$GOOD", 'promoted: makes digests');
$node->query('origin', q{ROLLBACK PREPARED 'p'});

#
# Logical replication, in binary: a ledger at each end
#

$node->query('origin', 'CREATE PUBLICATION all_of_it FOR ALL TABLES');
$target->query('postgres', 'CREATE DATABASE subscriber');
$target->query('subscriber', q{CREATE EXTENSION pgseal; CREATE TABLE before (id int, s text);
	CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text, note text);
	SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true);
	CREATE TABLE parts (id int, part text, signature row_signature, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
	CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a'); CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b')});
$target->copy_keys($node, 'origin', 'subscriber');
$node->query('origin', 'ALTER TABLE before REPLICA IDENTITY FULL');
$target->query('subscriber', q{CREATE SUBSCRIPTION s CONNECTION '} . $node->connection('origin') . q{' PUBLICATION all_of_it WITH (binary = true, copy_data = false)});
$node->query('origin', q{INSERT INTO accounts (id, owner, iban) SELECT i, 'o', 'i' FROM generate_series(100, 105) i; UPDATE accounts SET owner = 'p' WHERE id = 100;
	DELETE FROM accounts WHERE id = 101; INSERT INTO parts VALUES (100, 'a')});
$node->wait_for_catchup('s');
my $of = q{SELECT count(*), min(signature::text), max(signature::text) FROM accounts WHERE id >= 100};
is($target->query('subscriber', $of), $node->query('origin', $of), 'subscriber: the same signatures');
is($target->query('subscriber', q{SELECT "rows", bad, ledger_status FROM pgseal.verify_table('accounts', ledger => true) WHERE ledger_status IS NOT NULL}), '5|0|good', 'subscriber: a ledger of its own');
$node->query('origin', 'TRUNCATE accounts');
$node->wait_for_catchup('s');
is($target->query('subscriber', q{SELECT "rows", bad, ledger_status FROM pgseal.verify_table('accounts', ledger => true) WHERE ledger_status IS NOT NULL}), '0|0|good', 'subscriber: TRUNCATE');
$target->query('subscriber', 'DROP SUBSCRIPTION s');

$_->stop for $standby, $target, $node;
done_testing();
