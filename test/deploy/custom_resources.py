"""Validates manifests of operators' kinds: custom_resources.py DEFINITIONS MANIFEST...

DEFINITIONS is a directory with the operator's CustomResourceDefinitions, whose schemas
are applied as an API server does that is asked for strict validation: a field that
they don't know is an error.  (Rules in CEL aren't evaluated.)
"""

import pathlib
import sys

import jsonschema
import yaml


def strict(schema):
    """The schema with what Kubernetes adds to JSON's"""
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not open_ended:
        schema["additionalProperties"] = False
    children = [schema.get("items"), schema.get("additionalProperties"), *schema.get("properties", {}).values()]
    for child in children:
        if isinstance(child, dict):
            strict(child)
    return schema


def schemas(directory):
    found = {}
    for path in pathlib.Path(directory).rglob("*.yaml"):
        for definition in yaml.safe_load_all(path.read_text()):
            if definition and definition.get("kind") == "CustomResourceDefinition":
                spec = definition["spec"]
                for version in spec["versions"]:
                    schema = strict(version["schema"]["openAPIV3Schema"])
                    schema["properties"]["metadata"] = {"type": "object"}
                    found["%s/%s" % (spec["group"], version["name"]), spec["names"]["kind"]] = schema
    return found


def main():
    known = schemas(sys.argv[1])
    failed = False
    for path in sys.argv[2:]:
        for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()):
            kind = manifest["apiVersion"], manifest["kind"]
            if kind not in known:
                errors = ["there is no definition of %s %s" % kind]
            else:
                errors = ["%s: %s" % (error.json_path, error.message)
                          for error in jsonschema.Draft202012Validator(known[kind]).iter_errors(manifest)]
            for error in errors:
                print("%s: %s" % (path, error))
                failed = True
    sys.exit(failed)


main()
