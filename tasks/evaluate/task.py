"""Flyte tasks of evaluation: scorecards and the report."""

from typing import NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.controls import TrainedControl, compared_controls, controls_left_out
from tasks.contracts.handover import Domain, Plan
from tasks.contracts.named import NamedArtifact, named
from tasks.contracts.scale import Scale
from tasks.evaluate.settings import EvaluationSettings, RecipeLabel
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage
from tasks.rollout.settings import SamplingSettings


@hosted(Stage.EVALUATION)
def score_teacher(
    fork_point: Artifact, ladder: list[Rung], domain: Domain, settings: EvaluationSettings
) -> Artifact:
    """Score the last rung of a climb beside its fork point, on held-out prompts."""
    from tasks.evaluate import cards
    from tasks.platform.step_runner import StepRunner

    return cards.score_teacher(StepRunner(), fork_point, ladder[-1].checkpoint, domain, settings)


@hosted(Stage.PLAN)
def recipe_label(system: str, scale: Scale, seed: int) -> RecipeLabel:
    """Return the label of a recipe's card."""
    return RecipeLabel(system=system, scale=scale, seed=seed)


@hosted(Stage.EVALUATION)
def score_recipe(
    label: RecipeLabel,
    stages: list[Artifact],
    names: list[str],
    domains: list[Domain],
    sampling: SamplingSettings,
    watched: list[Artifact],
) -> Artifact:
    """Score every stage of a recipe on every domain, with drift, forgetting and cost.

    The first of the stages is the base. ``watched`` are answers of the stages with the scores of
    reward models, and at most one text that all stages are measured on.
    """
    from tasks.evaluate import recipe_card
    from tasks.platform.step_runner import StepRunner
    from tasks.rollout.texts import TEXT

    base, *later = named(stages, names, "stages")
    scored = [item for item in watched if item.kind != TEXT]
    text = next((item for item in watched if item.kind == TEXT), None)
    return recipe_card.score_recipe(
        StepRunner(),
        label,
        recipe_card.RecipeModels(base.artifact, later, scored, text),
        domains,
        EvaluationSettings(sampling=sampling),
    )


@hosted(Stage.EVALUATION)
def score_consolidation(
    plan: Plan,
    student: Artifact,
    merged: list[NamedArtifact],
    off_policy: list[TrainedControl],
    arms: list[TrainedControl],
    sampling: SamplingSettings,
) -> Artifact:
    """Score fork point, teachers, student and controls on every domain's held-out prompts.

    The scorecard says why a control is missing that was wanted and could not be trained.
    """
    from tasks.evaluate import cards
    from tasks.platform.step_runner import StepRunner

    controls = compared_controls(merged, off_policy, arms)
    settings = EvaluationSettings(sampling=sampling)
    left_out = controls_left_out(off_policy, arms)
    return cards.score_consolidation(StepRunner(), plan, student, controls, settings, left_out)


class Reported(NamedTuple):
    """The results of a consolidation, for people."""

    summary: str
    """Name and version, verdict, scores, and where everything is."""
    report: Artifact
    """A folder with the page, the picture and the numbers."""


@hosted(Stage.RELEASE, deck=True)
def consider_release(student: Artifact, name: str, conditions: ReleaseConditions) -> list[str]:
    """Point released at a published student if its conditions hold; return the decision."""
    import sys

    from tasks.evaluate import consider as step
    from tasks.platform.step_runner import StepRunner

    considered = step.consider_release(StepRunner(), student, name, conditions)
    show("release", considered.page())
    sys.stderr.write("\n".join(["", *considered.lines(), ""]))
    return considered.lines()


@hosted(Stage.RELEASE, deck=True)
def make_report(student: Artifact) -> Reported:
    """Draw the report of a published student: page, picture and numbers."""
    from lineage.view.summary import summary_of, text_of
    from tasks.evaluate import publish
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    show("lineage", publish.lineage_page(runner, student))
    artifact = publish.make_report(runner, student)
    show("scorecard", (runner.store.tree(artifact.digest) / "report.html").read_text("utf-8"))
    return Reported(text_of(summary_of(runner.store, student.digest)), artifact)
