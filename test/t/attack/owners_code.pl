# Code of a table's owner (index expressions, predicates, checks) must never run
# with the rights of the worker or of an administrator, nor change what
# pgseal's own SQL means.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('owners_code', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_delay = 0
pgseal.kms_timeout = 100
autovacuum = off
});
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE ROLE e LOGIN;
CREATE ROLE admin SUPERUSER LOGIN;
CREATE SCHEMA es AUTHORIZATION e;
GRANT CREATE ON SCHEMA public TO e;
GRANT USAGE ON FOREIGN SERVER local_keyring TO e;
SELECT pgseal.create_key('payroll')});

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, connstr => $node->connstr('postgres') . " user=$role");
}

sub attempt
{
	my ($role, $sql) = @_;
	my ($stdout, $stderr);

	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr,
		connstr => $node->connstr('postgres') . " user=$role");
	return $stderr;
}

sub still_nobody
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql('postgres', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'e'}), 'f', "$name: e is no superuser");
	$node->safe_psql('postgres', 'ALTER ROLE e NOSUPERUSER');
	return;
}

# A function that makes e a superuser whenever somebody runs it who may do that
as('e', q{
CREATE FUNCTION es.try_it() RETURNS void LANGUAGE plpgsql AS $$BEGIN
	BEGIN ALTER ROLE e SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END; END$$;
CREATE FUNCTION es.evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM es.try_it(); RETURN $1; END$$;
});

#
# What an administrator looks at: a sealed index' predicate, a partition key, an index on a column that is encrypted
#
as('e', q{
CREATE FUNCTION es.evil_bool(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM es.try_it(); RETURN true; END$$;
CREATE TABLE es.partial (id int, n encrypted_int4); CREATE INDEX partial_n ON es.partial USING sealed (n) WHERE es.evil_bool(1); INSERT INTO es.partial VALUES (1, 1);
CREATE TABLE es.parted (id int, x encrypted_text) PARTITION BY LIST ((id + es.evil(1))); CREATE TABLE es.parted1 PARTITION OF es.parted DEFAULT; INSERT INTO es.parted VALUES (1, 'a');
CREATE TABLE es.long (id int PRIMARY KEY, v text); CREATE INDEX ON es.long (v) WHERE es.evil_bool(1); INSERT INTO es.long VALUES (1, 'a')});
still_nobody('before');
for my $sql (q{SELECT * FROM pgseal.verify_index('es.partial_n')}, q{SELECT pgseal.rotate_index_key('es.parted')}, q{SELECT * FROM pgseal.verify_table('es.parted')},
	q{CALL pgseal.encrypt_column('es.long', 'v')}, q{CALL pgseal.decrypt_column('es.long', 'v')})
{
	is(attempt('admin', $sql) =~ s/^.*NOTICE:.*$//mr =~ s/\s//gr, '', "works: $sql");
	still_nobody($sql);
}

#
# The worker: an index function changes the search_path and waits behind an operator
#
my @operators = ('+', '-', '*', '=', '<>', '<', '>', '<=', '>=');
for my $op (@operators)
{
	my $boolean = $op =~ /[=<>]/;
	my $result = $boolean ? 'bool' : 'int8';
	my $function = { '+' => 'int8pl', '-' => 'int8mi', '*' => 'int8mul', '=' => 'int8eq', '<>' => 'int8ne',
		'<' => 'int8lt', '>' => 'int8gt', '<=' => 'int8le', '>=' => 'int8ge' }->{$op};
	as('e', qq{
CREATE FUNCTION es.op_$function(int8, int8) RETURNS $result LANGUAGE plpgsql AS \$\$BEGIN PERFORM es.try_it(); RETURN $function(\$1, \$2); END\$\$;
CREATE OPERATOR es.$op (LEFTARG = int8, RIGHTARG = int8, FUNCTION = es.op_$function);
});
}
as('e', q{
CREATE FUNCTION es.idx(int, bool) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
	PERFORM set_config('search_path', 'es,pg_catalog', false); PERFORM es.try_it(); RETURN $1; END$$;
CREATE TABLE es.w (id int, x encrypted_text('*'));
CREATE INDEX ON es.w (es.idx(id, x IS NULL));
INSERT INTO es.w SELECT i, pgseal.seal('v', 'payroll') FROM generate_series(1, 5) i;
});
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('payroll')});
ok($node->poll_query_until('postgres', q{SELECT bool_and((pgseal.inspect(x)).current) FROM es.w}), 'the rows are re-encrypted');
ok($node->poll_query_until('postgres', q{SELECT bool_or(retired IS NOT NULL) FROM pgseal.key_versions WHERE key = 'payroll'}), 'the old version is retired');
still_nobody('re-encryption');

#
# Administrators: views and functions that look at other people's tables
#
as('e', q{
CREATE TABLE es.trap (id int PRIMARY KEY, x encrypted_text, y text, t bytea GENERATED ALWAYS AS (blind_index(x)) STORED);
CREATE INDEX ON es.trap ((es.evil(1) + id));
CREATE INDEX ON es.trap (id) WHERE es.evil(1) + id > 0;
CREATE INDEX trap_token ON es.trap (blind_index(x));
CREATE TEMP TABLE trap (id int, x encrypted_text);
INSERT INTO es.trap (id, x, y) VALUES (1, 'x', 'y');
});
still_nobody('made by e himself');
for my $sql (
	'SELECT * FROM pgseal.columns',
	'SELECT * FROM pgseal.check()',
	q{SELECT * FROM pgseal.verify_table('es.trap')},
	q{SELECT pgseal.rotate_index_key('es.trap')},
	q{SELECT pgseal.retire_index_key('es.trap')},
	q{CALL pgseal.encrypt_column('es.trap', 'y')},
	q{CALL pgseal.decrypt_column('es.trap', 'y')},
	q{SELECT pgseal.rotate_key('es.trap')},
	'SELECT * FROM pgseal.progress_reencrypt',
	'SELECT * FROM pgseal.keys',
	'SELECT * FROM pgseal.key_versions')
{
	attempt('admin', $sql);
	still_nobody($sql);
}
# Read by e: PostgreSQL itself evaluates index expressions when it plans a query on the table
my $current = 'f';
for (1 .. 1800)
{
	$current = as('e', q{SELECT bool_and((pgseal.inspect(x)).current) FROM es.trap});
	last if $current eq 't';
	select(undef, undef, undef, 0.1);
}
is($current, 't', 'the trap is re-encrypted');
still_nobody('re-encryption of it');

#
# An index function that never ends
#
as('e', q{
CREATE TABLE es.slow (id int, x encrypted_text('*'));
INSERT INTO es.slow VALUES (1, pgseal.seal('v', 'payroll'));
CREATE FUNCTION es.sleepy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
	IF current_setting('application_name') = '' THEN PERFORM pg_sleep(3600); END IF; RETURN $1; END$$;
CREATE INDEX ON es.slow ((es.sleepy(id)), (x IS NULL));
});
$node->safe_psql('postgres', q{
CREATE TABLE public.fine (x encrypted_text('payroll'));
INSERT INTO public.fine VALUES ('fine');
SELECT pgseal.rotate_key('payroll')});
ok($node->poll_query_until('postgres', q{SELECT bool_and((pgseal.inspect(x)).current) FROM public.fine}),
	'an index function that sleeps does not hold the worker for ever');

#
# An index function that goes on when it is cancelled
#
as('e', q{
DROP TABLE es.slow;
CREATE TABLE es.stubborn (id int, x encrypted_text('*'));
INSERT INTO es.stubborn VALUES (1, pgseal.seal('v', 'payroll'));
CREATE FUNCTION es.catches(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
	WHILE current_setting('application_name') = '' LOOP
		BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled OR OTHERS THEN END;
	END LOOP; RETURN $1; END$$;
CREATE INDEX ON es.stubborn ((es.catches(id)), (x IS NULL));
});
$node->safe_psql('postgres', q{
ALTER TABLE public.fine RENAME TO done;
CREATE TABLE public.fine (x encrypted_text('payroll'));
INSERT INTO public.fine SELECT 'fine' FROM generate_series(1, 10);
CREATE DATABASE other;
SELECT pgseal.rotate_key('payroll')});
my $holding = q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'pgseal worker' AND wait_event = 'PgSleep'};
ok($node->poll_query_until('postgres', $holding), 'a worker runs it');
my $begun = time;
$node->safe_psql('other', 'CREATE DATABASE another TEMPLATE postgres', timeout => 100);
cmp_ok(time - $begun, '<', 40, 'who copies the database waits for some seconds');
ok($node->poll_query_until('postgres', q{SELECT bool_and((pgseal.inspect(x)).current) FROM public.fine}),
	'an index function that catches query_canceled does not hold the worker for ever');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pgseal.progress_reencrypt
	WHERE "table" = 'es.stubborn'::regclass AND phase = 'untouchable' AND detail LIKE '%did not end%'}),
	'its table is left out, and it is said why');
$node->stop('fast');
done_testing();
