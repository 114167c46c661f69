"""Orders of runs, as one task hands them to another. No torch: workflows import them."""

from lineage.artifacts import Artifact
from tasks.handover import Frozen, Plan
from tasks.mopd.settings import RoundSettings
from tasks.rollout.settings import SamplingSettings


class Order(Frozen):
    """What a person asks of a consolidation, checked: all that its steps need besides the plan."""

    settings: RoundSettings
    sampling: SamplingSettings
    """For all that is sampled around the rounds: the gate, the warm-up, the scores."""
    rounds: int
    seed: int
    publish_as: str


class Retrain(Frozen):
    """One run of the counterfactual: a student's round again, with some teachers masked."""

    plan: Plan
    settings: RoundSettings
    seed: int
    place: int
    """From 1, of all that were planned together ..."""
    of: int
    """... so many; for who watches."""


class Replay(Frozen):
    """A student's updates made again from the rollouts that its ledger kept."""

    plan: Plan
    settings: RoundSettings
    seed: int
    student: Artifact
    ledger: Artifact
    """Of the round; it holds no displacements."""
