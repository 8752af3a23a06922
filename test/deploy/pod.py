"""Makes of a StatefulSet what "podman kube play" takes: its Pod and its claims.

    pod.py IMAGE SECRETS DIRECTORY [NAME=VALUE...] <manifests

writes DIRECTORY/pod.yaml and DIRECTORY/claims.yaml.  Each Secret is the directory SECRETS/NAME on the host, laid out as kubelet does.
/dev/shm is podman's own: a volume there belongs to root without fsGroup, which
podman lacks.  NAME=VALUE are variables of the container's environment.
"""

import sys

import yaml


def main():
    image, secrets, directory, *variables = sys.argv[1:]
    for manifest in yaml.safe_load_all(sys.stdin):
        if manifest["kind"] == "StatefulSet":
            break
    pod = manifest["spec"]["template"]
    name = manifest["metadata"]["name"]
    pod |= {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"]["name"] = name + "-0"
    spec = pod["spec"]
    container, = spec["containers"]
    container["image"] = image
    container["imagePullPolicy"] = "Never"
    container["env"] += [dict(zip(("name", "value"), variable.split("=", 1))) for variable in variables]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["mountPath"] != "/dev/shm"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] in mounted]
    for volume in spec["volumes"]:
        secret = volume.pop("secret", None)
        if secret:
            volume["hostPath"] = {"path": "%s/%s" % (secrets, secret["secretName"]), "type": "Directory"}
    claims = manifest["spec"]["volumeClaimTemplates"]
    for claim in claims:
        claim |= {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        volume = claim["metadata"]["name"]
        claim["metadata"]["name"] = "%s-%s-0" % (volume, name)
        spec["volumes"].append({"name": volume, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}})
    for name, documents in (("claims", claims), ("pod", [pod])):
        with open("%s/%s.yaml" % (directory, name), "w") as f:
            yaml.safe_dump_all(documents, f)


main()
