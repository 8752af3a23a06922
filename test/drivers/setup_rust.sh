#!/bin/sh
# Builds the program of test/t/core/drivers_rust.pl, with sqlx and tokio-postgres as crates, and
# prints where it is: sh test/drivers/setup_rust.sh
. "$(dirname "$0")/../cache.sh"

for program in cargo rustc timeout
do
	command -v $program >/dev/null && $program --version >/dev/null 2>&1 || unavailable "needs Rust: $program does not run"
done
sources=$(cd "$(dirname "$0")/rust" && pwd -P)

build()
{
	CARGO_HOME=$1/home CARGO_TARGET_DIR=$1/target \
		timeout 1500 cargo build --quiet --manifest-path "$sources/Cargo.toml" &&
		cp "$1/target/debug/cases" "$1/cases" && rm -r "$1/home" "$1/target"
}

once "drivers-rust-$(cat "$sources"/* | cksum | cut -d ' ' -f 1)" build
printf '%s\n' "$installed/cases"
