"""Decisions on findings: which findings end a run, and the waiver that accepts them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Finding
from lineage.errors import LineageError, paragraph, plain
from lineage.graph.graph import Lineage
from lineage.launches.waiver import NEVER_WAIVED, Accepted, Waiver, read_waiver, sign_waiver
from lineage.records.record import Input
from lineage.registry.registry import now
from tasks.contracts.handover import Level, Plan
from tasks.platform.step_runner import StepRunner

_REFUSED = {Level.REFUSAL: {"refusal"}, Level.WARNING: {"refusal", "warning"}}


class MisfitError(ValueError):
    """Teachers that must not be merged as they are; the message lists every finding."""

    def __init__(self, message: str) -> None:
        """Keep the message, with texts from releases made plain."""
        super().__init__(paragraph(message))


def decide(runner: StepRunner, plan: Plan, refuse_from: Level, waivers: Sequence[str]) -> Plan:
    """Return the plan with its waivers, or refuse it.

    Args:
        runner: Holds the store with the waivers.
        plan: The stored plan.
        refuse_from: The least severe finding that counts.
        waivers: Digests of signed waivers: of this plan, or of the same plan before or after the
            gate.

    Raises:
        LineageError: for a waiver that is invalid or accepts another plan.
        MisfitError: if a finding that counts is not waived; the message lists all of them.
    """
    assert plan.artifact is not None
    accepted: set[Accepted] = set()
    held: list[Artifact] = []
    if waivers:
        for digest in dict.fromkeys(waivers):
            signed = read_waiver(runner.store, digest, _plan_of(runner, digest, plan.artifact))
            accepted |= set(signed.waiver.findings)
            held.append(signed.artifact)
    left = [note for note in refused(plan, refuse_from) if _as_accepted(note) not in accepted]
    if left:
        raise MisfitError(_refusal(left, plan.artifact))
    return plan.model_copy(update={"waivers": held})


def _plan_of(runner: StepRunner, waiver: str, plan: Artifact) -> Artifact:
    """Return the digest of the plan that a waiver must accept: most often this one.

    The gate adds findings to a plan, which makes a new plan. A waiver of the earlier plan counts
    after the gate too, for the findings that it lists; a waiver of the later plan lists the earlier
    findings as well.
    """
    before = {item.artifact for item in _plans_before(runner, plan.record)}
    own = runner.records.read(plan.record).project
    for maker in Lineage(runner.store).index.makers(waiver):
        for named in _plans_before(runner, maker):
            if not named.record or runner.records.read(named.record).project != own:
                continue  # others may attest the same waiver, of what they call the plan
            later = {item.artifact for item in _plans_before(runner, named.record)}
            if named.artifact in {plan.digest, *before} or plan.digest in later:
                return Artifact(kind="plan", digest=named.artifact, record=named.record)
    return plan


def _plans_before(runner: StepRunner, record: str) -> list[Input]:
    return [item for item in runner.records.read(record).inputs if item.role == "plan"]


def refused(plan: Plan, refuse_from: Level) -> list[Finding]:
    """Return the findings for which a plan is refused at a level, without regard to waivers."""
    return [note for note in plan.notes if note.severity in _REFUSED[refuse_from]]


def _as_accepted(note: Finding) -> Accepted:
    return Accepted(code=note.code, subject=note.subject)


def _refusal(notes: Sequence[Finding], plan: Artifact) -> str:
    lines = [
        plain(f"- {note.subject} [{note.code}]: {note.evidence}. What to do: {note.next_step}.")
        for note in notes
    ]
    if not any(note.code in NEVER_WAIVED for note in notes):
        lines.append(
            "To accept these findings, sign a waiver and pass the digest that it prints as "
            f"`waivers`: provost waive {plan.digest} --reason '...'"
        )
    return "these teachers cannot be merged as they are; nothing was trained.\n" + "\n".join(lines)


@dataclass(frozen=True)
class SignedWaiver:
    """A signed waiver."""

    artifact: Artifact
    plan: Artifact
    findings: list[Finding]


def waive(runner: StepRunner, digest: str, reason: str) -> SignedWaiver:
    """Sign a waiver that accepts all findings for which a plan is or could be refused.

    Raises:
        LineageError: for an empty reason, a digest that is not a stored plan, a plan without
            findings to accept, and a finding that is never waived.
        NotEntitledError: for a key of a team that may not sign students.
    """
    if not reason.strip():
        raise LineageError(
            "a waiver needs a reason, because it is all that later readers see: give --reason",
            code="no-reason",
        )
    plan, artifact = read_plan(runner, digest)
    findings = refused(plan, Level.WARNING)
    if not findings:
        raise LineageError(
            f"the plan {artifact.digest} has no findings to accept, so it needs no waiver: launch "
            "it without one",
            code="nothing-to-waive",
        )
    waiver = Waiver(
        plan=artifact.digest,
        findings=tuple(Accepted(code=note.code, subject=note.subject) for note in findings),
        reason=reason,
        at=now(),
    )
    return SignedWaiver(sign_waiver(runner.store, waiver, artifact), artifact, findings)


def read_plan(runner: StepRunner, digest: str) -> tuple[Plan, Artifact]:
    """Return a stored plan by its digest, with its artifact.

    Raises:
        LineageError: for a digest that is not a plan of this store.
    """
    record = Lineage(runner.store).find(digest)
    output = runner.records.output(record)
    if output is None or output.output_kind != "plan":
        kind = "not in the records" if output is None else f"a {output.output_kind}"
        raise LineageError(
            f"{digest} is {kind}, not a plan: give the digest that a consolidation printed as "
            "its plan",
            code="not-a-plan",
        )
    try:
        plan = Plan.model_validate(json.loads(runner.store.get_bytes(output.output)))
    except (ValidationError, ValueError) as error:
        raise LineageError(f"the plan {digest} cannot be read: {error}") from error
    artifact = Artifact(kind="plan", digest=output.output, record=record, uri=runner.store.uri)
    return plan.model_copy(update={"artifact": artifact}), artifact
