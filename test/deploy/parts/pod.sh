# Sourced by test/deploy.sh: the pod of the StatefulSet, by "podman kube play".

packages python3-venv
server_image
tools=$(cached python_tools) || { skip "pod: PyYAML can't be had"; return; }

# secret NAME KEY: its value from standard input, mounted as kubelet does: links to a
# file of root's that the pod's group may read
secret()
{
	mkdir -p "$work/secrets/$1/..2026"
	cat >"$work/secrets/$1/..2026/$2"
	chmod 440 "$work/secrets/$1/..2026/$2"
	chgrp 999 "$work/secrets/$1/..2026/$2"
	ln -sf ..2026 "$work/secrets/$1/..data"
	ln -sf "..data/$2" "$work/secrets/$1/$2"
}

# play MANIFESTS NAME: makes its claims, and starts its pod
play()
{
	"$tools/python" test/deploy/pod.py localhost/pgseal "$work/secrets" "$work" POSTGRES_DB=app <"$1"
	podman kube play "$work/claims.yaml" >"$work/log" 2>&1
	works "$2" podman kube play "$work/pod.yaml" && serves postgres-0-postgres
}

in_pod() { podman exec postgres-0-postgres psql -XAtq -U postgres -d app -c "$1" 2>&1; }

printf Pass1 | secret postgres-password password
play deploy/kubernetes/statefulset.yaml "the StatefulSet's pod starts"
in_pod "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-4')" >"$work/log"
is plain-4 "$(in_pod 'TABLE t')" "a value is written and read"
is 0 "$(podman logs postgres-0-postgres 2>&1 | grep -c WARNING)" "no warning: keyring and data have volumes of their own"
is "Read-only file system" "$(podman exec postgres-0-postgres touch /usr/x 2>&1 | sed 's/.*: //')" "the container's root is read-only"
is 0000000000000000 "$(podman exec postgres-0-postgres awk '/CapEff/ { print $2 }' /proc/self/status)" "it has no capability"
podman kube down "$work/pod.yaml" >"$work/log" 2>&1
works "another takes its place" podman kube play "$work/pod.yaml" && serves postgres-0-postgres
is plain-4 "$(in_pod 'TABLE t')" "and reads what the first wrote"
podman kube down "$work/pod.yaml" >"$work/log" 2>&1
podman volume rm -f data-postgres-0 keyring-postgres-0 >"$work/log" 2>&1

helm=$(cached helm_program) || { skip "pod with a Secret: there is no Go for helm"; return; }
sh deploy/backup/keyring.sh new "$work/keyring"
secret pgseal-keyring keyring <"$work/keyring"
"$helm" template postgres deploy/helm/pgseal -f deploy/helm/secret-keyring.yaml >"$work/chart.yaml"
play "$work/chart.yaml" "the pod with the keyring in a Secret starts"
in_pod "CREATE TABLE t (v encrypted_text); INSERT INTO t VALUES ('plain-5')" >"$work/log"
is plain-5 "$(in_pod 'TABLE t')" "a value is written and read"
is "$(sed -n 's/^1 .* //p' "$work/keyring")" "$(podman exec postgres-0-postgres sed -n 's/^1 .* //p' /var/lib/pgseal/keyring)" "by the Secret's keyring"
podman kube down "$work/pod.yaml" >"$work/log" 2>&1
