#!/usr/bin/perl
# Writes sql/install/70_parity.sql to standard output.
#
#   perl test/parity/generate.pl > sql/install/70_parity.sql
#
# Needs a running server of PostgreSQL 15, the oldest that pgseal supports, with
# pgseal installed without that file, because it asks the server what fails.
#
# Casts: an encrypted type gets the implicit casts of its base type, so that
# PostgreSQL resolves a call on it as on the base type, but for one thing: no
# candidate is an exact match.  Where that decides, an overload for the encrypted
# type is made.  Making some may make others needed, so it is done until nothing
# fails any more that an overload can mend.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__), dirname(__FILE__) . '/../lib';
use BaseTypes qw(base_types);
use ParityRun qw(judge psql);
use ParityUses qw(catalog_queries samples);

my %operator_name = (
	'+' => 'plus', '-' => 'minus', '*' => 'times', '/' => 'divide', '%' => 'modulo', '^' => 'power', '@' => 'absolute',
	'&' => 'bit_and', '|' => 'bit_or', '#' => 'bit_xor', '~' => 'bit_not', '<<' => 'shift_left', '>>' => 'shift_right',
	'=' => 'eq', '<>' => 'ne', '<' => 'lt', '<=' => 'le', '>' => 'gt', '>=' => 'ge',
	'@>' => 'contains', '<@' => 'contained', '||' => 'concat',
	'~<~' => 'pattern_lt', '~<=~' => 'pattern_le', '~>=~' => 'pattern_ge', '~>~' => 'pattern_gt');

sub base_of
{
	return $_[0] =~ s/^encrypted_//r;
}

# An expression for parameter $n of this type, of the base type
sub opened
{
	my ($n, $type) = @_;
	return $type =~ /^encrypted_/ ? "pgseal_internal.open(\$$n)" : "\$$n";
}

#
# Casts
#

sub casts
{
	my @uses = @_;
	my %catalog_query = catalog_queries();
	my %sample = samples();
	my (%cast, $sql);
	my %to_text = map { $_->[0] => 1 } psql('postgres',
		"SELECT CASE t.typname WHEN 'char' THEN '\"char\"' ELSE t.typname END FROM pg_cast c JOIN pg_type t ON t.oid = castsource WHERE casttarget = 'text'::regtype AND c.oid < 16384");

	# Those by way of the text form work without, too, but not in standard bodies
	for my $use (grep { $_->{kind} =~ /^(assignment|cast)$/ && (!$_->{works} || $_->{object} =~ /^text to | to (text|varchar|bpchar|name)(, both encrypted)?$/) } @uses)
	{
		my ($from, $to, $both) = $use->{object} =~ /^(.*) to (.*?)(, both encrypted)?$/;
		my $out = $use->{sql} =~ /^(\{|CAST\(\{)/;
		$from = "encrypted_$from" if $both || $out;
		$to = "encrypted_$to" if $both || !$out;
		$cast{$from}{$to} = ' AS ASSIGNMENT' if $use->{kind} eq 'assignment';
		$cast{$from}{$to} //= '';
	}
	for (psql('postgres', $catalog_query{casts}))
	{
		my ($from, $to) = @$_;
		$cast{"encrypted_$from"}{$to} = ' AS IMPLICIT' if grep { $_ eq $from } base_types();

		# Upward, so that what stands beside an encrypted value converts to its type
		next unless $sample{$from} && grep { $_ eq $to } base_types();
		# "char" would be as near to encrypted_text as to text
		$cast{$from}{"encrypted_$to"} = ' AS IMPLICIT' if $from ne '"char"';
		$cast{"encrypted_$from"}{"encrypted_$to"} = ' AS IMPLICIT' if grep { $_ eq $from } base_types();
	}

	$sql = "--\n-- Casts\n--\n";
	for my $from (sort keys %cast)
	{
		for my $to (sort keys %{ $cast{$from} })
		{
			my $base = base_of($to);
			my $name = ($to eq $base ? 'open_as_' : 'seal_as_') . $base =~ s/"//gr =~ s/\[\]/_array/r;
			my $value = opened(1, $from);

			next if $from eq 'text' || "$from $to" =~ /^encrypted_(\w+) (encrypted_)?\1$/;

			# To json, all have one for the JSON functions; to encrypted_text, PostgreSQL
			# converts by itself what has a text form
			next if $to eq 'json' && $from ne 'encrypted_jsonb';
			next if $to eq 'encrypted_text' && $from !~ /^encrypted_/ && !$to_text{$from};
			$sql .= "\n";
			$sql .= "DROP CAST ($from AS $to);\n" if $to eq 'json';
			$sql .= $to eq $base
			  ? "CREATE FUNCTION pgseal_internal.$name($from) RETURNS $to\n"
			  . "LANGUAGE SQL STABLE PARALLEL SAFE RETURN $value\::$base;\n"
			  . "CREATE CAST ($from AS $to) WITH FUNCTION pgseal_internal.$name($from)$cast{$from}{$to};\n"
			  : "CREATE FUNCTION pgseal_internal.$name($from, int4 DEFAULT -1, bool DEFAULT false) RETURNS $to\n"
			  . "LANGUAGE SQL VOLATILE PARALLEL SAFE RETURN pgseal_internal.seal_cast($value\::$base, \$2, \$3);\n"
			  . "CREATE CAST ($from AS $to) WITH FUNCTION pgseal_internal.$name($from, int4, bool)$cast{$from}{$to};\n";

			# (A body as text: pg_upgrade makes functions before the casts of their elements.)
			# PostgreSQL would convert the arrays, too; then the operators for an array beside an
			# encrypted one would be candidates for two plain ones
			next if $cast{$from}{$to} ne ' AS IMPLICIT' && "$from $to" ne '"char" encrypted_text' || $from =~ /^encrypted_/ || $to eq $base;
			$sql .= "\nCREATE FUNCTION pgseal_internal.${name}_array($from\[]) RETURNS $to\[]\n"
			  . "LANGUAGE SQL VOLATILE PARALLEL SAFE AS 'SELECT \$1::pg_catalog.$base\[]::pg_catalog.$to\[]';\n"
			  . "CREATE CAST ($from\[] AS $to\[]) WITH FUNCTION pgseal_internal.${name}_array($from\[]) AS ASSIGNMENT;\n";
		}
	}
	return $sql;
}

#
# Overloads
#

my (%made, %operator, %takes, %resolved);

# Comparisons are in C, not inlined, so that a sealed index finds them
my %negator = ('=' => '<>', '<>' => '=', '<' => '>=', '>=' => '<', '>' => '<=', '<=' => '>');
my %commutator = ('=' => '=', '<>' => '<>', '<' => '>', '>' => '<', '<=' => '>=', '>=' => '<=');
my %selectivity = (
	'=' => 'RESTRICT = eqsel, JOIN = eqjoinsel', '<>' => 'RESTRICT = neqsel, JOIN = neqjoinsel',
	'<' => 'RESTRICT = pgseal_internal.ltsel, JOIN = scalarltjoinsel', '<=' => 'RESTRICT = pgseal_internal.lesel, JOIN = scalarlejoinsel',
	'>' => 'RESTRICT = pgseal_internal.gtsel, JOIN = scalargtjoinsel', '>=' => 'RESTRICT = pgseal_internal.gesel, JOIN = scalargejoinsel');

sub comparison
{
	my ($name, $function, $left, $right) = @_;
	my $symbol = $function =~ s/.*\./pgseal_/r;
	my $support = $name eq '=' ? ' SUPPORT pgseal_internal.related_equality_support' : '';

	return "CREATE FUNCTION $function($left, $right) RETURNS boolean\n"
	  . "LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20$support AS 'MODULE_PATHNAME', '$symbol';\n"
	  . "CREATE OPERATOR pg_catalog.$name (LEFTARG = $left, RIGHTARG = $right, FUNCTION = $function,\n"
	  . "	COMMUTATOR = OPERATOR(pg_catalog.$commutator{$name}), NEGATOR = OPERATOR(pg_catalog.$negator{$name}), $selectivity{$name});\n";
}

sub operator
{
	my ($use, @types) = @_;
	my $name = $use->{name};
	my $function = 'pgseal_internal.' . ($operator_name{$name} // die "operator $name has no function name\n");
	my @opened = map { opened($_ + 1, $types[$_]) } 0 .. $#types;
	my $body = @types == 1 ? "OPERATOR(pg_catalog.$name) $opened[0]" : "$opened[0] OPERATOR(pg_catalog.$name) $opened[1]";
	my @sides = @types == 1 ? ("RIGHTARG = $types[0]") : ("LEFTARG = $types[0]", "RIGHTARG = $types[1]");

	# Declared for any range: an exact match of a range would win where the element
	# is an untyped literal.  A standard body can't have polymorphic arguments.
	if (grep { /range$/ } @types)
	{
		s/^\w+?(multirange|range)$/any$1/ for @types;
		s/(= )\w*?(multirange|range)$/$1any$2/ for @sides;
		@opened = map { "\$" . ($_ + 1) . ($types[$_] =~ /^encrypted_(\w+)/ ? "::pg_catalog.$1" : '') } 0 .. $#types;
		return "CREATE FUNCTION $function(" . join(', ', @types) . ") RETURNS $use->{plain_type}\n"
		  . "LANGUAGE SQL STABLE PARALLEL SAFE AS 'SELECT $opened[0] OPERATOR(pg_catalog.$name) $opened[1]';\n"
		  . "CREATE OPERATOR pg_catalog.$name (" . join(', ', @sides) . ", FUNCTION = $function);\n";
	}
	return comparison($name, $function, @types) if $negator{$name};
	return "CREATE FUNCTION $function(" . join(', ', @types) . ") RETURNS $use->{plain_type}\n"
	  . "LANGUAGE SQL STABLE PARALLEL SAFE RETURN $body;\n"
	  . "CREATE OPERATOR pg_catalog.$name (" . join(', ', @sides) . ", FUNCTION = $function);\n";
}

sub function
{
	my ($use, $set, @types) = @_;

	my $call = "pg_catalog.\"$use->{name}\"(" . join(', ', map { opened($_ + 1, $types[$_]) } 0 .. $#types) . ')';

	return "CREATE FUNCTION pg_catalog.\"$use->{name}\"(" . join(', ', @types) . ') RETURNS ' . ($set ? 'SETOF ' : '') . "$use->{plain_type}\n"
	  . 'LANGUAGE SQL STABLE PARALLEL SAFE ' . ($set ? "BEGIN ATOMIC SELECT $call; END" : "RETURN $call") . ";\n";
}

# The aggregate of the base type with transition functions that open: aggregate.c
my (%transition, %section);

sub aggregate
{
	my ($use, $definition, @types) = @_;
	my ($transition, $state, $rest, $moving_transition, $moving_inverse, $moving_state, $moving_rest) = @$definition;

	for ($transition, $moving_transition, $moving_inverse)
	{
		next if $_ eq '-';
		my $signature = "pgseal_internal.$_(" . join(', ', $_ eq $transition ? $state : $moving_state, @types) . ')';
		push @{ $section{transition} }, "CREATE FUNCTION $signature RETURNS " . ($_ eq $transition ? $state : $moving_state) . "\n"
		  . "LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_transition';\n"
		  unless $transition{$signature}++;
	}
	return "CREATE AGGREGATE pg_catalog.$use->{name}(" . join(', ', @types) . ") (\n"
	  . "	SFUNC = pgseal_internal.$transition, STYPE = $state$rest"
	  . ($moving_transition eq '-' ? ''
		: ",\n	MSFUNC = pgseal_internal.$moving_transition, MINVFUNC = pgseal_internal.$moving_inverse, MSTYPE = $moving_state$moving_rest")
	  . ");\n";
}

my $catalog = <<'SQL';
SELECT 'operator', oprname || '(' || l.typname || ',' || r.typname || ')' FROM pg_operator o
	JOIN pg_type l ON l.oid = oprleft JOIN pg_type r ON r.oid = oprright WHERE o.oid < 16384;
SELECT 'takes', oprname || ' ' || typname FROM pg_operator o JOIN pg_type t ON t.oid IN (oprleft, oprright) WHERE o.oid < 16384;
SELECT 'takes', proname || ' ' || typname FROM pg_proc p JOIN pg_type t ON t.oid = ANY (proargtypes) WHERE p.oid < 16384;
SELECT 'set', p.oid::regprocedure FROM pg_proc p WHERE proretset AND oid < 16384;
SELECT 'aggregate', p.proname || '(' || coalesce((SELECT string_agg(format_type(t, NULL), ',' ORDER BY i) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, i)), '') || ')',
	aggtransfn, format_type(aggtranstype, NULL),
	concat(', SSPACE = ' || nullif(aggtransspace, 0), ', FINALFUNC = ' || nullif(aggfinalfn::text, '-'), ', COMBINEFUNC = ' || nullif(aggcombinefn::text, '-'),
		', SERIALFUNC = ' || nullif(aggserialfn::text, '-'), ', DESERIALFUNC = ' || nullif(aggdeserialfn::text, '-'),
		', INITCOND = ' || quote_literal(agginitval), ', PARALLEL = ' || CASE proparallel WHEN 's' THEN 'SAFE' END),
	aggmtransfn, aggminvtransfn, format_type(nullif(aggmtranstype, 0), NULL),
	concat(', MSSPACE = ' || nullif(aggmtransspace, 0), ', MFINALFUNC = ' || nullif(aggmfinalfn::text, '-'), ', MINITCOND = ' || quote_literal(aggminitval))
FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid WHERE p.oid < 16384;
SQL
my (%set, %aggregate);
for (psql('postgres', $catalog))
{
	my ($what, $object, @definition) = @$_;
	$operator{$object} = 1 if $what eq 'operator';
	$takes{$object} = 1 if $what eq 'takes';
	$set{ $object =~ s/\(.*//r } = 1 if $what eq 'set';
	$aggregate{$object} = \@definition if $what eq 'aggregate';
}

# format_type()'s names of the base types
my %long = map { $_->[0] => $_->[1] }
  psql('postgres', join '', map { "SELECT '$_', format_type('$_'::regtype, NULL);\n" } base_types());

# Would an overload be as good a match as PostgreSQL's own function for a call on
# plain arguments with an untyped literal?  test/t/core/untouched.pl finds them.
sub ties_with_plain
{
	my ($name, @types) = @_;
	return $name =~ /^(get_bit|set_bit|oid|(multi)?range_contains_elem|elem_contained_by_(multi)?range)$/
	  || $name eq 'generate_series' && @types == 3 && grep { /^int[48]$/ } @types;
}

# What would mend a use: its rank and the arguments' types; or nothing
sub remedy
{
	my ($use) = @_;
	my @args = @{ $use->{args} // [] };
	my @types = map { $_->[0] eq 'column' ? "encrypted_$_->[1]" : $_->[0] eq 'sql' ? $_->[2] : $_->[1] } @args;

	return () if $use->{works} || $use->{why} =~ /^on plain columns/ || $use->{kind} !~ /^(operator|function|aggregate)$/;
	return () if $use->{object} =~ /"any"/;

	# They have one form each, which plain columns of narrower types use
	return () if $use->{name} =~ /^(oid|get_bit|set_bit)$/;
	my @declared = map { $types[$_] =~ /^encrypted_/ ? $types[$_] : $use->{declared}[$_] } 0 .. $#types;
	my $same = ($resolved{"$use->{kind} $use->{name}(@declared)"} // '') eq $use->{plain_type};
	if (grep { $_->[0] eq 'untyped' } @args)
	{
		# Beside an operand, an untyped literal is of the operand's type, if it can be
		if ($use->{kind} eq 'operator' && @args == 2 && $operator{"$use->{name}($use->{type},$use->{type})"})
		{
			@types = ("encrypted_$use->{type}") x 2;
		}
		elsif ($same && $use->{name} !~ /^(date_bin|in_range|timestamp)$/ && "@declared" !~ /\btimestamp\b.* interval/)
		{
			# For those, an untyped literal on plain columns would become ambiguous
			@types = @declared;
		}
		else { return () }
	}
	elsif ($use->{variation} == 2 && grep { !/^encrypted_/ && !$takes{"$use->{name} $_"} } @types)
	{
		# As declared, for a type that nothing of this name takes: else the overload would
		# win, too, where a plain operand of that type stands beside an untyped literal
		return () unless $same;
		@types = @declared;
	}
	# A range beside its element: not where a plain element of a narrower type converts
	# upward to the encrypted one, as it would have two operators then
	return () if grep { /range$/ } @types and !grep { /^encrypted_(date|int4)$/ } @types;
	return () if ties_with_plain($use->{name}, @types);
	# A shift takes int4, which plain int2 would convert to
	return () if $use->{name} =~ /^(<<|>>)$/ && "@types" =~ /^(int2 encrypted_int4|encrypted_int[24] encrypted_int4|encrypted_int4 (encrypted_)?int2)$/;
	return () if $made{"$use->{kind} $use->{name}(@types)"};
	# Where all parameters are of one type, the overload that has all of them encrypted
	# does for the mixed calls, too, as other operands convert upward; those for a
	# single encrypted operand would be candidates of calls on plain columns.  What is
	# shifted by is always int4.
	my $alike = @types > 1 && $use->{name} !~ /^(<<|>>)$/ && !grep { $_ ne $types[0] } @types;
	return (($alike ? 0 : grep { /^encrypted_/ } @types) . $use->{variation}, @types);
}

# Those of the lowest rank: what they mend needs none of its own
sub overloads
{
	my @uses = @_;
	my (%ranked, @sql);

	# The result type on plain columns, by the arguments' types
	for my $use (grep { defined $_->{name} && !grep { $_->[0] eq 'untyped' } @{ $_->{args} } } @uses)
	{
		my @types = map { $_->[0] eq 'column' ? "encrypted_$_->[1]" : $_->[0] eq 'sql' ? $_->[2] : $_->[1] } @{ $use->{args} };
		$resolved{"$use->{kind} $use->{name}(@types)"} //= $use->{plain_type};
	}
	for my $use (@uses)
	{
		my ($rank, @types) = remedy($use) or next;
		push @{ $ranked{$rank} }, [ $use, @types ];
	}
	my ($lowest) = sort keys %ranked;
	for (@{ $ranked{ $lowest // '' } // [] })
	{
		my ($use, @types) = @$_;
		next if $made{"$use->{kind} $use->{name}(@types)"}++;
		if ($use->{kind} eq 'operator')    { push @sql, operator($use, @types) }
		elsif ($use->{kind} eq 'function') { push @sql, function($use, $set{ $use->{name} }, @types) }
		else
		{
			my $object = "$use->{name}(" . join(',', map { my $b = base_of($_); $long{$b} // $b } @types) . ')';
			my $definition = $aggregate{$object};
			push @sql, aggregate($use, $definition, @types) if $definition;
		}
	}
	print STDERR scalar @sql, " overloads of rank $lowest\n" if @sql;
	return @sql;
}

my @uses = judge();
my $casts = casts(@uses);
my ($only, @round);

# What fails is tried again alone, until a last round over all
for (;;)
{
	my $more = $casts . join "\n", map { @{ $section{$_} // [] } } qw(operator function transition aggregate);

	# Outside of the extension's script
	$more =~ s/'MODULE_PATHNAME'/'\$libdir\/pgseal'/g;
	$more =~ s/^(DROP (.*);)$/ALTER EXTENSION pgseal $1\n$1/mg;
	@uses = judge($more, $only);
	@round = overloads(@uses);
	push @{ $section{ /CREATE (OPERATOR|AGGREGATE)/ ? lc $1 : 'function' } }, $_ for @round;
	last if !@round && !$only;
	$only = @round ? { map { $_->{template} => 1 } grep { !$_->{works} } @uses } : undef;
}

# Comparisons of rows need a btree family for each of their operators: that of
# 47_related_types.sql
sub families
{
	my @operators = @_;
	my (%compares, @sql);
	my %strategy = ('<' => 1, '<=' => 2, '=' => 3, '>=' => 4, '>' => 5);

	for (@operators)
	{
		my ($name, $left, $right) = /^CREATE OPERATOR pg_catalog\.(\S+) \(LEFTARG = (\S+), RIGHTARG = (\S+),/m or next;
		$compares{$left}{$right}{$name} = 1 if $strategy{$name};
	}
	for my $left (sort keys %compares)
	{
		for my $right (sort keys %{ $compares{$left} })
		{
			push @sql, "CREATE FUNCTION pgseal_internal.cmp($left, $right) RETURNS int4\n"
			  . "LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_cmp';\n"
			  . "ALTER OPERATOR FAMILY pgseal_internal.other_ops USING btree ADD\n\t"
			  . join(', ', map { "OPERATOR $strategy{$_} $_ ($left, $right)" } sort { $strategy{$a} <=> $strategy{$b} } keys %strategy)
			  . ",\n\tFUNCTION 1 ($left, $right) pgseal_internal.cmp($left, $right);\n";
		}
	}
	return @sql;
}

print <<'SQL' . $casts;
--
-- SQL parity: what PostgreSQL resolves on a column of the base type it resolves
-- on an encrypted one, with the same result type.  Generated by
-- test/parity/generate.pl; don't edit.
--

SQL
for my $kind (qw(operator function transition aggregate))
{
	print "\n--\n-- \u$kind", $kind eq 'transition' ? ' functions' : 's', "\n--\n\n", join("\n", sort @{ $section{$kind} // [] });
}
print "\n--\n-- Comparisons that rows are compared by\n--\n\n", join("\n", families(@{ $section{operator} // [] }));
