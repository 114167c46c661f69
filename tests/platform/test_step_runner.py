"""A step is found or made: once, whole, with the record that says how."""

import json
import os
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import pytest
import torch

from lineage.errors import LineageError, RecordRefusedError, RefusedFileError
from lineage.records.derivation import FlyteRun
from lineage.records.record import Derivation, Input
from lineage.store.store import FolderStore, read_tree
from tasks.platform.measurements import Measurements
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import Missing, StepRunner, find_finished
from tests.support.mirrors import MemoryMirror
from tests.support.refused import raised

SOURCE = "sha256:" + "a" * 64


@pytest.fixture
def mirror():
    return MemoryMirror()


@pytest.fixture
def runner(home, mirror):
    return StepRunner(mirror=mirror)


def derivation(kind="sft", *inputs, seed=0, **settings):
    more = {"source": SOURCE, "settings": settings, "seed": seed, "project": "local"}
    return Derivation(kind=kind, inputs=inputs, **more)


class Maker:
    """Makes a file, and counts how often."""

    def __init__(self, text="made"):
        self.text, self.folders = text, []

    def __call__(self, folder, measurements):
        assert list(folder.iterdir()) == []
        self.folders.append(folder)
        measurements.add(1, {"loss": 2.0, "reward": 1})
        measurements.add(2, {"loss": float("nan")})
        path = folder / "out.txt"
        path.write_text(self.text)
        return path


def test_work_is_done_once(runner, mirror):
    make = Maker()
    first = runner.find_or_make(derivation(), "dataset", make, owner="team")
    assert runner.store.get_bytes(first.digest) == b"made"
    assert runner.find_or_make(derivation(), "dataset", make) == first
    assert StepRunner().find(derivation()) == first
    assert len(make.folders) == 1
    assert first.record == derivation().digest()
    assert (first.kind, first.uri) == ("dataset", runner.store.uri)
    assert mirror.records == [first.record]


def test_the_scratch_folder_is_gone_afterwards(runner):
    make = Maker()
    runner.find_or_make(derivation(), "dataset", make)
    assert not make.folders[0].exists()


@pytest.mark.parametrize("changed", [{"seed": 1}, {"rate": 0.1}])
def test_another_seed_or_setting_is_other_work(runner, changed):
    make = Maker()
    one = runner.find_or_make(derivation(), "dataset", make)
    two = runner.find_or_make(derivation(**changed), "dataset", make)
    assert len(make.folders) == 2
    assert one.digest == two.digest, "the same bytes are stored once"
    assert one.record != two.record


def test_a_folder_is_kept_as_a_tree(runner):
    def make(folder, _):
        (folder / "out").mkdir()
        (folder / "out" / "a.txt").write_text("a")
        (folder / "not-kept.txt").write_text("b")
        return folder / "out"

    made = runner.find_or_make(derivation(), "report", make)
    assert [path.name for path in runner.store.tree(made.digest).iterdir()] == ["a.txt"]


def test_what_fails_leaves_nothing_and_is_tried_again(runner, mirror):
    class Broken(Maker):
        def __call__(self, folder, measurements):
            super().__call__(folder, measurements)
            raise RuntimeError("no more power")

    broken = Broken()
    with pytest.raises(RuntimeError, match="no more power"):
        runner.find_or_make(derivation(), "dataset", broken)
    assert not broken.folders[0].exists()
    assert runner.records.all() == mirror.records == []
    assert runner.store.blob_states() == []
    assert runner.find_or_make(derivation(), "dataset", Maker()).digest


def test_what_the_store_refuses_leaves_no_record(runner):
    def make(folder, _):
        (folder / "out").mkdir()
        (folder / "out" / "weights.pkl").write_bytes(b"\x80\x04.")
        return folder / "out"

    with pytest.raises(RefusedFileError):
        runner.find_or_make(derivation(), "checkpoint", make)
    assert runner.records.all() == []


def test_an_input_that_its_record_never_made_is_refused(runner):
    made = runner.find_or_make(derivation(), "dataset", Maker())
    other = runner.store.put_bytes(b"something else")
    wrong = Input(role="data", artifact=other, record=made.record)
    with raised(RecordRefusedError, "never-gave"):
        runner.find_or_make(derivation("rl", wrong), "checkpoint", Maker())
    assert runner.records.all() == [made.record]


def find_or_make(mirror, make):
    """Make as a task does: the runner is its own."""
    return StepRunner(mirror=mirror).find_or_make(derivation(), "dataset", make)


@pytest.mark.usefixtures("home")
def test_where_it_may_only_find_it_makes_nothing(mirror):
    make = Maker()
    find = partial(find_or_make, mirror, make)
    assert find_finished(find) == Missing(derivation())
    assert make.folders == mirror.records == []
    made = find()
    assert find_finished(find) == made
    assert len(make.folders) == 1


@pytest.mark.usefixtures("home")
def test_a_missing_record_is_not_a_failure(mirror):
    """An error's handler, such as flytekit's or that of a failed round, sees nothing of it."""

    def handled():
        with suppress(Exception):
            return find_or_make(mirror, Maker())

    assert find_finished(handled) == Missing(derivation())


@pytest.mark.usefixtures("home")
def test_an_error_of_a_run_that_may_only_find_is_raised(mirror):
    def fail():
        raise LineageError("the store is damaged")

    with pytest.raises(LineageError, match="damaged"):
        find_finished(fail)
    assert find_or_make(mirror, Maker()).kind == "dataset"


def test_an_output_that_was_removed_is_made_again(runner):
    make = Maker()
    made = runner.find_or_make(derivation(), "dataset", make)
    assert runner.store.remove(made.digest, 0)
    assert runner.find(derivation()) is None
    assert runner.find_or_make(derivation(), "dataset", make) == made
    assert len(make.folders) == len(runner.records.attestations(made.record)) == 2


@pytest.mark.parametrize("lost", ["page.txt", "table.txt"])
def test_a_folder_that_lost_one_file_is_not_finished_work(runner, lost):
    def make(folder, _):
        (folder / "out").mkdir()
        for name in ("page.txt", "table.txt"):
            (folder / "out" / name).write_text(name)
        return folder / "out"

    made = runner.find_or_make(derivation(), "report", make)
    [blob] = [
        file.digest for file in read_tree(runner.store, made.digest).files if file.path == lost
    ]
    assert runner.store.remove(blob, 0)
    assert runner.find(derivation()) is None
    assert runner.find_or_make(derivation(), "report", make) == made
    assert (runner.store.tree(made.digest) / lost).read_text() == lost


def test_a_lost_output_is_made_again_with_as_many_threads(runner, monkeypatch):
    used = []

    def make(folder, _):
        use_configured_threads()
        used.append(torch.get_num_threads())
        return _write(folder)

    monkeypatch.setenv("PROVOST_THREADS", "2")
    made = runner.find_or_make(derivation(), "dataset", make)
    assert runner.store.remove(made.digest, 0)
    monkeypatch.setenv("PROVOST_THREADS", "1")
    runner.find_or_make(derivation(), "dataset", make)
    runner.find_or_make(derivation(seed=1), "dataset", make)
    assert used == [2, 2, 1]
    assert [row.threads for row in runner.records.attestations(made.record)] == [2, 2]


def test_the_attestation_names_host_time_and_signer(runner, monkeypatch):
    for name, value in (
        ("FLYTE_ATTEMPT_NUMBER", "2"),
        ("FLYTE_INTERNAL_IMAGE", "registry/trainer@sha256:1"),
        ("FLYTE_INTERNAL_EXECUTION_ID", "f123"),
        ("FLYTE_INTERNAL_EXECUTION_PROJECT", "teacher-math"),
        ("FLYTE_INTERNAL_EXECUTION_DOMAIN", "staging"),
        ("FLYTE_INTERNAL_EXECUTION_WORKFLOW", "workflows.teachers.math.workflow.climb"),
        ("FLYTE_INTERNAL_TASK_NAME", "tasks.sft.task.finetune"),
        ("FLYTE_INTERNAL_TASK_VERSION", "1.0.0-0123456789ab"),
        ("FLYTE_EXECUTION_URL", "https://flyte.example.org/console/projects/teacher-math"),
    ):
        monkeypatch.setenv(name, value)
    made = runner.find_or_make(derivation(), "dataset", Maker(), owner="team-math")
    [row] = runner.records.attestations(made.record)
    assert (row.output, row.output_kind, row.owner) == (made.digest, "dataset", "team-math")
    assert (row.attempt, row.execution, row.task) == (2, "f123", "tasks.sft.task.finetune")
    assert row.image == "registry/trainer@sha256:1"
    assert row.flyte == FlyteRun(
        project="teacher-math",
        domain="staging",
        execution="f123",
        workflow="workflows.teachers.math.workflow.climb",
        version="1.0.0-0123456789ab",
        url="https://flyte.example.org/console/projects/teacher-math",
    )
    assert row.host == os.uname().nodename
    started, finished = map(datetime.fromisoformat, (row.started, row.finished))
    assert timedelta(0) <= finished - started < timedelta(minutes=1)
    assert started.utcoffset() == timedelta(0)


def test_on_a_person_s_machine_the_attestation_names_no_execution(runner):
    made = runner.find_or_make(derivation(), "dataset", Maker())
    [row] = runner.records.attestations(made.record)
    assert (row.flyte, row.execution, row.image) == (None, "", "")


def test_measurements_are_kept_with_step_and_source(runner):
    made = runner.find_or_make(derivation("rl"), "dataset", Maker())
    [row] = runner.records.attestations(made.record)
    lines = runner.store.get_bytes(row.metrics).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row.pop("at") > 1_700_000_000_000 for row in rows)
    assert rows == [
        {"name": "loss", "source": "rl", "step": 1, "value": 2.0},
        {"name": "reward", "source": "rl", "step": 1, "value": 1.0},
        {"name": "loss", "source": "rl", "step": 2, "value": "nan"},
    ]


def test_without_measurements_metrics_are_empty(runner):
    made = runner.find_or_make(derivation(), "dataset", lambda folder, _: _write(folder))
    [row] = runner.records.attestations(made.record)
    assert row.metrics == ""


def _write(folder):
    path = folder / "out.txt"
    path.write_text("x")
    return path


def test_circumstances_are_not_part_of_the_output(runner, monkeypatch):
    before = derivation().digest()
    monkeypatch.setenv("FLYTE_ATTEMPT_NUMBER", "5")
    made = runner.find_or_make(derivation(), "dataset", Maker(), owner="someone else")
    assert made.record == before


def test_a_runner_takes_another_store(tmp_path, mirror):
    store = FolderStore(tmp_path / "elsewhere")
    made = StepRunner(store, mirror=mirror).find_or_make(derivation(), "dataset", Maker())
    assert store.has(made.digest)
    assert made.uri == str(tmp_path / "elsewhere")


def test_measurements_take_numbers_alone():
    rows = Measurements("sft", clock=lambda: 0.007)
    rows.add(3, {"accuracy": True, "loss": 1})
    assert rows.rows == [(3, "accuracy", 1.0, "sft", 7), (3, "loss", 1.0, "sft", 7)]
