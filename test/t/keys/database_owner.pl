# USAGE that came through pg_database_owner ends with the ownership, also in a
# session that has read already.

use strict;
use warnings;

use SealedNode;
use Test::More;

my $node = SealedNode->started('main');
$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE heir; CREATE DATABASE d OWNER reader');
$node->safe_psql('d', q{CREATE EXTENSION pgseal; CREATE TABLE t (a encrypted_text); INSERT INTO t VALUES ('secret');
	GRANT SELECT ON t TO reader; GRANT USAGE ON FOREIGN SERVER local_keyring TO pg_database_owner});

my $session = $node->background_psql('d', on_error_stop => 0, extra_params => [ '-U', 'reader' ]);
my $prepared = $node->background_psql('d', on_error_stop => 0, extra_params => [ '-U', 'reader' ]);
is($session->query('SELECT a FROM t'), 'secret', 'the owner reads');
is($prepared->query(q{PREPARE p AS SELECT a::text || '' FROM t; EXECUTE p}), 'secret', 'also by a prepared statement');
$node->safe_psql('postgres', 'ALTER DATABASE d OWNER TO heir');
is($session->query('SELECT a FROM t'), '', 'who is the owner no more doesn\'t');
like($session->{stderr}, qr/permission denied for foreign server local_keyring/, 'and is told why');
is($prepared->query('EXECUTE p'), '', 'nor by a prepared statement');
$node->safe_psql('postgres', 'GRANT heir TO reader');
$session->{stderr} = '';
is($session->query('SELECT a FROM t'), 'secret', 'a member of the new owner does');
$node->safe_psql('postgres', 'REVOKE heir FROM reader');
is($session->query('SELECT a FROM t'), '', 'until he is none');
$session->quit;
$prepared->quit;
$node->stop;
done_testing();
