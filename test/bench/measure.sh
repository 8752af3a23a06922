# What the benchmarks measure with; read by run.sh.

die()
{
	printf 'pgseal: %s\n' "$*" >&2
	exit 1
}

sql()
{
	psql -qAtX -v ON_ERROR_STOP=1 "$@" || die "a benchmark's statement failed"
}

server()
{
	pg_ctl -D "$data" -w -m fast -l "$log" "$1" >>"$log" 2>&1 || die "the server does not $1"
}

# ms STATEMENT [STATEMENT BEFORE IT]: milliseconds of CPU time of its backend.
cpu="split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint / 1e6"
ms()
{
	{
		printf '%s\n' "${2:-;}" "SELECT $cpu AS before \\gset" "\\o /dev/null" "$1" "\\o" \
			"SELECT $cpu - :before;"
	} | sql | tail -n 1
}

# backend_ms: milliseconds of CPU time of all backends that have ended.
backend_ms()
{
	awk -v hz="$(getconf CLK_TCK)" '{ print ($16 + $17) * 1000 / hz }' "/proc/$(head -n 1 "$data/postmaster.pid")/stat"
}

# tps SCRIPT: runs it by pgbench, with $variables (-D NAME=VALUE ...); transactions a
# second, and a second of CPU time.
tps()
{
	printf '%s\n' "$1" >"$tmp/script"
	before=$(backend_ms)
	pgbench -n -M "${mode:-prepared}" -c "$clients" -j "$clients" -T "$seconds" -D rows="$rows" ${variables:-} -f "$tmp/script" \
		>"$tmp/tps" 2>>"$log" || die "pgbench failed: $1"
	sleep 0.2					# the server learns of its backends' end
	awk -v before="$before" -v after="$(backend_ms)" '
		/^number of transactions actually processed/ { split($6, n, "/") }
		/^tps = / { tps = $3 }
		END { print tps, n[1] * 1000 / (after - before) }' "$tmp/tps"
}

# turns COMMAND [ARGUMENT...]: runs it for each of $contestants in turn (its last
# argument), $runs times.  What follows reads what they printed.
turns()
{
	: >"$tmp/turns"
	for turn in $(seq "$runs")
	do
		for contestant in $contestants
		do
			printf '%s ' "$("$@" "$contestant")" >>"$tmp/turns"
		done
		echo >>"$tmp/turns"
	done
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# figure EXPRESSION FORMAT: the median over the turns of what awk makes of their fields.
figure()
{
	printf "$2" "$(awk "{ printf \"%.9f\\n\", $1 }" "$tmp/turns" | median)"
}

# Of the second (or other) contestant over the first, "plain": what a value costs more,
per_value()
{
	figure "(\$${1:-2} - \$1) * 1e6 / ${count:-$rows}" '%.0f ns'
}

# how many times as much it costs,
ratio()
{
	figure "\$${1:-2} / \$1" '%.2f x'
}

# and its share of the transactions: field 1 and 2 are the first one's.
share()
{
	contestant=${1:-2}
	figure "100 * \$$((2 * contestant)) / \$2" '%.1f %%'
	figure "100 * \$$((2 * contestant - 1)) / \$1" ' (%.0f)'
}

# row WHAT PGSEAL BUDGET PGCRYPTO
row()
{
	printf '%-52s %14s   %-12s %s\n' "$1" "$2" "${3:-}" "${4:-}"
}
