#!/bin/sh
# Installs the ORMs that test/t/core/orms.pl uses and prints where: sh test/drivers/setup_orms.sh
. "$(dirname "$0")/../cache.sh"

for program in node npm python3 timeout
do
	command -v $program >/dev/null || unavailable "there is no $program"
	# A version manager's shim may be there for a program that is not
	$program --version >/dev/null 2>&1 || unavailable "$program does not run"
done

install()
{
	python_packages "$1" 'psycopg[binary]>=3.1,<4' 'sqlalchemy>=2,<3' 'alembic>=1.13,<2' 'django>=4.2,<6' &&
		timeout 300 npm install --prefix "$1" --no-audit --no-fund --ignore-scripts \
			--fetch-timeout=30000 --fetch-retries=1 'pg@^8.11' 'sequelize@^6' 'knex@^3' 'drizzle-orm@>=0.30' \
			'typeorm@>=0.3' 'reflect-metadata@>=0.1'
}

once orms-1 install
printf '%s\n' "$installed"
