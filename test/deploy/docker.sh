#!/bin/sh
# "docker" for the commands of docs/deploying.md on a machine without a registry:
# buildah, podman and podman-compose, in the storage that the environment names.
# Images are made on PGSEAL_BASE, for PG_MAJOR.
case $1 in
	build)
		shift
		exec buildah build --layers --network=host --build-arg BASE="$BASE" --build-arg PG_MAJOR="$PG_MAJOR" "$@"
		;;
	compose)
		shift
		exec podman-compose --podman-build-args=--network=host "$@"
		;;
	*) exec podman "$@" ;;
esac
