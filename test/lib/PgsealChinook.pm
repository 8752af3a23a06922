# The Chinook database, a shop that sells music, as the tests load it: as it is,
# or with its personal columns encrypted, in which only their types differ.
#
# The script is data/chinook.sql under $PGSEAL_SHARED (else ../shared beside the
# repository).  Where that is missing, one of the same shape is generated.

package PgsealChinook;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils qw(slurp_file);
use SealedNode;

our @EXPORT_OK = qw(chinook_script chinook_sealed chinook_tables chinook_altered chinook_node);

# The columns that name, locate or date a person.  An invoice repeats the
# customer's address.
my %personal = (
	customer => [qw(first_name last_name company address city state postal_code phone fax email)],
	employee => [
		qw(first_name last_name birth_date hire_date address city state postal_code phone fax email)
	],
	invoice => [qw(billing_address billing_city billing_state billing_postal_code)],
);

# Table => its encrypted columns
sub chinook_tables
{
	return %personal;
}

# A server with pgseal whose collation differs from the order of bytes where
# PostgreSQL was built with ICU
sub chinook_node
{
	my ($name) = @_;
	my @icu = `$ENV{PG_CONFIG} --configure` =~ /--with-icu/
	  ? ('--locale-provider=icu', '--icu-locale=en-US')
	  : ();
	my $keyring = PostgreSQL::Test::Utils::tempdir() . '/keyring';

	return SealedNode->started($name, extra => \@icu, conf => qq{
pgseal.keyring_file = '$keyring'
log_line_prefix = '%m [%p] '
});
}

# The script, without the commands that create and enter a database
sub chinook_script
{
	my $path = ($ENV{PGSEAL_SHARED} // dirname(__FILE__) . '/../../../shared') . '/data/chinook.sql';

	return generated_script() unless -r $path;
	my $script = slurp_file($path);
	$script =~ s/^(?:DROP DATABASE|CREATE DATABASE|\\c) .*\n//mg;
	return $script;
}

# The same with encrypted columns in CREATE TABLE.  A table named here is left
# as it is, for chinook_altered().
sub chinook_sealed
{
	my ($script, %except) = @_;

	foreach my $table (grep { !$except{$_} } sort keys %personal)
	{
		my $columns = join '|', @{ $personal{$table} };

		$script =~ s{(CREATE TABLE $table\n\()(.*?)(^\);)}{
			my ($head, $body, $tail) = ($1, $2, $3);
			$body =~ s/^(\s+(?:$columns)) VARCHAR\(\d+\)/$1 encrypted_text/mg;
			$body =~ s/^(\s+(?:$columns)) TIMESTAMP/$1 encrypted_timestamp/mg;
			"$head$body$tail";
		}mse or die "no table $table in the script";
	}
	return $script;
}

# ALTER TABLE that encrypts (or, with 'plain', decrypts) the columns of a table
sub chinook_altered
{
	my ($table, $plain) = @_;

	return "ALTER TABLE $table " . join(', ', map {
		my $type = /_date$/ ? 'timestamp' : 'text';
		"ALTER COLUMN $_ TYPE " . ($plain ? $type : "encrypted_$type")
	} @{ $personal{$table} }) . ';';
}

#
# Generated data
#

my $tables = <<'EOS';
CREATE TABLE artist
(
    artist_id INT NOT NULL PRIMARY KEY,
    name VARCHAR(120)
);
CREATE TABLE album
(
    album_id INT NOT NULL PRIMARY KEY,
    title VARCHAR(160) NOT NULL,
    artist_id INT NOT NULL REFERENCES artist
);
CREATE TABLE genre
(
    genre_id INT NOT NULL PRIMARY KEY,
    name VARCHAR(120)
);
CREATE TABLE track
(
    track_id INT NOT NULL PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    album_id INT REFERENCES album,
    genre_id INT REFERENCES genre,
    composer VARCHAR(220),
    milliseconds INT NOT NULL,
    unit_price NUMERIC(10,2) NOT NULL
);
CREATE TABLE employee
(
    employee_id INT NOT NULL PRIMARY KEY,
    last_name VARCHAR(20) NOT NULL,
    first_name VARCHAR(20) NOT NULL,
    title VARCHAR(30),
    reports_to INT REFERENCES employee,
    birth_date TIMESTAMP,
    hire_date TIMESTAMP,
    address VARCHAR(70),
    city VARCHAR(40),
    state VARCHAR(40),
    country VARCHAR(40),
    postal_code VARCHAR(10),
    phone VARCHAR(24),
    fax VARCHAR(24),
    email VARCHAR(60)
);
CREATE TABLE customer
(
    customer_id INT NOT NULL PRIMARY KEY,
    first_name VARCHAR(40) NOT NULL,
    last_name VARCHAR(20) NOT NULL,
    company VARCHAR(80),
    address VARCHAR(70),
    city VARCHAR(40),
    state VARCHAR(40),
    country VARCHAR(40),
    postal_code VARCHAR(10),
    phone VARCHAR(24),
    fax VARCHAR(24),
    email VARCHAR(60) NOT NULL,
    support_rep_id INT REFERENCES employee
);
CREATE TABLE invoice
(
    invoice_id INT NOT NULL PRIMARY KEY,
    customer_id INT NOT NULL REFERENCES customer,
    invoice_date TIMESTAMP NOT NULL,
    billing_address VARCHAR(70),
    billing_city VARCHAR(40),
    billing_state VARCHAR(40),
    billing_country VARCHAR(40),
    billing_postal_code VARCHAR(10),
    total NUMERIC(10,2) NOT NULL
);
CREATE TABLE invoice_line
(
    invoice_line_id INT NOT NULL PRIMARY KEY,
    invoice_id INT NOT NULL REFERENCES invoice,
    track_id INT NOT NULL REFERENCES track,
    unit_price NUMERIC(10,2) NOT NULL,
    quantity INT NOT NULL
);
EOS

my @first = qw(Łucja Henrike Özlem Ibrahim Marguerite Søren Vladislava Joaquín Wilhelmina Théodore Luís);
my @last = qw(Grzybowski Ångström Petrosyan O'Hanlon Quispe Żeromska Nakashima Fernández Vandenberg);
my @place = (
	[ 'USA', 'CA', 'Pasadena' ], [ 'USA', 'TX', 'Lubbock' ], [ 'Brazil', 'SP', 'São Vicente' ],
	[ 'Germany', undef, 'Göttingen' ], [ 'France', undef, 'Besançon' ], [ 'Canada', 'QC', 'Trois-Rivières' ],
	[ 'Czech Republic', undef, 'Olomouc' ]);

sub rows
{
	my ($table, @rows) = @_;

	return "INSERT INTO $table VALUES\n" . join(",\n", map {
		'    (' . join(', ', map {
			!defined $_ ? 'NULL' : /^-?\d+(\.\d\d)?$/ ? $_
			  : /^\d{4}\/\d+\/\d+$/ ? "'$_'" : "N'" . s/'/''/gr . "'"
		} @$_) . ')'
	} @rows) . ";\n";
}

sub person
{
	my ($id) = @_;
	my ($first, $last) = ($first[ $id % @first ], $last[ $id * 7 % @last ]);
	my ($country, $state, $city) = @{ $place[ $id * 3 % @place ] };

	return (
		first => $first, last => $last, country => $country, state => $state, city => $city,
		address => (100 + $id * 37) . " Rosewood Alley $id",
		postal => sprintf('%05d-%03d', 10000 + $id * 811, $id),
		phone => sprintf('+%d (%d) 555-%04d', 1 + $id % 90, 100 + $id, $id * 73),
		fax => $id % 3 ? undef : sprintf('+%d (%d) 556-%04d', 1 + $id % 90, 100 + $id, $id * 71),
		email => sprintf('person.%03d@%s', $id, $id % 2 ? 'gmail.com' : 'apple.example'));
}

sub generated_script
{
	my (@employees, @customers, @invoices, @lines);

	foreach my $id (1 .. 8)
	{
		my %p = person($id + 100);
		push @employees, [ $id, @p{qw(last first)}, 'Sales Support Agent', $id > 1 ? ($id + 1) >> 1 : undef,
			(1950 + $id * 3) . "/$id/28", (2001 + $id % 4) . "/$id/14",
			@p{qw(address city state country postal phone fax email)} ];
	}
	foreach my $id (1 .. 59)
	{
		my %p = person($id);
		push @customers, [ $id, @p{qw(first last)}, $id % 6 ? undef : "Holding $p{last} & Sons No. $id",
			@p{qw(address city state country postal phone fax email)}, 3 + $id % 3 ];
	}
	foreach my $id (1 .. 200)
	{
		my %p = person(1 + $id % 59);
		push @invoices, [ $id, 1 + $id % 59, (2021 + $id % 4) . '/' . (1 + $id % 12) . '/' . (1 + $id % 28),
			@p{qw(address city state country postal)}, sprintf('%.2f', 3 * 0.99 * (1 + $id % 5)) ];
		push @lines, [ $id * 3 + $_, $id, 1 + ($id * 3 + $_) % 120, '0.99', 1 + $id % 5 ] foreach 0 .. 2;
	}
	return $tables
	  . rows('artist', map { [ $_, "Artist $_" ] } 1 .. 12)
	  . rows('album', map { [ $_, "Album $_", 1 + $_ % 12 ] } 1 .. 30)
	  . rows('genre', [ 1, 'Rock' ], [ 2, 'Jazz' ], [ 3, 'Latin' ])
	  . rows('track', map { [ $_, "Track $_", 1 + $_ % 30, 1 + $_ % 3, undef, $_ * 1000, '0.99' ] } 1 .. 120)
	  . rows('employee', @employees) . rows('customer', @customers)
	  . rows('invoice', @invoices) . rows('invoice_line', @lines);
}

1;
