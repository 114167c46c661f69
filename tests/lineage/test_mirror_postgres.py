"""The MLflow view on PostgreSQL, a real server that the test starts and stops.

Its columns have lengths that SQLite does not enforce, so long settings and tags are tried here.
"""

import os
import subprocess
import sys

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState
from lineage.records.record import Input
from lineage.registry.registry import Registry
from tests.support.making import write_record
from tests.support.postgres import new_database, postgres

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def server():
    with postgres() as address:
        yield address


def test_replicas_that_start_on_an_empty_database_make_its_tables_once(server):
    uri = new_database(server, "replicas")
    command = [sys.executable, "-m", "lineage.mirror.tables"]
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    pods = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [pod.communicate(timeout=300)[1] for pod in pods]
    assert [pod.returncode for pod in pods] == [0] * 4, told
    client = connection.client_of(uri)
    assert [item.name for item in client.search_experiments()] == ["Default"]
    client._tracking_client.store.engine.dispose()


def test_the_whole_view_is_rebuilt_on_postgresql(server, store, tmp_path, monkeypatch, request):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    base, weights = write_record(store, b"base", kind="base")
    start = Input(role="student", artifact=weights, record=base, weight=0.5)
    data = Input(role="data " + "r" * 600, artifact=store.put_bytes(b"rows"))
    rows = [(step, "loss", float("nan") if step == 5 else 1.0, "sft") for step in range(10_000)]
    record, output = write_record(
        store,
        b"child",
        start,
        data,
        metrics=rows,
        prompt="x" * 60_000,
        umlaut="ä" * 6000,
        owner="o" * 9000,
    )
    registry = Registry(store)
    artifact = Artifact(kind="checkpoint", digest=output, record=record)
    registry.register("teacher.math", artifact, owner="team", note="n" * 9000)
    registry.point("teacher.math", "released", 1, by="lead")
    assert mirror.mirror_record(store, record)
    assert mirror.mirror_entry(store, "teacher.math")
    assert mirror.reindex(store) == mirror.Reindexed(records=2, names=1, versions=1)
    client = connection.client_of(server)
    experiment = client.get_experiment_by_name("teachers").experiment_id
    [run] = client.search_runs([experiment])
    assert len(client.get_metric_history(run.info.run_id, "sft/loss")) == 9_999
    assert run.data.params["prompt"].endswith("[truncated]")
    [parent] = client.get_run(run.info.run_id).inputs.model_inputs
    assert client.get_logged_model(parent.model_id).tags["provost.digest"] == weights
    assert str(client.get_model_version_by_alias("teacher.math", "released").version) == "1"
    client._tracking_client.store.engine.dispose()
