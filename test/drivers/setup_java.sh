#!/bin/sh
# Compiles the program of test/t/core/drivers_java.pl, with Hibernate, jOOQ and pgjdbc from
# Maven's repository, and prints its class path: sh test/drivers/setup_java.sh
. "$(dirname "$0")/../cache.sh"

for program in java javac mvn timeout
do
	command -v $program >/dev/null || unavailable "needs Java: there is no $program"
done
sources=$(cd "$(dirname "$0")/java" && pwd -P)

build()
{
	timeout 1500 mvn -q -B -f "$sources/pom.xml" -Dmaven.repo.local="$1/repository" \
		dependency:copy-dependencies -DoutputDirectory="$1/lib" &&
		rm -r "$1/repository" &&
		timeout 500 javac -cp "$1/lib/*" -d "$1/classes" "$sources"/*.java
}

once "drivers-java-$(cat "$sources"/* | cksum | cut -d ' ' -f 1)" build
printf '%s\n' "$installed/classes:$installed/lib/*"
