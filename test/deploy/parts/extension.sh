# Sourced by test/deploy.sh: the extension alone, mounted as an image volume beside
# a PostgreSQL 18 that knows nothing of it.

base_image forky
works "PostgreSQL 18's image is built, without pgseal" build postgres forky 18 --target postgres || return
base=localhost/debian:forky major=18 commands "The extension alone" || return
is "lib share system" "$(podman run --rm --mount type=image,src=localhost/pgseal-extension,dst=/mnt --entrypoint ls localhost/postgres /mnt | xargs)" \
	"what the image of the extension holds"
is postgres "$(podman run --rm localhost/postgres sh -c 'find /usr/share/postgresql /usr/lib/postgresql -name "*pgseal*" -o -name postgres -type f' | sed 's,.*/,,')" \
	"the server's own image has nothing of it"

# The operator mounts each at /extensions/NAME, and sets these three
podman run -d --name server --user postgres --mount type=image,src=localhost/pgseal-extension,dst=/extensions/pgseal \
	-e LD_LIBRARY_PATH=/extensions/pgseal/system -e PATH=/usr/lib/postgresql/18/bin:/usr/bin:/bin localhost/postgres \
	sh -c "initdb -U postgres --auth=trust -D /tmp/data >/dev/null && exec postgres -D /tmp/data \
		-c 'extension_control_path=\$system:/extensions/pgseal/share' \
		-c 'dynamic_library_path=\$libdir:/extensions/pgseal/lib' -c shared_preload_libraries=pgseal" >"$work/log" 2>&1
serves server
podman exec server createdb -U postgres app
sql "CREATE EXTENSION pgseal; CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-18')" >"$work/log"
is plain-18 "$(sql 'TABLE t')" "PostgreSQL 18 seals and opens values with the mounted extension"
# libcurl comes from "system": what answers is the KMS that isn't there
is 1 "$(sql "CREATE SERVER v FOREIGN DATA WRAPPER vault_transit OPTIONS (address 'http://127.0.0.1:1', key_name 'k', token_file '/etc/hostname');
	SELECT pgseal.create_key('k', server => 'v')" | grep -ci 'connect')" "a KMS is called, by the libcurl that came with it"
is 0 "$(podman exec server sh -c '/sbin/ldconfig -p | grep -c libcurl')" "the server's image has none"
stop
