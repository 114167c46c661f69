"""The one on-policy loop: draw prompts, play them, score, plan microbatches, update.

RLVR and MOPD differ in the objective that they pass in, and in nothing else.
Shapes: N response tokens of a microbatch.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedModel

from tasks.model.log_probs import chosen_logits
from tasks.onpolicy.microbatch import Microbatch, plan_step
from tasks.onpolicy.objective import Objective
from tasks.onpolicy.settings import LoopSettings
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


class Learner:
    """A policy and its optimizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        settings: LoopSettings,
        temperature: float,
        pad_id: int,
    ) -> None:
        """Make AdamW over the model's parameters; log-probabilities use the temperature."""
        self.model, self.settings = model, settings
        self._temperature, self._pad_id = temperature, pad_id
        self._optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
        )

    def update(
        self, objective: Objective, rollouts: Sequence[Rollout], step: int
    ) -> dict[str, float]:
        """Do one optimizer step on a step's rollouts and return its metrics."""
        settings = self.settings
        scored = objective.score(rollouts)
        microbatches = plan_step(
            scored, settings.normalisation, settings.microbatch_tokens, self._pad_id
        )
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, step / (settings.warmup_steps + 1))
        self._optimizer.zero_grad(set_to_none=True)
        report = _Report()
        for microbatch in microbatches:
            self._backward(objective, microbatch.to(self.model.device), report)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip)
        if not math.isfinite(float(norm)):
            raise FloatingPointError(
                f"the gradient of step {step} is {float(norm)}: a teacher or the student gives "
                "non-finite numbers; lower the learning rate, or look at the last rollouts"
            )
        self._optimizer.step()
        return {**report.means(), "gradient_norm": float(norm)}

    def _backward(self, objective: Objective, batch: Microbatch, report: "_Report") -> None:
        logits_NV = chosen_logits(self.model, batch.tokens, self._temperature)
        loss = objective.loss(batch, logits_NV)
        total = (batch.weights_N * loss.loss_N).sum()
        total.backward()
        report.add("loss", total.item(), 1.0)
        for name, values_N in loss.report_N.items():
            key = f"{name}/{batch.teacher}" if batch.teacher else name
            report.add(key, values_N.sum().item(), len(values_N))


class _Report:
    """Sums of numbers over tokens, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, float] = defaultdict(float)

    def add(self, name: str, total: float, count: float) -> None:
        self._sums[name] += total
        # The loss is a sum over microbatches already weighted, all else a mean over tokens.
        self._counts[name] = 1.0 if name == "loss" else self._counts[name] + count

    def means(self) -> dict[str, float]:
        return {name: self._sums[name] / self._counts[name] for name in self._sums}


def train(learner: Learner, objective: Objective, source: RolloutSource, hooks: Hooks) -> None:
    """Run the loop to its end; the learner's model is the result."""
    rungs = learner.settings.rung_steps()
    for step in range(1, learner.settings.num_steps + 1):
        rollouts = source.rollouts(step)
        metrics = learner.update(objective, rollouts, step)
        hooks.metrics(step, {**rollout_metrics(rollouts), **metrics})
        if step in rungs:
            hooks.rung(step)


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
