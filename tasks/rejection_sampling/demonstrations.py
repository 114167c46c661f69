"""Demonstrations from scored responses: which to keep of each prompt, how many, and no copies.

Pure: lists in, lists out. Ties go to the response that comes first.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from pydantic import BaseModel, ConfigDict, Field

from tasks.rejection_sampling.duplicates import without_duplicates
from tasks.rejection_sampling.pools import (
    Readability,
    by_prompt,
    conversation_of,
    refuse_nothing_left,
    refuse_unscored,
)
from tasks.rollout.environment import Demonstration
from tasks.rollout.responses import GRADE, ScoredResponse


class Keep(StrEnum):
    """Which responses are kept of those that are readable."""

    TOP = "top"
    """The ``count`` best of each prompt: best-of-K with a count of 1."""
    RANDOM = "random"
    """``count`` of each prompt at random: the control of best-of-K."""
    CORRECT = "correct"
    """All with a score of at least ``least_score``."""
    QUARTILE = "top-quartile"
    """The best quarter of each domain, with all that are as good as the last of them."""


class DemonstrationRule(BaseModel):
    """How demonstrations are selected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: Keep = Keep.TOP
    scorer: str = GRADE
    """Name of the score that counts."""
    count: int = Field(default=1, ge=1)
    """Number of responses per prompt, for top and random."""
    least_score: float = 1.0
    """Minimum score, for correct."""
    readable: Readability = Readability()
    per_prompt: int = Field(default=0, ge=0)
    """Maximum number of demonstrations of a prompt; the best are kept. 0 sets no limit."""
    per_domain: int = Field(default=0, ge=0)
    """Maximum number of demonstrations of a domain, spread over its prompts. 0 sets no limit."""
    likeness: float = Field(default=1.0, gt=0, le=1)
    """Responses at least this much alike are duplicates, of which the best is kept; 1 drops exact
    copies alone."""
    each_round: bool = False
    """Whether each set of responses keeps its own, so that earlier rounds' best are carried over;
    else the responses of all sets compete."""


@dataclass(frozen=True)
class SelectedDemonstrations:
    """The responses to learn from, and what was dropped."""

    responses: list[ScoredResponse]
    counts: dict[str, int]
    """Number of responses: given, unreadable, not kept, over a quota, duplicates, selected."""

    @property
    def rows(self) -> list[Demonstration]:
        """The responses as worked examples."""
        return [demonstration_of(response) for response in self.responses]


def demonstration_of(response: ScoredResponse) -> Demonstration:
    """Return a response as a worked example of its prompt."""
    return Demonstration(response.prompt.messages, response.turns, response.prompt.mode)


def select_demonstrations(
    rounds: Sequence[Sequence[ScoredResponse]], rule: DemonstrationRule, seed: int
) -> SelectedDemonstrations:
    """Return the responses that a rule keeps of one or several sets, such as rounds.

    Raises:
        RefusedError: ``no-responses``, ``unknown-scorer``, ``missing-scores`` or ``nothing-left``.
    """
    everything = [response for responses in rounds for response in responses]
    refuse_unscored(everything, [rule.scorer, *rule.readable.least_scores])
    readable = [[r for r in responses if rule.readable.keeps(r)] for responses in rounds]
    pools = readable if rule.each_round else [[r for responses in readable for r in responses]]
    kept = [
        response
        for number, pool in enumerate(pools)
        for response in _kept(pool, rule, f"{seed} {number}")
    ]
    allowed = _within_quotas(kept, rule, seed)
    selected = without_duplicates(
        allowed,
        [conversation_of(response) for response in allowed],
        [response.scores[rule.scorer] for response in allowed],
        rule.likeness,
    )
    num_readable = sum(map(len, readable))
    counts = {
        "given": len(everything),
        "unreadable": len(everything) - num_readable,
        "not_kept": num_readable - len(kept),
        "over_quota": len(kept) - len(allowed),
        "duplicates": len(allowed) - len(selected),
        "selected": len(selected),
    }
    refuse_nothing_left(len(selected), len(everything), "responses", counts)
    return SelectedDemonstrations(selected, counts)


def _kept(
    responses: Sequence[ScoredResponse], rule: DemonstrationRule, seed: str
) -> list[ScoredResponse]:
    """Return what the rule keeps of one pool, in the order given."""
    match rule.keep:
        case Keep.CORRECT:
            chosen = [r for r in responses if r.scores[rule.scorer] >= rule.least_score]
        case Keep.QUARTILE:
            least = _quartiles(responses, rule.scorer)
            chosen = [r for r in responses if r.scores[rule.scorer] >= least[r.domain]]
        case Keep.TOP:
            pools = by_prompt(responses).values()
            chosen = [r for pool in pools for r in _best(pool, rule.scorer)[: rule.count]]
        case Keep.RANDOM:
            chosen = [
                response
                for key, pool in by_prompt(responses).items()
                for response in random.Random(f"{seed} {key}").sample(
                    pool, min(rule.count, len(pool))
                )
            ]
    return _in_order(chosen, responses)


def _within_quotas(
    responses: Sequence[ScoredResponse], rule: DemonstrationRule, seed: int
) -> list[ScoredResponse]:
    """Return the responses within both quotas, in the order given."""
    pools = {key: _best(pool, rule.scorer) for key, pool in by_prompt(responses).items()}
    if rule.per_prompt:
        pools = {key: pool[: rule.per_prompt] for key, pool in pools.items()}
    if rule.per_domain:
        taken: dict[str, int] = {}
        order = list(pools)
        random.Random(f"{seed} quota").shuffle(order)
        spread: dict[tuple[str, str, str], list[ScoredResponse]] = {key: [] for key in pools}
        # A first response of every prompt before a second one of any.
        for place in range(max(map(len, pools.values()), default=0)):
            for key in order:
                if place < len(pools[key]) and taken.get(key[0], 0) < rule.per_domain:
                    spread[key].append(pools[key][place])
                    taken[key[0]] = taken.get(key[0], 0) + 1
        pools = spread
    return _in_order([r for pool in pools.values() for r in pool], responses)


def _quartiles(responses: Sequence[ScoredResponse], scorer: str) -> dict[str, float]:
    """Return the score of the last response of the best quarter, by domain."""
    scores: dict[str, list[float]] = {}
    for response in responses:
        scores.setdefault(response.domain, []).append(response.scores[scorer])
    return {
        domain: sorted(values, reverse=True)[ceil(len(values) / 4) - 1]
        for domain, values in scores.items()
    }


def _best(pool: Sequence[ScoredResponse], scorer: str) -> list[ScoredResponse]:
    return sorted(pool, key=lambda response: -response.scores[scorer])


def _in_order(
    chosen: Sequence[ScoredResponse], given: Sequence[ScoredResponse]
) -> list[ScoredResponse]:
    places = {id(response): place for place, response in enumerate(given)}
    return sorted(chosen, key=lambda response: places[id(response)])
