"""Flyte tasks that belong to no step: a recipe's numbers, and its consolidation without people."""

from typing import NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain, Gated, GateOrder, OnMisfit
from tasks.contracts.scale import Scale
from tasks.evaluate.settings import EvaluationSettings
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Divergence
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.recipe.mopd_form import recipe_launch
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.settings import numbers_at as row_at
from tasks.rollout.settings import SamplingSettings


class LaunchInputs(NamedTuple):
    """The inputs of the launch form, one for each of its fields."""

    divergence: Divergence
    learning_rate: float
    mopd_steps: int
    on_misfit: OnMisfit
    publish_as: str
    rounds: int
    seed: int
    settings: list[str]
    student: str
    teachers: list[str]
    waivers: list[str]


@hosted(Stage.PLAN)
def numbers_at(scale: Scale, rows: list[RecipeNumbers]) -> RecipeNumbers:
    """Return the numbers of a recipe at a scale."""
    return row_at(scale, rows)


@hosted(Stage.PLAN)
def finished_policy(ladder: list[Rung]) -> Artifact:
    """Return the last checkpoint of a ladder."""
    return ladder[-1].checkpoint


@hosted(Stage.PLAN)
def late_policy(ladder: list[Rung], before: int) -> Artifact:
    """Return the checkpoint ``before`` rungs before a ladder's last, at most its first."""
    return ladder[max(-1 - before, -len(ladder))].checkpoint


@hosted(Stage.PLAN)
def evaluation_with(sampling: SamplingSettings) -> EvaluationSettings:
    """Return the settings of evaluations with a recipe's sampling."""
    return EvaluationSettings(sampling=sampling)


@hosted(Stage.PLAN)
def without_climb(checkpoint: Artifact) -> list[Rung]:
    """Return the ladder of a checkpoint that did not climb: itself."""
    return [Rung(step=0, checkpoint=checkpoint)]


@hosted(Stage.RELEASE)
def release_start(start: Artifact, domain: Domain, scorecard: Artifact) -> Artifact:
    """Release a domain without an expert: the student's start teaches it."""
    from tasks.platform.step_runner import StepRunner
    from tasks.recipe import own_release as step

    return step.release_start(StepRunner(), start, domain, scorecard)


@hosted(Stage.PLAN)
def launch_inputs(  # noqa: PLR0913, PLR0917 - inputs of a task have no defaults to hide in
    system: str,
    round_form: RoundForm,
    gate: GateOrder,
    start: Artifact,
    start_name: str,
    teachers: list[Artifact],
    own: list[Artifact],
    seed: int,
) -> LaunchInputs:
    """Fill in the launch form of a recipe's consolidation; the start itself teaches ``own``."""
    from tasks.platform.step_runner import StepRunner
    from tasks.recipe.references import reference_to

    references = [release.digest for release in teachers]
    references += [f"{release.digest}=self" for release in own]
    student = reference_to(StepRunner(), start_name, start)
    form = recipe_launch(system, round_form, gate, student, references, seed)
    return LaunchInputs(**{name: getattr(form, name) for name in LaunchInputs._fields})


@hosted(Stage.GATE_PROBE)
def accept_findings(
    teachers: list[str],
    student: str,
    order: GateOrder,
    sampling: SamplingSettings,
    ladder_stages: int,
    system: str,
) -> list[str]:
    """Sign a waiver of the findings that would refuse a recipe's plan; return its digest."""
    from tasks.platform.step_runner import StepRunner
    from tasks.recipe import acceptance as step

    inputs = step.GateInputs(order, sampling, ladder_stages)
    return step.accept_findings(StepRunner(), teachers, student, inputs, system)


@hosted(Stage.RELEASE)
def approve_automatically(gated: Gated, system: str) -> Gated:
    """Record that a recipe approved its plan, and no person."""
    from tasks.platform.step_runner import StepRunner
    from tasks.recipe import acceptance as step

    return step.approve_automatically(StepRunner(), gated, system)


@hosted(Stage.PLAN)
def consolidated_checkpoint(student: Artifact) -> Artifact:
    """Return the checkpoint of a published student."""
    from lineage.artifacts import Student, read_manifest
    from tasks.platform.step_runner import StepRunner

    return read_manifest(StepRunner().store, student.digest, Student).checkpoint
