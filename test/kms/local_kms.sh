#!/bin/sh
# Runs local-kms (a third-party imitation of AWS KMS, in Go) on a port of 127.0.0.1,
# with its data in a directory: local_kms.sh PORT DIRECTORY.  The one in PATH, or
# built once by the Go that is there.
. "$(dirname "$0")/../cache.sh"

build()
{
	GOBIN=$1 GOPATH=$1/go GOCACHE=$1/cache GOFLAGS=-modcacherw timeout 500 \
		go install github.com/nsmithuk/local-kms@v0.0.0-20260228092603-2a5e92d09ab6 &&
		rm -r "$1/go" "$1/cache"
}

program=$(command -v local-kms) || {
	PATH=$PATH:/usr/local/go/bin
	command -v go >/dev/null || unavailable "there is neither local-kms nor Go"
	once local-kms-1 build
	program=$installed/local-kms
}
PORT=$1 KMS_DATA_PATH=$2 KMS_SEED_PATH=$2/none KMS_REGION=eu-west-1 KMS_ACCOUNT_ID=111122223333 exec "$program"
