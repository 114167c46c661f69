"""The one on-policy loop: draw prompts, play them, score, plan microbatches, update.

RLVR and MOPD differ in the objective that they pass in, and in nothing else.
Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.onpolicy.books import Books
from tasks.onpolicy.health import Health
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.objective import Objective
from tasks.resume import States
from tasks.rollout.collect import Rollout


class RolloutSource(Protocol):
    """Plays a step's rollouts with the policy as it is now."""

    def rollouts(self, step: int) -> list[Rollout]:
        """Return the graded rollouts of a step, repeatable from the step's number."""


@dataclass(frozen=True)
class Hooks:
    """What the loop tells the outside world; pass a list's ``append`` in a test."""

    metrics: Callable[[int, Mapping[str, float]], None]
    """Step and its metrics; a teacher's are named ``kl/<teacher>`` and so on."""
    rung: Callable[[int], None]
    """The policy has reached a rung: save it."""


@dataclass(frozen=True)
class Keepers:
    """Who watches a run: each is optional, and none changes what is learned."""

    books: Books | None = None
    """Write the ledger."""
    states: States | None = None
    """The run goes on from the last state, and puts new ones away on its way."""
    health: Health | None = None
    """Stops a run that would ruin the student."""


def train(
    learner: Learner,
    objective: Objective,
    source: RolloutSource,
    hooks: Hooks,
    keepers: Keepers | None = None,
) -> None:
    """Run the loop to its end; the learner's model is the result."""
    kept = keepers or Keepers()
    rungs, last = learner.settings.rung_steps(), learner.settings.num_steps
    done = kept.states.restore() if kept.states is not None else 0
    for step in range(done + 1, last + 1):
        rollouts = source.rollouts(step)
        metrics = learner.update(objective, objective.score(rollouts), step, kept.books)
        if kept.health is not None:
            metrics |= kept.health.check(step, rollouts, metrics)
        hooks.metrics(step, {**rollout_metrics(rollouts), **metrics})
        if step in rungs:
            hooks.rung(step)
        if kept.states is not None and step < last:
            kept.states.save_if_due(step)


def rollout_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return reward, length and truncation rate, over all rollouts and by domain."""
    domains = sorted({rollout.domain for rollout in rollouts})
    metrics = _rollout_means(rollouts, "")
    if len(domains) > 1:
        for domain in domains:
            chosen = [rollout for rollout in rollouts if rollout.domain == domain]
            metrics |= _rollout_means(chosen, f"/{domain}")
    return metrics


def _rollout_means(rollouts: Sequence[Rollout], suffix: str) -> dict[str, float]:
    count = len(rollouts)
    return {
        f"reward{suffix}": sum(rollout.grade.score for rollout in rollouts) / count,
        f"response_tokens{suffix}": sum(r.num_response_tokens for r in rollouts) / count,
        f"truncated{suffix}": sum(rollout.truncated for rollout in rollouts) / count,
    }
