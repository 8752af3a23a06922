# Key management by policy: which rules are taken, what the worker does about them,
# what pgseal.policy_report() says before and after, and who may ask.

use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = SealedNode->started('policy', conf => 'pgseal.worker_interval = 1');
sub report { return $node->sql("SELECT concat_ws(' ', rule, object, ok) FROM pgseal.policy_report() WHERE $_[0] ORDER BY 1"); }

$node->sql(q{
	CREATE EXTENSION pgseal;
	CREATE ROLE auditor LOGIN IN ROLE pg_monitor;
	CREATE ROLE app; CREATE ROLE custodian; CREATE ROLE stranger;
	SELECT pgseal.create_key('pay'), pgseal.create_key('people');
	SELECT pgseal.create_key('person:' || i, parent => 'people') FROM generate_series(1, 3) i});
is($node->sql('SELECT count(*) FROM pgseal.policy_report()'), 0, 'no policy, no report');

#
# Rules
#

my %wrong = (
	"('data_key_age', '%', 'soon')" => '22007', "('data_key_age', '%', '-1 day')" => '23514',
	"('seals', '%', '5000000000')" => '23514', "('seals', '%', 'many')" => '22P02',
	"('setting', 'ssl', '< 3')" => '23514', "('nothing', '%', '1')" => '23514', "('seals', NULL, '2000')" => '23502');
$node->fails_like('postgres', "INSERT INTO pgseal.policy VALUES $_", qr/$wrong{$_}: /, $_) for sort keys %wrong;
for my $template (split /\n/, $node->sql('SELECT DISTINCT template FROM pgseal.policy_templates ORDER BY 1'))
{
	my $rules = $node->sql(qq{BEGIN; INSERT INTO pgseal.policy SELECT rule, object, "limit" FROM pgseal.policy_templates WHERE template = '$template';
		INSERT INTO pgseal.policy SELECT rule, object, "limit" FROM pgseal.policy_templates WHERE template = '$template';
		SELECT count(*) > 1 AND bool_or(rule = 'data_key_age' AND ok) FROM pgseal.policy_report(); ROLLBACK});
	is($rules, 't', "template $template, also twice");
}
$node->fails_like('postgres', "SET ROLE stranger; INSERT INTO pgseal.policy VALUES ('seals', '%', '2000')", qr/42501: /, 'a stranger');
$node->fails_like('postgres', 'SET ROLE stranger; SELECT * FROM pgseal.policy_report()', qr/42501: /, 'a stranger asks');

#
# Keys that are too old: rows that are restored.  The worker can't do anything about
# it while the KMS is away.
#

append_to_file("$dir/away", '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
rename("$dir/away", "$dir/master");
$node->sql("CREATE SERVER kms FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'cat $dir/master');
	SELECT pgseal.create_key('old', server => 'kms'), pgseal.create_key('left', server => 'kms')");
$node->sql("COPY (SELECT * FROM pgseal.key WHERE server = 'kms') TO '$dir/key'");
$node->sql("COPY (SELECT id, key, number, purpose, server, parent_version, master_key, wrapped, seals, now() - interval '7 months', NULL, NULL, NULL
	FROM pgseal.key_version WHERE server = 'kms') TO '$dir/version'");
$node->sql('CREATE DATABASE restored');
rename("$dir/master", "$dir/away");
$node->query('restored', "CREATE EXTENSION pgseal; CREATE SERVER kms FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'cat $dir/master');
	COPY pgseal.key FROM '$dir/key'; COPY pgseal.key_version FROM '$dir/version';
	INSERT INTO pgseal.policy VALUES ('data_key_age', 'left', '6 months', false);
	INSERT INTO pgseal.policy VALUES ('data_key_age', 'old', '6 months'),
		('wrapping_age', 'old', '6 months'), ('master_key_age', 'kms', '8 months')");
my $told = q{SELECT string_agg(concat_ws(' ', rule, object, ok), ', ' ORDER BY rule, object) FROM pgseal.policy_report()};
is($node->query('restored', $told), 'data_key_age key "left" f, data_key_age key old f, master_key_age server kms t, wrapping_age key old f',
	'too old');
like($node->query('restored', "SELECT value FROM pgseal.policy_report() WHERE object = 'key old' AND rule = 'data_key_age'"), qr/^21\d days/, 'how old');
rename("$dir/away", "$dir/master");
ok($node->poll_query_until('restored', "$told", 'data_key_age key "left" f, data_key_age key old t, master_key_age server kms t, wrapping_age key old t'),
	'the worker sees to it, unless that is not wanted');
like($node->query('restored', "SELECT string_agg(key || ' ' || detail, ', ') FROM pgseal.events WHERE event = 'key_rotated'"),
	qr/^old [^,]*reason=policy[^,]*$/, 'one rotation, and why');
$node->query('restored', "SELECT pgseal.rotate_key('left')");
is($node->query('restored', "SELECT bool_and(ok) FROM pgseal.policy_report()"), 't', 'true after rotation by hand');
$node->query('restored', "UPDATE pgseal.policy SET \"limit\" = '1 month' WHERE rule = 'master_key_age'");
is($node->query('restored', "SELECT ok FROM pgseal.policy_report() WHERE rule = 'master_key_age'"), 'f', 'a master key that is too old');

#
# Seals
#

# Nothing stays: as many values, re-encrypted, would be too many for the next version, too
$node->sql("INSERT INTO pgseal.policy VALUES ('seals', 'pay', '2000'); CREATE TABLE t (v encrypted_int4('pay'));
	BEGIN; INSERT INTO t SELECT generate_series(1, 3000); TRUNCATE t; COMMIT");
ok($node->poll_query_until('postgres', "SELECT current_version > 1 FROM pgseal.keys WHERE name = 'pay'"), 'seals');
# The rest of a statement may seal as much under the new version
ok($node->poll_query_until('postgres', "SELECT ok FROM pgseal.policy_report() WHERE rule = 'seals'"), 'and it complies');
like($node->sql("SELECT value FROM pgseal.policy_report() WHERE rule = 'seals'"), qr/^\d+$/, 'a number');

# More values than the limit: what re-encryption seals isn't held against a version, so
# that it comes to an end, and the next rotation is due by what others seal
$node->sql('CREATE DATABASE crowd');
$node->query('crowd', "CREATE EXTENSION pgseal; CREATE TABLE t (v encrypted_int4('crowd')); SELECT pgseal.create_key('crowd');
	INSERT INTO t SELECT generate_series(1, 3000)");
sub versions { return $node->query('crowd', q{SELECT string_agg(version || ' ' || (retired IS NOT NULL), ', ' ORDER BY version) FROM pgseal.key_versions WHERE key = 'crowd' AND purpose = 'data'}) }
my $marks = 0;
sub rotates_once
{
	my ($next, $name) = @_;

	ok($node->poll_query_until('crowd', "SELECT count(*) > 0 FROM pgseal.key_versions WHERE key = 'crowd' AND purpose = 'data' AND version = $next - 1 AND retired IS NOT NULL"), "$name: re-encrypted");
	# The worker looks for what is due before it re-encrypts, and retires
	$marks++;
	$node->query('crowd', "SELECT pgseal.create_key('mark $marks'), pgseal.rotate_key('mark $marks')");
	ok($node->poll_query_until('crowd', "SELECT retired IS NOT NULL FROM pgseal.key_versions WHERE key = 'mark $marks' AND purpose = 'data' AND version = 1"), 'the worker was here again');
	is(versions(), join(', ', (map { "$_ true" } 1 .. $next - 1), "$next false"), "$name: and no other rotation is due");
	return;
}
$node->query('crowd', "INSERT INTO pgseal.policy VALUES ('seals', 'crowd', '1024')");
rotates_once(2, 'a policy');
like($node->query('crowd', "SELECT value || ' ' || ok FROM pgseal.policy_report() WHERE rule = 'seals'"), qr/^(\d+), \1 of them by re-encryption false$/, 'the report tells');
is($node->query('crowd', "SELECT status FROM pgseal.health WHERE object = 'key crowd, data version 2'"), 'ok', 'health is about the setting');
$node->query('crowd', 'INSERT INTO t SELECT generate_series(1, 1500)');
rotates_once(3, 'what others seal');
$node->query('crowd', 'TRUNCATE pgseal.policy');
$node->sql('ALTER SYSTEM SET pgseal.max_seals_per_key = 1024');
$node->reload;
$node->query('crowd', 'INSERT INTO t SELECT generate_series(1, 1500)');
rotates_once(4, 'the setting');
is($node->query('crowd', "SELECT status FROM pgseal.$_ WHERE object = 'key crowd, data version 4'"), 'crowded', "$_ warns") for qw(health check());
$node->restart;
rotates_once(4, 'a restart');
$node->sql('ALTER SYSTEM RESET pgseal.max_seals_per_key');
$node->reload;
is($node->query('crowd', "SELECT status FROM pgseal.$_ WHERE object = 'key crowd, data version 4'"), 'ok', "$_, no more") for qw(health check());

#
# Providers, algorithms, settings, who may
#

$node->sql(q{
	INSERT INTO pgseal.policy VALUES ('provider', 'p%', 'aws_kms, vault_transit'), ('algorithm', 'p%', 'AES-256-GCM'),
		('data_key_age', 'person:%', '1 day'), ('data_key_age', 'poeple', '1 day'),
		('setting', 'pgseal.cache_ttl', '<= 600'), ('setting', 'pgseal.verify_rows', 'on'), ('setting', 'work_mem', '>= 64'), ('setting', 'pgseal.nothing', 'on'),
		('custodian', 'rotate_key', 'custodian'), ('reader', 'local_keyring', 'app');
	ALTER ROLE app SET pgseal.verify_rows = off;
	ALTER ROLE app SET work_mem = '1GB';
	GRANT USAGE ON FOREIGN SERVER local_keyring TO app});
my $expected = 'algorithm key pay t
algorithm key people t
custodian function pgseal.rotate_key t
data_key_age child keys of people t
data_key_age poeple f
provider key pay f
provider key people f
reader server local_keyring t
seals key pay t
setting pgseal.nothing f
setting setting pgseal.cache_ttl f
setting setting pgseal.verify_rows of role app f
setting setting pgseal.verify_rows t
setting setting work_mem of role app f
setting setting work_mem t';
is(join("\n", grep { !/^algorithm child/ && !/^provider child/ } split /\n/, report('true')), $expected, 'the report');
is($node->sql("SELECT value FROM pgseal.policy_report() WHERE object = 'poeple'"), 'matches nothing', 'a name that was mistyped');
is($node->sql(q{BEGIN; SELECT pgseal.create_key('gone'); SELECT pgseal.destroy_key('gone', 'gone'); INSERT INTO pgseal.policy VALUES ('seals', 'gone', '2000'), ('provider', 'gone', 'kmip'), ('reader', 'gone', 'app');
	SELECT string_agg(concat_ws(' ', rule, value, ok), ', ' ORDER BY rule) FROM pgseal.policy_report() WHERE object = 'gone'; ROLLBACK}) =~ s/^\n+//r,
	'provider destroyed t, reader matches nothing f, seals destroyed t', 'a key that was destroyed');
$node->sql('GRANT USAGE ON FOREIGN SERVER local_keyring TO PUBLIC; GRANT EXECUTE ON FUNCTION pgseal.rotate_key TO stranger, custodian');
is($node->sql("SELECT string_agg(concat_ws(' ', rule, value, ok), ', ' ORDER BY 1) FROM (SELECT * FROM pgseal.policy_report() WHERE rule IN ('custodian', 'reader') ORDER BY rule) r"),
	'custodian custodian, stranger f, reader PUBLIC, app f', 'who may, and should not');

my $json = decode_json($node->safe_psql('postgres', q{SELECT json_agg(r) FROM pgseal.policy_report() r}, connstr => $node->connstr('postgres') . ' user=auditor'));
is_deeply((grep { $_->{rule} eq 'reader' } @$json)[0],
	{ rule => 'reader', object => 'server local_keyring', value => 'PUBLIC, app', limit => 'app', ok => JSON::PP::false }, 'JSON for auditors');

#
# What is written down, and travels
#

$node->sql("DELETE FROM pgseal.policy WHERE rule = 'setting' AND object = 'pgseal.nothing'");
is($node->sql("SELECT count(*) FILTER (WHERE detail LIKE 'added%'), string_agg(detail, '') FILTER (WHERE detail NOT LIKE 'added%') FROM pgseal.events WHERE event = 'policy_changed'"),
	'11|removed rule="setting" object="pgseal.nothing" limit="on" enforce=t', 'who changes a rule leaves an event');
$node->sql('CREATE DATABASE copy');
$node->run_ok([ 'sh', '-c', 'pg_dump -d ' . "'" . $node->connection('postgres') . "' | psql -Xq -v ON_ERROR_STOP=1 -d '" . $node->connection('copy') . "'" ], 'a dump');
is($node->query('copy', 'SELECT count(*) FROM pgseal.policy'), $node->sql('SELECT count(*) FROM pgseal.policy'), 'brings the policy');
$node->sql('TRUNCATE pgseal.policy');
is($node->sql("SELECT detail FROM pgseal.events WHERE event = 'policy_changed' ORDER BY at DESC LIMIT 1"), 'removed all rules', 'all rules removed');

$node->stop;
done_testing();
