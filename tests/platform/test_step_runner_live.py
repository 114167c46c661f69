"""A step's curves are in MLflow while it is at work, and its failure is when it fails."""

import time

import pytest

from lineage.mirror import connection, live, showing
from lineage.mirror.connection import TrackingState, tracking_uri
from lineage.records.record import Derivation
from tasks.onpolicy.distributed import collective as shared
from tasks.onpolicy.distributed.collective import DistributedStepRunner
from tasks.platform.attempt import InterruptedAttemptError
from tasks.platform.measurements import Measurements
from tasks.platform.step_runner import StepRunner

SOURCE = "sha256:" + "a" * 64

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(tracked_home, monkeypatch):
    monkeypatch.setattr(live, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(live, "SECONDS", 0.02)
    monkeypatch.setattr(showing, "HEALTH", TrackingState())
    return connection.client_of(tracking_uri())


def statuses(client):
    """Return the status of each run, with what it shows of the reward."""
    experiments = [item.experiment_id for item in client.search_experiments()]
    runs = client.search_runs(experiments)
    steps = [run for run in runs if run.data.tags["provost.kind"] != "plan"]
    return [(run.info.status, run.data.metrics.get("rl/reward")) for run in steps]


def derivation():
    return Derivation(kind="rl", inputs=(), source=SOURCE, settings={}, seed=0)


class Work:
    """Measures twice, with a look at MLflow in between, and then ends as it is told."""

    def __init__(self, client, error=None, wait=20):
        self.client, self.error, self.wait, self.seen = client, error, wait, []

    def __call__(self, folder, measurements):
        measurements.add(1, {"reward": 0.25})
        deadline = time.monotonic() + self.wait
        while not self.seen and time.monotonic() < deadline:
            self.seen = [row for row in statuses(self.client) if row[1] is not None]
            time.sleep(0.05)
        measurements.add(2, {"reward": 0.5})
        if self.error:
            raise self.error
        path = folder / "out.txt"
        path.write_text("made")
        return path


def test_a_step_at_work_is_running_and_then_finished(client):
    work = Work(client)
    StepRunner().find_or_make(derivation(), "checkpoint", work)
    assert work.seen == [("RUNNING", 0.25)]
    assert statuses(client) == [("FINISHED", 0.5)]


def test_a_step_at_work_is_below_its_consolidation_from_the_start(client):
    plan = Derivation(kind="plan", inputs=(), source=SOURCE, settings={}, seed=0)
    runner, parents = StepRunner(), set()
    planned = runner.find_or_make(plan, "plan", Work(client, wait=0))

    def look(folder, measurements):
        experiment = client.get_experiment_by_name("consolidation").experiment_id
        deadline = time.monotonic() + 20
        while not parents and time.monotonic() < deadline:
            for run in client.search_runs([experiment]):
                parents.update({run.data.tags.get("mlflow.parentRunId")} - {None})
            time.sleep(0.05)
        measurements.notes["more"] = "known at the end"
        return Work(client, wait=0)(folder, measurements)

    notes = {"plan": planned.record}
    made = runner.find_or_make(derivation(), "checkpoint", look, notes=notes)
    attested = dict(runner.records.output(made.record).notes)
    assert attested.pop("processor_seconds") >= 0
    assert attested == {**notes, "more": "known at the end"}
    [parent] = parents
    assert client.get_run(parent).data.tags["provost.record"] == planned.record
    assert notes == {"plan": planned.record}


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("bad"), "FAILED"), (InterruptedAttemptError("wanted back"), "KILLED")],
)
def test_a_step_that_ends_early_says_how(client, error, status):
    with pytest.raises(type(error)):
        StepRunner().find_or_make(derivation(), "checkpoint", Work(client, error))
    assert statuses(client) == [(status, 0.5)]


def test_of_several_ranks_the_first_alone_shows(client, monkeypatch):
    monkeypatch.setattr(shared, "rank", lambda: 1)
    measurements = Measurements("rl")
    with DistributedStepRunner().shown_live(derivation(), measurements, "team"):
        measurements.add(1, {"reward": 0.25})
        time.sleep(0.5)
    assert statuses(client) == []


def test_values_carry_their_times_and_come_back_with_a_state(tmp_path):
    ticks = iter([1.5, 2.5])
    measured = Measurements("rl", clock=lambda: next(ticks))
    heard = []
    measured.listeners.append(heard.extend)
    measured.add(1, {"reward": 0.25})
    measured.add(2, {"reward": 0.5})
    assert [(row.step, row.at) for row in measured.rows] == [(1, 1500), (2, 2500)]
    assert heard == measured.rows
    measured.save(tmp_path)
    again = Measurements("rl")
    again.load(tmp_path)
    assert again.rows == measured.rows
    (tmp_path / "rows.json").write_text('[[1, "reward", 0.25, "rl"]]')  # a state of before
    again.load(tmp_path)
    assert [(row.value, row.at) for row in again.rows] == [(0.25, 0)]


def test_processor_time_is_counted_with_that_before_a_kill(tmp_path):
    first = iter([10.0, 14.0])
    stopped = Measurements("rl", processor=lambda: next(first))
    stopped.save(tmp_path)
    again = iter([3.0, 5.5])
    resumed = Measurements("rl", processor=lambda: next(again))
    resumed.load(tmp_path)
    # 14 - 10 before the kill, 5.5 - 3 after it
    assert resumed.processor_seconds == 6.5


def test_a_state_from_before_the_count_is_read(tmp_path):
    Measurements("rl").save(tmp_path)
    (tmp_path / "processor_seconds.json").unlink()
    ticks = iter([1.0, 2.0])
    resumed = Measurements("rl", processor=lambda: next(ticks))
    resumed.load(tmp_path)
    assert resumed.processor_seconds == 1.0
