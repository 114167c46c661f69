"""The plan for people: all of it is said, hostile names do nothing, the estimate is arithmetic."""

from dataclasses import replace

import pytest

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Finding
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import Gated, Plan, PlannedTeacher, Remedy, TeacherVerdict, Verdict
from tasks.gate.forecast import Forecast, Probing, forecast, num_parameters
from tasks.gate.machine import Machine
from tasks.gate.measured import ProbeSettings
from tasks.gate.plan import propose
from tasks.gate.plan_page import plan_page, plan_text, summary_of
from tasks.mopd.round_form import RoundForm
from tasks.platform.step_runner import StepRunner
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.prompts import write_prompts
from tests.gate.test_plan import Faculty
from tests.support.climbs import CLIMB
from tests.support.estimates import fit
from tests.support.mirrors import MemoryMirror

HOSTILE = '<img src=x onerror="alert(1)">'


def artifact(kind, letter="a"):
    return Artifact(kind=kind, digest="sha256:" + letter * 64)


def plan_of(*notes, owner="team-math"):
    data = artifact("dataset")
    teacher = PlannedTeacher(
        name="math",
        domain="math",
        share=0.25,
        reference="teacher.math@3",
        owner=owner,
        release=artifact("release"),
        checkpoint=artifact("checkpoint", "b"),
        ladder=[],
        environment=artifact("environment"),
        train=data,
        validation=data,
        evaluation=data,
    )
    start = artifact("checkpoint", "c")
    return Plan(
        artifact=artifact("plan", "d"),
        fork_point=start,
        student=start,
        teachers=[teacher],
        notes=list(notes),
    )


COST = Forecast(
    parameters=1_000_000,
    teacher_parameters=2_000_000,
    tokens_per_step=1000,
    operations=7.2e15,
    machine=Machine("8 x nvidia-h200", 8, "", 1e12, "a guess"),
    fit=fit(3 << 30, num_ranks=8),
    storage=1 << 29,
)


RELEASE = ReleaseConditions(release_least_overall=0.7, release_keep_domains=False)


def test_time_is_operations_over_speed_and_gpu_hours_count_every_gpu():
    # 7.2e15 / 1e12 = 7200 s = 2 h, on 8 GPUs 16 GPU-hours.
    lines = dict(COST.lines())
    assert lines["time"] == "about 2h 00m of MOPD on 8 x nvidia-h200: 16.0 GPU-hours"
    assert "on each of 8 ranks" in lines["memory"]
    assert lines["memory"].endswith("of 3.00 GiB")
    assert lines["controls"] == "none to train"
    with_two = dict(replace(COST, trained_controls=2).lines())
    assert with_two["controls"].endswith("about 4h 00m more")
    assert lines["storage"].startswith("0.50 GiB")


def test_page_and_text_name_the_teachers_and_the_findings_against_them():
    note = Finding(
        code="other-template",
        severity="refusal",
        subject="teacher.math@3",
        evidence="the template is another",
        next_step="release it again",
    )
    plan = plan_of(note)
    for said in (plan_page(plan, COST, RELEASE), plan_text(plan, COST, RELEASE)):
        for words in ("teacher.math@3", "team-math", "25% of math", "the template is another"):
            assert words in said
        assert plan.artifact.digest in said
        assert "16.0 GPU-hours" in said
        assert "at least 0.5 of the gain in each domain, 0.7 on average" in said
        assert "every domain of the current release" not in said
    assert "1 refusal" in plan_page(plan, COST, RELEASE)


def test_hostile_names_are_text():
    note = Finding(
        code=HOSTILE, severity="note", subject=HOSTILE, evidence=HOSTILE, next_step=HOSTILE
    )
    page = plan_page(plan_of(note, owner=HOSTILE), COST, RELEASE)
    assert "<img" not in page
    assert page.count("&lt;img") >= 4


@pytest.fixture
def runner(home, monkeypatch):
    monkeypatch.delenv("PROVOST_FLAVOR", raising=False)
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def plan(runner, tmp_path):
    """A plan of one teacher with two prompts."""
    path = tmp_path / "train.jsonl"
    write_prompts(path, [Prompt(f"p{n}", (Message("user", "a" * n),), {}) for n in (1, 3)])
    train = runner.store.put_file(path)
    Faculty(runner).teacher("math", 1, train=train)
    return propose(runner, ["math@1"], "fork-point@1")


def test_the_estimate_follows_from_parameters_and_tokens(runner, plan):
    form = RoundForm(mopd_steps=10, rounds=2, prompts_per_domain=3)
    once, twice = (
        forecast(runner, plan, form.model_copy(update={"rounds": rounds}).workload())
        for rounds in (1, 2)
    )
    folder = runner.store.tree(plan.student.digest)
    assert once.parameters == once.teacher_parameters == num_parameters(folder)
    # Forward 2, backward 4, sampling 2, the teacher's reading 2: 10 P for each token of a step.
    assert once.operations == pytest.approx(10 * once.tokens_per_step * 10 * once.parameters)
    assert twice.operations == 2 * once.operations
    # Besides each round's ledger and student: a state of the weights, the second moment and one
    # teacher's first moment.
    assert 2 * once.storage - twice.storage == 3 * 4 * once.parameters
    beside = {"merged_controls": 2, "trained_controls": 1}
    compared = forecast(runner, plan, form.workload().model_copy(update=beside))
    assert compared.storage - twice.storage == 3 * 4 * once.parameters
    # 3 prompts of 24 new tokens at most, and their own; prompts of 1 and 3 letters differ by 2.
    assert once.tokens_per_step > 3 * 24
    more = forecast(runner, plan, form.model_copy(update={"prompts_per_domain": 6}).workload())
    assert more.tokens_per_step == 2 * once.tokens_per_step


def test_the_gates_cost_is_what_it_plays_and_reads(runner, plan):
    workload = RoundForm(prompts_per_domain=1).workload()
    told = forecast(runner, plan, workload, ProbeSettings(prompts_per_domain=8))
    # Eight rollouts of the one domain. The student plays them and reads them, the teacher plays,
    # reads the student's, and reads the well graded ones again: 2 operations a parameter each.
    once = 2 * 8 * told.tokens_per_step * told.parameters
    assert told.probe.operations == pytest.approx(5 * once)
    [math] = plan.teachers
    climbed = plan.model_copy(update={"teachers": [math.model_copy(update={"ladder": CLIMB})]})
    staged = ProbeSettings(prompts_per_domain=8, ladder_stages=2)
    # Three earlier rungs, and the student once more, whose states are kept for them.
    assert forecast(runner, climbed, workload, staged).probe.operations == pytest.approx(9 * once)
    own = plan.model_copy(update={"teachers": [math.model_copy(update={"is_self": True})]})
    assert forecast(runner, own, workload, staged).probe.operations == 0


def test_the_gates_cost_is_printed():
    machine = Machine("8 x nvidia-h200", 8, "", 1e12, "a guess")
    probe = Probing(64, 4, 10, 9e13, machine)
    lines = dict(replace(COST, probe=probe).lines())
    assert lines["gate"] == (
        "about 1m 30s on 8 x nvidia-h200: 4 teachers and 10 rungs, 64 prompts per domain"
    )
    assert dict(COST.lines())["gate"] == "measures nothing"


def test_a_flavors_gpus_are_those_of_its_declaration(runner, plan, monkeypatch):
    monkeypatch.setenv("PROVOST_FLAVOR", "h200")
    told = forecast(runner, plan, RoundForm().workload())
    # 8 GPUs of 989e12 operations a second, 30 % of them.
    assert told.machine.gpus == 8
    assert told.machine.operations_per_second == pytest.approx(8 * 989e12 * 0.3)
    assert (told.fit.work.num_ranks, told.fit.limits.name) == (8, "h200")
    assert told.seconds == pytest.approx(120 * told.step.total)
    assert "sampling" in dict(told.lines())["time"]


@pytest.mark.parametrize("done", [Remedy.NONE, Remedy.WARM_UP])
def test_the_summary_to_approve_names_a_warm_up_that_comes_on_top(done):
    verdict = TeacherVerdict(name="math", domain="math", verdict=Verdict.UNKNOWN, done=done)
    gated = Gated(plan=plan_of(), report=artifact("report"), teachers=[verdict])
    (cost,) = (
        line
        for line in summary_of(gated, COST, ReleaseConditions()).splitlines()
        if line.startswith("Cost")
    )
    assert ("warm-up on math" in cost) is (done is Remedy.WARM_UP)
