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
	END, '') AS what
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
	my %in_fresh = map { $_ => 1 } split /\n/, $fresh;
	my %in_upgraded = map { $_ => 1 } split /\n/, $upgraded;
	is(join("\n", grep { !$in_upgraded{$_} } sort keys %in_fresh), '', "from $from: nothing is missing");
	is(join("\n", grep { !$in_fresh{$_} } sort keys %in_upgraded), '', "from $from: nothing is left");
	unlink $installed;
}

$node->stop;
done_testing();
