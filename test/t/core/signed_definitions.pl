# Two definitions of what is signed: while the worker is kept from its work, after it
# has done it, and what happens in between: snapshots, crashes, dumps, a standby that
# is promoted, partitions, sessions that write.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->started('definitions', allows_streaming => 1, conf => 'pgseal.worker_interval = 1');
$node->query('postgres', <<'EOSQL');
	CREATE EXTENSION pgseal;
	CREATE ROLE signer;
	CREATE ROLE writer;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO signer;
	CREATE FUNCTION definition(signature row_signature) RETURNS int LANGUAGE sql
		RETURN get_byte(decode(substr(signature::text, 9), 'base64'), 9);
	-- What somebody does who writes to the disk
	CREATE FUNCTION behind(command text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		ALTER TABLE accounts DISABLE TRIGGER USER;
		SET LOCAL pgseal.verify_rows = off;
		EXECUTE command;
		SET LOCAL pgseal.verify_rows = on;
		ALTER TABLE accounts ENABLE TRIGGER USER;
		ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_sign;
		ALTER TABLE accounts ENABLE ALWAYS TRIGGER zz_pgseal_record;
	END $$;
	CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text, note text, extra text);
	INSERT INTO accounts SELECT i, 'owner ' || i, 'DE' || i, 'note ' || i, 'extra' FROM generate_series(1, 300) i;
	SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban}', ledger => true);
	GRANT ALL ON accounts TO signer, writer;
EOSQL

sub refused { my ($name, $sql, $why) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; $node->fails_like('postgres', $sql, $why, $name); return; }

# A session that goes on; what it prints
my %session;
sub session
{
	my ($name, $sql, $until) = @_;
	my $s = $session{$name} //= { in => '', out => '', err => '' };

	$s->{in} .= $sql;
	$s->{run} //= IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$s->{in}, '>', \$s->{out}, '2>', \$s->{err});
	$s->{run}->pump until $s->{out} =~ /$until/ || $s->{err} ne '';
	return "$s->{out}$s->{err}";
}
sub end_session
{
	my ($name) = @_;
	$session{$name}{in} .= "\\q\n";
	$session{$name}{run}->finish;
	delete $session{$name};
	return;
}
# The worker does nothing in between
sub hold { session('hold', "BEGIN; LOCK TABLE pgseal_internal.redefinition IN SHARE UPDATE EXCLUSIVE MODE; SELECT 'held';\n", 'held'); return; }
sub release { end_session('hold'); return; }
my $ARGUMENTS = q{SELECT replace(encode(tgargs, 'escape'), '\000', ' ') FROM pg_trigger WHERE tgname = 'zz_pgseal_sign' AND tgrelid = '%s'::regclass};
my $COUNTS = q{SELECT "rows" || ' rows, ' || broken || ' broken, ' || old_definition || ' old, ' || ledger_status
	FROM pgseal.verify_table('accounts', ledger => true) WHERE ledger_status IS NOT NULL};
my $BAD = q{SELECT string_agg(key || ' ' || reason, ', ' ORDER BY length(key), key) FROM pgseal.tampered_rows('%s')};
# Waits for the worker
sub dropped
{
	my ($name, $table, $on, $db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(($on // $node)->poll_query_until($db // 'postgres', sprintf($ARGUMENTS, $table) =~ s/SELECT replace(.*) FROM/SELECT replace$1 NOT LIKE '%  %' FROM/r),
		"$name: the former definition goes");
}

#
# Both stand
#

hold();
$node->sql(q{CREATE TABLE kept AS SELECT * FROM accounts; GRANT SELECT ON kept TO writer, signer});
is($node->sql(q{SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban,note}')}), 0, 'no row is signed anew');
is($node->sql(sprintf($ARGUMENTS, 'accounts')), 'public.accounts public.accounts usage 2 id integer id owner pg_catalog.text owner iban pg_catalog.encrypted_text iban note pg_catalog.text note '
	. ' public.accounts 1 id integer id owner pg_catalog.text owner iban pg_catalog.encrypted_text iban ', 'both stand in the arguments');
is($node->sql($COUNTS), '300 rows, 0 broken, 300 old, good', 'all rows verify');
is($node->sql('SELECT count(*) FROM accounts'), 300, 'and are read');
is($node->sql(q{EXPLAIN (COSTS OFF) SELECT owner FROM accounts}), "Seq Scan on accounts\n  Filter: pgseal_internal.verify_row('accounts'::regclass, signature, id, owner, iban, note)", 'with what either needs');

is($node->sql(q{UPDATE accounts SET owner = 'new' WHERE id = 1; SELECT definition(signature) FROM accounts WHERE id = 1}), 2, 'an update signs by the newest');
is($node->sql(q{UPDATE accounts SET extra = 'new' WHERE id = 2; SELECT definition(signature) FROM accounts WHERE id = 2}), 2, 'also one that changes nothing signed');
is($node->sql(q{SET ROLE writer; UPDATE accounts SET extra = 'new' WHERE id = 3; SELECT definition(signature) FROM accounts WHERE id = 3}), 2, 'by who may not sign, too');
is($node->sql(q{INSERT INTO accounts VALUES (301, 'x', 'y', 'z'); SELECT definition(signature) FROM accounts WHERE id = 301}), 2, 'so is what is inserted');
refused('who may not sign', q{SET ROLE writer; UPDATE accounts SET note = 'x' WHERE id = 4}, qr/42501/);
refused('an upsert by him', q{SET ROLE writer; INSERT INTO accounts (id) VALUES (4) ON CONFLICT (id) DO UPDATE SET note = 'x'}, qr/42501/);
my $PUT_BACK = q{BEGIN; DELETE FROM accounts WHERE id = 5; INSERT INTO accounts SELECT id, owner, iban, %s, extra, signature FROM kept WHERE id = 5};
refused('a copied row by him: its note is signed by nobody', 'SET ROLE writer; ' . sprintf($PUT_BACK, q{'forged'}), qr/42501/);
is($node->sql('SET ROLE signer; ' . sprintf($PUT_BACK, 'note') . '; SELECT definition(signature) FROM accounts WHERE id = 5; ROLLBACK'), 2, 'by who may sign it is signed anew');
refused('with another owner', q{BEGIN; INSERT INTO accounts (id, owner, iban, signature) SELECT 400, owner, iban, signature FROM kept WHERE id = 5}, qr/22023/);
is($node->sql($COUNTS), '301 rows, 0 broken, 297 old, good', 'counted, with the ledger true');

$node->sql(q{SELECT behind($$UPDATE accounts SET owner = 'forged' WHERE id IN (1, 10)$$), behind($$UPDATE accounts SET note = 'forged' WHERE id IN (2, 11)$$)});
my $FORGED = '(id)=(1) forged, (id)=(2) forged, (id)=(10) forged';
is($node->sql(sprintf($BAD, 'accounts')), $FORGED, 'each by its own definition: the note of row 11 was never signed');
refused('no update launders a row of the former', q{UPDATE accounts SET extra = 'x' WHERE id = 10}, qr/XX001/);
refused('nor of the newest', q{UPDATE accounts SET extra = 'x' WHERE id = 2}, qr/XX001/);
refused('nor is it read', q{SELECT note FROM accounts WHERE id = 2}, qr/XX001: row \(id\)=\(2\) of table public\.accounts/);

refused('a third definition', q{SELECT pgseal.sign_table('accounts', columns => '{id}')}, qr/55000.*call pgseal\.sign_table/s);
refused('another key', q{SELECT pgseal.sign_table('accounts', key => 'other')}, qr/55000/);
refused('to drop a column of either', q{ALTER TABLE accounts DROP COLUMN note}, qr/0A000/);
refused('to convert one', q{CALL pgseal.encrypt_column('accounts', 'note')}, qr/first call pgseal\.sign_table\(\) again/);
is($node->sql(q{BEGIN; ALTER TABLE accounts RENAME owner TO "1"; ALTER TABLE accounts RENAME TO bookings; SELECT count(*) FROM bookings WHERE id > 11; UPDATE bookings SET "1" = 'x' WHERE id = 20;
	SELECT definition(signature) FROM bookings WHERE id = 20; ROLLBACK}), "290\n2", 'columns are renamed in both');
is($node->sql(q{BEGIN; SELECT pgseal.sign_table('accounts'); SELECT reason FROM pgseal.tampered_rows('accounts') ORDER BY 1; SELECT count(*) FROM accounts WHERE id > 11; ROLLBACK}),
	"298\nforged\nforged\nold definition\n290", 'called again, it is done at once');

#
# In the middle, elsewhere
#

$node->run_ok([ 'pg_dump', '-f', "$dir/dump", 'postgres' ], 'dump');
$node->sql('CREATE DATABASE restored');
$node->run_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', "$dir/dump" ], 'restore');
dropped('restored', 'accounts', $node, 'restored');
is($node->query('restored', sprintf($BAD, 'accounts')), $FORGED =~ s/10\) forged/10) old definition/r, 'restored: the same rows are good, but for the definition');
is($node->query('restored', $COUNTS), '301 rows, 3 broken, 0 old, good', 'restored: the ledger, too');

$node->backup('base');
my $standby = SealedNode->from_backup('definitions_standby', $node, 'base', has_streaming => 1, conf => "pgseal.keyring_file = '" . $node->keyring . "'");
$node->wait_for_catchup($standby);
is($standby->query('postgres', $COUNTS), '301 rows, 3 broken, 296 old, good', 'standby: both stand');
$standby->promote;
dropped('promoted', 'accounts', $standby);
is($standby->query('postgres', $COUNTS), '301 rows, 3 broken, 0 old, good', 'promoted: signed anew');
$standby->stop;

#
# The worker
#

session('old', "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 'begun';\n", 'begun');
release();
ok($node->poll_query_until('postgres', q{SELECT phase = 'waiting for older transactions' FROM pgseal.progress_sign}), 'all rows are signed anew');
is($node->sql($COUNTS), '301 rows, 3 broken, 0 old, good', 'what is bad is bad');
is($node->sql(q{SELECT rows_signed || ' ' || rows_broken || ' ' || former_definition FROM pgseal.progress_sign}), '296 1 1', 'and counted');
like($node->sql(q{SELECT string_agg(object || ' ' || status, ', ') FROM pgseal.health WHERE object LIKE 'signing%'}), qr/signing of table accounts broken/, 'health says so');
is(session('old', "SELECT count(*) || ' read' FROM accounts WHERE id > 11;\n", 'read'), "begun\n290 read\n", 'an old snapshot sees the rows as they were, which are good');
like($node->sql(sprintf($ARGUMENTS, 'accounts')), qr/  public/, 'the former definition stands as long as that');
end_session('old');
dropped('worker', 'accounts');
is($node->sql(q{SELECT detail FROM pgseal.events WHERE event = 'definition_dropped'}), 'table="public.accounts" definition=1 rows=296 broken=1', 'an event');
is($node->sql(sprintf($BAD, 'accounts')), $FORGED =~ s/10\) forged/10) old definition/r, 'which was bad, is');

my $OLD = q{UPDATE accounts a SET owner = k.owner, note = k.note, signature = k.signature FROM kept k WHERE a.id = 20 AND k.id = 20};
refused('a row by it comes back by no update', $OLD, qr/22023/);
refused('nor by inserting it', 'SET ROLE signer; ' . sprintf($PUT_BACK, 'note'), qr/22023/);
is((split /\n/, $node->sql(qq{BEGIN; SELECT behind(\$\$$OLD\$\$); SELECT reason FROM pgseal.tampered_rows('accounts') WHERE key = '(id)=(20)'; ROLLBACK}))[-1], 'old definition', 'behind the back it is bad');
is((split /\n/, $node->sql(qq{BEGIN; SET session_replication_role = replica; $OLD; RESET session_replication_role; SELECT reason FROM pgseal.tampered_rows('accounts') WHERE key = '(id)=(20)'; ROLLBACK}))[-1], 'old definition', 'as replication brings it, too');
refused('the owner makes no definition of his own', q{ALTER TABLE accounts OWNER TO writer; GRANT CREATE ON SCHEMA public TO writer; SET ROLE writer; CREATE OR REPLACE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION
	pgseal.sign_row('public.accounts', 'public.accounts', 'writers', '2', 'id', 'integer', 'id', '', 'public.accounts', '1', 'id', 'integer', 'id', 'owner', 'pg_catalog.text', 'owner', 'iban', 'pg_catalog.encrypted_text', 'iban')}, qr/42501/);
$node->sql('ALTER TABLE accounts OWNER TO CURRENT_USER');
for my $bad ([ q{'', 'public.accounts', '2', 'id', 'integer', 'id'}, 'the same number' ], [ q{'', 'public.accounts', '1'}, 'no columns' ], [ q{'', 'public.accounts', '0', 'id', 'integer', 'id'}, 'no number' ],
	[ q{'', 'public.accounts', '1', 'gone', 'integer', 'gone'}, 'a column that is not there' ], [ q{'', 'public.accounts', '1', 'id', 'integer', 'id', '', 'public.accounts', '3', 'id', 'integer', 'id'}, 'three' ])
{
	refused("$bad->[1]", q{CREATE OR REPLACE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION
		pgseal.sign_row('public.accounts', 'public.accounts', 'usage', '2', 'id', 'integer', 'id', } . "$bad->[0])", qr/42P17/);
}

#
# Fewer columns; a crash in the middle; sessions that write
#

$node->sql(q{SET pgseal.verify_rows = off; UPDATE accounts SET owner = owner, note = note WHERE id IN (1, 2, 10)});
is($node->sql($COUNTS) =~ s/, [^,]*$//r, '301 rows, 0 broken, 0 old', 'mended');
$node->sql(q{SELECT pgseal.sign_table('accounts', ledger => false); SELECT pgseal.sign_table('accounts', ledger => true);
	INSERT INTO accounts SELECT i, 'owner ' || i, 'DE' || i, 'note' FROM generate_series(1000, 6000) i});
$node->append_conf('postgresql.conf', "pgseal.reencrypt_batch = 1\npgseal.reencrypt_delay = 500");
$node->reload;
append_to_file("$dir/write.sql", q{\set id random(1000, 6000)
UPDATE accounts SET owner = 'written', extra = 'x' WHERE id = :id;
INSERT INTO accounts (id, owner) VALUES (:id, 'x') ON CONFLICT (id) DO UPDATE SET extra = 'y';
SELECT owner, iban FROM accounts WHERE id = :id;
DELETE FROM accounts WHERE id = :id;
});
my @load;
sub load
{
	my ($bench_out, $bench_err) = ('', '');
	@load = (IPC::Run::start([ 'pgbench', '-n', '-f', "$dir/write.sql", '-c', '3', '-T', '20', $node->connstr('postgres') ], '>', \$bench_out, '2>', \$bench_err), \$bench_out, \$bench_err);
	return;
}
load();
$node->sql(q{SELECT pgseal.sign_table('accounts', columns => '{id,owner}')});
ok($node->poll_query_until('postgres', q{SELECT rows_signed > 0 FROM pgseal.progress_sign}), 'the worker has begun');
$node->stop('immediate');
$load[0]->finish;
$node->start;
like($node->sql($COUNTS), qr/0 broken, [1-9]\d* old, good/, 'a crash in the middle: rows and ledger are right');
$node->append_conf('postgresql.conf', 'pgseal.reencrypt_delay = 0');
$node->reload;
load();
dropped('after the crash, under load', 'accounts');
$load[0]->finish;
unlike(${ $load[2] }, qr/ERROR/, 'no false alarm');
like(${ $load[1] }, qr/actually processed: [1-9]/, 'there was work');
like($node->sql($COUNTS), qr/0 broken, 0 old, good/, 'all rows are signed by the newest');

#
# Partitions
#

hold();
$node->sql(q{CREATE TABLE parted (id int, part int, v text, signature row_signature, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
	SELECT pgseal.sign_table('parted', columns => '{id,part}', ledger => true);
	INSERT INTO parted SELECT i, i % 2 + 1, 'v' FROM generate_series(1, 20) i;
	ALTER TABLE parted DETACH PARTITION parted_2;
	SELECT pgseal.sign_table('parted', columns => '{id,v,part}');
	ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES IN (2);
	CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3)});
my $PARTED = $COUNTS =~ s/'accounts'/'parted'/r;
is($node->sql($PARTED), '20 rows, 0 broken, 20 old, good', 'rows of a partition that comes with the former are good');
is($node->sql(q{UPDATE parted SET part = 3 WHERE id = 1; UPDATE parted SET part = 1 WHERE id = 3; SELECT count(*), min(definition(signature)) FROM parted WHERE id IN (1, 3)}), '2|3', 'those that move are signed anew');
$node->sql(q{ALTER TABLE parted_1 DISABLE TRIGGER USER; SET pgseal.verify_rows = off; UPDATE parted SET id = 100 WHERE id = 2; ALTER TABLE parted_1 ENABLE ALWAYS TRIGGER zz_pgseal_sign; ALTER TABLE parted_1 ENABLE ALWAYS TRIGGER zz_pgseal_record});
is($node->sql(q{SELECT string_agg(format('%s %s %s', "partition", key, reason), ', ') FROM pgseal.tampered_rows('parted')}), 'parted_1 (id, part)=(100, 1) forged', 'and which of a partition is bad is told');
release();
dropped('partitions', $_) for 'parted', 'parted_1', 'parted_2', 'parted_3';
is($node->sql($PARTED), '20 rows, 1 broken, 0 old, good', 'all are signed anew, but that one');

#
# What the worker leaves alone, and numbers that run out
#

$node->sql(q{CREATE TABLE small (id int PRIMARY KEY, a int, b int, c int); INSERT INTO small VALUES (1, 1, 1, 1); SELECT pgseal.sign_table('small', columns => '{id}')});
is($node->sql(q{CREATE TEMP TABLE fleeting AS SELECT * FROM small; SELECT pgseal.sign_table('fleeting', columns => '{id}'); SELECT pgseal.sign_table('fleeting', columns => '{id,a}')}), "1\n1", 'a temporary table is signed at once');
$node->sql(q{CREATE TABLE keyless (id int); INSERT INTO keyless VALUES (1); SELECT pgseal.sign_table('keyless'); CREATE PUBLICATION p FOR TABLE keyless, small});
refused('a table that cannot be updated', q{ALTER TABLE keyless ADD COLUMN n int; SELECT pgseal.sign_table('keyless', columns => '{id,n}')}, qr/55000|0A000/);
$node->sql(q{DO $$ BEGIN FOR i IN 1..127 LOOP PERFORM pgseal.sign_table('small', columns => '{id,a}'); PERFORM pgseal.sign_table('small'); PERFORM pgseal.sign_table('small', columns => '{id}'); PERFORM pgseal.sign_table('small'); END LOOP; END $$});
like($node->sql(sprintf($ARGUMENTS, 'small')), qr/usage 255 /, '255 definitions');
refused('no number comes again', q{SELECT pgseal.sign_table('small', columns => '{id,b}')}, qr/54000.*sign_table\(key/s);
is($node->sql(q{SELECT pgseal.create_key('another'); SELECT pgseal.sign_table('small', columns => '{id,b}', key => 'another'); } . sprintf($ARGUMENTS, 'small')) =~ /usage (\d+)/ && $1, 1, 'under another key they begin anew');

$node->stop;
done_testing();
