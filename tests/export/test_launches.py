"""Every plan with what came of it, told from the records alone."""

import pytest

from lineage.launches.history import launches, of_team
from lineage.launches.launch import LaunchVerdict, Waived
from lineage.records.record import Input
from tests.support.exported_family import take_failure
from tests.support.making import TIME, take, write_record

REFUSAL = {
    "code": "other-fork-point",
    "severity": "refusal",
    "subject": "teacher.math@1",
    "evidence": "e",
    "next_step": "n",
}


def told(family):
    found, problems = launches(family.store)
    assert problems == []
    return {launch.plan: launch for launch in found}


def waive(family, plan, **finding):
    return write_record(
        family.store,
        b"envelope",
        Input(role="plan", artifact=plan[1], record=plan[0]),
        kind="waiver",
        output_kind="waiver",
        plan=plan[1],
        findings=[finding],
        reason="measured by hand",
        at=TIME,
    )


def test_a_plan_that_led_to_a_student_is_published(family):
    launch = told(family)[family.plan[1]]
    assert launch.outcome == "published"
    assert [result.names for result in launch.students] == [["student.general@1"]]
    assert [teacher.reference for teacher in launch.teachers] == [
        "teacher.math@1",
        "teacher.code@1",
    ]
    assert (launch.at, launch.student) == (TIME, family.fork[1])


def test_a_value_that_records_lack_is_null(family):
    launch = told(family)[family.plan[1]]
    unknown = (launch.preset, launch.launcher, launch.approver, launch.execution)
    assert unknown == (None,) * 4


def test_a_plan_that_failed_says_why(family):
    take_failure(family)
    plan = family.planned(take("before", family.fork))
    write_record(
        family.store,
        b"account",
        take("plan", plan),
        kind="failure",
        output_kind="failure",
        error="the disk is full",
        round={"loop": 1},
    )
    launch = told(family)[plan[1]]
    assert (launch.outcome, launch.error) == ("failed", "the disk is full")
    assert launch.settings == {"loop": 1}
    # one attempt failed and another published
    assert told(family)[family.plan[1]].outcome == "published"


def test_an_unwaived_refusal_refuses_and_a_waived_one_does_not(family):
    plan = family.planned(findings=[REFUSAL])
    assert told(family)[plan[1]].outcome == "refused"
    waiver = waive(family, plan, code="other-fork-point", subject="teacher.math@1")
    launch = told(family)[plan[1]]
    assert launch.outcome == "proposed"
    assert launch.waivers == [
        Waived(
            digest=waiver[1],
            reason="measured by hand",
            at=TIME,
            findings=[{"code": "other-fork-point", "subject": "teacher.math@1"}],
        )
    ]


def test_a_waiver_of_another_teacher_or_of_what_is_never_waived_changes_nothing(family):
    plan = family.planned(findings=[REFUSAL])
    waive(family, plan, code="other-fork-point", subject="teacher.code@1")
    assert told(family)[plan[1]].outcome == "refused"
    recalled = family.planned(
        take("x", family.fork), findings=[{**REFUSAL, "code": "recalled-input"}]
    )
    waive(family, recalled, code="recalled-input", subject="teacher.math@1")
    assert told(family)[recalled[1]].outcome == "refused"


def test_a_plan_behind_the_gate_is_one_launch_with_the_one_before_it(family):
    before = family.planned(findings=[REFUSAL])
    waive(family, before, code="other-fork-point", subject="teacher.math@1")
    judged = {"name": "math", "domain": "math", "verdict": "unknown", "predicted": 0.42}
    gate = write_record(
        family.store,
        b"page",
        take("plan", before),
        kind="gate",
        output_kind="report",
        teachers=[judged],
    )
    write_record(  # `provost gate` judged the same plan
        family.store,
        b"another page",
        take("plan", before),
        kind="gate",
        output_kind="report",
        teachers=[judged],
        seed=1,
    )
    after = family.planned(take("plan", before), take("gate", gate), findings=[REFUSAL])
    found = told(family)
    assert before[1] not in found
    assert found[after[1]].verdicts == [
        LaunchVerdict(name="math", verdict="unknown", predicted=0.42)
    ]
    assert found[after[1]].outcome == "proposed"  # the waiver of the plan before counts


def test_a_plan_without_a_student_hides_no_other(family):
    write_record(family.store, b'{"teachers": []}', kind="plan", output_kind="plan")
    found, problems = launches(family.store)
    assert family.plan[1] in {launch.plan for launch in found}
    assert len(problems) == 1


def test_a_damaged_plan_is_reported_and_hides_no_other(family):
    bad = write_record(
        family.store,
        b"no plan",
        take("student", family.fork),
        kind="plan",
        output_kind="plan",
        x=1,
    )
    found, problems = launches(family.store)
    assert [launch.plan for launch in found] == [family.plan[1]]
    [problem] = problems
    assert bad[0] in problem


@pytest.mark.parametrize(("team", "theirs"), [("math-team", True), ("code", True), ("bob", False)])
def test_a_team_is_named_by_owner_or_domain(family, team, theirs):
    assert of_team(told(family)[family.plan[1]], team) is theirs


def decide(family, plan, seed=0, **said):
    gate = write_record(
        family.store, b"page", take("plan", plan), kind="gate", output_kind="report"
    )
    return write_record(
        family.store,
        b"decision",
        Input(role="plan", artifact=plan[1], record=plan[0]),
        Input(role="gate", artifact=gate[1], record=gate[0]),
        kind="approval",
        output_kind="approval",
        decision=said["decision"],
        notes={"review": said},
    )


def test_a_plan_is_listed_with_how_it_passed_the_gate(family):
    decide(family, family.plan, decision="rejected", by="ann", way="command", reason="too dear")
    assert told(family)[family.plan[1]].approver is None
    decide(family, family.plan, decision="approved", way="console")
    launch = told(family)[family.plan[1]]
    assert launch.approver == ""
    assert {each.words() for each in launch.decisions} == {
        "ann, by provost approve: too dear",
        "by the console, identity unknown",
    }


def test_an_approval_of_an_older_version_names_its_approver(family):
    write_record(
        family.store,
        b"approval",
        Input(role="plan", artifact=family.plan[1], record=family.plan[0]),
        kind="approval",
        output_kind="approval",
        decision="approved",
        by="bob",
        reason="fits",
        execution="",
        summary="",
    )
    assert told(family)[family.plan[1]].approver == "bob"
