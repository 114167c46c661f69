"""What a person launches is recorded once for each execution, by the plan that it came to."""

import pytest

from lineage.artifacts import Artifact
from lineage.launches.history import launches
from lineage.launches.launch import Launch, Launched
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import Plan
from tasks.gate.launch import launching, record_launch
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.task import round_settings
from tasks.platform.attempt import InterruptedAttemptError
from tasks.platform.step_runner import StepRunner
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror
from workflows.consolidation.stages import carry_out
from workflows.consolidation.workflow import PRESETS, consolidate


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def planned(runner, *before):
    """Return a recorded plan without teachers; ``before`` is the plan that it was made of."""
    student = write_record(runner.store, b"weights")
    document = b'{"teachers": [], "notes": [], "of": %d}' % len(before)
    inputs = [take("student", student), *(take("plan", each) for each in before)]
    return write_record(runner.store, document, *inputs, kind="plan", output_kind="plan")


def as_plan(made):
    """Return its reference, which is all that a launch reads of a plan."""
    return Plan.model_construct(artifact=Artifact(kind="plan", digest=made[1], record=made[0]))


def rows(runner) -> list[Launch]:
    found, problems = launches(runner.store)
    assert problems == []
    return found


def in_flyte(monkeypatch, execution):
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_ID", execution)
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "consolidation")
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_DOMAIN", "staging")
    monkeypatch.setenv("FLYTE_INTERNAL_TASK_VERSION", "v7")
    monkeypatch.setenv("FLYTE_EXECUTION_URL", f"https://flyte.example.org/{execution}")


def test_a_launch_names_its_author_inputs_and_preset(runner, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    plan = as_plan(planned(runner))
    record_launch(runner, plan, Launched(inputs={"rounds": 2}, preset="two_rounds"))
    [row] = rows(runner)
    assert (row.launcher, row.preset, row.inputs) == ("ann", "two_rounds", {"rounds": 2})
    assert (row.execution, row.outcome) == (None, "open")


def test_a_launch_in_flyte_says_version_and_link_and_no_name(runner, monkeypatch):
    in_flyte(monkeypatch, "f1")
    plan = as_plan(planned(runner))
    record_launch(runner, plan, Launched(inputs={}))
    [row] = rows(runner)
    assert (row.launcher, row.preset, row.preset_version) == (None, "", "v7")
    assert row.execution == "consolidation/staging/f1"
    assert row.execution_url == "https://flyte.example.org/f1"


def test_each_execution_is_a_row_and_a_second_attempt_is_not(runner, monkeypatch):
    plan = as_plan(planned(runner))
    for execution in ("f1", "f1", "f2"):
        in_flyte(monkeypatch, execution)
        record_launch(runner, plan, Launched(inputs={}))
    assert [row.execution[-2:] for row in rows(runner)] == ["f1", "f2"]


def test_a_rerun_of_the_same_launch_by_the_same_person_adds_nothing(runner, monkeypatch):
    plan = as_plan(planned(runner))
    for person in ("ann", "ann", "bob"):
        monkeypatch.setenv("LOGNAME", person)
        record_launch(runner, plan, Launched(inputs={}))
    assert [row.launcher for row in rows(runner)] == ["ann", "bob"]


def test_a_launch_is_listed_with_the_latest_plan_that_it_reached(runner, monkeypatch):
    first = planned(runner)
    later = planned(runner, first)
    in_flyte(monkeypatch, "f1")
    with pytest.raises(ValueError, match="refused"), launching(runner, as_plan(first), LATER):
        raise ValueError("refused")
    assert {row.plan for row in rows(runner)} == {first[1], later[1]}  # of later: no launch yet
    record_launch(runner, as_plan(later), LATER)
    assert [row.plan for row in rows(runner)] == [later[1]]


LATER = Launched(inputs={"seed": 1}, seed=1)


def test_an_interrupted_attempt_does_not_end_its_launch(runner):
    plan = as_plan(planned(runner))
    with pytest.raises(InterruptedAttemptError), launching(runner, plan, LATER):
        raise InterruptedAttemptError("stopped")
    assert rows(runner)[0].inputs is None


def test_a_student_belongs_to_the_launch_of_its_last_round():
    launched = Launched(inputs={}, round={"steps": 4}, rounds=2, seed=7)
    assert launched.led_to({"kind": "mopd", "seed": 8, "steps": 4})
    assert not launched.led_to({"kind": "mopd", "seed": 7, "steps": 4})
    assert not launched.led_to({"kind": "mopd", "seed": 8, "steps": 5})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_itself_and_changes_no_setting_by_that(preset):
    form = LaunchForm(**PRESETS[preset])
    assert form.preset == preset
    rest = [each for each in form.settings if not each.startswith("preset=")]
    assert form.round() == form.model_copy(update={"settings": rest}).round()
    inputs = {name: getattr(form, name) for name in LaunchForm.model_fields}
    launched = Launched.model_validate_json(round_settings(**inputs).launched)
    assert (launched.preset, launched.rounds) == (preset, form.rounds)
    assert launched.inputs["teachers"] == form.teachers


def test_the_first_step_takes_the_whole_form():
    [first, *_] = consolidate.nodes
    assert {binding.var for binding in first.bindings} == set(LaunchForm.model_fields)


def test_when_a_student_is_released_is_part_of_the_form():
    form = LaunchForm(settings=["release_least_overall=0.7", "release_keep_domains=false"])
    inputs = {name: getattr(form, name) for name in LaunchForm.model_fields}
    conditions = round_settings(**inputs).spec.conditions
    assert conditions == ReleaseConditions(release_least_overall=0.7, release_keep_domains=False)
    assert conditions.release_least_normalized == ReleaseConditions().release_least_normalized
    nodes = {node.id: node for node in carry_out.nodes}
    [consider] = [node for node in nodes.values() if "consider" in node.flyte_entity.name]
    [binding] = [each for each in consider.bindings if each.var == "conditions"]
    assert binding.binding.promise is not None  # and no constant
