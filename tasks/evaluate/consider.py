"""A published student is released where its conditions hold; else it stays a candidate."""

from dataclasses import dataclass

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.errors import LineageError
from lineage.mirror import mirror_entry
from lineage.registry import Registry
from lineage.slots import Entry
from lineage.waiver import parse_waiver
from tasks.evaluate.cards import read_scorecard
from tasks.evaluate.compare import compare
from tasks.evaluate.conditions import Unmet, unmet_predecessor, unmet_scores, unmet_verdicts
from tasks.handover import Plan, ReleaseConditions
from tasks.planned import plan_of, verdicts_of
from tasks.publication import RELEASED, moves_to
from tasks.reports.rendering import render
from tasks.step import Bench


@dataclass(frozen=True)
class Considered:
    """What became of a student."""

    reference: str
    """Such as student.general@3."""
    unmet: tuple[Unmet, ...]
    """Why it stays a candidate; empty where every condition holds."""

    def lines(self) -> list[str]:
        """Return what a person should read: the outcome, why, and what can be done."""
        if not self.unmet:
            return [f"{self.reference} is released: every condition holds."]
        return [
            f"{self.reference} stays a candidate; `released` is left where it was:",
            *(f"- {each.why}" for each in self.unmet),
            "To release it all the same:",
            f"  provost student promote {self.reference} --by YOU --reason '...'",
        ]

    def page(self) -> str:
        """Return the same as a page, for the Flyte Deck."""
        lines = self.lines()
        return render("release.html.j2", title="release", reference=self.reference, lines=lines)


def consider_release(
    bench: Bench, student: Artifact, name: str, conditions: ReleaseConditions
) -> Considered:
    """Point ``released`` at a published student where its conditions hold.

    A version is considered for the alias once: a later rerun undoes no person's move.

    Raises:
        LineageError: for an artifact that is no version of ``student.<name>``.
    """
    registry = Registry(bench.store)
    entry = _entry(registry, f"student.{name}", student)
    unmet = tuple(_unmet(bench, registry, entry, conditions))
    if not unmet and moves_to(registry, RELEASED, entry):
        reason = f"conditions hold: {conditions.model_dump_json()}"
        registry.point(entry.name, RELEASED, entry.version, by="consolidation", reason=reason)
        mirror_entry(bench.store, entry.name)
    return Considered(f"{entry.name}@{entry.version}", unmet)


def _entry(registry: Registry, name: str, student: Artifact) -> Entry:
    for entry in registry.versions(name):
        if entry.digest == student.digest:
            return entry
    raise LineageError(
        f"{student.digest} is no version of {name}: publish it there first (publish_student)"
    )


def _unmet(
    bench: Bench, registry: Registry, entry: Entry, conditions: ReleaseConditions
) -> list[Unmet]:
    student = Artifact(kind="student", digest=entry.digest, record=entry.record)
    manifest = parse_manifest(bench.store.get_bytes(entry.digest), Student)
    plan = plan_of(bench, student)
    own = {lead.domain for lead in plan.leads if lead.is_self}
    return [
        *unmet_verdicts(verdicts_of(bench, student), _waived(bench, plan, manifest)),
        *unmet_scores(read_scorecard(bench, manifest.scorecard), own, conditions),
        *_against_predecessor(bench, registry, entry, conditions),
    ]


def _waived(bench: Bench, plan: Plan, manifest: Student) -> set[str]:
    """Return the names of teachers of which a finding was waived; findings name the release."""
    subjects = {
        finding.subject
        for digest in manifest.waivers
        for finding in parse_waiver(digest, bench.store.get_bytes(digest)).findings
    }
    return {teacher.name for teacher in plan.teachers if teacher.reference in subjects}


def _against_predecessor(
    bench: Bench, registry: Registry, entry: Entry, conditions: ReleaseConditions
) -> list[Unmet]:
    before = registry.aliases(entry.name).get(RELEASED)
    if before in {None, entry.version} or registry.status(entry.name, before or 0) == "recalled":
        return []
    found = compare(bench, f"{entry.name}@{before}", f"{entry.name}@{entry.version}")
    missing = found.first.outcomes.keys() - found.second.outcomes.keys()
    return list(unmet_predecessor(found.first.name, found.differences, missing, conditions))
