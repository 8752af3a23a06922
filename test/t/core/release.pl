# A release: its number stands in one way everywhere, and what was installed before
# becomes by the upgrade scripts what a new installation is.
#
# test/release/pgseal--X.sql is the script of a released version, as it was built:
# the beginning of the chain sql/pgseal--X--Y.sql.  It is put in when the version is
# released, and never changed.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $top = "$FindBin::Bin/../../..";

# ---- one number

my ($version) = slurp_file("$top/pgseal.control") =~ /^default_version = '([\d.]+)'$/m;
ok(defined $version, "pgseal.control: $version");
my $full = $version =~ /^\d+\.\d+$/ ? "$version.0" : $version;
my @meta = slurp_file("$top/META.json") =~ /"version": "([\d.]+)"/g;
is("@meta", "$full $full 1.0.0", 'META.json (and the version of its own format)');
like(slurp_file("$top/CHANGELOG.md"), qr/\A## \Q$full\E\b/, 'CHANGELOG.md begins with it');
like(slurp_file("$top/debian/changelog"), qr/\Apgseal \(\Q$full\E[-)]/, 'debian/changelog, too');
my ($chart, $database) = map { slurp_file("$top/deploy/$_") } 'helm/pgseal/Chart.yaml', 'kubernetes/cloudnativepg/database.yaml';
is(join(' ', $chart =~ /^(?:appV|v)ersion: "?([\d.]+)/mg), "$full $full", 'the chart');
is(join(' ', $database =~ /^ +version: "([\d.]+)"/mg), $version, "CloudNativePG's Database");
my @images = map { slurp_file("$top/deploy/$_") =~ m{/pgseal(?:-extension)?:([^\s-]*)}g } qw(helm/pgseal/values.yaml kubernetes/statefulset.yaml kubernetes/cloudnativepg/catalog.yaml);
is(join(' ', @images), join(' ', ($full) x 6), 'images');

# ---- upgrades

my $node = SealedNode->started('release');

# All that belongs to the extension, and what it is
my $contents = <<'SQL';
SELECT * FROM (SELECT pg_describe_object(classid, objid, 0) || coalesce(': ' || CASE classid
	WHEN 'pg_proc'::regclass THEN (SELECT md5(to_jsonb(p)::text) FROM (SELECT prosrc, pg_get_function_sqlbody(oid), provolatile, proparallel, proisstrict,
		prosecdef, proleakproof, procost, prorows, prosupport::regproc, proacl, proconfig, pg_get_function_arguments(oid), pg_get_function_result(oid),
		(SELECT jsonb_build_array(aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggfinalmodify, aggsortop::regoperator, aggtranstype::regtype, agginitval)
			FROM pg_aggregate WHERE aggfnoid = objid) FROM pg_proc WHERE oid = objid) p)
	WHEN 'pg_type'::regclass THEN (SELECT md5(to_jsonb(t)::text) FROM (SELECT typlen, typbyval, typcategory, typispreferred, typinput, typoutput, typreceive, typsend,
		typmodin, typmodout, typanalyze, typalign, typstorage, typacl FROM pg_type WHERE oid = objid) t)
	WHEN 'pg_class'::regclass THEN (SELECT md5(jsonb_build_array(c.relkind, c.relacl, c.reloptions, CASE relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END,
		(SELECT jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod), attnotnull) ORDER BY attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
		(SELECT jsonb_agg(pg_get_indexdef(indexrelid) ORDER BY pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid = c.oid),
		(SELECT jsonb_agg(pg_get_triggerdef(t.oid) ORDER BY tgname) FROM pg_trigger t WHERE tgrelid = c.oid))::text) FROM pg_class c WHERE c.oid = objid)
	WHEN 'pg_operator'::regclass THEN (SELECT md5(to_jsonb(o)::text) FROM (SELECT oprcode::regprocedure, oprcom::regoperator, oprnegate::regoperator, oprrest::regproc, oprjoin::regproc,
		oprcanmerge, oprcanhash FROM pg_operator WHERE oid = objid) o)
	WHEN 'pg_opclass'::regclass THEN (SELECT md5(to_jsonb(o)::text) FROM (SELECT opcfamily IN (SELECT objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass) AS ours,
		opcintype::regtype, opckeytype::regtype, opcdefault FROM pg_opclass WHERE oid = objid) o)
	WHEN 'pg_opfamily'::regclass THEN (SELECT md5(jsonb_agg(member ORDER BY member)::text) FROM (
		SELECT jsonb_build_array(amopstrategy, amoppurpose, amopopr::regoperator, amoplefttype::regtype, amoprighttype::regtype) AS member FROM pg_amop WHERE amopfamily = objid UNION ALL
		SELECT jsonb_build_array(amprocnum, amproc::regprocedure, amproclefttype::regtype, amprocrighttype::regtype) FROM pg_amproc WHERE amprocfamily = objid) m)
	WHEN 'pg_cast'::regclass THEN (SELECT md5(to_jsonb(c)::text) FROM (SELECT castfunc::regprocedure, castcontext, castmethod FROM pg_cast WHERE oid = objid) c)
	END, '') || coalesce(': ' || obj_description(objid, classid::regclass::name), '') AS what
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pgseal')) AS objects ORDER BY what COLLATE "C"
SQL

sub contents
{
	my ($database, @statements) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $_) foreach @statements;
	return $node->safe_psql($database, $contents);
}

my $fresh = contents('fresh', 'CREATE EXTENSION pgseal');
cmp_ok(scalar(split /\n/, $fresh), '>', 1000, 'what there is to compare');
isnt(contents('changed', 'CREATE EXTENSION pgseal', 'ALTER FUNCTION pgseal.check() COST 7'), $fresh, 'a difference would be noticed');
my $without_member = <<'SQL';
DO $$ BEGIN EXECUTE (SELECT format('ALTER OPERATOR FAMILY %s USING %s DROP OPERATOR %s (%s, %s)', f.opfname, a.amname, o.amopstrategy, o.amoplefttype::regtype, o.amoprighttype::regtype)
	FROM pg_amop o JOIN pg_opfamily f ON f.oid = o.amopfamily JOIN pg_am a ON a.oid = f.opfmethod
	WHERE a.amname = 'sealed' AND o.amoplefttype <> o.amoprighttype LIMIT 1); END $$
SQL
isnt(contents('member', 'CREATE EXTENSION pgseal', $without_member), $fresh, 'so would one in an operator family');

# Between the installation of a new library and the update, which is when an administrator comes to it:
# what was there works, and what isn't there yet is refused
sub waits_for_update
{
	my ($from) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE waits');
	$node->safe_psql('waits', "CREATE EXTENSION pgseal VERSION '$from'");
	$node->safe_psql('waits', <<'WAITS');
CREATE TABLE t (id int PRIMARY KEY, n encrypted_int4, at encrypted_timestamptz, b int);
INSERT INTO t SELECT g, g, timestamptz '2026-01-01' + g * interval '1 hour', g FROM generate_series(1, 1000) g;
CREATE INDEX t_at ON t USING sealed (at);
CREATE INDEX t_b ON t USING brin (b);
WAITS
	my $question = "SELECT count(*) FROM t WHERE n BETWEEN 100 AND 199 AND at >= '2026-01-05'";
	is($node->safe_psql('waits', $question), 100, "$from: read by the new library");
	is($node->safe_psql('waits', "SELECT missing FROM pgseal.verify_index('t_at')"), 0, "$from: its indexes, too");
	foreach (
		[ 'CREATE INDEX ON t USING brin (n)', qr/access method "brin" cannot index encrypted column "n"\n.*HINT:  Use USING sealed/ ],
		[ 'CREATE INDEX ON t USING brin (n int4_minmax_ops)', qr/operator class "int4_minmax_ops" cannot index encrypted column "n"\n.*HINT:  Use USING sealed/ ],
		[ q{CALL pgseal.encrypt_column('t', 'b')}, qr/index public.t_b uses the column/ ])
	{
		my ($code, $stdout, $stderr) = $node->psql('waits', $_->[0]);
		like($stderr, $_->[1], "$from: $_->[0]");
	}
	$node->safe_psql('waits', 'ALTER EXTENSION pgseal UPDATE');
	$node->safe_psql('waits', q{CREATE INDEX t_n ON t USING brin (n) WITH (pages_per_range = 1); CALL pgseal.encrypt_column('t', 'b')});
	is($node->safe_psql('waits', "SELECT string_agg(i::text || ' ' || missing, ', ') FROM unnest('{t_n,t_b}'::regclass[]) i, pgseal.verify_index(i)"),
		't_n 0, t_b 0', "$from, updated: BRIN");
	is($node->safe_psql('waits', $question), 100, "$from, updated: the same answer");
	return;
}

my $extensions = `$ENV{PG_CONFIG} --sharedir` =~ s/\n//r . '/extension';
foreach my $script (glob("$top/test/release/pgseal--*.sql"))
{
	my ($from) = $script =~ /--([\d.]+)\.sql$/;
	if ($from eq $version)
	{
		is(slurp_file("$top/sql/pgseal--$version.sql"), slurp_file($script), "the script of $from is what was released");
		next;
	}
	my $installed = "$extensions/pgseal--$from.sql";
	system('cp', $script, $installed) == 0 or die "cp: $?";
	my $upgraded = contents('from_' . $from =~ tr/./_/r, "CREATE EXTENSION pgseal VERSION '$from'", 'ALTER EXTENSION pgseal UPDATE');
	waits_for_update($from) if $from eq '1.0';
	my %in_fresh = map { $_ => 1 } split /\n/, $fresh;
	my %in_upgraded = map { $_ => 1 } split /\n/, $upgraded;
	is(join("\n", grep { !$in_upgraded{$_} } sort keys %in_fresh), '', "from $from: nothing is missing");
	is(join("\n", grep { !$in_fresh{$_} } sort keys %in_upgraded), '', "from $from: nothing is left");
	unlink $installed;
}

$node->stop;
done_testing();
