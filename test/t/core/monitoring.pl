# deploy/prometheus: the queries of both exporters are the same, and run with the
# rights of pg_monitor alone; the alert rules and the dashboard ask for metrics that
# these give, and the rules do what their tests say (promtool).

use strict;
use warnings;

use CPAN::Meta::YAML;
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $top = "$FindBin::Bin/../../..";
my $files = "$top/deploy/prometheus";
sub yaml { return CPAN::Meta::YAML->read_string(slurp_file("$files/$_[0]"))->[0]; }

my $node = SealedNode->started('monitoring');
$node->query('postgres', "
	CREATE EXTENSION pgseal;
	CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
	CREATE TABLE t (v encrypted_text, w encrypted_int4('pay'));
	INSERT INTO t VALUES ('x', 1);
	INSERT INTO pgseal.policy VALUES ('data_key_age', '%', '1 month'), ('seals', 'pay', '2000')");

# ---- what the queries give

my $queries = yaml('postgres_exporter.yml');
my (%metrics, %labels);
for my $name (sort keys %$queries)
{
	my %usage = map { %$_ } @{ $queries->{$name}{metrics} };
	my $sql = $queries->{$name}{query};
	my $rows = $node->safe_psql('postgres', "SELECT json_agg(q) FROM ($sql) q", connstr => $node->connstr('postgres') . ' user=exporter');
	my @labels = sort grep { $usage{$_}{usage} eq 'LABEL' } keys %usage;
	ok(!(grep { $_ eq 'server' } @labels), "$name: leaves the label server to the exporter");
	$node->query('postgres', "CREATE VIEW $name AS $sql");
	is($node->query('postgres', "SELECT string_agg(attname, ' ' ORDER BY attname COLLATE \"C\") FROM pg_attribute WHERE attrelid = '$name'::regclass"),
		join(' ', sort keys %usage), "$name: its columns");
	isnt($rows, '', "$name: has rows") unless $name eq 'pgseal_reencrypt';
	my %seen;
	for my $row (@{ decode_json($rows || '[]') })
	{
		$seen{ join '|', map { $row->{$_} } @labels }++;
		like($row->{$_}, qr/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i, "$name.$_: a number") for grep { $usage{$_}{usage} ne 'LABEL' } keys %usage;
	}
	is(join(', ', grep { $seen{$_} > 1 } keys %seen), '', "$name: no labels twice");
	for my $column (grep { $usage{$_}{usage} ne 'LABEL' } keys %usage)
	{
		$metrics{"${name}_$column"} = 1;
		$labels{"${name}_$column"} = { map { $_ => 1 } @labels };
	}
}

# ---- the other exporter

my $collector = yaml('pgseal.collector.yml');
is_deeply({ map { $_->{query_name} => $_->{query} } @{ $collector->{queries} } }, { map { $_ => $queries->{$_}{query} } keys %$queries }, 'sql_exporter: the same queries');
is_deeply([ sort map { $_->{metric_name} } @{ $collector->{metrics} } ], [ sort keys %metrics ], 'the same metrics');
is_deeply({ map { $_->{metric_name} => [ sort @{ $_->{key_labels} } ] } @{ $collector->{metrics} } },
	{ map { $_ => [ sort keys %{ $labels{$_} } ] } keys %labels }, 'with the same labels');

# ---- who asks for what

sub unknown
{
	return join ', ', grep { !$metrics{$_} } $_[0] =~ /\b(pgseal_\w+)/g;
}

for my $rule (@{ yaml('alerts.yml')->{groups}[0]{rules} })
{
	is(unknown($rule->{expr}), '', "alert $rule->{alert}: its metrics exist");
	like($rule->{expr}, qr/pgseal_/, 'and it has some');
	my ($metric) = $rule->{expr} =~ /\b(pgseal_\w+)/;
	is(join(' ', grep { !$labels{$metric}{$_} } join(' ', %{ $rule->{annotations} }) =~ /\$labels\.(\w+)/g), '', 'so do its labels');
	for my $status ($rule->{expr} =~ /status=~?"([\w|]+)"/)
	{
		unlike(slurp_file("$top/sql/install/68_health.sql"), qr/^(?!.*'$_')/s, "status $_ exists") for grep { !/^(refused|invalid|unreachable|untouchable)$/ } split /\|/, $status;
	}
}
my $dashboard = decode_json(slurp_file("$files/grafana.json"));
for my $panel (@{ $dashboard->{panels} })
{
	for my $target (@{ $panel->{targets} })
	{
		is(unknown($target->{expr}), '', "panel $panel->{title}: its metrics exist");
		my ($metric) = $target->{expr} =~ /\b(pgseal_\w+)/;
		is(join(' ', grep { !$labels{$metric}{$_} } $target->{legendFormat} =~ /\{\{(\w+)\}\}/g), '', 'so do its labels');
	}
}
$node->stop;

# ---- the rules' own tests

SKIP:
{
	my $output = `cd '$files' && sh '$top/test/promtool.sh' test rules alerts_test.yml 2>&1`;
	skip($output =~ s/\n/ /gr, 1) if $? >> 8 == 77;
	is($? >> 8, 0, 'promtool test rules') or diag($output);
	my %tested = map { $_ => 1 } slurp_file("$files/alerts_test.yml") =~ /alertname: (\w+)/g;
	is(join(' ', grep { !$tested{$_} } map { $_->{alert} } @{ yaml('alerts.yml')->{groups}[0]{rules} }), '', 'each rule has a test');
}
done_testing();
