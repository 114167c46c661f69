"""Settings of a reward that is made of terms: their weights, their schedule, their combination.

No torch: workflows import them.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.scoring.settings import JudgeSettings


class RewardTerm(BaseModel):
    """One term of a reward: where and when it counts, and how much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    """Unique name, in metrics and in the combination."""
    weight: float = Field(default=1.0, gt=0)
    """Factor of its value (Tülu 3: 10 for a verified answer)."""
    from_step: int = Field(default=1, ge=1)
    """First step in which it counts (R1 section 3.2.2: preferences only in the last 400 steps)."""
    to_step: int | None = Field(default=None, ge=1)
    """Last step in which it counts; None for the last of the run."""
    domains: list[str] = Field(default_factory=list)
    """Domains in which it counts; empty for all."""

    def counts(self, step: int, domain: str) -> bool:
        """Return whether it counts in a step and domain."""
        is_time = self.from_step <= step and (self.to_step is None or step <= self.to_step)
        return is_time and (not self.domains or domain in self.domains)

    @model_validator(mode="after")
    def _has_a_step(self) -> Self:
        if self.to_step is not None and self.to_step < self.from_step:
            raise RefusedError(
                "never-counts",
                f"the term {self.name!r} counts from step {self.from_step} to {self.to_step}, so "
                "never: give it a later end",
            )
        return self


class GradeTerm(RewardTerm):
    """The environment's grade."""

    kind: Literal["grade"] = "grade"


class ScorerTerm(RewardTerm):
    """The score of a reward model or a judge, which the run is given under the term's name."""

    kind: Literal["scorer"] = "scorer"
    judge: JudgeSettings | None = None
    """Rubric and scale of a judge, which writes its verdict; None for a reward model."""
    squash: bool = False
    """Whether the score passes through a sigmoid, so that it is a probability (Llama 2)."""


class LengthForm(StrEnum):
    """How the cost of a length grows."""

    LINEAR = "linear"
    """Length / ``most_tokens``."""
    PASS_RATE = "pass_rate"
    """The same times the pass rate of the prompt, so that solved problems pay for their length
    (MAI-Thinking-1 section 3.1.2)."""
    CONCAVE = "concave"
    """((1 + k x)^(1 - q) - 1) / (k (1 - q)), with x = length / ``most_tokens`` (Composer 2)."""


class LengthTerm(RewardTerm):
    """A cost of length, which is subtracted."""

    kind: Literal["length"] = "length"
    form: LengthForm = LengthForm.LINEAR
    most_tokens: int = Field(ge=1)
    """Length that costs the whole weight."""
    turn_tokens: int = Field(default=0, ge=0)
    """Number of tokens for which each model turn counts beside its own (Composer 2)."""
    k: float = Field(default=1.0, gt=0)
    """Scale of the concave form."""
    q: float = Field(default=0.5, gt=0, lt=1)
    """Exponent of the concave form; nearer to 1 it flattens sooner."""


class LanguageForm(StrEnum):
    """How consistency of language is measured."""

    SHARE = "share"
    """Share of the words that are of the language (R1 section 3.2.1)."""
    COUNT = "count"
    """max(0, 1 - ``alpha`` x words of another) (MAI-Thinking-1 section 3.1.2)."""


class LanguageTerm(RewardTerm):
    """Consistency of the language of what the model wrote."""

    kind: Literal["language"] = "language"
    form: LanguageForm = LanguageForm.SHARE
    word: str = r"[\x00-\x7F]+"
    """Regular expression that a whole word of the language matches."""
    alpha: float = Field(default=0.005, gt=0)
    """Cost of each word of another language, for the form count."""


class FormatTerm(RewardTerm):
    """1 for a response of a form, else 0 (R1-Zero section 2.2: equal weight with accuracy)."""

    kind: Literal["format"] = "format"
    pattern: str
    """Regular expression that the whole of the last turn matches; a dot matches any character."""


class ModeTerm(RewardTerm):
    """1 for a response that thinks if, and only if, the mode of its prompt says so, else 0.

    A prompt without a mode is worth 1.
    """

    kind: Literal["mode"] = "mode"


AnyTerm = Annotated[
    GradeTerm | ScorerTerm | LengthTerm | LanguageTerm | FormatTerm | ModeTerm,
    Field(discriminator="kind"),
]


class GuardRule(StrEnum):
    """What a guarding term does with the others."""

    PIECEWISE = "piecewise"
    """It replaces them where it is below the threshold, and in its own domains (Llama 2 section
    3.2.3: safety below 0.15)."""
    GATED = "gated"
    """They count only where it reaches the threshold; itself it always counts (MAI-Thinking-1)."""


class GuardSettings(BaseModel):
    """A term that decides whether the others count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: GuardRule
    term: str
    """Name of the guarding term."""
    threshold: float = 0.15
    """Threshold of its value, before its weight."""
    domains: list[str] = Field(default_factory=list)
    """Domains in which only the guard counts; for the rule piecewise."""


class ToggleSettings(BaseModel):
    """Phases with a budget of tokens beside phases without (Kimi K2.5 section 4, Toggle).

    In a phase with a budget, a rollout of a prompt that is solved often enough gets a reward only
    within the budget: a quantile of the lengths of the prompt's first correct responses. The values
    are ours; none is published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(default=10, ge=1)
    """Number of steps of a phase; the first has the budget."""
    least_accuracy: float = Field(default=0.5, gt=0, le=1)
    """Mean grade of a group from which on its budget holds."""
    quantile: float = Field(default=0.5, gt=0, le=1)
    """Quantile of the lengths of correct responses that is the budget."""


class RewardSettings(BaseModel):
    """A reward of several terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: list[AnyTerm] = Field(min_length=1)
    """The terms; without a guard the reward is their weighted sum."""
    guard: GuardSettings | None = None
    """Term that decides whether the others count."""
    logit: bool = False
    """Whether the reward becomes log(R / (1 - R)); for probabilities (Llama 2 section 3.2.3)."""
    whiten: bool = False
    """Whether rewards of a step get mean 0 and deviation 1 (Llama 2 section 3.2.3)."""
    toggle: ToggleSettings | None = None
    """Phases with a budget of tokens."""

    def term(self, name: str) -> AnyTerm:
        """Return a term by its name."""
        return next(term for term in self.terms if term.name == name)

    @property
    def scorers(self) -> list[ScorerTerm]:
        """The terms that a model gives."""
        return [term for term in self.terms if isinstance(term, ScorerTerm)]

    @property
    def domains(self) -> set[str]:
        """Every domain that the settings name."""
        named = {domain for term in self.terms for domain in term.domains}
        return named | set(self.guard.domains if self.guard is not None else ())

    @model_validator(mode="after")
    def _terms_fit(self) -> Self:
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise RefusedError(
                "repeated-name", f"the terms {names} share a name: give each its own"
            )
        for term in self.terms:
            for text in (getattr(term, "word", ""), getattr(term, "pattern", "")):
                try:
                    re.compile(text)
                except re.error as error:
                    raise RefusedError(
                        "bad-pattern",
                        f"the term {term.name!r} has an invalid regular expression ({error}): "
                        "correct it",
                    ) from error
        guard = self.guard
        if guard is not None and (guard.term not in names or len(names) == 1):
            raise RefusedError(
                "unknown-term",
                f"the guard is the term {guard.term!r}, but the terms are {names}: name one of "
                "several terms",
            )
        if guard is not None and guard.rule is GuardRule.GATED and guard.domains:
            raise RefusedError(
                "domains-of-gated-guard",
                "a gated guard takes no domains: remove them, or choose piecewise",
            )
        return self

    @model_validator(mode="after")
    def _logit_of_probabilities(self) -> Self:
        odd = [
            term.name
            for term in self.terms
            if not (isinstance(term, ScorerTerm) and term.squash and term.weight == 1.0)
        ]
        piecewise = self.guard is not None and self.guard.rule is GuardRule.PIECEWISE
        if self.logit and (odd or not (piecewise or len(self.terms) == 1)):
            raise RefusedError(
                "no-probability",
                f"logit takes one probability at a time, but {odd or 'a sum'} is none: squash "
                "every scorer, leave weights at 1, and combine several with a piecewise guard",
            )
        return self
