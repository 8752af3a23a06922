#!/bin/sh
# Run through test/scratch.sh: WAL-G with its OpenPGP cipher, and a restore drill, where
# there is a wal-g.  (Debian has none, nor have PyPI and Go's module proxy.)
command -v wal-g >/dev/null || { echo 'WAL-G: there is none'; exit 0; }
. test/deploy/servers/backup.sh
mkdir -m 700 "$work/repo" "$work/gpg"
export GNUPGHOME=$work/gpg
gpg --batch --quiet --passphrase '' --quick-generate-key backup >"$work/log" 2>&1
gpg --batch --armor --export backup >"$work/public.asc"
gpg --batch --armor --export-secret-keys backup >"$work/private.asc"
gpgconf --kill all
# configure KEY: by the environment
configure()
{
	export $(sed -n "s,^WALG_S3_PREFIX.*,WALG_FILE_PREFIX: $work/repo,; s,^WALG_PGP_KEY_PATH.*,WALG_PGP_KEY_PATH: $1,;
		s,^PGDATA.*,PGDATA: $PGDATA,; s,^PGHOST.*,PGHOST: $work,; s,^\([A-Z0-9_]*\): ,\1=,p" deploy/backup/walg.yaml)
}
configure "$work/public.asc"
start_server "archive_mode = on" "archive_command = 'wal-g wal-push %p'"
fill
wal-g backup-push "$PGDATA" 2>"$work/log"
fill_more
psql -XAtqc "SELECT pg_switch_wal()" >"$work/log"
# Ends when all is archived
pg_ctl -s -m fast stop
without_secrets "$work/repo" value- plain-
configure "$work/private.asc"
drill "sh deploy/backup/walg.sh"
echo 'WAL-G: done'
