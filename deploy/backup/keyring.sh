#!/bin/sh
# The keyring, which no backup of the database holds:
#
#   keyring.sh new FILE               makes one, as for a Secret
#   keyring.sh save FILE DIRECTORY    puts a copy there that only IDENTITY opens
#   keyring.sh restore COPY FILE      opens such a copy with IDENTITY
#
# RECIPIENT is the public key (age1…) of those who may restore, IDENTITY the file
# with the private one, which isn't on the database's machine (age-keygen makes
# both).  DIRECTORY is another place than the database's backups.
#
# The file's form: src/kms/keyring_file.c.

set -eu
umask 077

die()
{
	printf 'keyring: %s\n' "$*" >&2
	exit 1
}

# The file is whole: its last line is the checksum of the others.
check()
{
	[ "$(head -n 1 "$1")" = "pgseal keyring 1" ] &&
		[ "$(tail -n 1 "$1")" = "checksum $(sed '$d' "$1" | sha256sum | cut -d' ' -f1)" ] ||
		die "$1 is not a whole keyring"
}

new()
{
	[ ! -e "$1" ] || die "there is $1 already"
	# The key is in files and pipes only, never an argument.
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	openssl rand -out "$work/key" 32
	{ printf 'pgseal keyring fingerprint'; cat "$work/key"; } | sha256sum | cut -c1-16 >"$work/fingerprint"
	{
		echo 'pgseal keyring 1'
		printf '1 %s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(base64 -w 0 "$work/key")" "$(cat "$work/fingerprint")"
	} >"$work/keyring"
	printf 'checksum %s\n' "$(sha256sum <"$work/keyring" | cut -d' ' -f1)" >>"$work/keyring"
	check "$work/keyring"
	cp "$work/keyring" "$1"
}

save()
{
	check "$1"
	copy=$2/keyring-$(date -u +%Y%m%dT%H%M%SZ).age
	age --encrypt --recipient "${RECIPIENT:?is the public key to encrypt for}" --output "$copy.part" "$1"
	sync "$copy.part"
	mv "$copy.part" "$copy"
	printf '%s\n' "$copy"
}

restore()
{
	[ ! -e "$2" ] || die "there is $2 already"
	age --decrypt --identity "${IDENTITY:?is the file with the private key}" --output "$2.part" "$1"
	check "$2.part"
	sync "$2.part"
	mv "$2.part" "$2"
}

command=${1:-}
case $command:$# in
	new:2|save:3|restore:3) shift; $command "$@" ;;
	*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
