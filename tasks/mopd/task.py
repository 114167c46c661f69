"""Flyte tasks of MOPD: the launch form becomes settings, rounds are run, a failure is recorded."""

from flytekit.types.error import FlyteError

from lineage.artifacts import Artifact
from tasks.handover import Plan
from tasks.hosting import hosted
from tasks.ledger.settings import StoredPrecision
from tasks.mopd.form import RoundForm
from tasks.mopd.orders import Retrain
from tasks.mopd.settings import Balance, Divergence, RoundSettings
from tasks.onpolicy.settings import Normalisation, Precision
from tasks.resources import Stage


@hosted(Stage.PLAN)
def round_settings(  # noqa: PLR0913, PLR0917 - one for each input of the launch form
    balance: Balance,
    balance_weights: dict[str, float],
    divergence: Divergence,
    divergence_top_k: int,
    inner_updates: int,
    ladder_stages: int,
    learning_rate: float,
    ledger_displacements: bool,  # noqa: FBT001 - a switch of the launch form
    ledger_precision: StoredPrecision,
    mopd_steps: int,
    normalisation: Normalisation,
    outcome_weight: float,
    prompts_per_domain: int,
    rollouts_per_prompt: int,
    student_adapter_rank: int,
    student_precision: Precision,
) -> RoundSettings:
    """Turn the flat inputs of the launch form into checked, frozen settings."""
    form = RoundForm.model_validate(locals())  # at the first line there is nothing but the inputs
    return form.settings()


@hosted(Stage.MOPD_ROUND)
def distil_rounds(plan: Plan, settings: RoundSettings, rounds: int, seed: int) -> Artifact:
    """Distil the planned teachers into the student on its own rollouts, round after round."""
    from tasks.mopd import rounds as step
    from tasks.step import Bench

    return step.distil_rounds(Bench(), plan, settings, rounds, seed)


@hosted(Stage.RELEASE)
def record_failure(
    plan: Plan,
    settings: RoundSettings,
    rounds: int,
    seed: int,
    publish_as: str,
    err: FlyteError | None = None,
) -> None:
    """Record that a consolidation failed after its plan: why, and what it had made."""
    from tasks.mopd import failure as step
    from tasks.step import Bench

    attempt = step.Attempt(plan, settings, rounds, seed, publish_as)
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
