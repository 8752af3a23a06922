# What a row holds that a view hides must not show in an error.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('leakproof');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgseal'
autovacuum = off
fsync = off
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal;
CREATE ROLE alice LOGIN;
CREATE TABLE secrets (owner text, secret text, number int, sealed encrypted_text);
INSERT INTO secrets VALUES ('alice', 'lower', 8, 'mine'), ('bob', 'BOBS SECRET', 4711, 'his');
CREATE VIEW visible WITH (security_barrier) AS SELECT * FROM secrets WHERE owner = current_user;
GRANT SELECT ON visible TO alice;
CREATE TABLE policed AS SELECT * FROM secrets;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner = current_user);
GRANT SELECT ON policed TO alice;
GRANT USAGE ON FOREIGN SERVER local_keyring TO alice});

for my $relation ('visible', 'policed')
{
	for my $call (
		q{blind_index(sealed, secret)},
		q{blind_index(sealed, secret, 8)},
		q{blind_index(sealed, 'lower', number)},
		q{blind_index(sealed, number)},
		q{blind_index('x'::encrypted_text, secret)},
		q{blind_index('x'::encrypted_int4, number)},
		q{blind_index(secret, secret)},
		q{blind_index(secret, 'default', secret)},
		q{blind_index(secret::encrypted_text, secret)})
	{
		my ($code, $stdout, $stderr) = $node->psql('postgres', "SELECT count(*) FROM $relation WHERE $call IS NULL",
			connstr => $node->connstr('postgres') . ' user=alice');
		unlike($stderr, qr/BOBS|4711|bits of/, "$relation: $call");
	}
}
# One's own mistakes are told
my (undef, undef, $stderr) = $node->psql('postgres', q{SELECT blind_index(sealed, 'lwer') FROM secrets});
like($stderr, qr/unknown normalizer "lwer"/, 'a constant normalizer is named in the error');
(undef, undef, $stderr) = $node->psql('postgres', q{SELECT blind_index(sealed, 500) FROM secrets});
like($stderr, qr/bits of a blind index must be between/, 'and so are constant bits');
# All that is leakproof is on this list
is($node->safe_psql('postgres', q{
SELECT string_agg(DISTINCT p.prosrc, ' ' ORDER BY p.prosrc) FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND p.proleakproof}),
	'pgseal_blind_index pgseal_blind_index_bits pgseal_token pgseal_tokens pgseal_tokens_of_array',
	'nothing else is leakproof');

done_testing();
