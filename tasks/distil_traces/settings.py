"""Settings of trace distillation. No torch: workflows import them."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lineage.declared import DeclaredTraces
from tasks.rollout.responses import GRADE


class PromptForm(StrEnum):
    """Whether the student sees a system prompt.

    DeepSeek V3 (2412.19437) trains on both forms: the original answer without, the reasoning answer
    with one.
    """

    SAMPLED = "as-sampled"
    PLAIN = "without-system-prompt"
    SYSTEM = "with-system-prompt"
    """The source's own system prompt, in the place of any that was sampled with."""


class TraceBalance(StrEnum):
    """What the weights of the sources divide."""

    UNWEIGHTED = "unweighted"
    """Nothing: every source gives all that it has."""
    SAMPLES = "samples"
    """The number of demonstrations (MAI-Thinking-1)."""
    TOKENS = "tokens"
    """The number of tokens that the samplers generated."""


class TraceSource(BaseModel):
    """Which answers a source gives, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Name in records and counts, such as ``math-thinking``."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Share of the source; the shares are divided by their sum."""
    scorer: str = GRADE
    least_score: float | None = 1.0
    """Minimum score of an accepted answer; None accepts all, also ungraded ones."""
    domain: str = ""
    """Domain of the answers; "" takes all."""
    mode: str | None = None
    """Template mode in which the answers were sampled; None takes all."""
    samplers: list[str] = Field(default_factory=list)
    """Names of the checkpoints, such as several late ones of a run; none takes all."""
    num_prompts: int = Field(default=0, ge=0)
    """Maximum number of prompts with an accepted answer; 0 takes all."""
    samples_per_prompt: int = Field(default=1, ge=1)
    """Maximum number of accepted answers to one prompt."""
    keep_truncated: bool = False
    form: PromptForm = PromptForm.SAMPLED
    system: str = ""
    """The system prompt, for the form with one."""
    strip_thoughts: bool = False
    """Whether thoughts are removed and the demonstration is of the mode off."""

    @model_validator(mode="after")
    def _has_its_system_prompt(self) -> Self:
        if (self.form is PromptForm.SYSTEM) != bool(self.system):
            raise ValueError(
                f"source {self.name!r} has the form {self.form.value} and the system prompt "
                f"{self.system!r}: give a system prompt for the form with one, and no other"
            )
        return self


class TraceSettings(BaseModel):
    """The sources of one set of demonstrations, and how they are weighted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: list[TraceSource] = Field(min_length=1)
    balance: TraceBalance = TraceBalance.UNWEIGHTED
    total: int = Field(default=0, ge=0)
    """Number of demonstrations, or of tokens; 0 gives as many as the weights allow without
    repeating any. Unused without weights."""


class ForeignTraces(BaseModel):
    """Answers of a model that others serve, in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Path of a JSONL file of demonstrations."""
    declared: DeclaredTraces
