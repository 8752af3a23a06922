#!/bin/sh
# Run through test/scratch.sh: Barman, which streams, and a restore drill.
. test/deploy/servers/backup.sh
mkdir "$work/barman.d"
cat >"$HOME/.barman.conf" <<END
[barman]
barman_user = $(id -un)
barman_home = $work/barman
barman_lock_directory = $work
configuration_files_directory = $work/barman.d
log_file = $work/barman.log
END
sed "s,host=postgres,host=$work," deploy/backup/barman.conf >"$work/barman.d/main.conf"

start_server "wal_level = replica"
# The file's own statements
sed -n 's/^#   \(CREATE\|GRANT\)/\1/p; s/^#       /    /p' deploy/backup/barman.conf | psql -XAtqv ON_ERROR_STOP=1
fill
barman receive-wal --create-slot main
barman cron
barman switch-wal --archive --archive-timeout 180 main
barman check main
barman backup main --wait
fill_more
barman switch-wal --archive --archive-timeout 180 main
pg_ctl -s -m fast stop
without_secrets "$work/barman" value-
grep -rqaF plain- "$work/barman"		# it would have been seen
drill barman
echo 'Barman: done'
