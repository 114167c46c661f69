"""The objects that infra/ describes, as the tests see them."""

import re
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"

# What Flyte puts in for a project and a domain; the rest is infra/flyte/values.yaml's customData.
NAMED = {"namespace": "teacher-math-staging", "project": "teacher-math", "domain": "staging"}
VERSIONS = ["1.33", "1.37"]
"""Of Kubernetes, whose schemas are asked."""

# Kinds that Kubernetes has no schema of. infra/README.md says how these were checked.
CUSTOM = {
    ("external-secrets.io/v1", "ExternalSecret"),
    ("external-secrets.io/v1", "ClusterSecretStore"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("karpenter.sh/v1", "NodePool"),
}
NOT_OBJECTS = {"values.yaml", "flyte-values.yaml", "kustomization.yaml", "kind.yaml"}


def custom_data(values):
    """Return {domain: {variable: value}} of a values file."""
    domains = values["configuration"]["inline"]["cluster_resources"]["customData"]
    return {
        domain: {name: given["value"] for one in rows for name, given in one.items()}
        for entry in domains
        for domain, rows in entry.items()
    }


@cache
def load(file):
    """Return what a YAML file says."""
    return yaml.load(file.read_text(), Loader=yaml.CSafeLoader)


def filled(text, variables):
    """Return a template as Flyte fills it in: by plain replacement of ``{{ name }}``."""
    for name, value in variables.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def team_files():
    """Return the templates of a team's namespace, sorted as Flyte applies them."""
    return sorted([*(INFRA / "teams").glob("*.yaml"), *(INFRA / "laptop" / "teams").glob("*.yaml")])


def object_files():
    """Return every file of Kubernetes objects."""
    return sorted(file for file in INFRA.rglob("*.yaml") if file.name not in NOT_OBJECTS)


@cache
def objects_of(file):
    """Return a file's objects; a template is filled in with production's values."""
    variables = NAMED | custom_data(load(INFRA / "flyte" / "values.yaml"))["production"]
    return list(yaml.load_all(filled(file.read_text(), variables), Loader=yaml.CSafeLoader))


def all_objects():
    """Return (file name, object) for every object."""
    return [(file.name, one) for file in object_files() for one in objects_of(file)]


def pod_specs():
    """Return (name, spec) for everything that has a pod, Flyte's pod templates too."""
    found = []
    for _, one in all_objects():
        template = one.get("template") or one.get("spec", {}).get("template")
        if template and "containers" in template.get("spec", {}):
            found.append((one["metadata"]["name"], template["spec"]))
    return found


def placeholders(text):
    """Return the variables that a template names."""
    return set(re.findall(r"\{\{ (\w+) \}\}", text))


def is_custom(one):
    """Return whether Kubernetes itself has no schema of the object's kind."""
    return (one["apiVersion"], one["kind"]) in CUSTOM
