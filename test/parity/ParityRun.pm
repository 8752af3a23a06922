# Tries the uses of ParityUses.pm on a server, in the database "parity".

package ParityRun;

use strict;
use warnings;

use Exporter 'import';
use BaseTypes qw(base_types);
use ParityUses qw(samples catalog_queries uses plain encrypted);

our @EXPORT_OK = qw(judge psql);

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

# What psql runs: the table that the uses read, a sink for assignments, the functions
# that judge.  The types that PostgreSQL gives to the uses on plain columns are noted
# before the extension is there.
sub script
{
	my ($more, $uses) = @_;
	my @base = base_types();
	my %sample = samples();
	my $columns = join ', ', map { "p_$_ $_" } @base;
	my $encrypted_columns = join ', ', map { "ADD e_$_ encrypted_$_('parity')" } @base;
	my $seal = join ', ', map { "e_$_ = p_$_" } @base;
	my $sink = join ', ', (map { '"p_' . s/"/""/gr . "\" $_" } grep { $_ ne "cstring" } sort keys %sample);
	my $encrypted_sink = join ', ', map { "ADD e_$_ encrypted_$_('sink')" } @base;
	my $rows = join ",\n", map {
		my $row = $_;
		'(' . join(', ', $row + 1, map { $row < 2 ? "'$sample{$_}[$row]'" : 'NULL' } @base) . ')'
	} 0 .. 2;

	# A time zone where it shows when timestamp is taken for timestamptz
	return <<"SQL";
SET client_min_messages = warning;
SET timezone = 'America/New_York';
CREATE TABLE parity (id int PRIMARY KEY, $columns);
INSERT INTO parity VALUES $rows;
CREATE TABLE sink ($sink);
CREATE TABLE use (id int, target text, encrypted_target text, target_type text, evaluate bool, plain text, encrypted text, type regtype);
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

-- Does an expression over plain columns use an encrypted type?  (What makes XML of
-- queries is called through a function of ours, whatever the query has.)
CREATE FUNCTION is_sealed(expression text) RETURNS bool LANGUAGE plpgsql AS \$\$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) SELECT ' || expression || ' FROM parity' LOOP
		IF regexp_replace(line, 'pgseal_internal\\.\\w+_to_xml', '', 'g') ~ 'encrypted_|pgseal' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END \$\$;

-- The function or operator that an expression is a call of; NULL when it is none
-- of PostgreSQL's own, or one for any type.  Some may be those of a wider type: with
-- more candidates, untyped literals beside plain columns would become ambiguous.
CREATE FUNCTION resolved(expression text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	called text[];
	object text;
BEGIN
	EXECUTE 'CREATE OR REPLACE PROCEDURE tried() BEGIN ATOMIC SELECT ' || expression || ' FROM parity; END';
	SELECT regexp_match(prosqlbody::text, ':targetList \\(\\{TARGETENTRY :expr \\{\\w+ :(funcid|opno) (\\d+)') INTO called
		FROM pg_proc WHERE oid = 'tried'::regproc;
	IF called[2]::oid >= 16384 THEN
		RETURN NULL;
	END IF;
	object := CASE called[1] WHEN 'funcid' THEN called[2]::oid::regprocedure::text ELSE called[2]::oid::regoperator::text END;
	RETURN CASE WHEN object !~ '\\yany|^"?(width_bucket|generate_series|in_range|date_bin|overlaps)\\y' THEN object END;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
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
			CONTINUE WHEN u.type IS NULL;
			j.plain_type := u.type;
			SELECT type, message INTO j.encrypted_type, j.message FROM type_of(u.plain);
			IF j.encrypted_type IS DISTINCT FROM u.type THEN
				j.message := 'on plain columns: ' || coalesce(j.message, 'is of type ' || j.encrypted_type);
			ELSIF u.plain ~ '''([, )]|\$)' AND is_sealed(u.plain) THEN
				j.message := 'on plain columns: an untyped literal is sealed';
			END IF;
			IF j.message IS NOT NULL THEN
				j.encrypted_type := NULL;
				INSERT INTO judged SELECT j.*;
				CONTINUE;
			END IF;
			SELECT type, message INTO j.encrypted_type, j.message FROM type_of(u.encrypted);
			IF u.evaluate AND j.encrypted_type = j.plain_type THEN
				j.plain_value := value_of(u.plain, j.plain_type, 'true');
				j.encrypted_value := value_of(u.encrypted, j.plain_type, 'true');
			END IF;
			-- The same value may be a matter of luck; a cast is what it is
			IF u.plain NOT LIKE 'CAST(%' AND j.encrypted_type = j.plain_type AND j.plain_value IS NOT DISTINCT FROM j.encrypted_value THEN
				j.plain_value := resolved(u.plain);
				j.encrypted_value := CASE WHEN j.plain_value IS NOT NULL THEN coalesce(resolved(u.encrypted), j.plain_value) END;
			END IF;
		END IF;
		j.ms := 1000 * extract(epoch FROM clock_timestamp() - t);
		INSERT INTO judged SELECT j.*;
		-- So that procedures that were tried can be cleaned up
		IF u.id % 100 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END \$\$;
\\copy use (id, target, encrypted_target, target_type, evaluate, plain, encrypted) FROM pstdin
$uses\\.
UPDATE use SET type = (type_of(plain)).type WHERE target IS NULL;
CREATE EXTENSION pgseal;
$more
ALTER TABLE parity $encrypted_columns;
ALTER TABLE sink $encrypted_sink;
UPDATE parity SET $seal;
CALL judge();
SELECT id, plain_type,
	CASE WHEN encrypted_type IS NULL THEN coalesce(message, 'no such cast')
		WHEN encrypted_type <> plain_type THEN 'is of type ' || encrypted_type
		WHEN plain_value IS DISTINCT FROM encrypted_value
		THEN format('%s instead of %s', left(encrypted_value, 60), left(plain_value, 60)) END
FROM judged;
SQL
}

sub copy_field
{
	my ($value) = @_;
	return defined $value ? $value =~ s/\\/\\\\/gr =~ s/\t/\\t/gr : '\N';
}

# Returns the uses that PostgreSQL accepts on plain columns, with `works`, and `why`
# not; optionally after more SQL than the extension's, and of some templates only
sub judge
{
	my ($more, $only) = @_;
	my %catalog_query = catalog_queries();
	my (%catalog, %number, @statement);

	psql('postgres', "DROP DATABASE IF EXISTS parity;\nCREATE DATABASE parity TEMPLATE template0 ENCODING 'UTF8';");
	@catalog{ keys %catalog_query } = map { [ psql('parity', $_) ] } values %catalog_query;

	my @uses = grep { !$only || $only->{ $_->{template} } } uses(%catalog);
	for my $use (@uses)
	{
		my $key = ($use->{target} // '') . "\0$use->{template}";
		$use->{plain} = plain($use->{template});
		$use->{encrypted} = encrypted($use->{template});
		push @statement, $use unless defined $number{$key};
		$use->{number} = $number{$key} //= $#statement;
	}

	my $copied = '';
	for my $i (0 .. $#statement)
	{
		my $use = $statement[$i];
		my $target = $use->{target};
		my $type = defined $target ? $target =~ s/^p_|[{}]//gr : undef;
		$copied .= join("\t", map { copy_field($_) } $i, defined $target ? (plain($target), encrypted($target), $type) : (undef) x 3,
			$use->{execute} ? 't' : 'f', @$use{qw(plain encrypted)}) . "\n";
	}
	my %verdict = map { $_->[0] => $_ } psql('parity', script($more // '', $copied));
	return map {
		my $verdict = $verdict{ $_->{number} };
		$_->{plain_type} = $verdict->[1];
		$_->{why} = $verdict->[2];
		$_->{works} = $_->{why} eq '';
		$_
	} grep { $verdict{ $_->{number} } } @uses;
}

1;
