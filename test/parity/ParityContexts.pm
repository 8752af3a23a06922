# The contexts that SQL parity is measured in, beyond single calls: see contexts.pl.
#
# A context is a statement, or the making of an object and the statements that
# use it, in which a column of one type stands beside something of another: an
# untyped literal, a typed one, a column, an untyped parameter or a typed one.
# It is written once and run twice, in the schema "plain" and in the schema
# "sealed", whose tables differ in nothing but that the latter's are encrypted.
#
#   {c}      the column, of type {A}       {C}   its name
#   {o}      what stands beside it, of type {B}
#   {A:type} how the type is declared, {B:type}
#   {t}      the table; {s} the schema; {n} a name for an object

package ParityContexts;

use strict;
use warnings;

use Exporter 'import';
use BaseTypes qw(base_types);

our @EXPORT_OK = qw(tables statements objects);

# Two values a type, such that within a family the first are equal.
my %values = (
	text => [ 'abc', '7' ], bytea => [ '\x616263', '\x00ff' ], bool => [ 'true', 'false' ],
	(map { $_ => [ '3', '-7' ] } qw(int2 int4 int8)), (map { $_ => [ '3', '-1.25' ] } qw(float4 float8)),
	numeric => [ '3.00', '-7.5' ], date => [ '2024-02-29', '1999-12-31' ], time => [ '12:34:56.789', '24:00' ],
	timestamp => [ '2024-02-29 00:00:00', '1999-12-31 23:59:59' ], timestamptz => [ '2024-02-29 00:00:00', '1999-12-31 23:59:59+00' ],
	interval => [ '1 mon 2 days 03:04:05', '-24 hours' ], uuid => [ 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '00000000-0000-0000-0000-000000000000' ],
	inet => [ '192.168.0.1/24', '::1' ], jsonb => [ '{"a": [1, null]}', '[1, 2]' ],
	varchar => ['abc'], bpchar => ['abc'], name => ['abc'], cidr => ['192.168.0.0/24']);
my @base = base_types();
my @families = ([qw(int2 int4 int8 float4 float8 numeric)], [qw(date timestamp timestamptz)], [qw(time interval)], [qw(text varchar bpchar name)], [qw(inet cidr)]);
my %is_base = map { $_ => 1 } @base;

# Of each row of the table, and of the whole
sub each_row { return "SELECT pg_typeof(v), v FROM (SELECT $_[0] AS v, id FROM {t}) s ORDER BY id" }
sub of_all { return "SELECT pg_typeof(v), v FROM (SELECT $_[0] AS v FROM {t}) s" }
sub of_rows { return "SELECT pg_typeof(v), v FROM ($_[0]) s (v) ORDER BY v" }

# Changes something, and undoes it
sub undone { return join '; ', 'BEGIN', @_, 'ROLLBACK' }

my @statements = (
	[ 'coalesce', each_row('coalesce({c}, {o})'), each_row('coalesce({o}, {c})'), each_row('coalesce(NULL, {c}, {o})') ],
	[ 'nullif', each_row('nullif({c}, {o})'), each_row('nullif({o}, {c})') ],
	[ 'case', each_row('CASE WHEN id = 1 THEN {c} ELSE {o} END'), each_row('CASE WHEN id = 1 THEN {o} ELSE {c} END') ],
	[ 'case of', each_row('CASE {c} WHEN {o} THEN 1 ELSE 2 END'), each_row('CASE {o} WHEN {c} THEN 1 ELSE 2 END') ],
	[ 'greatest, least', each_row('greatest({c}, {o})'), each_row('least({o}, {c})') ],
	[ 'array', each_row('ARRAY[{c}, {o}]'), each_row('ARRAY[{o}, {c}]'), each_row('(ARRAY[{c}, {o}])[1]'), each_row('ARRAY[[{c}], [{o}]]') ],
	[ 'values', of_rows('SELECT y FROM {t}, LATERAL (VALUES ({c}), ({o})) AS w (y)') ],
	[ 'union', of_rows('SELECT {c} FROM {t} UNION SELECT {o} FROM {t}'), of_rows('SELECT {o} FROM {t} UNION ALL SELECT {c} FROM {t}') ],
	[ 'intersect', of_rows('SELECT {c} FROM {t} INTERSECT SELECT {o} FROM {t}') ],
	[ 'except', of_rows('SELECT {c} FROM {t} EXCEPT SELECT {o} FROM {t}') ],
	[ 'recursion', 'WITH RECURSIVE r (v, n) AS (SELECT {c}, 1 FROM {t} UNION ALL SELECT v, n + 1 FROM r WHERE n < 3) SELECT pg_typeof(v), v, n FROM r ORDER BY v, n',
		'WITH RECURSIVE r (v, n) AS (SELECT {c}, 1 FROM {t} UNION ALL SELECT coalesce(v, {o}), n + 1 FROM r WHERE n < 3) SELECT pg_typeof(v), v, n FROM r ORDER BY v, n',
		'WITH RECURSIVE r (v, n) AS (SELECT {c}, 1 FROM {t} UNION SELECT v + {o}, n + 1 FROM r WHERE n < 3) SELECT pg_typeof(v), v, n FROM r ORDER BY v, n',
		'WITH RECURSIVE r (v, n) AS (SELECT {c}, 1 FROM {t} UNION SELECT v || {o}, n + 1 FROM r WHERE n < 3) SELECT pg_typeof(v), v, n FROM r ORDER BY v, n' ],
	[ 'in list', each_row('{c} IN ({o}, {o})'), each_row('{c} NOT IN ({o}, {o})'), each_row('{o} IN ({c}, {o})') ],
	[ 'in subquery', each_row('{c} IN (SELECT {o})'), each_row('{o} NOT IN (SELECT {c})'), 'SELECT id FROM {t} WHERE {c} IN (SELECT {o} FROM {t} AS u) ORDER BY id' ],
	[ 'in rows', each_row('({c}, id) IN (({o}, 1), ({o}, 2))'), each_row('({o}, {c}) IN (({c}, {o}))'), each_row('({c}, id) IN (SELECT {o}, 1)'), each_row('({c}, id) NOT IN (SELECT {o}, 1)') ],
	[ 'row comparison', each_row('({c}, id) < ({o}, 2)'), each_row('({c}, id) = ({o}, 1)'), each_row('({c}, {c}, id) >= ({o}, {o}, 1)'), each_row('({o}, {c}) <> ({c}, {o})'),
		each_row('ROW({c}, id) IS DISTINCT FROM ROW({o}, 1)'), 'SELECT id FROM {t} WHERE ({c}, id) > ({o}, 0) ORDER BY {c}, id' ],
	[ 'distinct from', each_row('{c} IS DISTINCT FROM {o}'), each_row('{o} IS NOT DISTINCT FROM {c}') ],
	[ 'between', each_row('{c} BETWEEN {o} AND {o}'), each_row('{o} BETWEEN SYMMETRIC {c} AND {c}'), each_row('{c} NOT BETWEEN SYMMETRIC {o} AND {c}') ],
	[ 'any, all', each_row('{c} = ANY (ARRAY[{o}, {o}])'), each_row('{o} < ALL (ARRAY[{c}])'), each_row('{c} >= ANY (SELECT {o})') ],
	[ 'join using', 'SELECT pg_typeof(v), v FROM (SELECT {c} AS v FROM {t}) AS l JOIN (SELECT {o} AS v FROM {t}) AS r USING (v) ORDER BY v',
		'SELECT pg_typeof(v), v FROM (SELECT {c} AS v FROM {t}) AS l NATURAL FULL JOIN (SELECT {o} AS v FROM {t}) AS r ORDER BY v',
		'SELECT j, row_to_json(j) FROM ((SELECT {c} AS v, id FROM {t}) AS l LEFT JOIN (SELECT {o} AS v, id AS i FROM {t}) AS r USING (v)) AS j ORDER BY j.id, j.i',
		'SELECT v, x.v FROM (SELECT {o} AS v FROM {t}) AS l FULL JOIN (SELECT {c} AS v FROM {t}) AS r USING (v) FULL JOIN (SELECT {c} AS v FROM {t}) AS x USING (v) ORDER BY 1, 2',
		'SELECT v, count(*) FROM (SELECT {c} AS v FROM {t}) AS l RIGHT JOIN (SELECT {o} AS v FROM {t}) AS r USING (v) GROUP BY v ORDER BY v' ],
	[ 'distinct on', 'SELECT DISTINCT ON (v) pg_typeof(v), v FROM (SELECT coalesce({c}, {o}) AS v, id FROM {t}) AS s ORDER BY v, id' ],
	[ 'group by', 'SELECT pg_typeof(v), v, count(*) FROM (SELECT coalesce({c}, {o}) AS v FROM {t}) AS s GROUP BY ROLLUP (v) ORDER BY v, 3',
		'SELECT count(*) FROM {t} GROUP BY {c} HAVING {c} = {o}' ],
	[ 'window default', each_row('lag({c}, 1, {o}) OVER (ORDER BY id)'), each_row('lead({c}, 1, {o}) OVER (ORDER BY id)'), each_row('lag({o}, 1, {c}) OVER (ORDER BY id)') ],
	[ 'window', each_row('first_value({c}) OVER (PARTITION BY {c} = {o} ORDER BY id)'), each_row('rank() OVER (ORDER BY {c}, id)'), each_row('array_agg({c}) OVER (ORDER BY id)') ],
	[ 'range frame', each_row('count(*) OVER (ORDER BY {c} RANGE BETWEEN {o} PRECEDING AND CURRENT ROW)'), each_row('count(*) OVER (ORDER BY {c} RANGE \'1 day\' PRECEDING)'), each_row('sum({c}) OVER (ORDER BY {c} RANGE 2 PRECEDING)') ],
	[ 'aggregate filter', of_all('count(*) FILTER (WHERE {c} = {o})'), of_all('max({c}) FILTER (WHERE {c} >= {o})'), of_all('sum(coalesce({c}, {o}))'), of_all('count(DISTINCT coalesce({c}, {o}))') ],
	[ 'aggregate order by', of_all('array_agg({c} ORDER BY {c} DESC)'), of_all('array_agg(id ORDER BY coalesce({c}, {o}))'), of_all("string_agg({c}::text, ',' ORDER BY {c})"), of_all('array_agg(DISTINCT {c})') ],
	[ 'within group', of_all('percentile_disc(0.5) WITHIN GROUP (ORDER BY {c})'), of_all('rank({o}) WITHIN GROUP (ORDER BY {c})'), of_all('mode() WITHIN GROUP (ORDER BY coalesce({c}, {o}))') ],
	[ 'overload', each_row('{s}.ov({c})'), each_row('{s}.ov({c}, {o})'), each_row('{s}.ov({o}, {c})') ],
	[ 'overload preferred', each_row('{s}.pv({c})'), each_row('{s}.pv({c}, {o})'), each_row('{s}.pv({o}, {c})') ],
	[ 'function', each_row('{s}.of_{B}({c})'), each_row('{s}.like_{A}({o})'), each_row('{s}.atomic_{A}({o})'), each_row('{s}.plpgsql_{A}({o})'), each_row('{s}.any({c}, {o})') ],
	[ 'array operator', each_row('ARRAY[{c}] @> ARRAY[{o}]'), each_row('ARRAY[{o}] <@ ARRAY[{c}]'), each_row('ARRAY[{c}] && ARRAY[{o}, {o}]'), each_row('ARRAY[{c}] = ARRAY[{o}]'), each_row('ARRAY[{o}] < ARRAY[{c}]'),
		each_row('ARRAY[{c}] || {o}'), each_row('ARRAY[{c}] || ARRAY[{o}]'), each_row('array_append(ARRAY[{c}], {o})'), each_row('array_position(ARRAY[{c}], {o})'), each_row('array_remove(ARRAY[{c}], {o})') ],
	[ 'array column', each_row('a_{C} @> ARRAY[{o}]'), each_row('a_{C} = ARRAY[{o}]'), each_row('a_{C} && ARRAY[{c}, {o}]'), each_row('{o} = ANY (a_{C})'), each_row('a_{C} || {o}'), each_row('a_{C}[1] = {o}'), each_row('(a_{C} || ARRAY[{o}])[1:2]') ],
	[ 'array printed', of_all("array_to_string(array_agg({c}), ',')"), of_all('array_agg({c})::text'), of_all('concat(array_agg({c}))'), of_all("format('%s', array_agg({c}))"), of_all("concat_ws(',', VARIADIC array_agg({c}))"),
		of_all("format('%s %s', VARIADIC ARRAY[min({c}), max({c})])"), each_row('ARRAY[{c}, {o}]::text'), of_all('array_to_json(array_agg({c}))'), of_all('to_jsonb(array_agg({c}))'), of_all('jsonb_build_array({o}, array_agg({c}))'),
		each_row("array_to_string(a_{C}, ',', '-')"), each_row('quote_literal(a_{C})'), each_row('ARRAY(SELECT {c})::text'), each_row("concat(a_{C}, {c}, {o})"), each_row("a_{C} || ''::text") ],
	[ 'row printed', 'SELECT t_{A} FROM {s}.t_{A} ORDER BY 1', 'SELECT row(t_{A}) FROM {s}.t_{A} ORDER BY 1', 'SELECT t_{A}::text FROM {s}.t_{A} ORDER BY 1', each_row('ROW({c}, {o})::text'), each_row('ROW({c}, {o})'), 'SELECT array_agg(t_{A}) FROM {s}.t_{A}',
		"SELECT concat(t_{A}), format('%s', t_{A}) FROM {s}.t_{A}", 'SELECT row_to_json(t_{A}), to_jsonb(t_{A}), json_agg(t_{A}) OVER () FROM {s}.t_{A}', each_row('to_json(ROW({c}, {o}))'),
		"SELECT query_to_xml('SELECT {C} FROM {t} ORDER BY id', true, false, '')", 'SELECT row_to_json(s) FROM (SELECT {c} AS v, {o} AS o, array_agg({c}) OVER () FROM {t}) AS s' ],
	[ 'row', 'SELECT (t_{A}).c FROM {s}.t_{A} ORDER BY 1', 'SELECT (t_{A}).* FROM {s}.t_{A} ORDER BY 1', 'SELECT l.c FROM {s}.t_{A} AS l JOIN {s}.t_{A} AS r ON l = r ORDER BY 1', 'SELECT count(DISTINCT t_{A}) FROM {s}.t_{A}', 'SELECT DISTINCT t_{A} FROM {s}.t_{A} ORDER BY 1',
		'SELECT t_{A} = ROW({o})::{s}.t_{A} FROM {s}.t_{A} ORDER BY c' ],
	[ 'insert', undone('INSERT INTO {t} (id, {C}) SELECT 10, {o} FROM {t} LIMIT 1', 'SELECT id, {C} FROM {t} ORDER BY id'), undone('INSERT INTO {t} (id, {C}) VALUES (10, {o}), (11, NULL) RETURNING pg_typeof({C}), {C}') ],
	[ 'update', undone('UPDATE {t} SET {C} = {o} WHERE {c} = {o} OR id = 2', 'SELECT id, {C} FROM {t} ORDER BY id'), undone('UPDATE {t} SET {C} = coalesce({c}, {o}) RETURNING id, {C}'), undone('UPDATE {t} SET ({C}, id) = ROW({o}, 9) WHERE id = 1 RETURNING id, {C}') ],
	[ 'delete', undone('DELETE FROM {t} WHERE {c} = {o} RETURNING id, {C}, ({C} = {o})') ],
	[ 'on conflict', undone('INSERT INTO {t} (id, {C}) SELECT 1, {o} FROM {t} LIMIT 1 ON CONFLICT (id) DO UPDATE SET {C} = EXCLUDED.{C} WHERE {t}.{C} IS DISTINCT FROM {o} OR EXCLUDED.{C} = {o} RETURNING {t}.{C}') ],
	[ 'merge', undone('MERGE INTO {t} AS m USING (SELECT {o} AS o FROM {t} WHERE id = 1) AS s ON m.{C} = s.o AND m.id = 1 WHEN MATCHED THEN UPDATE SET {C} = o WHEN NOT MATCHED THEN INSERT (id, {C}) VALUES (12, o)', 'SELECT id, {C} FROM {t} ORDER BY id') ],
	[ 'common table expression', 'WITH w AS (SELECT {c} AS v, {o} AS o, id FROM {t}) SELECT pg_typeof(coalesce(v, o)), coalesce(v, o) FROM w ORDER BY id', undone('WITH w AS (UPDATE {t} SET {C} = {o} RETURNING *) SELECT id, {C} FROM w ORDER BY id') ]);

# Objects: how it is made, how it is used.  Only literals stand beside the column.
sub view { my ($name, $query) = @_; return [ "view $name", "CREATE VIEW {n} AS $query", 'SELECT * FROM {n} ORDER BY 1' ] }

sub table_with
{
	my ($name, $definition, @more) = @_;
	return [ $name, "CREATE TABLE {n} (id int PRIMARY KEY, c {A:type}, $definition)", @more,
		'INSERT INTO {n} (id) VALUES (1)', map({ "INSERT INTO {n} (id, c) SELECT 10 + id, {c} FROM {t} WHERE id = $_" } 1 .. 3), 'SELECT * FROM {n} ORDER BY id' ];
}

my @objects = (
	view('coalesce', 'SELECT id, coalesce({c}, {o}) AS v FROM {t}'), view('nullif', 'SELECT id, nullif({c}, {o}) AS v FROM {t}'),
	view('case', 'SELECT id, CASE WHEN id = 1 THEN {c} ELSE {o} END AS v, CASE {c} WHEN {o} THEN 1 ELSE 2 END AS w FROM {t}'),
	view('distinct from', 'SELECT id FROM {t} WHERE {c} IS DISTINCT FROM {o}'), view('in', 'SELECT id FROM {t} WHERE {c} IN ({o}, {o})'), view('between', 'SELECT id FROM {t} WHERE {c} BETWEEN {o} AND {o}'),
	view('row comparison', 'SELECT id FROM {t} WHERE ({c}, id) <= ({o}, 2)'), view('in rows', 'SELECT id FROM {t} WHERE ({c}, id) IN (({o}, 1), ({o}, 2))'), view('union', 'SELECT {c} AS v FROM {t} UNION SELECT {o}'),
	view('array', 'SELECT id, ARRAY[{c}, {o}] AS v, ARRAY[{c}] @> ARRAY[{o}] AS w FROM {t}'), view('array printed', "SELECT array_to_string(array_agg({c}), ',') AS v, array_agg({c})::text AS w, concat(array_agg({c})) FROM {t}"),
	view('row printed', 'SELECT t_{A}::text AS v FROM {s}.t_{A}'), view('window', 'SELECT id, lag({c}, 1, {o}) OVER (ORDER BY id) AS v FROM {t}'), view('aggregate', 'SELECT count(*) FILTER (WHERE {c} = {o}) AS v, max({c}) FROM {t}'),
	view('join using', 'SELECT v FROM (SELECT {c} AS v FROM {t}) AS l JOIN (SELECT {o} AS v FROM {t}) AS r USING (v)'),
	view('join using full', 'SELECT v, l.v AS w FROM (SELECT {c} AS v FROM {t}) AS l FULL JOIN (SELECT {o} AS v FROM {t}) AS r USING (v)'),
	[ 'matview', 'CREATE MATERIALIZED VIEW {n} AS SELECT id, {c} AS c, coalesce({c}, {o}) AS v, {c} IS DISTINCT FROM {o} AS w FROM {t}', 'REFRESH MATERIALIZED VIEW {n}', 'SELECT * FROM {n} ORDER BY 1' ],
	[ 'create as execute', 'PREPARE ca AS SELECT id, {c} AS c, coalesce({c}, {o}) AS v, {c} IS DISTINCT FROM {o} AS w FROM {t} WHERE id > 0', 'CREATE TABLE {n} AS EXECUTE ca', 'DEALLOCATE ca', 'SELECT * FROM {n} ORDER BY id' ],
	table_with('check', 'CHECK (c IS DISTINCT FROM {o})'), table_with('check in', 'CHECK (c NOT IN ({o}, {o}))'), table_with('check case', 'CHECK (nullif(c, {o}) IS NOT NULL)'),
	table_with('check printing', "CHECK (concat(c, 'x') <> concat({o}, 'x'))"), table_with('check overload', 'CHECK ({s}.pv(c) <> {s}.pv({o}))'),
	table_with('default', 'd {A:type} DEFAULT {o}'), table_with('generated', 'g bool GENERATED ALWAYS AS (c IS DISTINCT FROM {o}) STORED'),
	[ 'domain', 'CREATE DOMAIN {n} AS {A:type} CHECK (VALUE IS DISTINCT FROM {o})', 'CREATE TABLE {n}_t (c {n})', map({ "INSERT INTO {n}_t SELECT {c} FROM {t} WHERE id = $_" } 1 .. 3), 'SELECT c FROM {n}_t ORDER BY 1' ],
	[ 'policy', 'CREATE TABLE {n} (id int, c {A:type})', 'INSERT INTO {n} SELECT id, {c} FROM {t}', 'ALTER TABLE {n} ENABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON {n} USING (c IS DISTINCT FROM {o})', 'GRANT SELECT ON {n} TO PUBLIC',
		'SET ROLE parity_reader', 'SELECT * FROM {n} ORDER BY 1', 'RESET ROLE' ],
	[ 'policy printing', 'CREATE TABLE {n} (id int, c {A:type})', 'INSERT INTO {n} SELECT id, {c} FROM {t}', 'ALTER TABLE {n} ENABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON {n} USING (concat(c) <> concat({o}))', 'GRANT SELECT ON {n} TO PUBLIC',
		'SET ROLE parity_reader', 'SELECT * FROM {n} ORDER BY 1', 'RESET ROLE' ],
	[ 'trigger when overload', 'CREATE TABLE {n} (id int, c {A:type}, fired int DEFAULT 0)', 'CREATE TRIGGER i BEFORE INSERT ON {n} FOR EACH ROW WHEN ({s}.pv(NEW.c) = {s}.pv({o}) OR concat(NEW.c) = concat({o})) EXECUTE FUNCTION {s}.fired()',
		'DELETE FROM {n}', 'INSERT INTO {n} SELECT id, {c} FROM {t}', 'SELECT * FROM {n} ORDER BY 1' ],
	[ 'trigger when', 'CREATE TABLE {n} (id int, c {A:type}, fired int DEFAULT 0)', 'CREATE TRIGGER i BEFORE INSERT ON {n} FOR EACH ROW WHEN (NEW.c IS DISTINCT FROM {o}) EXECUTE FUNCTION {s}.fired()',
		'CREATE TRIGGER u BEFORE UPDATE ON {n} FOR EACH ROW WHEN (OLD.c IS DISTINCT FROM NEW.c OR NEW.c = {o}) EXECUTE FUNCTION {s}.fired()', 'DELETE FROM {n}', 'INSERT INTO {n} SELECT id, {c} FROM {t}', 'SELECT * FROM {n} ORDER BY 1', 'UPDATE {n} SET c = c', 'SELECT * FROM {n} ORDER BY 1' ],
	[ 'function sql', q{CREATE FUNCTION {n}(p {B}) RETURNS SETOF int LANGUAGE sql AS $$ SELECT id FROM {t} WHERE {C} = p OR coalesce({C}, p) = p ORDER BY id $$}, 'SELECT * FROM {n}({o})', 'SELECT {n}({o})' ],
	[ 'function sql result', q{CREATE FUNCTION {n}(i int) RETURNS {A} LANGUAGE sql AS $$ SELECT {C} FROM {t} WHERE id = i $$}, 'SELECT pg_typeof({n}(1)), {n}(1), {n}(2), {n}(1) IS DISTINCT FROM {o}' ],
	[ 'function atomic', 'CREATE FUNCTION {n}(p {B}) RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT id FROM {t} WHERE {C} = p OR coalesce({C}, {o}) = p ORDER BY id; END', 'SELECT * FROM {n}({o})' ],
	[ 'function atomic printing', 'CREATE FUNCTION {n}() RETURNS text LANGUAGE sql RETURN (SELECT concat(array_agg({C}), min({C}::text)) FROM {t})', 'SELECT {n}()' ],
	[ 'function %TYPE', q{CREATE FUNCTION {n}(p {t}.{C}%TYPE) RETURNS text LANGUAGE sql AS $$ SELECT p::text $$}, 'SELECT {n}({o})', 'SELECT {n}({c}) FROM {t} ORDER BY id' ],
	[ 'plpgsql assignment', q{CREATE FUNCTION {n}(i int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE v {B}; w {t}.{C}%TYPE; r record; BEGIN v := (SELECT {C} FROM {t} WHERE id = i); w := {o}; SELECT {C} INTO v FROM {t} WHERE id = i; SELECT {C} AS k INTO r FROM {t} WHERE id = i;
		IF w = v OR r.k = {o} THEN RETURN 'same ' || v; END IF; RETURN concat('other ', v, ' ', w, ' ', r.k); END $$}, 'SELECT {n}(1), {n}(2), {n}(3)' ],
	[ 'plpgsql return query', 'CREATE FUNCTION {n}() RETURNS TABLE (v {A}) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT {C} FROM {t} WHERE {C} IS DISTINCT FROM {o} ORDER BY id; END $$', 'SELECT pg_typeof(v), v FROM {n}()' ],
	[ 'plpgsql for loop', 'CREATE FUNCTION {n}() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r record; v {A}; result text := \'\'; BEGIN FOR r IN SELECT * FROM {t} ORDER BY id LOOP result := concat(result, r.{C}, coalesce(r.{C}, {o})); END LOOP; FOR v IN SELECT {C} FROM {t} ORDER BY id LOOP result := concat(result, v); END LOOP; RETURN result; END $$', 'SELECT {n}()' ]);

sub tables
{
	my $columns = join ', ', map { "c_$_ {$_}, a_c_$_ {$_}[]" } @base;
	my $names = join ', ', map { "c_$_, a_c_$_" } @base;
	my $rows = join ', ', map { my $row = $_; '(' . join(', ', $row + 1, map { my $v = $values{$_}[$row]; $row < 2 ? ("'$v'", "ARRAY['$v', NULL]::$_\[]") : ('NULL', 'NULL') } @base) . ')' } 0 .. 2;

	return join ";\n", "CREATE TABLE {t} (id int PRIMARY KEY, $columns, c_varchar varchar, c_bpchar bpchar, c_name name, c_cidr cidr)", "INSERT INTO {t} (id, $names) VALUES $rows",
	  "UPDATE {t} SET c_varchar = c_text, c_bpchar = c_text, c_name = c_text, c_cidr = '192.168.0.0/24' WHERE id < 3",
	  (map { ("CREATE TABLE {s}.t_$_ (c {$_})", "INSERT INTO {s}.t_$_ SELECT c_$_ FROM {t} ORDER BY id", "CREATE FUNCTION {s}.like_$_(p {t}.c_$_%TYPE) RETURNS text LANGUAGE sql AS 'SELECT p::text'",
		"CREATE FUNCTION {s}.atomic_$_(p $_) RETURNS SETOF $_ LANGUAGE sql BEGIN ATOMIC SELECT c_$_ FROM {t} WHERE c_$_ = p; END",
		"CREATE FUNCTION {s}.plpgsql_$_(p {t}.c_$_%TYPE) RETURNS text LANGUAGE plpgsql AS 'DECLARE v {t}.c_$_%TYPE := p; BEGIN RETURN v; END'") } @base),
	  (map { "CREATE FUNCTION {s}.of_$_(p $_) RETURNS text LANGUAGE sql AS 'SELECT p::text'" } sort keys %values),
	  (map { my ($name, @types) = @$_; map { ("CREATE FUNCTION {s}.$name(p $_) RETURNS text LANGUAGE sql AS 'SELECT ''$_ '' || p::text'",
		"CREATE FUNCTION {s}.$name(p $_, q $_) RETURNS text LANGUAGE sql AS 'SELECT ''$_ '' || p::text || q::text'") } @types }
		[qw(ov int4 numeric text timestamptz)], [qw(pv int4 float8 numeric text date timestamptz)]),
	  "CREATE FUNCTION {s}.any(p anycompatible, q anycompatible) RETURNS anycompatible LANGUAGE sql AS 'SELECT coalesce(p, q)'",
	  "CREATE FUNCTION {s}.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.fired := NEW.fired + 1; RETURN NEW; END'", "GRANT USAGE ON SCHEMA {s} TO PUBLIC";
}

# Types that may stand beside a column of type $type
sub companions
{
	my ($type) = @_;
	my ($family) = grep { grep { $_ eq $type } @$_ } @families;
	return $family ? @$family : $type;
}

sub filled
{
	my ($template, $column, $other, %beside) = @_;
	return $template =~ s/\{c\}/c_$column/gir =~ s/\{o\}/$beside{sql}/gr =~ s/\{A:type\}/{$column}/gr =~ s/\{A\}/$column/gr =~ s/\{B\}/$other/gr;
}

# What may stand beside a column: { how, type, sql, and the parameter's declaration and value }
sub beside
{
	my ($type) = @_;
	my $value = $values{$type}[0];
	return ({ how => 'literal', type => $type, sql => "'$value'" }, { how => 'parameter', type => $type, sql => '$1', declared => '', value => "'$value'" },
		map { ({ how => 'typed literal', type => $_, sql => "'$values{$_}[0]'::$_" }, { how => 'column', type => $_, sql => "c_$_" },
				{ how => 'typed parameter', type => $_, sql => '$1', declared => "($_)", value => "'$values{$_}[0]'" }) } companions($type));
}

# All statements: { context, what, type, beside, sql, prepare, execute }
sub statements
{
	my @all;

	for my $type (@base)
	{
		for my $beside (beside($type))
		{
			for (@statements)
			{
				my ($context, @templates) = @$_;

				for my $i (0 .. $#templates)
				{
					next if $beside->{how} ne 'literal' && $templates[$i] !~ /\{o\}/;
					my @steps = map { filled($_, $type, $beside->{type}, %$beside) } split /; /, $templates[$i];
					@steps = map { /\$1/ ? ("PREPARE q$beside->{declared} AS $_", "EXECUTE q($beside->{value})", 'DEALLOCATE q') : $_ } @steps if $beside->{how} =~ /parameter/;
					push @all, { context => $context, type => $type, beside => "$beside->{how} $beside->{type}", sql => \@steps };
				}
			}
		}
	}
	return @all;
}

# All objects: { context, type, beside, make => [...], use => [...] }; what reads only can be
# done again after a restore
sub objects
{
	my @all;
	my $number = 0;

	for my $type (@base)
	{
		for my $beside (grep { $_->{how} =~ /literal/ } beside($type))
		{
			for (@objects)
			{
				my ($context, @templates) = @$_;
				my $name = '{s}.o' . $number++;
				my @steps = map { filled($_, $type, $beside->{type}, %$beside) =~ s/\{n\}/$name/gr } @templates;
				next if $beside->{how} ne 'literal' && "@templates" !~ /\{o\}/;
				push @all, { context => $context, type => $type, beside => "$beside->{how} $beside->{type}", sql => \@steps,
					again => [ grep { /^(SELECT|SET ROLE|RESET|UPDATE|DELETE|INSERT)/ } @steps ] };
			}
		}
	}
	return @all;
}

1;
