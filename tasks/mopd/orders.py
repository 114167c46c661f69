"""Orders of runs, as one task hands them to another. No torch: workflows import them."""

from tasks.handover import Frozen, Plan
from tasks.mopd.settings import RoundSettings


class Retrain(Frozen):
    """One run of the counterfactual: a student's round again, with some teachers masked."""

    plan: Plan
    settings: RoundSettings
    seed: int
