# Tries the uses of ParityUses.pm on a server, in the database "parity".

package ParityRun;

use strict;
use warnings;

use Exporter 'import';
use ParityUses qw(samples catalog_queries uses plain encrypted);

our @EXPORT_OK = qw(judge psql base_types);

sub base_types { return ParityUses::base_types() }

# Runs a script; returns the rows it prints
sub psql
{
	my ($database, $script) = @_;
	my $pid = open(my $out, '-|') // die "fork: $!\n";

	if ($pid == 0)
	{
		open(my $in, '|-', 'psql', '-XAtq', '-F', "\t", '-v', 'ON_ERROR_STOP=1', '-d', $database)
		  or die "psql: $!\n";
		binmode $in, ':utf8';
		print $in $script;
		exit(close($in) ? 0 : 1);
	}
	binmode $out, ':utf8';
	my @rows = map { chomp; [ split /\t/, $_, -1 ] } <$out>;
	close $out or die "psql failed in database $database\n";
	return @rows;
}

# The table that the uses read, a sink for assignments, and the functions that judge
sub setup
{
	my @base = base_types();
	my %sample = samples();
	my $columns = join ', ', map { "p_$_ $_, e_$_ encrypted_$_('parity')" } @base;
	my $sink = join ', ', (map { '"p_' . s/"/""/gr . "\" $_" } grep { $_ ne "cstring" } sort keys %sample), (map { "e_$_ encrypted_$_('sink')" } @base);
	my $rows = join ",\n", map {
		my $row = $_;
		'(' . join(', ', $row + 1, map { $row < 2 ? ("'$sample{$_}[$row]'") x 2 : ('NULL') x 2 } @base) . ')'
	} 0 .. 2;

	return <<"SQL";
SET client_min_messages = warning;
CREATE EXTENSION pgseal;
CREATE TABLE parity (id int PRIMARY KEY, $columns);
INSERT INTO parity VALUES $rows;
CREATE TABLE sink ($sink);
CREATE TABLE use (id int, target text, encrypted_target text, target_type text, evaluate bool, plain text, encrypted text);
CREATE TABLE judged (id int, plain_type regtype, encrypted_type regtype, plain_value text, encrypted_value text, message text, ms real);

-- The base type of an encrypted type, also of an array of it
CREATE FUNCTION opened_type(t regtype) RETURNS regtype LANGUAGE sql STABLE AS
	\$\$ SELECT CASE WHEN t::text LIKE 'encrypted\\_%' THEN substr(t::text, 11)::regtype ELSE t END \$\$;

-- The type of an expression, without executing it; or why it has none
CREATE FUNCTION type_of(expression text, OUT type regtype, OUT message text) LANGUAGE plpgsql AS \$\$
BEGIN
	EXECUTE 'SELECT pg_typeof((SELECT ' || expression || ' FROM parity WHERE false))' INTO type;
	type := opened_type(type);
EXCEPTION WHEN OTHERS THEN
	message := SQLERRM;
END \$\$;

-- Its values over the table, as text, or the error
CREATE FUNCTION value_of(expression text, type regtype, condition text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE result text;
BEGIN
	EXECUTE format('SELECT string_agg(coalesce(CASE WHEN length(x::text) > 100 THEN md5(x::text) ELSE x::text END, ''NULL''), '' '') FROM (SELECT (%s)' ||
		CASE WHEN type::text IN ('record', 'void', 'record[]') THEN '' ELSE '::' || type END ||
		' AS x FROM parity WHERE %s LIMIT 100) AS s', expression, condition) INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	result := 'error ' || SQLSTATE;
	-- The second row's value may be fine
	IF condition = 'true' THEN
		result := result || ', ' || value_of(expression, type, 'id = 2');
	END IF;
	RETURN result;
END \$\$;

-- What a column holds after an assignment; NULL when it is not allowed
CREATE FUNCTION assigned(target text, expression text, type text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE result text;
BEGIN
	EXECUTE format('WITH s AS (INSERT INTO sink (%I) SELECT %s FROM parity WHERE id = 1 RETURNING %I::%s AS x)
		SELECT string_agg(coalesce(x::text, ''NULL''), '' '') FROM s', target, expression, target, type) INTO result;
	RETURN result;
EXCEPTION
	WHEN datatype_mismatch THEN RETURN NULL;
	WHEN OTHERS THEN RETURN 'error ' || SQLSTATE;
END \$\$;

CREATE PROCEDURE judge() LANGUAGE plpgsql AS \$\$
DECLARE
	u use;
	j judged;
	t timestamptz;
BEGIN
	FOR u IN SELECT * FROM use LOOP
		t := clock_timestamp();
		j := ROW(u.id);
		IF u.target IS NOT NULL THEN
			j.plain_value := assigned(u.target, u.plain, u.target_type);
			CONTINUE WHEN j.plain_value IS NULL;
			j.plain_type := u.target_type;
			j.encrypted_value := assigned(u.encrypted_target, u.encrypted, u.target_type);
			IF j.encrypted_value IS NOT NULL THEN
				j.encrypted_type := u.target_type;
			END IF;
		ELSE
			j.plain_type := (type_of(u.plain)).type;
			CONTINUE WHEN j.plain_type IS NULL;
			SELECT type, message INTO j.encrypted_type, j.message FROM type_of(u.encrypted);
			IF u.evaluate AND j.encrypted_type = j.plain_type THEN
				j.plain_value := value_of(u.plain, j.plain_type, 'true');
				j.encrypted_value := value_of(u.encrypted, j.plain_type, 'true');
			END IF;
		END IF;
		j.ms := 1000 * extract(epoch FROM clock_timestamp() - t);
		INSERT INTO judged SELECT j.*;
	END LOOP;
END \$\$;
SQL
}

sub copy_field
{
	my ($value) = @_;
	return defined $value ? $value =~ s/\\/\\\\/gr =~ s/\t/\\t/gr : '\N';
}

# Returns the uses that PostgreSQL accepts on plain columns, with `works`, and `why` not
sub judge
{
	my %catalog_query = catalog_queries();
	my (%catalog, %number, @statement);

	psql('postgres', "DROP DATABASE IF EXISTS parity;\nCREATE DATABASE parity TEMPLATE template0 ENCODING 'UTF8';");
	@catalog{ keys %catalog_query } = map { [ psql('parity', $_) ] } values %catalog_query;

	my @uses = uses(%catalog);
	for my $use (@uses)
	{
		my $key = ($use->{target} // '') . "\0$use->{template}";
		$use->{plain} = plain($use->{template});
		$use->{encrypted} = encrypted($use->{template});
		push @statement, $use unless defined $number{$key};
		$use->{number} = $number{$key} //= $#statement;
	}

	my $script = setup() . "COPY use FROM stdin;\n";
	for my $i (0 .. $#statement)
	{
		my $use = $statement[$i];
		my $target = $use->{target};
		my $type = defined $target ? $target =~ s/^p_|[{}]//gr : undef;
		$script .= join("\t", map { copy_field($_) } $i, defined $target ? (plain($target), encrypted($target), $type) : (undef) x 3,
			$use->{execute} ? 't' : 'f', @$use{qw(plain encrypted)}) . "\n";
	}
	$script .= "\\.\n" . <<'SQL';
CALL judge();
SELECT id, plain_type,
	CASE WHEN encrypted_type IS NULL THEN coalesce(message, 'no such cast')
		WHEN encrypted_type <> plain_type THEN 'is of type ' || encrypted_type
		WHEN plain_value IS DISTINCT FROM encrypted_value
		THEN format('%s instead of %s', left(encrypted_value, 60), left(plain_value, 60)) END
FROM judged;
SQL
	my %verdict = map { $_->[0] => $_ } psql('parity', $script);
	return map {
		my $verdict = $verdict{ $_->{number} };
		$_->{plain_type} = $verdict->[1];
		$_->{why} = $verdict->[2];
		$_->{works} = $_->{why} eq '';
		$_
	} grep { $verdict{ $_->{number} } } @uses;
}

1;
