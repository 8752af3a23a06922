#!/bin/sh
# Installs dbt for test/t/core/drivers_dbt.pl and prints where: sh test/drivers/setup_dbt.sh
. "$(dirname "$0")/../cache.sh"

python3 --version >/dev/null 2>&1 && command -v timeout >/dev/null || unavailable "there is no python3"

install()
{
	python_packages "$1" 'dbt-core>=1.8,<1.10' 'dbt-postgres>=1.8,<1.10'
}

once drivers-dbt-1 install
printf '%s\n' "$installed"
