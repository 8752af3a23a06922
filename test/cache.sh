# Sourced by the scripts that install what only tests use, from PyPI and npm.
#
# It goes to a directory outside the checkout, which is kept: $PGSEAL_CACHE, else
# pgseal in $XDG_CACHE_HOME, else one in /var/tmp that is this user's alone.

set -u
umask 077

# unavailable WHY: it can't be had here.  The tests take 77 for "skip".
unavailable()
{
	printf '%s\n' "$*" >&2
	exit 77
}

# Programs from it are run: it must be this user's and nobody else's to write.
cache=${PGSEAL_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/pgseal}}
cache=${cache:-/var/tmp/pgseal-cache-$(id -u)}
mkdir -p "$cache" && cache=$(cd "$cache" && pwd -P) || unavailable "cannot make $cache"
[ -z "$(find "$cache" -maxdepth 0 '(' ! -type d -o ! -user "$(id -u)" -o -perm /022 ')')" ] ||
	unavailable "$cache is not a directory that only this user may write to"

# once NAME FUNCTION: sets $installed to a directory in the cache that FUNCTION
# has filled, at some time; it is called in an empty one, with its path.  Of
# several at the same time one works and the others wait.  It is filled in its
# place, as what is installed there knows where it is: a mark says that it isn't whole.
once()
{
	installed=$cache/$1
	unfinished=$cache/unfinished-$1
	is_installed && return
	command -v flock >/dev/null || unavailable "there is no flock"
	exec 8>"$cache/lock-$1"
	flock 8
	if ! is_installed
	then
		: >"$unfinished" && rm -rf "$installed" && mkdir "$installed" || exit 1
		(cd "$installed" && "$2" "$installed") >"$cache/log-$1" 2>&1 </dev/null ||
			unavailable "could not install $1: $(tail -n 1 "$cache/log-$1")"
		rm "$unfinished" || exit 1
	fi
	exec 8>&-
}

is_installed()
{
	[ -e "$installed" ] && [ ! -e "$unfinished" ]
}

# python_packages DIRECTORY PIP_ARGUMENT...: makes DIRECTORY/python, with these
# packages from PyPI.
python_packages()
{
	python=$1/python/bin/python
	shift
	python3 -c 'import ensurepip, venv' &&
		python3 -m venv --copies "${python%/bin/python}" &&
		pip_install "$@"
}

pip_install()
{
	timeout 500 "$python" -m pip install --quiet --no-input --timeout 30 --retries 1 --only-binary :all: "$@"
}
