"""A step is found or made: once, whole, with the record that says how."""

import json
import os
from datetime import datetime, timedelta

import pytest
import torch

from lineage.errors import LineageError, RecordRefusedError, RefusedFileError
from lineage.flyte_run import FlyteRun
from lineage.record import Derivation, Input
from lineage.registry import Registry
from lineage.store import FolderStore
from tasks.finding import NotMadeError, finding_only
from tasks.step import Bench, Measurements
from tasks.threads import use_configured_threads
from tests.support.mirrors import MemoryMirror

SOURCE = "sha256:" + "a" * 64


@pytest.fixture
def mirror():
    return MemoryMirror()


@pytest.fixture
def bench(home, mirror):
    return Bench(mirror=mirror)


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


def test_work_is_done_once(bench, mirror):
    make = Maker()
    first = bench.find_or_make(derivation(), "dataset", make, owner="team")
    assert bench.store.get_bytes(first.digest) == b"made"
    assert bench.find_or_make(derivation(), "dataset", make) == first
    assert Bench().find(derivation()) == first
    assert len(make.folders) == 1
    assert first.record == derivation().digest()
    assert (first.kind, first.uri) == ("dataset", bench.store.uri)
    assert mirror.records == [first.record]


def test_the_scratch_folder_is_gone_afterwards(bench):
    make = Maker()
    bench.find_or_make(derivation(), "dataset", make)
    assert not make.folders[0].exists()


@pytest.mark.parametrize("changed", [{"seed": 1}, {"rate": 0.1}])
def test_another_seed_or_setting_is_other_work(bench, changed):
    make = Maker()
    one = bench.find_or_make(derivation(), "dataset", make)
    two = bench.find_or_make(derivation(**changed), "dataset", make)
    assert len(make.folders) == 2
    assert one.digest == two.digest, "the same bytes are stored once"
    assert one.record != two.record


def test_a_folder_is_kept_as_a_tree(bench):
    def make(folder, _):
        (folder / "out").mkdir()
        (folder / "out" / "a.txt").write_text("a")
        (folder / "not-kept.txt").write_text("b")
        return folder / "out"

    made = bench.find_or_make(derivation(), "report", make)
    assert [path.name for path in bench.store.tree(made.digest).iterdir()] == ["a.txt"]


def test_what_fails_leaves_nothing_and_is_tried_again(bench, mirror):
    class Broken(Maker):
        def __call__(self, folder, measurements):
            super().__call__(folder, measurements)
            raise RuntimeError("no more power")

    broken = Broken()
    with pytest.raises(RuntimeError, match="no more power"):
        bench.find_or_make(derivation(), "dataset", broken)
    assert not broken.folders[0].exists()
    assert bench.records.all() == mirror.records == []
    assert bench.store.blob_states() == []
    assert bench.find_or_make(derivation(), "dataset", Maker()).digest


def test_what_the_store_refuses_leaves_no_record(bench):
    def make(folder, _):
        (folder / "out").mkdir()
        (folder / "out" / "weights.pkl").write_bytes(b"\x80\x04.")
        return folder / "out"

    with pytest.raises(RefusedFileError):
        bench.find_or_make(derivation(), "checkpoint", make)
    assert bench.records.all() == []


def test_an_input_that_its_record_never_made_is_refused(bench):
    made = bench.find_or_make(derivation(), "dataset", Maker())
    other = bench.store.put_bytes(b"something else")
    wrong = Input(role="data", artifact=other, record=made.record)
    with pytest.raises(RecordRefusedError, match="never gave"):
        bench.find_or_make(derivation("rl", wrong), "checkpoint", Maker())
    assert bench.records.all() == [made.record]


def test_where_it_may_only_find_it_makes_nothing(bench):
    make = Maker()
    with finding_only(), pytest.raises(NotMadeError):
        bench.find_or_make(derivation(), "dataset", make)
    assert make.folders == bench.records.all() == []
    made = bench.find_or_make(derivation(), "dataset", make)
    with finding_only():
        assert bench.find_or_make(derivation(), "dataset", make) == made


def test_an_output_that_was_removed_is_made_again(bench):
    make = Maker()
    made = bench.find_or_make(derivation(), "dataset", make)
    assert bench.store.remove(made.digest, 0)
    assert bench.find(derivation()) is None
    assert bench.find_or_make(derivation(), "dataset", make) == made
    assert len(make.folders) == len(bench.records.attestations(made.record)) == 2


def test_a_lost_output_is_made_again_with_as_many_threads(bench, monkeypatch):
    used = []

    def make(folder, _):
        use_configured_threads()
        used.append(torch.get_num_threads())
        return _write(folder)

    monkeypatch.setenv("PROVOST_THREADS", "2")
    made = bench.find_or_make(derivation(), "dataset", make)
    assert bench.store.remove(made.digest, 0)
    monkeypatch.setenv("PROVOST_THREADS", "1")
    bench.find_or_make(derivation(), "dataset", make)
    bench.find_or_make(derivation(seed=1), "dataset", make)
    assert used == [2, 2, 1]
    assert [row.threads for row in bench.records.attestations(made.record)] == [2, 2]


def test_the_attestation_says_where_when_and_by_whom(bench, monkeypatch):
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
    made = bench.find_or_make(derivation(), "dataset", Maker(), owner="team-math")
    [row] = bench.records.attestations(made.record)
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


def test_on_a_person_s_machine_the_attestation_names_no_execution(bench):
    made = bench.find_or_make(derivation(), "dataset", Maker())
    [row] = bench.records.attestations(made.record)
    assert (row.flyte, row.execution, row.image) == (None, "", "")


def test_measurements_are_kept_with_step_and_source(bench):
    made = bench.find_or_make(derivation("rl"), "dataset", Maker())
    [row] = bench.records.attestations(made.record)
    lines = bench.store.get_bytes(row.metrics).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row.pop("at") > 1_700_000_000_000 for row in rows)
    assert rows == [
        {"name": "loss", "source": "rl", "step": 1, "value": 2.0},
        {"name": "reward", "source": "rl", "step": 1, "value": 1.0},
        {"name": "loss", "source": "rl", "step": 2, "value": "nan"},
    ]


def test_nothing_measured_is_no_metrics(bench):
    made = bench.find_or_make(derivation(), "dataset", lambda folder, _: _write(folder))
    [row] = bench.records.attestations(made.record)
    assert row.metrics == ""


def _write(folder):
    path = folder / "out.txt"
    path.write_text("x")
    return path


def test_circumstances_are_no_part_of_what_is_made(bench, monkeypatch):
    before = derivation().digest()
    monkeypatch.setenv("FLYTE_ATTEMPT_NUMBER", "5")
    made = bench.find_or_make(derivation(), "dataset", Maker(), owner="someone else")
    assert made.record == before


def test_a_reference_resolves_to_its_artifact(bench):
    made = bench.find_or_make(derivation(), "checkpoint", Maker())
    Registry(bench.store).register("fork-point", made, owner="foundation")
    entry, artifact = bench.resolve("fork-point@1", "checkpoint")
    assert (entry.version, artifact) == (1, made)


def test_a_reference_to_another_kind_is_refused(bench):
    made = bench.find_or_make(derivation(), "release", Maker())
    Registry(bench.store).register("teacher.math", made, owner="team")
    with pytest.raises(
        LineageError, match=r"'math@1' is teacher.math@1, which is a release, but a checkpoint"
    ):
        bench.resolve("math@1", "checkpoint")


def test_a_reference_without_a_record_is_refused(bench):
    made = bench.find_or_make(derivation(), "checkpoint", Maker())
    raw = made.model_copy(update={"record": ""})
    Registry(bench.store).register("base", raw, owner="foundation")
    with pytest.raises(LineageError, match=r"base@1, which is without a record"):
        bench.resolve("base@1", "checkpoint")


def test_a_bench_takes_another_store(tmp_path, mirror):
    store = FolderStore(tmp_path / "elsewhere")
    made = Bench(store, mirror=mirror).find_or_make(derivation(), "dataset", Maker())
    assert store.has(made.digest)
    assert made.uri == str(tmp_path / "elsewhere")


def test_measurements_take_numbers_alone():
    rows = Measurements("sft", clock=lambda: 0.007)
    rows.add(3, {"accuracy": True, "loss": 1})
    assert rows.rows == [(3, "accuracy", 1.0, "sft", 7), (3, "loss", 1.0, "sft", 7)]
