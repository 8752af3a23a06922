# Sourced by test/deploy.sh: the backup programs, each with a restore drill.

packages pgbackrest barman
sh test/scratch.sh sh -c 'for program; do sh "test/deploy/servers/$program.sh" || :; done' sh pgbackrest barman walg >"$work/log" 2>&1
programs="pgBackRest Barman"
if command -v wal-g >/dev/null
then
	programs="$programs WAL-G"
else
	skip "WAL-G: it is in no registry; one in PATH is tried"
fi
for program in $programs
do
	is "$program: done" "$(grep "^$program: done" "$work/log")" \
		"$program's repository has no encrypted value and no key, and the drill reads all"
done
[ "$(grep -c ': done$' "$work/log")" -eq "$(echo $programs | wc -w)" ] || tail -n 40 "$work/log" | sed 's/^/# /'
