# A longer run: sessions with savepoints, exception blocks, procedures, prepared
# statements, two-phase commits, rollbacks and cancels write to tables in which
# every encrypted column has a plain twin, while keys are rotated and destroyed,
# the keyring is away for moments, and backends and the postmaster are killed.
# Midway the primary is lost: its standby is promoted, gets a standby of its own,
# and goes on.  At the end every committed value is equal to its twin, on both;
# every old version is retired; and backends haven't grown.
#
# PGSEAL_SOAK_SECONDS (600), PGSEAL_SOAK_SEED (random, printed), to repeat the
# choices of a run; what the sessions' speed decides doesn't repeat.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{PGSEAL_SOAK_SECONDS} // 600;
my $seed = $ENV{PGSEAL_SOAK_SEED} // int(rand(2**31));
my $sessions = 4;
my $end = time + $seconds;
note("seed $seed, $seconds seconds: PGSEAL_SOAK_SEED=$seed repeats the choices");

my $keyring = PostgreSQL::Test::Utils::tempdir . '/keyring';
my $node = SealedNode->started('primary', allows_streaming => 1, conf => qq{
pgseal.keyring_file = '$keyring'
pgseal.worker_interval = 1
pgseal.cache_ttl = 10
pgseal.cache_grace = 0
pgseal.reencrypt_delay = 0
max_prepared_transactions = 50
wal_keep_size = '4GB'
restart_after_crash = on
log_min_messages = log
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE TABLE twins (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, how text,
	plain text, sealed encrypted_text('soak'), number int, sealed_number encrypted_int4);
CREATE TABLE late (plain text, sealed encrypted_text('late'));
CREATE FUNCTION from_block(p text, fails bool) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v twins.sealed%TYPE; BEGIN
	BEGIN
		PERFORM pgseal.rotate_key('soak') WHERE p < '2' AND EXISTS (SELECT FROM pgseal.key_version WHERE key = 'soak');
		v := p;
		IF fails THEN PERFORM 1/0; END IF;
	EXCEPTION WHEN division_by_zero THEN NULL; END;
	INSERT INTO twins (how, plain, sealed) VALUES ('block', p, v);
END $$;
CREATE PROCEDURE from_procedure(p text) LANGUAGE plpgsql AS $$
DECLARE v twins.sealed%TYPE; BEGIN
	PERFORM pgseal.rotate_key('soak') WHERE p < '1' AND EXISTS (SELECT FROM pgseal.key_version WHERE key = 'soak');
	v := p; ROLLBACK;
	INSERT INTO twins (how, plain, sealed) VALUES ('procedure', p, v); COMMIT;
	INSERT INTO twins (how, plain, sealed) VALUES ('procedure', p, v);
END $$;
CREATE FUNCTION set_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	BEGIN
		NEW.sealed := NEW.plain; PERFORM 1/0;
	EXCEPTION WHEN division_by_zero THEN NULL; END;
	RETURN NEW;
END $$;
CREATE TRIGGER set_row BEFORE INSERT ON twins FOR EACH ROW WHEN (NEW.how = 'trigger') EXECUTE FUNCTION set_row();
CREATE FUNCTION literal() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO twins (how, plain, sealed, number, sealed_number) VALUES ('literal', 'active', 'active', 7, 7); END $$;
});
$node->backup('base');
my $standby = SealedNode->from_backup('standby', $node, 'base', has_streaming => 1);
my $failed_over = PostgreSQL::Test::Utils::tempdir . '/failed_over';

# The primary of the moment, also in the sessions' processes
sub primary { return -e $failed_over ? $standby : $node; }

# What a session does next; each writes the same to both twins
my @actions = (
	sub { "INSERT INTO twins (how, plain, sealed, number, sealed_number) VALUES ('plain', '$_[0]', '$_[0]', 5, 5);" },
	sub { "BEGIN; SAVEPOINT s; INSERT INTO twins (plain, sealed) VALUES ('gone', 'gone'); ROLLBACK TO s; INSERT INTO twins (how, plain, sealed) VALUES ('savepoint', '$_[0]', '$_[0]'); COMMIT;" },
	sub { "SELECT from_block('$_[0]', true); SELECT from_block('$_[0]', false);" },
	sub { "CALL from_procedure('$_[0]');" },
	sub { "INSERT INTO twins (how, plain) VALUES ('trigger', '$_[0]');" },
	sub { "BEGIN; SELECT literal(); ROLLBACK; SELECT literal();" },
	sub { "BEGIN; SELECT pgseal.rotate_key('soak'); INSERT INTO twins (plain, sealed) VALUES ('gone', 'gone'); ROLLBACK; INSERT INTO twins (how, plain, sealed) VALUES ('rolled back', '$_[0]', '$_[0]');" },
	sub { my $x = "x$_[1]"; "BEGIN; INSERT INTO twins (how, plain, sealed) VALUES ('prepared', '$_[0]', '$_[0]'); PREPARE TRANSACTION '$x'; COMMIT PREPARED '$x';" },
	sub { my $x = "x$_[1]"; "BEGIN; SELECT literal(); PREPARE TRANSACTION '$x'; ROLLBACK PREPARED '$x'; SELECT literal();" },
	sub { "PREPARE p(text) AS INSERT INTO twins (how, plain, sealed) VALUES ('statement', \$1, \$1); EXECUTE p('$_[0]'); EXECUTE p('$_[0]'); DEALLOCATE p;" },
	sub { "SET statement_timeout = 20; INSERT INTO twins (how, plain, sealed) SELECT 'cancelled', i::text, i::text FROM generate_series(1, 100000) i; RESET statement_timeout;" },
	sub { "UPDATE twins SET plain = '$_[0]', sealed = '$_[0]' WHERE id = (SELECT max(id) FROM twins);" },
	sub { "UPDATE twins SET sealed = (SELECT t.sealed FROM twins t WHERE t.id = twins.id) WHERE id = (SELECT min(id) FROM twins);" },
	sub { "SELECT pgseal.create_key('person $_[1]', parent => 'people'); SELECT pgseal.destroy_key('person $_[1]', 'person $_[1]');" },
	sub { "INSERT INTO late VALUES ('$_[0]', '$_[0]');" },
);

sub session
{
	my ($number) = @_;
	my $turn = 0;

	srand($seed + $number);
	while (time < $end)
	{
		my $script = '';
		for (1 .. 20)
		{
			$turn++;
			$script .= $actions[int rand @actions]->(int(rand 1000) . " $number.$turn", "$number.$turn") . "\n";
		}
		# Errors are ordinary here: the server may be down, the keyring away
		# (and a pipe may break: IPC::Run dies of that)
		my ($out, $err) = ('', '');
		eval { primary()->psql('postgres', $script, on_error_stop => 0, stderr => \$err, stdout => \$out); 1 }
			or $err = 'could not connect';
		sleep 0.2 if $err =~ /could not connect|connection to server|shutting down/;
	}
	return;
}

# What sessions have prepared, and can't finish any more, would lock tables for ever
sub finish_prepared
{
	my ($server) = @_;
	my (undef, $gids) = $server->psql('postgres', q{SELECT gid FROM pg_prepared_xacts
		WHERE gid <> 'rotation' AND prepared < now() - interval '2 s'});
	for my $gid (split /\n/, $gids // '')
	{
		$server->psql('postgres', "COMMIT PREPARED '$gid'", stderr => \my $err);
	}
	return;
}

# The server comes back by itself, or is started
sub up
{
	my ($server) = @_;
	for (1 .. 120)
	{
		return 1 if $server->psql('postgres', 'SELECT true') == 0;
		sleep 0.5;
	}
	return BAIL_OUT('the server does not come back');
}

sub lose_postmaster
{
	my ($server) = @_;
	$server->kill9;
	# Its children notice, and their shared memory goes
	for (1 .. 60)
	{
		sleep 0.5;
		$server->{_pid} = undef;
		last if $server->start(fail_ok => 1);
	}
	up($server);
	return;
}

sub fail_over
{
	$node->kill9;
	$standby->promote;
	up($standby);
	append_to_file($failed_over, 'now');
	$standby->backup('again');
	my $next = SealedNode->from_backup('next', $standby, 'again', has_streaming => 1);
	return $next;
}

# Disturbances, one after another
sub disturb
{
	my $server = primary();
	my $choice = int rand 9;

	if ($choice <= 2)
	{
		my $key = (qw(soak default late))[$choice];
		$server->psql('postgres', "SELECT pgseal.rotate_key('$key')", stderr => \my $err);
	}
	elsif ($choice == 3)
	{
		rename($keyring, "$keyring.away");
		sleep 1 + rand 3;
		rename("$keyring.away", $keyring);
	}
	elsif ($choice == 4)
	{
		my (undef, $pid) = $server->psql('postgres', q{SELECT pid FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1});
		kill('KILL', $pid) if $pid;
		up($server);
	}
	elsif ($choice == 5)
	{
		lose_postmaster($server);
	}
	elsif ($choice == 6)
	{
		$server->psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE pid <> pg_backend_pid()}, stderr => \my $err);
	}
	elsif ($choice == 7)
	{
		$server->psql('postgres', q{BEGIN; SELECT pgseal.rotate_key('soak'); INSERT INTO twins (how, plain, sealed)
			VALUES ('prepared rotation', 'p', 'p'); PREPARE TRANSACTION 'rotation'}, stderr => \my $err);
		sleep rand 2;
		lose_postmaster($server) if rand(3) < 1;
		$server->psql('postgres', (rand(2) < 1 ? 'COMMIT' : 'ROLLBACK') . q{ PREPARED 'rotation'}, stderr => \$err);
	}
	else
	{
		$server->psql('postgres', q{SET lock_timeout = '2s'; SELECT pgseal.destroy_version(key, number, key) FROM pgseal.key_version
			WHERE retired IS NOT NULL AND wrapped IS NOT NULL AND purpose = 'd' LIMIT 1}, stderr => \my $err);
	}
	return;
}

sub memory
{
	my $context = primary()->safe_psql('postgres',
		"SELECT literal() FROM generate_series(1, $_[0]);\nSELECT sum(used_bytes) FROM pg_backend_memory_contexts");
	return (split /\n/, $context)[-1];
}

$node->safe_psql('postgres', q{SELECT pgseal.create_key('people')});
my @children;
for my $number (1 .. $sessions)
{
	my $pid = fork // die;
	if ($pid == 0)
	{
		# Never to where the servers of the parent are stopped
		eval { session($number) };
		require POSIX;
		POSIX::_exit(0);
	}
	push @children, $pid;
}
srand($seed);
my $next;
while (time < $end)
{
	$next = fail_over() if !$next && time > $end - $seconds / 2;
	finish_prepared(primary());
	disturb();
	sleep rand 3;
}
waitpid($_, 0) for @children;
$next //= fail_over();
$node = primary();
up($node);
for (split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts'))
{
	$node->safe_psql('postgres', "COMMIT PREPARED '$_'");
}
$node->safe_psql('postgres', 'SELECT pg_catalog.pg_reload_conf()');

my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM twins');
cmp_ok($rows, '>', 0, "$rows rows");
note($node->safe_psql('postgres', 'SELECT how, count(*) FROM twins GROUP BY 1 ORDER BY 1'));
my $unequal = q{SELECT count(*) FROM twins WHERE sealed::text IS DISTINCT FROM plain
	OR sealed_number::int4 IS DISTINCT FROM number};
my $late = 'SELECT count(*) FROM late WHERE sealed::text IS DISTINCT FROM plain';
is($node->safe_psql('postgres', $unequal), 0, 'every committed value equals its twin');
is($node->safe_psql('postgres', $late), 0, 'under the other key, too');

$node->safe_psql('postgres', "SELECT pgseal.rotate_key('soak')");
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM
	(SELECT key, retired, wrapped, rank() OVER (PARTITION BY key ORDER BY number DESC, id DESC) AS rank
	 FROM pgseal.key_version WHERE purpose = 'd' AND key IN ('soak', 'late', 'default', 'public.twins')) v
	WHERE rank > 1 AND retired IS NULL AND wrapped IS NOT NULL}), 'every old version is retired');
my ($few, $many) = (memory(1000), memory(20000));
cmp_ok($many, '<', $few * 1.1 + 100_000, "memory is flat: $few bytes, $many bytes");

$node->wait_for_catchup($next);
is($next->safe_psql('postgres', $unequal), 0, 'and on the next standby');
$next->promote;
$next->safe_psql('postgres', q{SELECT pgseal.rotate_key('soak'); SELECT literal(); SELECT from_block('promoted', true)});
is($next->safe_psql('postgres', $unequal), 0, 'which goes on');
for my $server ($node, $next)
{
	unlike(slurp_file($server->logfile), qr/TRAP:|terminated by signal (?:6|7|11)/, 'no crash of its own');
}

$_->stop for $node, $next;
done_testing();
