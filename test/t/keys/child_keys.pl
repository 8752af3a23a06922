# Many child keys cost one KMS call, also after a restart; they follow their
# parent when it is moved and rotated.
#
# Environment: PGSEAL_CHILDREN (default 20000).

use strict;
use warnings;

use File::Spec::Functions qw(rel2abs);
use SealedNode;
use Test::More;
use Time::HiRes qw(time);

my $children = $ENV{PGSEAL_CHILDREN} // 20000;

my $node = SealedNode->started('children', conf => q{
pgseal.worker_interval = 1
pgseal.reencrypt_delay = 0
log_statement = none
});
my $keyring = rel2abs($node->basedir . '/second.keyring');

sub timed
{
	my ($what, $sql) = @_;
	my $began = time;
	my $result = $node->safe_psql('postgres', $sql);
	my $seconds = time - $began;

	note sprintf('%s: %.1f s, %d a second', $what, $seconds, $children / $seconds);
	return $result;
}

my $all = q{SELECT count(*) FROM p WHERE name::text = 'name' || id};
my $misses = 'SELECT misses FROM pgseal.stat_cache';

$node->safe_psql('postgres', qq{
	CREATE EXTENSION pgseal;
	CREATE SERVER second FOREIGN DATA WRAPPER local_keyring OPTIONS (file '$keyring');
	SELECT pgseal.create_key('people');
	CREATE TABLE p (id int, name encrypted_text('*'))});
is(timed('made', qq{SELECT count(pgseal.create_key('person:' || i, parent => 'people')) FROM generate_series(1, $children) i}),
	$children, 'child keys made in one transaction');
timed('sealed', qq{INSERT INTO p SELECT i, pgseal.seal('name' || i, 'person:' || i) FROM generate_series(1, $children) i});
cmp_ok($node->safe_psql('postgres', $misses), '<=', 1, 'with one KMS call');

$node->restart;
is(timed('opened', $all), $children, 'all values open after a restart');
cmp_ok($node->safe_psql('postgres', $misses), '<=', 1, 'with one KMS call');

timed('moved', q{SELECT pgseal.move_key('people', 'second')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal.key_versions WHERE server <> 'second' AND key LIKE 'pe%'}),
	0, 'all are at the other server');
$node->restart;
is($node->safe_psql('postgres', $all), $children, 'and all values open there');
cmp_ok($node->safe_psql('postgres', $misses), '<=', 1, 'with one KMS call');

my $began = time;
$node->safe_psql('postgres', q{SELECT pgseal.rotate_key('people')});
ok($node->poll_query_until('postgres', q{SELECT retired IS NOT NULL FROM pgseal.key_versions
	WHERE key = 'people' AND purpose = 'data' AND version = 1}), 'the parent is rotated, its children are wrapped anew');
note sprintf('rewrapped: %d a second', 2 * $children / (time - $began));
$node->destroys_version('postgres', 'people', 1);
is($node->safe_psql('postgres', $all), $children, 'all values open without the parent\'s old version');

timed('erased one', q{SELECT pgseal.destroy_key('person:7', 'person:7', force => true)});
is($node->safe_psql('postgres', q{SELECT count(pgseal.try_open(name)) FROM p}), $children - 1, 'one person is forgotten');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pgseal_internal.rotation}), 0, 'nothing is left to do');

$node->stop;
done_testing();
