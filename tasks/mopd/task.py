"""Flyte tasks of MOPD: the launch form becomes settings, rounds are run, a failure is recorded."""

from functools import partial
from typing import NamedTuple

from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact
from lineage.launched import Launched
from tasks.handover import Gated, GateOrder, OnMisfit, Plan
from tasks.hosting import hosted, show
from tasks.inputs import told_by_name
from tasks.mopd.launch_form import MORE, LaunchForm
from tasks.mopd.round_form import INPUTS, ConsolidationSpec, RecomputeSpec, RetrainSpec
from tasks.mopd.settings import Divergence, RoundSettings
from tasks.onpolicy.workload import Workload
from tasks.resources import Stage


class LaunchSpec(NamedTuple):
    """What the launch form asks for."""

    spec: ConsolidationSpec
    gate: GateOrder
    workload: Workload
    ladder_stages: int
    launched: str
    """``Launched`` as JSON: Flyte has no type for the settings of a round."""
    recipe: str
    """What makes outcomes comparable, as ``RoundForm.recipe`` has it."""


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
    inputs = locals()  # at the first line there is nothing else
    names = {name: name for name in (*LaunchForm.model_fields, *MORE)}
    with told_by_name({**INPUTS, **names}, rest="settings"):
        form = LaunchForm.model_validate(inputs)
        round_form, gate = form.round(), form.gate()
        spec = ConsolidationSpec(
            settings=round_form.settings(),
            sampling=round_form.sampling(),
            rounds=round_form.rounds,
            seed=round_form.seed,
            publish_as=form.publish_as,
            conditions=form.conditions(),
        )
        launched = Launched(
            inputs=form.model_dump(mode="json"),
            preset=form.preset,
            round=spec.settings.model_dump(mode="json"),
            rounds=spec.rounds,
            seed=spec.seed,
        )
        return LaunchSpec(
            spec,
            gate,
            round_form.workload(),
            round_form.ladder_stages,
            launched.model_dump_json(),
            round_form.recipe(),
        )


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
