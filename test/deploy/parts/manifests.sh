# Sourced by test/deploy.sh: manifests against Kubernetes' and the operators' schemas.

packages python3-venv
tools=$(cached python_tools) || { skip "manifests: kubernetes-validate can't be had"; return; }

for manifest in deploy/kubernetes/statefulset.yaml deploy/kubernetes/storage/*.yaml deploy/kubernetes/identity/*.yaml
do
	works "$manifest is valid" "$tools/kubernetes-validate" --strict --quiet "$manifest"
done
sed 's/replicas: 1/replica: 1/' deploy/kubernetes/statefulset.yaml >"$work/invalid.yaml"
is 1 "$("$tools/kubernetes-validate" --strict --quiet "$work/invalid.yaml" >"$work/log" 2>&1; echo $?)" "a field that there isn't is found"

if definitions=$(cached operators_definitions)
then
	for manifest in deploy/kubernetes/cloudnativepg/*.yaml
	do
		works "$manifest is valid" "$tools/python" test/deploy/custom_resources.py "$definitions" "$manifest"
	done
	sed 's/^    extensions:/    extension:/' deploy/kubernetes/cloudnativepg/cluster.yaml >"$work/invalid.yaml"
	is 1 "$("$tools/python" test/deploy/custom_resources.py "$definitions" "$work/invalid.yaml" >"$work/log" 2>&1; echo $?)" \
		"a field that there isn't is found"
else
	skip "manifests: there is no Go to fetch CloudNativePG's definitions"
fi

# ---- the chart

helm=$(cached helm_program) || { skip "manifests: there is no Go for helm"; return; }
is "" "$("$helm" template postgres deploy/helm/pgseal | diff - deploy/kubernetes/statefulset.yaml | grep '^<')" \
	"statefulset.yaml is what the chart makes"

# chart NAME HAS ARGUMENT...: what it makes of these values is valid, and has HAS
chart()
{
	variant=$1 has=$2
	shift 2
	works "helm lint, $variant" "$helm" lint --strict deploy/helm/pgseal "$@"
	"$helm" template postgres deploy/helm/pgseal "$@" >"$work/chart.yaml" 2>"$work/log"
	works "what the chart makes is valid, $variant" "$tools/kubernetes-validate" --strict --quiet "$work/chart.yaml"
	is 1 "$(grep -cF -e "$has" "$work/chart.yaml")" "it has $has"
}

chart "its own values" "{name: keyring, mountPath: /var/lib/pgseal}"
chart "a Secret's keyring" "secret: {secretName: pgseal-keyring" -f deploy/helm/secret-keyring.yaml
is 0 "$(grep -c 'storage: 16Mi' "$work/chart.yaml")" "no volume is claimed for it then"
chart AWS "pgseal.default_server=aws" -f deploy/helm/aws.yaml
chart Azure 'azure.workload.identity/use: "true"' -f deploy/helm/azure.yaml
chart Google "pgseal.default_server=gcp" -f deploy/helm/gcp.yaml
chart Vault "automountServiceAccountToken: true" -f deploy/helm/vault.yaml
chart "encrypted dumps" "{name: RECIPIENT, value: \"age1x\"}" --set backup.recipient=age1x
chart "the cluster's own StorageClass" "requests: {storage: 1Gi}" --set data.storageClass=,keyring.storageClass=,data.size=1Gi
is 0 "$(grep -c storageClassName "$work/chart.yaml")" "no StorageClass is named then"
