"""The scorecard: every method's score in every domain, with intervals.

``Outcomes`` go in (one score for each sample of each prompt), a ``Scorecard`` comes out. A method
is a name: "fork_point", "teacher" and "student" have a meaning here, any other is a control.
"""

from collections.abc import Iterable, Mapping

from pydantic import Field, JsonValue

from lineage.frozen import Frozen, respelled
from tasks.evaluate.scores import (
    FORK_POINT,
    NORMALIZED,
    OVERALL,
    RESERVED,
    STUDENT,
    TEACHER,
    Bootstrap,
    Normalized,
    Outcomes,
    PromptOutcome,
    ScorecardSettings,
    bootstrap,
    domain_score,
    overall_score,
)
from tasks.statistics import (
    RESAMPLES,
    Interval,
    Samples,
    mean_interval,
    mean_of_domains,
    paired_difference,
    passed,
)


class DomainScores(Frozen):
    """Each method's score in one domain, or overall, also as a share of the teacher's gain."""

    methods: Mapping[str, Interval]
    normalized: Mapping[str, Normalized]
    """Normalized scores; empty if the fork point was not evaluated."""


class Responses(Frozen):
    """Lengths of a method's responses in one domain; None if not measured."""

    mean_tokens: float | None
    truncated: Interval | None
    """Share of samples truncated at the token limit."""


class Scorecard(Frozen):
    """Every method's scores; ``document`` returns the JSON of ``scorecard.json``."""

    domains: Mapping[str, DomainScores]
    overall: DomainScores
    subject: str
    """The method that is compared with all others: the student, or without one the teacher."""
    paired: Mapping[str, Mapping[str, Interval]]
    """domain or "overall" -> other method -> subject minus it, on the same prompts."""
    matrix: Mapping[str, Mapping[str, Interval]]
    """teacher's domain -> evaluated domain -> score."""
    responses: Mapping[str, Mapping[str, Responses]]
    """domain -> method -> lengths and cuts."""
    settings: ScorecardSettings
    left_out: Mapping[str, str] = Field(default={}, exclude_if=lambda value: not value)
    """control -> why it could not be made."""

    def methods(self) -> tuple[str, ...]:
        """Return the methods in the order in which to show them."""
        return tuple(self.overall.methods)

    def everything(self) -> dict[str, DomainScores]:
        """Return every domain's scores and then the overall ones, by name."""
        return {**self.domains, OVERALL: self.overall}

    def document(self) -> dict[str, JsonValue]:
        """Return the scorecard for JSON: at the top the domains and ``overall``.

        Each maps a method to its mean, low, high and n, and ``normalized`` to the same for each
        method. The keys in ``RESERVED`` hold the rest.
        """
        dumped = self.model_dump(mode="json")
        scores = {**dumped.pop("domains"), OVERALL: dumped.pop(OVERALL)}
        flat = {name: {**s["methods"], NORMALIZED: s[NORMALIZED]} for name, s in scores.items()}
        paired = {"subject": dumped.pop("subject"), **dumped.pop("paired")}
        return {**flat, "paired": paired, **dumped}

    @classmethod
    def from_document(cls, document: Mapping[str, JsonValue]) -> "Scorecard":
        """Read the JSON of ``document``; raise pydantic's ``ValidationError`` for other JSON."""
        rest = {key: document[key] for key in RESERVED if key in document and key != OVERALL}
        scores = {
            name: {
                "methods": {key: value for key, value in each.items() if key != NORMALIZED},
                NORMALIZED: each.get(NORMALIZED),
            }
            for name, each in ((name, respelled(found)) for name, found in document.items())
            if isinstance(each, dict) and name not in rest
        }
        paired = rest.get("paired")
        differences = dict(paired) if isinstance(paired, dict) else {}
        subject = differences.pop("subject", None)
        overall = scores.pop(OVERALL, None)
        fields = {**rest, "domains": scores, OVERALL: overall, "subject": subject}
        return cls.model_validate({**fields, "paired": differences})


def make_scorecard(outcomes: Outcomes, *, resamples: int = RESAMPLES) -> Scorecard:
    """Compute the scorecard. The same outcomes and seed give the same numbers.

    ``resamples`` is for the bootstrap of the normalized scores.
    """
    domains, bars = outcomes.domains(), outcomes.settings.passed
    evaluated = outcomes.by_method()
    samples = {
        domain: {name: _samples(on[domain], bars, domain) for name, on in evaluated.items()}
        for domain in domains
    }
    means = {
        domain: {name: mean_interval(each) for name, each in by_method.items()}
        for domain, by_method in samples.items()
    }
    subject = STUDENT if STUDENT in evaluated else TEACHER
    paired = _paired(samples, subject)
    normalized = _normalized(samples, outcomes.settings.seed, resamples)
    return Scorecard(
        domains={d: DomainScores(methods=means[d], normalized=normalized[d]) for d in domains},
        overall=DomainScores(methods=_over_domains(means), normalized=normalized[OVERALL]),
        subject=subject,
        paired={**paired, OVERALL: _over_domains(paired)},
        matrix={
            teacher: {
                domain: mean_interval(_samples(prompts, bars, domain))
                for domain, prompts in row.items()
            }
            for teacher, row in outcomes.teachers.items()
        },
        responses={
            domain: {name: _responses(on[domain]) for name, on in evaluated.items()}
            for domain in domains
        },
        settings=outcomes.settings,
        left_out=outcomes.left_out,
    )


def _paired(
    samples: Mapping[str, Mapping[str, Samples]], subject: str
) -> dict[str, dict[str, Interval]]:
    return {
        domain: {
            name: paired_difference(by_method[subject], other)
            for name, other in by_method.items()
            if name != subject
        }
        for domain, by_method in samples.items()
    }


def _normalized(
    samples: Mapping[str, Mapping[str, Samples]], seed: int, resamples: int
) -> dict[str, dict[str, Normalized]]:
    methods = list(next(iter(samples.values())))
    if FORK_POINT not in methods:
        return {name: {} for name in [*samples, OVERALL]}
    resampled: dict[str, Bootstrap] = {
        # Seeded by the domain's name too: another domain more or less changes no number here.
        domain: bootstrap(
            by_method[FORK_POINT],
            by_method[TEACHER],
            by_method,
            list(f"{seed}:{domain}".encode()),
            resamples=resamples,
        )
        for domain, by_method in samples.items()
    }
    scores = {
        domain: {method: domain_score(each, method) for method in methods}
        for domain, each in resampled.items()
    }
    return {**scores, OVERALL: {method: overall_score(resampled, method) for method in methods}}


def _over_domains(by_domain: Mapping[str, Mapping[str, Interval]]) -> dict[str, Interval]:
    methods = next(iter(by_domain.values()))
    return {name: mean_of_domains([each[name] for each in by_domain.values()]) for name in methods}


def _samples(prompts: Iterable[PromptOutcome], bars: Mapping[str, float], domain: str) -> Samples:
    """Return the prompts' scores in the order of their ids, the same for every method."""
    ordered = sorted(prompts, key=lambda outcome: outcome.prompt)
    return passed([outcome.scores for outcome in ordered], bars, domain)


def _responses(prompts: tuple[PromptOutcome, ...]) -> Responses:
    lengths = [length for outcome in prompts for length in outcome.lengths]
    cuts = [[float(cut) for cut in outcome.truncated] for outcome in prompts]
    return Responses(
        mean_tokens=sum(lengths) / len(lengths) if lengths else None,
        truncated=mean_interval(cuts) if all(cuts) else None,
    )
