"""The measurements of an evaluation: the score of each sample, by method and domain."""

from collections.abc import Mapping

from pydantic import Field, model_validator

from lineage.artifacts import Frozen

FORK_POINT, TEACHER, STUDENT = "fork_point", "teacher", "student"
OVERALL = "overall"
NORMALISED = "normalised"
RESERVED = (OVERALL, "paired", "matrix", "responses", "settings")
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

    @model_validator(mode="after")
    def _check(self) -> "PromptOutcome":
        for name, values in (("lengths", self.lengths), ("truncated", self.truncated)):
            if values and len(values) != len(self.scores):
                raise ValueError(
                    f"prompt {self.prompt!r} has {len(self.scores)} scores and {len(values)} "
                    f"{name}: give one for each sample, or none"
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

    @model_validator(mode="after")
    def _check(self) -> "Outcomes":
        if TEACHER in self.methods:
            raise ValueError(
                'the method "teacher" is the diagonal of `teachers`: pass it there and not here'
            )
        if not self.teachers:
            raise ValueError("no teacher was evaluated: give at least one in `teachers`")
        if NORMALISED in self.methods:
            raise ValueError(
                f"a method cannot be called {NORMALISED!r}: the scorecard uses that key"
            )
        for row in (*self.methods.values(), *self.teachers.values()):
            for domain in row:
                if domain not in self.teachers:
                    raise ValueError(f"{domain!r} was evaluated but has no teacher: leave it out")
        for domain in self.domains():
            _check_domain(self, domain)
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
        raise ValueError(f"a domain cannot be called {domain!r}: the scorecard uses that key")
    rows = {f"teacher {name}": row for name, row in outcomes.teachers.items() if domain in row}
    if f"teacher {domain}" not in rows:
        raise ValueError(f"the {domain} teacher was not evaluated on {domain}: evaluate it there")
    for name, row in outcomes.methods.items():
        if domain not in row:
            raise ValueError(f"{name} was not evaluated on {domain}: evaluate it on every domain")
    expected: list[str] = []
    for name, row in {**rows, **outcomes.methods}.items():
        prompts = sorted(outcome.prompt for outcome in row[domain])
        expected = expected or prompts
        if not prompts or len(set(prompts)) != len(prompts) or prompts != expected:
            raise ValueError(
                f"{name} was evaluated on {len(prompts)} prompts of {domain}, which differ from "
                f"the {len(expected)} prompts of the other methods: evaluate all methods on one "
                "evaluation set"
            )
