#!/bin/sh
# Tests deploy/: sh test/deploy.sh [PART...], as root.  Parts: image keyring manifests backup
#
# Images are built by buildah and run by podman with runc, in a storage of their own,
# on a base that debootstrap makes: no registry and no daemon is needed.  What a part
# needs and this machine has not is said, and the part skipped.
# PGSEAL_STORAGE=DIRECTORY keeps images for the next run.

here=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
cd "$here" || exit 1
umask 022
passed=0 failed=0 skipped=0

# is EXPECTED GOT NAME
is()
{
	if [ "$1" = "$2" ]
	then
		passed=$((passed + 1)); printf 'ok - %s\n' "$3"
	else
		failed=$((failed + 1)); printf 'not ok - %s: expected "%s", got "%s"\n' "$3" "$1" "$2"
	fi
}

skip()
{
	skipped=$((skipped + 1)); printf 'skipped %s\n' "$*"
}

there()
{
	for program
	do
		command -v "$program" >/dev/null || { skip "$part: there is no $program"; return 1; }
	done
}

work=$(mktemp -d /var/tmp/pgseal-deploy.XXXXXX) || exit 1
storage=${PGSEAL_STORAGE:-$work/storage}
export CONTAINERS_CONF="$work/containers.conf" CONTAINERS_STORAGE_CONF="$work/storage.conf"
cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "$work/tmp"
[network]
network_config_dir = "$work/networks"
END
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$storage"
runroot = "$work/run"
END

finish()
{
	if command -v podman >/dev/null
	then
		podman rm -f -t 0 $(podman ps -aq --filter name=pgseal-deploy) >/dev/null 2>&1
		podman volume rm -f pgseal-deploy-data pgseal-deploy-keys >/dev/null 2>&1
	fi
	[ -n "${PGSEAL_STORAGE:-}" ] || umount "$storage/overlay" 2>/dev/null
	rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# ---- containers

base_image()
{
	podman image exists localhost/debian:bookworm && return
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $3 !~ /-/ { print $2; exit }')
	debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" "$mirror" >"$work/log" 2>&1 &&
		tar -C "$work/base" --exclude='./dev/*' -c . | podman import - localhost/debian:bookworm >"$work/log" 2>&1
	rm -rf "$work/base"
}

# run ARGUMENT...: a container of the image, when it serves
run()
{
	podman run -d --name pgseal-deploy --read-only --cap-drop=all --security-opt=no-new-privileges "$@" >"$work/log" 2>&1
	tries=0
	until podman exec pgseal-deploy pg_isready -q 2>/dev/null
	do
		tries=$((tries + 1))
		[ $tries -lt 180 ] || { podman logs pgseal-deploy; break; }
		sleep 1
	done
}

sql()
{
	podman exec pgseal-deploy psql -XAtq -U postgres -d app -c "$1" 2>&1
}

stop()
{
	podman rm -f -t 60 pgseal-deploy >"$work/log" 2>&1
}

test_image()
{
	there buildah podman runc debootstrap || return
	base_image || { is 0 1 "the base image is made: $(tail -n 1 "$work/log")"; return; }
	buildah build --format docker --layers --network=host --build-arg PG_MAJOR=15 \
		--build-arg BASE=localhost/debian:bookworm --build-arg PACKAGES=age -f deploy/image/Dockerfile -t localhost/pgseal . >"$work/build" 2>&1
	is 0 $? "the image is built"
	is "" "$(podman run --rm --entrypoint= localhost/pgseal find /var/lib/pgseal /var/lib/postgresql -type f)" \
		"no key and no data in its layers"
	set -- -v pgseal-deploy-data:/var/lib/postgresql -v pgseal-deploy-keys:/var/lib/pgseal
	run -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app "$@" localhost/pgseal
	sql "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-1')" >/dev/null
	is plain-1 "$(sql 'TABLE t')" "a value is written and read"
	is postgres "$(podman exec pgseal-deploy id -un)" "the server isn't root"
	is 0 "$(podman logs pgseal-deploy 2>&1 | grep -c WARNING)" "no warning with volumes of both"
	stop
	run "$@" localhost/pgseal
	is plain-1 "$(sql 'TABLE t')" "a new container reads it"
	recipient=$(podman exec pgseal-deploy sh -c 'age-keygen -o /tmp/identity 2>/dev/null; age-keygen -y /tmp/identity')
	dump=$(podman exec -e RECIPIENT="$recipient" -e PGUSER=postgres pgseal-deploy pgseal-dump /tmp)
	is 1 "$(podman exec pgseal-deploy sh -c "age -d -i /tmp/identity $dump/app.dump.age | pg_restore -f - | grep -c 'pgseal:1:'")" \
		"an encrypted dump is opened by its identity, and holds the sealed value"
	is 0 "$(podman exec pgseal-deploy grep -rlE 'plain-1|^1 20.*Z ' /var/lib/postgresql | wc -l)" \
		"neither the value nor the keyring is in the volume of the data"
	stop
	run -v pgseal-deploy-data:/var/lib/postgresql localhost/pgseal
	is 1 "$(podman logs pgseal-deploy 2>&1 | grep -c 'WARNING: there is no keyring')" "the keyring's absence is said"
	stop
	run -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app localhost/pgseal
	is 1 "$(podman logs pgseal-deploy 2>&1 | grep -c 'is lost with this container')" "a keyring without a volume is warned of"
	stop
	podman volume rm -f pgseal-deploy-data pgseal-deploy-keys >/dev/null 2>&1

	# A Secret, as kubelet mounts it: links to a file of root that a group may read
	mkdir -p "$work/secret/..2026"
	sh deploy/backup/keyring.sh new "$work/secret/..2026/keyring"
	chmod 440 "$work/secret/..2026/keyring"
	chgrp 999 "$work/secret/..2026/keyring"
	ln -s ..2026 "$work/secret/..data"
	ln -s ..data/keyring "$work/secret/keyring"
	run -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app -v "$work/secret":/var/lib/pgseal:ro localhost/pgseal
	sql "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-2')" >/dev/null
	is plain-2 "$(sql 'TABLE t')" "a keyring that was made by keyring.sh serves as a Secret"
	stop
}

test_keyring()
{
	there age openssl || return
	age-keygen -o "$work/identity" 2>/dev/null
	recipient=$(age-keygen -y "$work/identity")
	sh deploy/backup/keyring.sh new "$work/keyring"
	mkdir "$work/safe"
	copy=$(RECIPIENT=$recipient sh deploy/backup/keyring.sh save "$work/keyring" "$work/safe")
	is 0 "$(grep -c 'pgseal keyring' "$copy")" "a saved keyring is encrypted"
	IDENTITY=$work/identity sh deploy/backup/keyring.sh restore "$copy" "$work/restored"
	is 0 "$(cmp "$work/keyring" "$work/restored" >/dev/null; echo $?)" "and comes back as it was"
	sed 's/^1 2/1 3/' "$work/keyring" >"$work/damaged"
	is 1 "$(RECIPIENT=$recipient sh deploy/backup/keyring.sh save "$work/damaged" "$work/safe" >/dev/null 2>&1; echo $?)" \
		"a damaged one isn't saved"
}

test_manifests()
{
	there kubernetes-validate || return
	for manifest in deploy/kubernetes/statefulset.yaml deploy/kubernetes/storage/*.yaml deploy/kubernetes/identity/*.yaml
	do
		kubernetes-validate --strict --quiet "$manifest" >"$work/log" 2>&1
		is 0 $? "$manifest is valid"
	done
	there helm || return
	is "" "$(helm template postgres deploy/helm/pgseal | diff - deploy/kubernetes/statefulset.yaml | grep '^<')" \
		"statefulset.yaml is what the chart makes"
}

test_backup()
{
	there pgbackrest || return
	sh test/scratch.sh sh test/deploy/backup.sh >"$work/log" 2>&1
	is 0 $? "pgBackRest's repository has no plaintext and no key, and the drill reads all: $(tail -n 1 "$work/log")"
}

for part in ${*:-image keyring manifests backup}
do
	printf '==== %s\n' "$part"
	test_"$part"
done
printf '%s passed, %s failed, %s skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
