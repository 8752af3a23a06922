# The wire protocol as drivers speak it: simple and extended, text and binary
# formats, unnamed and named statements, portals, pipelining.  What a driver
# sees of an encrypted column is the base type.

use strict;
use warnings;

use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

use constant { TEXT => 25, INT4 => 23, TEXT_ARRAY => 1009, VARCHAR => 1043, VARCHAR_ARRAY => 1015 };

my $node = SealedNode->started('protocol');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, v encrypted_text, n encrypted_int4, a encrypted_text[]);
	INSERT INTO t VALUES (1, 'ada', 10, '{x,y}'), (2, 'bob', 20, NULL)});

# ---- a small client

my $socket;

sub connect_to
{
	my ($host, $port) = ($node->host, $node->port);
	my $user = getpwuid($<);

	$socket = IO::Socket::UNIX->new(Peer => "$host/.s.PGSQL.$port") or die "connect: $!";
	my $startup = pack('N', 196608) . "user\0$user\0database\0postgres\0\0";
	print $socket pack('N', length($startup) + 4), $startup;
	receive();
}

sub message { return $_[0] . pack('N', length($_[1]) + 4) . $_[1] }

# Everything up to ReadyForQuery: [ type, payload ], ...
sub receive
{
	my @messages;

	for (;;)
	{
		my ($header, $payload) = ('', '');
		read($socket, $header, 5) == 5 or die 'connection closed';
		my ($type, $length) = unpack('aN', $header);
		read($socket, $payload, $length - 4) if $length > 4;
		push @messages, [ $type, $payload ];
		return digest(@messages) if $type eq 'Z';
	}
}

# { names, oids, formats, rows, tags, error (SQLSTATE), parameters }
sub digest
{
	my %digest = (names => [], oids => [], rows => [], tags => [], error => '', parameters => []);

	for (@_)
	{
		my ($type, $payload) = @$_;
		if ($type eq 'T')
		{
			my $rest = substr($payload, 2);
			($digest{names}, $digest{oids}) = ([], []);
			while ($rest ne '')
			{
				my ($name, $table, $column, $oid, $size, $typmod, $format) = unpack('Z*NnNnNn', $rest);
				push @{ $digest{names} }, $name;
				push @{ $digest{oids} }, $oid;
				push @{ $digest{tables} }, $table != 0;
				$rest = substr($rest, length($name) + 19);
			}
		}
		elsif ($type eq 'D')
		{
			my ($count, @row) = unpack('n', $payload);
			my $at = 2;
			for (1 .. $count)
			{
				my $length = unpack('N', substr($payload, $at));
				$at += 4;
				if ($length == 0xFFFFFFFF) { push @row, undef; next }
				push @row, substr($payload, $at, $length);
				$at += $length;
			}
			push @{ $digest{rows} }, \@row;
		}
		elsif ($type eq 't') { $digest{parameters} = [ unpack('x2N*', $payload) ] }
		elsif ($type eq 'C') { push @{ $digest{tags} }, unpack('Z*', $payload) }
		elsif ($type eq 'E') { ($digest{error}) = $payload =~ /(?:^|\0)C(\w{5})\0/ }
		elsif ($type eq 's') { push @{ $digest{tags} }, 'suspended' }
	}
	return \%digest;
}

sub ask { print $socket @_; $socket->flush; return receive() }
sub simple { return ask(message('Q', "$_[0]\0")) }

sub parse
{
	my ($sql, %o) = @_;
	my @types = @{ $o{types} // [] };
	return message('P', ($o{name} // '') . "\0$sql\0" . pack('nN*', scalar @types, @types));
}

sub bind_to
{
	my (%o) = @_;
	my @values = @{ $o{values} // [] };
	return message('B', ($o{portal} // '') . "\0" . ($o{name} // '') . "\0"
		  . pack('nn', 1, $o{binary_in} // 0) . pack('n', scalar @values)
		  . join('', map { defined $_ ? pack('N', length($_)) . $_ : pack('N', 0xFFFFFFFF) } @values)
		  . pack('nn', 1, $o{binary} // 0));
}

sub describe { return message('D', "$_[0]" . ($_[1] // '') . "\0") }
sub execute { return message('E', ($_[0] // '') . "\0" . pack('N', $_[1] // 0)) }
sub sync { return message('S', '') }

sub extended
{
	my ($sql, %o) = @_;
	return ask(parse($sql, %o), describe('S', $o{name}), bind_to(%o), execute(), sync());
}

connect_to();

# ---- simple

my $r = simple('SELECT id, v, n, a FROM t ORDER BY id');
is_deeply($r->{oids}, [ INT4, TEXT, INT4, TEXT_ARRAY ], 'simple: OIDs of the base types');
is_deeply($r->{tables}, [ 1, 1, 1, 1 ], 'simple: opened columns name their table');
is_deeply($r->{rows}, [ [ 1, 'ada', 10, '{x,y}' ], [ 2, 'bob', 20, undef ] ], 'simple: values');
$r = simple(q{SELECT v FROM t WHERE id = 1; UPDATE t SET n = n + 1 WHERE id = 1 RETURNING n; SELECT 1});
is_deeply($r->{rows}, [ ['ada'], [11], [1] ], 'simple: several statements in one message');
is_deeply($r->{tags}, [ 'SELECT 1', 'UPDATE 1', 'SELECT 1' ], 'simple: their tags');
simple('UPDATE t SET n = 10 WHERE id = 1');

# ---- extended, text and binary

for my $binary (0, 1)
{
	my $format = $binary ? 'binary' : 'text';
	my $ten = $binary ? pack('N', 10) : 10;

	$r = extended('SELECT v, n FROM t WHERE id = 1', binary => $binary);
	is_deeply($r->{oids}, [ TEXT, INT4 ], "$format: OIDs");
	is_deeply($r->{rows}, [ [ 'ada', $ten ] ], "$format: values");
	$r = extended('SELECT DISTINCT v FROM t WHERE n = $1 ORDER BY v', values => [10], binary => $binary);
	is_deeply($r->{rows}, [ ['ada'] ], "$format: untyped parameter");
	$r = extended('SELECT v FROM t WHERE v = $1', types => [TEXT], values => ['bob'], binary => $binary);
	is_deeply($r->{rows}, [ ['bob'] ], "$format: typed parameter");
	$r = extended('SELECT count(*)::int4 FROM t WHERE n > $1', types => [INT4], values => [ pack('N', 15) ],
		binary_in => 1, binary => $binary);
	is_deeply($r->{rows}, [ [ $binary ? pack('N', 1) : 1 ] ], "$format: binary parameter");
}
$r = extended('SELECT a FROM t WHERE id = 1', binary => 1);
is_deeply([ unpack('N3', $r->{rows}[0][0]) ], [ 1, 0, TEXT ], 'binary array has elements of the base type');

# ---- writing

$r = extended('INSERT INTO t VALUES ($1, $2, $3) RETURNING v, n', values => [ 3, 'eve', 30 ]);
is_deeply($r->{rows}, [ [ 'eve', 30 ] ], 'untyped parameters are sealed and come back');
is_deeply($r->{parameters}, [ INT4, TEXT, INT4 ], 'untyped parameters are described as those of a plain table');
$r = extended('INSERT INTO t VALUES ($1, $2, $3) RETURNING v, n', types => [ INT4, TEXT, INT4 ],
	values => [ pack('N', 4), 'fay', pack('N', 40) ], binary_in => 1, binary => 1);
is_deeply($r->{rows}, [ [ 'fay', pack('N', 40) ] ], 'typed binary parameters');
$r = extended('UPDATE t SET v = $1 WHERE id = $2 RETURNING v', values => [ undef, 4 ]);
is_deeply($r->{rows}, [ [undef] ], 'null');
$r = extended('INSERT INTO t VALUES ($1, $2, $3, $4) RETURNING v, n, a', values => [ pack('N', 5), 'gus', pack('N', 50),
		pack('N5', 1, 0, TEXT, 1, 1) . pack('N', 1) . 'z' ], binary_in => 1);
is_deeply([ @$r{qw(error parameters rows)} ], [ '', [ INT4, TEXT, INT4, TEXT_ARRAY ], [ [ 'gus', 50, '{z}' ] ] ],
	'untyped parameters in binary');
$r = extended('DELETE FROM t WHERE a[1] = $1 AND n = $2 AND v = ANY ($3)', values => [ 'z', 50, '{gus}' ]);
is_deeply([ $r->{tags}, $r->{parameters} ], [ ['DELETE 1'], [ TEXT, INT4, TEXT_ARRAY ] ], 'and in a condition');
$r = extended('SELECT v FROM t WHERE v = $1 AND n = $2; ', values => [ 'eve', 30 ]);
is_deeply([ $r->{rows}, $r->{parameters} ], [ [ ['eve'] ], [ TEXT, INT4 ] ], 'behind a semicolon there may be nothing');
my ($sealed_text, $sealed_int) = split / /, $node->safe_psql('postgres', q{SELECT 'encrypted_text'::regtype::oid || ' ' || 'encrypted_int4'::regtype::oid});
$r = extended('SELECT v FROM t WHERE v = $1 AND n = $2 AND id = $3', types => [ 0, $sealed_int ], values => [ 'eve', 30, 3 ]);
is_deeply([ $r->{rows}, $r->{parameters} ], [ [ ['eve'] ], [ TEXT, $sealed_int, INT4 ] ], 'what the client declares stays');

# one of several functions of a name, beside a parameter that has no type, or one
simple(q{CREATE FUNCTION of_two(int, int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$; CREATE FUNCTION of_two(float8, float8) RETURNS text LANGUAGE sql AS $$ SELECT 'float8' $$});
$r = extended('SELECT of_two(n, $1) FROM t WHERE id = 3 AND v = $2', values => [ 5, 'eve' ]);
is_deeply([ @$r{qw(rows parameters)} ], [ [ ['int'] ], [ INT4, TEXT ] ], 'an untyped parameter beside an encrypted value is of what a plain one chooses');
$r = extended('SELECT of_two(n, $1) FROM t WHERE id = 3', types => [701], values => [5]);
is_deeply([ @$r{qw(rows parameters)} ], [ [ ['float8'] ], [701] ], 'a typed one stays what it is');
simple('DROP FUNCTION of_two(int, int), of_two(float8, float8)');
simple(q{SET client_encoding = 'LATIN1'});
$r = extended('SELECT v FROM t WHERE v = $1 AND n = $2', types => [ $sealed_text ], values => [ 'eve', 30 ]);
is_deeply($r->{rows}, [ ['eve'] ], 'in another encoding');
simple('RESET client_encoding');
$r = extended('SELECT v FROM t WHERE v = $1 AND nosuch = $2');
is($r->{error}, '42703', 'an error is one');
is_deeply(extended('SELECT n FROM t WHERE v = $1', values => ['eve'])->{rows}, [ [30] ], 'and nothing stays of it');
simple('BEGIN');
extended('SELECT v FROM t WHERE nosuch = $1');
is(extended('SELECT v FROM t WHERE v = $1', values => ['fay'])->{error}, '25P02', 'nothing is analyzed in a transaction that failed');
simple('ROLLBACK');
is($node->safe_psql('postgres',
		q{SELECT count(*) FROM t WHERE (pgseal.inspect(v)).key = 'public.t' AND (pgseal.inspect(n)).key = 'public.t'}),
	3, 'all under the key of the table');

# ---- named statements, across the setting and DDL

ask(parse('SELECT id, v FROM t WHERE id = $1', name => 's', types => [INT4]), sync());
ask(parse('SELECT v FROM t WHERE id = 1', name => 's0'), sync());
sub run_s { return ask(bind_to(name => 's', values => [1]), describe('P'), execute(), sync()) }
is_deeply(run_s()->{rows}, [ [ 1, 'ada' ] ], 'named statement');
simple('ALTER TABLE t ADD extra int');
is_deeply(run_s()->{rows}, [ [ 1, 'ada' ] ], 'named statement after DDL');
simple('SET pgseal.transparent = off');
is(run_s()->{error}, '0A000', 'named statement after the setting: drivers prepare it again upon this');
is(ask(bind_to(name => 's0'), execute(), sync())->{error}, '0A000', 'one without parameters');
simple('RESET pgseal.transparent');
is_deeply(run_s()->{rows}, [ [ 1, 'ada' ] ], 'and back');
is_deeply(run_s()->{oids}, [ INT4, TEXT ], 'its OIDs');
simple('BEGIN; SET LOCAL pgseal.transparent = off');
is(run_s()->{error}, '0A000', 'in a transaction');
simple('ROLLBACK');
is_deeply(run_s()->{rows}, [ [ 1, 'ada' ] ], 'and after its end');
is_deeply(ask(bind_to(name => 's0'), execute(), sync())->{rows}, [ ['ada'] ], 'one without parameters, after DDL');
ask(parse('SELECT v FROM t WHERE id = $1', name => 'again', types => [INT4]), sync());
simple('ALTER TABLE t DROP extra');
is_deeply(ask(bind_to(name => 'again', values => [$_]), execute(), sync())->{rows}, [ ['ada'] ], "execution $_ after DDL")
  for (1) x 7;	# generic plan from the sixth on

# ---- what a prepared statement has told of its results, it goes on to tell

simple('ALTER TABLE t ADD extra int');
is_deeply(ask(describe('S', 's'), sync())->{oids}, [ INT4, TEXT ], 'a statement is described after DDL as before');
simple('ALTER TABLE t DROP extra');
# One without a name is replaced by what the same session says
for my $sql ('SELECT id, v FROM t WHERE id = $1', 'UPDATE t SET n = n WHERE id = $1 RETURNING id, v')
{
	ask(parse($sql, types => [INT4]), sync());
	$node->safe_psql('postgres', 'ALTER TABLE t ADD extra int; ALTER TABLE t DROP extra');
	$r = ask(describe('S'), bind_to(values => [1]), execute(), sync());
	is_deeply([ $r->{error}, $r->{oids}, $r->{rows} ], [ '', [ INT4, TEXT ], [ [ 1, 'ada' ] ] ], "one without a name, after another session's DDL: $sql");
}
simple(q{CREATE TABLE w (id int PRIMARY KEY, v varchar, n int); INSERT INTO w VALUES (1, 'x', 2); PREPARE w AS SELECT v FROM w});
my %of_w = (
	column => [ 'SELECT id, v FROM w WHERE v = $1', INT4, VARCHAR ], coalesce => [ q{SELECT coalesce(v, 'y') FROM w WHERE v = $1}, VARCHAR ],
	array => [ 'SELECT array_agg(v), max(n) FROM w WHERE v = $1', VARCHAR_ARRAY, INT4 ], distinct => [ 'SELECT DISTINCT v FROM w WHERE v = $1', VARCHAR ],
	union => [ 'SELECT v, v || v FROM w UNION ALL SELECT v, v FROM w WHERE v <> $1', VARCHAR, TEXT ], returning => [ 'UPDATE w SET n = 2 WHERE v = $1 RETURNING v', VARCHAR ]);
ask(parse($of_w{$_}[0], name => $_, types => [TEXT]), sync()) for sort keys %of_w;
my ($sql_before, %before) = (simple('EXECUTE w'), map { $_ => ask(bind_to(name => $_, values => ['x']), describe('P'), execute(), sync()) } keys %of_w);
is(simple(q{CALL pgseal.encrypt_column('w', 'v')})->{error}, '', 'a varchar column is encrypted meanwhile');
for my $name (sort keys %of_w)
{
	is_deeply(ask(bind_to(name => $name, values => ['x']), describe('P'), execute(), sync()), $before{$name}, "$name: the same, execution $_") for 1 .. 7;
	my (undef, @types) = @{ $of_w{$name} };
	is_deeply(ask(describe('S', $name), sync())->{oids}, \@types, "$name: described as before");
}
is_deeply(simple('EXECUTE w'), $sql_before, 'and what was prepared in SQL');
is_deeply(simple('SELECT v FROM w')->{oids}, [TEXT], 'a statement that comes now has the type of the encrypted column');

# ---- portals: fetching in parts, two at once

$r = ask(message('Q', "BEGIN\0"));
$r = ask(parse('SELECT id, v FROM t ORDER BY id', name => 'all'), bind_to(name => 'all', portal => 'p1'),
	bind_to(name => 'all', portal => 'p2'), describe('P', 'p1'), execute('p1', 1), execute('p2', 2), execute('p1', 1), sync());
is_deeply([ map { $_->[1] } @{ $r->{rows} } ], [qw(ada ada bob bob)], 'two portals, fetched in parts');
is_deeply($r->{tags}, [ ('suspended') x 3 ], 'suspended');
simple('COMMIT');

# ---- pipelines: an error skips to Sync, what follows works

$r = ask(parse('SELECT v FROM t WHERE id = 1'), bind_to(), execute(), parse('SELECT nosuch FROM t'), bind_to(), execute(),
	parse('SELECT v FROM t WHERE id = 2'), bind_to(), execute(), sync());
is_deeply([ $r->{rows}, $r->{error} ], [ [ ['ada'] ], '42703' ], 'pipeline stops at an error');
is_deeply(extended('SELECT v FROM t WHERE id = 2')->{rows}, [ ['bob'] ], 'and goes on after Sync');
simple(q{DO $$ BEGIN PERFORM v FROM t; RAISE EXCEPTION 'x'; END $$});
is_deeply(simple('SELECT v FROM t WHERE id = 2')->{rows}, [ ['bob'] ], 'after an error inside a statement');

# ---- SQL-level PREPARE through the extended protocol, cursors, the sealed form

extended('PREPARE sqlp (int) AS SELECT v FROM t WHERE id = $1');
is_deeply(extended('EXECUTE sqlp (1)')->{rows}, [ ['ada'] ], 'EXECUTE through the extended protocol');
is_deeply(extended('EXECUTE sqlp (1)')->{oids}, [TEXT], 'its row description');
simple('BEGIN; DECLARE c CURSOR FOR SELECT v FROM t ORDER BY id');
is_deeply(extended('FETCH c')->{rows}, [ ['ada'] ], 'FETCH');
is_deeply(extended('FETCH 2 FROM c', binary => 1)->{rows}, [ ['bob'], ['eve'] ], 'FETCH in binary');
simple('COMMIT');
simple('SET pgseal.transparent = off');
simple('SET pgseal.sealed_input = on');
$r = extended('SELECT v FROM t WHERE id = 1');
like($r->{rows}[0][0], qr/^pgseal:1:/, 'off: sealed text');
isnt($r->{oids}[0], TEXT, 'off: its own OID');
$r = extended('SELECT v FROM t WHERE id = 1', binary => 1);
like($r->{rows}[0][0], qr/^\x01\x01.{8}.{12}.{3}.{16}$/s, 'off: the envelope in binary');
my $sealed = $r->{rows}[0][0];
$r = extended('INSERT INTO t (id, v) VALUES ($1, $2)', values => [ pack('N', 6), $sealed ], binary_in => 1);
is_deeply($r->{tags}, ['INSERT 0 1'], 'and the envelope goes in again');
simple('RESET pgseal.transparent');
$r = extended('INSERT INTO t (id, v) VALUES ($1, $2)', values => [ pack('N', 7), $sealed ], binary_in => 1);
is_deeply($r->{tags}, ['INSERT 0 1'], 'in the transparent mode, too');
simple('RESET pgseal.sealed_input');
$r = extended('INSERT INTO t (id, v) VALUES ($1, $2)', values => [ pack('N', 8), $sealed ], binary_in => 1);
is($r->{error}, '22021', 'without pgseal.sealed_input, bytes are what they are to a plain column');
is_deeply(simple('SELECT v FROM t WHERE id = 7')->{rows}, [ ['ada'] ], 'as the same value');
is_deeply(simple('SELECT v FROM t WHERE id = 6')->{rows}, [ ['ada'] ], 'as the same value');

close $socket;

# ---- pgbench speaks all three, many times, from several sessions

$node->safe_psql('postgres', 'CREATE TABLE b (id int PRIMARY KEY, v encrypted_text, n encrypted_int4);
	INSERT INTO b SELECT i, i::text, i::int FROM generate_series(1, 100) i');
my $script = $PostgreSQL::Test::Utils::tmp_check . '/protocol.bench';
append_to_file($script, q{\set id random(1, 100)
SELECT v, n FROM b WHERE id = :id \gset
UPDATE b SET n = :n, v = :v::text WHERE id = :v::int RETURNING n;
});
for my $mode (qw(simple extended prepared))
{
	$node->command_ok(
		[ 'pgbench', '-n', '-M', $mode, '-c', 3, '-t', 60, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		"pgbench -M $mode");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM b WHERE v = id::text AND n = id'), 100, 'every value is what it was');

$node->stop;
done_testing();
