# The key catalog changes through the extension's functions, restore and
# replication only; who owns the database can dump and restore it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('key_catalog', conf => 'autovacuum = off');

sub as
{
	my ($role, $database, $sql) = @_;
	my ($code, $stdout, $stderr) = $node->psql($database, $sql, connstr => $node->connstr($database) . " user=$role");
	return ($stdout, $stderr);
}

sub refused
{
	my ($role, $sql, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (undef, $stderr) = as($role, 'shop', $sql);
	like($stderr, $pattern, $name || "$role: $sql");
	return;
}

$node->safe_psql('postgres', q{
CREATE ROLE w LOGIN;
GRANT pg_write_all_data, pg_read_all_data TO w;
CREATE ROLE keeper LOGIN;
CREATE ROLE clerk LOGIN;
CREATE DATABASE shop OWNER keeper});
my $has_postgres_fdw = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});
my $wrapper = $has_postgres_fdw ? 'CREATE EXTENSION postgres_fdw' : 'CREATE FOREIGN DATA WRAPPER postgres_fdw';
$node->safe_psql('shop', qq{
CREATE EXTENSION pgseal;
$wrapper;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO w;
CREATE TABLE customers (id int PRIMARY KEY, email encrypted_text);
INSERT INTO customers VALUES (1, 'bob\@example.com');
ALTER TABLE customers OWNER TO keeper});

#
# Who may write to every table
#
as('w', 'shop', 'CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw');
my $denied = qr/cannot be changed|permission denied|does not stand for a master key/;
for my $table ('pgseal.key', 'pgseal.key_version', 'pgseal.event')
{
	refused('w', "DELETE FROM $table", $denied);
	refused('w', "TRUNCATE $table", $denied);
}
for my $table (split /\n/, $node->safe_psql('shop', q{SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pgseal_internal'::regnamespace}))
{
	my $row = $node->safe_psql('shop', qq{SELECT string_agg(format('NULL::%s', atttypid::regtype), ', ') FROM pg_attribute
		WHERE attrelid = 'pgseal_internal.$table'::regclass AND attnum > 0});
	for my $sql ("DELETE FROM pgseal_internal.$table", "INSERT INTO pgseal_internal.$table SELECT $row WHERE false",
		"SET session_replication_role = replica; INSERT INTO pgseal_internal.$table SELECT $row WHERE false",
		"TRUNCATE pgseal_internal.$table")
	{
		refused('w', $sql, $denied);
	}
}
refused('w', q{UPDATE pgseal.key_version SET server = 'mine'}, $denied);
refused('w', q{UPDATE pgseal.key SET server = 'mine'}, $denied);
refused('w', q{UPDATE pgseal.key_version SET wrapped = NULL}, $denied);
refused('w', q{SET session_replication_role = replica; UPDATE pgseal.key SET server = 'mine'}, $denied);
refused('w', q{MERGE INTO pgseal.key k USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE}, $denied);
refused('w', q{INSERT INTO pgseal.key_version SELECT 4711, key, number + 1, purpose, 'mine', parent_version, master_key,
	wrapped, seals, now(), now(), NULL, NULL FROM pgseal.key_version}, $denied);
refused('w', q{INSERT INTO pgseal.key_version SELECT 4711, key, number + 1, purpose, server, parent_version, master_key,
	wrapped, seals, now(), now(), NULL, NULL FROM pgseal.key_version}, $denied);
refused('w', 'SELECT email FROM customers', qr/permission denied for foreign server local_keyring/);
for my $sql (q{UPDATE pgseal.key_version SET server = 'mine'}, 'DELETE FROM pgseal.key_version', 'TRUNCATE pgseal.key_version',
	'DELETE FROM pgseal.key', 'TRUNCATE pgseal.event')
{
	my (undef, undef, $stderr) = $node->psql('shop', $sql);
	like($stderr, $denied, "superuser: $sql");
}
my (undef, undef, $error) = $node->psql('shop', q{SELECT pgseal.create_key('k', server => 'mine')});
like($error, qr/does not stand for a master key/, 'no key under a server of another wrapper');
is($node->safe_psql('shop', 'SELECT email FROM customers'), 'bob@example.com', 'all is as it was');

# Where somebody has got a row to name his server all the same, it opens nothing
$node->safe_psql('shop', q{
ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
UPDATE pgseal.key_version SET server = 'mine';
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard});
for my $role ('w', 'postgres')
{
	refused($role eq 'postgres' ? $node->safe_psql('postgres', 'SELECT current_user') : $role,
		'SELECT email FROM customers', qr/does not stand for a master key|permission denied/,
		"$role: nothing is opened by the word of another wrapper's server");
}
$node->safe_psql('shop', q{
ALTER TABLE pgseal.key_version DISABLE TRIGGER guard;
UPDATE pgseal.key_version SET server = 'local_keyring';
ALTER TABLE pgseal.key_version ENABLE ALWAYS TRIGGER guard});
is($node->safe_psql('shop', 'SELECT email FROM customers'), 'bob@example.com', 'the right server opens it');

#
# The owner of the database
#
refused('keeper', 'UPDATE pgseal.key SET name = name', qr/permission denied/);
refused('keeper', 'DELETE FROM pgseal.key_version', qr/permission denied/);
$node->safe_psql('shop', 'CREATE SERVER other FOREIGN DATA WRAPPER local_keyring; GRANT USAGE ON FOREIGN SERVER other TO keeper');
refused('keeper', q{INSERT INTO pgseal.key_version SELECT 4711, key, number + 1, purpose, 'other', parent_version, master_key,
	wrapped, seals, now(), now(), NULL, NULL FROM pgseal.key_version WHERE key LIKE '%customers%'},
	qr/permission denied to restore a version/, 'keeper: no version of somebody\'s key under a server of his own');
refused('keeper', q{INSERT INTO pgseal.key (name, name_hash, server, created) VALUES ('next', 4711, 'to be made', now())}, qr/server "to be made" does not exist/,
	'keeper: no key of a server that he would make later');
as('keeper', 'shop', q{INSERT INTO pgseal.event VALUES (now(), 'key_destroyed', 'public.customers', 1, 'postgres', NULL)});
is($node->safe_psql('shop', q{SELECT role, detail FROM pgseal.event WHERE event = 'key_destroyed'}), 'postgres|restored_by="keeper"',
	'an event that he brings is known as his word');
refused('keeper', 'SELECT email FROM customers', qr/permission denied for foreign server/);
refused('clerk', 'SELECT * FROM pgseal.key_version', qr/permission denied/);
refused('clerk', 'INSERT INTO pgseal.event SELECT * FROM pgseal.event', qr/permission denied/);

$node->safe_psql('shop', 'DROP EXTENSION IF EXISTS postgres_fdw CASCADE; DROP FOREIGN DATA WRAPPER IF EXISTS postgres_fdw CASCADE');
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->command_ok([ 'pg_dump', '-U', 'keeper', '-Fc', '-f', "$dir/shop", 'shop' ], 'the owner dumps the database');
# All but the count of seals, which the worker goes on writing down
my $versions = 'SELECT id, key, number, purpose, server, parent_version, master_key, wrapped, created FROM pgseal.key_version ORDER BY id';
my $keys = $node->safe_psql('shop', $versions);
$node->safe_psql('postgres', 'CREATE DATABASE again OWNER keeper');
$node->safe_psql('again', 'CREATE EXTENSION pgseal; GRANT CREATE ON SCHEMA public TO keeper');
IPC::Run::run([ 'pg_restore', '-U', 'keeper', '-d', $node->connstr('again'), "$dir/shop" ], '>', \my $out, '2>', \my $err);
sub of_customers { return join("\n", grep { /customers/ } split /\n/, $_[0]); }
is(of_customers($node->safe_psql('again', $versions)), of_customers($keys), 'and restores it, with its keys') or diag($err);
is($node->safe_psql('again', 'SELECT email FROM customers'), 'bob@example.com', 'and its values');

done_testing();
