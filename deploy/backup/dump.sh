#!/bin/sh
# Dumps all databases, encrypted for RECIPIENT (age1…): dump.sh DIRECTORY
#
# Encrypted columns and wrapped keys are ciphertext in a dump anyway, plain columns
# and the hashes of passwords are not.  The keyring isn't in it: keyring.sh.
#
# PGHOST, PGUSER and their like say which server.  To restore one:
#
#   age --decrypt --identity IDENTITY DIRECTORY/TIME/app.dump.age | pg_restore --dbname app
#
# and the roles before it, from roles.sql.age; docs/operating.md says what comes first.

set -eu
umask 077

: "${RECIPIENT:?is the public key to encrypt for}"
out=${1:?which directory}/$(date -u +%Y%m%dT%H%M%SZ)
mkdir "$out.part"

# encrypted FILE COMMAND...: what it prints, encrypted.  A pipe's status is that of
# its last command, so the first one's is kept beside.
encrypted()
{
	file=$out.part/$1
	shift
	{ "$@" || : >"$out.part/failed"; } | age --encrypt --recipient "$RECIPIENT" --output "$file"
	[ ! -e "$out.part/failed" ] || { printf 'dump: %s failed\n' "$1" >&2; exit 1; }
}

encrypted roles.sql.age pg_dumpall --globals-only
databases=$(psql -XAtq -d postgres -v ON_ERROR_STOP=1 -c "SELECT datname FROM pg_catalog.pg_database
	WHERE datallowconn AND NOT datistemplate ORDER BY datname")
printf '%s\n' "$databases" | while IFS= read -r database
do
	case $database in
		*/*) printf 'dump: no file can have the name of database %s\n' "$database" >&2; exit 1 ;;
	esac
	encrypted "$database.dump.age" pg_dump --format=custom --dbname="$database"
done
sync "$out.part"/*
mv "$out.part" "$out"
printf '%s\n' "$out"
