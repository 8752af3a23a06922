# Keys: calls of the KMS, rewrapping, and the extension itself.

row "keys" "" "budget"

# A KMS that counts its calls: a keyring's command.
master=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
: >"$tmp/calls"
printf '#!/bin/sh\necho >>%s/calls\necho %s\n' "$tmp" "$master" >"$tmp/kms"
chmod 700 "$tmp/kms"
sql <<SQL
CREATE SERVER counted FOREIGN DATA WRAPPER local_keyring OPTIONS (command '$tmp/kms');
SELECT pgseal.create_key('counted', 'counted');
DROP TABLE IF EXISTS counted;
CREATE TABLE counted (v encrypted_text('counted'));
INSERT INTO counted SELECT i::text FROM generate_series(1, 1000) i;
SQL
calls() { wc -l <"$tmp/calls"; }

server restart
before=$(calls)
for session in $(seq 20)
do
	sql -c "SELECT count(v::text) FROM counted" >/dev/null &
done
wait
row "KMS calls of 20 sessions starting cold on one key" "$(($(calls) - before))" "1"
before=$(calls)
sql -c 'SELECT count(a.v::text) FROM counted a, counted b' >/dev/null
row "KMS calls of 1,000,000 values opened, warm" "$(($(calls) - before))" "0"
sql -c 'DROP TABLE counted'

sql -c "SELECT pgseal.create_key('rewrap:' || i) FROM generate_series(1, 1000) i" >/dev/null
sql -c "SELECT pgseal.rotate_master_key('local_keyring')" >/dev/null
rewrapped=$(sql -c '\timing on' -c "SELECT pgseal.rewrap('local_keyring')")
row "rewrapping $(echo "$rewrapped" | head -n 1) key versions, local keyring" \
	"$(echo "$rewrapped" | awk '/^Time/ { printf "%.0f ms", $2 }')"

sql -c 'DROP DATABASE IF EXISTS fresh' -c 'CREATE DATABASE fresh'
timed() { psql -qAtX -d fresh -c '\timing on' -c "$1" | awk '/^Time/ { t = $2 } END { printf "%.0f ms", t }'; }
row "CREATE EXTENSION" "$(timed 'CREATE EXTENSION pgseal')"
row "DROP EXTENSION" "$(timed 'DROP EXTENSION pgseal')"
sql -c 'DROP DATABASE fresh'
