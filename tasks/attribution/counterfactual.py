"""Compares retrains without some teachers with the student: the measured absence.

For one seed, the effect of teachers M on a behavior is f(retrain, no teacher masked) - f(retrain,
M masked); prompts, steps, denominators and random numbers are the same in both.

Shapes: B behaviors.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from tasks.attribution.document import RetrainEffect, RetrainResult, ShareEstimate
from tasks.attribution.opened import Opened, load_weights
from tasks.attribution.path_integral import Split
from tasks.attribution.subject import AuditedStudent
from tasks.attribution.surgery import reweighed
from tasks.contracts.refusal import RefusedError
from tasks.platform.step_runner import StepRunner
from tasks.statistics import t_half_width


@dataclass(frozen=True)
class _RetrainRun:
    masked: tuple[str, ...]
    seed: int
    says_B: Tensor


def verify(
    runner: StepRunner,
    subject: AuditedStudent,
    models: Opened,
    split: Split,
    retrained: Sequence[Artifact],
) -> RetrainResult:
    """Return the effects that retrains measure.

    Args:
        runner: StepRunner with the store of the retrains.
        subject: The student.
        models: Its models in memory.
        split: The student's behaviors, split by source.
        retrained: Checkpoints of the student's own round, repeated with teachers masked, and for
            each seed one with no teacher masked.

    Raises:
        ValueError: for a checkpoint that is not such a retrain.
    """
    runs = [_run(runner, subject, split, checkpoint) for checkpoint in retrained]
    base = {run.seed: run.says_B for run in runs if not run.masked}
    masks = sorted({run.masked for run in runs if run.masked}, key=lambda m: (len(m), m))
    effects = []
    for masked in masks:
        own = {r.seed: base[r.seed] - r.says_B for r in runs if r.masked == masked}
        means = {seed: float(effect_B.mean()) for seed, effect_B in sorted(own.items())}
        surgery = None
        if len(masked) == 1:
            without = reweighed(models.end, subject.ledger, {masked[0]: 0.0})
            surgery = float((split.ended() - split.under(without)).mean())
        effects.append(
            RetrainEffect(
                masked=masked,
                effect=over_seeds(list(means.values())),
                per_seed=means,
                by_domain=_by_domain(split, torch.stack(list(own.values())).mean(0)),
                surgery=surgery,
            )
        )
    first = base[subject.derivation.seed]
    return RetrainResult(
        seeds=tuple(sorted(base)),
        effects=tuple(effects),
        noise=_apart([float(says_B.mean()) for says_B in base.values()]),
        reproduction=float((first - split.ended()).mean()),
    )


def _by_domain(split: Split, effect_B: Tensor) -> dict[str, float]:
    """Return the mean effect on the behaviors of each domain that is known."""
    values: dict[str, list[float]] = {}
    for item, effect in zip(split.behaviors, effect_B.tolist(), strict=True):
        if item.domain:
            values.setdefault(item.domain, []).append(effect)
    return {domain: statistics.fmean(own) for domain, own in values.items()}


def over_seeds(values: Sequence[float]) -> ShareEstimate:
    """Return the mean over seeds, with Student's t interval from two seeds on."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return ShareEstimate(mean=mean)
    half = t_half_width(values)
    return ShareEstimate(mean=mean, low=mean - half, high=mean + half)


def _apart(values: Sequence[float]) -> float | None:
    pairs = list(itertools.combinations(values, 2))
    return statistics.fmean(abs(one - other) for one, other in pairs) if pairs else None


def _run(
    runner: StepRunner, subject: AuditedStudent, split: Split, checkpoint: Artifact
) -> _RetrainRun:
    derivation = runner.records.read(checkpoint.record)
    if derivation.inputs != subject.derivation.inputs:
        raise RefusedError(
            "other-retrain",
            f"{checkpoint.digest} is not a retrain of {subject.reference!r}: it has other "
            "teachers, prompts or another start; make retrains with `provost audit --verify`",
        )
    says_B = split.under_model(load_weights(runner, checkpoint))
    return _RetrainRun(masked_in(derivation), derivation.seed, says_B)


def masked_in(derivation: Derivation) -> tuple[str, ...]:
    """Return the teachers that were masked in a round."""
    distil = derivation.settings["distil"]
    assert isinstance(distil, dict)
    names = distil.get("masked") or []
    assert isinstance(names, list)
    return tuple(str(name) for name in names)
