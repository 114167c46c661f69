"""What the manifests allow; ``make lint`` holds them against Kubernetes' own schemas."""

import copy

import pytest
import yaml

from tasks.platform.resources import Stage, flavor_names, load_flavor
from tests.lint.manifests import faults
from tests.support.manifests import (
    CUSTOM,
    INFRA,
    NAMED,
    VERSIONS,
    all_objects,
    custom_data,
    filled,
    load,
    objects_of,
    placeholders,
    pod_specs,
    team_files,
)
from workflows.commands.faculty import PIPELINES


def test_the_lint_of_manifests_sees_an_invalid_object(tmp_path):
    found = next(one for _, one in all_objects() if one["kind"] == "Service")
    service = copy.deepcopy(found)
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(yaml.safe_dump(service))
    service["spec"]["port"] = service["spec"].pop("ports")
    bad.write_text(yaml.safe_dump(service))
    assert faults([good]) == []
    assert [line.split(":")[0] for line in faults([good, bad])] == ["bad.yaml"] * len(VERSIONS)


def test_the_kinds_without_a_schema_are_those_that_are_named():
    unknown = {
        (one["apiVersion"], one["kind"]) for _, one in all_objects() if "." in one["apiVersion"]
    }
    own = ("networking.k8s.io/", "rbac.authorization.k8s.io/", "batch/", "apps/")
    unknown = {kind for kind in unknown if not kind[0].startswith(own)}
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
def test_a_pod_runs_as_an_unprivileged_user(name, spec):
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
    assert real["ingress"] == {"create": False}
    assert real["configuration"]["auth"]["enabled"] is True
    laptop = load(INFRA / "laptop" / "flyte-values.yaml")
    assert "ingress" not in laptop
    assert "service" not in laptop
    network = load(INFRA / "flyte" / "network.yaml")
    assert network["spec"]["podSelector"] == {}
    assert network["spec"]["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize("values", ["flyte/values.yaml", "laptop/flyte-values.yaml"])
def test_flyte_starts_with_the_projects_of_the_pipelines(values):
    admin = load(INFRA / values)["flyte-core-components"]["admin"]
    assert sorted(admin["seedProjects"]) == sorted(PIPELINES)


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


def test_every_pod_template_that_a_flavor_names_is_there():
    there = {one["metadata"]["name"] for one in objects_of(INFRA / "flyte" / "pod-templates.yaml")}
    named = {
        load_flavor(name).stages[stage].pod_template for name in flavor_names() for stage in Stage
    }
    assert named == there


def test_a_node_pool_carries_the_label_and_the_taint_that_flyte_looks_for():
    k8s = load(INFRA / "flyte" / "values.yaml")["configuration"]["inline"]["plugins"]["k8s"]
    pools = objects_of(INFRA / "nodes" / "gpu.yaml")
    labels = {
        pool["spec"]["template"]["metadata"]["labels"][k8s["gpu-device-node-label"]]
        for pool in pools
    }
    assert labels == {load_flavor(name).gpu for name in flavor_names()} - {""}
    (toleration,) = k8s["resource-tolerations"][0]["nvidia.com/gpu"]
    for pool in pools:
        (taint,) = pool["spec"]["template"]["spec"]["taints"]
        assert (taint["key"], taint["effect"]) == (toleration["key"], toleration["effect"])
