#!/bin/sh
# Installs the drivers that test/t/210_drivers.pl uses: sh test/drivers/setup.sh
#
# node-postgres from npm and psycopg 3 from PyPI go to a cache directory outside
# the checkout, which is kept: $PGSEAL_CACHE, else pgseal in $XDG_CACHE_HOME,
# else one in /var/tmp that is this user's alone.  Its path is the only output.
# Exit status 77 with a message: they can't be had here.

set -u
umask 077

skip()
{
	printf '%s\n' "$*" >&2
	exit 77
}

# Programs from it are run: it must be this user's and nobody else's to write.
cache=${PGSEAL_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/pgseal}}
cache=${cache:-/var/tmp/pgseal-cache-$(id -u)}
mkdir -p "$cache" || skip "cannot make $cache"
[ -z "$(find "$cache" -maxdepth 0 '(' ! -type d -o ! -user "$(id -u)" -o -perm /022 ')')" ] ||
	skip "$cache is not a directory that only this user may write to"

ready=$cache/drivers-1
if [ ! -e "$ready" ]
then
	for program in node npm python3 timeout
	do
		command -v $program >/dev/null || skip "there is no $program"
		# A version manager's shim may be there for a program that is not
		$program --version >/dev/null 2>&1 || skip "$program does not run"
	done
	python3 -c 'import ensurepip, venv' 2>/dev/null || skip "python3 has no venv"

	# A venv's python finds itself wherever it lies: it can be renamed when complete
	new=$cache/drivers-1.$$
	trap 'rm -rf "$new"' EXIT
	mkdir "$new" || exit 1
	log=$new/log
	{
		python3 -m venv --copies "$new/python" &&
			timeout 300 "$new/python/bin/pip" install --quiet --no-input --timeout 30 --retries 1 \
				--only-binary :all: 'psycopg[binary]>=3.1,<4'
	} >"$log" 2>&1 || skip "pip could not install psycopg: $(tail -n 1 "$log")"
	timeout 300 npm install --prefix "$new" --no-audit --no-fund --ignore-scripts \
		--fetch-timeout=30000 --fetch-retries=1 'pg@^8.11' >"$log" 2>&1 </dev/null ||
		skip "npm could not install pg: $(tail -n 1 "$log")"
	rm -f "$log"
	# Another one may have been faster
	mv -T "$new" "$ready" 2>/dev/null || [ -e "$ready" ] || exit 1
fi
printf '%s\n' "$ready"
