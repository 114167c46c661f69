"""Flyte tasks of MOPD: the launch form becomes settings, rounds are run, a failure is recorded."""

from typing import NamedTuple

from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact
from tasks.handover import Gated, Plan
from tasks.hosting import hosted, show
from tasks.inputs import told_by_name
from tasks.ledger.settings import StoredPrecision
from tasks.mopd.form import INPUTS, RoundForm
from tasks.mopd.orders import Replay, Retrain
from tasks.mopd.settings import Balance, Divergence, RoundSettings
from tasks.onpolicy.settings import Normalisation, Precision
from tasks.onpolicy.workload import Workload
from tasks.resources import Stage
from tasks.rollout.settings import SamplingSettings


class Ordered(NamedTuple):
    """What the launch form asks for."""

    settings: RoundSettings
    workload: Workload
    sampling: SamplingSettings
    """For all that is sampled around the rounds: the gate, the warm-up, the scores."""
    recipe: str
    """What makes outcomes comparable, as ``RoundForm.recipe`` has it."""


@hosted(Stage.PLAN)
def round_settings(  # noqa: PLR0913, PLR0917 - one for each input of the launch form
    balance: Balance,
    balance_weights: dict[str, float],
    delta_teachers: list[str],
    divergence: Divergence,
    divergence_top_k: int,
    inner_updates: int,
    ladder_stages: int,
    learning_rate: float,
    ledger_displacements: bool,  # noqa: FBT001 - a switch of the launch form
    ledger_precision: StoredPrecision,
    max_new_tokens: int,
    mopd_steps: int,
    more_settings: dict[str, str],
    normalisation: Normalisation,
    outcome_weight: float,
    prompts_per_domain: int,
    reference_weight: float,
    rollouts_per_prompt: int,
    rounds: int,
    seed: int,
    student_adapter_rank: int,
    student_precision: Precision,
) -> Ordered:
    """Turn the flat inputs of the launch form into checked, frozen settings."""
    inputs = locals()  # at the first line there is nothing else
    own = {name: name for name in inputs}
    with told_by_name({**INPUTS, **own}, rest="more_settings"):
        form = RoundForm.model_validate(inputs)
        return Ordered(form.settings(), form.workload(), form.sampling(), form.recipe())


@hosted(Stage.MOPD_ROUND, deck=True)
def distil_rounds(plan: Plan, settings: RoundSettings, rounds: int, seed: int) -> Artifact:
    """Distil the planned teachers into the student on its own rollouts, round after round.

    The Deck shows the curves of each teacher, of a run that fails as far as it came.
    """
    from tasks.mopd import rounds as step
    from tasks.mopd.training_page import training_page
    from tasks.step import Bench, measured_here

    bench = Bench()
    with measured_here() as measurements:
        try:
            return step.distil_rounds(bench, plan, settings, rounds, seed)
        finally:
            show("training", training_page([each.rows for each in measurements]))


@hosted(Stage.RELEASE)
def record_failure(  # noqa: PLR0913, PLR0917 - a handler takes what its workflow takes
    gated: Gated,
    settings: RoundSettings,
    sampling: SamplingSettings,
    rounds: int,
    seed: int,
    publish_as: str,
    err: FlyteError | None = None,
) -> None:
    """Record that a consolidation failed after its plan: why, and what it had made."""
    from tasks.mopd import failure as step
    from tasks.step import Bench

    attempt = step.Attempt(gated.plan, settings, rounds, seed, publish_as)
    step.record_failure(Bench(), attempt, err.message if err else "")


@hosted(Stage.PLAN)
def plan_retrains(student: str, num_seeds: int, num_subsets: int) -> list[Retrain]:
    """Plan a student's round again, without each of its teachers; no seed plans nothing."""
    from tasks.mopd import retrain as step
    from tasks.step import Bench

    return step.plan_retrains(Bench(), student, num_seeds, num_subsets)


@hosted(Stage.MOPD_ROUND)
def retrain(order: Retrain) -> Artifact:
    """Run a student's round again with teachers masked and all else the same."""
    from tasks.mopd import retrain as step
    from tasks.step import Bench

    return step.retrain(Bench(), order)


@hosted(Stage.PLAN)
def plan_replay(student: str, wanted: bool) -> list[Replay]:  # noqa: FBT001 - as of the launch form
    """Plan a student's round again from its kept rollouts, where its ledger has no split."""
    from tasks.mopd import replay as step
    from tasks.step import Bench

    return step.plan_replay(Bench(), student, wanted=wanted)


@hosted(Stage.AUDIT)
def replay_round(order: Replay) -> Artifact:
    """Make displacements that a round did not write from the rollouts that its ledger kept."""
    from tasks.mopd import replay as step
    from tasks.step import Bench

    return step.replay_round(Bench(), order)


@hosted(Stage.AUDIT)
def rehearse_round(student: str, without: list[str]) -> Artifact:
    """Make a student's round again without some teachers, from the rollouts its ledger kept."""
    from tasks.mopd import rehearse as step
    from tasks.step import Bench

    return step.rehearse_round(Bench(), student, without)
