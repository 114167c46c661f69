"""Releases a published student if its conditions hold; otherwise it stays a candidate."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.launches.verdicts import remedies_of
from lineage.launches.waiver import parse_waiver
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.handover import Plan, Remedy, TeacherVerdict, Verdict
from tasks.contracts.planned import plan_of, verdicts_of
from tasks.contracts.publication import RELEASED, moves_to
from tasks.evaluate.cards import read_scorecard
from tasks.evaluate.compare import compare
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.scores import OVERALL, STUDENT
from tasks.platform.step_runner import StepRunner
from tasks.reports.rendering import render
from tasks.statistics import Interval


@dataclass(frozen=True)
class Unmet:
    """A condition that does not hold."""

    code: str
    why: str


def unmet_verdicts(
    verdicts: Sequence[TeacherVerdict],
    waived: Collection[str],
    remedied: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Unmet]:
    """Yield each teacher that the gate did not find to fit.

    Args:
        verdicts: The gate's verdicts on all teachers.
        waived: Names of teachers with a waived finding.
        remedied: Verdict by the measurement after a remedy, by the teacher's name.
    """
    for each in verdicts:
        fits = each.verdict is Verdict.FITS or each.done is Remedy.DROP
        if fits or each.name in waived or remedied.get(each.name) == Verdict.FITS_AFTER_REMEDY:
            continue
        verdict, lack = each.verdict.value, "it was not waived"
        if each.done is Remedy.WARM_UP:
            verdict = remedied.get(each.name, verdict)
            lack = f"no measurement after the {each.done} says otherwise"
        yield Unmet("verdict", f"the gate's verdict on {each.name} is {verdict}, and {lack}")


def unmet_scores(
    card: Scorecard, own: Collection[str], conditions: ReleaseConditions
) -> Iterator[Unmet]:
    """Yield each domain, or the mean, with too small a share of the gain.

    Args:
        card: Scorecard of the consolidation.
        own: Domains that the student itself teaches, which have no gain to transfer.
        conditions: The minimum shares.
    """
    for name, scores in card.everything().items():
        if name in own:
            continue
        least = (
            conditions.release_least_overall
            if name == OVERALL
            else conditions.release_least_normalized
        )
        found = scores.normalized.get(STUDENT)
        if found is None or found.mean is None:
            why = found.reason if found else "the fork point was not measured"
            yield Unmet("score", f"{name} has no normalized score: {why}")
        elif found.mean < least:
            yield Unmet(
                "score", f"{name} has {found.mean:.2f} of the gain, below the minimum of {least}"
            )


def unmet_predecessor(
    before: str,
    differences: Mapping[str, Interval],
    missing: Collection[str],
    conditions: ReleaseConditions,
) -> Iterator[Unmet]:
    """Yield each domain in which the student is worse than the released one, at 95 %.

    Args:
        before: The version released before.
        differences: This student minus that one on the same prompts, by domain and overall.
        missing: Domains of that student on which this one was not measured.
        conditions: The conditions, which may leave these checks out.
    """
    for name, found in differences.items():
        if found.high < 0:
            yield Unmet(
                "predecessor",
                f"{name} is worse than {before} by {-found.mean:.2f} "
                f"({-found.high:.2f} to {-found.low:.2f})",
            )
    if missing and conditions.release_keep_domains:
        yield Unmet("predecessor", f"{before} also covers the domains {sorted(missing)}")


@dataclass(frozen=True)
class Considered:
    """The decision about a student."""

    reference: str
    """Version of the student, such as student.general@3."""
    unmet: tuple[Unmet, ...]
    """Unmet conditions; empty if every condition holds."""

    def lines(self) -> list[str]:
        """Return the decision, its reasons and the next step, as lines of text."""
        if not self.unmet:
            return [f"{self.reference} is released: every condition holds."]
        return [
            f"{self.reference} stays a candidate, and `released` does not move:",
            *(f"- {each.why}" for each in self.unmet),
            "To release it anyway:",
            f"  provost student promote {self.reference} --by YOU --reason '...'",
        ]

    def page(self) -> str:
        """Return the same as a page, for the Flyte Deck."""
        lines = self.lines()
        return render("release.html.j2", title="release", reference=self.reference, lines=lines)


def consider_release(
    runner: StepRunner, student: Artifact, name: str, conditions: ReleaseConditions
) -> Considered:
    """Point ``released`` at a published student if its conditions hold.

    A version is considered for the alias once, so a later rerun does not undo a person's move.

    Raises:
        LineageError: for an artifact that is not a version of ``student.<name>``.
    """
    registry = Registry(runner.store)
    entry = _entry(registry, f"student.{name}", student)
    unmet = tuple(_unmet(runner, registry, entry, conditions))
    if not unmet and moves_to(registry, RELEASED, entry):
        reason = f"conditions hold: {conditions.model_dump_json()}"
        registry.point(entry.name, RELEASED, entry.version, by="consolidation", reason=reason)
        runner.mirror.add_name(runner.store, entry.name)
    return Considered(f"{entry.name}@{entry.version}", unmet)


def _entry(registry: Registry, name: str, student: Artifact) -> Entry:
    for entry in registry.versions(name):
        if entry.digest == student.digest:
            return entry
    raise LineageError(
        f"{student.digest} is not a version of {name}: publish it there first (publish_student)"
    )


def _unmet(
    runner: StepRunner, registry: Registry, entry: Entry, conditions: ReleaseConditions
) -> list[Unmet]:
    student = Artifact(kind="student", digest=entry.digest, record=entry.record)
    manifest = parse_manifest(runner.store.get_bytes(entry.digest), Student)
    plan = plan_of(runner, student)
    own = {lead.domain for lead in plan.leads if lead.is_self}
    return [
        *unmet_verdicts(
            verdicts_of(runner, student),
            _waived(runner, plan, manifest),
            _remedied(runner, plan, manifest),
        ),
        *unmet_scores(read_scorecard(runner, manifest.scorecard), own, conditions),
        *_against_predecessor(runner, registry, entry, conditions),
    ]


def _remedied(runner: StepRunner, plan: Plan, manifest: Student) -> dict[str, str]:
    """Return the verdict after its remedy on each teacher that had one measured."""
    assert plan.artifact is not None
    index = Lineage(runner.store).index
    found = remedies_of(
        runner.records, index, plan.artifact.digest, manifest.checkpoint, runner.project
    )
    return {each.name: each.verdict for each in found}


def _waived(runner: StepRunner, plan: Plan, manifest: Student) -> set[str]:
    """Return the names of teachers with a waived finding; findings name the release."""
    subjects = {
        finding.subject
        for digest in manifest.waivers
        for finding in parse_waiver(digest, runner.store.get_bytes(digest)).findings
    }
    return {teacher.name for teacher in plan.teachers if teacher.reference in subjects}


def _against_predecessor(
    runner: StepRunner, registry: Registry, entry: Entry, conditions: ReleaseConditions
) -> list[Unmet]:
    before = registry.aliases(entry.name).get(RELEASED)
    if before in {None, entry.version} or registry.status(entry.name, before or 0) == "recalled":
        return []
    found = compare(runner, f"{entry.name}@{before}", f"{entry.name}@{entry.version}")
    missing = found.first.outcomes.keys() - found.second.outcomes.keys()
    return list(unmet_predecessor(found.first.name, found.differences, missing, conditions))
