"""The one on-policy loop: draw prompts, sample rollouts, score, plan microbatches, update.

RLVR and MOPD differ only in the objective that they pass in. Shapes: N response tokens of a
microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.objective import Objective
from tasks.onpolicy.run_monitor import RunMonitor
from tasks.platform.resume import States
from tasks.rollout.collect import Rollout


class RolloutSource(Protocol):
    """Samples a step's rollouts with the current policy."""

    def rollouts(self, step: int) -> list[Rollout]:
        """Return the graded rollouts of a step, reproducible from the step's number."""


@dataclass(frozen=True)
class LoopCallbacks:
    """Callbacks of the loop."""

    metrics: Callable[[int, Mapping[str, float]], None]
    """Called with a step and its metrics; those of a teacher are named ``kl/<teacher>``."""
    rung: Callable[[int], None]
    """Called with a step after which the policy is saved as a rung."""


class BeginsAhead(Protocol):
    """Samples rollouts while the loop trains."""

    def begin(self, step: int) -> None:
        """Begin to sample the rollouts of a step with the current policy. Collective."""


@dataclass(frozen=True)
class LoopObservers:
    """Optional observers of a run. None of them changes the training, except ``ahead``."""

    recorder: LedgerRecorder | None = None
    """Writes the ledger."""
    checkpoints: States | None = None
    """Resumes the run from its last training state, and saves new ones."""
    monitor: RunMonitor | None = None
    """Stops a run that would ruin the student."""
    ahead: BeginsAhead | None = None
    """Begins each step's rollouts before the step before it trains, so they are one step stale."""


def train(
    learner: Learner,
    objective: Objective,
    source: RolloutSource,
    callbacks: LoopCallbacks,
    observers: LoopObservers | None = None,
) -> None:
    """Run the loop to its end; the learner's model is the result."""
    observers = observers or LoopObservers()
    rungs, last = learner.settings.rung_steps(), learner.settings.num_steps
    done = observers.checkpoints.restore() if observers.checkpoints is not None else 0
    for step in range(done + 1, last + 1):
        rollouts = source.rollouts(step)
        if observers.ahead is not None and step < last:
            observers.ahead.begin(step + 1)
        metrics = learner.update(objective, objective.score(rollouts), step, observers.recorder)
        if observers.monitor is not None:
            metrics |= observers.monitor.check(step, rollouts, metrics)
        if observers.ahead is not None:
            metrics["staleness"] = _mean_staleness(rollouts)
        callbacks.metrics(step, {**rollout_metrics(rollouts), **metrics})
        if step in rungs:
            callbacks.rung(step)
        if observers.checkpoints is not None and step < last:
            observers.checkpoints.save_if_due(step)


def rollout_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return reward, length and truncation rate, over all rollouts and by domain."""
    domains = sorted({rollout.domain for rollout in rollouts})
    metrics = _rollout_means(rollouts, "")
    if len(domains) > 1:
        for domain in domains:
            chosen = [rollout for rollout in rollouts if rollout.domain == domain]
            metrics |= _rollout_means(chosen, f"/{domain}")
    return metrics


def _mean_staleness(rollouts: Sequence[Rollout]) -> float:
    """Return the mean over response tokens, in updates."""
    tokens = sum(rollout.num_response_tokens for rollout in rollouts)
    stale = sum(rollout.staleness * rollout.num_response_tokens for rollout in rollouts)
    return stale / max(1, tokens)


def _rollout_means(rollouts: Sequence[Rollout], suffix: str) -> dict[str, float]:
    count = len(rollouts)
    return {
        f"reward{suffix}": sum(rollout.grade.score for rollout in rollouts) / count,
        f"response_tokens{suffix}": sum(r.num_response_tokens for r in rollouts) / count,
        f"truncated{suffix}": sum(rollout.truncated for rollout in rollouts) / count,
    }
