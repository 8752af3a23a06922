# Tables that are rewritten more often than a pass of re-encryption, or of signing anew,
# takes: the pass, which begins anew each time, goes faster each time, and comes to its end.

use strict;
use warnings;

use SealedNode;
use Test::More;

# A pass of undisturbed re-encryption waits for two minutes
my $node = SealedNode->started('rewritten', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_batch = 1
pgseal.reencrypt_delay = 1000
autovacuum = off
log_statement = none
});
$node->sql(q{
	CREATE EXTENSION pgseal;
	CREATE TABLE t (id int, v encrypted_text);
	INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 16000) i});
cmp_ok($node->sql("SELECT pg_relation_size('t') / 8192"), '>', 100, 'enough blocks');

# Rewrites the table whenever a pass has begun in the file that it has now, until it is done
sub rewrite_until
{
	my ($done, $work, $name) = @_;
	my $begun = qq{SELECT EXISTS (SELECT FROM pgseal_internal.$work w JOIN pg_class c ON c.oid = w.relid AND c.relfilenode = w.filenode
		WHERE phase = 'scanning' AND next_block > 0)};
	my $rewritten = 0;

	while ($rewritten < 60)
	{
		last if !$node->poll_query_until('postgres', "SELECT ($done) OR ($begun)");
		last if $node->sql($done) eq 't';
		$node->sql('VACUUM FULL t');
		$rewritten++;
	}
	is($node->sql($done), 't', "$name is done, though the table was rewritten $rewritten times meanwhile");
	cmp_ok($rewritten, '>', 3, "$name: as it went on");
	return;
}

$node->sql(q{SELECT pgseal.rotate_key('public.t')});
rewrite_until(q{SELECT retired IS NOT NULL FROM pgseal.key_versions WHERE key = 'public.t' AND purpose = 'data' AND version = 1},
	'rotation_table', 're-encryption');
is($node->sql('SELECT count(*) FROM t WHERE NOT (pgseal.inspect(v)).current'), '0', 'nothing is under the old version');
is($node->sql(q{SELECT count(*) FROM t WHERE v::text IS DISTINCT FROM 'v' || id}), '0', 'every value is what it was');

$node->sql(q{ALTER TABLE t ADD s row_signature; SELECT pgseal.sign_table('t', columns => '{id,v}'); SELECT pgseal.sign_table('t', columns => '{id}')});
rewrite_until(q{SELECT count(*) > 0 FROM pgseal.events WHERE event = 'definition_dropped'}, 'redefinition', 'signing anew');
is($node->sql(q{SELECT "rows", unsigned, bad, old_definition FROM pgseal.verify_table('t') WHERE "column" = 's'}), '16000|0|0|0', 'all rows verify');

$node->stop;
done_testing();
