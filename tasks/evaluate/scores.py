"""Scores of an evaluation: of each sample, by method and domain, and as a share of teachers' gains.

The normalized score is (method - fork point) / (teacher - fork point): 0 is the fork point, 1 the
teacher of the domain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lineage.frozen import Frozen
from tasks.contracts.refusal import RefusedError
from tasks.statistics import (
    RESAMPLES,
    Samples,
    bootstrap_means,
    paired_difference,
    percentile_limits,
    prompt_means,
)

FORK_POINT, TEACHER, STUDENT = "fork_point", "teacher", "student"
OVERALL = "overall"
NORMALIZED = "normalized"
RESERVED = (OVERALL, "paired", "matrix", "responses", "settings", "left_out")
"""Top-level keys of the scorecard's JSON, which therefore name no domain."""


class PromptOutcome(Frozen):
    """One method's result on one prompt: score, length and truncation of each sample."""

    prompt: str
    scores: tuple[float, ...] = Field(min_length=1)
    """Score of each sample, in [0, 1]."""
    lengths: tuple[int, ...] = ()
    """Response tokens of each sample; empty if not measured."""
    truncated: tuple[bool, ...] = ()
    """Whether each sample reached the token limit; empty if not measured."""
    mode: str = Field(default="", exclude_if=lambda value: not value)
    """Template mode of the prompt."""
    obedient: tuple[bool, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Whether each sample thinks if, and only if, the mode is "on"; empty for other modes."""

    @model_validator(mode="after")
    def _check(self) -> "PromptOutcome":
        for name in ("lengths", "truncated", "obedient"):
            values = getattr(self, name)
            if values and len(values) != len(self.scores):
                raise RefusedError(
                    "other-lengths",
                    f"prompt {self.prompt!r} has {len(self.scores)} scores and {len(values)} "
                    f"{name}: give one for each sample, or none",
                )
        return self


Evaluations = Mapping[str, Mapping[str, tuple[PromptOutcome, ...]]]


class ScorecardSettings(Frozen):
    """Sampling of the responses, and the scores that count as passed."""

    temperature: float = Field(ge=0)
    samples: int = Field(ge=1)
    """Number of samples per prompt (k)."""
    seed: int
    max_tokens: int = Field(ge=1)
    """Maximum response tokens of one turn."""
    passed: Mapping[str, float] = {}
    """Score by domain from which a sample counts as 1, and below it as 0. Other domains keep their
    fractional scores."""


class Outcomes(Frozen):
    """All measurements, on one evaluation set per domain."""

    methods: Evaluations
    """method -> domain -> prompts: the fork point, the student, each control. Not the teachers."""
    teachers: Evaluations
    """teacher's domain -> evaluated domain -> prompts. Its diagonal is the method "teacher"."""
    settings: ScorecardSettings
    left_out: Mapping[str, str] = {}
    """control -> why it was not made and has no measurement."""

    @model_validator(mode="after")
    def _check(self) -> "Outcomes":
        if TEACHER in self.methods:
            raise RefusedError(
                "teacher-as-method",
                'the method "teacher" is the diagonal of `teachers`: pass it there and not here',
            )
        if not self.teachers:
            raise RefusedError(
                "no-teacher", "no teacher was evaluated: give at least one in `teachers`"
            )
        if NORMALIZED in self.methods:
            raise RefusedError(
                "reserved-name",
                f"a method cannot be called {NORMALIZED!r}: the scorecard uses that key",
            )
        for row in (*self.methods.values(), *self.teachers.values()):
            for domain in row:
                if domain not in self.teachers:
                    raise RefusedError(
                        "domain-without-teacher",
                        f"{domain!r} was evaluated but has no teacher: leave it out",
                    )
        for domain in self.domains():
            _check_domain(self, domain)
        return self

    @model_validator(mode="after")
    def _measured_or_left_out(self) -> "Outcomes":
        if both := sorted(self.left_out.keys() & self.methods.keys()):
            raise RefusedError(
                "measured-and-left-out",
                f"{both} are given as left out and with a measurement: give each one of them",
            )
        return self

    def domains(self) -> tuple[str, ...]:
        """Return the domains: those that have a teacher."""
        return tuple(self.teachers)

    def by_method(self) -> dict[str, Mapping[str, tuple[PromptOutcome, ...]]]:
        """Return all methods: fork point, teacher and student first, then as given."""
        diagonal = {domain: self.teachers[domain][domain] for domain in self.domains()}
        methods = {**self.methods, TEACHER: diagonal}
        first = [name for name in (FORK_POINT, TEACHER, STUDENT) if name in methods]
        return {name: methods[name] for name in [*first, *(m for m in methods if m not in first)]}


def _check_domain(outcomes: Outcomes, domain: str) -> None:
    if domain in RESERVED:
        raise RefusedError(
            "reserved-name", f"a domain cannot be called {domain!r}: the scorecard uses that key"
        )
    rows = {f"teacher {name}": row for name, row in outcomes.teachers.items() if domain in row}
    if f"teacher {domain}" not in rows:
        raise RefusedError(
            "not-evaluated",
            f"the {domain} teacher was not evaluated on {domain}: evaluate it there",
        )
    for name, row in outcomes.methods.items():
        if domain not in row:
            raise RefusedError(
                "not-evaluated",
                f"{name} was not evaluated on {domain}: evaluate it on every domain",
            )
    expected: list[str] = []
    for name, row in {**rows, **outcomes.methods}.items():
        prompts = sorted(outcome.prompt for outcome in row[domain])
        expected = expected or prompts
        if not prompts or len(set(prompts)) != len(prompts) or prompts != expected:
            raise RefusedError(
                "other-prompts",
                f"{name} was evaluated on {len(prompts)} prompts of {domain}, which differ from "
                f"the {len(expected)} prompts of the other methods: evaluate all methods on one "
                "evaluation set",
            )


class Normalized(BaseModel):
    """A normalized score with its 95 % interval, or the reason why it is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """Number of prompts behind it."""
    reason: str = ""
    """Reason for a missing score, or the domains that the overall mean leaves out."""


@dataclass(frozen=True)
class Bootstrap:
    """The normalized score of every method in one domain, with its resampled values."""

    n: int
    refusal: str = ""
    """Reason for a missing normalized score; then the mappings are empty."""
    estimates: Mapping[str, float] = field(default_factory=dict)
    resampled: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def bootstrap(
    fork: Samples,
    teacher: Samples,
    methods: Mapping[str, Samples],
    seed: Sequence[int],
    *,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Resample the prompts of one domain and recompute each method's normalized score.

    One draw of n prompts with replacement serves all methods. The teacher's gain must be
    distinguishable from 0 (its paired interval lies above 0): otherwise the ratio has no finite
    interval (Fieller 1954) and the domain is refused with a reason.
    """
    gain = paired_difference(teacher, fork)
    if gain.low <= 0:
        return Bootstrap(
            n=gain.n,
            refusal=(
                f"the teacher's gain over the fork point, {gain.mean:+.3f} [{gain.low:+.3f}, "
                f"{gain.high:+.3f}], is not above 0, so a share of it is not defined"
            ),
        )
    start = prompt_means(fork)
    gains = _differences(teacher, start)
    rises = {name: _differences(samples, start) for name, samples in methods.items()}
    gain_R, *rises_R = bootstrap_means([gains, *rises.values()], seed, resamples=resamples)
    return Bootstrap(
        n=gain.n,
        estimates={name: math.fsum(rise) / math.fsum(gains) for name, rise in rises.items()},
        resampled={name: _ratio(row, gain_R) for name, row in zip(rises, rises_R, strict=True)},
    )


def domain_score(domain: Bootstrap, method: str) -> Normalized:
    """Return one method's normalized score in one domain."""
    if domain.refusal:
        return Normalized(mean=None, low=None, high=None, n=domain.n, reason=domain.refusal)
    return _percentiles(domain.estimates[method], domain.resampled[method], domain.n)


def overall_score(domains: Mapping[str, Bootstrap], method: str) -> Normalized:
    """Return the mean of one method's normalized scores over the domains that have one.

    Domains are resampled independently, so resample r of the mean is the mean of the domains'
    resamples r. Domains without a normalized score are named in ``reason``.
    """
    kept = {name: each for name, each in domains.items() if not each.refusal}
    left_out = [name for name in domains if name not in kept]
    reason = ""
    if left_out:
        reason = f"without {', '.join(left_out)}: the teacher's gain there is not above 0"
    if not kept:
        total = sum(each.n for each in domains.values())
        return Normalized(mean=None, low=None, high=None, n=total, reason=reason)
    estimate = sum(each.estimates[method] for each in kept.values()) / len(kept)
    average_R = _average([each.resampled[method] for each in kept.values()])
    score = _percentiles(estimate, average_R, sum(each.n for each in kept.values()))
    return score.model_copy(update={"reason": reason}) if reason and not score.reason else score


def _differences(samples: Samples, start: Sequence[float]) -> list[float]:
    return [after - before for after, before in zip(prompt_means(samples), start, strict=True)]


def _ratio(rise_R: NDArray[np.float64], gain_R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rise / gain; a resample without a gain of the teacher gives an infinite share."""
    far_R = np.where(rise_R == 0, 0.0, np.copysign(np.inf, rise_R))
    return np.divide(rise_R, gain_R, out=far_R, where=gain_R > 0)


def _average(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        mean_R = np.mean(rows, axis=0)
    # Infinities of both signs in one resample leave no number; it still counts as a far one.
    return np.where(np.isnan(mean_R), np.inf, mean_R)


def _percentiles(estimate: float, values_R: NDArray[np.float64], n: int) -> Normalized:
    low, high = percentile_limits(values_R)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Normalized(
            mean=None,
            low=None,
            high=None,
            n=n,
            reason="the teacher's gain over the fork point is too small relative to its noise for "
            "a finite interval of a share: evaluate on more prompts",
        )
    # A skewed resample can put the estimate itself outside; the interval then reaches to it.
    return Normalized(mean=estimate, low=min(low, estimate), high=max(high, estimate), n=n)
