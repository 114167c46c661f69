"""Every task that takes an artifact, launched by itself with inputs of two runs.

It refuses them, or what it records is what it was given. The list below has to name every such
task: a new one without a test of its mixtures fails here.
"""

import importlib
import itertools
import pkgutil
import tempfile
import typing
from pathlib import Path

import pytest
from flytekit.core.python_function_task import PythonFunctionTask
from pydantic import BaseModel

import tasks
from lineage.artifacts import Artifact, Student, read_manifest
from lineage.errors import LineageError
from lineage.registry.registry import Registry
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import StageLabel
from tasks.evaluate.cards import score_consolidation, score_teacher
from tasks.evaluate.consider import consider_release
from tasks.evaluate.publish import make_report
from tasks.evaluate.settings import CardSettings, EvaluationSettings
from tasks.gate.outcome import compare_with_outcome
from tasks.merge.controls import merge_average, merge_tuned
from tasks.merge.settings import MergeSettings
from tasks.mopd.round import distil_rounds
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.measurements import Measurements
from tasks.platform.step_runner import StepRunner, now
from tasks.release.checkpoints import register_checkpoint
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.steps import finetune, make_base
from tests.support.consolidations import Consolidated
from tests.support.mirrors import MemoryMirror
from tests.support.mixed_elsewhere import ELSEWHERE
from tests.support.mopd_rounds import told

HERE = {
    "score_teacher", "score_consolidation", "consider_release", "make_report", "make_base",
    "compare_with_outcome", "merge_controls", "distil_rounds",
    "register_checkpoint", "climb", "finetune",
}  # fmt: skip
SAMPLING = SamplingSettings(max_new_tokens=4)
SFT = SftSettings(num_steps=1, learning_rate=1e-3)
RL = RlSettings(loop=LoopSettings(num_steps=2, learning_rate=1e-3), sampling=SAMPLING)


class HastyRunner(StepRunner):
    """Records what a step is about to do, with its inputs, and leaves the work itself out."""

    def __init__(self, **options):
        super().__init__(**options)
        self.made = []

    def find_or_make(self, derivation, kind, make, owner="", notes=None):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "output")
            output.write_text(derivation.digest())
            measured = Measurements(kind, notes={**(notes or {})})
            made = self.commit(derivation, kind, output, now(), measured, owner)
        self.made.append(made.record)
        return made


@pytest.fixture
def runner(make):
    return HastyRunner(mirror=MemoryMirror())


@pytest.fixture
def runs(make, climbs, consolidated):
    """Two consolidations: of both teachers, and of one."""
    return consolidated(), Consolidated(make, climbs[:1], 300)


def holds_artifact(hint):
    if hint is Artifact:
        return True
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return any(holds_artifact(field.annotation) for field in hint.model_fields.values())
    return any(holds_artifact(part) for part in typing.get_args(hint))


def test_every_task_that_takes_an_artifact_has_a_test_of_its_mixtures():
    found = set()
    for module in pkgutil.walk_packages(tasks.__path__, "tasks."):
        if module.name.endswith(".task"):
            for task in vars(importlib.import_module(module.name)).values():
                if isinstance(task, PythonFunctionTask):
                    inputs = task.python_interface.inputs.values()
                    if any(map(holds_artifact, inputs)):
                        found.add(task.name.rpartition(".")[2])
    assert found == HERE | ELSEWHERE.keys()
    assert len(found) > 20
    root = Path(__file__).parents[2]
    assert all((root / path).is_file() for path in ELSEWHERE.values())


def artifacts_in(value):
    """Yield (digest, record) of every artifact in what a task was given."""
    if isinstance(value, Artifact):
        yield value.digest, value.record
    elif isinstance(value, BaseModel):
        yield from artifacts_in([getattr(value, name) for name in type(value).model_fields])
    elif isinstance(value, dict):
        yield from artifacts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from artifacts_in(each)


def assert_recorded_as_given(runner, *given):
    """Each record takes what was given, or what another one of the task gave, and nothing else."""
    known, made = set(artifacts_in(list(given))), set(runner.made)
    runner.made.clear()
    assert made
    for record in made:
        taken = {(item.artifact, item.record) for item in runner.records.read(record).inputs}
        assert taken
        assert {each for each in taken if each[1] not in made} <= known


def test_a_teachers_scorecard_is_of_what_was_given(runner, climbs):
    settings = EvaluationSettings(sampling=SAMPLING)
    for ladder, domain in itertools.product(climbs, climbs):
        teacher = ladder.ladder[-1].checkpoint
        given = (ladder.fork_point, teacher, domain.domain)
        score_teacher(runner, *given, settings)
        assert_recorded_as_given(runner, *given)


def test_a_climb_is_recorded_from_what_was_given(runner, climbs):
    for start, train, environment in itertools.product(climbs, repeat=3):
        mixed = {"train": train.domain.train, "environment": environment.domain.environment}
        domain = start.domain.model_copy(update=mixed)
        given = (start.precursor, domain)
        spec = RunSpec(start.precursor, [domain.training], RL, 0, {})
        made = spec.derivation(runner.project, 1)
        runner.find_or_make(made, "checkpoint", None)
        assert_recorded_as_given(runner, *given)


def test_a_supervised_stage_is_recorded_from_what_was_given(runner, climbs):
    settings, label = SFT, StageLabel(name="sft", owner="team-math")
    for start, data in itertools.product(climbs, climbs):
        given = (start.precursor, [data.domain.demonstrations, start.domain.demonstrations])
        for step in (
            lambda given=given: finetune(runner, *given, settings, 0, label),
            lambda given=given: make_base(runner, "", given[1], BaseSettings(), 0),
        ):
            step()
            assert_recorded_as_given(runner, *given)


def test_an_artifact_with_the_record_of_another_is_not_recorded(runner, climbs):
    one, other = (climbed.precursor for climbed in climbs)
    false = one.model_copy(update={"record": other.record})
    before = runner.records.all()
    label = StageLabel(name="sft", owner="team-math")
    with pytest.raises(LineageError):
        finetune(runner, false, [], SFT, 0, label)
    with pytest.raises(LineageError):
        register_checkpoint(runner, "fork-point", false, "foundation")
    assert runner.records.all() == before
    assert "fork-point" not in Registry(runner.store).names()


def mixtures(one, other):
    """Yield plans of one consolidation with a part of another."""
    plan, theirs = one.plan, other.plan
    yield plan.model_copy(update={"artifact": theirs.artifact})
    yield plan.model_copy(update={"teachers": theirs.teachers})
    yield plan.model_copy(update={"student": other.student})
    yield plan.model_copy(update={"fork_point": one.student})
    swapped = plan.teachers[0].model_copy(update={"checkpoint": one.student})
    yield plan.model_copy(update={"teachers": [swapped, *plan.teachers[1:]]})


def test_nothing_is_made_of_a_plan_with_parts_of_another(runner, runs):
    one, other = runs
    before = runner.records.all()
    card = EvaluationSettings(sampling=SAMPLING)
    merge = MergeSettings(sampling=SAMPLING)
    for plan in mixtures(one, other):
        for act in (
            lambda plan=plan: merge_average(runner, plan),
            lambda plan=plan: merge_tuned(runner, plan, merge),
            lambda plan=plan: distil_rounds(runner, plan, told(), 1, 0),
            lambda plan=plan: score_consolidation(runner, plan, one.student, one.controls, card),
        ):
            with pytest.raises(LineageError, match="differs"):
                act()
    assert runner.records.all() == before


def test_a_merge_of_a_plan_as_it_is_stored_is_recorded_from_it(runner, runs):
    for run in runs:
        merge_average(runner, run.plan)
        merge_tuned(runner, run.plan, MergeSettings(sampling=SAMPLING))
        assert_recorded_as_given(runner, run.plan)


def test_a_plan_with_a_warmed_up_student_continues(runner, runs, make):
    one, other = runs
    warmed = make.checkpoint(900, "warm_up", inputs=[("start", one.plan.student)])
    plan = one.plan.model_copy(update={"student": warmed})
    merge_average(runner, plan)
    assert_recorded_as_given(runner, plan)
    again = make.checkpoint(902, "warm_up", inputs=[("start", warmed)])  # another cycle
    plan = one.plan.model_copy(update={"student": again})
    merge_average(runner, plan)
    assert_recorded_as_given(runner, plan)
    strange = make.checkpoint(901, "warm_up", inputs=[("start", other.student)])
    stranger = make.checkpoint(903, "warm_up", inputs=[("start", strange)])
    for student in (strange, stranger):
        with pytest.raises(LineageError, match="differs"):
            merge_average(runner, one.plan.model_copy(update={"student": student}))


def test_a_student_or_a_control_of_another_run_is_scored_as_what_it_is(runner, runs):
    settings = EvaluationSettings(sampling=SAMPLING)
    for student, control in itertools.product(runs, runs):
        given = (runs[0].plan, student.student, control.controls)
        score_consolidation(runner, *given, settings)
        assert_recorded_as_given(runner, *given)


def test_a_scorecards_record_says_which_control_it_lacks_and_else_is_as_before(runner, runs):
    run, settings = runs[0], EvaluationSettings(sampling=SAMPLING)

    def recorded(left_out):
        given = (run.plan, run.student, run.controls, settings, left_out)
        return runner.records.read(score_consolidation(runner, *given).record).settings

    assert recorded({}) == recorded(None) == settings.model_dump(mode="json")
    why = {"off_policy_sft": "cut off"}
    assert recorded(why) == {**settings.model_dump(mode="json"), "left_out": why}
    assert CardSettings.model_validate(recorded(why)).evaluation == settings


def test_a_student_with_the_record_of_another_is_of_no_run(runner, runs):
    one, other = (run.publish() for run in runs)
    mixed = one.model_copy(update={"record": other.record})
    assert read_manifest(runner.store, one.digest, Student).checkpoint == runs[0].student
    before = set(runner.records.all())
    for act in (
        lambda: compare_with_outcome(runner, mixed),
        lambda: make_report(runner, mixed),
    ):
        with pytest.raises(LineageError, match="mixed"):
            act()
    assert set(runner.records.all()) == before
    with pytest.raises(LineageError):  # of another name, of which it is no version
        consider_release(runner, mixed, "other", ReleaseConditions())
