"""What a teacher might come from instead: by record, and never its own kin."""

import json

import pytest

from lineage.record import Derivation, Input
from tasks.gate.probed import MOST, descends, other_starts
from tasks.step import Bench
from tests.support.mirrors import MemoryMirror


@pytest.fixture
def bench(home):
    return Bench(mirror=MemoryMirror())


def made(bench, tmp_path, name, *inputs, kind="sft"):
    """Record a checkpoint of a name, made from (role, artifact) pairs."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"name": name}))
    told = tuple(
        Input(role=role, artifact=artifact.digest, record=artifact.record)
        for role, artifact in inputs
    )
    derivation = Derivation(kind=kind, inputs=told, source="test", settings={"name": name}, seed=0)
    return bench.find_or_make(derivation, "checkpoint", lambda *_: folder, owner="team")


def test_only_what_was_trained_from_the_same_start_and_is_no_kin_counts(bench, tmp_path):
    fork = made(bench, tmp_path, "fork", kind="base")
    sft = made(bench, tmp_path, "sft", ("start", fork))
    teacher = made(bench, tmp_path, "teacher", ("start", sft), kind="rl")
    other = made(bench, tmp_path, "other", ("start", fork))
    made(bench, tmp_path, "student", ("student", fork), ("teacher", teacher), kind="mopd")
    made(bench, tmp_path, "warmed", ("start", fork), ("teacher", teacher), kind="warm_up")
    assert other_starts(bench.store, fork.digest, teacher.record) == [other.digest]


def test_a_record_descends_from_itself_and_what_it_was_made_of(bench, tmp_path):
    fork = made(bench, tmp_path, "fork", kind="base")
    sft = made(bench, tmp_path, "sft", ("start", fork))
    assert descends(bench.store, fork.record, fork.record)
    assert descends(bench.store, sft.record, fork.record)
    assert not descends(bench.store, fork.record, sft.record)
    assert not descends(bench.store, "", "")


def test_there_are_never_many(bench, tmp_path):
    fork = made(bench, tmp_path, "fork", kind="base")
    teacher = made(bench, tmp_path, "teacher", ("start", fork))
    for place in range(MOST + 2):
        made(bench, tmp_path, f"other {place}", ("start", fork))
    assert len(other_starts(bench.store, fork.digest, teacher.record)) == MOST
