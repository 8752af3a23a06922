# Sourced by test/deploy.sh: keyring.sh

packages age openssl
rm -rf "$work/keyring" "$work/restored" "$work/safe"
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
rm -r "$work/identity" "$work/keyring" "$work/restored" "$work/damaged" "$work/safe"
