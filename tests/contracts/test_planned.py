"""What starts a run is a checkpoint that a reference names, or that a published student holds."""

import pytest

from lineage.errors import LineageError
from lineage.records.record import Derivation
from lineage.registry.registry import Registry
from tasks.contracts.planned import start_of
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from tests.support.refused import raised


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def made_as(runner, kind):
    def make(folder, _):
        (folder / "out.txt").write_text("made")
        return folder / "out.txt"

    more = {"settings": {}, "seed": 0, "project": "local"}
    derivation = Derivation(kind="sft", inputs=(), source="sha256:" + "a" * 64, **more)
    return runner.find_or_make(derivation, kind, make)


def test_a_reference_resolves_to_its_artifact(runner):
    made = made_as(runner, "checkpoint")
    Registry(runner.store).register("fork-point", made, owner="foundation")
    assert start_of(runner, "fork-point@1") == made


def test_a_reference_to_another_kind_is_refused(runner):
    made = made_as(runner, "release")
    Registry(runner.store).register("teacher.math", made, owner="team")
    with raised(LineageError, "not-a-checkpoint", "teacher.math@1", "release"):
        start_of(runner, "math@1")


def test_a_reference_without_a_record_is_refused(runner):
    made = made_as(runner, "checkpoint")
    raw = made.model_copy(update={"record": ""})
    Registry(runner.store).register("base", raw, owner="foundation")
    with raised(LineageError, "not-a-checkpoint", "base@1"):
        start_of(runner, "base@1")
