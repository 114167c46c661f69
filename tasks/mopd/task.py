"""Flyte tasks of MOPD: the launch form becomes settings, rounds are run, a failure is recorded."""

from functools import partial
from typing import NamedTuple

from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact
from tasks.handover import Gated, OnMisfit, Plan
from tasks.hosting import hosted, show
from tasks.mopd.launch_spec import LaunchSpec, launch_spec
from tasks.mopd.round_form import ConsolidationSpec, RecomputeSpec, RetrainSpec
from tasks.mopd.settings import Divergence, RoundSettings
from tasks.resources import Stage


class Rehearsed(NamedTuple):
    """What a rehearsal leaves behind."""

    summary: str
    """What was made, and that it was not measured."""
    student: Artifact
    """Its weights."""


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
    """Distil the planned teachers into the student on its own rollouts, round after round.

    The Deck shows the curves of each teacher while it runs, and of a run that fails as far as it
    came.
    """
    from tasks.live_page import drawn_live
    from tasks.mopd import round as step
    from tasks.mopd.training_page import rounds_page
    from tasks.step_runner import StepRunner

    with drawn_live(rounds_page, partial(show, "training")):
        return step.distil_rounds(StepRunner(), plan, settings, rounds, seed)


@hosted(Stage.RELEASE)
def record_failure(gated: Gated, spec: ConsolidationSpec, err: FlyteError | None = None) -> None:
    """Record that a consolidation failed after its plan: why, and what it had made."""
    from tasks.failing import from_console
    from tasks.mopd import round as step
    from tasks.step_runner import StepRunner

    error = from_console(err.message if err else "")
    step.record_failure(StepRunner(), gated.plan, spec, error)


@hosted(Stage.PLAN)
def plan_retrains(student: str, num_seeds: int, num_subsets: int) -> list[RetrainSpec]:
    """Plan a student's round again, without each of its teachers; no seed plans nothing."""
    from tasks.mopd.counterfactual import retrain as step
    from tasks.step_runner import StepRunner

    return step.plan_retrains(StepRunner(), student, num_seeds, num_subsets)


@hosted(Stage.MOPD_ROUND)
def retrain(spec: RetrainSpec) -> Artifact:
    """Run a student's round again with teachers masked and all else the same."""
    from tasks.mopd.counterfactual import retrain as step
    from tasks.step_runner import StepRunner

    return step.retrain(StepRunner(), spec)


@hosted(Stage.PLAN)
def plan_replay(student: str, wanted: bool) -> list[RecomputeSpec]:  # noqa: FBT001 - as of the launch form
    """Plan a student's round again from its kept rollouts, where its ledger has no split."""
    from tasks.mopd.counterfactual import recompute as step
    from tasks.step_runner import StepRunner

    return step.plan_replay(StepRunner(), student, wanted=wanted)


@hosted(Stage.AUDIT)
def replay_round(spec: RecomputeSpec) -> Artifact:
    """Make displacements that a round did not write from the rollouts that its ledger kept."""
    from tasks.mopd.counterfactual import recompute as step
    from tasks.step_runner import StepRunner

    return step.replay_round(StepRunner(), spec)


@hosted(Stage.AUDIT)
def rehearse_round(student: str, without: list[str]) -> Rehearsed:
    """Make a student's round again without some teachers, from the rollouts its ledger kept."""
    from lineage.summary import summary_of, text_of
    from tasks.mopd.counterfactual import recompute as step
    from tasks.step_runner import StepRunner

    runner = StepRunner()
    made = step.rehearse_round(runner, student, without)
    return Rehearsed(text_of(summary_of(runner.store, made.digest)), made)
