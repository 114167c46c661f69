"""Steps that no command of the product takes: the control beside the merge, and what is compared.

Each finds finished work in the store, as the product's steps do, and returns what a row holds.
"""

import json
from collections.abc import Callable
from typing import Any

from benchmarks.common.prompt_rows import prompt_rows
from benchmarks.real.planted import questions
from benchmarks.real.settings import (
    LONGEST,
    OFF_POLICY_BATCH,
    OFF_POLICY_PROMPTS,
    OFF_POLICY_RATE,
)
from lineage.artifacts import Artifact, Release, Student, read_manifest
from lineage.registry.registry import Registry
from tasks.contracts.handover import Gated, Plan, Remedy, TeacherVerdict, Verdict
from tasks.contracts.planned import plan_of
from tasks.contracts.remedies import WarmUpSettings
from tasks.evaluate.cards import read_scorecard, score_consolidation
from tasks.evaluate.measure import Examiner, read_measured
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.settings import EvaluationSettings
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student

SAMPLING = SamplingSettings(max_new_tokens=LONGEST)
OFF_POLICY = "off_policy_sft"
PROMPTS = "prompts"
"""The figures of a step that are written beside its row, compressed."""
WARM_UP = "warm_up"
"""The student as its rounds of MOPD began, and the kind of the record that made it."""


def student_name(seed: int) -> str:
    """Return the name under which the student of a merge is published."""
    return f"real-{seed}"


def climbed(team: str) -> dict[str, Any]:
    """Return a teacher's score, its supervised checkpoint's, and the fork point's."""
    runner = StepRunner()
    entry = Registry(runner.store).resolve(f"teacher.{team}@latest")
    release = read_manifest(runner.store, entry.digest, Release)
    examiner = Examiner(runner, release.precursor, EvaluationSettings(sampling=SAMPLING))
    after_sft = examiner.measure(team, release.environment, release.evaluation)
    card = read_scorecard(runner, release.scorecard)
    return {
        "reference": f"{team}@{entry.version}",
        "scores": {
            **{name: each.mean for name, each in card.domains[team].methods.items()},
            "after_sft": read_measured(runner, after_sft).mean,
        },
        "gain": _interval(card, team, "fork_point"),
    }


def off_policy(seed: str, steps_per_teacher: str) -> dict[str, Any]:
    """Return the student of supervised training on the teachers' graded answers."""
    runner = StepRunner()
    plan, _ = _merged(runner, int(seed))
    trained = _trained(runner, plan, int(seed), int(steps_per_teacher))
    return {"student": trained.digest, "steps_per_teacher": int(steps_per_teacher)}


def scorecard(seed: str, steps_per_teacher: str) -> dict[str, Any]:
    """Return the scorecard of all methods on the same held-out prompts.

    Beside those of the merge: SFT off policy, and the student after its warm-up alone, where it had
    one and the store still has it.
    """
    runner = StepRunner()
    plan, student = _merged(runner, int(seed))
    trained = _trained(runner, plan, int(seed), int(steps_per_teacher))
    controls = {**student.controls, OFF_POLICY: trained}
    if warmed := warmed_student(runner, student.checkpoint):
        controls[WARM_UP] = warmed
    made = score_consolidation(
        runner, plan, student.checkpoint, controls, EvaluationSettings(sampling=SAMPLING)
    )
    card = read_scorecard(runner, made)
    return {
        "scorecard": made.digest,
        "card": card.document(),
        PROMPTS: prompt_rows(runner, made),
    }


def warmed_student(runner: StepRunner, student: Artifact) -> Artifact | None:
    """Return what a student's rounds of MOPD began with, if a warm-up made it; None without one.

    None too where its weights are no longer in the store.
    """
    model = student
    while (made := runner.records.read(model.record)).kind == "mopd":
        [before] = [each for each in made.inputs if each.role == "student"]
        model = Artifact(kind="checkpoint", digest=before.artifact, record=before.record)
    return model if made.kind == WARM_UP and runner.store.has(model.digest) else None


def _interval(card: Scorecard, domain: str, other: str) -> dict[str, float]:
    found = card.paired[domain][other]
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def _merged(runner: StepRunner, seed: int) -> tuple[Plan, Student]:
    entry = Registry(runner.store).resolve(f"student.{student_name(seed)}@latest")
    manifest = Artifact(kind="student", digest=entry.digest, record=entry.record)
    return plan_of(runner, manifest), read_manifest(runner.store, entry.digest, Student)


def _trained(runner: StepRunner, plan: Plan, seed: int, steps_per_teacher: int) -> Artifact:
    """Return the fork point after SFT on every teacher's answers: the warm-up stage, long."""
    assert plan.artifact is not None
    verdicts = [
        TeacherVerdict(
            name=teacher.name, domain=teacher.domain, verdict=Verdict.FITS, done=Remedy.WARM_UP
        )
        for teacher in plan.teachers
    ]
    gated = Gated(plan=plan, report=plan.artifact, teachers=verdicts)
    settings = WarmUpSettings(
        prompts_per_teacher=OFF_POLICY_PROMPTS,
        steps_per_teacher=steps_per_teacher,
        most_cycles=1,
        batch_size=OFF_POLICY_BATCH,
        learning_rate=OFF_POLICY_RATE,
    )
    return warm_up_student(runner, gated, settings, SAMPLING, seed).student


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "climbed": climbed,
    "off-policy": off_policy,
    "scorecard": scorecard,
    "planted": questions,
}


def last_json(printed: str) -> dict[str, Any]:
    """Return the document that a command printed as its last line."""
    document: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return document
