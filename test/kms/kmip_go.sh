#!/bin/sh
# Runs a KMIP server made of ovh/kmip-go (a third party's): kmip_go.sh CERTIFICATE KEY CLIENTS_CA.
# See kmip_go/main.go.  It is built once, by the Go that is there.
. "$(dirname "$0")/../cache.sh"
here=$(cd "$(dirname "$0")" && pwd)

build()
{
	cp "$here/kmip_go/"* . && GOPATH=$1/go GOCACHE=$1/cache GOFLAGS=-modcacherw timeout 1500 go build -o kmip-go . &&
		rm -r "$1/go" "$1/cache"
}

PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || unavailable "needs Go"
name=kmip-go-$(cat "$here/kmip_go/"* | cksum | cut -d ' ' -f 1)
why=$( (once "$name" build) 2>&1) || unavailable "needs Go, and its modules: $why"
once "$name" build
exec "$installed/kmip-go" "$@"
