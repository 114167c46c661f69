"""The one way in: every host has TLS, one route, and a service behind it that takes its traffic."""

from tests.support.manifests import INFRA, all_objects, load

LISTENERS = {
    one["name"]: one
    for name, gateway in all_objects()
    if gateway["kind"] == "Gateway"
    for one in gateway["spec"]["listeners"]
}
ROUTES = [one for _, one in all_objects() if one["kind"] in {"HTTPRoute", "GRPCRoute"}]
PORTS = {
    ("flyte", "flyte-http"): {8088},  # of the chart, as infra/laptop/up.sh forwards it
    ("flyte", "flyte-grpc"): {8089},
    **{
        (one["metadata"]["namespace"], one["metadata"]["name"]): {
            port["port"] for port in one["spec"]["ports"]
        }
        for _, one in all_objects()
        if one["kind"] == "Service"
    },
}


def test_every_host_is_served_with_tls_alone():
    hosts = {one["hostname"]: one for one in LISTENERS.values() if "hostname" in one}
    assert set(hosts) == {"flyte.example.org", "flyte-api.example.org", "mlflow.example.org"}
    for one in hosts.values():
        assert (one["port"], one["protocol"]) == (443, "HTTPS")
        assert one["tls"]["mode"] == "Terminate"
        assert one["tls"]["certificateRefs"]
    [plain] = [one for one in LISTENERS.values() if one["protocol"] == "HTTP"]
    [redirect] = [one for one in ROUTES if of(one) == plain["name"]]
    [filtered] = redirect["spec"]["rules"]
    assert "backendRefs" not in filtered
    assert filtered["filters"][0]["requestRedirect"]["scheme"] == "https"


def of(route):
    """Return the listener that a route hangs on."""
    [parent] = route["spec"]["parentRefs"]
    return parent["sectionName"]


def test_a_route_is_of_its_listener_s_host_and_namespace_and_of_one_kind():
    kinds = {}
    for route in ROUTES:
        listener = LISTENERS[of(route)]
        namespace = route["metadata"]["namespace"]
        allowed = listener["allowedRoutes"]["namespaces"]
        if "hostname" in listener:
            assert route["spec"]["hostnames"] == [listener["hostname"]]
            label = allowed["selector"]["matchLabels"]["kubernetes.io/metadata.name"]
            assert namespace == label
            kinds.setdefault(listener["hostname"], set()).add(route["kind"])
        else:
            assert (allowed["from"], namespace) == ("Same", "gateway")
    assert kinds == {
        "flyte.example.org": {"HTTPRoute"},
        "flyte-api.example.org": {"GRPCRoute"},
        "mlflow.example.org": {"HTTPRoute"},
    }


def test_behind_a_route_is_a_service_of_its_namespace_that_lets_the_gateway_in():
    for route in ROUTES:
        namespace = route["metadata"]["namespace"]
        ports = {
            backend["port"]
            for rule in route["spec"]["rules"]
            for backend in rule.get("backendRefs", [])
            if backend["port"] in PORTS[namespace, backend["name"]]
        }
        wanted = [b for rule in route["spec"]["rules"] for b in rule.get("backendRefs", [])]
        assert len(ports) == len(wanted)
        if ports:
            assert ports <= let_in(namespace)


def let_in(namespace):
    """Return the ports at which a namespace's policy takes the gateway's traffic."""
    policy = load(INFRA / namespace / "network.yaml")
    return {
        port["port"]
        for rule in policy["spec"]["ingress"]
        for peer in rule.get("from", [])
        if peer["namespaceSelector"].get("matchLabels", {}).get("kubernetes.io/metadata.name")
        == "envoy-gateway-system"
        for port in rule["ports"]
    }


def test_flyte_s_login_knows_the_hosts_and_its_records_link_to_the_console():
    values = load(INFRA / "flyte" / "values.yaml")["configuration"]
    uris = values["auth"]["authorizedUris"]
    assert {"https://flyte.example.org", "https://flyte-api.example.org"} <= set(uris)
    console = values["inline"]["flyteadmin"]["consoleUrl"]
    assert console == "https://flyte.example.org/console"


def test_nothing_names_what_is_retired():
    for file in INFRA.rglob("*"):
        if file.is_file():
            assert "nginx" not in file.read_text("utf-8"), file


def test_a_lost_machine_counts_as_an_attempt_and_the_last_one_runs_where_none_is_taken():
    for values in ("flyte/values.yaml", "laptop/flyte-values.yaml"):
        node = load(INFRA / values)["configuration"]["inline"]["propeller"]["node-config"]
        assert node["ignore-retry-cause"] is True
        assert node["interruptible-failure-threshold"] == -1
