# The uses that SQL parity is measured by: see parity.pl.
#
# A use is a hash: type, kind, object (of the catalog), name, args, variation (how far
# they are from what is declared), execute and, for assignments, target.  An argument is [column => T], [typed => X, literal],
# [untyped => literal] or, for pseudo-types, [sql => template, type].

package ParityUses;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use BaseTypes qw(base_types);

our @EXPORT_OK = qw(samples catalog_queries uses template plain encrypted);

# Types of parameters that are tried where they convert to what is declared
my @parameter_types = qw(int2 int4 int8 numeric float4 float8 text varchar bpchar name
  date time timestamp timestamptz interval inet cidr);

# Catalog names of the types that samples.txt calls otherwise
my %samples;
my @base = base_types();

# What a text argument must be for some functions to do something
my %text_sample = (extract => 'hour', date_part => 'hour', date_trunc => 'hour', timezone => 'UTC');

open(my $file, '<', dirname(__FILE__) . "/samples.txt") or die "samples.txt: $!\n";
while (<$file>)
{
	chomp;
	next if /^#|^$/;
	my ($type, @literals) = split /\t/;
	$samples{$type} = \@literals;
}
close $file;

sub samples { return %samples }

# What uses() must be given the results of; types by the names of samples.txt
my $name = q{CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND e.oid IS NOT NULL
	THEN CASE e.typname WHEN 'char' THEN '"char"' ELSE e.typname END || '[]'
	WHEN t.typname = 'char' THEN '"char"' ELSE t.typname END};

sub catalog_queries
{
	my $types = <<"SQL";
SET client_min_messages = warning;
CREATE TEMP VIEW type_name AS SELECT t.oid, $name AS name FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid;
CREATE TEMP VIEW signature AS SELECT p.oid, (SELECT string_agg(n.name, ',' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i)
	JOIN type_name n ON n.oid = t) AS types FROM pg_proc p;
SQL
	return (
		casts => "$types SELECT s.name, t.name FROM pg_cast c JOIN type_name s ON s.oid = castsource JOIN type_name t ON t.oid = casttarget"
		  . " WHERE castcontext = 'i' AND c.oid < 16384 AND s.oid <> t.oid ORDER BY 1, 2",
		ranges => "$types SELECT s.name, r.name, m.name FROM pg_range JOIN type_name s ON s.oid = rngsubtype"
		  . " JOIN type_name r ON r.oid = rngtypid JOIN type_name m ON m.oid = rngmultitypid WHERE rngtypid < 16384 ORDER BY 1",
		operators => "$types SELECT oprname, coalesce(l.name, ''), r.name, oprcode IN (SELECT oid FROM pg_proc WHERE provolatile <> 'v')"
		  . " FROM pg_operator o LEFT JOIN type_name l ON l.oid = oprleft JOIN type_name r ON r.oid = oprright"
		  . " WHERE o.oid < 16384 ORDER BY o.oid",
		functions => "$types SELECT p.oid::regprocedure, proname, prokind, s.types, provariadic <> 0, provolatile <> 'v' AND proname !~ '_to_xml',"
		  . " coalesce(aggkind, 'n'), coalesce(aggnumdirectargs, 0)"
		  . " FROM pg_proc p JOIN signature s USING (oid) LEFT JOIN pg_aggregate ON aggfnoid = p.oid"
		  . " WHERE pronamespace = 'pg_catalog'::regnamespace AND pronargs > 0 AND prokind <> 'p' AND p.oid < 16384"
		  # What any_value() itself calls, with two values of one type
		  . " AND proname <> 'any_value_transfn' ORDER BY p.oid");
}

sub template_of
{
	my ($arg) = @_;
	my ($how, $what, $literal) = @$arg;

	return "{$what}" if $how eq 'column';
	return $what if $how eq 'sql';
	$literal = ($how eq 'typed' ? $literal : $what) =~ s/'/''/gr;
	return $how eq 'typed' ? "'$literal'::$what" : "'$literal'";
}

# The expression with {T} for columns and {T:type} for their types
sub template
{
	my ($use) = @_;
	my @args = map { template_of($_) } @{ $use->{args} };
	my ($kind, $name) = @$use{qw(kind name)};

	return $use->{sql} if defined $use->{sql};
	return @args == 1 ? "$name $args[0]" : "$args[0] $name $args[1]" if $kind eq 'operator';
	my $direct = $use->{direct};
	my $call = defined $direct
	  ? qq{"$name"(} . join(', ', @args[ 0 .. $direct - 1 ]) . ') WITHIN GROUP (ORDER BY '
	  . join(', ', @args[ $direct .. $#args ]) . ')'
	  : qq{"$name"(} . ($use->{distinct} ? 'DISTINCT ' : '') . join(', ', @args) . ')';
	return $call . ($use->{over} ? ' OVER (ORDER BY id)' : '');
}

sub plain
{
	return $_[0] =~ s/\{(\w+):type\}/$1/gr =~ s/\{(\w+)\}/p_$1/gr;
}

sub encrypted
{
	return $_[0] =~ s/\{(\w+):type\}/encrypted_$1/gr =~ s/\{(\w+)\}/e_$1/gr;
}

# uses(catalog): all uses, of all base types
sub uses
{
	my (%catalog) = @_;
	my %implicit;
	my %range;
	my @uses;
	my %seen;
	my $called = '';

	$implicit{ $_->[0] }{ $_->[1] } = 1 for @{ $catalog{casts} };
	$range{ $_->[0] } = [ @$_[ 1, 2 ] ] for @{ $catalog{ranges} };

	my $add = sub {
		my %use = @_;
		my $template = template(\%use);
		$use{template} = $template;
		push @uses, \%use unless $seen{ join "\0", @use{qw(type kind object)}, $use{target} // '', $template }++;
	};
	my $becomes = sub {
		my ($from, $to) = @_;
		return $from eq $to || $implicit{$from}{$to}
		  || $to =~ /^any(|element|nonarray|compatible|compatiblenonarray)$/;
	};

	# What may stand for a parameter declared as $declared, beside a column of type $type
	my $polymorphic = sub {
		my ($type, $declared) = @_;
		return [ typed => 'text', 'x' ] if $declared eq 'any';
		return [ typed => $type, $samples{$type}[0] ] if $declared =~ /^any(element|nonarray|compatible|compatiblenonarray)$/;
		return [ sql => "ARRAY['$samples{$type}[0]'::$type]", "$type\[]" ] if $declared =~ /^any(compatible)?array$/;
		my $i = $declared =~ /multirange/ ? 1 : 0;
		return $range{$type} && $samples{ $range{$type}[$i] } ? [ typed => $range{$type}[$i], $samples{ $range{$type}[$i] }[0] ] : undef
		  if $declared =~ /^any(compatible)?(multi)?range$/;
		return undef;
	};
	my $typed = sub {
		my ($type, $declared) = @_;
		return [ typed => 'text', $text_sample{$called} ] if $declared eq 'text' && $text_sample{$called};
		return [ typed => $declared, $samples{$declared}[0] ] if $samples{$declared};
		return $polymorphic->($type, $declared);
	};
	my $untyped = sub {
		my ($type, $declared) = @_;
		return [ untyped => $text_sample{$called} ] if $declared eq 'text' && $text_sample{$called};
		return [ untyped => $samples{$declared}[0] ] if $samples{$declared};
		return [ untyped => $samples{$type}[0] ] if $declared =~ /^any/ && $declared !~ /range|array/;
		return undef;
	};

	# Each way to call something with these declared parameters: how far it varies
	# from what is declared, and the arguments
	my $calls = sub {
		my ($type, @declared) = @_;
		my @calls;

		for my $i (grep { $becomes->($type, $declared[$_]) } 0 .. $#declared)
		{
			my @others = grep { $_ != $i } 0 .. $#declared;
			my $call = sub {
				my ($variation, $choose) = @_;
				my @args = map { $_ == $i ? [ column => $type ] : $choose->($declared[$_]) } 0 .. $#declared;
				push @calls, [ $variation, \@args, \@declared ] unless grep { !defined } @args;
			};

			$call->(0, sub { $typed->($type, $_[0]) });
			next unless @others;
			$call->(1, sub { $untyped->($type, $_[0]) // $typed->($type, $_[0]) });
			$call->(1, sub { $becomes->($type, $_[0]) ? [ column => $type ] : $typed->($type, $_[0]) });
			$call->(3, sub { my $d = $_[0];
				(grep { $_ eq $d } @base) ? [ column => $d ] : $becomes->($type, $d) ? [ column => $type ] : $typed->($type, $d) });
			next unless @others == 1;
			my $other = $declared[ $others[0] ];
			next if $other =~ /^any/;
			for my $x (grep { $_ ne $other && $becomes->($_, $other) } @parameter_types)
			{
				$call->(2, sub { [ typed => $x, $samples{$x}[0] ] });
				$call->(3, sub { [ column => $x ] }) if grep { $_ eq $x } @base;
			}
		}
		return @calls;
	};

	for my $type (@base)
	{
		for (@{ $catalog{operators} })
		{
			my ($name, $left, $right, $stable) = @$_;
			my @declared = $left eq '' ? ($right) : ($left, $right);
			$add->(type => $type, kind => 'operator', object => "$name(" . join(',', @declared) . ')', name => $name,
				variation => $_->[0], args => $_->[1], declared => $_->[2], execute => $stable eq 't')
			  for $calls->($type, @declared);
		}
		for (@{ $catalog{functions} })
		{
			my ($object, $name, $kind, $types, $variadic, $stable, $aggkind, $direct) = @$_;
			my @declared = split /,/, $types;
			$called = $name;
			my %use = (type => $type, object => $object, name => $name, execute => $stable eq 't',
				kind => { f => 'function', a => 'aggregate', w => 'window' }->{$kind});

			# About how a value is stored, which differs
			next if $name =~ /^pg_(typeof|column_size|column_compression)$/;
			next if grep { /^(internal|trigger|event_trigger|\w+_handler|anyenum)$/ } @declared;
			$declared[-1] =~ s/\[\]$// if $variadic eq 't';
			$use{over} = 1 if $kind eq 'w';
			if ($aggkind eq 'o')
			{
				$use{direct} = $direct + 0;
			}
			elsif ($aggkind eq 'h')
			{
				$use{direct} = 1;
				@declared = ('anyelement', 'anyelement');
			}
			for ($calls->($type, @declared))
			{
				(my $variation, my $call) = @$_;
				@use{qw(variation declared)} = ($variation, $_->[2]);
				$add->(%use, args => $call);
				$add->(%use, args => $call, over => 1) if $kind eq 'a' && $aggkind eq 'n';
				$add->(%use, args => $call, distinct => 1) if $kind eq 'a' && $aggkind eq 'n' && @$call == 1;
			}
		}

		$called = '';

		# Casts: from and to each type, and between encrypted columns
		for my $other (grep { $_ ne "cstring" } sort keys %samples)
		{
			my $literal = $other =~ /^(text|varchar|bpchar|name)$/ ? $samples{$type}[0] : $samples{$other}[0];
			my $sample = template_of([ typed => $other, $literal ]);
			$add->(type => $type, kind => 'assignment', object => "$type to $other", sql => "{$type}", target => "p_$other");
			$add->(type => $type, kind => 'assignment', object => "$other to $type", sql => $sample, target => "{$type}");
			$add->(type => $type, kind => 'cast', object => "$type to $other", sql => "CAST({$type} AS $other)", execute => 1);
			$add->(type => $type, kind => 'cast', object => "$other to $type", sql => "CAST($sample AS {$type:type})", execute => 1);
			next unless grep { $_ eq $other } @base;
			$add->(type => $type, kind => 'assignment', object => "$type to $other, both encrypted", sql => "{$type}", target => "{$other}");
			$add->(type => $type, kind => 'cast', object => "$type to $other, both encrypted", sql => "CAST({$type} AS {$other:type})", execute => 1);
		}

		# What the grammar makes of operators and types
		my $s = template_of([ typed => $type, $samples{$type}[0] ]);
		my $u = template_of([ untyped => $samples{$type}[0] ]);
		my $c = "{$type}";
		$add->(type => $type, kind => 'expression', object => $_ =~ s/\Q$s\E/x/gr =~ s/\Q$u\E/literal/gr, sql => $_, execute => 1)
		  for (map { ("coalesce($c, $_)", "coalesce($_, $c)", "nullif($c, $_)", "nullif($_, $c)", "greatest($c, $_)", "least($_, $c)",
				"CASE WHEN id = 1 THEN $c ELSE $_ END", "CASE $c WHEN $_ THEN 1 ELSE 2 END", "$c IN ($_, $_)", "$c NOT IN ($_, $_)",
				"$c = ANY (ARRAY[$_, $_])", "$_ = ANY (ARRAY[$c, $c])", "$c BETWEEN $_ AND $_", "$_ BETWEEN $c AND $c",
				"$c IS DISTINCT FROM $_", "$_ IS NOT DISTINCT FROM $c", "ARRAY[$c, $_]", "ARRAY[$_, $c]", "($c, 1) = ($_, 1)",
				"($_, 1) < ($c, 2)", "(SELECT x FROM (SELECT $c UNION SELECT $_) AS s (x) ORDER BY 1 LIMIT 1)",
				"(SELECT count(*) FROM (VALUES ($c), ($_)) AS s (x))", "$c IN (SELECT $_)", "$_ IN (SELECT $c)") } ($s, $u)),
		  "coalesce($c, $c)", "CASE WHEN id = 1 THEN NULL ELSE $c END", "$c IS NULL", "(ARRAY[$c])[1]", "ROW($c) IS NULL";
	}
	my %more = (
		text => [ '{text} LIKE \'a%\'', '{text} ILIKE \'A%\'', '{text} NOT LIKE \'a%\' ESCAPE \'x\'', '{text} SIMILAR TO \'a%\'', 'substring({text} FROM 2 FOR 1)',
			'substring({text} FROM \'b.\')', 'substring({text} SIMILAR \'a#"b#"c\' ESCAPE \'#\')', 'overlay({text} PLACING \'x\' FROM 2)', 'position(\'b\' IN {text})', 'trim({text})', 'trim(BOTH \'a\' FROM {text})',
			'{text} COLLATE "C" < \'b\'', '{text} LIKE ANY (ARRAY[\'a%\'])', 'normalize({text})', '{text} IS NORMALIZED', 'char_length({text})', 'XMLPARSE(CONTENT {text})', 'XMLELEMENT(NAME a, {text})' ],
		bytea => [ 'substring({bytea} FROM 2 FOR 1)', 'overlay({bytea} PLACING \'x\' FROM 2)', 'position(\'b\' IN {bytea})', 'trim(\'a\' FROM {bytea})', '{bytea} LIKE \'a%\'' ],
		bool => [ 'NOT {bool}', '{bool} AND true', 'true OR {bool}', '{bool} IS TRUE', '{bool} IS UNKNOWN', 'CASE WHEN {bool} THEN 1 END', '(SELECT 1 WHERE {bool})', 'count(*) FILTER (WHERE {bool})' ],
		(map { my $t = $_; $t => [ (map { ("{$t} $_ 2", "2 $_ {$t}", "{$t} $_ 1.1", "1.1 $_ {$t}") } qw(+ - * / = < >= <>)), "-{$t}", "coalesce({$t}, 0)",
			"sum({$t}) + 1", "avg({$t}) OVER (PARTITION BY id)", "greatest({$t}, 1.5)", "(ARRAY[1, 2, 3])[{$t}]", "(SELECT 1 LIMIT {$t})" ] } qw(int2 int4 int8 float4 float8 numeric)),
		(map { my $t = $_; $t => [ (map { "extract($_ FROM {$t})" } qw(year hour epoch)), "{$t} AT TIME ZONE 'UTC'", "now() - {$t} > '1 day'", "{$t} + interval '1 day'", "interval '1 day' + {$t}", "{$t} - interval '1 day'",
			"({$t}, interval '1 day') OVERLAPS ({$t}, {$t})", "{$t} < now()", "{$t} <= current_date", "current_date - {$t}", "to_char({$t}, 'YYYY HH24')", "age({$t})", "date_trunc('month', {$t})",
			"(SELECT count(*) FROM generate_series({$t}, {$t} + interval '1 day', interval '1 day'))" ] } qw(date time timestamp timestamptz interval)),
		jsonb => [ '{jsonb} -> \'a\' ->> 0', '{jsonb}[\'a\'][0]', '{jsonb} @> \'{"c": "x"}\'', '{jsonb} ? \'a\'', '(SELECT count(*) FROM jsonb_each({jsonb}))', '{jsonb} @@ \'$.c == "x"\'' ],
		inet => [ '{inet} << \'192.168.0.0/16\'', '{inet} + 1', 'host({inet})', '{inet} & {inet}' ]);
	for my $type (sort keys %more)
	{
		$add->(type => $type, kind => 'expression', object => $_, sql => $_, execute => 1) for @{ $more{$type} };
	}
	return @uses;
}

1;
