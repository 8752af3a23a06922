#!/bin/sh
# Runs PyKMIP's server (a third party's).  See run_kmip.py for the protocol.
. "$(dirname "$0")/../cache.sh"

# PyKMIP is a source package that builds without a compiler, and older than what
# SQLAlchemy and cryptography have become since.
install()
{
	python_packages "$1" 'sqlalchemy==1.4.54' 'cryptography==41.0.7' requests six enum-compat setuptools wheel &&
		pip_install --no-deps --no-build-isolation --no-binary PyKMIP PyKMIP==0.10.0
}

once kmip-1 install
here=$(cd "$(dirname "$0")" && pwd)
exec "$installed/python/bin/python" -W ignore "$here/run_kmip.py" "$@"
