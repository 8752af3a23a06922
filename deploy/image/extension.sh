#!/bin/sh
# Lays out the extension as an image volume takes it: extension.sh DIRECTORY
#
#   lib/pgseal.so           in dynamic_library_path
#   share/extension/        in extension_control_path
#   system/                 libraries that pgseal.so needs and the server has not,
#                           in LD_LIBRARY_PATH
#
# Run where it was built, with PG_CONFIG.
set -eu
out=$1
bindir=$("$PG_CONFIG" --bindir)

mkdir -p "$out/lib" "$out/system"
make -s install with_llvm=no DESTDIR="$out/made"
mv "$out/made$("$PG_CONFIG" --pkglibdir)/pgseal.so" "$out/lib/"
mkdir "$out/share"
mv "$out/made$("$PG_CONFIG" --sharedir)/extension" "$out/share/extension"
rm -r "$out/made"

libraries()
{
	ldd "$1" | awk '$2 == "=>" { print $3 }' | sort
}

scratch=$(mktemp -d)
# Loaded at the first call of a KMS, not linked: src/base/libcurl.c
curl=$(ldconfig -p | awk '/libcurl\.so\.4 / { print $NF; exit }')
{ echo "$curl"; libraries "$out/lib/pgseal.so"; libraries "$curl"; } | sort -u >"$scratch/needed"
libraries "$bindir/postgres" >"$scratch/there"
for library in $(comm -23 "$scratch/needed" "$scratch/there")
do
	cp -L "$library" "$out/system/"
done
rm -r "$scratch"
