#!/bin/sh
# Runs promtool, Prometheus' own checker of rules: the one in PATH, or that of
# Debian's package, taken out of it without installing a server.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"

command -v promtool >/dev/null && exec promtool "$@"

fetch()
{
	# A package of its own since Debian 13
	{ apt-get download promtool || apt-get download prometheus; } &&
		dpkg-deb -x prom*.deb package &&
		mv package/usr/bin/promtool . && rm -r package prom*.deb
}

command -v apt-get >/dev/null || unavailable "there is no promtool"
once promtool-1 fetch
exec "$installed/promtool" "$@"
