# Sourced by the tests of backups, which are run through test/scratch.sh: a server with
# encrypted columns, what its backups may not hold, and the restore drill.
set -eu
work=$PGSEAL_SCRATCH/tmp/$(basename "$0" .sh)
mkdir "$work"
export PGDATA=$work/data PGHOST=$work PGUSER=postgres

# start_server SETTING...
start_server()
{
	initdb -U postgres --auth=trust --locale=C.UTF-8 >"$work/log"
	printf '%s\n' "shared_preload_libraries = 'pgseal'" "listen_addresses = ''" "unix_socket_directories = '$work'" \
		"$@" >>"$PGDATA/postgresql.conf"
	pg_ctl -s -w -t 300 -l "$work/server" start
	trap 'pg_ctl -s -m immediate stop 2>/dev/null || :' EXIT
}

fill()
{
	psql -XAtqc "CREATE EXTENSION pgseal" -c "CREATE TABLE t (v encrypted_text, plain text)" \
		-c "INSERT INTO t SELECT 'value-' || i, 'plain-' || i FROM generate_series(1, 100) i"
}

fill_more()
{
	psql -XAtqc "INSERT INTO t VALUES ('value-later', 'plain-later')"
}

# without_secrets DIRECTORY TEXT...: none of these texts, and no key, is in its files,
# compressed or not.
without_secrets()
{
	key=$(sed -n 's/^1 [^ ]* \([^ ]*\) .*/\1/p' "$PGDATA.keyring")
	printf %s "$key" | base64 -d >"$work/key"
	directory=$1
	shift
	find "$directory" -type f -exec cat {} + >"$work/all"
	find "$directory" -type f -name '*.gz' -exec gunzip -c {} \; >>"$work/all" 2>/dev/null
	for text in "$key" "$@"
	do
		! grep -qaF -e "$text" "$work/all" || { echo "\"$text\" is in the backups"; exit 1; }
	done
	python3 -c 'import sys; sys.exit(open(sys.argv[1], "rb").read() in open(sys.argv[2], "rb").read())' "$work/key" "$work/all" ||
		{ echo "the key is in the backups"; exit 1; }
	rm "$work/all" "$work/key"
}

# drill PROGRAM: by the command of docs/deploying.md, all 101 rows are read with the
# keyring, and none without.
drill()
{
	restore=$(sed -n "s,^sh deploy/backup/drill.sh keyring \($1 .*\),\1,p" docs/deploying.md)
	said=$(sh deploy/backup/drill.sh "$PGDATA.keyring" $restore)
	printf '%s\n' "$said"
	printf '%s\n' "$said" | grep -q '^postgres: v: 101 values, 0 broken$'
	printf '%s\n' "$said" | grep -q 'everything could be read'
	sh deploy/backup/keyring.sh new "$work/other"
	if sh deploy/backup/drill.sh "$work/other" $restore >"$work/log" 2>&1
	then
		echo "the drill found nothing wrong without the keys"
		exit 1
	fi
	grep -q 'NOT everything' "$work/log" || { cat "$work/log"; exit 1; }
}
