# Tables of Citus: the table itself is empty, its rows are in shards, most of them
# on other nodes.  What would do its work on no row, and report success, refuses.
# (An imitation of Citus's catalog, test/module_citus: Citus itself isn't needed.)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('citus', conf => 'pgseal.worker_interval = 1');
$node->query('postgres', "
	CREATE EXTENSION pgseal;
	CREATE ROLE owner;
	GRANT ALL ON SCHEMA public TO owner;
	GRANT USAGE ON FOREIGN SERVER local_keyring TO owner;
	GRANT EXECUTE ON FUNCTION pgseal.verify_table TO owner;
	SET ROLE owner;
	CREATE TABLE sharded (id int PRIMARY KEY, v text, e encrypted_text('shared'));
	CREATE TABLE beside (id int PRIMARY KEY, v text, e encrypted_text('own'));
	INSERT INTO sharded VALUES (1, 'v', 'e');
	INSERT INTO beside VALUES (1, 'v', 'e')");

# A table of that name that isn't Citus's says nothing
$node->query('postgres', "
	CREATE TABLE pg_dist_partition (logicalrelid regclass);
	INSERT INTO pg_dist_partition VALUES ('beside')");
is($node->query('postgres', "SELECT sum(sealed) FROM pgseal.verify_table('beside')"), 1,
	'not Citus: a table of the same name');

$node->query('postgres', "
	CREATE EXTENSION citus;
	INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, partkey) VALUES ('sharded', 'h', 'id')");

# As the table's owner, who has no rights on Citus's catalog
for my $procedure ('encrypt_column', 'decrypt_column')
{
	my $column = $procedure eq 'encrypt_column' ? 'v' : 'e';
	$node->fails_like('postgres', "SET ROLE owner; SET pgseal.allow_decryption = on; CALL pgseal.$procedure('sharded', '$column')",
		qr/0A000: .*\n.*DETAIL:  It is a table of Citus, whose rows are in its shards.*\n.*undistribute_table/, $procedure);
}
$node->fails_like('postgres', "SET ROLE owner; SELECT * FROM pgseal.verify_table('sharded')",
	qr/42809: "sharded" is a table of Citus, whose rows are in its shards\n.*run_command_on_shards/, 'verify_table');
is($node->query('postgres', "SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'sharded'::regclass AND attnum = 2"),
	'v|text', 'the column is what it was');

# Other tables are as usual
$node->query('postgres', "CALL pgseal.encrypt_column('beside', 'v')");
is($node->query('postgres', "SELECT sum(sealed) FROM pgseal.verify_table('beside')"), 2, 'another table: encrypted and verified');

# Nobody claims to know what is in the shards
$node->query('postgres', "SELECT pgseal.rotate_key('shared'), pgseal.rotate_key('own')");
ok($node->poll_query_until('postgres',
	"SELECT retired IS NOT NULL FROM pgseal.key_versions WHERE key = 'own' AND version = 1 AND purpose = 'data'"),
	'a key of other tables only: its old version is retired');
ok($node->poll_query_until('postgres', "
	SELECT count(*) > 0 FROM pgseal.events WHERE event = 'reencrypt_incomplete' AND key = 'shared' AND detail ~ 'public.sharded'"),
	'a key of a table of Citus: re-encryption names the table');
is($node->query('postgres', "SELECT retired IS NULL FROM pgseal.key_versions WHERE key = 'shared' AND version = 1 AND purpose = 'data'"), 't',
	'and its old version is not retired');
$node->fails_like('postgres', "SELECT pgseal.destroy_key('shared', 'shared')",
	qr/2BP01: cannot destroy key "shared": nodes of Citus may need it.*table public.sharded is a table of Citus.*HINT:.*retire_versions.*force/s, 'destroy_key');
$node->query('postgres', "SELECT pgseal.destroy_key('shared', 'shared', force => true)");
is($node->query('postgres', "SELECT count(*) FROM pgseal.key_versions WHERE key = 'shared' AND destroyed IS NULL"), 0,
	'destroy_key, forced');

# Without Citus
$node->query('postgres', 'DROP EXTENSION citus');
is($node->query('postgres', "SELECT sum(broken) FROM pgseal.verify_table('sharded')"), 1, 'Citus is gone: verify_table');
$node->query('postgres', "CALL pgseal.encrypt_column('sharded', 'v')");
$node->stop;
done_testing();
