# A PostgreSQL::Test::Cluster node with pgseal preloaded, and a sample database
# that is recognised wherever it travels.
#
# Beside each encrypted column of the sample stands the MD5 of what was put in,
# so that "every value opens and is the right one" is one query; every plaintext
# contains the word SECRET, so that "no plaintext" is one search.

package SealedNode;

use strict;
use warnings;

use parent 'PostgreSQL::Test::Cluster';

use Digest::MD5 qw(md5_hex);
use Exporter 'import';

# Not its functions: some have the names of methods
use PostgreSQL::Test::Utils ();
use Test::More;

our @EXPORT_OK = qw(write_file);

our $SECRET = 'lingonberry';

# The word as it appears in text, in a bytea's hex digits and in base64
our $PLAINTEXT = do
{
	my $hex = unpack('H*', $SECRET);
	qr/$SECRET|$hex/i;
};

# SealedNode->started($name, ...): made, with the parameters of init, and running
sub started
{
	my ($class, $name, %params) = @_;
	my $self = $class->new($name);

	$self->init(%params);
	$self->start;
	return $self;
}

# SealedNode->from_backup($name, $node, $backup, ...): a copy of a node, running, with
# conf and the parameters of init_from_backup
sub from_backup
{
	my ($class, $name, $node, $backup, %params) = @_;
	my $conf = delete $params{conf};
	my $self = $class->new($name);

	$self->init_from_backup($node, $backup, %params);
	$self->append_conf('postgresql.conf', $conf) if defined $conf;
	$self->start;
	return $self;
}

# conf: lines for postgresql.conf; preload: other libraries than pgseal alone; the
# others are those of PostgreSQL::Test::Cluster.
sub init
{
	my ($self, %params) = @_;
	my $preload = delete $params{preload} // 'pgseal';
	my $conf = delete $params{conf} // '';

	$params{extra} = [ '--locale=C.UTF-8', '--encoding=UTF8', @{ $params{extra} // [] } ];
	$self->SUPER::init(%params);
	# 10 with streaming are too few; DROP EXTENSION locks each of its objects
	$self->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'
max_connections = 100
max_locks_per_transaction = 256
$conf");
	return;
}

# For files that the test edits: who writes to the disk would correct the checksums,
# which PostgreSQL 18 makes.  Before the first start.
sub without_checksums
{
	my ($self) = @_;
	my ($stdout, $stderr);

	$self->run_program([ 'pg_checksums', '--disable', '-D', $self->data_dir ], \$stdout, \$stderr)
	  or $stderr =~ /already disabled/
	  or die "pg_checksums: $stderr";
	return;
}

# A process of this server was killed, whose postmaster starts all of them anew.  psql is
# back before the postmaster has seen it, and meanwhile there are connections, that it
# ends; so the server is back when it says so, in the log from $offset on.
sub wait_for_restart
{
	my ($self, $offset) = @_;

	$self->wait_for_log(qr/database system is ready to accept connections/, $offset);
	return $self->poll_query_until('postgres', 'SELECT true') || die 'the server does not come back';
}

# What psql says, rows and errors, of SQL that destroys a version of a key: as soon as no
# transaction is left, of anybody's, that began before the version was retired
sub when_long_retired
{
	my ($self, $db, $sql) = @_;
	my ($ret, $out, $err);

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		($ret, $out, $err) = $self->psql($db, $sql, on_error_stop => 0);
		last if $err !~ /began before the version was retired/;
		select undef, undef, undef, 0.1;
	}
	return "$out$err";
}

# The same, and the version is destroyed
sub destroys_version
{
	my ($self, $db, $key, $number) = @_;
	my $said = $self->when_long_retired($db, "SELECT pgseal.destroy_version('$key', $number, '$key')");

	die "version $number of $key: $said" if $said ne '';
	return;
}

# By default it lies beside the data directory.
sub keyring
{
	my ($self) = @_;
	return $self->data_dir . '.keyring';
}

# $node->query($db, $sql): the rows as text, encrypted columns opened
sub query
{
	my ($self, $db, $sql) = @_;
	return $self->safe_psql($db, $sql);
}

# The same with encrypted columns as they are stored
sub sealed
{
	my ($self, $db, $sql) = @_;
	return $self->safe_psql($db, "SET pgseal.transparent = off; $sql");
}

# In the database postgres
sub sql
{
	my ($self, $sql) = @_;
	return $self->query('postgres', $sql);
}

# $node->as($role, $sql): what psql says of it in the database postgres, or another one
# (database => ...), rows and errors.  The options are those of psql().
sub as
{
	my ($self, $role, $sql, %options) = @_;
	my $database = delete $options{database} // 'postgres';
	my (undef, $stdout, $stderr) =
	  $self->psql($database, $sql, extra_params => [ '-U', $role ], on_error_stop => 0, %options);

	return "$stdout$stderr";
}

sub fails_like
{
	my ($self, $db, $sql, $expected, $name) = @_;
	my ($status, $stdout, $stderr) =
	  $self->psql($db, "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($status, 0, "$name: fails");
	like($stderr, $expected, "$name: says why");
	return;
}

# Runs a program against this node; its standard error counts as failure only
# together with its exit status.
sub run_ok
{
	my ($self, $command, $name) = @_;
	my ($stdout, $stderr) = ('', '');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $status = $self->run_program($command, \$stdout, \$stderr);
	ok($status, $name) or diag(join(' ', @$command), "\n$stdout$stderr");
	return $status;
}

sub run_program
{
	my ($self, $command, $stdout, $stderr) = @_;

	local %ENV = $self->_get_env();
	return IPC::Run::run($command, '<', \undef, '>', $stdout, '2>', $stderr);
}

# A connection string that may stand in quotes
sub connection
{
	my ($self, $db) = @_;
	return $self->connstr . " dbname=$db";
}

# The rows of the key catalog, from a database of any node to one of this node
sub copy_keys
{
	my ($self, $from, $from_db, $db) = @_;
	my ($dump, $stdout, $stderr) = ('', '', '');
	my @tables = qw(-a -t pgseal.key -t pgseal.key_version);

	IPC::Run::run([ 'pg_dump', @tables, '-d', $from->connection($from_db) ], '>', \$dump)
	  or die "pg_dump of the keys of $from_db";
	IPC::Run::run([ qw(psql -Xq -v ON_ERROR_STOP=1 -d), $self->connection($db) ],
		'<', \$dump, '>', \$stdout, '2>', \$stderr)
	  or die "keys for $db: $stderr";
	return $stderr;
}

# pg_dump of a database as text.  Seal counts go on growing: they are left out.
sub dump_text
{
	my ($self, $db, @options) = @_;
	my ($stdout, $stderr) = ('', '');

	$self->run_program([ 'pg_dump', @options, $db ], \$stdout, \$stderr)
	  or die "pg_dump @options $db: $stderr";
	$stdout =~ s/^\\(un)?restrict .*\n//mg;
	$stdout =~ s/^((?:[^\t\n]+\t){7}\\\\x[0-9a-f]+\t)\d+/${1}SEALS/mg;
	return $stdout;
}

# Encrypted columns in every kind of place that survives a journey.  Schema app
# sorts before schema pgseal, schema public after it.
sub make_sample
{
	my ($self, $db) = @_;

	$self->safe_psql('postgres', "CREATE DATABASE $db");
	$self->safe_psql($db, <<"EOSQL");
		CREATE EXTENSION pgseal;
		CREATE SCHEMA app;
		CREATE TABLE app.people (
			id     int PRIMARY KEY,
			name   encrypted_text,
			name_md5 text,
			photo  encrypted_bytea,
			photo_md5 text,
			age    encrypted_int4('payroll'),
			age_md5 text,
			title  encrypted_text DEFAULT '$SECRET by default');
		INSERT INTO app.people (id, name, name_md5, photo, photo_md5, age, age_md5)
			SELECT i, n, md5(n), p, md5(p), i, md5(i::text)
			FROM generate_series(1, 200) i,
				LATERAL (SELECT '$SECRET ' || i || chr(300 + i) AS n,
					convert_to('$SECRET ' || i, 'UTF8') AS p) x;
		INSERT INTO app.people VALUES
			(201, '', md5(''), '', md5(''::bytea), NULL, NULL, NULL),
			(202, NULL, NULL, NULL, NULL, -1, md5('-1'), NULL),
			(203, repeat('$SECRET ', 5000), md5(repeat('$SECRET ', 5000)), NULL, NULL, 0, md5('0'), ''),
			(204, E'$SECRET\\t\\\\N\\n"', md5(E'$SECRET\\t\\\\N\\n"'), NULL, NULL, 0, md5('0'), '');
		SELECT pgseal.rotate_key('payroll');
		UPDATE app.people SET age = id + 1000, age_md5 = md5((id + 1000)::text) WHERE id <= 100;
		CREATE INDEX people_name ON app.people USING hash (name);
		CREATE INDEX people_age ON app.people USING hash (age);

		SELECT pgseal.create_key('tenant:1');
		SELECT pgseal.create_key('tenant:2');
		CREATE TABLE tenants (id int PRIMARY KEY, v encrypted_text('*'), v_md5 text);
		INSERT INTO tenants
			SELECT i, pgseal.seal('$SECRET ' || i, 'tenant:' || 1 + i % 2), md5('$SECRET ' || i)
			FROM generate_series(1, 20) i;

		CREATE DOMAIN secret AS encrypted_text('domain key');
		CREATE TABLE mixed (id int PRIMARY KEY, d secret, d_md5 text,
			tags encrypted_text[], tags_md5 text);
		INSERT INTO mixed VALUES
			(1, '$SECRET d', md5('$SECRET d'), ARRAY['$SECRET a', NULL, ''],
			 md5(ARRAY['$SECRET a', NULL, '']::text)),
			(2, NULL, NULL, '{}', md5('{}'));

		CREATE TABLE parts (id int, v encrypted_text, v_md5 text) PARTITION BY RANGE (id);
		CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (-10) TO (10);
		CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20);
		CREATE UNIQUE INDEX ON parts_low (id);
		CREATE UNIQUE INDEX ON parts_high (id);
		INSERT INTO parts SELECT i, '$SECRET ' || i, md5('$SECRET ' || i)
			FROM generate_series(0, 19) i;

		CREATE VIEW grown_up AS SELECT id, name FROM app.people WHERE age > 18;
		CREATE VIEW who AS SELECT id FROM app.people WHERE title = '$SECRET by default';
		CREATE MATERIALIZED VIEW names AS SELECT id, name, name_md5 FROM app.people;
EOSQL

	# Rows that the worker still re-encrypts would not be the same twice
	$self->poll_query_until($db, 'SELECT count(*) = 0 FROM pgseal_internal.rotation')
	  or die 'the rotation of payroll does not end';
	return;
}

# What must be the same before and after a journey: one line a fact
sub fingerprint
{
	my ($self, $db) = @_;
	# COPY of a table gives the sealed form; a partitioned one has it in its parts
	my $rows = join '', map {
		my $name = $_;
		my $sql = $name eq 'parts' ? "COPY (SELECT * FROM $name ORDER BY id) TO STDOUT" : "COPY $name TO STDOUT";
		my @lines = sort split /\n/, $self->sealed($db, $sql);
		"rows|$name|" . scalar(@lines) . '|' . md5_hex(join("\n", @lines)) . "\n"
	} qw(app.people tenants mixed parts);

	return $rows . $self->sealed($db, <<"EOSQL");
		SELECT 'key', name, name_hash, server, parent, created FROM pgseal.key ORDER BY name;
		SELECT 'version', id, key, number, purpose, server, master_key, wrapped, created
			FROM pgseal.key_version ORDER BY id;
		SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod)
			FROM pg_attribute JOIN pg_type t ON t.oid = atttypid JOIN pg_class c ON c.oid = attrelid
			WHERE format_type(atttypid, -1) ~ 'encrypted|secret' AND c.relkind <> 'i'
				AND c.relnamespace <> 'pgseal'::regnamespace
			ORDER BY attrelid::regclass::text, attname;
EOSQL
}

# How many sample values open, how many are right (or NULL, as they were), all.
# $SealedNode::OPENED is what it must be.
our $OPENED = '853|860|860';

sub opened
{
	my ($self, $db) = @_;
	my @columns = (
		[ 'app.people', 'name', 'text' ],
		[ 'app.people', 'photo', 'bytea' ],
		[ 'app.people', 'age', 'int4::text' ],
		[ 'tenants', 'v', 'text' ],
		[ 'mixed', 'd', 'text' ],
		[ 'mixed', 'tags', 'text[]::text' ],
		[ 'parts', 'v', 'text' ],
		[ 'names', 'name', 'text' ]);
	my $pairs = join(' UNION ALL ', map {
		my ($table, $column, $base) = @$_;
		"SELECT md5(${column}::$base) AS got, ${column}_md5 AS wanted FROM $table"
	} @columns);

	return $self->query($db, <<"EOSQL");
		SELECT count(got), count(*) FILTER (WHERE got IS NOT DISTINCT FROM wanted), count(*)
		FROM ($pairs) x
EOSQL
}

# Who reads the file meanwhile sees what it was, or what it is.  Returns its path.
sub write_file
{
	my ($path, $content) = @_;

	open(my $fh, '>:raw', "$path.new") or die "open $path.new: $!";
	chmod 0600, "$path.new";
	print $fh $content;
	close($fh) or die "close $path.new: $!";
	rename("$path.new", $path) or die "rename $path: $!";
	return $path;
}

1;
