#!/bin/sh
# Restores the newest backup of WAL-G, and all WAL after it: walg.sh DIRECTORY
#
# DIRECTORY is there, and empty.  WAL-G's configuration: walg.yaml.

set -eu
umask 077

directory=${1:?into which directory}
wal-g backup-fetch "$directory" LATEST
echo "restore_command = 'wal-g wal-fetch %f %p'" >>"$directory/postgresql.auto.conf"
touch "$directory/recovery.signal"
