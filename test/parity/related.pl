#!/usr/bin/perl
# Writes parts of the extension's SQL script that are the same for many pairs of types:
#
#   perl test/parity/related.pl 47_related_types > sql/install/47_related_types.sql
#
# and so on for the other parts that are named at the end.  No server is asked
# (generate.pl does that for 70_parity.sql).  make parity makes all of them;
# test/t/core/generated.pl finds one that was changed by hand.
#
# One script serves all major versions of PostgreSQL, as pg_upgrade takes along what an
# older one has installed: 75_later_versions has for all of them what is new in some.

use strict;
use warnings;

my %limits = (
	int2 => [ -32768, 32767 ],
	int4 => [ -2147483648, 2147483647 ],
	int8 => [ '-9223372036854775808', '9223372036854775807' ]);
my @integers = qw(int2 int4 int8);
my @numbers = (@integers, 'numeric');

# Encrypted types, and those that PostgreSQL compares their base types with
my @families = (
	[ int2 => qw(int4 int8) ], [ int4 => qw(int2 int8) ], [ int8 => qw(int2 int4) ],
	[ float4 => 'float8' ], [ float8 => 'float4' ],
	[ date => qw(timestamp timestamptz) ], [ timestamp => qw(date timestamptz) ], [ timestamptz => qw(date timestamp) ]);

my %strategy = ('<' => 1, '<=' => 2, '=' => 3, '>=' => 4, '>' => 5);
my %named = ('<' => 'lt', '<=' => 'le', '>=' => 'ge', '>' => 'gt');
my %commutator = ('<' => '>', '<=' => '>=', '>=' => '<=', '>' => '<');
my %negator = ('<' => '>=', '<=' => '>', '>=' => '<', '>' => '<=');
my @orders = sort { $strategy{$a} <=> $strategy{$b} } keys %named;

sub opened { return "pgseal_internal.open($_[0])" }
sub base_of { return $_[0] =~ s/^encrypted_//r }
sub others { my ($type, @types) = @_; return grep { $_ ne $type } @types }

# When a value of one type has a counterpart in another one; '' if always
sub condition
{
	my ($to, $from, $value) = @_;

	return '' if !$limits{$to} || $from =~ /^int(\d)/ && $1 < substr($to, 3);
	return "$value BETWEEN $limits{$to}[0] AND $limits{$to}[1]" . ($from eq 'numeric' ? " AND $value % 1 = 0" : '');
}

# Its counterpart, or NULL
sub converted
{
	my ($to, $from, $value) = @_;
	my $condition = condition($to, $from, $value);
	return $condition ? "CASE WHEN $condition THEN $value\::$to END" : "$value\::$to";
}

sub sql_function
{
	my ($name, $arguments, $result, $body, $strict) = @_;
	return "CREATE FUNCTION pgseal_internal.$name($arguments) RETURNS $result\n"
	  . 'LANGUAGE SQL STABLE ' . ($strict ? 'STRICT ' : '') . "PARALLEL SAFE RETURN $body;\n";
}

# ---- 47_related_types

sub equality_with_relative
{
	my ($to, $from, $encrypted, $plain) = @_;
	my $condition = condition($to, $from, $plain);
	my $equal = $to eq 'numeric' ? 'OPERATOR(pgseal_internal.=)' : '=';

	return "$encrypted $equal " . converted($to, $from, $plain)
	  . ($condition ? " AND (($condition) IS NOT FALSE OR $encrypted IS NULL)" : '');
}

sub operator
{
	my ($name, $left, $right, $function, $negator) = @_;
	my $hidden = $left eq 'numeric' || $right eq 'numeric';
	my $kind = $function eq 'eq' ? 'eq' : 'neq';

	return 'CREATE OPERATOR ' . ($hidden ? "pgseal_internal.$name" : $name) . " (LEFTARG = $left, RIGHTARG = $right, FUNCTION = pgseal_internal.$function, "
	  . 'COMMUTATOR = ' . ($hidden ? "OPERATOR(pgseal_internal.$name)" : $name) . ($negator ? ", NEGATOR = $negator" : '')
	  . ",\n\tRESTRICT = ${kind}sel, JOIN = ${kind}joinsel);\n";
}

sub tokens_of
{
	my ($to, $from) = @_;
	my $values = condition($to, $from, 'x') ? 'ARRAY(SELECT ' . converted($to, $from, 'x') . ' FROM unnest($1) AS x)' : "\$1::$to\[]";
	return sql_function("tokens_of_$to", "value $from\[], typmod int4, normalizer text, bits int4", 'bytea[]',
		"pgseal_internal.tokens($values, \$2, \$3, \$4)", 'strict');
}

sub related_types
{
	my ($functions, $operators, $encrypted, $encrypted_operators, $rows, $rows_operators) = ('') x 6;
	my @members;

	for my $to (@numbers)
	{
		for my $from (others($to, @numbers))
		{
			$functions .= sql_function('eq', "encrypted_$to, $from", 'bool', equality_with_relative($to, $from, '$1', '$2'))
			  . sql_function('eq', "$from, encrypted_$to", 'bool', equality_with_relative($to, $from, '$2', '$1'));
			$operators .= operator('=', "encrypted_$to", $from, 'eq') . operator('=', $from, "encrypted_$to", 'eq');
		}
	}
	for my $type (@integers)
	{
		for ([ "encrypted_$type", 'encrypted_numeric' ], [ 'encrypted_numeric', "encrypted_$type" ])
		{
			$encrypted .= sql_function('eq', "$_->[0], $_->[1]", 'bool', opened('$1') . ' = ' . opened('$2'));
			$encrypted_operators .= operator('=', @$_, 'eq', '<>');
		}
		for ([ $type, 'encrypted_numeric' ], [ 'encrypted_numeric', $type ],
			[ "encrypted_$type", 'encrypted_numeric' ], [ 'encrypted_numeric', "encrypted_$type" ])
		{
			my ($left, $right) = @$_;
			my $a = $left =~ /^encrypted/ ? opened('$1') : '$1';
			my $b = $right =~ /^encrypted/ ? opened('$2') : '$2';

			$rows .= sql_function('ne', "$left, $right", 'bool', "$a <> $b")
			  . sql_function('cmp', "$left, $right", 'int4', "CASE WHEN $a < $b THEN -1 WHEN $a > $b THEN 1 ELSE 0 END", 'strict');
			$rows_operators .= operator('<>', $left, $right, 'ne', '=');
			push @members, "\tOPERATOR 3 = ($left, $right), FUNCTION 1 ($left, $right) pgseal_internal.cmp($left, $right)";
		}
	}
	my $tokens = join '', map { my $to = $_; map { tokens_of($to, $_) } others($to, @numbers) } @numbers;
	$tokens .= tokens_of(float8 => 'float4') . tokens_of(text => 'name');

	return <<"SQL";
--
-- = with values of the base type's relatives, so that a parameter of whatever
-- integer or number type finds the index.  Inlined: what the planner sees is
-- the = of the column's own base type.  A value that has no counterpart in the
-- column's type equals nothing (and NULL stays unknown).  Those with a plain
-- numeric are hidden in pgseal_internal (unopen.c).
--

$functions$operators
-- Two encrypted columns of different types
$encrypted$encrypted_operators
-- What these need to compare rows: <>, and a btree family.  That has no operator
-- class; no index and no merge join uses it.
$rows${rows_operators}CREATE OPERATOR FAMILY pgseal_internal.other_ops USING btree;
ALTER OPERATOR FAMILY pgseal_internal.other_ops USING btree ADD
@{[ join ",\n", @members ]};

-- column = ANY (array of a relative): the tokens that the column's own type has
-- for the elements (lookup.c).  What has no counterpart becomes NULL, which has
-- no token.
$tokens
SQL
}

# ---- 56_in_range

sub in_range
{
	my %offsets = (
		(map { $_ => [ "encrypted_$_", @integers ] } @integers),
		float4 => ['float8'], float8 => ['float8'], numeric => ['numeric'],
		map { $_ => ['interval'] } qw(date time timestamp timestamptz interval));
	my ($functions, $members) = ('', '');

	for my $type (@integers, qw(float4 float8 numeric date time timestamp timestamptz interval))
	{
		my @adds;
		for my $offset (@{ $offsets{$type} })
		{
			my $arguments = "encrypted_$type, encrypted_$type, $offset, bool, bool";
			my $value = $offset =~ /^encrypted/ ? opened('$3') : '$3';
			$functions .= sql_function('in_range', $arguments, 'bool',
				'pg_catalog.in_range(' . opened('$1') . ', ' . opened('$2') . ", $value, \$4, \$5)", 'strict');
			push @adds, "\tFUNCTION 3 (encrypted_$type, $offset) pgseal_internal.in_range($arguments)";
		}
		$members .= "ALTER OPERATOR FAMILY encrypted_${type}_ops USING btree ADD\n" . join(",\n", @adds) . ";\n";
	}
	return <<"SQL";
--
-- RANGE BETWEEN offset PRECEDING AND ...: over an ORDER BY of an encrypted column, for
-- the offsets that PostgreSQL has for the base type.  An untyped offset where there
-- are several is of the column's type.
--

$functions
$members
SQL
}

# ---- 71_sealed_related

sub hidden_order
{
	my ($left, $right) = @_;
	my $sql = '';

	for (@orders)
	{
		$sql .= "CREATE FUNCTION pgseal_internal.$named{$_}($left, $right) RETURNS bool\n"
		  . "LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_$named{$_}';\n";
	}
	for (@orders)
	{
		$sql .= "CREATE OPERATOR pgseal_internal.$_ (LEFTARG = $left, RIGHTARG = $right, FUNCTION = pgseal_internal.$named{$_},\n"
		  . "\tCOMMUTATOR = OPERATOR(pgseal_internal.$commutator{$_}), NEGATOR = OPERATOR(pgseal_internal.$negator{$_}),\n"
		  . "\tRESTRICT = pgseal_internal.$named{$_}sel, JOIN = scalar$named{$_}joinsel);\n";
	}
	return $sql;
}

sub family_member
{
	my ($type, $other, $schema, @operators) = @_;
	return "ALTER OPERATOR FAMILY sealed_${type}_ops USING sealed ADD\n\t"
	  . join(', ', map { "OPERATOR $strategy{$_} $schema$_ (encrypted_$type, $other)" } sort { $strategy{$a} <=> $strategy{$b} } @operators) . ";\n";
}

sub sealed_related
{
	my $operators = join '', map { hidden_order("encrypted_$_", 'numeric') . hidden_order('numeric', "encrypted_$_") } @integers;
	my $members = '';

	for (@families)
	{
		my ($type, @others) = @$_;
		# Equality of integers with plain relatives is inlined
		$members .= family_member($type, $_, '', @orders, $type =~ /^int/ ? () : '=') for @others;
		$members .= family_member($type, "encrypted_$_", '', @orders, '=') for @others;
	}
	$members .= family_member('text', 'name', '', @orders, '=');
	$members .= family_member($_, 'numeric', 'pgseal_internal.', @orders) for @integers;

	return <<"SQL";
--
-- Ranges by the base type's relatives, salary > 5000::int8, born >= now(): the
-- operators that a sealed index finds.  Most of them are in 70_parity.sql.  Those of
-- integers with a plain numeric, which PostgreSQL compares as numeric, are hidden in
-- pgseal_internal (unopen.c).
--

$operators
-- Equality with them is inlined, as that of the base type (47_related_types.sql)
$members
SQL
}

# ---- 75_later_versions

sub seal_cast
{
	my ($from, $to, $value) = @_;
	my $function = "pgseal_internal.seal_as_$to";
	return "CREATE FUNCTION $function($from, int4 DEFAULT -1, bool DEFAULT false) RETURNS encrypted_$to\n"
	  . "LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast($value, \$2, \$3);\n"
	  . "CREATE CAST ($from AS encrypted_$to) WITH FUNCTION $function($from, int4, bool);\n";
}

sub open_cast
{
	my ($from, $to, $value) = @_;
	return sql_function("open_as_$to", "encrypted_$from", $to, $value)
	  . "CREATE CAST (encrypted_$from AS $to) WITH FUNCTION pgseal_internal.open_as_$to(encrypted_$from);\n";
}

# As PostgreSQL 18 does it, with an overflow that PostgreSQL itself reports
sub integer_of_bytes
{
	my ($type, $bytes) = @_;
	my $size = substr $type, 3;
	my $length = "octet_length($bytes)";
	my %overflow = (
		int2 => "($length + 32767)::int2",
		int4 => "($length + 2147483647::int8)::int4",
		int8 => "($length + 9223372036854775807::numeric)::int8");
	my $hex = "'x' || lpad(encode($bytes, 'hex'), @{[ 2 * $size ]}, '0')";
	my %value = (
		int2 => "(($hex || '0000')::bit(32)::int4 >> 16)::int2",
		int4 => "($hex)::bit(32)::int4",
		int8 => "($hex)::bit(64)::int8");

	return "CASE WHEN $length > $size THEN $overflow{$type} ELSE $value{$type} END";
}

sub later_versions
{
	my $casts = '';
	my $open = opened('$1');

	for my $type (@integers)
	{
		$casts .= seal_cast($type, 'bytea', "${type}send(\$1)") . seal_cast('bytea', $type, integer_of_bytes($type, '$1'))
		  . seal_cast("encrypted_$type", 'bytea', "${type}send($open)") . seal_cast('encrypted_bytea', $type, integer_of_bytes($type, $open))
		  . open_cast($type, 'bytea', "${type}send($open)") . open_cast('bytea', $type, integer_of_bytes($type, $open));
	}
	return <<"SQL";
--
-- For what PostgreSQL has since a later version than 15, from whose catalog
-- 70_parity.sql was generated.
--
-- Bodies that call what 15 hasn't are strings: nothing is looked up before the
-- call, and after pg_upgrade they work.
--

-- AT LOCAL (17).  Without it, it would be taken for that of timestamptz.
CREATE FUNCTION timezone(encrypted_timestamp) RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $open\::timestamptz;

-- to_bin, to_oct (17)
@{[ join "\n", map { "CREATE FUNCTION $_(encrypted_int4) RETURNS text\n"
	. "LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT pg_catalog.$_(\$1::pg_catalog.int4)';\n" } qw(to_bin to_oct) ]}
-- Casts between integers and bytea (18), which 15 has not, by what 15 has: a body
-- as a string would be parsed as whoever calls it, who may not look into
-- pgseal_internal
$casts
SQL
}

my %parts = (
	'47_related_types' => \&related_types,
	'56_in_range' => \&in_range,
	'71_sealed_related' => \&sealed_related,
	'75_later_versions' => \&later_versions);
my $part = $parts{ $ARGV[0] // '' } or die "usage: related.pl @{[ join '|', sort keys %parts ]}\n";
my $sql = $part->();
$sql =~ s/\n+\z/\n/;
$sql =~ s/\A/-- Made by test\/parity\/related.pl (make parity); don't edit.\n/;
print $sql;
