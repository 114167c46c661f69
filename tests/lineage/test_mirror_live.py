"""Curves appear in MLflow while a step is at work, and MLflow never holds the work up."""

import logging
import socket
import threading
import time

import pytest

from lineage import mirror
from lineage.mirror import connection, showing
from lineage.mirror import live as live_runs
from lineage.mirror.live import SILENT_MS, LiveMirror, now_ms
from lineage.mirror.run_view import metrics_of
from lineage.records.derivation import Sample, metrics_blob
from lineage.records.record import Attestation, Derivation, Records
from tests.support.making import SOURCE, TIME, runs, write_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class StoppedError(RuntimeError):
    """Stands for an interruption."""


@pytest.fixture
def quick(monkeypatch):
    """Let a watch look at its queue all the time."""
    monkeypatch.setattr(live_runs, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(live_runs, "SECONDS", 0.02)


@pytest.fixture
def derivation():
    # A record sorts keys, so its text of the list differs unless the live run's is sorted too.
    settings = {"rate": 0.5, "domain": "math", "terms": [{"name": "grade", "kind": "grade"}]}
    return Derivation(kind="rl", inputs=(), source=SOURCE, settings=settings, seed=3)


def samples(first, last):
    return [
        Sample(step, "loss", 1.0 / step, "rl", 1_700_000_000_000 + step)
        for step in range(first, last)
    ]


def live(store, derivation):
    return mirror.live_run(store, derivation, "team-math", StoppedError)


def until(client, ready, seconds=20):
    """Wait until some run is as ``ready`` wants it; return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for run in runs(client):
            if ready(run):
                return run
        time.sleep(0.05)
    return pytest.fail(f"not within {seconds} seconds: {runs(client)}")


def end_early(store, client, derivation, error):
    """Let a step measure three values, the last of them just before it ends with an error."""

    def work():
        with live(store, derivation) as run:
            run.add(samples(1, 3))
            until(client, lambda run: run.data.metrics)
            run.add(samples(3, 4))
            raise error

    with pytest.raises(type(error)):
        work()


def finish(store, derivation, rows):
    """Write the record that a step leaves, and mirror it."""
    attestation = Attestation(
        derivation=derivation.digest(),
        output=store.put_bytes(b"weights"),
        output_kind="checkpoint",
        started=TIME,
        finished=TIME,
        owner="team-math",
        metrics=store.put_bytes(metrics_blob(rows)),
    )
    record = Records(store).write(derivation, attestation)
    assert mirror.mirror_record(store, record)
    return record


def test_curves_appear_while_a_step_works_and_are_completed(store, client, quick, derivation):
    rows = samples(1, 6)
    with live(store, derivation) as run:
        run.add(rows[:2])
        shown = until(client, lambda run: "rl/loss" in run.data.metrics)
        assert shown.info.status == "RUNNING"
        assert shown.data.params == {
            **{"seed": "3", "rate": "0.5", "domain": "math"},
            "terms": '[{"kind": "grade", "name": "grade"}]',
        }
        assert shown.data.tags["mlflow.user"] == "team-math"
        run.add(rows[2:4])
        until(client, lambda run: run.data.metrics.get("rl/loss") == 0.25)
        run.add(rows[4:])
    record = finish(store, derivation, rows)
    [done] = runs(client)
    assert done.info.run_id == shown.info.run_id
    assert (done.info.status, done.data.tags["provost.record"]) == ("FINISHED", record)
    assert done.info.run_name.startswith("rl-math-")
    assert "Made checkpoint" in done.data.tags["mlflow.note.content"]
    history = client.get_metric_history(done.info.run_id, "rl/loss")
    assert [(point.step, point.timestamp) for point in history] == [
        (row.step, row.at) for row in rows
    ]
    assert mirror.mirror_record(store, record)
    assert len(client.get_metric_history(done.info.run_id, "rl/loss")) == 5


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no prompts"), "FAILED"), (StoppedError(), "KILLED"), (SystemExit(), "KILLED")],
)
def test_what_ends_early_says_so(store, client, quick, derivation, error, status):
    end_early(store, client, derivation, error)
    [ended] = runs(client)
    assert ended.info.status == status
    assert ended.data.tags["provost.error"].startswith(type(error).__name__)
    assert ended.data.metrics["rl/loss"] == pytest.approx(1 / 3)
    assert ended.info.end_time


def test_a_later_attempt_has_a_run_of_its_own(store, client, quick, derivation):
    end_early(store, client, derivation, ValueError("once"))
    showing.mirror_of.cache_clear()  # what another process would not know
    with live(store, derivation) as run:
        run.add(samples(1, 3))
        until(client, lambda run: run.info.status == "RUNNING" and run.data.metrics)
    record = finish(store, derivation, samples(1, 3))
    by_status = {run.info.status: run for run in runs(client)}
    assert set(by_status) == {"FINISHED", "FAILED"}
    assert by_status["FAILED"].data.tags["provost.attempt_of"] == record
    done = by_status["FINISHED"]
    assert done.data.tags["provost.record"] == record
    assert len(client.get_metric_history(done.info.run_id, "rl/loss")) == 2


def test_a_rebuild_ends_the_runs_of_killed_processes(store, client, quick, derivation, monkeypatch):
    with live(store, derivation) as run:
        run.add(samples(1, 3))
        until(client, lambda run: "provost.seen" in run.data.tags)
    mirror.reindex(store)
    assert [run.info.status for run in runs(client)] == ["RUNNING"]  # it spoke just now
    later = now_ms() + SILENT_MS + 60_000
    monkeypatch.setattr("lineage.mirror.runs.now_ms", lambda: later)
    mirror.reindex(store)
    [ended] = runs(client)
    assert ended.info.status == "KILLED"
    assert ended.info.end_time == int(ended.data.tags["provost.seen"])
    finish(store, derivation, samples(1, 3))
    assert [run.info.status for run in runs(client)] == ["FINISHED"]


def test_a_step_at_work_is_listed_under_its_consolidation(store, client, quick, derivation):
    first, _ = write_record(store, b"plan", kind="plan", output_kind="plan")
    second, _ = write_record(store, b"more", kind="plan", output_kind="plan", notes={"plan": first})
    with mirror.live_run(store, derivation, "team", StoppedError, {"plan": second}) as run:
        run.add(samples(1, 3))
        shown = until(
            client, lambda run: "mlflow.parentRunId" in run.data.tags and run.data.metrics
        )
    parent = client.get_run(shown.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["provost.record"] == first


def test_what_is_short_is_shown_once_it_is_done(store, client, derivation):
    begun = time.monotonic()
    with live(store, derivation) as run:
        run.add(samples(1, 3))
    assert time.monotonic() - begun < 1
    assert runs(client) == []
    finish(store, derivation, samples(1, 3))
    assert [run.info.status for run in runs(client)] == ["FINISHED"]


@pytest.mark.medium
def test_a_silent_server_is_reported_within_20_seconds_and_delays_nothing(
    store, monkeypatch, caplog, derivation
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(showing, "HEALTH", showing.TrackingState())
        connection.client_of.cache_clear()
        begun, longest = time.monotonic(), 0.0
        with caplog.at_level(logging.WARNING, "provost.lineage"), live(store, derivation) as run:
            while not caplog.records and time.monotonic() - begun < 20:
                before = time.monotonic()
                run.add(samples(1, 101))
                longest = max(longest, time.monotonic() - before)
                time.sleep(0.05)
            assert caplog.records
        ended = time.monotonic()
        assert not mirror.mirror_record(store, "sha256:" + "0" * 64)  # left alone by now
        assert time.monotonic() - ended < 3
    assert longest < 3  # the processor may be busy; the server would hold it up for longer


def test_curves_are_back_as_soon_as_the_server_is(store, client, quick, derivation, monkeypatch):
    health = showing.TrackingState()
    health.failed("http://127.0.0.1:9", ConnectionError("gone"))
    monkeypatch.setattr(showing, "HEALTH", health)
    assert health.paused()
    with live(store, derivation) as run:
        run.add(samples(1, 3))
        until(client, lambda run: "rl/loss" in run.data.metrics and not health.paused())


def test_the_queue_is_bounded_and_keeps_the_newest(derivation, quick, monkeypatch):
    monkeypatch.setattr(live_runs, "MOST_WAITING", 10)
    shown, told = [], threading.Event()

    def show(step):
        shown.append([row.step for row in step.rows])
        told.set()
        return len(shown) > 1  # the first time MLflow is away

    with LiveMirror(show, derivation, "team") as run:
        run.add(samples(1, 31))
        told.wait(10)
        while len(shown) < 2:
            time.sleep(0.01)
    assert shown[0] == shown[1] == list(range(21, 31))


def test_a_record_keeps_when_each_value_was_measured(store):
    rows = [Sample(1, "loss", 0.5, "rl", 1_700_000_000_001), Sample(2, "loss", 0.25, "rl")]
    attestation = Attestation(
        derivation=store.put_bytes(b"x"),
        output=store.put_bytes(b"y"),
        output_kind="checkpoint",
        metrics=store.put_bytes(metrics_blob(rows)),
    )
    assert [(row.name, row.at) for row in metrics_of(store, attestation)] == [
        ("rl/loss", 1_700_000_000_001),
        ("rl/loss", 0),
    ]
