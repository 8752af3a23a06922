# A DBA without the key: the table's owner, and where it is said so a superuser, who
# may do anything but use the server of the key that signs.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->started('signed_dba', allows_streaming => 'logical', conf => q{
allow_system_table_mods = on
pgseal.worker_interval = 3600
});
$node->query('postgres', <<"EOSQL");
	CREATE EXTENSION pgseal;
	CREATE SERVER audit FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$dir/audit.keyring');
	CREATE ROLE dba LOGIN;
	CREATE ROLE clerk LOGIN;
	GRANT CREATE ON SCHEMA public TO dba;
	GRANT USAGE ON FOREIGN SERVER audit TO clerk;
	SELECT pgseal.create_key('audit', 'audit');
	CREATE TABLE accounts (id int PRIMARY KEY, owner text, note text);
	SELECT pgseal.sign_table('accounts', columns => '{id,owner}', key => 'audit', ledger => true);
	ALTER TABLE accounts OWNER TO dba;
	GRANT ALL ON accounts TO clerk;
	SET ROLE clerk;
	INSERT INTO accounts SELECT i, 'owner ' || i FROM generate_series(1, 9) i;
	RESET ROLE;
	CREATE TABLE kept AS SELECT * FROM accounts;
	GRANT SELECT ON kept TO dba;
	SET ROLE clerk;
	UPDATE accounts SET owner = 'newer' WHERE id = 5;
EOSQL

my $STATE = q{SELECT coalesce((SELECT string_agg(key || ' ' || reason, ', ' ORDER BY key) FROM pgseal.tampered_rows('accounts')), 'all verify')
	|| '; ' || ledger_status FROM pgseal.verify_table('accounts', ledger => true) WHERE ledger_status IS NOT NULL};
is($node->query('postgres', $STATE), 'all verify; good', 'before');

# What the role does is taken back after a look
sub attack
{
	my ($name, $role, $sql, $expected) = @_;
	my $stdout;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$stdout = $node->query('postgres', "BEGIN; SET LOCAL ROLE $role; $sql; RESET ROLE; RESET session_replication_role; $STATE; ROLLBACK");
	is((split /\n/, $stdout)[-1], $expected, $name);
	return;
}
sub refused
{
	my ($name, $role, $sql, $why) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->fails_like('postgres', "SET ROLE $role; $sql", $why, $name);
	return;
}
my $DISABLE = 'ALTER TABLE accounts DISABLE TRIGGER ALL';

#
# Writing
#

refused('the owner signs no row', 'dba', q{INSERT INTO accounts VALUES (10, 'x')}, qr/42501/);
refused('nor changes one', 'dba', q{UPDATE accounts SET owner = 'x' WHERE id = 1}, qr/42501/);
refused('nor copies one in', 'dba', qq{COPY accounts FROM stdin;\n10\tx\t\\N\t\\N\n\\.\n}, qr/42501/);
refused('nor one with a signature of another', 'dba',
	q{INSERT INTO accounts (id, owner, signature) SELECT 10, owner, signature FROM kept WHERE id = 1}, qr/22023/);
refused('nor with one of nothing', 'dba', q{UPDATE accounts SET owner = 'x', signature = (SELECT signature FROM kept WHERE id = 2) WHERE id = 1}, qr/22023/);
attack('triggers are disabled', 'dba', "$DISABLE; UPDATE accounts SET owner = 'x' WHERE id = 1", '(id)=(1) forged; good');
attack('one trigger is disabled', 'dba', q{ALTER TABLE accounts DISABLE TRIGGER zz_pgseal_sign; UPDATE accounts SET owner = 'x' WHERE id = 1}, '(id)=(1) forged; good');
attack('a row comes in', 'dba', "$DISABLE; INSERT INTO accounts VALUES (10, 'x')", '(id)=(10) unsigned; good');
attack('a row goes', 'dba', "$DISABLE; DELETE FROM accounts WHERE id = 1", 'all verify; it has 9 rows, not these');
attack('all go', 'dba', "$DISABLE; TRUNCATE accounts", 'all verify; it has 9 rows, not these');
attack('an old row is put back', 'dba',
	"$DISABLE; UPDATE accounts a SET owner = k.owner, signature = k.signature FROM kept k WHERE a.id = 5 AND k.id = 5", 'all verify; it has 9 rows, not these');
attack('a signature is taken away', 'dba', "$DISABLE; UPDATE accounts SET signature = NULL WHERE id = 1", '(id)=(1) unsigned; it has 9 rows, not these');
for my $enable ('', 'ALTER TABLE accounts ENABLE TRIGGER ALL')
{
	refused('an update makes no bad row good' . ($enable ? ', triggers enabled again' : ''), 'clerk',
		"RESET ROLE; BEGIN; $DISABLE; UPDATE accounts SET owner = 'x' WHERE id = 1; $enable; SET LOCAL ROLE clerk; UPDATE accounts SET note = 'x' WHERE id = 1", qr/XX001/);
}
refused('nor reads it', 'clerk', "RESET ROLE; BEGIN; $DISABLE; UPDATE accounts SET owner = 'x' WHERE id = 1; SET LOCAL ROLE clerk; SELECT * FROM accounts", qr/XX001/);

#
# Replication
#

attack('as replication does it', 'postgres', q{SET session_replication_role = replica; UPDATE accounts SET owner = 'x' WHERE id = 1}, '(id)=(1) forged; good');
attack('with an old signature', 'postgres',
	q{SET session_replication_role = replica; UPDATE accounts SET owner = (SELECT owner FROM kept WHERE id = 2), signature = (SELECT signature FROM kept WHERE id = 2) WHERE id = 1},
	'(id)=(1) forged; good');
attack('what replication deletes is recorded: a subscriber has no other way', 'postgres',
	q{SET session_replication_role = replica; DELETE FROM accounts WHERE id = 1}, 'all verify; good');

#
# What says how rows are signed
#

refused('another definition', 'dba', q{SELECT pgseal.sign_table('accounts', columns => '{id}')}, qr/42501/);
refused('another key', 'dba', q{SELECT pgseal.sign_table('accounts', key => 'mine')}, qr/42501/);
refused('the trigger, with other arguments', 'dba', q{CREATE OR REPLACE TRIGGER zz_pgseal_sign BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW
	EXECUTE FUNCTION pgseal.sign_row('public.accounts', 'audit', 'writers', '1', 'id', 'integer', 'id')}, qr/42501/);
refused('a trigger that comes after it', 'dba', q{CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.owner := 1; RETURN NEW; END';
	CREATE TRIGGER zzz BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION f()}, qr/0A000/);
refused('columns in other places', 'dba', 'ALTER TABLE accounts DROP COLUMN owner', qr/0A000/);
attack('columns change their names', 'dba', 'ALTER TABLE accounts RENAME owner TO o; ALTER TABLE accounts RENAME note TO owner; ALTER TABLE accounts RENAME o TO note', 'all verify; good');
attack('in the catalog', 'postgres', q{UPDATE pg_attribute SET attname = attname || '_' WHERE attrelid = 'accounts'::regclass AND attname IN ('owner', 'note');
	UPDATE pg_attribute SET attname = CASE attname WHEN 'owner_' THEN 'note' ELSE 'owner' END
	WHERE attrelid = 'accounts'::regclass AND attname IN ('owner_', 'note_')}, join(', ', map { "(id)=($_) forged" } 1 .. 9) . '; good');
attack('other arguments in the catalog', 'postgres', q{UPDATE pg_trigger SET tgargs = decode(replace(encode(tgargs, 'hex'), encode('pg_catalog.text', 'hex'), encode('pg_catalog.name', 'hex')), 'hex')
	WHERE tgrelid = 'accounts'::regclass AND tgname = 'zz_pgseal_sign'}, join(', ', map { "(id)=($_) forged" } 1 .. 9) . '; good');
attack('another ledger in the catalog', 'postgres', q{UPDATE pg_trigger SET tgargs = '\x3700' WHERE tgrelid = 'accounts'::regclass AND tgname = 'zz_pgseal_record'},
	'all verify; it is missing');
attack('triggers disabled in the catalog', 'postgres', q{UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'accounts'::regclass; UPDATE accounts SET owner = 'x' WHERE id = 1}, '(id)=(1) forged; good');
attack('another label: rows of another table', 'postgres', q{ALTER TABLE accounts RENAME TO a; CREATE TABLE accounts (id int PRIMARY KEY, owner text, note text);
	SELECT pgseal.sign_table('accounts', columns => '{owner,id}', key => 'audit', ledger => true); ALTER TABLE accounts DISABLE TRIGGER USER;
	INSERT INTO accounts (id, owner, signature) SELECT id, owner, signature FROM a WHERE id = 1}, '(id)=(1) other table; it has 0 rows, not these');

#
# Tables that are made anew
#

refused('a table of this name, signed', 'dba', q{BEGIN; DROP TABLE accounts; CREATE TABLE accounts (id int PRIMARY KEY, owner text); SELECT pgseal.sign_table('accounts', key => 'audit')}, qr/42501/);
refused('one that is not', 'dba', qq{BEGIN; DROP TABLE accounts; CREATE TABLE accounts (id int, owner text); RESET ROLE; $STATE}, qr/rows of table "accounts" are not signed/);
refused('one that is not signed any more', 'dba', qq{BEGIN; DROP TRIGGER zz_pgseal_sign ON accounts; RESET ROLE; $STATE}, qr/rows of table "accounts" are not signed/);
refused('one without its ledger', 'dba', qq{BEGIN; DROP TRIGGER zz_pgseal_record ON accounts; RESET ROLE; $STATE}, qr/table "accounts" has no ledger/);
my $ledger = $node->query('postgres', q{SELECT ledger FROM pgseal.ledger WHERE kind = 't'});
attack('the ledger begins anew', 'dba', qq{DROP TRIGGER zz_pgseal_record ON accounts; CREATE TRIGGER zz_pgseal_record AFTER INSERT OR UPDATE OR DELETE ON accounts
	FOR EACH ROW EXECUTE FUNCTION pgseal.record_row($ledger)}, 'all verify; it is missing');
refused('what it holds', 'dba', 'SELECT * FROM pgseal.ledger', qr/42501/);
refused('to change it', 'dba', 'DELETE FROM pgseal.ledger', qr/42501/);

#
# Below SQL
#

SKIP:
{
	my ($status) = $node->psql('postgres', 'CREATE EXTENSION pg_surgery');
	skip('no pg_surgery', 2) if $status != 0;
	attack('a row is killed', 'postgres', q{SELECT heap_force_kill('accounts', ARRAY[(SELECT ctid FROM accounts WHERE id = 1)])}, 'all verify; it has 9 rows, not these');
	is($node->query('postgres', $STATE), 'all verify; it has 9 rows, not these', 'for good: that is not taken back');
}

$node->stop;
done_testing();
