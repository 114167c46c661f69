"""The gate in front of a consolidation: measured, refused, waived, dropped, recalled meanwhile."""

import json

import pytest
from click.testing import CliRunner

from lineage.errors import RecalledError
from lineage.graph.graph import Lineage
from lineage.launches.verdicts import remedies_of
from lineage.store.store import open_store
from tasks.contracts.handover import OnMisfit, Remedy
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.gate import gate, leave_unmeasured
from tasks.gate.measured import ProbeSettings
from tasks.gate.plan import make_plan
from tasks.gate.remedied import measure_remedies
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student
from tasks.supervised import training
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import Contents, copy_home, home_at, kinds
from workflows.cli import main

TEACHERS = "shout@1,whisper@1"
SMALL = ("--gate-prompts-per-domain", "8")
ORDER = ("run", "consolidation", "--preset", "smoke", "--teachers", TEACHERS, *SMALL)


def printed_waiver(said):
    """Return the digest that `provost waive` printed."""
    return next(word for word in said.split() if word.startswith("sha256:"))


def refused_plan(message):
    """Return the digest of the plan that the refusal says can be waived."""
    return message.partition("provost waive ")[2].split()[0]


def recall():
    provost("teacher", "recall", "shout@1", "--reason", "leak", "--by", "team", "--yes")


@pytest.fixture(scope="module")
def home_with_refusal(home_with_teachers, tmp_path_factory):
    """A home whose teachers were measured and refused, and the refusal."""
    folder = copy_home(home_with_teachers, tmp_path_factory.mktemp("refused") / "home")
    with home_at(folder):
        return folder, refusal(*ORDER)


@pytest.fixture
def refused(home, home_with_refusal, kept_homes):
    """Put teachers that were refused into this test's home; return the refusal."""
    folder, message = home_with_refusal
    with kept_homes.lent(folder, home):
        yield message


@pytest.mark.medium
def test_teachers_with_a_lead_that_may_be_chance_are_refused_before_training(
    home_with_teachers, refused
):
    message = refused
    with home_at(home_with_teachers):
        before = Contents.now().records
    assert kinds(Contents.now().records - before) == {
        "plan": 2,
        "launch": 1,
        "probe": 1,
        "gate": 1,
    }
    assert "nothing was trained" in message
    assert "teacher.shout@1 [gain-unclear]: on 8 prompts it scores" in message
    assert "(gate_prompts_per_domain)" in message


@pytest.mark.medium
def test_what_a_person_signs_goes_through_and_stays_with_the_student(refused, tmp_path):
    said = provost("waive", refused_plan(refused), "--reason", "to see it run")
    before = Contents.now().records
    student = provost(*ORDER, "--waivers", printed_waiver(said))
    made = kinds(Contents.now().records - before)
    assert "student.smoke@1 is sha256:" in student
    assert made.keys().isdisjoint({"plan", "probe", "gate"})  # all three are there
    assert (made["mopd"], made["gate_outcome"]) == (1, 1)
    question = ("--prompt", "say it", "--response", "ab", "--out", str(tmp_path))
    provost("audit", "student.smoke@1", *question)
    [waived] = json.loads((tmp_path / "audit.json").read_text())["waivers"]
    assert "local on" in waived["text"]
    assert "accepted teacher.shout@1 [gain-unclear]" in waived["text"]
    assert "to see it run" in waived["text"]


@pytest.mark.usefixtures("refused")
def test_what_does_not_fit_is_dropped_until_nothing_is_left():
    message = refusal(*ORDER, "--on-misfit", "drop")
    assert "no teacher of this plan fits, so there is nothing to merge" in message


@pytest.mark.medium
def test_the_command_measures_without_a_consolidation_and_leaves_a_page(teachers, tmp_path):
    before = Contents.now().records
    command = ["gate", "--teachers", TEACHERS, *SMALL, "--out", str(tmp_path)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 1  # what a script asks
    assert "unknown" in result.output
    assert kinds(Contents.now().records - before) == {
        "plan": 2,
        "probe": 1,
        "gate": 1,
    }
    judged = json.loads((tmp_path / "judged.json").read_text())
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert [teacher["name"] for teacher in judged["teachers"]] == ["shout", "whisper"]
    assert {t["reading"]["finite"] for t in measured["teachers"]} == {True}
    page = (tmp_path / "gate.html").read_text()
    assert "<script" not in page
    assert "Teachers and checks" in page


def test_too_few_prompts_for_a_measurement_are_reported(teachers):
    message = refusal(*ORDER[:-1], "3")
    assert "gate_prompts_per_domain is 3, and it must be at least 8" in message


@pytest.fixture
def planned(teachers):
    """A plan that was made before a teacher of it is recalled."""
    runner = StepRunner()
    return runner, make_plan(runner, ["shout@1", "whisper@1"], "fork-point@released")


def test_a_teacher_recalled_since_it_was_planned_does_not_pass_the_gate(planned):
    runner, plan = planned
    recall()
    before = Contents.now().records
    with pytest.raises(RecalledError, match="leak"):
        leave_unmeasured(runner, plan)
    assert Contents.now().records == before


def test_a_teacher_recalled_while_the_approval_was_waited_for_is_not_merged(planned):
    runner, plan = planned
    gated = leave_unmeasured(runner, plan)
    assert warm_up_student(runner, gated, WarmUpSettings(), SamplingSettings(), 0) == gated.plan
    recall()
    with pytest.raises(RecalledError, match=r"teacher\.shout@1"):
        warm_up_student(runner, gated, WarmUpSettings(), SamplingSettings(), 0)


def with_cure(gated, name, cure):
    """Return the gate's answer with a cure applied to one teacher."""
    teachers = [
        each.model_copy(update={"done": cure}) if each.name == name else each
        for each in gated.teachers
    ]
    return gated.model_copy(update={"teachers": teachers})


@pytest.mark.medium
def test_a_warm_up_moves_the_student_by_the_teachers_answers_and_is_its_own_record(
    planned, monkeypatch
):
    runner, plan = planned
    shown = []
    monkeypatch.setattr(training, "report", lambda stage, step, *_, **__: shown.append(step))
    warmed = with_cure(leave_unmeasured(runner, plan), "shout", Remedy.WARM_UP)
    light = WarmUpSettings(
        prompts_per_teacher=8, steps_per_teacher=2, most_cycles=1, warmup_steps=0
    )
    student = warm_up_student(runner, warmed, light, SamplingSettings(), 0).student
    assert student.digest != plan.student.digest
    assert shown[-1] == 2  # its training shows progress
    record = runner.records.read(student.record)
    roles = {(item.role, item.name): item.artifact for item in record.inputs}
    shout = next(teacher for teacher in plan.teachers if teacher.name == "shout")
    assert roles["start", ""] == plan.student.digest
    assert roles["teacher", "shout"] == shout.checkpoint.digest
    assert ("teacher", "whisper") not in roles
    assert warm_up_student(runner, warmed, light, SamplingSettings(), 0).student == student


def launch_verdicts(runner, plan):
    """Return what was recorded of the remedies of a plan's student."""
    index = Lineage(runner.store).index
    given = (plan.artifact.digest, plan.student, runner.project)
    return remedies_of(runner.records, index, *given)


@pytest.mark.medium
def test_a_warm_up_goes_on_in_cycles_and_its_result_is_measured(planned):
    runner, plan = planned
    warmed = with_cure(leave_unmeasured(runner, plan), "shout", Remedy.WARM_UP)
    light = WarmUpSettings(
        prompts_per_teacher=8, steps_per_teacher=1, most_cycles=2, warmup_steps=0
    )
    sampling = SamplingSettings(max_new_tokens=4)
    before = Contents.now().records
    after = warm_up_student(runner, warmed, light, sampling, 0)
    made = kinds(Contents.now().records - before)
    last = runner.records.read(after.student.record)
    [first] = [item for item in last.inputs if item.role == "start"]
    assert (last.settings["cycle"], runner.records.read(first.record).settings["cycle"]) == (1, 0)
    assert made == {"warm_up": 2, "validation": 3}  # teacher, start, and after one cycle
    before = Contents.now().records
    outcomes = measure_remedies(runner, warmed, after, sampling, 0)
    assert kinds(Contents.now().records - before) == {"validation": 1, "remedy": 1}
    [found] = outcomes
    [stored] = launch_verdicts(runner, after)
    assert (stored.name, stored.student, stored.verdict) == (
        "shout", found.student, found.verdict.value,
    )  # fmt: skip


@pytest.mark.medium
def test_a_staged_ladder_is_measured_and_taken_along(planned):
    runner, plan = planned
    probe = ProbeSettings(prompts_per_domain=8, ladder_stages=2)
    gated = gate(runner, plan, OnMisfit.REFUSE, probe)
    for before, after, verdict in zip(
        plan.teachers, gated.plan.teachers, gated.teachers, strict=True
    ):
        assert [rung.step for rung in after.ladder_kl] == [1, 2]
        assert all(rung.kl > 0 for rung in after.ladder_kl)
        assert verdict.ladder == after.ladder_kl[:1]
        assert before.ladder_kl == []
    made = runner.records.read(gated.plan.artifact.record)
    [probe_record] = [item.record for item in made.inputs if item.role == "probe"]
    rungs = {
        i.name: i.artifact for i in runner.records.read(probe_record).inputs if i.role == "rung"
    }
    assert rungs == {t.name: t.ladder[0].checkpoint.digest for t in plan.teachers}


def test_an_unmeasured_ladder_has_a_note_that_it_goes_by_steps(planned):
    runner, plan = planned
    told = [
        note
        for note in leave_unmeasured(runner, plan, 2).plan.notes
        if note.code == "ladder-by-steps"
    ]
    assert [note.subject for note in told] == ["teacher.shout@1", "teacher.whisper@1"]
    assert "its 2 stages are spaced by optimizer steps: 1, then the teacher" in told[0].evidence


def test_an_unmeasured_plan_keeps_a_finding(planned):
    runner, plan = planned
    gated = leave_unmeasured(runner, plan)
    assert [note.subject for note in gated.plan.notes if note.code == "not-measured"] == [
        "teacher.shout@1",
        "teacher.whisper@1",
    ]
    assert [teacher.verdict.value for teacher in gated.teachers] == ["unknown", "unknown"]
    assert open_store().tree(gated.report.digest).joinpath("gate.html").is_file()
