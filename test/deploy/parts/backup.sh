# Sourced by test/deploy.sh: the backup programs, each with a restore drill.

packages pgbackrest barman age
for program in pgbackrest barman
do
	works "$program: no encrypted value and no key in its repository, and the drill reads all" \
		sh test/scratch.sh sh "test/deploy/servers/$program.sh"
done
