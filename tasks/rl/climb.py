"""A climb: reinforcement learning from the supervised checkpoint, on the team's own domain."""

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain
from tasks.platform.step_runner import StepRunner
from tasks.rl.reinforce import reinforce
from tasks.rl.settings import RlSettings


def climb(
    runner: StepRunner, start: Artifact, domain: Domain, settings: RlSettings, seed: int
) -> list[Rung]:
    """Return the ladder of the climb, the finished teacher last; found, or else made."""
    return reinforce(runner, start, [domain.training], settings, seed, {})
