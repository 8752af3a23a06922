# Random values of the types that can be encrypted, for a comparison of plain
# and encrypted columns (test/t/core/differential.pl).
#
# Values come from classes: numbers that lie close together make values that lie
# close together (for ranges), one number gives values that are equal but often
# written in another way (1.5, 1.50, 150e-2), and few of the numbers are drawn
# much more often than others (for groups and joins).  In between come the odd
# ones of each type.  All of it follows from srand().

package DifferentialValues;

use strict;
use warnings;
use utf8;

use Exporter qw(import);
use List::Util qw(shuffle);
our @EXPORT_OK = qw(rows literal);

# Numbers of classes, and how many of them are frequent
use constant { CLASSES => 4000, FREQUENT => 12 };

# The odd values; those of later versions of PostgreSQL stand in %later.
my %odd = (
	text => [ '', ' ', '  ', 'a', 'a ', 'A', "a\x{301}", 'á', 'Á', 'ß', 'ss', 'SS', 'ﬁ', 'fi', 'İ', 'i', 'ı',
		"\t", "\n", '\\', '%', '_', "'", '"', '{}', 'NULL', '\\N', "\x{1F600}", "\x{FFFD}", "\x{200B}", 'a-b', 'ab', 'a b',
		'co-op', 'coop', 'z' x 3000, 'z' x 2999 . 'y', 'z' x 2999 . 'y ' ],
	bytea => [ '\\x', '\\x00', '\\x0000', '\\x000000', '\\x5c', '\\xff', '\\xff00', '\\x' . '00' x 3000, '\\x' . '00' x 2999 . '01' ],
	bool => [],
	int2 => [ -32768, -32767, 32767, 32766, 0, '-0', '+7', ' 7 ' ],
	int4 => [ -2147483648, -2147483647, 2147483647, 2147483646, 0, '-0', ' 7 ' ],
	int8 => [ '-9223372036854775808', '-9223372036854775807', '9223372036854775807', '9223372036854775806',
		'-0', 4294967296, 4294967295, 2147483648 ],
	float4 => [ 'NaN', 'nan', 'Infinity', '-Infinity', '-0', '0', '-0.0', '1e-45', '-1e-45', '1.4e-45', '3e-45', '1.1754942e-38', '1.17549435e-38',
		'3.4028235e38', '-3.4028235e38', '16777216', '16777217', '0.1', '0.10000000149011612' ],
	float8 => [ 'NaN', 'nan', 'Infinity', '-Infinity', '-0', '0', '-0.0', '5e-324', '-5e-324', '4.9e-324', '1e-323', '2.2250738585072009e-308',
		'2.2250738585072014e-308', '1.7976931348623157e308', '-1.7976931348623157e308', '9007199254740992',
		'9007199254740993', '0.1', '0.10000000000000001', '0.30000000000000004', '0.3' ],
	numeric => [ 'NaN', 'nan', 'Infinity', '-Infinity', 0, '0.000', '-0', '-0.0', '1e-1000', '1.0e-1000', '1e1000',
		'1' . '0' x 1000, '1' . '0' x 1000 . '.000', '1' . '0' x 999 . '1', '9' x 1000, '9' x 1000 . '.' . '9' x 1000,
		'0.' . '0' x 999 . '1', '0.' . '0' x 999 . '10', '-' . '9' x 1000 ],
	date => [ 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '0001-12-31 BC', '0001-01-01', '0044-03-15 BC',
		'2000-02-29', '1900-02-28', 'J0', 'epoch', '9999-12-31', '10000-01-01' ],
	time => [ '00:00', '24:00', '23:59:60', '23:59:59.999999', '00:00:00.000001', '12:00 AM', '12:00 PM', '12:00', 'allballs' ],
	timestamp => [ 'infinity', '-infinity', '4713-01-01 00:00 BC', '294276-12-31 23:59:59.999999', '2016-12-31 23:59:60',
		'2017-01-01 00:00:00', '2016-12-31 24:00', 'epoch', '1970-01-01', '0001-12-31 23:59:59.999999 BC', '0001-01-01' ],
	timestamptz => [ 'infinity', '-infinity', '4713-01-01 00:00+00 BC', '294276-12-31 23:59:59.999999+00',
		'2016-12-31 23:59:60+00', '2017-01-01 01:00+01', '2016-12-31 14:15-09:45', 'epoch',
		'2026-03-29 02:30 Europe/Zurich', '2026-03-29 01:30+00', '2026-10-25 02:30 Europe/Zurich', '1883-11-18 12:03:57-04:56:02' ],
	interval => [ '0', '1 day', '24 hours', '30 days', '1 month', '720:00', '1 mon -30 days', '-1 day +24:00', '-1 month', '-30 days',
		'1 year', '360 days', '12 mons', '178000000 years', '-178000000 years', '2147483647 days', '-2147483648 days',
		'2562047788:00:54.775807', '-2562047788:00:54.775807', '1 us', '-1 us', '1 day -1 us', '23:59:59.999999',
		'1 mon 1 day -24:00:00.000001' ],
	uuid => [ '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
		'{FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF}', '00000000000000000000000000000001' ],
	inet => [ '0.0.0.0', '0.0.0.0/0', '0.0.0.0/32', '255.255.255.255', '10.0.0.1', '10.0.0.1/32', '10.0.0.1/8', '10.0.0.0/8',
		'10.0.0.0/9', '::', '::/0', '::/128', '::1', '0:0:0:0:0:0:0:1', '::ffff:10.0.0.1', '::ffff:a00:1', '2001:DB8::/32',
		'2001:db8::/33', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' ],
	jsonb => [ 'null', 'true', 'false', '""', '" "', '0', '-0', '0.0', '1e2', '100', '100.00', '[]', '{}', '[null]', '[[]]', '[[[]]]', '[0]', '["0"]',
		'{"":""}', '{"a":1,"a":2}', '{"a":2}', '"\\u00e1"', '"á"', '"a\\u0301"', '{"aa":1,"b":1}', '{"b":1.0,"aa":1.00}',
		'[' x 500 . ']' x 500, '[' x 499 . '1' . ']' x 499, '[' x 499 . '1.0' . ']' x 499, '{"a":' x 200 . '1' . '}' x 200,
		'1' . '0' x 400, '1e400', '"' . 'x' x 3000 . '"' ]);
my %later = (17 => { interval => [ 'infinity', '-infinity' ] });

sub pick { return $_[ int(rand(@_)) ] }
sub chance { return rand() < $_[0] }

# A number with fraction digits, of a whole number of units of 10^-$scale
sub decimal
{
	my ($units, $scale) = @_;
	my $digits = sprintf('%0*d', $scale + 1, abs($units));

	substr($digits, -$scale, 0) = '.' if $scale > 0;
	return ($units < 0 ? '-' : '') . $digits;
}

my @LETTERS = (qw(a b c A B C z Z 0 9 _ -), ' ', 'á', "a\x{301}", 'ä', 'ß', 'ñ', "n\x{303}", 'Ω', 'ж', '漢', "\x{1F600}");

# $written{type}->($class): one of the ways to write the value of a class
my %written = (
	text => sub {
		my ($class) = @_;
		my ($n, $word) = ($class, '');
		for (1 .. 3) { $word = $LETTERS[ $n % @LETTERS ] . $word; $n = int($n / @LETTERS) }
		# to be equal under a collation that ignores case, or accents
		$word = pick($word, uc($word), lc($word), $word . ' ') if chance(0.2);
		return $class % 97 == 0 ? $word x 700 : $word;
	},
	bytea => sub {
		my ($class) = @_;
		my $bytes = pack('n', $class) . ($class % 7 == 0 ? "\0\0" : '') . ($class % 501 == 0 ? "\0\\'x" x 700 : '');
		return chance(0.7) ? '\\x' . pick(unpack('H*', $bytes), uc(unpack('H*', $bytes)))
		  : $bytes =~ s/([^a-zA-Z0-9])/sprintf('\\%03o', ord($1))/ger;
	},
	bool => sub { return $_[0] % 2 ? pick(qw(t true yes on 1 y TRUE)) : pick(qw(f false no off 0 n FALSE)) },
	int2 => sub { my $n = $_[0] - CLASSES / 2; return pick($n, " $n", "$n ") },
	int4 => sub { my $n = ($_[0] - CLASSES / 2) * ($_[0] % 2 ? 1 : 100003); return pick($n, " $n") },
	int8 => sub { my $n = ($_[0] - CLASSES / 2) * ($_[0] % 2 ? 1 : 1000003000037); return pick($n, "$n ") },
	float4 => sub { return real($_[0], 6) },
	float8 => sub { return real($_[0], 15) },
	numeric => sub {
		my ($class) = @_;
		my $n = decimal($class - CLASSES / 2, 2);
		my $form = $class % 5;
		if ($form == 0)
		{
			# Many digits, of which the last differ
			$n = '7' x 200 . decimal($class, 2);
			$n = ($class % 2 ? '-' : '') . $n;
		}
		elsif ($form == 1)
		{
			$n = '0.' . '0' x 200 . $class;
		}
		elsif ($form == 2)
		{
			my $units = $class - CLASSES / 2;
			return pick("${units}e-2", decimal($units * 10, 3), decimal($units, 2), decimal($units * 1000, 5));
		}
		return $n . ($n =~ /\./ ? '0' x pick(0, 0, 1, 2, 7, 300) : '');
	},
	date => sub {
		my ($class) = @_;
		# Around year 1, with BC, and around 2000
		my $julian = ($class % 3 == 0 ? 1721060 : 2451545) + $class - CLASSES / 2;
		return 'J' . $julian;
	},
	time => sub {
		my ($class) = @_;
		return $class % 3 == 0 ? sprintf('%02d:%02d', $class % 24, $class % 60)
		  : pick(sprintf('12:%02d:%02d.%06d', $class % 60, $class % 13, $class % 5),
			sprintf('12:%02d:%02d.%06d pm', $class % 60, $class % 13, $class % 5));
	},
	timestamp => sub { return moment($_[0]) },
	timestamptz => sub {
		my ($class) = @_;
		my $offset = int(rand(27)) - 13;
		return $class % 4 == 0 ? moment($class) : moment($class, $offset) . sprintf('%+03d', $offset);
	},
	interval => sub {
		my ($class) = @_;
		my $hours = ($class - CLASSES / 2) * 4;
		my $months = int(rand(7)) - 3;
		my $days = int(rand(90)) - 45;
		$hours -= 24 * ($days + 30 * $months);
		my $second = $class % 3 == 0 ? ' 0.000001 s' : '';
		return "$months mons $days days $hours hours$second";
	},
	uuid => sub {
		my $hex = sprintf('%08x0000400080000000%08x', $_[0] % 50 * 0x01010101, $_[0]);
		my $form = $hex =~ s/^(.{8})(.{4})(.{4})(.{4})(.{12})$/$1-$2-$3-$4-$5/r;
		return pick($form, uc($form), "{$form}", $hex);
	},
	inet => sub {
		my ($class) = @_;
		my ($high, $low) = (int($class / 200), $class % 200);
		my $mask = $class % 3 == 0 ? '/' . (8 + $class % 24) : '';
		return pick("10.0.$high.$low", "10.0.$high.$low/32") if $class % 4 < 2 && !$mask;
		return "10.0.$high.$low$mask" if $class % 4 < 2;
		$mask = $mask && '/' . (16 + $class % 100);
		return pick(sprintf('2001:db8::%x', $class), sprintf('2001:DB8:0:0:0:0:0:%04X', $class)) . $mask;
	},
	jsonb => sub { return json($_[0]) });

# Floats: ordinary ones, ones of large and tiny exponents, denormal ones
sub real
{
	my ($class, $digits) = @_;
	my $n = $class - CLASSES / 2;
	my $form = $class % 4;

	return pick($n / 8, sprintf('%.3f', $n / 8), sprintf('%.10e', $n / 8)) if $form < 2;
	return $n . 'e' . ($digits > 6 ? -320 : -42) if $form == 2;
	return $n . 'e' . ($digits > 6 ? 300 : 30);
}

# A moment of the year 5 BC, 1904, 2000 or 2104, told as where the clock is that
# many hours ahead
sub moment
{
	my ($class, $offset) = @_;
	my $minutes = $class * 7 + 60 * ($offset // 0) + 2000;
	my $day = 1 + int($minutes / 1440);
	my $clock = sprintf('%02d:%02d:%02d', int($minutes / 60) % 24, $minutes % 60, $class % 60);
	my $fraction = $class % 5 == 0 ? '.' . '0' x 5 . $class % 10 : '';
	my ($month, $in_month) = (1, $day);

	for my $length (31, 29, 31, 30)
	{
		last if $in_month <= $length;
		$in_month -= $length;
		$month++;
	}
	my $year = $class % 4 == 1 ? '2000' : $class % 4 == 2 ? '1904' : '2104';
	return sprintf('0005-%02d-%02d %s%s', $month, $in_month > 28 ? 28 : $in_month, $clock, $fraction) . ' BC' if $class % 4 == 0;
	return sprintf('%s-%02d-%02d %s%s', $year, $month, $in_month, $clock, $fraction);
}

# Whole numbers as JSON can write them
sub json_number
{
	my ($n) = @_;
	return pick($n, "$n.0", "$n.000", ($n == 0 ? '0e5' : "${n}00e-2"));
}

sub json
{
	my ($class) = @_;
	my $n = json_number($class % 1000);
	my $blank = pick('', ' ', "\n", '  ');
	my $form = $class % 8;

	return $n if $form == 0;
	return qq("$class") if $form == 1;
	return "[$blank$n,$blank" . json_number($class % 3) . ']' if $form == 2;
	return '[' x ($class % 40 + 1) . $n . ']' x ($class % 40 + 1) if $form == 3;
	my @members = (qq("a":$blank$n), qq("long key":$blank"$class"), q("list":[1,{"x":null},) . json_number(7) . ']',
		qq("é":$blank) . json_number($class % 5));
	splice @members, $class % 4, 1;
	@members = shuffle(@members);
	unshift @members, '"a": "is overwritten"' if $members[0] !~ /^"a"/ && chance(0.1);
	return "{$blank" . join(",$blank", @members) . "$blank}";
}

sub class_number { return int(rand(chance(0.3) ? FREQUENT : CLASSES)) * 331 % CLASSES }

# rows($type, $count, $pg_version): [ v, o ], ...; undef for NULL.  In a row, o
# often equals v or is next to it.
sub rows
{
	my ($type, $count, $version) = @_;
	my $write = $written{$type};
	my @odd = (@{ $odd{$type} }, map { @{ $later{$_}{$type} // [] } } grep { $version >= $_ } keys %later);
	my @rows;

	for (1 .. $count)
	{
		my $class = class_number();
		my $v = @odd && chance(0.12) ? pick(@odd) : $write->($class);
		my $o = rand();

		$o = $o < 0.05 ? undef
		  : $o < 0.12 ? $v
		  : @odd && $o < 0.2 ? pick(@odd)
		  : $o < 0.5 ? $write->($class)
		  : $o < 0.8 ? $write->(($class + pick(1, -1, 4, -8, 60)) % CLASSES)
		  : $write->(class_number());
		push @rows, [ chance(0.05) ? undef : $v, $o ];
	}
	return @rows;
}

# As COPY wants it
sub literal
{
	my ($value) = @_;
	my %escape = ("\\" => '\\\\', "\t" => '\\t', "\n" => '\\n', "\r" => '\\r');

	return '\\N' unless defined $value;
	return $value =~ s/([\\\t\n\r])/$escape{$1}/gr;
}

1;
