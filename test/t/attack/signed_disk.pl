# Somebody who writes to the disk: files of a server that is down are edited, so
# that no trigger, lock or WAL knows of it.  What signatures can't see, the ledger
# does; what a ledger that was put back can't see, a digest does.

use strict;
use warnings;

use File::Copy qw(copy);
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = SealedNode->new('signed_disk');
$node->init;
$node->without_checksums;
$node->append_conf('postgresql.conf', "autovacuum = off\npgseal.worker_interval = 3600");
$node->start;
$node->query('postgres', 'CREATE DATABASE twin');
for my $db ('postgres', 'twin')
{
	$node->query($db, <<'EOSQL');
		CREATE EXTENSION pgseal;
		CREATE TABLE accounts (id int PRIMARY KEY, owner text, iban encrypted_text('bank'), bic encrypted_text('bank'), note text);
		CREATE TABLE archive (id int PRIMARY KEY, owner text, iban encrypted_text('bank'), bic encrypted_text('bank'), note text);
		SELECT pgseal.sign_table('accounts', columns => '{id,owner,iban,bic}', key => 'bank', ledger => true);
		SELECT pgseal.sign_table('archive', columns => '{id,owner,iban,bic}', key => 'bank');
		INSERT INTO accounts SELECT i, 'owner ' || i, 'IBAN' || i, 'BICX' || i, 'note' FROM generate_series(10, 29) i;
		INSERT INTO archive SELECT i, 'owner ' || i, 'IBAN' || i, 'BICX' || i, 'note' FROM generate_series(10, 29) i;
EOSQL
}

my $STATE = q{SELECT coalesce((SELECT string_agg(key || ' ' || reason, ', ' ORDER BY key) FROM pgseal.tampered_rows('accounts')), 'all verify')
	|| '; ' || ledger_status FROM pgseal.verify_table('accounts', ledger => true) WHERE ledger_status IS NOT NULL};
sub state { return $node->query('postgres', $STATE); }
is(state(), 'all verify; good', 'before');

#
# Files
#

sub path
{
	my ($table, $db) = @_;
	return $node->data_dir . '/' . $node->query($db // 'postgres', "SELECT pg_relation_filepath('$table')");
}
my $file = path('accounts');
my %place = map { split /\|/ } split /\n/, $node->query('postgres', 'SELECT id, ctid FROM accounts');

# Where the row is in the file: begin and length
sub row_at
{
	my ($bytes, $ctid) = @_;
	my ($block, $item) = $ctid =~ /\((\d+),(\d+)\)/;
	my $page = $block * 8192;
	my $pointer = unpack('L<', substr($bytes, $page + 24 + 4 * ($item - 1), 4));

	return ($page + ($pointer & 0x7fff), $pointer >> 17);
}

sub spew
{
	my ($path, $bytes) = @_;
	open my $fh, '+<:raw', $path or die "could not open $path: $!\n";
	truncate $fh, 0;
	print $fh $bytes;
	close $fh or die "could not write $path: $!\n";
	return;
}

# Edits the file of a table while the server is down, and looks; then takes it back
sub edited
{
	my ($name, $edit, $expected, $query) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->stop;
	my $before = slurp_file($file);
	my $bytes = $before;
	$edit->(\$bytes);
	isnt($bytes, $before, "$name: was edited");
	spew($file, $bytes);
	$node->start;
	is(state(), $expected, $name);
	$node->fails_like('postgres', $query, qr/XX001: row \(id\)=\(\d+\) of table public\.accounts does not verify/, "$name: on read") if $query;
	$node->stop;
	spew($file, $before);
	$node->start;
	return;
}

# Puts bytes in the place of others of the same length, once
sub put
{
	my ($bytes, $from, $to) = @_;
	my $at = index($$bytes, $from);

	die "not there\n" if $at < 0 || length($from) != length($to);
	substr($$bytes, $at, length $from) = $to;
	return $at;
}

sub values_of
{
	my ($db, $sql) = @_;
	return map { decode_base64(s/^pg(?:seal|sig):1://r) } split /\||\n/, $node->sealed($db, $sql);
}

edited('a plain column', sub { put($_[0], 'owner 11', 'mallory!') }, '(id)=(11) forged; good', 'SELECT * FROM accounts WHERE id = 11');
edited('a plain column that is not signed', sub { put($_[0], 'note', 'NOTE') }, 'all verify; good');

my ($iban12, $bic12) = values_of('postgres', 'SELECT iban, bic FROM accounts WHERE id = 12');
my ($iban13) = values_of('postgres', 'SELECT iban FROM accounts WHERE id = 13');
my ($iban12_of_archive) = values_of('postgres', 'SELECT iban FROM archive WHERE id = 12');
my ($iban12_of_twin) = values_of('twin', 'SELECT iban FROM accounts WHERE id = 12');
edited('the values of two columns change places', sub {
	my ($bytes) = @_;
	put($bytes, $iban12, '?' x length $iban12);
	put($bytes, $bic12, $iban12);
	put($bytes, '?' x length $iban12, $bic12);
}, '(id)=(12) forged; good', 'SELECT iban FROM accounts WHERE id = 12');
edited('a value of another row', sub { put($_[0], $iban12, $iban13) }, '(id)=(12) forged; good', 'SELECT iban FROM accounts WHERE id = 12');
edited('a value of the same row of another table', sub { put($_[0], $iban12, $iban12_of_archive) }, '(id)=(12) forged; good', 'SELECT 1 FROM accounts WHERE id = 12');
edited('a value of another database', sub { put($_[0], $iban12, $iban12_of_twin) }, '(id)=(12) forged; good', 'UPDATE accounts SET note = note WHERE id = 12');

my ($sig12, $sig13) = values_of('postgres', 'SELECT signature FROM accounts WHERE id IN (12, 13) ORDER BY id');
edited('the signature of another row', sub { put($_[0], $sig12, $sig13) },
	'(id)=(12) forged; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');
edited('a signature of zeros', sub { put($_[0], $sig12, substr($sig12, 0, 18) . "\0" x 16) },
	'(id)=(12) forged; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');
edited('another counter', sub { put($_[0], $sig12, substr($sig12, 0, 17) . "\x05" . substr($sig12, 18)) },
	'(id)=(12) forged; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');
edited('another definition', sub { put($_[0], $sig12, substr($sig12, 0, 9) . "\x02" . substr($sig12, 10)) },
	'(id)=(12) old definition; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');
edited('a key version that is not there', sub { put($_[0], $sig12, "\x01" . 'EVILEVIL' . substr($sig12, 9)) },
	'(id)=(12) forged; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');
edited('another format', sub { put($_[0], $sig12, "\x02" . substr($sig12, 1)) },
	'(id)=(12) forged; it has 20 rows, not these', 'SELECT * FROM accounts WHERE id = 12');

# Whole rows of another table, and of another database: tuples that are as long
sub foreign_row
{
	my ($table, $db) = @_;
	my $ctid = $node->query($db, "SELECT ctid FROM $table WHERE id = 12");
	my $path = path($table, $db);
	$node->query($db, 'CHECKPOINT');
	my $bytes = slurp_file($path);
	my ($at, $length) = row_at($bytes, $ctid);
	return substr($bytes, $at, $length);
}
for my $from ([ 'archive', 'postgres', 'another table', 'other table' ], [ 'accounts', 'twin', 'another database', 'forged' ])
{
	my $row = foreign_row(@$from[0, 1]);
	edited("a whole row of $from->[2]", sub {
		my ($bytes) = @_;
		my ($at, $length) = row_at($$bytes, $place{12});
		die "not as long\n" if $length != length $row;
		# But for the header, which says who may see it
		substr($$bytes, $at + 23, $length - 23) = substr($row, 23);
	}, "(id)=(12) $from->[3]; it has 20 rows, not these", 'SELECT * FROM accounts WHERE id = 12');
}

# A row that is gone: its line pointer is one of no row
sub kill_row
{
	my ($bytes, $ctid) = @_;
	my ($block, $item) = $ctid =~ /\((\d+),(\d+)\)/;
	substr($$bytes, $block * 8192 + 24 + 4 * ($item - 1), 4) = pack('L<', 3 << 15);
	return;
}
edited('a deleted row', sub { kill_row($_[0], $place{14}) }, 'all verify; it has 20 rows, not these');

#
# Old rows: each state was good once
#

$node->stop;
my $then = slurp_file($file);
$node->start;
$node->query('postgres', q{UPDATE accounts SET owner = 'changed' WHERE id = 15; VACUUM accounts; CHECKPOINT});
is(state(), 'all verify; good', 'a row was changed');
my $newer_place = $node->query('postgres', 'SELECT ctid FROM accounts WHERE id = 15');
edited('an old row is put back in the place of the newer one', sub {
	my ($bytes) = @_;
	my ($old_at, $old_length) = row_at($then, $place{15});
	my ($at, $length) = row_at($$bytes, $newer_place);
	my $page = int($at / 8192) * 8192;
	my ($item) = $newer_place =~ /,(\d+)\)/;

	# The old one's data, padded to 8 bytes as the newer one's place is
	die "does not fit\n" if $old_length > (($length + 7) & ~7);
	substr($$bytes, $at + 23, $old_length - 23) = substr($then, $old_at + 23, $old_length - 23);
	substr($$bytes, $page + 24 + 4 * ($item - 1), 4) = pack('L<', ($at - $page) | (1 << 15) | ($old_length << 17));
}, 'all verify; it has 20 rows, not these');

# A deleted row comes back
$node->query('postgres', 'DELETE FROM accounts WHERE id = 16');
$node->query('postgres', 'CHECKPOINT');
edited('a deleted row comes back', sub {
	my ($bytes) = @_;
	my ($at) = row_at($$bytes, $place{16});
	# No xmax: HEAP_XMAX_INVALID instead of what is known of it
	my $mask = unpack('S<', substr($$bytes, $at + 20, 2));
	substr($$bytes, $at + 20, 2) = pack('S<', ($mask | 0x0800) & ~0x0400);
}, 'all verify; it has 19 rows, not these');

#
# The ledger and the table as they were
#

my $ledger_file = path('pgseal.ledger');
my @indexes = map { path($_) } 'accounts_pkey', 'pgseal.ledger_pkey', 'pgseal.ledger_key_version_id_idx';
my $digest = $node->query('postgres', q{SELECT pgseal.ledger_digest('accounts')});
my $SINCE = q{SELECT ledger_status FROM pgseal.verify_table('accounts', digest => '%s') WHERE ledger_status IS NOT NULL};
$node->query('postgres', 'VACUUM FREEZE accounts; VACUUM FREEZE pgseal.ledger');
$node->stop;
copy($_, "$_.then") for $file, $ledger_file, @indexes;
$node->start;
$node->query('postgres', q{UPDATE accounts SET owner = 'changed' WHERE id = 17});
my $newer = $node->query('postgres', q{SELECT pgseal.ledger_digest('accounts')});
$node->query('postgres', 'VACUUM FREEZE accounts; VACUUM FREEZE pgseal.ledger');
$node->stop;
copy($_, "$_.now") for $file, $ledger_file, @indexes;
spew($_, slurp_file("$_.then")) for $file, $indexes[0];
unlink map { ("${_}_vm", "${_}_fsm") } $file, $ledger_file;
$node->start;
is(state(), 'all verify; it has 19 rows, not these', 'the whole table as it was');
$node->stop;
spew($_, slurp_file("$_.then")) for $ledger_file, @indexes[1, 2];
$node->start;
is(state(), 'all verify; good', 'with its ledger: nothing in the server can tell');
is($node->query('postgres', sprintf($SINCE, $digest)), 'good', 'nor can a digest from before');
is($node->query('postgres', sprintf($SINCE, $newer)), 'it is older than the digest', 'one from after does');
$node->stop;
spew($_, slurp_file("$_.now")) for $file, $ledger_file, @indexes;
$node->start;
is(state() . ', ' . $node->query('postgres', sprintf($SINCE, $newer)), 'all verify; good, good', 'as it is now');

#
# The ledger's records
#

$node->query('postgres', 'ALTER TABLE pgseal.ledger DISABLE TRIGGER guard');
# While this transaction has the ledger, nobody folds what comes
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT pgseal.ledger_digest('accounts')});
$node->query('postgres', q{INSERT INTO accounts (id, owner) VALUES (40, 'new')});
$node->query('postgres', q{INSERT INTO accounts (id, owner) VALUES (41, 'new')});
is(state(), 'all verify; good', 'two more rows');
sub tampered
{
	my ($name, $sql, $expected) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is((split /\n/, $node->query('postgres', 
				"BEGIN; CREATE TEMP TABLE l AS SELECT * FROM pgseal.ledger; $sql; $STATE; ROLLBACK"))[-1], "all verify; $expected", $name);
	return;
}
my $LAST = q{kind = 'c' AND xmin::text::int8 = (SELECT max(xmin::text::int8) FROM pgseal.ledger WHERE kind = 'c')};
my $REMOVE = 'ALTER TABLE accounts DISABLE TRIGGER USER; DELETE FROM accounts WHERE id = 41';
my $FLIP = 'record = set_byte(record, 30, get_byte(record, 30) # 1)';
tampered('a record is removed', "DELETE FROM pgseal.ledger WHERE $LAST", 'it has 20 rows, not these');
tampered('a record has another number', "UPDATE pgseal.ledger SET number = number - 1 WHERE $LAST", 'its records do not verify');
tampered('a record is of another kind', "UPDATE pgseal.ledger SET kind = 'd' WHERE $LAST", 'its records do not verify');
tampered('a record is changed', "UPDATE pgseal.ledger SET $FLIP WHERE $LAST", 'its records do not verify');
tampered('a record twice', "INSERT INTO pgseal.ledger SELECT ledger, kind, number - 1, key_version_id, record FROM pgseal.ledger WHERE $LAST", 'its records do not verify');
tampered('a record of another ledger',
	"INSERT INTO pgseal.ledger SELECT ledger, 'c', 1, key_version_id, record FROM pgseal.ledger WHERE kind = 't'", 'its records do not verify');
tampered('nonsense', "INSERT INTO pgseal.ledger SELECT ledger, 'c', 1, NULL, 'x' FROM pgseal.ledger WHERE kind = 't'", 'its records do not verify');
tampered('a transaction with its record', "DELETE FROM pgseal.ledger WHERE $LAST; $REMOVE", 'good');
$node->query('postgres', "CREATE TABLE records AS SELECT * FROM pgseal.ledger WHERE $LAST");
$holder->query_safe('ROLLBACK');
$holder->quit;

$digest = $node->query('postgres', q{SELECT pgseal.ledger_digest('accounts')});
is(state() . ', ' . $node->query('postgres', sprintf($SINCE, $digest)), 'all verify; good, good', 'records were added to the total');
tampered('then no transaction can be taken back', $REMOVE, 'it has 21 rows, not these');
tampered('nor put back', 'INSERT INTO pgseal.ledger SELECT * FROM records', 'its records do not verify');
tampered('without a total', q{DELETE FROM pgseal.ledger WHERE kind = 't'}, 'it is missing');
tampered('another total', "UPDATE pgseal.ledger SET $FLIP WHERE kind = 't'", 'its records do not verify');
tampered('a total in another place', q{UPDATE pgseal.ledger SET number = 1 WHERE kind = 't'}, 'its records do not verify');
tampered('a digest is taken away', q{DELETE FROM pgseal.ledger WHERE kind = 'd' AND number = 1}, 'its records do not verify');
tampered('a digest is changed', "UPDATE pgseal.ledger SET $FLIP WHERE kind = 'd' AND number = 1", 'its records do not verify');
# Nor does the ledger of the other database, with the same name
my $twins = $node->query('twin', q{SELECT ledger FROM pgseal.ledger WHERE kind = 't'});
isnt($node->query('postgres', q{SELECT ledger FROM pgseal.ledger WHERE kind = 't'}), $twins, 'each has a ledger of its own');

$node->stop;
done_testing();
