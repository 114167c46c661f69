"""What a teacher might come from instead: by record, and never its own kin."""

import json

import pytest

from lineage.records.record import Derivation, Input
from tasks.gate.probe_step import MOST, descends, other_starts
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def made(runner, tmp_path, name, *inputs, kind="sft"):
    """Record a checkpoint of a name, made from (role, artifact) pairs."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"name": name}))
    told = tuple(
        Input(role=role, artifact=artifact.digest, record=artifact.record)
        for role, artifact in inputs
    )
    derivation = Derivation(kind=kind, inputs=told, source="test", settings={"name": name}, seed=0)
    return runner.find_or_make(derivation, "checkpoint", lambda *_: folder, owner="team")


def test_only_unrelated_checkpoints_from_the_same_start_count(runner, tmp_path):
    fork = made(runner, tmp_path, "fork", kind="base")
    sft = made(runner, tmp_path, "sft", ("start", fork))
    teacher = made(runner, tmp_path, "teacher", ("start", sft), kind="rl")
    other = made(runner, tmp_path, "other", ("start", fork))
    made(runner, tmp_path, "student", ("student", fork), ("teacher", teacher), kind="mopd")
    made(runner, tmp_path, "warmed", ("start", fork), ("teacher", teacher), kind="warm_up")
    assert other_starts(runner.store, fork.digest, teacher.record) == [other.digest]


def test_a_record_descends_from_itself_and_what_it_was_made_of(runner, tmp_path):
    fork = made(runner, tmp_path, "fork", kind="base")
    sft = made(runner, tmp_path, "sft", ("start", fork))
    assert descends(runner.store, fork.record, fork.record)
    assert descends(runner.store, sft.record, fork.record)
    assert not descends(runner.store, fork.record, sft.record)
    assert not descends(runner.store, "", "")


def test_there_are_never_many(runner, tmp_path):
    fork = made(runner, tmp_path, "fork", kind="base")
    teacher = made(runner, tmp_path, "teacher", ("start", fork))
    for place in range(MOST + 2):
        made(runner, tmp_path, f"other {place}", ("start", fork))
    assert len(other_starts(runner.store, fork.digest, teacher.record)) == MOST
