#!/bin/sh
# A guided tour of pgseal (make demo).  Run by test/demo.sh in the scratch copy.
#
# Every step says what it shows, prints the statements and the server's answer,
# and checks that the answer is the one promised; the tour ends with an error
# at the first that is not.

set -u

data=$PGSEAL_SCRATCH/tour
export PGHOST="$PGSEAL_SCRATCH/tmp" PGPORT=5432 PGDATABASE=postgres PGUSER=postgres
export PSQLRC=/dev/null PSQL_PAGER=
sealed='pgseal:1:[A-Za-z0-9+/]*'

say()
{
	printf '\n\033[1m-- %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[01]m//g'; fi
}

# expect PATTERN, refuse PATTERN: what the answer to the last step must hold,
# and must not.
expect()
{
	printf '%s\n' "$answer" | grep -q -e "$1" || broken "expected $1"
}

refuse()
{
	printf '%s\n' "$answer" | grep -q -e "$1" && broken "did not expect $1"
}

broken()
{
	printf '\npgseal: the demonstration failed: %s\n' "$1" >&2
	tail -n 20 "$PGSEAL_SCRATCH/log/tour" >&2
	exit 1
}

# Runs what stands on standard input in psql, and prints both.
sql()
{
	answer=$(psql --no-psqlrc --echo-queries 2>&1)
	printf '%s\n' "$answer"
}

# Runs a command of the shell, and prints both.
shell()
{
	printf '$ %s\n' "$1" | sed "s,$data,\$PGDATA,g"
	answer=$(sh -c "$1" 2>&1 | sed "s,$data/,,")
	printf '%s\n' "$answer"
}

initdb -D "$data" --username=postgres --auth=trust --locale=C.UTF-8 --no-sync \
	>"$PGSEAL_SCRATCH/log/tour" 2>&1 || broken "initdb"
cat >>"$data/postgresql.conf" <<CONF
shared_preload_libraries = 'pgseal'
listen_addresses = ''
unix_socket_directories = '$PGHOST'
fsync = off
CONF
pg_ctl -D "$data" -w -l "$PGSEAL_SCRATCH/log/tour" start >/dev/null || broken "the server does not start"
trap 'pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1' EXIT

say "One line in postgresql.conf, one statement in the database."
sql <<'SQL'
SHOW shared_preload_libraries;
CREATE EXTENSION pgseal;
SQL
expect '^CREATE EXTENSION'

say "Columns whose type is encrypted_...: the table gets a data key of its own."
sql <<'SQL'
CREATE TABLE customers (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    city    text,
    email   encrypted_text,
    salary  encrypted_int4
);
CREATE UNIQUE INDEX customers_email ON customers (blind_index(email));
INSERT INTO customers (city, email, salary) VALUES
    ('Canary-in-plain-text', 'canary-sealed@example.org', 5200),
    ('London', 'ada@example.org', 7300);
INSERT INTO customers (city, email, salary)
    SELECT 'Paris', 'user' || i || '@example.org', 3000 + i FROM generate_series(1, 3000) i;
ANALYZE customers;
SQL
expect '^INSERT 0 3000'
expect '^ANALYZE'

say "The application reads and writes plain values: nothing in it changes."
sql <<'SQL'
SELECT id, city, email, salary FROM customers ORDER BY id LIMIT 3;
SELECT upper(email), salary + 100 AS more FROM customers WHERE salary > 6000;
SQL
expect 'canary-sealed@example.org | *5200'
expect 'ADA@EXAMPLE.ORG | *7400'

say "A search for an encrypted value uses the index, which holds keyed hashes."
sql <<'SQL'
SELECT id, salary FROM customers WHERE email = 'ada@example.org';
EXPLAIN (COSTS OFF) SELECT id, salary FROM customers WHERE email = 'ada@example.org';
INSERT INTO customers (email) VALUES ('ada@example.org');
SQL
expect '2 | *7300'
expect 'Index Scan using customers_email'
expect 'duplicate key value violates unique constraint'

say "What PostgreSQL itself has is sealed.  A session may look at that, too."
sql <<'SQL'
SET pgseal.transparent = off;
SELECT id, email FROM customers ORDER BY id LIMIT 2;
SQL
expect "$sealed"
refuse 'example.org'

say "So is a dump."
shell "pg_dump --data-only --table=customers | grep -A 2 ^COPY"
expect "$sealed"
refuse 'example.org'

say "Who may see the plain values?  Whoever has USAGE on the master key's server."
sql <<'SQL'
CREATE ROLE clerk;
GRANT SELECT ON customers TO clerk;
SET ROLE clerk;
SELECT id, city FROM customers WHERE id = 2;
SELECT email FROM customers WHERE id = 2;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER local_keyring TO clerk;
SET ROLE clerk;
SELECT email FROM customers WHERE id = 2;
SQL
expect 'permission denied for foreign server'
expect '^ ada@example.org'

say "A column that is there already is encrypted while its table is in use."
sql <<'SQL'
CREATE TABLE visits (id int PRIMARY KEY, diagnosis text);
INSERT INTO visits VALUES (1, 'measles'), (2, 'mumps');
CALL pgseal.encrypt_column('visits', 'diagnosis');
SELECT * FROM visits ORDER BY id;
COPY visits TO STDOUT;
SQL
expect '1 | measles'
expect "$sealed"

say "A new data key: it seals from now on, and a worker re-encrypts what there is."
sql <<'SQL'
SELECT pgseal.rotate_key('public.customers');
SQL
expect '^ *2$'
tries=0
while [ "$(psql -AtXc "SELECT sealed - stale FROM pgseal.verify_table('customers') WHERE \"column\" = 'email'")" != 3002 ]
do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || broken "the worker did not re-encrypt"
	sleep 0.2
done
sql <<'SQL'
SELECT * FROM pgseal.verify_table('customers');
SELECT id, email FROM customers WHERE email = 'ada@example.org';
SQL
expect 'email *| *3002 | *0 | *0'
expect '2 | ada@example.org'

say "And on disk?  All bytes of the data directory are searched, the WAL included."
sql <<'SQL'
CHECKPOINT;
SQL
shell "grep -rl Canary-in-plain-text $data"
expect '^base/'
expect '^pg_wal/'
shell "grep -rl canary-sealed@example.org $data || echo nowhere"
expect '^nowhere$'

say "Is everything in order?  Servers of master keys, keys and columns are tried."
sql <<'SQL'
SELECT object, status FROM pgseal.check() ORDER BY object COLLATE "C";
SQL
expect 'column public.customers.email *| ok'
expect 'server local_keyring *| ok'

say "That was pgseal.  The server and its data are deleted now.
--
-- Here the master key lay in a file beside the data directory.  With AWS KMS, Vault
-- or OpenBao, Azure Key Vault or Google Cloud KMS nothing else changes: CREATE SERVER
-- names the key there, and pgseal.move_key() goes over to it, without touching data.
-- README.md says more."
