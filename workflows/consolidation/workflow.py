"""Collect released teachers, check that they fit, distil, evaluate beside controls, publish."""

from typing import NamedTuple

from flytekit import workflow

from lineage.artifacts import Artifact
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.task import make_report, score_consolidation
from tasks.gate.task import make_plan
from tasks.merge.settings import MergeSettings
from tasks.merge.task import merge_average, merge_task_arithmetic
from tasks.mopd.settings import Divergence
from tasks.mopd.task import distil_round, round_settings
from tasks.release.task import publish_student

TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]


class Consolidated(NamedTuple):
    """What a consolidation leaves behind."""

    student: Artifact
    """The published manifest."""
    report: Artifact
    """A folder with the page, the picture and the numbers."""


@workflow
def consolidate(
    teachers: list[str] = TEACHERS,
    student: str = "fork-point@released",
    divergence: Divergence = Divergence.FULL_VOCABULARY,
    mopd_steps: int = 120,
    learning_rate: float = 3e-4,
    outcome_weight: float = 0.0,
    seed: int = 0,
    publish_as: str = "general",
) -> Consolidated:
    """Merge released teachers into one student by multi-teacher on-policy distillation.

    Args:
        teachers: Registered teachers, such as math@released or math@7.
        student: The registered checkpoint that the student starts from.
        divergence: Exact reverse KL over the vocabulary, or the sampled-token policy gradient.
        mopd_steps: Optimizer steps.
        learning_rate: Of AdamW, after warm-up.
        outcome_weight: Weight of the outcome advantage in the sum; 0 distils alone.
        seed: Of prompts and sampling.
        publish_as: The student is registered under student.<this name>.
    """
    settings = round_settings(
        divergence=divergence,
        num_steps=mopd_steps,
        learning_rate=learning_rate,
        outcome_weight=outcome_weight,
    )
    plan = make_plan(teachers=teachers, student=student)
    distilled = distil_round(plan=plan, settings=settings, seed=seed)
    average = merge_average(plan=plan)
    arithmetic = merge_task_arithmetic(plan=plan, settings=MergeSettings())
    scorecard = score_consolidation(
        plan=plan,
        student=distilled,
        parameter_average=average,
        task_arithmetic=arithmetic,
        settings=EvaluationSettings(),
    )
    published = publish_student(
        plan=plan,
        student=distilled,
        scorecard=scorecard,
        parameter_average=average,
        task_arithmetic=arithmetic,
        name=publish_as,
    )
    page = make_report(plan=plan, student=published, settings=EvaluationSettings())
    return Consolidated(published, page)
