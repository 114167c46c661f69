"""What the comparison reads from a store: every teacher on every domain, and a second round."""

import pytest

from benchmarks.controls.one_seed import Merge, figures, merged
from benchmarks.controls.planned import BEST_TEACHER
from benchmarks.controls.tables import with_best_teacher
from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from tasks.evaluate.scores import FORK_POINT, STUDENT, TEACHER
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_faculty import TEAMS


def entry(runner, reference):
    found = Registry(runner.store).resolve(reference)
    return Artifact(kind=found.kind, digest=found.digest, record=found.record)


@pytest.mark.medium
def test_rows_hold_each_teacher_on_its_own_domain_and_on_all_others(student):
    made = figures(StepRunner(mirror=MemoryMirror()), "student.general@1")
    assert set(made["teachers"]) == set(TEAMS)
    for team in TEAMS:
        assert set(made["teachers"][team]) == set(TEAMS)
        assert made["rows"][TEACHER][team] == made["teachers"][team][team]
    best = with_best_teacher(made)["rows"][BEST_TEACHER]
    assert best in made["teachers"].values()
    assert {FORK_POINT, STUDENT, "task_arithmetic"} <= set(made["rows"])


@pytest.mark.slow
def test_a_second_round_is_measured_on_the_same_prompts_with_its_own_teachers(teachers):
    runner = StepRunner(mirror=MemoryMirror())
    start, releases = entry(runner, "fork-point@1"), [entry(runner, f"{t}@1") for t in TEAMS]
    settings = ("controls=none",)
    both = [
        merged(runner, start, releases, Merge(name, {"mopd_steps": 2}, settings, again), 0)
        for name, again in (("once", False), ("again", True))
    ]
    prompts = [
        {domain: [row["prompt"] for row in rows] for domain, rows in made["rows"][STUDENT].items()}
        for made in both
    ]
    assert prompts[0] == prompts[1]
    assert len(Registry(runner.store).versions("student.again")) == 2
    # The first student of both is the same step, found again; the second is another.
    first = entry(runner, "student.once@1"), entry(runner, "student.again@1")
    assert figures(runner, first[1].digest)["rows"] == both[0]["rows"]
    assert both[1]["rows"][TEACHER] != both[0]["rows"][TEACHER]
    assert both[1]["costs"][STUDENT]["steps"] == both[0]["costs"][STUDENT]["steps"]
