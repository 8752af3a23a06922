# docs/reference.md has every function, view, column of a view, event and setting
# that there is, and nothing else.  Units, defaults, ranges and who may set a
# setting are those of pg_settings.

use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use File::Find qw(find);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use Pages;
use SealedNode;
use Test::More;

my $page = 'docs/reference.md';
my $text = Pages->text($page);
my $top = File::Spec->rel2abs(dirname(__FILE__)) . '/../../..';

my $node = SealedNode->started('reference');
$node->sql('CREATE EXTENSION pgseal');

sub unique { my %seen; return sort grep { !$seen{$_}++ } @_; }

# What the server has and the page has not, and the other way round
sub compare
{
	my ($what, $server, $told) = @_;
	my %server = map { $_ => 1 } @$server;
	my %told = map { $_ => 1 } @$told;
	is(join(', ', grep { !$told{$_} } sort keys %server), '', "$what: all are in $page");
	is(join(', ', grep { !$server{$_} } sort keys %told), '', "$what: all that $page has are there");
	return;
}

# The first cells of the tables of a section
sub cells
{
	my ($section) = @_;
	return map { /^\| ([^|]*?) \|/ ? $1 : () } grep { !/^\|-/ } split /\n/, $section;
}

# ---- functions

my $functions = Pages->section('Functions');
my $of_extension = q(JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');
compare('functions',
	[ split /\n/, $node->sql("SELECT DISTINCT p.proname FROM pg_proc p $of_extension WHERE p.pronamespace = 'pgseal'::regnamespace") ],
	[ unique($functions =~ /^\| `(?:CALL )?pgseal\.(\w+)\(/mg) ]);

foreach my $told ($functions =~ /^\| `(?:CALL )?(pgseal\.\w+\([^`]*\))/mg)
{
	my ($name, $arguments) = $told =~ /^pgseal\.(\w+)\((.*)\)$/;
	next if $arguments =~ /\bvalue\b/;    # of any type
	my $real = $node->sql(qq(SELECT string_agg(a.name, ', ' ORDER BY a.n) FROM pg_proc p,
		unnest(p.proargnames) WITH ORDINALITY a(name, n)
		WHERE p.proname = '$name' AND p.pronamespace = 'pgseal'::regnamespace AND a.n <= p.pronargs));
	is(join(', ', map { s/^"?(\w+)"?.*/$1/r } split /, /, $arguments), $real, "$name: arguments");
}

# ---- views and tables

my $views = Pages->section('Views');
compare('views', [ split /\n/, $node->sql("SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'pgseal'::regnamespace") ],
	[ $views =~ /^### `pgseal\.(\w+)`/mg ]);
foreach my $view ($views =~ /^### `pgseal\.(\w+)`/mg)
{
	my @cells = map { /`(\w+)`/g } cells(Pages->section("`pgseal.$view`"));
	compare("columns of $view",
		[ split /\n/, $node->sql("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('pgseal.$view') AND attnum > 0") ], \@cells);
}
compare('tables', [ split /\n/, $node->sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pgseal'::regnamespace") ],
	[ Pages->section('Tables') =~ /`pgseal\.(\w+)`/g ]);

# ---- events, by the source

my %source;
find({ no_chdir => 1, wanted => sub {
	return unless /\.c$/;
	open my $fh, '<', $_ or die "open $_: $!";
	local $/;
	$source{$_} = <$fh>;
} }, "$top/src");
my $all = join "\n", map { s{/\*.*?\*/}{}gsr } values %source;
my @calls = $all =~ /\b(?:pgseal_catalog_event|pgseal_convert_report)\(([^;]*);/g;
compare('events', [ unique(map { /"([a-z]+(?:_[a-z]+)+)"/g } @calls) ],
	[ map { /`(\w+)`/g } cells((split /In the log only/, Pages->section('Events'))[0]) ]);
compare('events of the log', [ unique($all =~ /"pgseal: event=(\w+)/g) ],
	[ map { /`(\w+)`/g } cells((split /In the log only/, Pages->section('Events'))[1]) ]);

# ---- settings

my %who = (user => 'anyone', superuser => 'superuser', sighup => 'reload', postmaster => 'restart');
my %told = map { /^\| `(pgseal\.\w+)` \| (.*?) ?\| (.*?) \| (.*?) \|/ ? ($1 => [ $2, $3, $4 ]) : () } split /\n/, Pages->section('Settings');
my @settings = split /\n/, $node->sql("SELECT name FROM pg_settings WHERE name LIKE 'pgseal.%'");
compare('settings', \@settings, [ keys %told ]);
foreach my $setting (grep { $told{$_} } @settings)
{
	my ($unit, $default, $who) = @{ $told{$setting} };
	my ($server_unit, $context, $boot, $min, $max, $type) = split /\|/, $node->sql("SELECT unit, context, boot_val, min_val, max_val, vartype FROM pg_settings WHERE name = '$setting'"), -1;
	is($who, $who{$context}, "$setting: who may set it");
	is($unit, $server_unit, "$setting: unit") if $server_unit ne '';
	is($default, $type eq 'integer' ? "$boot ($min – $max)" : $boot, "$setting: default and range") if $boot ne '';
}

$node->stop;

# ---- options of the KMS, but for those that are refused as they would hold a secret

my %shares = (aws => 'AWS', azure => 'Azure', gcp => 'Google', kmip => '', vault => 'Vault', local => '');
is(join(' ', sort keys %shares), join(' ', map { s{.*/|\.md$}{}gr } sort(glob "$top/docs/kms/*.md")), 'each KMS has a page');
my ($shared) = Pages->text('docs/operating.md') =~ /^AWS, Vault, Azure and Google take (.*)/m;
for my $provider (sort keys %shares)
{
	open(my $fh, '<', "$top/src/kms/$provider.c") or die "open $provider.c: $!";
	my ($options) = join('', <$fh>) =~ /PgsealKmsOption options\[\] = \{(.*?)\n\};/s;
	my $told = Pages->text("docs/kms/$provider.md");
	my @untold = grep { $told !~ /\b$_\b/ } $options =~ /\{"(\w+)", (?:true|false)(?:, NULL|\})/g;

	is("@untold", '', "docs/kms/$provider.md: options");
	is($options =~ /PGSEAL_REMOTE_OPTIONS/ ? 'shared' : '', $shares{$provider} ? 'shared' : '', "docs/operating.md: those that $provider shares");
}
open(my $remote, '<', "$top/src/kms/remote.h") or die "open remote.h: $!";
compare('options that providers share', [ join('', <$remote>) =~ /^\t\{"(\w+)", false, NULL/mg ], [ $shared =~ /`(\w+)`/g ]);

done_testing();
