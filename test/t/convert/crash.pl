# A column is encrypted and decrypted under load while the server is killed at
# any moment: no value may be lost or differ from the plain column beside it.
#
# Environment: PGSEAL_CRASH_ROWS (rows of the table, default 10000),
# PGSEAL_CRASH_KILLS (default 12).

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(usleep);

my $rows = $ENV{PGSEAL_CRASH_ROWS} // 10000;
my $kills = $ENV{PGSEAL_CRASH_KILLS} // 12;

my $node = SealedNode->started('convert_crash', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 8
pgseal.reencrypt_delay = 20
restart_after_crash = on
});

# The sequence gives new rows ids of their own, so that keys come and go, too.
$node->safe_psql('postgres', qq{
	CREATE EXTENSION pgseal;
	CREATE EXTENSION amcheck;
	CREATE SEQUENCE ids START 1000000;
	CREATE TABLE account (gone int, id int PRIMARY KEY, secret text, shadow text, tag encrypted_int4);
	ALTER TABLE account DROP COLUMN gone;
	CREATE UNIQUE INDEX account_secret ON account (secret);
	CREATE INDEX account_shadow ON account (shadow);
	INSERT INTO account SELECT i, i::text, i::text, i FROM generate_series(1, $rows) i;
	CREATE TABLE ledger (id int REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE);
	INSERT INTO ledger SELECT i FROM generate_series(1, 100) i;
});

# Whatever changes, both columns of a row say the same, and no value is there twice.
my %script = (
	update => qq{
\\set id random(1, $rows)
UPDATE account SET secret = s, shadow = s, tag = tag::int4 + 1 FROM (SELECT :id || '-' || nextval('ids') AS s) x WHERE id = :id;
},
	long => qq{
\\set id random(1, $rows)
UPDATE account SET secret = s, shadow = s FROM (SELECT nextval('ids') || repeat(md5(:id::text), 60) AS s) x WHERE id = :id;
UPDATE account SET secret = s, shadow = s FROM (SELECT nextval('ids')::text AS s) x WHERE id = :id;
},
	insert => qq{
INSERT INTO account SELECT i, i::text, i::text, i::int4 FROM nextval('ids') i;
},
	move => qq{
\\set id random(1, $rows)
UPDATE account SET id = nextval('ids') WHERE id = :id;
},
	delete => qq{
\\set id random(1, $rows)
BEGIN;
DELETE FROM account WHERE id = :id;
INSERT INTO account SELECT :id, s, s, 0 FROM (SELECT nextval('ids')::text AS s) x ON CONFLICT DO NOTHING;
END;
},
	abort => qq{
\\set id random(1, $rows)
BEGIN;
UPDATE account SET secret = 'x', shadow = 'y' WHERE id = :id;
ROLLBACK;
});
my @files;
for my $name (sort keys %script)
{
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $script{$name});
	push @files, '-f', $file . ($name eq 'update' ? '@6' : '@1');
}

sub start_load
{
	local $ENV{PGAPPNAME} = 'pgbench';
	return IPC::Run::start(
		[ 'pgbench', '-n', '-T', 3600, '-c', 4, '-j', 4, '-M', $_[0], @files,
		  '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
}

sub start_call
{
	my ($command) = @_;
	return IPC::Run::start(
		[ 'psql', '-X', '-q', '-h', $node->host, '-p', $node->port,
		  '-c', "CALL pgseal.${command}_column('account', 'secret')", 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
}

# After kill -9 of the postmaster, its children need a moment to notice
sub restart
{
	$node->kill9;
	for (1 .. 100)
	{
		return if $node->start(fail_ok => 1);
		$node->{_pid} = undef;	# of the postmaster.pid that was left behind
		usleep(100_000);
	}
	die 'the server did not start again';
}

# A value that differs from its shadow, or that an index doesn't find
sub wrong_values
{
	return $node->safe_psql('postgres', q{
		SELECT count(*) FROM account WHERE secret::text IS DISTINCT FROM shadow})
	  . $node->safe_psql('postgres', q{
		SET enable_seqscan = off;
		SELECT '|' || count(*) FROM (SELECT shadow FROM account ORDER BY id DESC LIMIT 200) a
			WHERE NOT EXISTS (SELECT FROM account b WHERE b.secret = a.shadow)});
}

sub is_encrypted
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pgseal.columns WHERE \"table\" = 'account'::regclass AND \"column\" = 'secret'");
}

my $expected_rows = "SELECT count(*) FILTER (WHERE id <= $rows) > 0 FROM account";
my ($begun, $interrupted) = (0, 0);
for my $round (1 .. $kills)
{
	my $load = start_load($round % 3 ? 'simple' : 'prepared');
	my $command = is_encrypted() ? 'decrypt' : 'encrypt';
	my $call = start_call($command);
	usleep(200_000 + int(rand(1_800_000)));

	# The postmaster; or one process, after which it restarts all others
	my $victim = $round % 2 ? undef : $node->safe_psql('postgres', q{
		SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' OR query ~ '^CALL pgseal'
			ORDER BY query ~ 'CALL' DESC LIMIT 1});
	if ($victim)
	{
		kill 'KILL', $victim;
		eval { $load->finish; };
		eval { $call->finish; };
		$node->poll_query_until('postgres', 'SELECT true');
	}
	else
	{
		restart();
		eval { $load->finish; };
		eval { $call->finish; };
	}
	$interrupted += $node->safe_psql('postgres', 'SELECT count(*) FROM pgseal.progress_convert');
	is(wrong_values(), '0|0', "round $round: killed while told to $command; every value is what it was");
}
cmp_ok($interrupted, '>', 0, "$interrupted of $kills kills left a conversion unfinished");

# To the end under load, both ways; no statement of the load may fail
for my $command (is_encrypted() ? qw(decrypt encrypt) : qw(encrypt decrypt encrypt))
{
	my $load = start_load('prepared');
	$node->safe_psql('postgres', "CALL pgseal.${command}_column('account', 'secret')");
	ok($load->pumpable, "$command: the load goes on");
	$load->kill_kill;
	is(is_encrypted(), $command eq 'encrypt' ? 1 : 0, "$command: done");
	is(wrong_values(), '0|0', "$command: every value is what it was");
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger l WHERE NOT EXISTS (SELECT FROM account a WHERE a.id = l.id)'),
	0, 'foreign keys hold');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM pg_index, LATERAL bt_index_check(indexrelid, true) WHERE indrelid = 'account'::regclass}),
	3, 'the indexes have all rows');
is($node->safe_psql('postgres', "SELECT count(*) FROM verify_heapam('account')"), 0, 'the table is sound');
is($node->safe_psql('postgres', q{
	SELECT (SELECT count(*) FROM pgseal_internal.conversion) + (SELECT count(*) FROM pgseal_internal.conversion_change)
		+ (SELECT count(*) FROM pg_class WHERE relname LIKE 'copy_of_%')
		+ (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgseal_note_change%')}),
	0, 'nothing is left behind');
isnt($node->psql('postgres', "INSERT INTO account SELECT -1, shadow FROM account LIMIT 1"), 0,
	'values are unique');

$node->stop;
done_testing();
