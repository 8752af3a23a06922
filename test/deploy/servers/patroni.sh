#!/bin/sh
# Run through test/scratch.sh: two nodes of Patroni and a third that only votes.  Each
# node has the keyring; a node without it doesn't take over, with it it does, and reads.
set -eu
work=$PGSEAL_SCRATCH/tmp/patroni
mkdir "$work"
tools=$(sh -c '. test/cache.sh; . test/deploy/cached.sh; patroni_tools' test/deploy.sh) || exit 77
children=
trap 'kill $children 2>/dev/null || :; wait' EXIT

# Ports that are free now: two of PostgreSQL, two of the REST interface, three of Raft
ports=$(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(s.getsockname()[1] for s in sockets))')
port() { echo "$ports" | cut -d' ' -f"$1"; }

# raft NUMBER: Raft's part of the configuration of a node, or of the one that only votes
raft()
{
	printf 'raft:\n  data_dir: %s/raft%s\n  self_addr: 127.0.0.1:%s\n  partner_addrs:\n' "$work" "$1" "$(port $((4 + $1)))"
	for other in 1 2 3
	do
		[ $other -eq "$1" ] || printf '    - 127.0.0.1:%s\n' "$(port $((4 + other)))"
	done
}

# configure NUMBER: the node's own file, and pgseal's beside it
configure()
{
	directory=$work/node$1
	mkdir -p "$directory/conf"
	cp "$work/keyring" "$directory/keyring"
	sed "s,/etc/pgseal/may_lead.sh,$PWD/deploy/patroni/may_lead.sh," deploy/patroni/pgseal.yml >"$directory/conf/pgseal.yml"
	cat >"$directory/conf/node.yml" <<END
scope: main
name: node$1
restapi: {listen: "127.0.0.1:$(port $((2 + $1)))", connect_address: "127.0.0.1:$(port $((2 + $1)))"}
$(raft "$1")
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 2
    retry_timeout: 10
    postgresql:
      use_pg_rewind: true
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
postgresql:
  listen: 127.0.0.1:$(port "$1")
  connect_address: 127.0.0.1:$(port "$1")
  data_dir: $directory/data
  pgpass: $directory/pgpass
  authentication: {superuser: {username: postgres}, replication: {username: postgres}, rewind: {username: postgres}}
  # Both nodes are on one machine here, so their keyrings have paths of their own
  parameters: {unix_socket_directories: "$directory", pgseal.keyring_file: "$directory/keyring"}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
END
}

# start NUMBER: sets $patroni to its process
start()
{
	PGHOST=$work/node$1 PGPORT=$(port "$1") PGUSER=postgres "$tools/patroni" "$work/node$1/conf" >>"$work/node$1/log" 2>&1 &
	patroni=$!
	children="$children $patroni"
}

# sql NUMBER STATEMENT
sql()
{
	psql -XAtq -h "$work/node$1" -p "$(port "$1")" -U postgres -d postgres -c "$2" 2>&1
}

# until_is EXPECTED COMMAND...
until_is()
{
	expected=$1
	shift
	tries=0
	until [ "$("$@" || :)" = "$expected" ]
	do
		tries=$((tries + 1))
		if [ $tries -eq 300 ]
		then
			echo "expected \"$expected\" of $*, got $("$@" || :)"
			tail -n 20 "$work"/node*/log
			exit 1
		fi
		sleep 1
	done
}

sh deploy/backup/keyring.sh new "$work/keyring"
raft 3 >"$work/voter.yml"
"$tools/patroni_raft_controller" "$work/voter.yml" >"$work/voter.log" 2>&1 &
children=$!
configure 1
configure 2
start 1
first=$patroni
until_is f sql 1 "SELECT pg_is_in_recovery() FROM pg_extension WHERE extname = 'pgseal'"
start 2
until_is t sql 2 "SELECT pg_is_in_recovery()"
sql 1 "CREATE TABLE t (v encrypted_text)" && sql 1 "INSERT INTO t VALUES ('value-1')"
until_is value-1 sql 2 "TABLE t"
echo 'the replica reads by its own keyring'

mv "$work/node2/keyring" "$work/away"
kill -KILL "$first"
pg_ctl -s -D "$work/node1/data" -m immediate stop
until_is yes sh -c "grep -q 'this node must not lead' '$work/node2/log' && echo yes"
[ "$(sql 2 'SELECT pg_is_in_recovery()')" = t ]
echo 'a node without the keyring does not take over'

mv "$work/away" "$work/node2/keyring"
until_is f sql 2 "SELECT pg_is_in_recovery()"
until_is value-1 sql 2 "TABLE t"
sql 2 "INSERT INTO t VALUES ('value-2')"
echo 'with it, it takes over, and opens and seals values'

start 1
until_is t sql 1 "SELECT pg_is_in_recovery()"
until_is 'value-1 value-2' sql 1 "SELECT string_agg(v, ' ' ORDER BY v) FROM t"
echo 'Patroni: the first node follows, and reads what the second wrote'
