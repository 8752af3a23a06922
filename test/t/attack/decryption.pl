# Attack, or accident: a tool that brings a schema in line takes the encryption off.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

my $node = SealedNode->started('decryption');
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgseal;
	CREATE DOMAIN mail AS encrypted_text('mail');
	CREATE TABLE t (id int, c encrypted_text, d mail, a encrypted_text[], p text, n encrypted_int4);
	CREATE TABLE child () INHERITS (t);
	INSERT INTO t VALUES (1, 'ada', 'ada@example.org', '{ada}', 'plain', 5)});

my $refused = qr/would store the opened values of encrypted column.*HINT: .*pgseal\.allow_decryption/s;

for my $sql ('ALTER TABLE t ALTER c TYPE text', 'ALTER TABLE t ALTER c TYPE varchar(20)',
	'ALTER TABLE t ALTER c SET DATA TYPE text USING c::text', 'ALTER TABLE t ALTER d TYPE text',
	'ALTER TABLE t ALTER a TYPE text[]', 'ALTER TABLE t ALTER n TYPE bigint',
	'ALTER TABLE t ALTER p TYPE text USING lower(t.c)', 'ALTER TABLE t ALTER p TYPE text USING (SELECT d)',
	'ALTER TABLE ONLY t ALTER id TYPE int USING n + 1',
	q{DO $$BEGIN EXECUTE 'ALTER TABLE t ALTER c TYPE text'; END$$})
{
	like(($node->psql('postgres', $sql))[2], $refused, $sql);
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.events WHERE event = 'column_decrypted'}), 0, 'no event');

$node->safe_psql('postgres', 'ALTER TABLE t ALTER p TYPE varchar(40); ALTER TABLE t ALTER p TYPE text USING upper(p)');
pass('plain columns change as ever');
$node->safe_psql('postgres', q{ALTER TABLE t ALTER c TYPE encrypted_text('other')});
pass('an encrypted column may get another key');

my $log = -s $node->logfile;
$node->safe_psql('postgres', 'SET pgseal.allow_decryption = on; ALTER TABLE t ALTER c TYPE text');
is($node->safe_psql('postgres', 'SELECT c FROM t'), 'ada', 'allowed');
is($node->safe_psql('postgres', q{SELECT detail FROM pgseal.events WHERE event = 'column_decrypted'}),
	'table=public.t column=c role=postgres', 'an event tells');
like(slurp_file($node->logfile, $log), qr/event=column_decrypted table=public\.t column=c/, 'and the log');

$node->safe_psql('postgres', q{CREATE TABLE o (id int PRIMARY KEY, c encrypted_text); INSERT INTO o VALUES (1, 'x')});
$node->safe_psql('postgres', q{CALL pgseal.decrypt_column('o', 'c')});
is($node->safe_psql('postgres', q{SELECT pg_typeof(c), c FROM o}), 'text|x', 'decrypt_column() says what it does, and may');

# Whose code is handed the rows
$node->safe_psql('postgres', q{
CREATE ROLE author LOGIN; CREATE SCHEMA author AUTHORIZATION author;
CREATE TABLE seen (id int, c encrypted_text); GRANT TRIGGER ON seen TO author;
CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER mine BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION mine();
SET SESSION AUTHORIZATION author;
CREATE FUNCTION author.audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER audit AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION author.audit()});
is($node->safe_psql('postgres', q{SELECT * FROM pgseal.check() WHERE object LIKE 'trigger%'}),
	'trigger audit on public.seen|shown|Function author.audit() of role author is handed the rows that are written.',
	'check() names a trigger whose function is of somebody else');
$node->safe_psql('postgres', q{
CREATE MATERIALIZED VIEW m AS SELECT id, c, lower(c) AS l, length(c) > 3 AS n, blind_index(c) AS t FROM seen;
CREATE MATERIALIZED VIEW m2 AS SELECT max(c), count(c) FROM seen;
CREATE MATERIALIZED VIEW m3 AS SELECT id FROM seen WHERE lower(c) = 'x'});
is($node->safe_psql('postgres', q{SELECT object FROM pgseal.check() WHERE status = 'shown' AND object LIKE 'column%' ORDER BY 1}),
	"column public.m.l\ncolumn public.m.n\ncolumn public.m2.count\ncolumn public.m2.max", 'and materialized views of opened values');
my $warned = qr/WARNING:  function author\.audit\(\) of role "author" will be handed the rows of "seen"/;
for my $sql ('ALTER TABLE seen DISABLE TRIGGER audit; ALTER TABLE seen ENABLE TRIGGER audit', 'ALTER TABLE seen ENABLE ALWAYS TRIGGER audit',
	'CREATE TRIGGER audit2 AFTER INSERT ON seen FOR EACH STATEMENT EXECUTE FUNCTION author.audit()',
	'CREATE OR REPLACE TRIGGER audit AFTER UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION author.audit()')
{
	like(($node->psql('postgres', $sql))[2], $warned, "a warning: $sql");
}
for my $sql ('ALTER TABLE seen DISABLE TRIGGER audit', 'CREATE TRIGGER mine2 AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION mine()',
	'CREATE TABLE unseen (id int, c text); CREATE TRIGGER audit AFTER INSERT ON unseen FOR EACH ROW EXECUTE FUNCTION author.audit()')
{
	is(($node->psql('postgres', $sql))[2], '', "none: $sql");
}

$node->stop;
done_testing();
