#!/bin/sh
# Installs the drivers that test/t/core/drivers.pl uses, node-postgres from npm, psycopg 3
# and asyncpg from PyPI, and prints where: sh test/drivers/setup.sh
. "$(dirname "$0")/../cache.sh"

for program in node npm python3 timeout
do
	command -v $program >/dev/null || unavailable "there is no $program"
	# A version manager's shim may be there for a program that is not
	$program --version >/dev/null 2>&1 || unavailable "$program does not run"
done

install()
{
	python_packages "$1" 'psycopg[binary]>=3.1,<4' 'asyncpg>=0.29,<1' &&
		timeout 300 npm install --prefix "$1" --no-audit --no-fund --ignore-scripts \
			--fetch-timeout=30000 --fetch-retries=1 'pg@^8.11'
}

once drivers-2 install
printf '%s\n' "$installed"
