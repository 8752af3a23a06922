#!/bin/sh
# PostgreSQL's own test suites with pgseal preloaded and created in the databases: no
# statement on plain columns may behave otherwise.
#
#   sh test/scratch.sh sh test/check_postgres.sh
#
# Runs them twice, without pgseal and with it, and compares the results: what
# differs between the two is pgseal's doing.  Differences in lists of
# catalog objects (tests that count what is in pg_proc, pg_operator, ...; psql's \df exp) are
# shown, but are none: they are named in CATALOG_TESTS.  What modules ask of all operator
# classes isn't compared: ours aren't complete to amvalidate(), as they compare with the
# base type, and leave to its own family how that compares with itself.
#
# The suites are core's regression and isolation tests, and those of the procedural
# languages and contrib modules that are installed.
#
# PGSEAL_SUITES="regress isolation plpgsql hstore ..." runs these only,
# PGSEAL_TESTS="test_setup create_type ..." these of the tests of core's regression suite.
#
# The suites are taken from PGSEAL_PGSRC, an unpacked source of the PostgreSQL that
# is used; else Debian's source package is fetched with apt-get, for which
# /etc/apt must have a deb-src line.

set -eu

CATALOG_TESTS='amutils foreign_data opr_sanity type_sanity oidjoins sanity_check misc_sanity psql'

bindir=$(pg_config --bindir)
library=$(pg_config --pkglibdir)
version=$(pg_config --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
tests=$(dirname "$(pg_config --pgxs)")/../test
work=$PWD/tmp_postgres
rm -rf "$work"
mkdir -p "$work/socket"
if [ -z "${PGSEAL_PGSRC:-}" ]
then
	(cd "$work" && apt-get -q source --download-only "postgresql-$version" &&
		dpkg-source -x postgresql-"$version"_*.dsc source) >"$work/source.log" 2>&1 || {
		tail "$work/source.log" >&2
		echo "check-postgres: no source package: add deb-src to apt's sources, or set PGSEAL_PGSRC" >&2
		exit 1
	}
	PGSEAL_PGSRC=$work/source
fi
${CC:-cc} -shared -fPIC -O1 -I"$(pg_config --includedir-server)" -o "$work/regress.so" "$PGSEAL_PGSRC/src/test/regress/regress.c"

# directory_of SUITE: in the source
directory_of()
{
	case $1 in
		regress|isolation) echo "$PGSEAL_PGSRC/src/test/$1" ;;
		plpgsql) echo "$PGSEAL_PGSRC/src/pl/plpgsql/src" ;;
		plperl) echo "$PGSEAL_PGSRC/src/pl/plperl" ;;
		plpython3) echo "$PGSEAL_PGSRC/src/pl/plpython" ;;
		pltcl) echo "$PGSEAL_PGSRC/src/pl/tcl" ;;
		*) echo "$PGSEAL_PGSRC/contrib/$1" ;;
	esac
}

# Procedural languages and modules that have tests, and are installed
modules()
{
	for module in plpgsql plperl plpython3 pltcl $(ls "$PGSEAL_PGSRC/contrib")
	do
		case $module in
			pg_stat_statements) ;;		# wants to be preloaded, and is then seen in other results
			*) [ ! -d "$(directory_of "$module")/sql" ] || [ ! -e "$library/$module.so" ] || echo "$module" ;;
		esac
	done
}

# tests_of SUITE VARIABLE: that the Makefile names.  Those of languages aren't for PGXS:
# of them make tells what it has read until it stopped.
tests_of()
{
	case $1 in
		pl*) make -pn -C "$(directory_of "$1")" 2>/dev/null | sed -n "s/^$2 = //p" | head -n 1 ;;
		*)
			make -s -C "$(directory_of "$1")" USE_PGXS=1 PG_CONFIG="$(command -v pg_config)" \
				--eval "tests_of: ; @echo \$($2)" tests_of
			;;
	esac
}

suites=${PGSEAL_SUITES:-regress isolation $(modules)}

# run_tests PROGRAM SUITE ARGUMENT...: its results are in a directory of the suite
run_tests()
{
	program=$1
	suite=$2
	shift 2
	# What psql copies lies where it runs
	(
		cd "$dir/$suite"
		"$tests/$program" --bindir="$bindir" --inputdir="$dir/$suite" --outputdir="$dir/$suite" --dlpath="$dir" \
			--host="$work/socket" $load "$@" >"$(basename "$program").log" 2>&1
	) || true
	printf '%s: ' "$suite"
	grep -E 'tests (failed|passed)' "$dir/$suite/$(basename "$program").log" || echo "no result"
}

run_suite()
{
	mkdir "$dir/$1"
	for part in sql specs expected data resultmap parallel_schedule isolation_schedule
	do
		[ ! -e "$(directory_of "$1")/$part" ] || cp -R "$(directory_of "$1")/$part" "$dir/$1"
	done
	case $1 in
		regress)
			run_tests regress/pg_regress "$1" --dbname=regression --max-concurrent-tests=20 \
				${PGSEAL_TESTS:---schedule="$dir/$1/parallel_schedule"}
			;;
		isolation)
			run_tests isolation/pg_isolation_regress "$1" --dbname=isolation_regression --schedule="$dir/$1/isolation_schedule"
			;;
		*)
			names=$(tests_of "$1" REGRESS)
			extension=
			[ "$1" != pltcl ] || extension=--load-extension=pltcl
			[ -z "$names" ] || run_tests regress/pg_regress "$1" --dbname=contrib_regression $extension $names
			names=$(tests_of "$1" ISOLATION)
			[ -z "$names" ] || run_tests isolation/pg_isolation_regress "$1" --dbname=contrib_regression $names
			;;
	esac
}

# run NAME LIBRARIES SQL OPTION: the results of a suite are in $work/NAME/SUITE/results.
# Both runs are in one place, as results name it.
run()
{
	dir=$work/run
	mkdir "$dir"
	cp "$work/regress.so" "$dir"
	for module in autoinc refint
	do
		cp "$library/$module.so" "$dir"
	done
	initdb -D "$dir/data_dir" -A trust --no-sync --no-locale -E UTF8 >"$dir/initdb.log"
	printf '%s\n' "fsync = off" "listen_addresses = ''" "unix_socket_directories = '$work/socket'" "wal_level = logical" \
		"max_prepared_transactions = 4" "shared_preload_libraries = '$2'" >>"$dir/data_dir/postgresql.conf"
	PGHOST="$work/socket" pg_ctl -s -w -D "$dir/data_dir" -l "$dir/server.log" start
	psql -qX -h "$work/socket" -d template1 -c "$3" >/dev/null
	load=$4
	for suite in $suites
	do
		run_suite "$suite"
	done
	pg_ctl -s -w -m fast -D "$dir/data_dir" stop
	mv "$dir" "$work/$1"
}

# pg_regress makes its databases from template0
run plain '' 'SELECT' ''
run pgseal pgseal 'CREATE EXTENSION pgseal' --load-extension=pgseal

# without_classes FILE
without_classes()
{
	sed '/^WHERE .*NOT amvalidate(/,/^([0-9]* rows*)$/d' "$1" >"$1.compared"
}

failed=
for result in "$work"/plain/*/results/*.out
do
	test=${result#"$work/plain/"}
	without_classes "$result"
	without_classes "$work/pgseal/$test"
	cmp -s "$result.compared" "$work/pgseal/$test.compared" && continue
	name=$(basename "$test" .out)
	printf '\n== %s\n' "$test"
	diff -u "$result.compared" "$work/pgseal/$test.compared" || true
	case " $CATALOG_TESTS " in
		*" $name "*) ;;
		*) failed="$failed ${test%%/*}/$name" ;;
	esac
done
if [ -n "$failed" ]
then
	echo "check-postgres: differ:$failed"
	exit 1
fi
echo 'check-postgres: no differences but in lists of catalog objects'
