"""Two consolidations side by side: what was set, who taught, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from lineage.artifacts import Artifact, Student, TeacherShare, read_manifest
from lineage.errors import LineageError
from lineage.registry import Registry
from lineage.view import flatten
from tasks.evaluate.cards import read_scorecard
from tasks.evaluate.evaluate import read_measured
from tasks.evaluate.outcomes import OVERALL, STUDENT, PromptOutcome
from tasks.evaluate.scorecard import Scorecard
from tasks.statistics import (
    Interval,
    mean_of_domains,
    paired_difference,
    passed,
)
from tasks.step import Bench

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
    """Of the student on each domain's held-out prompts."""

    def scores(self) -> dict[str, Interval]:
        """Return the student's score in each domain, and overall."""
        return {name: each.methods[STUDENT] for name, each in self.card.everything().items()}

    def facts(self) -> dict[str, str]:
        """Return the settings of its last round as text by dotted name, and its waivers."""
        told = dict(flatten(self.manifest.settings))
        return {**told, "waivers": ", ".join(self.manifest.waivers) or "none"}


@dataclass(frozen=True)
class Comparison:
    """The second consolidation against the first."""

    first: Side
    second: Side
    settings: dict[str, tuple[str, str]]
    """Those that differ: both values."""
    teachers: dict[str, tuple[str, str]]
    """By domain, in words."""
    differences: dict[str, Interval]
    """By domain the second minus the first on the same prompts; overall over these domains."""
    not_paired: dict[str, str]
    """Domains that cannot be compared prompt by prompt, and why."""


def compare(bench: Bench, first: str, second: str) -> Comparison:
    """Return the comparison of two published students; "better" is the second minus the first.

    Raises:
        LineageError: for a reference that nothing answers to, or that is no student.
    """
    one, two = read_side(bench, first), read_side(bench, second)
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


def read_side(bench: Bench, reference: str) -> Side:
    """Return a published student with its scorecard and the outcomes that it rests on."""
    entry = Registry(bench.store).resolve(reference, allow_recalled=True)
    if entry.kind != "student":
        raise LineageError(
            f"{reference!r} is {entry.name}@{entry.version}, a {entry.kind}, and no published "
            "student: `provost student list` shows them"
        )
    manifest = read_manifest(bench.store, entry.digest, Student)
    card = read_scorecard(bench, manifest.scorecard)
    measured = {
        item.name: Artifact(kind="measurement", digest=item.artifact, record=item.record)
        for item in bench.records.read(manifest.scorecard.record).inputs
        if item.role == f"method.{STUDENT}"
    }
    outcomes = {name: read_measured(bench, item).outcomes for name, item in measured.items()}
    name = f"{entry.name}@{entry.version}"
    return Side(name, entry.digest, manifest, card, outcomes)


def _why_not(domain: str, one: Side, two: Side) -> str:
    if domain not in one.outcomes or domain not in two.outcomes:
        missing = one.name if domain not in one.outcomes else two.name
        return f"{missing} was not evaluated on it"
    prompts = [{each.prompt for each in side.outcomes[domain]} for side in (one, two)]
    if prompts[0] != prompts[1]:
        return "their held-out prompts are not the same"
    if one.card.settings != two.card.settings:
        return "they were sampled with other settings"
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
    said = {}
    for domain in domains:
        sides = [[_said(s) for s in side.teachers if s.domain == domain] for side in (one, two)]
        for number, (first, second) in enumerate(zip_longest(*sides, fillvalue=ABSENT)):
            said[domain if not number else f"{domain} ({number + 1})"] = (first, second)
    return said


def _said(share: TeacherShare) -> str:
    return f"{share.reference}, {share.weight:.0%}, {share.tokens_routed:,} tokens"
