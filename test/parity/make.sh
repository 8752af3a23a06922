#!/bin/sh
# Makes the generated parts of the SQL script from the present source (make parity), on
# a throw-away server of PostgreSQL 15, whose catalog is the one that pgseal is measured
# by; into the directory that the first argument names.  Takes ten minutes.
set -eu
out=$1
case $(pg_config --version) in
*' 15.'*) ;;
*) echo 'needs PostgreSQL 15 (PG_CONFIG)' >&2; exit 1 ;;
esac

for part in 47_related_types 56_in_range 71_sealed_related 75_later_versions
do
	perl test/parity/related.pl $part >"$out/$part.sql"
	cp "$out/$part.sql" sql/install/
done

data=$PWD/paritydata
initdb -D "$data" --no-locale -E UTF8 -U postgres >/dev/null
cat >>"$data/postgresql.conf" <<END
shared_preload_libraries = 'pgseal'
fsync = off
listen_addresses = ''
unix_socket_directories = '$PWD'
END
pg_ctl -D "$data" -w -l "$PWD/paritylog" start >/dev/null
trap 'pg_ctl -D "$data" -m immediate stop >/dev/null' EXIT
export PGHOST="$PWD" PGUSER=postgres

# Without what is made by asking, and what is made for it
parts=$(ls sql/install/*.sql sql/install/*.sql.in | grep -v -e /70_parity -e /71_ -e /75_)
awk -f sql/install/assemble.awk sql/install/types.txt $parts >"$(pg_config --sharedir)/extension/$(basename sql/pgseal--*[0-9].sql)"
perl test/parity/generate.pl >"$out/70_parity.sql"
cp "$out/70_parity.sql" sql/install/

# What it was made from, but for comments of SQL, for test/t/core/generated.pl
for file in $(cat test/parity/inputs.txt) sql/install/70_parity.sql
do
	printf '%s  %s\n' "$(sed '/^[[:space:]]*--/d' "$file" | sha256sum | cut -d ' ' -f 1)" "$file"
done >"$out/checksums"
