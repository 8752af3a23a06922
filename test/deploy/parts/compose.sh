# Sourced by test/deploy.sh: the development set-ups, with OpenBao's own program and
# LocalStack's own packages in images that are made here.

# on_debian IMAGE: makes IMAGE of what the function IMAGE_image does in $container
on_debian()
{
	podman image exists "localhost/$1" && return
	container=$(buildah from localhost/debian:bookworm) &&
		"$1_image" &&
		buildah commit --rm "$container" "localhost/$1"
}

openbao_image()
{
	buildah copy "$container" "$bao" /usr/bin/bao
}

# With a Python of its own, as LocalStack's image has; the versions are those that go
# together with this LocalStack, and no more of its services than a KMS.
localstack_image()
{
	certificates=/etc/ssl/certs/ca-certificates.crt
	buildah run --network=host -v "$certificates:$certificates:ro" -e PIP_CERT="$certificates" "$container" sh -euc '
		apt-get update -q
		apt-get install -qy --no-install-recommends python3-venv
		python3 -m venv /opt/localstack
		/opt/localstack/bin/pip install --quiet --retries 1 "localstack-core[base-runtime]==4.3.0" \
			"cryptography<42" pyOpenSSL==23.3.0 service-identity==23.1.0 cbor2==5.6.5 moto-ext==5.1.3.post1
		mkdir /var/lib/localstack' &&
		buildah config --env PATH=/opt/localstack/bin:/usr/bin:/bin --cmd 'python -m localstack.runtime.main' "$container"
}

free_port()
{
	python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'
}

# eventually COMMAND...: until it works; a KMS may be slower to start than the database
eventually()
{
	tries=0
	until "$@" >"$work/log" 2>&1
	do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || { tail -n 5 "$work/log" | sed 's/^/# /'; return 1; }
		sleep 2
	done
}

# trial NAME SERVER: the set-up's database seals by its KMS, and opens after a restart of both
trial()
{
	database=pgseal-$1_database_1
	in_set_up() { podman exec "$database" psql -XAtq -v ON_ERROR_STOP=1 -U postgres -c "$1"; }
	serves "$database"
	eventually in_set_up "CREATE TABLE IF NOT EXISTS t (v encrypted_text)"
	eventually in_set_up "INSERT INTO t VALUES ('plain-3')"
	is plain-3 "$(in_set_up 'TABLE t' 2>&1)" "$1: a value is written and read"
	is "$2" "$(in_set_up 'SELECT DISTINCT server FROM pgseal.key_versions' 2>&1)" "$1: under a key that the KMS wrapped"
	podman restart -t 60 "$database" "pgseal-$1_$1_1" >"$work/log" 2>&1
	serves "$database"
	eventually in_set_up 'TABLE t'
	is plain-3 "$(cat "$work/log")" "$1: and read after a restart of both"
	(cd "$work/page" && sh "$here/test/deploy/docker.sh" compose -f "deploy/compose/$1.yaml" down --volumes) >"$work/log" 2>&1
}

compose()
{
	packages python3-venv
	base_image bookworm
	tools=$(cached python_tools) || { skip "compose: podman-compose can't be had"; return; }
	bao=$(cached openbao) || { skip "compose: OpenBao can't be had"; return; }
	export OPENBAO_IMAGE=localhost/openbao LOCALSTACK_IMAGE=localhost/localstack
	export DATABASE_PORT="$(free_port)" OPENBAO_PORT="$(free_port)" LOCALSTACK_PORT="$(free_port)"
	path=$PATH
	PATH=$tools:$PATH
	works "an image of OpenBao is made" on_debian openbao && commands Development openbao && trial openbao vault
	works "an image of LocalStack is made" on_debian localstack && commands Development localstack && trial localstack aws
	PATH=$path
}
compose
