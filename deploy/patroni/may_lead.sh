#!/bin/sh
# Patroni's pre_promote: may this node lead?  Only if it unwraps the keys of every
# database that has pgseal; it fails where a keyring is missing or out of date, or a
# KMS doesn't let this node in.
#
# PGHOST, PGPORT and PGUSER, of patroni's environment, say how to reach the node: as a
# superuser, by its socket.

set -eu

sql()
{
	psql -XAtq -v ON_ERROR_STOP=1 "$@"
}

databases=$(sql -d postgres -c "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
printf '%s\n' "$databases" | while IFS= read -r database
do
	[ "$(sql -d "$database" -c "SELECT count(*) FROM pg_extension WHERE extname = 'pgseal'")" -eq 1 ] || continue
	bad=$(sql -d "$database" -F ': ' -c "SELECT object, status, detail FROM pgseal.check() WHERE status NOT IN ('ok', 'shown')")
	[ -z "$bad" ] || { printf 'pgseal: this node must not lead, %s: %s\n' "$database" "$bad" >&2; exit 1; }
done
