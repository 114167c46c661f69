"""Preference pairs from scored responses, or from a strong and a weak sampler without any judge.

Pure: lists in, lists out. A pair of equal scores is a tie and is dropped.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.rejection_sampling.pools import (
    Readability,
    by_prompt,
    refuse_nothing_left,
    refuse_unscored,
)
from tasks.rollout.responses import GRADE, PreferencePair, ScoredResponse, Strength


class Pairing(StrEnum):
    """Which two responses to a prompt are compared."""

    EXTREMES = "best-worst"
    """The best and the worst by the scorer: one pair per prompt."""
    ALL = "all"
    """All pairs of a prompt."""
    RANDOM = "random"
    """``count`` of a prompt's pairs at random."""
    DELTA = "delta"
    """A response of the strong sampler over one of the weak one. Scores are not read."""


class StrengthCuts(BaseModel):
    """Score gaps from which a pair has a strength; below the first it is negligibly better."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slightly: float = Field(default=0.25, gt=0)
    better: float = Field(default=0.5, gt=0)
    significantly: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.slightly <= self.better <= self.significantly:
            raise ValueError(
                f"the cut points {self.slightly}, {self.better}, {self.significantly} do not rise: "
                "give each strength a larger gap than the one below it"
            )
        return self

    def strength(self, gap: float) -> Strength:
        """Return the strength of a gap; 0 is a tie."""
        if gap >= self.significantly:
            return Strength.SIGNIFICANTLY
        if gap >= self.better:
            return Strength.BETTER
        if gap >= self.slightly:
            return Strength.SLIGHTLY
        return Strength.NEGLIGIBLY if gap > 0 else Strength.TIE


class PairRule(BaseModel):
    """How pairs are selected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairing: Pairing = Pairing.EXTREMES
    scorer: str = GRADE
    """Name of the score that decides; unused for delta."""
    count: int = Field(default=1, ge=1)
    """Number of pairs per prompt, for random and delta."""
    min_gap: float = Field(default=0.0, ge=0)
    """Minimum difference of the two scores; unused for delta."""
    max_length_gap: int = Field(default=0, ge=0)
    """Maximum difference of the two lengths in tokens; 0 sets no limit."""
    readable: Readability = Readability()
    """Limits of the chosen response. The rejected one may break them."""
    cuts: StrengthCuts = StrengthCuts()
    """Strength labels by the gap of the scores."""
    strong: str = ""
    """Name of the sampler with the chosen response, for delta."""
    weak: str = ""
    """Name of the sampler with the rejected response, for delta."""
    delta_strength: Strength = Strength.BETTER
    """Strength label of a delta pair, which no score measures."""

    @model_validator(mode="after")
    def _delta_names_two_samplers(self) -> Self:
        is_delta = self.pairing is Pairing.DELTA
        if is_delta and (not self.strong or not self.weak or self.strong == self.weak):
            raise ValueError(
                f"delta pairs need a strong and a weak sampler, and {self.strong!r} and "
                f"{self.weak!r} are given: name two different samplers"
            )
        return self

    @property
    def source(self) -> str:
        """What made the comparison, as the pairs name it."""
        if self.pairing is Pairing.DELTA:
            return f"{self.strong} over {self.weak}"
        return self.scorer


@dataclass(frozen=True)
class SelectedPairs:
    """The pairs to learn from, and what was dropped."""

    pairs: list[PreferencePair]
    counts: dict[str, int]
    """Number of candidate pairs: ties, too small a gap, unreadable, lengths apart, selected; and of
    prompts with fewer than two responses."""


def select_pairs(responses: Sequence[ScoredResponse], rule: PairRule, seed: int) -> SelectedPairs:
    """Return the pairs that a rule makes of the responses, prompt by prompt.

    Raises:
        RefusedError: ``no-responses``, ``unknown-scorer``, ``missing-scores``,
            ``too-few-responses``, ``unknown-sampler``, ``only-ties`` or ``nothing-left``.
    """
    scorers = [] if rule.pairing is Pairing.DELTA else [rule.scorer]
    refuse_unscored(responses, [*scorers, *rule.readable.least_scores])
    pools = by_prompt(responses)
    candidates = [
        pair
        for key, pool in pools.items()
        for pair in _candidates(pool, rule, random.Random(f"{seed} {key}"))
    ]
    _refuse_unpaired(list(pools.values()), candidates, rule)
    fates = [_fate(pair, rule) for pair in candidates]
    selected = [pair for pair, fate in zip(candidates, fates, strict=True) if fate == "selected"]
    if set(fates) == {"ties"}:
        raise RefusedError(
            "only-ties",
            f"all {len(candidates)} pairs are ties by {rule.scorer!r}, so no response is better "
            "than another: sample more responses per prompt or at a higher temperature, or take a "
            "finer scorer",
        )
    names = ("ties", "gap_too_small", "unreadable", "lengths_apart", "selected")
    counts = {name: fates.count(name) for name in names}
    counts["prompts_without_pair"] = len(pools) - len({_prompt_of(pair) for pair in candidates})
    refuse_nothing_left(len(selected), len(candidates), "pairs", counts)
    return SelectedPairs([_as_pair(*pair, rule) for pair in selected], counts)


_Pair = tuple[ScoredResponse, ScoredResponse]
"""The chosen response and the rejected one."""


def _prompt_of(pair: _Pair) -> tuple[str, str, str]:
    prompt = pair[0].prompt
    return pair[0].domain, prompt.id, prompt.mode


def _candidates(
    pool: Sequence[ScoredResponse], rule: PairRule, rng: random.Random
) -> Iterator[_Pair]:
    """Yield the pairs of one prompt, the better response first."""
    if rule.pairing is Pairing.DELTA:
        strong = [each for each in pool if each.sampler == rule.strong]
        weak = [each for each in pool if each.sampler == rule.weak]
        count = min(rule.count, len(strong), len(weak))
        yield from zip(rng.sample(strong, count), rng.sample(weak, count), strict=True)
        return
    if len(pool) < 2:
        return
    ranked = sorted(pool, key=lambda response: -response.scores[rule.scorer])
    pairs = list(combinations(ranked, 2))
    match rule.pairing:
        case Pairing.EXTREMES:
            yield ranked[0], ranked[-1]
        case Pairing.RANDOM:
            yield from rng.sample(pairs, min(rule.count, len(pairs)))
        case _:
            yield from pairs


def _fate(pair: _Pair, rule: PairRule) -> str:
    """Return why a pair is dropped, or that it is selected."""
    chosen, rejected = pair
    if chosen.turns == rejected.turns:  # the same words, whoever wrote them
        return "ties"
    if rule.pairing is not Pairing.DELTA:
        gap = gap_of(chosen, rejected, rule.scorer)
        if gap == 0:
            return "ties"
        if gap < rule.min_gap:
            return "gap_too_small"
    if not rule.readable.keeps(chosen):
        return "unreadable"
    apart = abs(chosen.num_tokens - rejected.num_tokens)
    return "lengths_apart" if rule.max_length_gap and apart > rule.max_length_gap else "selected"


def gap_of(chosen: ScoredResponse, rejected: ScoredResponse, scorer: str) -> float:
    """Return by how much one response scores above another."""
    return chosen.scores[scorer] - rejected.scores[scorer]


def _refuse_unpaired(
    pools: Sequence[Sequence[ScoredResponse]], candidates: Sequence[_Pair], rule: PairRule
) -> None:
    if candidates:
        return
    if rule.pairing is Pairing.DELTA:
        known = sorted({each.sampler for pool in pools for each in pool})
        if missing := sorted({rule.strong, rule.weak} - {*known}):
            raise RefusedError(
                "unknown-sampler",
                f"no response is by {missing}, only by {known}: sample with both checkpoints, or "
                "name two of these",
            )
    raise RefusedError(
        "too-few-responses",
        f"none of {len(pools)} prompts has two responses that could be compared: sample at least "
        "two per prompt, and for delta pairs one of each sampler to the same prompts",
    )


def _as_pair(chosen: ScoredResponse, rejected: ScoredResponse, rule: PairRule) -> PreferencePair:
    strength = (
        rule.delta_strength
        if rule.pairing is Pairing.DELTA
        else rule.cuts.strength(gap_of(chosen, rejected, rule.scorer))
    )
    return pair_of(chosen, rejected, strength, rule.source)


def pair_of(
    chosen: ScoredResponse, rejected: ScoredResponse, strength: Strength, source: str
) -> PreferencePair:
    """Return two responses to one prompt as a preference pair."""
    return PreferencePair(
        domain=chosen.domain,
        prompt=chosen.prompt.id,
        messages=chosen.prompt.messages,
        chosen=chosen.turns,
        rejected=rejected.turns,
        strength=strength,
        source=source,
        mode=chosen.prompt.mode,
    )
