# Sourced by test/deploy.sh: the backup programs, each with a restore drill.

packages pgbackrest barman
sh test/scratch.sh sh -c 'for program; do sh "test/deploy/servers/$program.sh" || :; done' sh pgbackrest barman >"$work/log" 2>&1
for program in pgBackRest Barman
do
	is "$program: done" "$(grep "^$program: done" "$work/log")" \
		"$program's repository has no encrypted value and no key, and the drill reads all"
done
grep -q 'pgBackRest: done' "$work/log" && grep -q 'Barman: done' "$work/log" || tail -n 40 "$work/log" | sed 's/^/# /'
