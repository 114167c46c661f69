"""A consolidation in two rounds, between which every teacher climbs again from the student."""

import importlib

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact, Release, Rung, Student, read_manifest
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks.platform.step_runner import StepRunner
from tasks.refresh.climb_again import climbs_again, release_again
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_faculty import PACKAGE, TEAMS, Contents, kinds
from workflows.cli import main
from workflows.consolidation.workflow import consolidate, consolidate_refreshed

ORDER = ("run", "consolidation", "--preset", "smoke", "--refreshed", "--teachers")
TEACHERS = [f"{team}@1" for team in TEAMS]


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def entry(runner, reference):
    found = Registry(runner.store).resolve(reference)
    return Artifact(kind=found.kind, digest=found.digest, record=found.record)


def manifest(runner, reference, kind):
    return read_manifest(runner.store, entry(runner, reference).digest, kind)


def test_a_climb_is_ordered_with_what_its_records_say(student, runner):
    general = entry(runner, "student.general@1")
    shout, whisper = climbs_again(runner, TEACHERS, general)
    for order, team in ((shout, "shout"), (whisper, "whisper")):
        own = importlib.import_module(f"{PACKAGE}.{team}.settings")
        assert (order.sft, order.rl, order.seed) == (own.SFT, own.RL, 0)
        assert order.domain.settings.owner == own.DOMAIN.owner
        assert order.start == manifest(runner, "student.general@1", Student).checkpoint
        released = manifest(runner, f"{team}@1", Release)
        assert order.domain.train == released.prompts.train
        assert order.domain.sketches.digest == released.sft.sketches
        assert order.evaluation.sampling.max_new_tokens == own.RL.sampling.max_new_tokens


@pytest.mark.slow
def test_the_second_round_has_teachers_that_climbed_from_the_first_student(teachers, runner):
    before = Contents.now().records
    result = CliRunner().invoke(main, [*ORDER, ",".join(TEACHERS)])
    assert result.exit_code == 0, result.output
    first, second = (manifest(runner, f"student.smoke@{n}", Student) for n in (1, 2))
    assert second.teachers[0].reference == "teacher.shout@2"
    for team in TEAMS:
        again = manifest(runner, f"{team}@2", Release)
        assert again.fork_point == first.checkpoint != again.precursor
    made = runner.records.read(second.checkpoint.record)
    assert [i.record for i in made.inputs if i.role == "student"] == [first.checkpoint.record]
    after = Contents.now().records
    found = kinds(after - before)
    assert (found["mopd"], found["sft"], found["rl"], found["release"]) == (2, 2, 2, 2)

    again = CliRunner().invoke(main, [*ORDER, ",".join(TEACHERS)])
    assert again.exit_code == 0, again.output
    assert Contents.now().records == after  # all of it was found

    shout, whisper = climbs_again(runner, TEACHERS, entry(runner, "student.smoke@1"))
    other = manifest(runner, "whisper@2", Release)
    ladder = [Rung(step=rung.step, checkpoint=rung.checkpoint) for rung in other.ladder]
    with pytest.raises(BrokenRuleError):
        release_again(runner, shout, ladder)
    released = release_again(runner, whisper, ladder)
    assert released.digest == entry(runner, "whisper@2").digest


def test_it_has_the_form_of_every_consolidation():
    one, two = consolidate.python_interface, consolidate_refreshed.python_interface
    assert one.inputs_with_defaults == two.inputs_with_defaults
    assert one.outputs == two.outputs
