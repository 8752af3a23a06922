#!/bin/sh
# Builds the program of test/t/core/drivers_go.pl, with GORM, pgx and lib/pq as Go modules,
# and prints where it is: sh test/drivers/setup_go.sh
. "$(dirname "$0")/../cache.sh"

PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null && command -v timeout >/dev/null || unavailable "needs Go"
sources=$(cd "$(dirname "$0")/go" && pwd -P)

build()
{
	cd "$sources" && GOPATH=$1/go GOCACHE=$1/cache GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0 \
		timeout 1500 go build -o "$1/cases" . && rm -r "$1/go" "$1/cache"
}

once "drivers-go-$(cat "$sources"/* | cksum | cut -d ' ' -f 1)" build
printf '%s\n' "$installed/cases"
