#!/bin/sh
# Runs tests with pgseal.so, and what tests load beside it, built for the address
# and undefined behaviour sanitizers:
#
#   sh test/sanitize/run.sh test/t/core/regress.pl ...
#
# PostgreSQL itself is the ordinary one, with the sanitizer's library preloaded,
# which ends a process that oversteps memory; undefined behaviour is only reported.
# What was found is printed at the end, and is a failure.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
for test
do
	[ -f "$top/$test" ] || { echo "pgseal: there is no test $test; say test/t/FOLDER/NAME.pl" >&2; exit 1; }
done

# Instrumented code is optimized differently and gets warnings that are wrong
COPT='-fsanitize=address,undefined -fno-omit-frame-pointer -O1 -Wno-clobbered -Wno-maybe-uninitialized'
export COPT

# Only the server gets the library: initdb hangs with it
exec sh "$top/test/scratch.sh" sh -c '
	reports=$PGSEAL_SCRATCH/reports
	bin=$("$PG_CONFIG" --bindir)
	mkdir "$reports" &&
	gcc -shared -fPIC -o "$PGSEAL_SCRATCH/early.so" test/sanitize/early.c &&
	mv "$bin/postgres" "$bin/postgres.plain" &&
	cat >"$bin/postgres" <<-EOF &&
		#!/bin/bash
		# by the same name, as pg_ctl restart looks what was started
		LD_PRELOAD="$(gcc -print-file-name=libasan.so) $PGSEAL_SCRATCH/early.so" \
		ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:disable_coredump=1:log_path=$reports/asan" \
		UBSAN_OPTIONS="print_stacktrace=1:log_path=$reports/ubsan" \
		exec -a "\$0" "$bin/postgres.plain" "\$@"
	EOF
	chmod +x "$bin/postgres" || exit 1
	perl test/suite.pl "$@"
	status=$?
	if [ -n "$(ls "$reports")" ]
	then
		cat "$reports"/*
		status=1
	fi
	exit $status' sh "$@"
