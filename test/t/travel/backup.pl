# Base backups, and crashes under load.  A base backup holds neither plaintext
# nor the keyring; restored with the keyring it opens.  After kill -9 every
# committed value opens and equals its plain twin, keys that were made or rotated
# meanwhile included, and no nonce was used twice.

use strict;
use warnings;

use File::Copy qw(copy);
use File::Find qw(find);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('node', allows_streaming => 1, conf => 'restart_after_crash = on');
$node->make_sample('sample');

#
# Base backup
#

$node->backup('base');
my $backup = $node->backup_dir . '/base';
my ($master_key) = slurp_file($node->keyring) =~ /^1 \S+ (\S{44}) /m;
my $raw = unpack('u', chr(32 + 32) . ($master_key =~ tr{A-Za-z0-9+/=}{ -_}dr));
my @bad;
is(length($raw), 32, 'the master key is read from the keyring');
my $files = search($backup, sub { index($_[0], $master_key) >= 0 || index($_[0], $raw) >= 0 }, \@bad);
cmp_ok($files, '>', 900, 'files of the base backup are searched');
is("@bad", '', 'none holds the master key');
search($backup, sub { $_[0] =~ $SealedNode::PLAINTEXT }, \@bad);
is("@bad", '', 'none holds plaintext');
$node->query('sample', 'CHECKPOINT');
search($node->data_dir, sub { $_[0] =~ $SealedNode::PLAINTEXT }, \@bad);
is("@bad", '', 'nor does the data directory, WAL included');

my $restored = SealedNode->from_backup('restored', $node, 'base');
$restored->fails_like('sample', 'SELECT name FROM app.people',
	qr/58000: could not unwrap key.*keyring_missing/s, 'restored without the keyring: opening');
is($restored->query('sample', 'SELECT count(*) FROM app.people WHERE name IS NOT NULL'), 203,
	'restored without the keyring: other queries');
copy($node->keyring, $restored->keyring) or die $!;
chmod 0600, $restored->keyring;
ok($restored->poll_query_until('sample', 'SELECT count(name::text) = 203 FROM app.people'),
	'with the keyring it opens, without a restart');
is($restored->opened('sample'), $SealedNode::OPENED, 'restored: every value');
is($restored->fingerprint('sample'), $node->fingerprint('sample'), 'restored: the same');
$restored->stop;

#
# Crashes
#

$node->query('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE load (id int PRIMARY KEY, v encrypted_text, plain text, n encrypted_int4('numbers'));
	CREATE TABLE history (v encrypted_text('*'));
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO history VALUES (OLD.v); RETURN NEW; END $$;
	CREATE TRIGGER keep AFTER UPDATE ON load FOR EACH ROW EXECUTE FUNCTION keep();
	CREATE SEQUENCE ids;
	CREATE PROCEDURE new_key() LANGUAGE plpgsql AS $$
		DECLARE t text := 'load_' || nextval('ids');
		BEGIN
			EXECUTE 'CREATE TABLE ' || t || ' (v encrypted_text, plain text)';
			EXECUTE 'INSERT INTO ' || t || ' VALUES ($1, $1)' USING t;
		END $$;});

my $dir = PostgreSQL::Test::Utils::tempdir();
my %scripts = (
	insert => q{
\set r random(1, 1000000000)
INSERT INTO load VALUES (nextval('ids'), 'value ' || :r, 'value ' || :r, :r);
},
	update => q{
\set r random(1, 1000000000)
\set id random(1, 1000)
UPDATE load SET v = 'updated ' || :r, plain = 'updated ' || :r, n = :r WHERE id = :id;
},
	rotate => q{SELECT pgseal.rotate_key('public.load');},
	new_key => q{CALL new_key();});
append_to_file("$dir/$_", $scripts{$_}) for keys %scripts;

for my $victim ('backend', 'postmaster', 'backend', 'postmaster')
{
	my $before = $node->query('postgres', "SELECT last_value FROM ids");
	my $load = start_load();

	$node->poll_query_until('postgres', "SELECT last_value > $before + 300 FROM ids") or die;
	if ($victim eq 'backend')
	{
		my $pid = $node->query('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name = 'load' LIMIT 1");
		my $since = $node->query('postgres', 'SELECT pg_postmaster_start_time()');
		kill 'KILL', $pid;
		$load->finish;
		$node->poll_query_until('postgres', 'SELECT 1', '1') or die;
		is($node->query('postgres', 'SELECT pg_postmaster_start_time()'), $since,
			'backend killed: the postmaster stayed');
	}
	else
	{
		my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
		my $started = 0;

		$node->kill9;
		$load->finish;
		# Its children may take a moment to notice
		for (1 .. 100)
		{
			select(undef, undef, undef, 0.1);
			next if kill 0, $pid;
			last if $started = $node->start(fail_ok => 1);
			$node->stop('fast', fail_ok => 1);
		}
		ok($started, 'postmaster killed: started again');
	}
	check($victim);
}

# The load did what it should have done
is($node->query('postgres', q{
		SELECT count(*) > 4 FROM pgseal.key_version WHERE key = 'public.load' AND purpose = 'd'}),
	't', 'keys were rotated under load');
is($node->query('postgres', 'SELECT max(version) > 4 FROM load, pgseal.inspect(v)'),
	't', 'and used');
is($node->query('postgres', q{SELECT count(*) > 4 FROM pgseal.key WHERE name LIKE 'public.load\_%'}),
	't', 'keys were made under load');
is($node->query('postgres', 'SELECT count(*) > 100 FROM history'), 't', 'values were updated under load');
like(slurp_file($node->logfile), qr/was terminated by signal 9/, 'a backend was killed');
unlike(slurp_file($node->logfile), qr/XX001|failed authentication|PANIC/, 'nothing was found damaged');
is($node->opened('sample'), $SealedNode::OPENED, 'the other database is as it was');
$node->stop;
done_testing();

sub start_load
{
	local %ENV = $node->_get_env(PGAPPNAME => 'load');
	my $out = '';

	return IPC::Run::start(
		[
			qw(pgbench -n -c 4 -j 2 -T 60 --max-tries=10 -M simple),
			'-f', "$dir/insert\@60", '-f', "$dir/update\@38", '-f', "$dir/rotate\@1",
			'-f', "$dir/new_key\@1", 'postgres'
		],
		'>', \$out, '2>', \$out);
}

sub check
{
	my ($victim) = @_;
	my $tables = $node->query('postgres',
		q{SELECT string_agg(format('SELECT v, plain FROM %s', oid::regclass), ' UNION ALL ')
			FROM pg_class WHERE relname LIKE 'load\_%' AND relkind = 'r'});
	$tables = join(' UNION ALL ', 'SELECT v, plain FROM load', $tables || ());

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $node->query('postgres',
			"SELECT count(*) > 0, count(*) FILTER (WHERE v::text IS DISTINCT FROM plain) FROM ($tables) x"),
		't|0', "$victim killed: committed values open and are right");
	is( $node->query('postgres', q{SELECT count(*) FROM load
			WHERE split_part(plain, ' ', 2)::int IS DISTINCT FROM n::int}),
		0, "$victim killed: also those under another key");
	is($node->query('postgres', 'SELECT count(v::text) = count(*) FROM history'), 't',
		"$victim killed: also the older ones");
	# A key version and a nonce, once
	is( $node->query('postgres', "
			SELECT count(*) - count(DISTINCT substr(b, 3, 20)) FROM (
				SELECT pgseal_internal.encrypted_text_send(v) AS b FROM ($tables) x
				UNION ALL SELECT pgseal_internal.encrypted_text_send(v) FROM history
				UNION ALL SELECT pgseal_internal.encrypted_int4_send(n) FROM load) y"),
		0, "$victim killed: no nonce was used twice");
	return;
}

# How many files there are; those that match are added to @$found.
sub search
{
	my ($directory, $matches, $found) = @_;
	my $number = 0;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				return unless -f $File::Find::name;
				$number++;
				my $content = slurp_file($File::Find::name);
				push @$found, $File::Find::name if $matches->($content);
			}
		},
		$directory);
	return $number;
}
