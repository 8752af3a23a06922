# A server with a role e who may read and write tables but has no USAGE on their key's
# server, and its tries: each statement is run with a right guess and with wrong ones. Whatever comes
# back, rows, errors, notices, plans and statistics, must be the same, and hold no plaintext.

package GuessingNode;

use strict;
use warnings;

use SealedNode;
use Test::More;

use Exporter 'import';
our @EXPORT = qw(guessing_node try_guesses);

# What e puts before each statement: values of his own, of the guess
my $setup = q{SET search_path = e, public; SET client_min_messages = notice; INSERT INTO guess VALUES (GUESS, GUESS, pgseal.seal(GUESS, 'mine'), pgseal.seal('SECRET' || (GUESS / 10), 'mine'));};

# The settings are added to those of the server.
sub guessing_node
{
	my ($name, $settings) = @_;
	my $node = SealedNode->started($name, conf => q{
wal_level = logical
autovacuum = off
compute_query_id = off
} . ($settings // ''));
	$node->safe_psql('postgres', q{
CREATE EXTENSION pgseal; CREATE EXTENSION postgres_fdw; CREATE EXTENSION dblink; CREATE EXTENSION hstore;
SELECT pgseal.create_key('pay');
CREATE ROLE e LOGIN REPLICATION; CREATE ROLE reader LOGIN; GRANT USAGE ON FOREIGN SERVER local_keyring TO reader;
CREATE TABLE emp (id int PRIMARY KEY, salary encrypted_int4('pay'), name encrypted_text('pay'), doc encrypted_jsonb('pay'), dept int);
INSERT INTO emp SELECT i, i * 10, 'SECRET' || i, '{"k": "SECRET"}', i % 3 FROM generate_series(1, 100) i;
CREATE UNIQUE INDEX ON emp (blind_index(salary)); CREATE INDEX ON emp USING sealed (salary); CREATE INDEX ON emp USING hash (name);
CREATE TABLE kept (id int PRIMARY KEY, salary encrypted_int4('pay')); SELECT pgseal.sign_table('kept'); INSERT INTO kept VALUES (50, 500);
CREATE TABLE by_hash (salary encrypted_int4('pay')) PARTITION BY HASH (salary);
CREATE TABLE by_hash0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE SERVER mine FOREIGN DATA WRAPPER local_keyring; GRANT USAGE ON FOREIGN SERVER mine TO e; SELECT pgseal.create_key('mine', server => 'mine');
CREATE TABLE guess (g int, x encrypted_int4('mine'), y encrypted_int4('*'), t encrypted_text('*')); GRANT ALL ON guess TO e;
CREATE VIEW opened AS SELECT id, salary::int AS s, name::text AS n FROM emp;
CREATE VIEW checked AS SELECT * FROM emp WHERE dept < 5 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW mat AS SELECT id, salary FROM emp;
CREATE FUNCTION sums() RETURNS bigint LANGUAGE sql AS 'SELECT sum(salary) FROM public.emp';
CREATE SCHEMA e AUTHORIZATION e; GRANT CREATE, TEMP ON DATABASE postgres TO e;
GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER, REFERENCES ON emp, kept, opened, checked TO e; GRANT SELECT ON mat, by_hash TO e;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO e;
ANALYZE});
	return $node;
}

# Sealed text and file names differ each time, the guess does of itself
sub neutral
{
	my ($text, $guess) = @_;

	$text =~ s/(pgseal:1:)?[A-Za-z0-9+\/]{30,}=*(\.\.\.)?/sealed/g;
	$text =~ s/\b\Q$guess\E\b/GUESS/g;
	$text =~ s/SECRET\Q${\int($guess \/ 10)}\E\b/own guess/g;
	$text =~ s/(pg_temp_|slot_|pgsql_tmp)\d+\S*/$1/g;
	$text =~ s/\bLINE \d+:.*//g;
	$text =~ s/^\s*\^\s*$//mg;
	return $text;
}

# How many of them are answered without an error
sub try_guesses
{
	my ($node, @statements) = @_;
	my $answered = 0;

	is(($node->psql('postgres', "BEGIN; $setup" =~ s/GUESS/50/gr, extra_params => [ '-U', 'e' ]))[2], '', 'the guess is there');
	for my $statement (@statements)
	{
		# What ends the transaction of its own is undone by hand
		my $stays = $statement =~ /^(BEGIN|CREATE TABLE e\.t \(k)/;
		my @answers;

		for my $guess (500, 505, 55555)
		{
			my $sql = ($stays ? "$setup $statement" : "BEGIN; $setup SAVEPOINT s; $statement") =~ s/GUESS/$guess/gr;
			my (undef, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'e' ]);

			$answered++ if $err !~ /ERROR/;
			push @answers, neutral("$out$err", $guess);
			$node->safe_psql('postgres', 'TRUNCATE guess; DROP TABLE IF EXISTS e.t') if $stays;
		}
		ok($answers[0] eq $answers[1] && $answers[1] eq $answers[2], "says the same: $statement") or diag(join "\n----\n", @answers);
		unlike($answers[0], qr/SECRET/, 'and no plaintext') if $statement !~ /SECRET/;
	}
	return $answered;
}

1;
