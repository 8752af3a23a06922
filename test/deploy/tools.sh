# Sourced by test/deploy.sh: what the tests of deploy/ need and a machine has not.

# packages PACKAGE...: Debian's
packages()
{
	missing=
	for package
	do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -z "$missing" ] || sh test/packages.sh $missing >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log"; echo "deploy: cannot install$missing" >&2; exit 1; }
}

# cached COMMAND...: in a shell that has test/cache.sh, whose umask and exit are its own.
cached()
{
	sh -c '. test/cache.sh; . test/deploy/cached.sh; "$@"' test/deploy.sh "$@"
}
