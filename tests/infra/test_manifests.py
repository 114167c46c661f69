"""Every manifest is valid by Kubernetes' own schemas, and none opens a console to the world."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from manifests import (
    INFRA,
    NAMED,
    ROOT,
    all_objects,
    custom_data,
    filled,
    load,
    object_files,
    objects_of,
    placeholders,
    pod_specs,
    team_files,
)

from tasks.resources import Stage, flavour_names, load_flavour

VERSIONS = ["1.33", "1.37"]
TOOLS = Path(sys.executable).parent

# Kinds that Kubernetes has no schema of. infra/README.md says how these were checked.
CUSTOM = {
    ("external-secrets.io/v1", "ExternalSecret"),
    ("external-secrets.io/v1", "ClusterSecretStore"),
    ("karpenter.sh/v1", "NodePool"),
}
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")


def is_custom(one):
    return (one["apiVersion"], one["kind"]) in CUSTOM


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "file", object_files(), ids=lambda file: file.relative_to(INFRA).as_posix()
)
def test_an_object_is_valid(file, version):
    for one in objects_of(file):
        if not is_custom(one):
            kubernetes_validate.validate(one, version, strict=True)


def test_an_invalid_object_would_be_seen():
    found = next(one for _, one in all_objects() if one["kind"] == "Service")
    service = copy.deepcopy(found)
    service["spec"]["port"] = service["spec"].pop("ports")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, VERSIONS[0], strict=True)


def test_the_kinds_without_a_schema_are_those_that_are_named():
    unknown = {
        (one["apiVersion"], one["kind"]) for _, one in all_objects() if "." in one["apiVersion"]
    }
    unknown = {kind for kind in unknown if not kind[0].split("/")[0].endswith("k8s.io")}
    assert unknown == CUSTOM


def test_flyte_applies_one_object_a_file():
    assert {file.name: len(objects_of(file)) for file in team_files()} == {
        file.name: 1 for file in team_files()
    }


@pytest.mark.parametrize("values", ["flyte/values.yaml", "laptop/flyte-values.yaml"])
def test_every_domain_gives_each_variable_of_the_templates(values):
    needed = set().union(*(placeholders(file.read_text()) for file in team_files()))
    for domain, given in custom_data(load(INFRA / values)).items():
        assert needed - set(NAMED) == set(given), domain


@pytest.mark.parametrize("domain", ["development", "staging", "production"])
def test_each_domain_s_namespace_is_valid_when_it_is_filled_in(domain):
    given = custom_data(load(INFRA / "flyte" / "values.yaml"))[domain]
    for file in team_files():
        text = filled(file.read_text(), NAMED | given)
        assert "{{" not in text
        one = yaml.safe_load(text)
        assert (one["metadata"].get("namespace") or one["metadata"]["name"]) == NAMED["namespace"]


def test_a_team_s_pods_reach_nothing_by_default():
    policies = [one for _, one in all_objects() if one["kind"] == "NetworkPolicy"]
    default = next(one for one in policies if one["metadata"]["name"] == "nothing-by-default")
    assert default["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_team_s_way_out_leads_to_no_private_address():
    policy = load(INFRA / "teams" / "053_object-store.yaml")
    (rule,) = policy["spec"]["egress"]
    (block,) = (peer["ipBlock"] for peer in rule["to"])
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(
        block["except"]
    )
    assert [port["port"] for port in rule["ports"]] == [443]


def test_no_service_is_published_and_no_host_shared():
    services = [
        one["spec"].get("type", "ClusterIP") for _, one in all_objects() if one["kind"] == "Service"
    ]
    assert set(services) == {"ClusterIP"}
    for name, spec in pod_specs():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), name
    assert "extraPortMappings" not in (INFRA / "laptop" / "kind.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "spec"), pod_specs(), ids=lambda part: part if isinstance(part, str) else ""
)
def test_a_pod_runs_as_nobody_of_importance(name, spec):
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 999
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_mlflow_is_reached_through_the_login_alone():
    (spec,) = (spec for name, spec in pod_specs() if name == "mlflow")
    server, login = spec["containers"]
    assert "--host=127.0.0.1" in server["args"]
    assert "ports" not in server
    assert "--upstream=http://127.0.0.1:5000" in login["args"]
    service = load(INFRA / "mlflow" / "service.yaml")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert login["ports"] == [{"name": "http", "containerPort": 4180}]
    policy = load(INFRA / "mlflow" / "network.yaml")
    assert [rule["ports"] for rule in policy["spec"]["ingress"]] == [
        [{"port": 4180, "protocol": "TCP"}]
    ]


def test_flyte_has_a_login_wherever_it_has_a_way_in():
    real = load(INFRA / "flyte" / "values.yaml")
    assert real["ingress"]["create"] is True
    assert real["configuration"]["auth"]["enabled"] is True
    assert real["ingress"]["tls"]
    laptop = load(INFRA / "laptop" / "flyte-values.yaml")
    assert "ingress" not in laptop
    assert "service" not in laptop
    network = load(INFRA / "flyte" / "network.yaml")
    assert network["spec"]["podSelector"] == {}
    assert network["spec"]["policyTypes"] == ["Ingress"]


def test_a_way_in_has_a_certificate():
    ways = [one for _, one in all_objects() if one["kind"] == "Ingress"]
    assert [one["spec"]["tls"][0]["hosts"] for one in ways] == [["mlflow.example.org"]]


def test_flyte_may_make_every_kind_that_it_is_given_to_make():
    for values, folder in (
        ("flyte/values.yaml", "teams"),
        ("laptop/flyte-values.yaml", "laptop/teams"),
    ):
        rules = load(INFRA / values)["rbac"]["extraRules"]
        allowed = {kind for rule in rules for kind in rule["resources"]}
        made = {
            f"{load_kind(file).lower()}s".replace("policys", "policies")
            for file in (INFRA / folder).glob("*.yaml")
        }
        assert made - allowed - {"namespaces"} == set(), values  # the chart's own role has these


def load_kind(file):
    return objects_of(file)[0]["kind"]


def test_every_pod_template_that_a_flavour_names_is_there():
    there = {one["metadata"]["name"] for one in objects_of(INFRA / "flyte" / "pod-templates.yaml")}
    named = {
        load_flavour(name).stages[stage].pod_template for name in flavour_names() for stage in Stage
    }
    assert named == there


def test_a_node_pool_carries_the_label_and_the_taint_that_flyte_looks_for():
    k8s = load(INFRA / "flyte" / "values.yaml")["configuration"]["inline"]["plugins"]["k8s"]
    pools = objects_of(INFRA / "gpu" / "node-pools.yaml")
    labels = {
        pool["spec"]["template"]["metadata"]["labels"][k8s["gpu-device-node-label"]]
        for pool in pools
    }
    assert labels == {load_flavour(name).gpu for name in flavour_names()} - {""}
    (toleration,) = k8s["resource-tolerations"][0]["nvidia.com/gpu"]
    for pool in pools:
        (taint,) = pool["spec"]["template"]["spec"]["taints"]
        assert (taint["key"], taint["effect"]) == (toleration["key"], toleration["effect"])


def test_a_flavour_fits_into_the_largest_quota():
    quota = custom_data(load(INFRA / "flyte" / "values.yaml"))["production"]
    for name in flavour_names():
        for stage, wanted in load_flavour(name).stages.items():
            assert wanted.gpus * wanted.nodes <= int(quota["gpus"]), (name, stage)
            assert wanted.cpu * wanted.nodes <= int(quota["cpus"]), (name, stage)


def allowed(policy, key, action, **context):
    """Return whether a statement of the policy allows an action on an object."""
    import fnmatch

    for statement in policy["Statement"]:
        actions, places = (
            [value] if isinstance(value, str) else value
            for value in (statement["Action"], statement["Resource"])
        )
        conditions = [
            str(context.get(name)).lower() == value
            for test in statement.get("Condition", {}).values()
            for name, value in test.items()
        ]
        where = f"arn:aws:s3:::STORE_BUCKET/production/{key}"
        if (
            action in actions
            and any(fnmatch.fnmatch(where, place) for place in places)
            and all(conditions)
        ):
            return True
    return False


# "Null: false" on s3:if-none-match means that the header is there.
ONCE = {"s3:if-none-match": "false"}


@pytest.mark.parametrize("key", ["blobs/ab/cd", "keys/registry/teacher.math/1"])
def test_a_team_creates_what_is_not_there_and_replaces_and_deletes_nothing(key):
    policy = json.loads((INFRA / "store" / "team-policy.json").read_text())
    assert allowed(policy, key, "s3:GetObject")
    assert allowed(policy, key, "s3:PutObject", **ONCE)
    assert not allowed(policy, key, "s3:PutObject")
    assert not allowed(policy, key, "s3:DeleteObject")


def test_only_the_collector_of_garbage_deletes_blobs_and_nobody_deletes_keys():
    policy = json.loads((INFRA / "store" / "janitor-policy.json").read_text())
    assert allowed(policy, "blobs/ab/cd", "s3:DeleteObject")
    assert not allowed(policy, "keys/registry/teacher.math/1", "s3:DeleteObject")


@pytest.mark.parametrize("script", sorted(INFRA.rglob("*.sh")), ids=lambda path: path.name)
def test_a_script_passes_the_linter(script):
    found = subprocess.run(
        [TOOLS / "shellcheck", script], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


@needs_kubectl
@pytest.mark.parametrize("folder", ["flyte", "mlflow", "laptop", "laptop/mlflow"])
def test_a_kustomization_renders_into_valid_objects(folder):
    command = ["kubectl", "kustomize", str(INFRA / folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for one in yaml.safe_load_all(run.stdout):
        if not is_custom(one):
            kubernetes_validate.validate(one, VERSIONS[0], strict=True)


@needs_kubectl
def test_the_laptop_s_mlflow_asks_for_a_password_too():
    command = ["kubectl", "kustomize", str(INFRA / "laptop" / "mlflow")]
    objects = list(yaml.safe_load_all(subprocess.check_output(command, text=True)))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    server, login = deployment["spec"]["template"]["spec"]["containers"]
    assert "--host=127.0.0.1" in server["args"]
    assert "--htpasswd-file=/etc/login/htpasswd" in login["args"]
    assert {one["kind"] for one in objects} & {"Ingress", "ExternalSecret"} == set()


@pytest.fixture
def checkout(tmp_path):
    """A copy of what pinned.sh reads, with digests made up for the test."""
    shutil.copytree(INFRA, tmp_path / "infra")
    (tmp_path / "images").mkdir()
    lines = (ROOT / "images" / "upstream.txt").read_text().splitlines()
    pairs = [line.split() for line in lines if not line.startswith("#")]
    (tmp_path / "images" / "upstream.lock").write_text(
        "".join(f"{use} {image.rpartition(':')[0]}@sha256:{'a' * 64}\n" for use, image in pairs)
    )
    return tmp_path


def pinned(checkout, *arguments):
    command = ["bash", checkout / "infra" / "pinned.sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_kubectl
def test_images_are_put_in_by_digest(checkout):
    (checkout / "bound.toml").write_text(f'cpu = "registry.example.org/p/cpu@sha256:{"b" * 64}"\n')
    run = pinned(checkout, "infra/mlflow")
    assert run.returncode == 0, run.stderr
    assert sorted(re.findall(r"image: (\S+)@sha256:(.)", run.stdout)) == [
        ("quay.io/oauth2-proxy/oauth2-proxy", "a"),
        ("registry.example.org/p/cpu", "b"),
    ]


@needs_kubectl
@pytest.mark.parametrize(
    ("folder", "message"), [("infra/mlflow", "image: provost/cpu"), ("infra/laptop", "provost/cpu")]
)
def test_an_image_without_a_digest_is_refused(checkout, folder, message):
    run = pinned(checkout, folder)
    assert run.returncode == 1
    assert "Not pinned by images/upstream.lock or bound.toml" in run.stderr
    assert message in run.stderr
    assert run.stdout == ""


@needs_kubectl
def test_a_laptop_s_own_image_is_taken_as_it_was_loaded(checkout):
    run = pinned(checkout, "infra/laptop", "provost/cpu:0123abc")
    assert run.returncode == 0, run.stderr
    assert "image: provost/cpu:0123abc" in run.stdout


def test_without_pins_there_are_no_objects(checkout):
    (checkout / "images" / "upstream.lock").unlink()
    run = pinned(checkout, "infra/mlflow")
    assert run.returncode == 1
    assert "no image is pinned: run images/pin.sh" in run.stderr


def test_the_cluster_s_script_names_the_tools_that_are_missing(tmp_path):
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    run = subprocess.run(
        [shutil.which("bash"), INFRA / "laptop" / "up.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr == (
        "Not on this machine: docker kind kubectl helm openssl htpasswd git. Install them and run "
        "this again.\n"
    )
