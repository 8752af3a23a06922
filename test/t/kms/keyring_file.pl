# The embedded keyring: its file in every state that it can be found in, its
# replacement under faults and races, the keyring command, and the options.
#
# Needs the extension in test/module_kms, installed.  Runs as the user of the
# server, which must not be root.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use IPC::Run;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;
use Time::HiRes qw(time usleep);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $fault_file = "$dir/fault";
my @seen_keys;

# ---- helpers ----

sub start_node
{
	my ($name) = @_;
	my $node = SealedNode->started($name, preload => 'pgseal_kms_test', conf => q{
restart_after_crash = on
log_statement = none
});
	$node->safe_psql('postgres', 'CREATE EXTENSION pgseal_kms_test');
	$node->safe_psql('postgres',
		'CREATE TABLE kept (label text PRIMARY KEY, server text, secret bytea, wrapped bytea, master_key text)'
	);
	return $node;
}

# The statement fails with this SQLSTATE, and what psql prints matches
sub fails_like
{
	my ($node, $sql, $sqlstate, $pattern, $name) = @_;
	my $stderr;
	my $rc = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stderr => \$stderr);
	ok($rc != 0 && $stderr =~ /ERROR:  $sqlstate: / && $stderr =~ $pattern, $name)
	  or diag("rc $rc, expected $sqlstate $pattern, got: $stderr");
	return;
}

sub code_is
{
	my ($node, $sql, $code, $name) = @_;
	fails_like($node, $sql, '58000', qr/code "$code"/, $name);
	return;
}

my $num_servers = 0;

# A server with a keyring file of its own; returns its name and the file's path
sub new_server
{
	my ($node) = @_;
	my $name = 's' . ++$num_servers;
	my $file = "$dir/$name/test.keyring";
	mkdir "$dir/$name" or die "mkdir: $!";
	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$file')");
	return ($name, $file);
}

# Generates a key and remembers it under a label
sub keep
{
	my ($node, $server, $label, $may_initialize) = @_;
	$may_initialize //= 'true';
	return $node->safe_psql('postgres',
		"INSERT INTO kept SELECT '$label', '$server', * FROM kms_generate('$server', 'payroll', 'data', 42, $may_initialize) RETURNING master_key"
	);
}

sub unwrap_sql
{
	my ($label) = @_;
	return
	  "SELECT kms_unwrap(server, 'payroll', 'data', 42, wrapped, master_key) = secret FROM kept WHERE label = '$label'";
}

sub unwraps
{
	my ($node, $label, $name) = @_;
	is($node->safe_psql('postgres', unwrap_sql($label)), 't', $name);
	return;
}

# The key lines of a keyring file; remembers its keys for the check of the logs
sub key_lines
{
	my ($file) = @_;
	my @lines = grep { /^\d/ } split /^/, slurp_file($file);
	push @seen_keys, map { (split / /)[2] } @lines;
	return @lines;
}

# The format by a second implementation
sub keyring_text
{
	my (@lines) = @_;
	my $text = join('', "pgseal keyring 1\n", @lines);
	return $text . 'checksum ' . sha256_hex($text) . "\n";
}

sub key_line
{
	my ($version, $key) = @_;
	push @seen_keys, encode_base64($key, '');
	return sprintf("%d 2026-01-31T12:00:00Z %s %s\n",
		$version, encode_base64($key, ''),
		substr(sha256_hex("pgseal keyring fingerprint$key"), 0, 16));
}

# Runs statements at the same time, one [node, sql] each; returns the outputs
sub at_once
{
	my (@jobs) = @_;
	my $when = time() + 0.3;
	my (@runs, @out);
	for my $i (0 .. $#jobs)
	{
		my ($node, $sql) = @{ $jobs[$i] };
		$out[$i] = '';
		# By arguments: IPC::Run doesn't feed standard input before finish()
		push @runs,
		  IPC::Run::start(
			[
				'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
				'-c', "SELECT FROM pg_sleep(greatest(0, $when - extract(epoch FROM clock_timestamp())))",
				'-c', $sql
			],
			'>', \$out[$i]);
	}
	for my $run (@runs)
	{
		ok($run->finish, 'a concurrent statement succeeded');
	}
	chomp @out;
	return grep { /\S/ } map { split /\n/ } @out;
}

sub gone_soon
{
	my ($pid) = @_;
	for (1 .. 100)
	{
		return 1 unless kill 0, $pid;
		usleep(100_000);
	}
	return 0;
}

# ---- set-up: faults are injected into both servers on demand ----

my $fault_library = "$dir/fault.so";
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', $fault_library,
	dirname(__FILE__) . '/../../module_kms/fault.c', '-ldl');
my ($node, $other);
{
	local $ENV{LD_PRELOAD} = $fault_library;
	local $ENV{PGSEAL_FAULT_FILE} = $fault_file;
	$node = start_node('main');
	$other = start_node('other');
}
my $data = $node->data_dir;

# ---- default place, creation ----

$node->safe_psql('postgres', 'CREATE SERVER local_keyring FOREIGN DATA WRAPPER local_keyring');
code_is($node, "SELECT kms_generate('local_keyring', 'payroll', 'data', 42, false)",
	'keyring_missing', 'a missing keyring is not created when keys depend on it');
ok(!-e "$data.keyring", 'and there is no file');
like(keep($node, 'local_keyring', 'default'), qr/^v1:[0-9a-f]{16}$/, 'created on first use');
ok(-f "$data.keyring", 'the default place is next to the data directory');
is((stat "$data.keyring")[2] & 07777, 0600, 'with mode 0600');
ok(!-e "$data.keyring.tmp", 'no temporary file stays');
unwraps($node, 'default', 'and unwraps what it wrapped');
like($node->safe_psql('postgres', "SELECT detail FROM kms_describe('local_keyring')"),
	qr/holds 1 master key/, 'described');

is(slurp_file("$data.keyring"), keyring_text(key_lines("$data.keyring")),
	'the text form is as documented');
is($node->safe_psql('postgres', "SELECT encode(substr(wrapped, 2, 8), 'hex') FROM kept"),
	(split /\s/, (key_lines("$data.keyring"))[0])[3],
	'a wrapped key names the fingerprint of its master key');
unlike($node->safe_psql('postgres', 'SELECT secret, wrapped FROM kept'), qr/^\\x(\w+)\|.*\1/,
	'a wrapped key does not hold the secret');

# ---- binding to name, purpose, id; wrap and rewrap ----

for my $context ("'other', 'data', 42", "'payroll', 'index', 42", "'payroll', 'data', 43")
{
	code_is($node, "SELECT kms_unwrap(server, $context, wrapped, master_key) FROM kept",
		'wrapped_key_damaged', "a wrapped key does not serve as ($context)");
}
for my $byte (0, 1, 8, 9, 20, 21, 52, 53, 68)
{
	fails_like($node,
		"SELECT kms_unwrap(server, 'payroll', 'data', 42, set_byte(wrapped, $byte, get_byte(wrapped, $byte) # 1), master_key) FROM kept",
		'58000', qr/code "(wrapped_key_(damaged|format)|master_key_unknown)"/,
		"byte $byte of a wrapped key changed");
}
for my $length (0, 1, 68)
{
	code_is($node,
		"SELECT kms_unwrap(server, 'payroll', 'data', 42, substr(wrapped, 1, $length), master_key) FROM kept",
		'wrapped_key_format', "wrapped key of $length bytes");
}
is( $node->safe_psql('postgres', q{
	SELECT kms_unwrap('local_keyring', 'n', 'index', 7, w.wrapped, w.master_key) = kept.secret, w.wrapped <> kept.wrapped
	FROM kept, LATERAL kms_wrap('local_keyring', 'n', 'index', 7, false, secret) w}),
	't|t', 'wrap and unwrap a given secret');

# ---- rotation ----

is($node->safe_psql('postgres', "SELECT kms_rotate('local_keyring')"), '2', 'second version');
is($node->safe_psql('postgres', "SELECT kms_rotate('local_keyring')"), '3', 'third version');
is(scalar(key_lines("$data.keyring")), 3, 'the file holds all versions');
unwraps($node, 'default', 'the first version still unwraps');
like(keep($node, 'local_keyring', 'third', 'false'), qr/^v3:/, 'the newest version wraps');
like($node->safe_psql('postgres', "SELECT newest_master_key FROM kms_describe('local_keyring')"),
	qr/^v3:/, 'and is described');
is( $node->safe_psql('postgres', q{
	SELECT left(r.master_key, 3), kms_unwrap(k.server, 'payroll', 'data', 42, r.wrapped, r.master_key) = k.secret
	FROM kept k, LATERAL kms_rewrap(k.server, 'payroll', 'data', 42, k.wrapped, k.master_key) r
	WHERE label = 'default'}),
	'v3:|t', 'rewrap moves to the newest version');
is((stat "$data.keyring")[2] & 07777, 0600, 'a rotated keyring has mode 0600');

# ---- who may have access ----

my ($server, $file) = new_server($node);
keep($node, $server, 'modes');
for my $mode (0640, 0604, 0620, 0602, 0610, 0601)
{
	chmod $mode, $file;
	code_is($node, unwrap_sql('modes'), 'keyring_permissions', sprintf('mode %04o is refused', $mode));
}
code_is($node, "SELECT kms_generate('$server', 'p', 'data', 1, true)",
	'keyring_permissions', 'also for wrapping');
code_is($node, "SELECT kms_rotate('$server')", 'keyring_permissions', 'and rotating');
chmod 0000, $file;
code_is($node, unwrap_sql('modes'), 'keyring_permissions', 'a file that cannot be opened');
chmod 0400, $file;
unwraps($node, 'modes', 'mode 0400 is enough to unwrap');
chmod 0600, $file;

rename $file, "$file.real" or die;
symlink "$file.real", $file or die;
unwraps($node, 'modes', 'through a symbolic link, as in a mounted Secret');
code_is($node, "SELECT kms_rotate('$server')", 'keyring_unwritable', 'which is not replaced');
chmod 0640, "$file.real";
code_is($node, unwrap_sql('modes'), 'keyring_permissions', 'the mode of the file counts, not that of the link');
chmod 0600, "$file.real";
unlink $file;
symlink "$file.none", $file or die;
code_is($node, unwrap_sql('modes'), 'keyring_missing', 'a link to nothing');
code_is($node, "SELECT kms_generate('$server', 'p', 'data', 1, true)", 'keyring_missing',
	'in whose place no keyring is made');
unlink $file;
symlink $node->data_dir . '/keyring', $file or die;
append_to_file($node->data_dir . '/keyring', slurp_file("$file.real"));
chmod 0600, $node->data_dir . '/keyring';
fails_like($node, unwrap_sql('modes'), '58000', qr/keyring_permissions.*link into the data directory/,
	'a symbolic link into the data directory is refused');
unlink $file, $node->data_dir . '/keyring';
is($node->safe_psql('postgres', "
		SELECT string_agg(format('%s %s', owner, to_hex(mode)), ', ' ORDER BY owner, mode)
		FROM unnest('{0,7,8}'::int[]) owner, generate_series(0, 511) mode
		WHERE kms_keyring_may_be(owner, mode, 7) AND mode & ~x'1a4'::int4 = 0"),
	'0 0, 0 20, 0 80, 0 a0, 0 100, 0 120, 0 180, 0 1a0, 7 0, 7 80, 7 100, 7 180',
	'of root up to 0640, of the server up to 0600, of nobody else');
is($node->safe_psql('postgres', "
		SELECT count(*) FROM unnest('{0,7,8}'::int[]) owner, generate_series(0, 511) mode
		WHERE kms_keyring_may_be(owner, mode, 7) AND mode & x'3f'::int4 NOT IN (0, x'20'::int4)"), '0',
	'nothing for the world, and no writing for the group');
mkdir $file;
fails_like($node, unwrap_sql('modes'), '58000', qr/keyring_permissions.*not a regular file/,
	'a directory is refused');
rmdir $file;
system_or_bail('mkfifo', '-m', '600', $file);
fails_like($node, unwrap_sql('modes'), '58000', qr/keyring_permissions.*not a regular file/,
	'a FIFO is refused without waiting');
unlink $file;
rename "$file.real", $file or die;
unwraps($node, 'modes', 'and all is well again');

# A file of root that everybody can read
$node->safe_psql('postgres',
	"CREATE SERVER foreign_owner FOREIGN DATA WRAPPER local_keyring OPTIONS (file '/etc/hostname')");
fails_like($node, "SELECT kms_describe('foreign_owner')", '58000',
	qr/keyring_permissions.*has mode/, 'a file of root that others may read is refused');

# ---- missing, damaged, swapped ----

($server, $file) = new_server($node);
keep($node, $server, 'damage');
$node->safe_psql('postgres', "SELECT kms_rotate('$server')");
my $good = slurp_file($file);
key_lines($file);

rename $file, "$file.gone";
fails_like($node, unwrap_sql('damage'), '58000', qr/keyring_missing.*\n.*restore the file from its backup/,
	'a missing file: how to recover');
code_is($node, "SELECT kms_rotate('$server')", 'keyring_missing', 'rotation creates no keyring');
ok(!-e $file, 'indeed');
rename "$file.gone", $file;
unwraps($node, 'damage', 'restored');

my $undetected = 0;
for (my $i = 0; $i < length($good); $i += 5)
{
	my $bad = $good;
	substr($bad, $i, 1) = chr(ord(substr($bad, $i, 1)) ^ (1 << ($i % 7)));
	write_file($file, $bad);
	my $stderr;
	$node->psql('postgres', unwrap_sql('damage'), stderr => \$stderr);
	$undetected++ if $stderr !~ /code "keyring_(damaged|version)"/;
}
is($undetected, 0, 'every damaged byte is noticed');
for my $length (0, 1, 16, 17, 40, 111, 112, length($good) - 75, length($good) - 74, length($good) - 1)
{
	write_file($file, substr($good, 0, $length));
	code_is($node, unwrap_sql('damage'), 'keyring_damaged', "cut to $length bytes");
}
my $bad = substr($good, 0, 100);
write_file($file, $bad);
code_is($node, "SELECT kms_generate('$server', 'p', 'data', 1, true)",
	'keyring_damaged', 'a damaged keyring is not used');
code_is($node, "SELECT kms_rotate('$server')", 'keyring_damaged', 'nor rotated');
is(slurp_file($file), $bad, 'nor overwritten');
for my $content ("x" x 70000, $good . "\0", $good . $good, "pgseal keyring 1\n", keyring_text(),
	keyring_text("1 2026-01-31T12:00:00Z short 0123\n"), keyring_text("1 \0\n"),
	"pgseal keyring 1\nchecksum 12\n")
{
	write_file($file, $content);
	code_is($node, unwrap_sql('damage'), 'keyring_damaged',
		'not a keyring: ' . substr(sha256_hex($content), 0, 8));
}
my $later = $good;
$later =~ s/^pgseal keyring 1/pgseal keyring 2/;
write_file($file, $later);
code_is($node, unwrap_sql('damage'), 'keyring_version', 'a later format');

# Lost: what the cluster has used isn't made anew
my $wrap = "SELECT kms_generate('$server', 'p', 'data', 1, true)";
unlink $file;
code_is($node, $wrap, 'keyring_missing', 'a lost keyring is not made anew');
ok(!-e $file, 'there is none');

# Another keyring in its place; then both are joined by hand
my ($aside, $aside_file) = new_server($node);
keep($node, $aside, 'swapped');
$node->safe_psql('postgres', "UPDATE kept SET server = '$server' WHERE label = 'swapped'");
write_file($file, slurp_file($aside_file));
code_is($node, unwrap_sql('damage'), 'master_key_unknown', 'a swapped keyring');
code_is($node, $wrap, 'keyring_other', 'nor is anything wrapped by it');
my @good_lines = grep { /^\d/ } split /^/, $good;
write_file($file, keyring_text(@good_lines, key_lines($file)));
unwraps($node, 'damage', 'joined keyrings unwrap the keys of one');
unwraps($node, 'swapped', 'and of the other');
like($node->safe_psql('postgres', "SELECT kms_rotate('$server')"), qr/^\d+$/, 'and rotate');
write_file($file, keyring_text(@good_lines,
	map { key_line($_, pack('N8', $_ .. $_ + 7)) } @good_lines + 1 .. 500));
like(keep($node, $server, 'full'), qr/^v500:/, 'a keyring of 500 master keys');
code_is($node, "SELECT kms_rotate('$server')", 'keyring_full', 'is full');

# ---- what cannot be written ----

($server, $file) = new_server($node);
chmod 0500, dirname($file);
code_is($node, "SELECT kms_generate('$server', 'p', 'data', 1, true)",
	'keyring_unwritable', 'no creation in a read-only directory');
chmod 0700, dirname($file);
keep($node, $server, 'faults');
$good = slurp_file($file);
chmod 0500, dirname($file);
unwraps($node, 'faults', 'a read-only directory is enough to unwrap');
keep($node, $server, 'read-only', 'false');
unwraps($node, 'read-only', 'and to wrap');
unlink "$file.lock";
code_is($node, "SELECT kms_rotate('$server')", 'keyring_unwritable', 'but not to rotate');
chmod 0700, dirname($file);

for my $fault ('enospc', 'fsync')
{
	write_file($fault_file, $fault);
	fails_like($node, "SELECT kms_rotate('$server')", '58000',
		qr/is not available.*keyring_unwritable.*Nothing was changed/s, "$fault while rotating");
	is(slurp_file($file), $good, "$fault: the old file stays");
	ok(!-e "$file.tmp", "$fault: no temporary file stays");
	unwraps($node, 'faults', "$fault: and still unwraps");
	my ($new_server, $new_file) = new_server($node);
	code_is($node, "SELECT kms_generate('$new_server', 'p', 'data', 1, true)",
		'keyring_unwritable', "$fault while creating");
	ok(!-e $new_file, "$fault: no file that looks like a keyring");
	unlink $fault_file;
	keep($node, $new_server, "after $fault");
	unwraps($node, "after $fault", "$fault: goes on when it is over");
}

# kill -9 when the temporary file is complete but not yet renamed
my $log_end = -s $node->logfile;
write_file($fault_file, 'kill');
isnt($node->psql('postgres', "SELECT kms_rotate('$server')", stderr => \my $ignored), 0,
	'backend killed before rename');
unlink $fault_file;
ok(-e "$file.tmp", 'a temporary file is left over');
is(slurp_file($file), $good, 'the old file is as it was');
$node->wait_for_restart($log_end);
unwraps($node, 'faults', 'and still unwraps');
is($node->safe_psql('postgres', "SELECT kms_rotate('$server')"), '2', 'the next rotation succeeds');
ok(!-e "$file.tmp", 'and removes what was left over');
unwraps($node, 'faults', 'nothing is lost');
key_lines($file);

# The lock is held by somebody who does not let go
open(my $lock, '+>>', "$file.lock") or die "open: $!";
flock($lock, LOCK_EX) or die "flock: $!";
code_is($node, "SET pgseal.kms_timeout = 200; SELECT kms_rotate('$server')",
	'keyring_locked', 'a lock that is not let go');
fails_like($node, "SET statement_timeout = 200; SELECT kms_rotate('$server')",
	'57014', qr/statement timeout/, 'waiting for the lock can be cancelled');
unwraps($node, 'faults', 'readers need no lock');
close($lock);
is($node->safe_psql('postgres', "SELECT kms_rotate('$server')"), '3', 'until it is let go');

# ---- two servers and many backends at the same time ----

# A slow disk makes sure that all have begun before the first one is done
write_file($fault_file, 'slow');
for my $round (1 .. 4)
{
	my $shared = "$dir/shared$round.keyring";
	$_->safe_psql('postgres',
		"CREATE SERVER shared$round FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$shared')")
	  for ($node, $other);
	my %names = map { $_ => 1 } at_once(
		map { [ $_, "SELECT master_key FROM kms_generate('shared$round', 'p', 'data', 1, true)" ] }
		  ($node, $other, $node, $other));
	is(scalar(keys %names), 1, "round $round: everyone wraps by the same master key");
	is(scalar(key_lines($shared)), 1, "round $round: and the keyring has no other");
}
is( join(' ', sort(at_once(map { [ $_, "SELECT kms_rotate('shared1')" ] } ($node, $other, $node, $other)))),
	'2 3 4 5', 'no rotation gets lost');
is(scalar(key_lines("$dir/shared1.keyring")), 5, 'all versions are in the file');
unlink $fault_file;

# ---- the keyring command ----

my $key = join('', map { chr } 100 .. 131);
push @seen_keys, encode_base64($key, ''), unpack('H*', $key);
my $printed = "$dir/printed";
$node->safe_psql('postgres',
	"CREATE SERVER program FOREIGN DATA WRAPPER local_keyring OPTIONS (command 'cat $printed')");
my %form = (
	hexadecimal => unpack('H*', $key) . "\n",
	'upper case hexadecimal' => uc(unpack('H*', $key)),
	base64 => encode_base64($key, ''),
	'base64 with CRLF' => encode_base64($key, '') . "\r\n",
	keyring => keyring_text(key_line(1, $key)));
write_file($printed, $form{base64});
like(keep($node, 'program', 'command'), qr/^v1:/, 'a command instead of a file');
for my $name (sort keys %form)
{
	write_file($printed, $form{$name});
	unwraps($node, 'command', "command prints $name");
}
write_file($printed, keyring_text(key_line(1, $key), key_line(2, 'x' x 32)));
unwraps($node, 'command', 'command prints a keyring with two master keys');
like(keep($node, 'program', 'command 2'), qr/^v2:/, 'the last one wraps');
like($node->safe_psql('postgres', "SELECT newest_master_key || ' ' || detail FROM kms_describe('program')"),
	qr/^v2:.* printed 2 master key/, 'described');
fails_like($node, "SELECT kms_rotate('program')", '0A000', qr/comes from a command/,
	'a command cannot be rotated');
write_file($printed, unpack('H*', 'y' x 32));
code_is($node, unwrap_sql('command'), 'master_key_unknown', 'command prints another key');
for my $content ('', "\n", substr($form{hexadecimal}, 0, 63), 'z' x 64, '*' x 44, "$form{base64} x", 'x' x 70000)
{
	write_file($printed, $content);
	code_is($node, unwrap_sql('command'), 'command_output',
		'command prints something else: ' . length($content) . ' bytes');
}
write_file($printed, substr($form{keyring}, 0, 60));
code_is($node, unwrap_sql('command'), 'keyring_damaged', 'command prints a cut keyring');

my %failing = (
	'exit 3' => qr/command_failed.*exit code 3/,
	'kill -TERM $$' => qr/command_failed.*signal 15/,
	'/nonexistent/program' => qr/command_failed.*command not found/,
	"cat $printed; exit 1" => qr/command_failed/);
for my $command (sort keys %failing)
{
	write_file($printed, $form{base64});
	$node->safe_psql('postgres', "ALTER SERVER program OPTIONS (SET command '$command')");
	fails_like($node, unwrap_sql('command'), '58000', $failing{$command}, "command: $command");
}

# A command that hangs: timeout, cancel, end of the backend; it is always killed
my %hanging = (
	'before it prints' => "echo \$\$ >$dir/pid; exec sleep 600",
	'after it printed' => "echo \$\$ >$dir/pid; cat $printed; exec >&-; exec sleep 600",
	'in the background' => "sleep 600 & echo \$! >$dir/pid; cat $printed");
for my $how (sort keys %hanging)
{
	$node->safe_psql('postgres', "ALTER SERVER program OPTIONS (SET command '$hanging{$how}')");
	my $started = time();
	code_is($node, "SET pgseal.kms_timeout = 300; " . unwrap_sql('command'),
		'command_timeout', "command hangs $how");
	ok(gone_soon(slurp_file("$dir/pid") + 0), "command that hangs $how is killed");
	fails_like($node, "SET statement_timeout = 300; SET pgseal.kms_timeout = 300000; " . unwrap_sql('command'),
		'57014', qr/statement timeout/, "command that hangs $how: cancelled");
	ok(gone_soon(slurp_file("$dir/pid") + 0), "and killed");
}
$node->safe_psql('postgres', "ALTER SERVER program OPTIONS (SET command '$hanging{'before it prints'}')");
unlink "$dir/pid";
my $session = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=doomed',
		'-c', 'SET pgseal.kms_timeout = 300000', '-c', unwrap_sql('command') ],
	'>', \my $doomed_out, '2>', \my $doomed_err);
usleep(20_000) until -s "$dir/pid";
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'");
$session->finish;
ok(gone_soon(slurp_file("$dir/pid") + 0), 'a terminated backend takes its command along');

# ---- options ----

my $create = 'CREATE SERVER bad FOREIGN DATA WRAPPER local_keyring OPTIONS';
fails_like($node, "$create (fiel '/x')", 'HV00D', qr/HINT:.*are: file, command\./, 'unknown option');
fails_like($node, "$create (file 'relative.keyring')", 'HV024', qr/absolute path/, 'relative path');
fails_like($node, "$create (file '')", 'HV024', qr/absolute path/, 'empty path');
fails_like($node, "$create (file '$data/x.keyring')", 'HV024', qr/base backup/, 'in the data directory');
fails_like($node, "$create (file '$data/base/../x.keyring')", 'HV024', qr/base backup/,
	'in the data directory by a detour');
symlink $data, "$dir/link" or die;
fails_like($node, "$create (file '$dir/link/x.keyring')", 'HV024', qr/base backup/,
	'in the data directory by a symbolic link');
fails_like($node, "$create (command ' ')", 'HV024', qr/empty/, 'empty command');
fails_like($node, "$create (file '/x', command 'y')", 'HV00D', qr/exclude each other/, 'file and command');
for my $name ('key', 'master_key', 'secret', 'password', 'passphrase')
{
	fails_like($node, "$create ($name 'x')", 'HV00D', qr/would hold a secret.*HINT:.*"file"/s,
		"option $name");
}
fails_like($node, "ALTER SERVER $server OPTIONS (ADD command 'x')", 'HV00D', qr/exclude/, 'ALTER SERVER');
fails_like($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER $server OPTIONS (password 'x')",
	'HV00D', qr/only a server takes options/, 'user mapping with options');
fails_like($node, "ALTER FOREIGN DATA WRAPPER local_keyring OPTIONS (ADD file '/x')",
	'HV00D', qr/only a server takes options/, 'wrapper with options');
$node->safe_psql('postgres', "CREATE USER MAPPING FOR CURRENT_USER SERVER $server");

$node->safe_psql('postgres',
	'CREATE ROLE joe; GRANT USAGE ON FOREIGN DATA WRAPPER local_keyring TO joe; GRANT CREATE ON DATABASE postgres TO joe'
);
my $as_joe = 'SET ROLE joe; CREATE SERVER joes FOREIGN DATA WRAPPER local_keyring';
fails_like($node, "$as_joe OPTIONS (command 'id')", '42501', qr/pg_execute_server_program/,
	'command needs a privilege');
fails_like($node, "$as_joe OPTIONS (file '/x/y')", '42501', qr/pg_write_server_files/,
	'file needs a privilege');
$node->safe_psql('postgres', 'GRANT pg_write_server_files TO joe');
$node->safe_psql('postgres', "$as_joe OPTIONS (file '/x/y')");

fails_like($node, "SELECT kms_describe('nowhere')", '42704', qr/"nowhere" does not exist/, 'no such server');
$node->safe_psql('postgres',
	'CREATE FOREIGN DATA WRAPPER other; CREATE SERVER elsewhere FOREIGN DATA WRAPPER other');
fails_like($node, "SELECT kms_describe('elsewhere')", '42809', qr/not one of pgseal's/, 'wrong wrapper');

# The setting
for my $case ([ 'relative', 'keyring_location' ], [ "$data/x.keyring", 'keyring_location' ],
	[ "$dir/nothing.keyring", 'keyring_missing' ])
{
	my ($value, $code) = @$case;
	$node->safe_psql('postgres', "ALTER SYSTEM SET pgseal.keyring_file = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('pgseal.keyring_file') = '$value'");
	code_is($node, unwrap_sql('default'), $code, "pgseal.keyring_file = $value");
}
copy("$data.keyring", "$dir/nothing.keyring");
chmod 0600, "$dir/nothing.keyring";
unwraps($node, 'default', 'pgseal.keyring_file is used');

# ---- the error report ----

fails_like($node,
	"SELECT kms_report(2, 'unwrap', 400, 'AccessDeniedException', 'abc-1', 'No.', 'Ask.')",
	'58000',
	qr/could not unwrap key: foreign server "pii" refused\nDETAIL:  Provider "aws_kms", server "pii", operation "unwrap", HTTP status 400, code "AccessDeniedException", request id "abc-1"\. No\.\nHINT:  Ask\./,
	'all facts are reported');
fails_like($node, "SELECT kms_report(1, 'login', 0, '', '', '', '')",
	'58000', qr/could not log in: foreign server "pii" is not available\nDETAIL:  [^,]*, server "pii", operation "login"\.\n(?!HINT)/,
	'and only those that are known');
fails_like($node, "SELECT kms_report(3, 'wrap', 0, '\\x410aff42', '', '\\x4e0d0a6fff', '')",
	'58000', qr/code "A\?\?B"\. N\?\?o\?\n/, 'unprintable bytes from a service are replaced');
fails_like($node, "SELECT kms_report(3, 'wrap', 0, '', '', convert_to('x' || repeat(U&'\\00e9', 200), 'UTF8'), '')",
	'58000', qr/ x(\xc3\xa9){127}\n/, 'a long message is cut between characters');

# ---- no secret in a log ----

($server, $file) = new_server($node);
code_is($node, "SELECT kms_generate('$server', 'plaintext-marker', 'data', 1, false)",
	'keyring_missing', 'a statement that fails');
$node->safe_psql('postgres', "SELECT kms_generate('$server', 'plaintext-marker', 'data', 1, true)");
like(slurp_file($node->logfile), qr/LOG:  pgseal: created keyring file "\Q$file\E"/, 'creation is logged');
my $log = slurp_file($node->logfile) . slurp_file($other->logfile);
my %unique = map { $_ => 1 } grep { length } @seen_keys;
my @leaked = grep { index($log, $_) >= 0 || index($log, unpack('H*', decode_base64($_))) >= 0 } keys %unique;
cmp_ok(scalar(keys %unique), '>', 510, 'master keys were collected');
is(scalar(@leaked), 0, 'no master key is in a log');
unlike($log, qr/plaintext-marker/, 'what a KMS does or fails to do does not log the statement');

$node->stop;
$other->stop;
done_testing();
