#!/bin/sh
# PostgreSQL's own regression suite with pgseal preloaded and created in
# template1: no statement on plain columns may behave otherwise.
#
#   sh test/scratch.sh sh test/check_postgres.sh
#
# Runs the suite twice, without pgseal and with it, and compares the results:
# what differs between the two is pgseal's doing.  Differences in lists of
# catalog objects (tests that count what is in pg_proc, pg_operator, ...; psql's \df exp) are
# shown, but are none: they are named in CATALOG_TESTS.
#
# PGSEAL_TESTS="test_setup create_type ..." runs these of its tests only.
#
# The suite is taken from PGSEAL_PGSRC, an unpacked source of the PostgreSQL that
# is used; else Debian's source package is fetched with apt-get, for which
# /etc/apt must have a deb-src line.

set -eu

CATALOG_TESTS='amutils foreign_data opr_sanity type_sanity oidjoins sanity_check misc_sanity psql'

bindir=$(pg_config --bindir)
version=$(pg_config --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
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
suite=$PGSEAL_PGSRC/src/test/regress
regress=$(dirname "$(pg_config --pgxs)")/../test/regress/pg_regress
${CC:-cc} -shared -fPIC -O1 -I"$(pg_config --includedir-server)" -o "$work/regress.so" "$suite/regress.c"

# run NAME SETTING SQL OPTION: the results of the suite are in $work/NAME/results.
# Both runs are in one place, as results name it.
run()
{
	dir=$work/run
	mkdir "$dir"
	cp -R "$suite/sql" "$suite/expected" "$suite/data" "$suite/parallel_schedule" "$dir"
	[ ! -e "$suite/resultmap" ] || cp "$suite/resultmap" "$dir"
	cp "$work/regress.so" "$dir"
	for module in autoinc refint
	do
		cp "$(pg_config --pkglibdir)/$module.so" "$dir"
	done
	initdb -D "$dir/data_dir" -A trust --no-sync --no-locale -E UTF8 >"$dir/initdb.log"
	printf '%s\n' "fsync = off" "listen_addresses = ''" "unix_socket_directories = '$work/socket'" "$2" >>"$dir/data_dir/postgresql.conf"
	pg_ctl -s -w -D "$dir/data_dir" -l "$dir/server.log" start
	psql -qX -h "$work/socket" -d template1 -c "$3" >/dev/null
	"$regress" --bindir="$bindir" --inputdir="$dir" --outputdir="$dir" --dlpath="$dir" --host="$work/socket" \
		--max-concurrent-tests=20 $4 ${PGSEAL_TESTS:---schedule="$dir/parallel_schedule"} >"$dir/regress.log" 2>&1 || true
	pg_ctl -s -w -m fast -D "$dir/data_dir" stop
	tail -n 8 "$dir/regress.log" | grep -E 'tests (failed|passed)' || true
	mv "$dir" "$work/$1"
}

# pg_regress makes its database from template0
run plain '' 'SELECT' ''
run pgseal "shared_preload_libraries = 'pgseal'" 'CREATE EXTENSION pgseal' --load-extension=pgseal

failed=
for result in "$work"/plain/results/*.out
do
	test=$(basename "$result" .out)
	cmp -s "$result" "$work/pgseal/results/$test.out" && continue
	printf '\n== %s\n' "$test"
	diff -u "$result" "$work/pgseal/results/$test.out" || true
	case " $CATALOG_TESTS " in
		*" $test "*) ;;
		*) failed="$failed $test" ;;
	esac
done
if [ -n "$failed" ]
then
	echo "check-postgres: differ:$failed"
	exit 1
fi
echo 'check-postgres: no differences but in lists of catalog objects'
