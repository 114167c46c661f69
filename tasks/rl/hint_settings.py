"""Settings of on-policy self-distillation with a hint. No torch: workflows import them."""

import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.contracts.refusal import RefusedError


class HintPlace(StrEnum):
    """The turns that see a hint."""

    LOCATED = "located"
    """The first turn of a rollout with the mistake of a rule."""
    RANDOM = "random"
    """The control: turns drawn at random, as many of each domain."""


class HintRule(BaseModel):
    """A mistake of a turn, and the hint against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str = Field(min_length=1)
    """Regular expression that is searched in a model turn; a dot matches any character."""
    hint: str = Field(min_length=1)
    """Text that the policy sees before the turn, such as the list of tools that exist."""
    domains: list[str] = Field(default_factory=list)
    """Domains in which it holds; empty for all."""

    @field_validator("pattern")
    @classmethod
    def _is_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise RefusedError(
                "bad-pattern",
                f"pattern {pattern!r} is an invalid regular expression ({error}): correct it",
            ) from error
        return pattern


class HintSettings(BaseModel):
    """The policy with a hint teaches itself without it, on one turn (Composer 2.5).

    The sampled tokens of the turn are scored once more by the same weights, with the hint before
    the turn. Their log-ratio is an advantage beside the one of the reward. Direction, weight and
    clip are ours, none is published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: list[HintRule] = Field(min_length=1)
    """Rules in order; the first that finds its mistake gives the hint."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of the term, beside the reward's."""
    clip: float = Field(default=5.0, gt=0)
    """Bound of a token's log-ratio in nats."""
    place: HintPlace = HintPlace.LOCATED
    """Choice of the turns."""

    @property
    def domains(self) -> set[str]:
        """Every domain that the rules name."""
        return {domain for rule in self.rules for domain in rule.domains}
