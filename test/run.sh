#!/bin/sh
# Runs the tests: sh test/run.sh [TEST ...]
#
# A TEST is a file, test/t/FOLDER/NAME.pl, or FOLDER/NAME, or its NAME alone, or that
# with a number before it.  None: all of them.  REGRESS="topic ..." restricts the
# regression tests of sql/ to these topics.
#
# On a machine that has nothing but this checkout, too: see test/scratch.sh.

cd "$(dirname "$0")/.." || exit 1

fail()
{
	printf 'pgseal: %s\n' "$*" >&2
	exit 1
}

# Prints the file of a test.
find_test()
{
	name=${1##*/}
	name=${name%.pl}
	unnumbered=$(printf '%s' "$name" | sed -n 's/^[0-9][0-9]*_\(\(attack\|kms\|convert\)_\)\{0,1\}//p')
	for file in "$1" "test/t/$1" "test/t/$1.pl" test/t/*/"$name.pl" test/t/*/"${unnumbered:-$name}.pl"
	do
		[ ! -f "$file" ] || { printf '%s\n' "$file"; return; }
	done
	return 1
}

for topic in ${REGRESS:-}
do
	[ -f "sql/$topic.sql" ] || fail "there is no topic \"$topic\" for REGRESS: topics are the files of sql/, without .sql"
done

# Each argument goes, and what it stands for comes at the end.
for given
do
	shift
	case $given in
		-*) fail "run.sh has no options; say: sh test/run.sh [TEST ...], as in sh test/run.sh test/t/core/regress.pl" ;;
	esac
	file=$(find_test "$given") || fail "there is no test \"$given\": tests are the files of test/t/, in folders by topic (ls test/t/*)"
	set -- "$@" "$file"
done

exec sh test/scratch.sh perl test/suite.pl "$@"
