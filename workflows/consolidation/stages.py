"""The stages of a consolidation: prepare, (approve,) carry out. They are wired, not computed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from flytekit import approve, map_task, workflow

from lineage.artifacts import Artifact
from tasks.contracts.controls import TrainedControl
from tasks.contracts.handover import Gated, Plan
from tasks.controls.task import plan_arms, plan_off_policy, train_arm, train_off_policy
from tasks.evaluate.task import consider_release, make_report, score_consolidation
from tasks.gate.task import (
    compare_with_outcome,
    make_plan,
    measure_remedies,
    measure_teachers,
    record_approval,
)
from tasks.merge.task import merge_controls
from tasks.mopd.round_form import ConsolidationSpec
from tasks.mopd.task import distil_rounds, record_failure, round_settings
from tasks.platform.resources import Stage
from tasks.release.task import publish_student
from tasks.sft.task import warm_up_student
from workflows.graph import attempted, named

REVIEW = "review-the-plan"
"""The node that waits for a person, and its signal."""
REVIEW_WITHIN = timedelta(days=7)


class Consolidated(NamedTuple):
    """What a consolidation leaves behind."""

    summary: str
    """Name and version, verdict, scores beside what they are compared with, where everything is."""
    student: Artifact
    """The published manifest."""
    report: Artifact
    """A folder with the page, the picture and the numbers."""


def prepare(inputs: Mapping[str, Any], *, reviewed: bool) -> dict[str, Any]:
    """Wire what costs little: settings, names and records are checked, teachers are measured.

    ``inputs`` are those of ``LaunchForm``; a plan that is to be ``reviewed`` says so. Returns the
    inputs of ``carry_out``.
    """
    launch = named("check-form", round_settings(**inputs))
    plan = make_plan(
        teachers=inputs["teachers"],
        student=inputs["student"],
        publish_as=inputs["publish_as"],
        waivers=inputs["waivers"],
        workload=launch.workload,
        order=launch.gate,
        sampling=launch.spec.sampling,
        ladder_stages=launch.ladder_stages,
        launched=launch.launched,
        conditions=launch.spec.conditions,
    )
    gated = measure_teachers(
        plan=named("plan", plan),
        on_misfit=inputs["on_misfit"],
        waivers=inputs["waivers"],
        order=launch.gate,
        sampling=launch.spec.sampling,  # a promise of a part serves one task
        ladder_stages=launch.ladder_stages,
        workload=launch.workload,
        launched=launch.launched,
        conditions=launch.spec.conditions,
        recipe=launch.recipe,
        reviewed=reviewed,
    )
    return {"gated": named("gate", gated), "spec": launch.spec}


def approved(prepared: Mapping[str, Any]) -> dict[str, Any]:
    """Wire the approval: all that follows takes the plan that came through it.

    It is outside any branch, because an approval inside a branch hangs in Flyte's console.
    """
    gated = named(REVIEW, approve(prepared["gated"], REVIEW, timeout=REVIEW_WITHIN))
    return {**prepared, "gated": named("record-approval", record_approval(gated=gated))}


@workflow(on_failure=record_failure)
def carry_out(gated: Gated, spec: ConsolidationSpec) -> Consolidated:
    """Remedy, distil, merge the cheap controls, score all of them, publish, release, report."""
    start = warm_up_student(
        gated=gated, settings=spec.warm_up, sampling=spec.sampling, seed=spec.seed
    )
    remedied = measure_remedies(
        gated=gated, plan=named("warm-up", start), sampling=spec.sampling, seed=spec.seed
    )
    plan = named("remedies", remedied)
    student = distil_rounds(plan=plan, settings=spec.settings, rounds=spec.rounds, seed=spec.seed)
    named("mopd", student)
    merged = merge_controls(plan=plan, order=spec.controls, sampling=spec.sampling)
    off_policy, arms = train_controls(plan, student, spec)
    scorecard = score_consolidation(
        plan=plan,
        student=student,
        merged=named("merges", merged),
        off_policy=off_policy,
        arms=arms,
        sampling=spec.sampling,
    )
    scored = named("score", scorecard)
    published = publish_student(gated=gated, scorecard=scored, name=spec.publish_as)
    student = named("publish", published)
    named("compare-with-gate", compare_with_outcome(student=student))
    considered = consider_release(student=student, name=spec.publish_as, conditions=spec.conditions)
    named("release", considered)
    reported = named("report", make_report(student=student))
    return Consolidated(reported.summary, student, reported.report)


def train_controls(
    plan: Plan, student: Artifact, spec: ConsolidationSpec
) -> tuple[list[TrainedControl], list[TrainedControl]]:
    """Wire the controls that are trained: a map over those by SFT, then one over the others."""
    planned = plan_off_policy(plan=plan, student=student, spec=spec)
    made = map_task(train_off_policy)(spec=named("plan-off-policy", planned))
    off_policy = attempted(Stage.SFT, named("off-policy", made))
    others = plan_arms(plan=plan, student=student, spec=spec, off_policy=off_policy)
    trained = map_task(train_arm)(spec=named("plan-arms", others))
    return off_policy, attempted(Stage.MOPD_ROUND, named("arms", trained))


def as_node(made: Consolidated) -> Consolidated:
    """Name the node that carries out, as a part of a workflow."""
    named("carry-out", made.summary)
    return made
