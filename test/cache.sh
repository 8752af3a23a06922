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
mkdir -p "$cache" || unavailable "cannot make $cache"
[ -z "$(find "$cache" -maxdepth 0 '(' ! -type d -o ! -user "$(id -u)" -o -perm /022 ')')" ] ||
	unavailable "$cache is not a directory that only this user may write to"

# once NAME FUNCTION: sets $installed to a directory in the cache that FUNCTION
# has filled, at some time; it is called in an empty one, with its path.  Of
# several at the same time one works and the others wait.
once()
{
	installed=$cache/$1
	[ -e "$installed" ] && return
	command -v flock >/dev/null || unavailable "there is no flock"
	exec 8>"$cache/lock-$1"
	flock 8
	if [ ! -e "$installed" ]
	then
		new=$installed.new
		rm -rf "$new"
		mkdir "$new" || exit 1
		(cd "$new" && "$2" "$new") >"$cache/log-$1" 2>&1 </dev/null ||
			unavailable "could not install $1: $(tail -n 1 "$cache/log-$1")"
		mv -T "$new" "$installed" || exit 1
	fi
	exec 8>&-
}

# python_packages DIRECTORY PIP_ARGUMENT...: makes DIRECTORY/python, with these
# packages from PyPI.  A venv's python finds itself wherever it lies, so the
# directory can be renamed.
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
