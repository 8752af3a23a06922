#!/bin/sh
# Indents the C source as PostgreSQL's own: sh test/indent.sh [--check]
#
# Needs pg_bsd_indent (PG_BSD_INDENT), which comes with the packages of PostgreSQL 16
# and later.  With --check it shows what it would change, and exits with 1 if there is
# anything; with 77 where the tool is not there.
#
# Does what pgindent does, which comes only with PostgreSQL's source, and hides from
# the tool what it does not know: that foreach() is a loop, and a designated
# initializer behind a comma.
set -eu
cd "$(dirname "$0")/.."

missing()
{
	echo "indent: $*" >&2
	exit 77
}

indent=${PG_BSD_INDENT:-$(command -v pg_bsd_indent || ls /usr/lib/postgresql/*/bin/pg_bsd_indent 2>/dev/null | tail -n 1)}
[ -n "$indent" ] ||
	missing "there is no pg_bsd_indent: install postgresql-16 or later, or name it with PG_BSD_INDENT"
[ -f pgseal.so ] || missing "pgseal has not been built: its debug information tells the typedefs"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Typedefs: those of the debug information, that is of all headers included, and of
# enums that no variable is declared with; but not those that are names of variables
{
	objdump -Wi pgseal.so |
		awk '/DW_TAG_typedef/ { typedef = 1; next } /DW_TAG_/ { typedef = 0 } typedef && /DW_AT_name/ { print $NF; typedef = 0 }'
	sed -n 's/^} \(\w*\);$/\1/p' src/*/*.[ch]
} | grep -vx 'text\|new' | LC_ALL=C sort -u >"$scratch/all"
cat src/*.c src/*/*.[ch] | grep -oE '[A-Za-z_][A-Za-z0-9_]*' | LC_ALL=C sort -u >"$scratch/used"
LC_ALL=C comm -12 "$scratch/all" "$scratch/used" >"$scratch/typedefs"

# pgindent's options
options='-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79 -lp -lpl -nip -npro -sac -tpg -ts4'

mkdir "$scratch/src"
(cd src && find . -name '*.[ch]' | tar -cf - -T -) | tar -C "$scratch/src" -xf -
(
	cd "$scratch"
	files=$(find src -name '*.[ch]')
	perl -pi -e 's!/\* +---!/*---X_X!g; s/^(\s*)(foreach\w*|forboth|forthree|for_each_from|for_each_cell)\(/$1for ($2__ /' $files
	for file in $files
	do
		"$indent" $options -Utypedefs "$file" || exit 1
	done
	perl -pi -e 's!/\*---X_X!/* ---!g; s!\*/(/\*.*\*/)$!*/\t$1!; s!^([A-Za-z_]\S*)[ \t]+\*$!$1 *!;
		s/^(\s*)for \((\w+)__ ?/$1$2(/; s/,\.(?=\w+ = )/, ./g' $files
)

if [ "${1:-}" = --check ]
then
	diff -ru -x '*.o' src "$scratch/src"
else
	find src -name '*.[ch]' | while read -r file
	do
		cmp -s "$file" "$scratch/$file" || cat "$scratch/$file" >"$file"
	done
fi
