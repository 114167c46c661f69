"""Orders of runs, as one task hands them to another. No torch: workflows import them."""

from lineage.artifacts import Artifact
from tasks.handover import Frozen, Plan
from tasks.mopd.settings import RoundSettings


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
