"""The audit of a student that was warmed up on a teacher's answers before its round."""

import contextlib

import pytest

from lineage.operations.verify import Verifier
from tasks.attribution.audit import explain, run_audit
from tasks.attribution.document import read_audit
from tasks.attribution.question import AuditQuestion, gather
from tasks.attribution.subject import find_subject
from tasks.attribution.warmed import WARM_UP
from tasks.contracts.handover import Remedy
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.gate import leave_unmeasured
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student
from tests.support.courses import behavior
from tests.support.mopd_rounds import Run, faculty_at, planned, told

pytestmark = pytest.mark.medium  # a warm-up of two cycles and a round

ASKED = behavior("abcd", "dcba")
LIGHT = WarmUpSettings(prompts_per_teacher=8, steps_per_teacher=2, most_cycles=2, warmup_steps=0)


@pytest.fixture(scope="module")
def warmed(home_with_teachers, tmp_path_factory):
    """A runner, the plan, and the student of a round behind a warm-up on the answers of shout."""
    home = tmp_path_factory.mktemp("warmed") / "home"
    with faculty_at(home_with_teachers, home) as runner:
        plan = planned(runner)
        gated = leave_unmeasured(runner, plan)
        teachers = [
            each.model_copy(update={"done": Remedy.WARM_UP}) if each.name == "shout" else each
            for each in gated.teachers
        ]
        gated = gated.model_copy(update={"teachers": teachers})
        sampling = SamplingSettings(max_new_tokens=4)
        behind = warm_up_student(runner, gated, LIGHT, sampling, 0)
        assert runner.records.read(behind.student.record).settings["cycle"] == 1
        yield runner, plan, Run(runner, behind, told())


def test_it_is_counted_from_before_the_first_cycle(warmed):
    runner, plan, run = warmed
    subject = find_subject(runner, run.student.digest)
    assert (subject.origin.digest, subject.origin.record) == (
        plan.student.digest,
        plan.student.record,
    )
    assert subject.start != subject.origin
    assert subject.warmed_on == ("shout",)


def test_the_parts_with_the_warm_up_add_up_from_there(warmed):
    runner, plan, run = warmed
    audit = explain(runner, run.student.digest, [ASKED])
    assert audit.start == "the student before its warm-up"
    assert audit.shares[WARM_UP].mean != 0.0
    assert audit.residual < 3e-3
    total = audit.begun + sum(share.mean for share in audit.shares.values())
    assert total == pytest.approx(audit.ended, abs=1e-2)
    # A round from the same start without a warm-up begins where this one is counted from.
    plain = explain(runner, Run(runner, plan, told()).student.digest, [ASKED])
    assert audit.begun == pytest.approx(plain.begun, abs=1e-5)
    assert WARM_UP not in plain.shares
    assert plain.warmed_on == ()
    [ours], [theirs] = audit.behaviors, plain.behaviors
    assert ours.taught == pytest.approx(theirs.taught, abs=1e-5)


def test_a_recorded_audit_names_the_checkpoint_it_counts_from(warmed):
    runner, plan, run = warmed
    question = AuditQuestion(prompt="abcd", response="dcba")
    behaviors = gather(runner, run.student.digest, question, 0)
    made = run_audit(runner, run.student.digest, behaviors, (), (), 0)
    found = read_audit(runner.store, made)
    assert found.inputs["origin"] == plan.student.digest
    assert any("warm-up apart" in line for line in found.not_tested)
    assert not Verifier(runner.store).verify(made.record).problems


def test_the_whole_students_answers_are_compared_with_those_from_before(warmed, monkeypatch):
    runner, plan, run = warmed
    asked = []
    # What models of noise answer is seldom usable, so the answers are not drawn.
    monkeypatch.setattr(
        StepRunner, "find_or_make", lambda _, made, *rest, **more: asked.append(made)
    )
    with contextlib.suppress(AttributeError):
        gather(runner, run.student.digest, AuditQuestion(), 0)
    [made] = asked
    assert {item.role: item.artifact for item in made.inputs}["start"] == plan.student.digest
