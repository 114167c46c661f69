"""Two consolidations side by side: settings, teachers and scores; as data, page and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lineage.artifacts import Artifact, Student, TeacherShare, read_manifest
from lineage.errors import LineageError
from lineage.frozen import respelled_deep
from lineage.records.derivation import flatten
from lineage.registry.registry import Registry
from tasks.evaluate.cards import read_scorecard
from tasks.evaluate.measure import read_measured
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.scores import OVERALL, STUDENT, PromptOutcome
from tasks.evaluate.sections import difference_axis
from tasks.evaluate.wording import number, signed, signed_span, span
from tasks.platform.step_runner import StepRunner
from tasks.reports.rendering import render
from tasks.statistics import (
    Interval,
    mean_of_domains,
    paired_difference,
    passed,
)

ABSENT = "-"


@dataclass(frozen=True)
class Side:
    """One published student."""

    name: str
    """``student.general@2``."""
    digest: str
    manifest: Student
    card: Scorecard
    outcomes: Mapping[str, tuple[PromptOutcome, ...]]
    """Outcomes of the student on each domain's held-out prompts."""

    def scores(self) -> dict[str, Interval]:
        """Return the student's score in each domain, and overall."""
        return {name: each.methods[STUDENT] for name, each in self.card.everything().items()}

    def facts(self) -> dict[str, str]:
        """Return the settings of its last round as text by dotted name, and its waivers."""
        settings = dict(flatten(respelled_deep(dict(self.manifest.settings))))
        return {**settings, "waivers": ", ".join(self.manifest.waivers) or "none"}


@dataclass(frozen=True)
class Comparison:
    """The second consolidation against the first."""

    first: Side
    second: Side
    settings: dict[str, tuple[str, str]]
    """Settings that differ, with both values."""
    teachers: dict[str, tuple[str, str]]
    """Description of the teachers that differ, by domain."""
    differences: dict[str, Interval]
    """The second minus the first on the same prompts, by domain; ``overall`` covers these
    domains."""
    not_paired: dict[str, str]
    """Domains that cannot be compared prompt by prompt, and why."""


def compare(runner: StepRunner, first: str, second: str) -> Comparison:
    """Return the comparison of two published students; "better" is the second minus the first.

    Raises:
        LineageError: for a reference that names nothing, or not a student.
    """
    one, two = read_side(runner, first), read_side(runner, second)
    differences: dict[str, Interval] = {}
    not_paired: dict[str, str] = {}
    for domain in dict.fromkeys([*one.outcomes, *two.outcomes]):
        why = _why_not(domain, one, two)
        if why:
            not_paired[domain] = why
        else:
            differences[domain] = _difference(domain, one, two)
    if differences:
        differences[OVERALL] = mean_of_domains(list(differences.values()))
    return Comparison(
        first=one,
        second=two,
        settings=_differing(one.facts(), two.facts()),
        teachers=_teachers(one.manifest, two.manifest),
        differences=differences,
        not_paired=not_paired,
    )


def read_side(runner: StepRunner, reference: str) -> Side:
    """Return a published student with its scorecard and the outcomes behind it."""
    entry = Registry(runner.store).resolve(reference, allow_recalled=True)
    if entry.kind != "student":
        raise LineageError(
            f"{reference!r} is {entry.name}@{entry.version}, a {entry.kind}, not a published "
            "student: choose one from `provost student list`"
        )
    manifest = read_manifest(runner.store, entry.digest, Student)
    card = read_scorecard(runner, manifest.scorecard)
    measured = {
        item.name: Artifact(kind="measurement", digest=item.artifact, record=item.record)
        for item in runner.records.read(manifest.scorecard.record).inputs
        if item.role == f"method.{STUDENT}"
    }
    outcomes = {name: read_measured(runner, item).outcomes for name, item in measured.items()}
    name = f"{entry.name}@{entry.version}"
    return Side(name, entry.digest, manifest, card, outcomes)


def _why_not(domain: str, one: Side, two: Side) -> str:
    if domain not in one.outcomes or domain not in two.outcomes:
        missing = one.name if domain not in one.outcomes else two.name
        return f"{missing} was not evaluated on this domain"
    prompts = [{each.prompt for each in side.outcomes[domain]} for side in (one, two)]
    if prompts[0] != prompts[1]:
        return "their held-out prompts differ"
    sampled = [side.card.settings.model_copy(update={"passed": {}}) for side in (one, two)]
    if sampled[0] != sampled[1]:
        return "they were sampled with other settings"
    bars = [side.card.settings.passed.get(domain) for side in (one, two)]
    if bars[0] != bars[1]:
        return f"a response passed from a score of {bars[0]} in one and of {bars[1]} in the other"
    return ""


def _difference(domain: str, one: Side, two: Side) -> Interval:
    samples = []
    for side in (two, one):
        ordered = sorted(side.outcomes[domain], key=lambda outcome: outcome.prompt)
        bars = side.card.settings.passed
        samples.append(passed([each.scores for each in ordered], bars, domain))
    return paired_difference(*samples)


def _differing(one: Mapping[str, str], two: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys([*one, *two])
    pairs = {name: (one.get(name, ABSENT), two.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _teachers(one: Student, two: Student) -> dict[str, tuple[str, str]]:
    domains = dict.fromkeys(share.domain for side in (one, two) for share in side.teachers)
    rows = {}
    for domain in domains:
        sides = [[_said(s) for s in side.teachers if s.domain == domain] for side in (one, two)]
        for place, (first, second) in enumerate(zip_longest(*sides, fillvalue=ABSENT)):
            rows[domain if not place else f"{domain} ({place + 1})"] = (first, second)
    return rows


def _said(share: TeacherShare) -> str:
    return f"{share.reference}, {share.weight:.0%}, {share.tokens_routed:,} tokens"


def headline(comparison: Comparison) -> str:
    """Return the result of the comparison in one sentence."""
    one, two = comparison.first.name, comparison.second.name
    if OVERALL not in comparison.differences:
        return f"{two} and {one} cannot be compared prompt by prompt"
    overall = comparison.differences[OVERALL]
    if not overall.excludes(0):
        return f"No difference between {two} and {one} was found overall"
    better, worse = (two, one) if overall.mean > 0 else (one, two)
    return f"{better} is better than {worse} overall, by {number(abs(overall.mean))}"


def comparison_page(comparison: Comparison) -> str:
    """Return the comparison as a self-contained page."""
    differences = comparison.differences
    return render(
        "comparison.html.j2",
        title="Two consolidations",
        headline=headline(comparison),
        first=comparison.first,
        second=comparison.second,
        rows=_rows(comparison),
        differences=differences,
        axis=difference_axis(list(differences.values()) or [Interval(0.0, 0.0, 0.0, 1)]),
        teachers=[(name, *pair) for name, pair in comparison.teachers.items()],
        settings=[(name, *pair) for name, pair in comparison.settings.items()],
    )


def comparison_view(comparison: Comparison) -> Group:
    """Return the comparison for a rich console."""
    names = (comparison.first.name, comparison.second.name)
    scores = Table("", *names, "difference", box=None, pad_edge=False)
    for name, cells in _rows(comparison).items():
        scores.add_row(*(Text(cell) for cell in (name, *cells)))
    parts: list[Text | Table] = [Text(headline(comparison), style="bold"), scores]
    for title, pairs in (("teacher", comparison.teachers), ("setting", comparison.settings)):
        table = Table(title, *names, box=None, pad_edge=False)
        for name, pair in pairs.items():
            table.add_row(*(Text(cell, overflow="fold") for cell in (name, *pair)))
        parts += [Text(), table]
    return Group(*parts)


def _rows(comparison: Comparison) -> dict[str, tuple[str, str, str]]:
    """Return both scores and the difference of each domain, in words."""
    one, two = comparison.first.scores(), comparison.second.scores()
    rows = {}
    for name in [*(n for n in dict.fromkeys([*one, *two]) if n != OVERALL), OVERALL]:
        difference = comparison.differences.get(name)
        text = comparison.not_paired.get(name, ABSENT)
        if difference is not None:
            text = f"{signed(difference.mean)} ({signed_span(difference)})"
        rows[name] = (_score(one.get(name)), _score(two.get(name)), text)
    return rows


def _score(interval: Interval | None) -> str:
    return ABSENT if interval is None else f"{number(interval.mean)} ({span(interval)})"
