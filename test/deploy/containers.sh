# Sourced by test/deploy.sh: images and containers.

storage=${PGSEAL_STORAGE:-$work}
mkdir -p "$storage"
export CONTAINERS_CONF="$work/containers.conf" CONTAINERS_STORAGE_CONF="$work/storage.conf"
export BUILDAH_FORMAT=docker
cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "$storage/tmp"
[network]
network_config_dir = "$storage/networks"
END
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$storage/images"
runroot = "$storage/run"
END

remove_containers()
{
	if command -v podman >/dev/null && [ -e "$storage/images" ]
	then
		podman pod rm -fa -t 0
		podman rm -fa -t 0
		podman volume prune -f
		podman network prune -f
	fi >/dev/null 2>&1
	[ -n "${PGSEAL_STORAGE:-}" ] ||
		# What a command that was broken off had mounted lies below it
		awk -v below="$storage/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted
		do
			umount "$mounted" 2>/dev/null || umount -l "$mounted"
		done
}

container_tools()
{
	packages buildah podman runc debootstrap netavark aardvark-dns iptables catatonit age
}

# base_image SUITE: localhost/debian:SUITE, from the mirror that this machine's apt uses
base_image()
{
	container_tools
	podman image exists "localhost/debian:$1" && return
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $3 !~ /-/ { print $2; exit }')
	# Releases younger than this debootstrap are made as unstable is
	script=/usr/share/debootstrap/scripts/$1
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	works "the base image of $1 is made" make_base_image "$1"
}

# A mirror may lag behind: the lists of Debian's testing have an end.
make_base_image()
{
	debootstrap --variant=minbase --include=ca-certificates "$1" "$work/base" "$mirror" "$script" &&
		echo 'Acquire::Check-Valid-Until "false";' >"$work/base/etc/apt/apt.conf.d/90late" &&
		tar -C "$work/base" --exclude='./dev/*' -c . | podman import - "localhost/debian:$1"
	status=$?
	rm -rf "$work/base"
	return $status
}

# build IMAGE SUITE PG_MAJOR [ARGUMENT...]: by deploy/image/Dockerfile
build()
{
	built_image=$1 built_on=$2 built_for=$3
	shift 3
	buildah build --layers --network=host --build-arg PG_MAJOR="$built_for" --build-arg BASE="localhost/debian:$built_on" \
		"$@" -f deploy/image/Dockerfile -t "localhost/$built_image" .
}

# The server's image, with age for pgseal-dump; made once
server_image()
{
	base_image bookworm
	podman image exists localhost/pgseal && [ -n "${built:-}" ] && return
	works "the server's image is built" build pgseal bookworm 15 && built=yes
}

# serves CONTAINER: waits until the server in it does.
serves()
{
	tries=0
	until podman exec "$1" pg_isready -q 2>/dev/null
	do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { podman logs "$1" 2>&1 | tail -n 20 | sed 's/^/# /'; return 1; }
		sleep 1
	done
}

# run ARGUMENT...: the container "server", when it serves
run()
{
	podman run -d --name server --read-only --cap-drop=all --security-opt=no-new-privileges "$@" >"$work/log" 2>&1
	serves server
}

stop()
{
	podman rm -f -t 60 server >"$work/log" 2>&1
}

# sql STATEMENT, in database app of the container "server"
sql()
{
	podman exec server psql -XAtq -U postgres -d app -c "$1" 2>&1
}

# commands HEADING [WORD]: runs those that docs/deploying.md has below it (those lines
# with WORD), in a copy of the checkout, with a docker that needs no registry.
commands()
{
	if [ ! -e "$work/page" ]
	then
		mkdir "$work/page" "$work/bin"
		cp -R .dockerignore Makefile pgseal.control sql src deploy "$work/page/"
		cp test/deploy/docker.sh "$work/bin/docker"
		chmod +x "$work/bin/docker"
	fi
	awk -v heading="$1" '/^```/ { fenced = !fenced && /sh$/; next }
		fenced && on { print }
		!fenced && /^#/ { sub(/^#+ /, ""); on = $0 == heading }' docs/deploying.md | grep -e "${2:-}" >"$work/commands"
	[ -s "$work/commands" ] || { is commands none "docs/deploying.md has commands below \"$1\""; return 1; }
	works "docs/deploying.md: $1${2:+, $2}" env PATH="$work/bin:$PATH" BASE="${base:-localhost/debian:bookworm}" PG_MAJOR="${major:-15}" \
		POSTGRES_PASSWORD=Pass1 sh -c 'cd "$1" && exec sh -eu "$2"' sh "$work/page" "$work/commands"
}
