#!/bin/sh
# The benchmarks (make bench).  Run through test/scratch.sh.
#
# Each compares an encrypted column with a plain one, and with what pgcrypto's
# users do, in the same run, taking turns, and prints the median of the turns
# beside the budget.  Nothing fails here: a budget is for a person to judge.
#
# A statement costs the CPU time of its backend, which other work on the machine
# changes little.  Everything fits into memory, nothing waits for a disk.
# What pgbench compares is the transactions a second of CPU time of the server;
# those a second of time, which take a quiet machine, stand beside it.
#
# pgcrypto stands there twice: encrypt() is raw AES-CBC without authentication,
# its fastest; pgp_sym_encrypt() is what its manual recommends.  An equality
# index is there an index on hmac() of what decrypt() returns.
#
# Environment:
#   ROWS (default 1000000), RUNS (5 turns), SECONDS_EACH (4, of a pgbench), CLIENTS (2)
#   ROWS_BIG  if set, indexes are also built on a table of so many rows (10000000
#             take 10 minutes and 6 GB)
#   PARTS     which of: value table lookup application sealed signed keys reencrypt installed

set -u

rows=${ROWS:-1000000}
runs=${RUNS:-5}
seconds=${SECONDS_EACH:-4}
clients=${CLIENTS:-2}
data=$PGSEAL_SCRATCH/bench
tmp=$PGSEAL_SCRATCH/tmp
log=$PGSEAL_SCRATCH/log/bench
bench=$(dirname "$0")
export PGHOST="$tmp" PGPORT=5432 PGDATABASE=postgres PGUSER=postgres
export PSQLRC=/dev/null PGOPTIONS="-c client_min_messages=warning"

. "$bench/measure.sh"

initdb -D "$data" --username=postgres --auth=trust --locale=C.UTF-8 >"$log" 2>&1 ||
	die "initdb failed"
cat >>"$data/postgresql.conf" <<CONF
shared_preload_libraries = 'pgseal'
listen_addresses = ''
unix_socket_directories = '$PGHOST'
shared_buffers = 512MB
max_wal_size = 8GB
work_mem = 512MB
maintenance_work_mem = 512MB
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
synchronous_commit = off
autovacuum = off
jit = off
CONF
server start
trap 'pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1' EXIT

sql <<'SQL'
CREATE EXTENSION pgseal;
CREATE EXTENSION pgcrypto;
SELECT pgseal.create_key('bench');
SQL
secret="'0123456789abcdef0123456789abcdef'::bytea"

echo "$(postgres --version), $(openssl version | cut -d' ' -f1,2), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
for part in ${PARTS:-value table lookup application sealed signed keys reencrypt installed}
do
	echo
	. "$bench/$part.sh"
done
