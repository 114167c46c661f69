"""MLflow's own pages are not refused behind the proxy: asked of MLflow's own rule."""

from pathlib import Path

import pytest
import yaml

MLFLOW = Path(__file__).parents[2] / "infra" / "mlflow"
NAME = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"


@pytest.fixture
def login():
    return yaml.safe_load((MLFLOW / "login.yaml").read_text("utf-8"))["data"]


@pytest.fixture
def container():
    for document in yaml.safe_load_all((MLFLOW / "deployment.yaml").read_text("utf-8")):
        for item in document["spec"]["template"]["spec"]["containers"]:
            if any(row["name"] == NAME for row in item.get("env", [])):
                return item
    return pytest.fail(f"no container has {NAME}")


def test_the_page_at_the_public_address_may_search(login):
    from mlflow.server.security_utils import should_block_cors_request

    address = login["OAUTH2_PROXY_REDIRECT_URL"].removesuffix("/oauth2/callback")
    allowed = login[NAME].split(",")
    assert not should_block_cors_request(address, "POST", allowed)
    assert should_block_cors_request("https://elsewhere.example.com", "POST", allowed)
    assert should_block_cors_request(address, "POST", None)  # why the setting is needed


def test_the_server_reads_the_setting(container):
    [row] = [row for row in container["env"] if row["name"] == NAME]
    assert row["valueFrom"]["configMapKeyRef"] == {"name": "mlflow-login", "key": NAME}


def test_the_tables_are_made_before_any_server_starts():
    documents = yaml.safe_load_all((MLFLOW / "deployment.yaml").read_text("utf-8"))
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [tables] = pod["initContainers"]
    [server] = [one for one in pod["containers"] if one["name"] == "server"]
    assert tables["args"] == ["python", "-m", "lineage.mirror.tables"]
    assert (tables["image"], tables["envFrom"]) == (server["image"], server["envFrom"])
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_without_a_database_the_making_of_tables_fails(monkeypatch):
    from lineage.mirror import tables

    monkeypatch.delenv(tables.BACKEND, raising=False)
    assert tables.main() == 2
