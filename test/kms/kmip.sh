#!/bin/sh
# Runs PyKMIP's server (a third party's).  See run_kmip.py for the protocol.
. "$(dirname "$0")/../cache.sh"

# PyKMIP is older than what SQLAlchemy and cryptography have become since.  It and that
# SQLAlchemy, of which there are no wheels for Python 3.13, build without a compiler.
install()
{
	python_packages "$1" 'cryptography==41.0.7' requests six enum-compat setuptools wheel &&
		DISABLE_SQLALCHEMY_CEXT=1 pip_install --no-deps --no-build-isolation --no-binary PyKMIP,SQLAlchemy \
			PyKMIP==0.10.0 SQLAlchemy==1.4.54
}

once kmip-2 install
here=$(cd "$(dirname "$0")" && pwd)
exec "$installed/python/bin/python" -W ignore "$here/run_kmip.py" "$@"
