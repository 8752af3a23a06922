# ORMs and their schema tools, with columns declared as docs/clients.md says:
# SQLAlchemy and Alembic, Django; Sequelize, Knex, Drizzle and TypeORM.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my ($cache, $why);
if (!IPC::Run::run([ 'sh', "$FindBin::Bin/../../drivers/setup_orms.sh" ], '>', \$cache, '2>', \$why))
{
	die "setup_orms.sh failed: $why" if $? >> 8 != 77;
	plan skip_all => 'ORMs cannot be installed: ' . $why =~ s/\s+/ /gr;
}
chomp $cache;
$ENV{NODE_PATH} = "$cache/node_modules";

my $node = SealedNode->started('orms');
$node->safe_psql('postgres', 'CREATE EXTENSION pgseal');
my @database = ($node->host, $node->port, $node->safe_psql('postgres', 'SELECT current_user'), 'postgres');

sub output_of
{
	my ($name, @command) = @_;
	my ($stdout, $stderr) = ('', '');
	my $ok = IPC::Run::run([ @command, @database ], '>', \$stdout, '2>', \$stderr,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	ok($ok, "$name runs") or diag($stderr);
	return $stdout;
}

is(output_of('SQLAlchemy', "$cache/python/bin/python", "$FindBin::Bin/../../drivers/orm_sqlalchemy.py"), <<'EOF2', 'SQLAlchemy and Alembic');
lookup [(1, 'a@x', Decimal('1.50'))]
sum 1.50
in [1]
like [1]
unique person_email Key (email) already exists.
upsert [(1,)]
reflected [('id', None), ('email', 'public.person'), ('salary', 'public.person')]
alembic []
EOF2

is(output_of('Django', "$cache/python/bin/python", "$FindBin::Bin/../../drivers/orm_django.py"), <<'EOF2', 'Django');
lookup [('a', Decimal('1.50'), {'k': [1, 2]}, datetime.date(2000, 1, 31))]
filters 1 1 1 1 2 b
sum {'salary__sum': Decimal('1.50')}
unique duplicate key value violates unique constraint "django_email" DETAIL:  Key (email) already exists.
update b!
inspectdb ['models.TextField', 'models.DecimalField', 'models.JSONField', 'models.DateField']
EOF2

is(output_of('Node', 'node', "$FindBin::Bin/../../drivers/orms.js"), <<'EOF2', 'Sequelize, Knex, Drizzle, TypeORM');
sequelize lookup [{"id":1,"email":"a","n":5}]
sequelize sum "11" 2
sequelize unique "SequelizeUniqueConstraintError" "Key (email) already exists."
sequelize alter [{"t":"encrypted_text('public.person_sequelize')"}]
knex lookup [{"id":1,"email":"a","n":1}] [{"sum":"3"}]
knex upsert [{"id":1,"email":"a","n":8}]
drizzle lookup [{"id":1,"email":"a","n":1}] [{"id":2,"email":"b","n":2}]
drizzle upsert [{"id":1,"email":"a","n":9}]
typeorm [{"id":3,"email":"a","n":5}] 7
typeorm synchronize ["ALTER TABLE \"person_typeorm\" DROP COLUMN \"email\""]
EOF2

foreach my $table (qw(person person_django person_sequelize person_knex person_drizzle person_typeorm))
{
	is($node->safe_psql('postgres', "SET pgseal.transparent = off; SELECT count(*) FROM $table WHERE pgseal_internal.encrypted_text_out(email)::text NOT LIKE 'pgseal:1:%'"),
		0, "$table: everything is sealed");
}

$node->stop;
done_testing();
