"""The mechanisms that a round's settings ask for, each with its duty."""

from collections.abc import Iterator

from tasks.mopd.settings import Balance, DistilSettings, Divergence
from tasks.onpolicy.mechanisms import Duty, Mechanism
from tasks.onpolicy.settings import LoopSettings


def configured(settings: DistilSettings, loop: LoopSettings) -> Iterator[Mechanism]:
    """Yield every mechanism that the settings ask for."""
    yield Mechanism(
        "importance",
        Duty.REST,
        "tasks.mopd.objectives",
        "The correction belongs to every run: report this as a fault",
    )
    if settings.divergence is Divergence.SAMPLED_TOKEN:
        yield Mechanism(
            "advantage_clip",
            Duty.REST,
            "tasks.mopd.objectives",
            "The clip belongs to the sampled form: report this as a fault",
        )
    if settings.divergence is Divergence.TOP_K:
        yield Mechanism(
            "top_k_correction",
            Duty.ACT,
            "tasks.mopd.objectives.top_k",
            "Lower top_k.k, so that something is cut off, or choose full_vocabulary",
        )
    if settings.balance.rule is not Balance.NONE:
        yield Mechanism(
            "balance",
            Duty.ACT,
            "tasks.mopd.balance",
            "Choose another balance, or none where the teachers are even already",
        )
    if loop.inner_updates > 1:
        yield Mechanism(
            "refresh",
            Duty.ACT,
            "tasks.mopd.distil",
            "Set inner_updates to 1, or raise the learning rate: the weights did not move between "
            "the updates of a step",
        )
    if settings.outcome_weight > 0:
        yield Mechanism(
            "outcome",
            Duty.ACT,
            "tasks.onpolicy.group_advantage",
            "Every group of rollouts was graded alike: use harder or easier prompts, raise "
            "rollouts_per_prompt, or set outcome_weight to 0",
        )
    if set(settings.delta_teachers) - set(settings.masked):
        yield Mechanism(
            "delta",
            Duty.ACT,
            "tasks.mopd.distil",
            "The student started as the precursor, so that the target is the teacher itself: leave "
            "delta_teachers empty",
        )
    if settings.reference_weight > 0:
        yield Mechanism(
            "reference",
            Duty.ACT,
            "tasks.mopd.distil",
            "The student does not move from where it started: raise the learning rate, or set "
            "reference_weight to 0",
        )
