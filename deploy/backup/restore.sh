#!/bin/sh
# Restores a database from dump.sh's DIRECTORY: restore.sh DIRECTORY/NAME.dump.age DATABASE
#
# DATABASE is there, and empty but for the extension; IDENTITY is the file with the
# private key, "-" for standard input.  The keyring comes first: keyring.sh restore.
# PGHOST, PGUSER and their like say which server.  Roles: roles.sql.age, by psql.

set -eu
umask 077

dump=${1:?which dump}
database=${2:?into which database}
identity=$(cat "${IDENTITY:?is the file with the private key}")

# restored ARGUMENT...: the dump, which is never on the disk as it is
restored()
{
	{ printf '%s\n' "$identity" | age --decrypt --identity - "$dump" || echo >&3; } 3>"$failed" |
		pg_restore --exit-on-error --dbname "$database" "$@"
	[ ! -s "$failed" ] || { printf 'restore: %s is not whole\n' "$dump" >&2; exit 1; }
}

failed=$(mktemp)
trap 'rm "$failed"' EXIT
# Indexes, constraints and generated columns compute with values: the keys before all.
# They merge with themselves afterwards.
psql -Xqv ON_ERROR_STOP=1 -d "$database" -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS pgseal'
restored --data-only -n pgseal -t key -t key_version
restored
