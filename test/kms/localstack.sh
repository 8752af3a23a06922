#!/bin/sh
# Runs LocalStack (a third-party imitation of AWS, in Python) on a port of 127.0.0.1,
# as a KMS and nothing else, with its data in a directory: localstack.sh PORT DIRECTORY.
. "$(dirname "$0")/../cache.sh"

# The versions that go together with this LocalStack; one of them comes as a source only
install()
{
	python_packages "$1" --no-binary tailer 'localstack-core[base-runtime]==4.3.0' cryptography==41.0.7 pyOpenSSL==23.3.0 \
		service-identity==23.1.0 cbor2==5.6.5 moto-ext==5.1.3.post1
}

once localstack-1 install
unset XDG_CACHE_HOME
export HOME="$2" TMPDIR="$2" FILESYSTEM_ROOT="$2/localstack" OVERRIDE_IN_DOCKER=0 GATEWAY_LISTEN="127.0.0.1:$1" SERVICES=kms,sts \
	DISABLE_EVENTS=1 DNS_ADDRESS=0 SKIP_SSL_CERT_DOWNLOAD=1
cd "$2" && exec "$installed/python/bin/python" -m localstack.runtime.main
