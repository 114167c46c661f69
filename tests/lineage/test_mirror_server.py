"""The view in MLflow's own server over HTTP, on SQLite."""

import time
from pathlib import Path

import pytest

from lineage import mirror
from lineage.mirror import connection, live, showing
from lineage.mirror.connection import TrackingState
from lineage.records.derivation import Sample
from lineage.records.record import Derivation
from tests.support.consolidated import TEAMS, Consolidated
from tests.support.making import SOURCE, runs
from tests.support.mlflow_server import forked_server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def address(tmp_path_factory, mlflow_database):
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with forked_server(f"sqlite:///{folder / 'mlflow.db'}", folder) as found:
        yield found


@pytest.fixture
def served(address, tmp_path, monkeypatch):
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    connection.client_of.cache_clear()
    showing.mirror_of.cache_clear()
    return connection.client_of(address)


@pytest.mark.medium
def test_a_consolidation_is_shown_by_a_server(store, served, tmp_path):
    made = Consolidated(store, tmp_path / "report")
    for record in (made.mopd, made.card, made.student, made.report):
        assert mirror.mirror_record(store, record[0])
    for name in (*(f"teacher.{team}" for team in TEAMS), "student.general"):
        assert mirror.mirror_entry(store, name)
    done = mirror.reindex(store)
    assert (done.repaired, done.problems) == ((), ())
    version = served.get_model_version_by_alias("student.general", "released")
    assert f"teacher.{TEAMS[0]}/versions/1" in version.description
    found = {run.data.tags["provost.record"]: run for run in runs(served)}
    files = served.list_artifacts(found[made.student[0]].info.run_id)
    assert {file.path for file in files} == {"report.html", "scorecard.png"}
    text = served.download_artifacts(
        found[made.student[0]].info.run_id, "report.html", str(tmp_path)
    )
    assert Path(text).read_text("utf-8") == "<h1>the report</h1>"


def test_curves_appear_in_a_server(store, served, monkeypatch):
    monkeypatch.setattr(live, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(live, "SECONDS", 0.05)
    derivation = Derivation(kind="audit", inputs=(), source=SOURCE, settings={}, seed=0)
    shown = []
    with mirror.live_run(store, derivation, "team", KeyboardInterrupt) as run:
        run.add([Sample(1, "share", 0.5, "audit", 1_700_000_000_000)])
        deadline = time.monotonic() + 20
        while not shown and time.monotonic() < deadline:
            shown = [found for found in runs(served) if "audit/share" in found.data.metrics]
            time.sleep(0.1)
    assert [found.info.status for found in shown] == ["RUNNING"]


@pytest.mark.slow
def test_each_value_is_in_a_server_within_half_a_minute(store, served):
    """With the waits that a real run has."""
    derivation = Derivation(kind="audit", inputs=(), source=SOURCE, settings={"n": 1}, seed=0)
    late = []
    with mirror.live_run(store, derivation, "team", KeyboardInterrupt) as run:
        for step in (1, 2, 3):
            start, name = time.monotonic(), f"share_{step}"
            run.add([Sample(step, name, 0.5, "audit", 1_700_000_000_000)])
            while time.monotonic() - start < 60:
                if any(f"audit/{name}" in found.data.metrics for found in runs(served)):
                    break
                time.sleep(0.5)
            late.append(time.monotonic() - start)
            time.sleep(1)
    assert max(late) < 30, late
