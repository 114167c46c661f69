"""One case of the gate's fresh family from teacher to students, on the tiny faculty."""

import pytest

from benchmarks.gate.fresh import family as fresh
from benchmarks.gate.fresh.ancestry import ancestry_rows
from benchmarks.gate.fresh.family import FreshCase, Group
from benchmarks.gate.fresh.one_case import CaseRun, CaseSizes, run_case
from benchmarks.gate.fresh.summary import baseline, error_of
from benchmarks.gate.fresh.teachers import FreshTeacher, TeacherSizes
from benchmarks.gate.mismatch import Family
from tasks.contracts.handover import BlendSettings, Contribution, Remedy, Verdict
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.plan import make_plan
from tasks.gate.verdict import GateSettings, judge
from tasks.model.files import load_policy
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_blend
from tasks.sft.settings import SftSettings
from tests.support.measures import OTHER_WORDS, measured
from tests.support.tiny_faculty import PACKAGE, TEAMS

pytestmark = pytest.mark.slow

SFT = SftSettings(num_steps=2, batch_size=4, learning_rate=1e-2, warmup_steps=0)
SIZES = CaseSizes(
    teachers=TeacherSizes(prompts=8, teach=SFT, fork=SFT),
    warm_up=WarmUpSettings(prompts_per_teacher=8, steps_per_teacher=2, most_cycles=1, batch_size=4),
    loop=LoopSettings(num_steps=2, learning_rate=1e-2, warmup_steps=0),
    prompts=2,
)


@pytest.fixture
def tiny(teachers):
    runner = StepRunner()
    plan = make_plan(runner, [f"{team}@released" for team in TEAMS], "fork-point@released")
    contributions = [
        Contribution(domain=team, package=f"{PACKAGE}.{team}", owner=f"team-{team}", count=8)
        for team in TEAMS
    ]
    blend = collect_blend(runner, BlendSettings(contributions=contributions), 0)
    return Family(runner, plan, plan.student, blend)


def case(kind, group, domain="shout"):
    return FreshCase(0, kind, domain, 1.0, group)


def test_a_case_runs_from_its_teacher_to_its_students_and_is_found_again(tiny):
    own = case(fresh.OWN, Group.OWN)
    row = run_case(tiny, own, SIZES)
    assert row["case"] == "own-teacher-shout-0"
    assert [merge["seed"] for merge in row["merges"]] == [0, 1]
    students = [merge["student"] for merge in row["merges"]]
    assert all(0 <= score <= 1 for score in students)
    assert row["verdict"] in {verdict.value for verdict in Verdict}
    assert row["gate"]["digest"].startswith("sha256:")
    assert set(row["processor_seconds"]) >= {"teacher", "probe", "protocol", "merges"}
    if row["remedy"] is None:
        assert row["final"] == row["verdict"]
    again = run_case(tiny, own, SIZES)
    assert [merge["student"] for merge in again["merges"]] == students
    assert again["risks"] == row["risks"]
    assert error_of(students) >= 0
    assert baseline([row]) == pytest.approx(sum(m["normalized"] for m in row["merges"]) / 2)


def test_a_remedied_student_is_graded_alone_and_after_its_merges(tiny):
    run = CaseRun(tiny, case(fresh.WRONG, Group.BROKEN), SIZES)
    short = judge(measured(swap=OTHER_WORDS), "teacher.shout@1", GateSettings())
    assert short.remedy is Remedy.WARM_UP
    found = run.remedied(short, Remedy.WARM_UP)
    assert found["verdict"] in {"fits after remedy", "does not fit"}
    assert found["validation"]["prompts"] == 8
    assert len(found["merges"]) == 2
    # It starts from the warmed student; the scale stays that of the fork point.
    plain = run_case(tiny, case(fresh.OWN, Group.OWN), SIZES)
    assert found["merges"][0]["start"] == plain["merges"][0]["start"]


def test_fork_points_are_made_from_the_base_with_and_without_a_domain(tiny):
    teacher = FreshTeacher(tiny, case(fresh.FORK_DATA, Group.WEIGHTS), SIZES.teachers)
    of_system = {
        without: {example.messages[0].content for example in teacher.blend(without)}
        for without in ("", "shout")
    }
    assert of_system == {"": {"shout", "whisper"}, "shout": {"whisper"}}
    made = {without: teacher.fork(without) for without in ("", "shout")}
    assert len({artifact.digest for artifact in made.values()} | {tiny.base.digest}) == 3
    parents = [tiny.runner.records.read(made[""].record).inputs[0].artifact]
    assert parents == [tiny.base.digest]


def test_wrong_answers_and_noise_change_the_weights(tiny):
    start = tiny.plan.student
    for kind, group in ((fresh.WRONG, Group.BROKEN), (fresh.NOISE, Group.BROKEN)):
        teacher = FreshTeacher(tiny, case(kind, group), SIZES.teachers)
        assert teacher.made().digest not in {start.digest, teacher.own.checkpoint.digest}
    rollouts = teacher.answers(start)
    assert len(rollouts) == 8
    load_policy(tiny.runner.store.tree(teacher.made().digest))


def test_parents_of_all_that_was_made_are_checked(tiny):
    for kind in (fresh.WRONG, fresh.NOISE):
        FreshTeacher(tiny, case(kind, Group.BROKEN), SIZES.teachers).made()
    rows = ancestry_rows(tiny, 0)
    assert True in {row["true"] for row in rows}
    assert not any(row["contradicted_without"] for row in rows if row["true"])
    assert all(set(row) >= {"contradicted_with", "contradicted_without"} for row in rows)
