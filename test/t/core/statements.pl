# The SQL of README.md and docs/ as it is written there, page by page, from the first
# statement to the last, on the tables that each page speaks of; and the commands that
# restore a dump.  (Those of docs/kms are in test/t/kms.)

use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use Encode qw(encode_utf8);
use Pages;
use PostgreSQL::Test::Utils;
use SealedNode qw(write_file);
use Test::More;

my $node = SealedNode->started('statements', conf => "pgseal.worker_interval = 1\nwork_mem = 8MB");
my $customers = "CREATE TABLE customers (id int PRIMARY KEY, email text, ssn encrypted_text, salary int);
	INSERT INTO customers VALUES (1, 'ada\@example.org', '078-05-1120', 5200);";
$node->sql(q{CREATE ROLE app; CREATE ROLE custodian});

# What a page takes for granted
my %before = (
	'README.md' => '',
	'docs/sql.md' => 'CREATE EXTENSION pgseal;',
	'docs/operating.md' => q{CREATE EXTENSION pgseal; CREATE SERVER aws FOREIGN DATA WRAPPER local_keyring; SELECT pgseal.create_key('payroll');},
	'docs/keys.md' => 'CREATE EXTENSION pgseal;',
	'docs/converting.md' => "CREATE EXTENSION pgseal; $customers",
	'docs/signed-rows.md' => 'CREATE EXTENSION pgseal;',
	'docs/key-management-policy.md' => q{CREATE EXTENSION pgseal; SELECT pgseal.create_key('payroll'), pgseal.create_key('public.customers');},
	'docs/searching.md' => q{CREATE EXTENSION pgseal; CREATE TABLE customers (email encrypted_text, ssn encrypted_text);
		CREATE TABLE staff (id int, team int, email encrypted_text, salary encrypted_int4, hired encrypted_date);
		CREATE TABLE docs (id int, doc encrypted_jsonb); CREATE TABLE log (created encrypted_timestamptz, plain int);
		INSERT INTO customers VALUES ('ada@example.org', '078-05-1120');},);

# A page's statements, also those in tables, with what stands for something put in
sub statements_of
{
	my ($page) = @_;
	my $text = Pages->text($page);
	my @blocks = ($text =~ /^```sql\n(.*?)^```$/msg, $text =~ /\| `(SELECT [^`]*)` \|/g);

	s/^( {4}\w+ +encrypted_.*)\z/CREATE TABLE snippet ($1)/s foreach @blocks;
	# The digest that the statement before it has given
	s/(ledger_digest\('accounts'\));.*/$1 \\gset/ && s/'\(…\)'/:'ledger_digest'/ foreach grep { /…/ } @blocks;
	return map { s/\s*\z//r =~ s/(?<![;])\z/;/r . "\n" } @blocks;
}

my %out;
foreach my $page (sort keys %before)
{
	my $db = lc $page =~ s/\W/_/gr;
	my $file = write_file($node->basedir . "/$db.sql", encode_utf8(join("\n", statements_of($page)) =~ s/\bmydb\b/$db/gr));
	my ($out, $err);

	$node->sql("CREATE DATABASE $db");
	$node->query($db, $before{$page}) if $before{$page};
	ok($node->run_program([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', $file ], \$out, \$err), "$page: its statements") or diag($err);
	$out{$page} = $out;
}

# What they are said to do
like($out{'README.md'}, qr/^ ada\@example\.org +\| +5200$/m, 'README.md: the row comes back opened');
like($out{'README.md'}, qr/^1\tpgseal:1:/m, 'README.md: and is sealed where it lies');
like($out{'docs/keys.md'}, qr/^ +42 \| $/m, 'docs/keys.md: one person is erased');
is($node->query('docs_converting_md', 'SELECT pg_typeof(email), pg_typeof(salary) FROM customers'), 'text|encrypted_int4', 'docs/converting.md: one column is encrypted, the other back');
is(() = $out{'docs/signed-rows.md'} =~ /\bgood\b/g, 2, 'docs/signed-rows.md: the ledger is good, also by the digest');

like($node->query('docs_operating_md', "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('x'); SELECT server FROM pgseal.keys WHERE name = 'public.t'"), qr/^aws$/, 'docs/operating.md: keys that name none');
$node->fails_like('docs_keys_md', "SET pgseal.default_server = 'aws'; CREATE TABLE t (v encrypted_text)", qr/42704: server "aws" does not exist\nDETAIL:  The setting pgseal.default_server names it/, 'a server that another database has');

# Restoring in parallel, the keys first
my ($commands) = Pages->blocks('pg_dump, pg_restore, pg_dumpall', 'sh');
my $dir = $node->basedir;
my ($out, $err);
$node->run_ok([ 'pg_dump', '-Fd', '-f', "$dir/dump", 'readme_md' ], 'a dump');
$node->sql('CREATE DATABASE new');
ok($node->run_program([ 'sh', '-ec', "cd '$dir'\n$commands" ], \$out, \$err), 'docs/operating.md: restoring') or diag($err);
is($node->query('new', 'SELECT email FROM customers'), 'ada@example.org', 'docs/operating.md: it opens');

$node->stop;
done_testing();
