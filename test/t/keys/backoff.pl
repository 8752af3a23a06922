# What re-encryption can't get done is said once, tried again after growing
# intervals, and done when it can be: no flood of events and log lines.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;
use Time::HiRes qw(sleep);

my $node = SealedNode->started('main', conf => 'pgseal.worker_interval = 1');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
SELECT pgseal.create_key('k');
CREATE TABLE fails (a encrypted_text('k'));
CREATE FUNCTION bad(encrypted_text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
	IF current_setting('test.fine', true) = 'yes' THEN RETURN 1; END IF; RAISE 'index code fails'; END $$;
CREATE INDEX ON fails (bad(a));
SET test.fine = 'yes';
INSERT INTO fails SELECT 'v' || i FROM generate_series(1, 100) i;
CREATE TABLE works (a encrypted_text('k'));
INSERT INTO works SELECT 'v' || i FROM generate_series(1, 100) i;
SELECT pgseal.rotate_key('k')});

my $incomplete = q{SELECT count(*) FROM pgseal.events WHERE event = 'reencrypt_incomplete'};
my $in_vain = q{SELECT in_vain FROM pgseal_internal.rotation};
ok($node->poll_query_until('postgres', "SELECT ($in_vain) >= 3"), 'tried again and again');
is($node->safe_psql('postgres', $incomplete), 1, 'one event');
like($node->safe_psql('postgres', q{SELECT detail FROM pgseal.events WHERE event = 'reencrypt_incomplete'}),
	qr/values=0 tables="public.fails"/, 'which names the table');
is($node->safe_psql('postgres', q{SELECT count(*) FROM works, pgseal.inspect(a) WHERE NOT current}), 0, 'the other is done');
my @lines = slurp_file($node->logfile) =~ /index code fails/g;
my $attempts = $node->safe_psql('postgres', $in_vain);
cmp_ok(scalar @lines, '<=', 3 + $attempts, "a line in the log for each of $attempts attempts: " . @lines);
ok($node->poll_query_until('postgres', q{SELECT extract(epoch FROM pause_until - now()) > 2 FROM pgseal_internal.rotation}),
	'the intervals grow');

$node->safe_psql('postgres', q{DROP FUNCTION bad CASCADE; SELECT pgseal.rotate_key('k')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pgseal.key_version
	WHERE key = 'k' AND purpose = 'd' AND retired IS NOT NULL}), 'who rotates again needn\'t wait');

$node->stop;
done_testing();
