"""Settings of a judge. No torch: workflows import them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.named import NamedArtifact
from tasks.contracts.refusal import RefusedError
from tasks.rollout.settings import SamplingSettings

SCORE_TEMPLATE = """Judge the response to a prompt.

Criteria:
{rubric}

Prompt:
{prompt}

Response:
{response}

Write a short reason. Then write "Score: N" as the last line, with a whole number N from {lowest}
to {highest}; more is better."""
PAIR_TEMPLATE = """Compare two responses to a prompt.

Criteria:
{rubric}

Prompt:
{prompt}

Response 1:
{first}

Response 2:
{second}

Write a short reason. Then write the last line as "Better: 1", "Better: 2" or "Better: tie"."""


class Shown(StrEnum):
    """What a judge sees of a response."""

    WHOLE = "whole"
    ANSWER = "answer"
    """The answer without the thoughts before it, as R1's helpful reward model (2501.12948)."""


class JudgeSettings(BaseModel):
    """Rubric, prompt and scale of a judge: a model that writes its verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rubric: str = Field(min_length=1)
    """Criteria, in words."""
    score_template: str = SCORE_TEMPLATE
    """Prompt for one response, with {rubric}, {prompt}, {response}, {lowest} and {highest}."""
    pair_template: str = PAIR_TEMPLATE
    """Prompt for two responses, with {rubric}, {prompt}, {first} and {second}."""
    lowest: int = 1
    highest: int = 5
    unparsable_score: float | None = None
    """Score of a verdict without a valid last line; None gives the lowest."""
    shown: Shown = Shown.WHOLE
    calls: int = Field(default=1, ge=1)
    """Number of verdicts per response, and per order of a pair; the mean counts."""
    mode: str = ""
    """Template mode in which the judge writes; "" for the template's default."""
    sampling: SamplingSettings = SamplingSettings(max_new_tokens=512)

    @model_validator(mode="after")
    def _can_judge(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(
                f"the scale from {self.lowest} to {self.highest} has one value at most: give a "
                "highest score above the lowest"
            )
        for name, text, fields in (
            ("score_template", self.score_template, ("rubric", "prompt", "response")),
            ("pair_template", self.pair_template, ("rubric", "prompt", "first", "second")),
        ):
            missing = [field for field in fields if f"{{{field}}}" not in text]
            if missing:
                raise ValueError(
                    f"{name} lacks {{{missing[0]}}}, so the judge would not see it: write the "
                    "placeholder where it belongs"
                )
        return self

    @property
    def score_if_unparsable(self) -> float:
        """The score of a verdict without a valid last line."""
        return float(self.lowest) if self.unparsable_score is None else self.unparsable_score


class NamedJudge(NamedArtifact):
    """A checkpoint that judges, under the name of its scores."""

    settings: JudgeSettings


def with_settings(
    judges: Sequence[NamedArtifact], settings: Sequence[JudgeSettings]
) -> list[NamedJudge]:
    """Return judges with their settings, which a task takes as two lists.

    Raises:
        RefusedError: ``unnamed`` for another number of settings.
    """
    if len(judges) != len(settings):
        raise RefusedError(
            "unnamed",
            f"{len(judges)} judges are given with {len(settings)} settings: give each its own, in "
            "the same order",
        )
    return [
        NamedJudge(name=judge.name, artifact=judge.artifact, settings=own)
        for judge, own in zip(judges, settings, strict=True)
    ]
