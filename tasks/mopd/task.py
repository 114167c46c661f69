"""Flyte tasks of MOPD: the launch form becomes settings, rounds are run, a failure is recorded."""

from functools import partial
from typing import NamedTuple

from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact
from tasks.contracts.handover import Gated, OnMisfit, Plan
from tasks.mopd.launch_form import LaunchForm, LaunchSpec, launch_spec
from tasks.mopd.round_form import ConsolidationSpec, RecomputeSpec, RetrainSpec
from tasks.mopd.settings import Divergence, RoundSettings
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage


class Rehearsed(NamedTuple):
    """The results of a rehearsal."""

    summary: str
    """Summary of the checkpoint; it says that the student was not measured."""
    student: Artifact
    """Checkpoint of the student."""


@hosted(Stage.PLAN)
def round_settings(  # noqa: PLR0913, PLR0917 - one for each input of the launch form
    divergence: Divergence,
    learning_rate: float,
    mopd_steps: int,
    on_misfit: OnMisfit,
    publish_as: str,
    rounds: int,
    seed: int,
    settings: list[str],
    student: str,
    teachers: list[str],
    waivers: list[str],
) -> LaunchSpec:
    """Check what the launch form asks for, and freeze it."""
    return launch_spec(locals())  # at the first line there is nothing else


@hosted(Stage.MOPD_ROUND, deck=True)
def distil_rounds(plan: Plan, settings: RoundSettings, rounds: int, seed: int) -> Artifact:
    """Distil the planned teachers into the student on its own rollouts, in one or more rounds.

    The Deck shows each teacher's curves during the run, and up to the failure of a failed run.
    """
    from tasks.mopd import round as step
    from tasks.mopd.training_page import rounds_page
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live

    with drawn_live(rounds_page, partial(show, "training")):
        return step.distil_rounds(StepRunner(), plan, settings, rounds, seed)


@hosted(Stage.RELEASE)
def record_failure(gated: Gated, spec: ConsolidationSpec, err: FlyteError | None = None) -> None:
    """Record why a consolidation failed after its plan, and what it had computed until then."""
    from tasks.mopd import failed as step
    from tasks.platform.console_errors import from_console
    from tasks.platform.step_runner import StepRunner

    error = from_console(err.message if err else "")
    step.record_failure(StepRunner(), gated.plan, spec, error)


@hosted(Stage.PLAN)
def record_end(  # noqa: PLR0913, PLR0917 - Flyte gives a failure node all inputs of its workflow
    divergence: Divergence,
    learning_rate: float,
    mopd_steps: int,
    on_misfit: OnMisfit,
    publish_as: str,
    rounds: int,
    seed: int,
    settings: list[str],
    student: str,
    teachers: list[str],
    waivers: list[str],
    err: FlyteError | None = None,
) -> None:
    """Record how a reviewed consolidation ended: its plan was rejected, or a pod was killed."""
    inputs = locals()  # at the first line there is nothing else
    from tasks.contracts import review as step
    from tasks.platform.console_errors import from_console
    from tasks.platform.step_runner import StepRunner

    del inputs["err"]
    form = LaunchForm.model_construct(**inputs).model_dump(mode="json")
    step.record_end(StepRunner(), from_console(err.message if err else ""), form)


@hosted(Stage.PLAN)
def plan_retrains(student: str, num_seeds: int, num_subsets: int) -> list[RetrainSpec]:
    """Plan retrains of a student's round without each of its teachers; none without seeds."""
    from tasks.mopd.counterfactual import retrain as step
    from tasks.platform.step_runner import StepRunner

    return step.plan_retrains(StepRunner(), student, num_seeds, num_subsets)


@hosted(Stage.MOPD_ROUND)
def retrain(spec: RetrainSpec) -> Artifact:
    """Repeat a student's round with teachers masked and everything else the same."""
    from tasks.mopd.counterfactual import retrain as step
    from tasks.platform.step_runner import StepRunner

    return step.retrain(StepRunner(), spec)


@hosted(Stage.PLAN)
def plan_replay(student: str, wanted: bool) -> list[RecomputeSpec]:  # noqa: FBT001 - as of the launch form
    """Plan a replay of a student's kept rollouts, if its ledger has no displacements."""
    from tasks.mopd.counterfactual import recompute as step
    from tasks.platform.step_runner import StepRunner

    return step.plan_replay(StepRunner(), student, wanted=wanted)


@hosted(Stage.AUDIT)
def replay_round(spec: RecomputeSpec) -> Artifact:
    """Compute the displacements that a ledger does not hold from its kept rollouts."""
    from tasks.mopd.counterfactual import recompute as step
    from tasks.platform.step_runner import StepRunner

    return step.replay_round(StepRunner(), spec)


@hosted(Stage.AUDIT)
def rehearse_round(student: str, without: list[str]) -> Rehearsed:
    """Repeat a student's round without some teachers, on the rollouts in its ledger."""
    from lineage.view.summary import summary_of, text_of
    from tasks.mopd.counterfactual import recompute as step
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    made = step.rehearse_round(runner, student, without)
    return Rehearsed(text_of(summary_of(runner.store, made.digest)), made)
