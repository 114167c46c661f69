"""The stages of a consolidation: prepare, (approve,) carry out. They are wired, not computed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from flytekit import approve, workflow

from lineage.artifacts import Artifact
from tasks.evaluate.task import make_report, score_consolidation
from tasks.gate.task import compare_with_outcome, make_plan, measure_teachers
from tasks.handover import Gated
from tasks.merge.task import merge_average, merge_task_arithmetic
from tasks.mopd.form import RoundForm
from tasks.mopd.settings import RoundSettings
from tasks.mopd.task import distil_rounds, record_failure, round_settings
from tasks.release.task import publish_student
from tasks.rollout.settings import SamplingSettings
from tasks.sft.task import warm_up_student

REVIEW_WITHIN = timedelta(days=7)


class Consolidated(NamedTuple):
    """What a consolidation leaves behind."""

    student: Artifact
    """The published manifest."""
    report: Artifact
    """A folder with the page, the picture and the numbers."""


def prepare(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Wire what costs little: settings, names and records are checked, teachers are measured.

    ``inputs`` are the launch form's. Returns the inputs of ``carry_out``.
    """
    ordered = round_settings(**{name: inputs[name] for name in RoundForm.model_fields})
    plan = make_plan(
        teachers=inputs["teachers"],
        student=inputs["student"],
        workload=ordered.workload,
        refuse_from=inputs["refuse_findings_from"],
        waivers=inputs["waivers"],
        publish_as=inputs["publish_as"],
        sampling=ordered.sampling,
        gate_prompts_per_domain=inputs["gate_prompts_per_domain"],
        ladder_stages=inputs["ladder_stages"],
    )
    gated = measure_teachers(
        plan=plan,
        on_misfit=inputs["on_misfit"],
        refuse_from=inputs["refuse_findings_from"],
        waivers=inputs["waivers"],
        sampling=ordered.sampling,
        least_predicted=inputs["gate_least_predicted"],
        prompts_per_domain=inputs["gate_prompts_per_domain"],
        ladder_stages=inputs["ladder_stages"],
        recipe=ordered.recipe,
    )
    passed_on = {name: inputs[name] for name in ("rounds", "seed", "publish_as")}
    sampled = {"settings": ordered.settings, "sampling": ordered.sampling}
    return {"gated": gated, **sampled, **passed_on}


def approved(prepared: Mapping[str, Any]) -> dict[str, Any]:
    """Wire the approval: all that follows takes the plan that came through it.

    It stands in no branch: inside one it hangs in Flyte's console.
    """
    gated = approve(prepared["gated"], "review-the-plan", timeout=REVIEW_WITHIN)
    return {**prepared, "gated": gated}


@workflow(on_failure=record_failure)
def carry_out(
    gated: Gated,
    settings: RoundSettings,
    sampling: SamplingSettings,
    rounds: int,
    seed: int,
    publish_as: str,
) -> Consolidated:
    """Remedy, distil, merge the cheap controls, score all of them, publish, report."""
    plan = warm_up_student(gated=gated, sampling=sampling, seed=seed)
    distilled = distil_rounds(plan=plan, settings=settings, rounds=rounds, seed=seed)
    average = merge_average(plan=plan)
    arithmetic = merge_task_arithmetic(plan=plan, sampling=sampling)
    scorecard = score_consolidation(
        plan=plan,
        student=distilled,
        parameter_average=average,
        task_arithmetic=arithmetic,
        sampling=sampling,
    )
    compare_with_outcome(gated=gated, scorecard=scorecard)
    published = publish_student(
        plan=plan,
        student=distilled,
        scorecard=scorecard,
        parameter_average=average,
        task_arithmetic=arithmetic,
        name=publish_as,
    )
    page = make_report(plan=plan, student=published, sampling=sampling)
    return Consolidated(published, page)
