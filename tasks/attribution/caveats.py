"""An audit's notes beside its numbers: teams, approvals, waivers, and what was not tested."""

from lineage.artifacts import Artifact
from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.launches.launch import decided
from lineage.launches.waiver import read_waiver
from tasks.attribution.document import CarriedWaiver, Source, WeightsChange
from tasks.attribution.estimators import FEWEST
from tasks.attribution.subject import AuditedStudent, plan_of
from tasks.attribution.verdict import join
from tasks.ledger.conservation import Conservation
from tasks.ledger.split_adamw import SAVING
from tasks.platform.step_runner import StepRunner


def source_of(subject: AuditedStudent, name: str) -> Source:
    """Return a source; for a teacher, with its release and its team."""
    for teacher in subject.teachers:
        if teacher.name != name:
            continue
        if teacher.planned is None:
            return Source(name=name, domain=name, record=teacher.checkpoint.record)
        planned = teacher.planned
        return Source(
            name=name,
            domain=planned.domain,
            reference=planned.reference,
            owner=planned.owner,
            record=planned.release.record,
        )
    return Source(name=name)


def weights_change(found: Conservation) -> WeightsChange:
    """Return how the parts of the weights' change add up."""
    saving = {SAVING: found.saving} if found.saving > 0 else {}
    return WeightsChange(
        change=found.change,
        parts={**found.parts, **saving},
        predicted_rounding=found.expected,
        unexplained=found.unexplained,
    )


def start_words(subject: AuditedStudent) -> str:
    """Return a phrase for the checkpoint that an audit counts from."""
    published = subject.published
    if published and published.fork_point.digest == subject.origin.digest:
        return "the fork point"
    return "the student before its warm-up" if subject.warmed_on else "the start of this round"


def approvals(runner: StepRunner, subject: AuditedStudent) -> tuple[str, ...]:
    """Return the approvals, and the findings that were let pass when the plan was made."""
    if subject.published is None or subject.manifest is None:
        return ()
    approved = [
        f"the plan was {each.decision} {each.words()}"
        for item in runner.records.read(subject.manifest.record).inputs
        if item.role == "approval"
        for each in decided(
            runner.records.read(item.record), runner.records.attestations(item.record)
        )
    ]
    first = approved or ["the plan was not reviewed: no approval is recorded"]
    notes = plan_of(runner, subject.published).notes
    return (*first, *(f"{n.subject}: {n.evidence} ({n.severity}, {n.code})" for n in notes))


def waivers(runner: StepRunner, subject: AuditedStudent) -> tuple[CarriedWaiver, ...]:
    """Return the waivers that the student carries, with the validity of each."""
    if subject.published is None or subject.manifest is None:
        return ()
    [plan] = [
        Artifact(kind="plan", digest=item.artifact, record=item.record)
        for item in runner.records.read(subject.manifest.record).inputs
        if item.role == "plan"
    ]
    return tuple(
        CarriedWaiver(digest=digest, text=_waived(runner, digest, plan))
        for digest in subject.published.waivers
    )


def _waived(runner: StepRunner, digest: str, plan: Artifact) -> str:
    try:
        signed = read_waiver(runner.store, digest, _plan_named(runner, digest, plan))
    except LineageError as error:  # what does not hold is what the reader must see
        return f"is not valid: {error}"
    accepted = ", ".join(f"{each.subject} [{each.code}]" for each in signed.waiver.findings)
    return f"{signed.team} on {signed.waiver.at[:10]} accepted {accepted}: {signed.waiver.reason}"


def _plan_named(runner: StepRunner, waiver: str, plan: Artifact) -> Artifact:
    """Return the student's plan that a waiver names: after the gate, or before it."""
    before = [item for item in runner.records.read(plan.record).inputs if item.role == "plan"]
    known = {(plan.digest, plan.record), *((item.artifact, item.record) for item in before)}
    for maker in Lineage(runner.store).index.makers(waiver):
        for item in runner.records.read(maker).inputs:
            if item.role == "plan" and (item.artifact, item.record) in known:
                return Artifact(kind="plan", digest=item.artifact, record=item.record)
    return plan


def not_tested(subject: AuditedStudent, count: int, *, verified: bool) -> tuple[str, ...]:
    """Return what the audit did not test."""
    found = []
    if not verified:
        found.append(
            "Absence: the shares say which source's updates brought the behavior, not what the "
            "student would do without a teacher. A retrain measures that: `provost audit STUDENT "
            "--verify 1`."
        )
    if count < FEWEST:
        found.append(
            f"Other phrasings: {count} behavior{'s' * (count > 1)} cannot show whether the "
            f"finding holds for similar prompts; audit a set of {FEWEST} or more."
        )
    if subject.warmed_on:
        found.append(
            "The teachers of the warm-up apart: it is SFT on the answers of "
            f"{join(subject.warmed_on)} and counts as one amount. Retrains, surgery and "
            "rehearsals keep it, so they measure absence from the round alone."
        )
    before = "the warm-up" if subject.warmed_on else "this round"
    found += [
        "Why a teacher has the behavior: its team can explain its climb.",
        f"Earlier rounds: everything from before {before} counts as one amount.",
        "Rollouts outside the ledger's sample, which keeps "
        f"{subject.ledger.manifest.settings.rollouts_per_teacher} per teacher and step.",
    ]
    return tuple(found)
