"""Flyte task of a MOPD round."""

from lineage.artifacts import Artifact
from tasks.handover import Plan
from tasks.hosting import hosted
from tasks.mopd.settings import DistilSettings, Divergence, RoundSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.resources import Stage


@hosted(Stage.PLAN)
def round_settings(
    divergence: Divergence, num_steps: int, learning_rate: float, outcome_weight: float
) -> RoundSettings:
    """Turn the flat inputs of the launch form into checked, frozen settings."""
    return RoundSettings(
        loop=LoopSettings(num_steps=num_steps, learning_rate=learning_rate),
        distil=DistilSettings(divergence=divergence, outcome_weight=outcome_weight),
        rollouts_per_prompt=4 if outcome_weight > 0 else 1,
    )


@hosted(Stage.MOPD_ROUND)
def distil_round(plan: Plan, settings: RoundSettings, seed: int) -> Artifact:
    """Distil the planned teachers into the student on its own rollouts."""
    from tasks.mopd import round as step
    from tasks.step import Bench

    return step.distil_round(Bench(), plan, settings, seed)
