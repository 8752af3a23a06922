#!/bin/sh
# Runs a server made of Vault's own core, transit engine and AppRole login (see
# vault/main.go), built as a Go module on first use.  Prints a line of JSON.
. "$(dirname "$0")/cache.sh"

if ! [ -x "$cache/vaultsrv" ]
then
	command -v go >/dev/null || unavailable 'Vault cannot be built: there is no Go'
	(cd "$here/vault" && go build -o "$cache/vaultsrv" .) || unavailable 'Vault cannot be built'
fi
exec "$cache/vaultsrv"
