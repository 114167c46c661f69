"""MLflow shows what the records say, once, and never stops a run."""

import logging
import subprocess
import sys

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.mirror import connection, showing
from lineage.mirror.connection import TrackingState
from lineage.mirror.run_view import clip, flatten, safe_key
from lineage.records.record import Input
from lineage.registry.registry import Registry
from tests.support.making import runs, write_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's, on SQLAlchemy 2.1


def test_a_chain_appears_with_params_metrics_edges_and_roles(store, client):
    base, weights = write_record(store, b"base", kind="base")
    rows = [(step, "loss", 1.0 / (step + 1), "sft") for step in range(2500)]
    rows.append((2500, "loss", float("nan"), "sft"))
    start = Input(role="student", artifact=weights, record=base, weight=0.5)
    data = Input(role="data", artifact=store.put_bytes(b"rows"))
    child, output = write_record(
        store, b"child", start, data, metrics=rows, step=7, train={"rate": 0.1}
    )
    assert mirror.mirror_record(store, child)
    found = {
        run.data.tags["provost.record"]: client.get_run(run.info.run_id) for run in runs(client)
    }
    assert set(found) == {base, child}
    run = client.get_run(found[child].info.run_id)
    assert run.data.params == {"seed": "0", "step": "7", "train.rate": "0.1"}
    assert run.data.tags["provost.input.000"] == f"student {weights} weight=0.5 record={base}"
    assert len(client.get_metric_history(run.info.run_id, "sft/loss")) == 2500
    assert run.data.tags["provost.not_finite"] == "sft/loss is nan at step 2500"
    [parent] = run.inputs.model_inputs
    assert client.get_logged_model(parent.model_id).tags["provost.digest"] == weights
    [dataset] = run.inputs.dataset_inputs
    assert dataset.dataset.source == data.artifact
    [made] = run.outputs.model_outputs
    assert made.step == 7
    model = client.get_logged_model(made.model_id)
    assert model.tags["provost.digest"] == output
    assert str(model.status) == "READY"
    assert run.info.status == "FINISHED"


def test_many_settings_and_many_metrics_are_all_there(store, client):
    rows = [(step, "loss", 1.0, "") for step in range(2001)]
    settings = {f"s{number}": number for number in range(350)}
    record, _ = write_record(store, b"w", metrics=rows, **settings)
    assert mirror.mirror_record(store, record)
    [run] = runs(client)
    assert run.data.params == {"seed": "0"} | {key: str(value) for key, value in settings.items()}
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2001


def test_mirroring_again_changes_nothing_also_in_another_process(store, client):
    record, _ = write_record(store, b"base", kind="base", metrics=[(1, "loss", 2.0, "")])
    assert mirror.mirror_record(store, record)
    showing.mirror_of.cache_clear()  # what another process would not know
    assert mirror.mirror_record(store, record)
    [run] = runs(client)
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 1
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


@pytest.mark.parametrize(
    "killed_before",
    ["log_batch", "log_inputs", "create_logged_model", "log_outputs", "set_terminated"],
)
def test_a_view_that_was_cut_off_is_finished_later(store, client, monkeypatch, killed_before):
    base, weights = write_record(store, b"base", kind="base")
    start = Input(role="student", artifact=weights, record=base)
    child, _ = write_record(store, b"child", start, metrics=[(1, "loss", 2.0, "")])
    assert mirror.mirror_record(store, base)

    def die(*_, **__):
        raise ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(client), killed_before, die)
        assert not mirror.mirror_record(store, child)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    showing.mirror_of.cache_clear()
    assert mirror.mirror_record(store, child)
    assert len(runs(client)) == 2
    run = next(run for run in runs(client) if run.data.tags["provost.record"] == child)
    run = client.get_run(run.info.run_id)
    assert len(run.inputs.model_inputs) == len(run.outputs.model_outputs) == 1
    assert run.data.metrics == {"loss": 2.0}


def test_names_versions_aliases_and_recalls_appear(store, client):
    record, output = write_record(store, b"weights", kind="rl")
    registry = Registry(store)
    artifact = Artifact(kind="checkpoint", digest=output, record=record)
    registry.register("teacher.math", artifact, owner="math-team", note="first")
    raw = Artifact(kind="checkpoint", digest=store.put_bytes(b"raw"))
    registry.register("teacher.math", raw, owner="math-team")
    registry.point("teacher.math", "released", 1, by="lead")
    assert mirror.mirror_entry(store, "teacher.math")
    version = client.get_model_version_by_alias("teacher.math", "released")
    assert (str(version.version), version.description.splitlines()[0]) == ("1", "first")
    assert version.tags["provost.digest"] == output
    registry.point("teacher.math", "released", 2, by="lead")
    registry.recall("teacher.math", 1, by="lead", reason="bad")
    assert mirror.mirror_entry(store, "teacher.math")
    assert str(client.get_model_version_by_alias("teacher.math", "released").version) == "2"
    assert client.get_model_version("teacher.math", "1").tags["provost.status"] == "recalled"
    assert len(client.search_model_versions("name='teacher.math'")) == 2


def test_reindex_rebuilds_everything_in_an_empty_mlflow(store, client, tmp_path, mlflow_database):
    base, weights = write_record(store, b"base", kind="base")
    child, output = write_record(
        store, b"child", Input(role="x", artifact=weights, record=base), kind="rl"
    )
    registry = Registry(store)
    artifact = Artifact(kind="checkpoint", digest=output, record=child)
    registry.register("teacher.math", artifact, owner="team")
    registry.point("teacher.math", "released", 1, by="lead")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    uri = f"sqlite:///{tmp_path / 'other' / 'mlflow.db'}"
    assert mirror.reindex(store, uri) == mirror.Reindexed(records=2, names=1, versions=1)
    assert mirror.reindex(store, uri) == mirror.Reindexed(records=2, names=1, versions=1)
    other = connection.client_of(uri)
    assert len(runs(other)) == 2
    assert str(other.get_model_version_by_alias("teacher.math", "released").version) == "1"
    assert runs(client) == []


def test_an_unreachable_mlflow_is_reported_once_and_left_alone(store, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    clock = [0.0]
    health = TrackingState(clock=lambda: clock[0])
    monkeypatch.setattr(showing, "HEALTH", health)
    connection.client_of.cache_clear()
    record, _ = write_record(store, b"base", kind="base")
    with caplog.at_level(logging.WARNING, "provost.lineage"):
        assert not mirror.mirror_record(store, record)
        assert health.paused()
        clock[0] = 100.0  # tries again after a while, and does not tell again
        assert not mirror.mirror_record(store, record)
    [message] = [row.getMessage() for row in caplog.records if row.name == "provost.lineage"]
    assert "provost lineage reindex" in message


def test_importing_the_mirror_does_not_import_mlflow():
    code = "import lineage.mirror, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_settings_become_flat_params():
    nested = {"a": {"b": 1, "c": {"d": "x"}}, "e": [1, 2], "f": None}
    assert dict(flatten(nested)) == {"a.b": "1", "a.c.d": "x", "e": "[1, 2]", "f": "null"}
    assert safe_key("a:b@c/../é") == "a_b_c/_"
    assert len(clip("x" * 7000, 6000)) == 6000
