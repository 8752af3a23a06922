#!/bin/sh
# Runs topics of the regression tests with the server under Valgrind:
#
#   sh test/sanitize/valgrind.sh types writes
#
# PostgreSQL writes padding that was never set, and its own memory contexts hide
# some of what is overstepped (see run.sh for that).  Only what has a function of
# pgseal in its stack, beyond the main function of a worker, is printed at the
# end, and is a failure.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
command -v valgrind >/dev/null || { echo "pgseal: there is no valgrind; as root, do: sh test/packages.sh valgrind" >&2; exit 1; }
[ $# -gt 0 ] || { echo "pgseal: which topics of sql/? As in: sh test/sanitize/valgrind.sh types writes" >&2; exit 1; }
for topic
do
	[ -f "$top/sql/$topic.sql" ] || { echo "pgseal: there is no topic $topic (sql/$topic.sql)" >&2; exit 1; }
done
REGRESS=$*
PGCTLTIMEOUT=600
export REGRESS PGCTLTIMEOUT

exec sh "$top/test/scratch.sh" sh -c '
	reports=$PGSEAL_SCRATCH/reports
	bin=$("$PG_CONFIG" --bindir)
	mkdir "$reports" &&
	mv "$bin/postgres" "$bin/postgres.plain" &&
	cat >"$bin/postgres" <<-EOF &&
		#!/bin/sh
		# the server of the test, but not the ones that initdb starts
		case "\$*" in
			*--cluster-name*) set -- valgrind -q --error-limit=no --num-callers=30 \
				--log-file="$reports/%p" "$bin/postgres.plain" "\$@" ;;
			*) set -- "$bin/postgres.plain" "\$@" ;;
		esac
		exec "\$@"
	EOF
	chmod +x "$bin/postgres" || exit 1
	perl test/suite.pl test/t/core/regress.pl
	status=$?
	sources=$(cd src && ls *.c */*.c | sed "s,.*/,," | paste -sd "|")
	found=$(sed "s/^==[0-9]*== *//" "$reports"/* | awk -v RS= -v own="[(]($sources):[0-9]+[)]" "
		{
			count = split(\$0, lines, \"\\n\")
			for (i = 1; i <= count; i++)
				if (lines[i] ~ own && lines[i] !~ /_main [(]/)
				{
					print \$0 \"\\n\"
					next
				}
		}")
	printf "%s processes ran under Valgrind\n" "$(ls "$reports" | wc -l)"
	if [ -n "$found" ]
	then
		printf "%s\n" "$found"
		status=1
	fi
	exit $status'
