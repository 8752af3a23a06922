# Sourced by test/deploy.sh: the server's image, as docs/deploying.md uses it.

base_image bookworm
commands "A container" || return
is "" "$(podman run --rm --entrypoint= pgseal find /var/lib/pgseal /var/lib/postgresql /backup -type f)" \
	"no key and no data in its layers"
serves db
in_db() { podman exec "$1" psql -XAtq -U postgres -d app -c "$2" 2>&1; }
in_db db "CREATE TABLE t (id int PRIMARY KEY, v encrypted_text, day encrypted_date('calendar'));
	INSERT INTO t SELECT i, 'plain-' || i, '2026-01-01'::date + i FROM generate_series(1, 100) i;
	CREATE INDEX ON t (blind_index(v))" >"$work/log"
rows="100|plain-1|2026-04-11"
all="SELECT count(*), min(v), max(day) FROM t"
is "$rows" "$(in_db db "$all")" "values are written and read"
is postgres "$(podman exec db id -un)" "the server isn't root"
is 0 "$(podman logs db 2>&1 | grep -c WARNING)" "no warning with volumes of both"

commands "A new version of the image"
is "$rows" "$(in_db db "$all")" "a container made anew has them"

age-keygen -o "$work/identity" 2>/dev/null
export RECIPIENT="$(age-keygen -y "$work/identity")"
cp "$work/identity" "$work/page/identity"
commands "Backing up a container" || return
is 0 "$(podman exec db grep -rlE 'plain-1|^1 20.*Z ' /var/lib/postgresql /backup | wc -l)" \
	"neither a value nor the keyring is in the volumes of the data and the dumps"
commands "Restoring into another container" || return
is "$rows" "$(in_db restored "$all")" "a second container opens what was restored"
is 1 "$(in_db restored "SELECT count(*) FROM t WHERE blind_index(v) = blind_index('plain-7'::encrypted_text)")" "and finds by index"
is "" "$(in_db restored "SELECT object, status FROM pgseal.check() WHERE status NOT IN ('ok', 'shown')")" "check() is content"
podman rm -f -t 60 db restored >"$work/log" 2>&1

# ---- where keys could be lost

run -v data:/var/lib/postgresql pgseal
is 1 "$(podman logs server 2>&1 | grep -c 'WARNING: there is no keyring')" "the keyring's absence is said"
stop
run -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app pgseal
is 1 "$(podman logs server 2>&1 | grep -c 'is lost with this container')" "a keyring without a volume is warned of"
stop

# A Secret, as kubelet mounts it: links to a file of root that a group may read
mkdir -p "$work/secret/..2026"
sh deploy/backup/keyring.sh new "$work/secret/..2026/keyring"
chmod 440 "$work/secret/..2026/keyring"
chgrp 999 "$work/secret/..2026/keyring"
ln -s ..2026 "$work/secret/..data"
ln -s ..data/keyring "$work/secret/keyring"
run -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app -v "$work/secret":/var/lib/pgseal:ro pgseal
sql "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-2')" >"$work/log"
is plain-2 "$(sql 'TABLE t')" "a keyring that was made by keyring.sh serves as a Secret"
stop

# ---- what an image with the first version's SQL has made, under the new one

podman volume prune -f >"$work/log" 2>&1
printf 'FROM localhost/pgseal\nUSER root\nCOPY test/release/pgseal--1.0.sql /usr/share/postgresql/15/extension/\n%s\nUSER postgres\n' \
	"RUN sed -i \"s/^default_version.*/default_version = '1.0'/\" /usr/share/postgresql/15/extension/pgseal.control" >"$work/Dockerfile"
# .dockerignore, which is the directory's, would keep test/ out
mkdir -p "$work/old/test/release" && cp test/release/pgseal--1.0.sql "$work/old/test/release/"
works "an image with the SQL of 1.0 is built" buildah build -f "$work/Dockerfile" -t localhost/pgseal-1.0 "$work/old"
podman run -d --name db -e POSTGRES_PASSWORD=Pass1 -e POSTGRES_DB=app -v data:/var/lib/postgresql -v keyring:/var/lib/pgseal -v backup:/backup \
	localhost/pgseal-1.0 >"$work/log" 2>&1
serves db
in_db db "CREATE TABLE t (id int PRIMARY KEY, v encrypted_text, day encrypted_date('calendar'));
	INSERT INTO t SELECT i, 'plain-' || i, '2026-01-01'::date + i FROM generate_series(1, 100) i" >"$work/log"
extversion="SELECT extversion FROM pg_extension WHERE extname = 'pgseal'"
is "1.0 $rows" "$(echo $(in_db db "$extversion; $all"))" "it is used"
commands "A new version of the image"
version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" pgseal.control)
is "$version $rows" "$(echo $(in_db db "$extversion; $all"))" "a container of the new image has its rows, and the new SQL"
in_db db 'CREATE DATABASE made_later' >"$work/log"
is "$version" "$(podman exec db psql -XAtq -U postgres -d made_later -c "$extversion" 2>&1)" "so do databases that are made later"
is "" "$(in_db db "CREATE INDEX ON t USING brin (day)" 2>&1)" "BRIN, which 1.0 had not"
podman rm -f -t 60 db >"$work/log" 2>&1
podman volume prune -f >"$work/log" 2>&1
