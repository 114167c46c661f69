"""Controls without data to learn from: left out with a reason, while other errors still end all."""

import copy

import pytest

from lineage.artifacts import Artifact
from tasks.contracts.controls import (
    Control,
    ControlOrder,
    TrainedControl,
    compared_controls,
    controls_left_out,
    without,
)
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.contracts.refusal import RefusedError
from tasks.controls.off_policy import OffPolicy
from tasks.controls.planned import _diverged, plan_arms
from tasks.mopd.launch_form import LaunchForm, launch_spec
from tasks.onpolicy.feature_checks import FeatureCheckError
from tasks.onpolicy.run_monitor import TrainingAbortedError
from tasks.rollout.domains import stored_demonstrations
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import invalid, refused
from tests.support.sampled import Bench, response

CUT = [response("1", prompt, grade=1.0, truncated=True) for prompt in "ab"]
WRONG = [response("2", "a", grade=0.0), response("3", "b", grade=0.0, truncated=True)]
RIGHT = [response("4", "a", grade=0.0), response("5", "b", grade=1.0)]


def part(letter="a", kind="checkpoint"):
    return Artifact(kind=kind, digest=f"sha256:{letter * 64}", record="")


def teacher(name):
    places = ("checkpoint", "environment", "train", "validation", "evaluation", "release")
    parts = dict.fromkeys(places, part())
    return PlannedTeacher(name=name, domain=name, reference="", owner="", ladder=[], **parts)


PLAN = Plan(
    fork_point=part(), student=part(), teachers=[teacher(name) for name in ("math", "code")]
)


def of_sft(control, reason=""):
    if reason:
        return without(control, reason)
    return TrainedControl(control=control, checkpoint=part("b"), seconds=1.0)


def test_a_control_has_a_student_or_a_reason():
    for checkpoint, reason in ((None, ""), (part(), "cut off")):
        with invalid("trained-or-left-out", "ties"):
            TrainedControl(control=Control.TIES, checkpoint=checkpoint, seconds=0, reason=reason)


def test_what_is_left_out_is_compared_with_nothing_and_keeps_its_reason():
    off_policy = [
        of_sft(Control.OFF_POLICY_SFT, "cut off"),
        of_sft(Control.MOPD_AFTER_SFT, "cut short"),
    ]
    arms = [of_sft(Control.MIX_RL), of_sft(Control.MOPD_WITH_OUTCOME, "graded alike")]
    assert compared_controls([], off_policy, arms) == {"mix_rl": part("b")}
    assert controls_left_out(off_policy, arms) == {
        "off_policy_sft": "cut off",
        "mopd_after_sft": "cut short",
        "mopd_with_outcome": "graded alike",
    }
    assert controls_left_out([of_sft(Control.OFF_POLICY_SFT)], arms[:1]) == {}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [("cut off", [Control.MIX_RL]), ("", [Control.MIX_RL, Control.MOPD_AFTER_SFT])],
)
def test_mopd_after_sft_never_begins_without_the_sft(bench, reason, wanted):
    form = LaunchForm(settings=["controls=mopd_after_sft,mix_rl"])
    spec = launch_spec(form.model_dump()).spec
    off_policy = [of_sft(Control.MOPD_AFTER_SFT, reason)]
    found = plan_arms(bench.runner, PLAN, PLAN.student, spec, off_policy)
    assert [each.control for each in found] == wanted
    assert [each.before for each in found] == [None, part("b")][: len(wanted)]


def demonstrations(bench, *answers):
    arm = OffPolicy(bench.runner, PLAN, ControlOrder(), SamplingSettings(max_new_tokens=7), 0)
    stored = [bench.responses(*rows, name=str(place)) for place, rows in enumerate(answers)]
    return [
        [row.turns[0].content for row in stored_demonstrations(bench.runner.store, each)]
        for each in arm._demonstrations(stored)
    ]


def test_right_answers_are_learned_from_and_else_whole_ones(bench):
    assert demonstrations(bench, RIGHT, WRONG) == [["5"], ["2"]]


def test_one_teacher_without_a_whole_answer_is_named_and_leaves_nothing_to_learn_from(bench):
    with refused("nothing-left", "the code teacher", "7 tokens"):
        demonstrations(bench, RIGHT, CUT)
    with refused("nothing-left", "the math teacher and the code teacher"):
        demonstrations(bench, CUT, CUT)


def test_answers_without_a_grade_are_a_fault_and_no_reason(bench):
    with refused("unknown-scorer"):
        demonstrations(bench, RIGHT, [response("1", scores={"other": 1.0})])


def test_the_feature_behind_an_error_survives_a_copy():
    error = FeatureCheckError("no-effect", "why", "outcome")
    again = copy.copy(error)
    assert (again.code, again.feature, str(again)) == ("no-effect", "outcome", "why")


@pytest.mark.parametrize(
    ("error", "diverged"),
    [
        (TrainingAbortedError("student-collapse", "step 9"), True),
        (TrainingAbortedError("runaway", "step 9"), True),
        (RefusedError("not-finite", "a tensor"), True),
        (FloatingPointError("step 9"), True),
        (TrainingAbortedError("sampler-gap", "step 9"), False),
        (TrainingAbortedError("uniform-teacher", "step 9"), False),
        (RefusedError("recalled-input", "a teacher"), False),
        (ValueError("step 9"), False),
    ],
)
def test_a_control_diverges_by_itself_and_not_by_what_it_needs(error, diverged):
    assert _diverged(error) is diverged
