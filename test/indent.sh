#!/bin/sh
# Indents the C source as PostgreSQL's own: sh test/indent.sh [--check]
#
# Needs pgindent of PostgreSQL's source (PGSEAL_PGSRC, as make check-postgres) and
# pg_bsd_indent, which is there, too, or comes with the packages since 16.  With
# --check it shows what it would change, and exits with 1 if there is anything; with
# 77 where the tools are not there.
set -eu
cd "$(dirname "$0")/.."
tools=${PGSEAL_PGSRC:-/usr/src/postgresql}/src/tools
indent=$(command -v pg_bsd_indent || ls "$tools/pg_bsd_indent/pg_bsd_indent" /usr/lib/postgresql/*/bin/pg_bsd_indent 2>/dev/null | tail -1)
if [ ! -f "$tools/pgindent/pgindent" ] || [ -z "$indent" ]
then
	echo 'needs PGSEAL_PGSRC with src/tools/pgindent, and pg_bsd_indent (in postgresql-16 and later)' >&2
	exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Typedefs: those of the debug information, that is of all headers included
objdump -Wi pgseal.so |
	awk '/DW_TAG_typedef/ { typedef = 1; next } /DW_TAG_/ { typedef = 0 } typedef && /DW_AT_name/ { print $NF; typedef = 0 }' |
	LC_ALL=C sort -u >"$scratch/all"
cat src/*.c src/*/*.[ch] | grep -oE '[A-Za-z_][A-Za-z0-9_]*' | LC_ALL=C sort -u >"$scratch/used"
LC_ALL=C comm -12 "$scratch/all" "$scratch/used" >"$scratch/typedefs"

cp -R src "$scratch/src"
find "$scratch/src" -name '*.[ch]' | xargs perl "$tools/pgindent/pgindent" --typedefs="$scratch/typedefs" --indent="$indent"
if [ "${1:-}" = --check ]
then
	diff -ru -x '*.o' src "$scratch/src"
else
	(cd "$scratch/src" && find . -name '*.[ch]') | while read -r file
	do
		cmp -s "src/$file" "$scratch/src/$file" || cat "$scratch/src/$file" >"src/$file"
	done
fi
