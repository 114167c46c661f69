"""Flyte task of a climb."""

from lineage.artifacts import Artifact, Rung
from tasks.handover import Domain
from tasks.hosting import hosted
from tasks.resources import Stage
from tasks.rl.settings import RlSettings


@hosted(Stage.CLIMB)
def climb(start: Artifact, domain: Domain, settings: RlSettings, seed: int) -> list[Rung]:
    """Climb from the supervised checkpoint by RL with verifiable rewards; return the ladder."""
    from tasks.rl import climb as step
    from tasks.step import Bench

    return step.climb(Bench(), start, domain, settings, seed)
