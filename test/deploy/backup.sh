#!/bin/sh
# Run through test/scratch.sh: pgBackRest with its cipher, and a restore drill.
set -eu
work=$PGSEAL_SCRATCH/tmp/backup
mkdir "$work"
export PGDATA=$work/data PGHOST=$work PGUSER=postgres PGBACKREST_REPO1_CIPHER_PASS=test-passphrase
export PGBACKREST_CONFIG=$work/pgbackrest.conf PGBACKREST_LOG_PATH=$work PGBACKREST_LOCK_PATH=$work
sed "s,^repo1-path=.*,repo1-path=$work/repo,; s,^pg1-path=.*,pg1-path=$PGDATA\npg1-socket-path=$work,; s,^\[main\],log-level-console=error\n&," \
	deploy/backup/pgbackrest.conf >"$PGBACKREST_CONFIG"
initdb -U postgres --auth=trust --locale=C.UTF-8 >"$work/log"
cat >>"$PGDATA/postgresql.conf" <<END
shared_preload_libraries = 'pgseal'
listen_addresses = ''
unix_socket_directories = '$work'
archive_mode = on
archive_command = 'pgbackrest --stanza=main archive-push %p'
END
pg_ctl -s -w -l "$work/server" start
trap 'pg_ctl -s -m immediate stop 2>/dev/null || :' EXIT
pgbackrest --stanza=main stanza-create
psql -XAtqc "CREATE EXTENSION pgseal" -c "CREATE TABLE t (v encrypted_text, plain text)" \
	-c "INSERT INTO t SELECT 'value-' || i, 'plain-' || i FROM generate_series(1, 100) i"
pgbackrest --stanza=main --type=full backup
psql -XAtqc "INSERT INTO t VALUES ('later', 'later')" -c "SELECT pg_switch_wal()" >"$work/log"
pg_ctl -s -m fast stop

key=$(sed -n 's/^1 [^ ]* \([^ ]*\) .*/\1/p' "$PGDATA.keyring")
! grep -rqaE -e 'plain-|value-' "$work/repo" || { echo "plaintext in the repository"; exit 1; }
! grep -rqaF -e "$key" "$work/repo" || { echo "a key in the repository"; exit 1; }

# The drill's own directory, not the lost one's
said=$(sh deploy/backup/drill.sh "$PGDATA.keyring" pgbackrest --stanza=main --pg1-path={} restore)
printf '%s\n' "$said"
printf '%s\n' "$said" | grep -q '^postgres: v: 101 values, 0 broken$'
printf '%s\n' "$said" | grep -q 'everything could be read'

# Another keyring opens nothing, and the drill says so
sh deploy/backup/keyring.sh new "$work/other"
if sh deploy/backup/drill.sh "$work/other" pgbackrest --stanza=main --pg1-path={} restore >"$work/log" 2>&1
then
	echo "the drill found nothing wrong without the keys"
	exit 1
fi
grep -q 'NOT everything' "$work/log"
echo 'backup: done'
