#!/bin/sh
# Run through test/scratch.sh: pgBackRest with its cipher, and a restore drill.
. test/deploy/servers/backup.sh
export PGBACKREST_REPO1_CIPHER_PASS=test-passphrase
export PGBACKREST_CONFIG=$work/pgbackrest.conf PGBACKREST_LOG_PATH=$work PGBACKREST_LOCK_PATH=$work
sed "s,^repo1-path=.*,repo1-path=$work/repo,; s,^pg1-path=.*,pg1-path=$PGDATA\npg1-socket-path=$work,; s,^\[main\],log-level-console=error\n&," \
	deploy/backup/pgbackrest.conf >"$PGBACKREST_CONFIG"
start_server "archive_mode = on" "archive_command = 'pgbackrest --stanza=main archive-push %p'"
pgbackrest --stanza=main stanza-create
fill
pgbackrest --stanza=main --type=full backup
fill_more
psql -XAtqc "SELECT pg_switch_wal()" >"$work/log"
pg_ctl -s -m fast stop
# Its cipher hides the plain column as well
without_secrets "$work/repo" value- plain-
# The drill's own directory, not the lost one's
drill pgbackrest
echo 'pgBackRest: done'
