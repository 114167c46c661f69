"""Prompts by their difficulty: the share of a checkpoint's responses that solve them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.rejection_sampling.pools import by_prompt, refuse_nothing_left, refuse_unscored
from tasks.rollout.environment import Prompt
from tasks.rollout.responses import GRADE, ScoredResponse


class PromptRule(BaseModel):
    """Which prompts are kept, by their pass rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str = ""
    """Domain of the prompts; "" if the responses have one domain."""
    scorer: str = GRADE
    solved_from: float = 1.0
    """Minimum score of a response that solves its prompt."""
    least_pass_rate: float = Field(default=0.0, ge=0, le=1)
    """Minimum pass rate of a kept prompt."""
    most_pass_rate: float = Field(default=1.0, ge=0, le=1)
    """Maximum pass rate of a kept prompt."""
    keep_never_solved: bool = False
    """Whether prompts that no response solves may be kept."""
    keep_always_solved: bool = False
    """Whether prompts that every response solves may be kept."""

    @model_validator(mode="after")
    def _is_window(self) -> Self:
        if self.least_pass_rate > self.most_pass_rate:
            raise ValueError(
                f"the window from {self.least_pass_rate} to {self.most_pass_rate} is empty: give "
                "a least pass rate below the most"
            )
        return self


@dataclass(frozen=True)
class SelectedPrompts:
    """The prompts within the window, and what was dropped."""

    prompts: list[Prompt]
    pass_rates: dict[str, float]
    """Pass rate of each prompt, also of those that were dropped, by id."""
    counts: dict[str, int]
    """Number of prompts: never solved, always solved, too hard, too easy, selected. Each counts
    once, under the first that fits."""


def select_prompts(responses: Sequence[ScoredResponse], rule: PromptRule) -> SelectedPrompts:
    """Return the prompts of a domain with a pass rate within the window, in the order given.

    Raises:
        RefusedError: ``no-responses``, ``unknown-scorer``, ``missing-scores``, ``several-domains``,
            ``several-modes`` or ``nothing-left``.
    """
    own = _of_domain(responses, rule.domain)
    refuse_unscored(own, [rule.scorer])
    pools = by_prompt(own)
    if len(pools) > len({identifier for _, identifier, _ in pools}):
        raise RefusedError(
            "several-modes",
            "some prompts were sampled in several modes, so their ids would repeat: select from "
            "the responses of one mode at a time",
        )
    fates, rates, kept = [], {}, []
    for (_, identifier, _), pool in pools.items():
        solved = sum(each.scores[rule.scorer] >= rule.solved_from for each in pool)
        rates[identifier] = solved / len(pool)
        fates.append(_fate(rates[identifier], rule))
        if fates[-1] == "selected":
            kept.append(pool[0].prompt)
    names = ("never_solved", "always_solved", "too_hard", "too_easy", "selected")
    counts = {name: fates.count(name) for name in names}
    refuse_nothing_left(len(kept), len(pools), "prompts", counts)
    return SelectedPrompts(kept, rates, counts)


def _of_domain(responses: Sequence[ScoredResponse], domain: str) -> list[ScoredResponse]:
    known = sorted({response.domain for response in responses})
    if not domain and len(known) > 1:
        raise RefusedError(
            "several-domains",
            f"the responses are of the domains {known}, and a set of prompts is of one: name the "
            "domain in the rule, once for each",
        )
    return [response for response in responses if domain in ("", response.domain)]


def _fate(rate: float, rule: PromptRule) -> str:
    """Return why a prompt is dropped, or that it is selected."""
    if rate == 0 and not rule.keep_never_solved:
        return "never_solved"
    if rate == 1 and not rule.keep_always_solved:
        return "always_solved"
    if rate < rule.least_pass_rate:
        return "too_hard"
    return "too_easy" if rate > rule.most_pass_rate else "selected"
