"""A person accepts the findings of a plan, and signs it."""

import json
from dataclasses import dataclass

from pydantic import ValidationError

from lineage.artifacts import Artifact
from lineage.compatibility import Finding
from lineage.errors import LineageError
from lineage.graph import Lineage
from lineage.registry import now
from lineage.waiver import Accepted, Waiver, sign_waiver
from tasks.gate.decide import refused
from tasks.handover import Level, Plan
from tasks.step import Bench


@dataclass(frozen=True)
class SignedWaiver:
    """A waiver as it was signed."""

    artifact: Artifact
    plan: Artifact
    findings: list[Finding]


def waive(bench: Bench, digest: str, reason: str) -> SignedWaiver:
    """Sign that all findings for which a plan is or could be refused are accepted.

    Raises:
        LineageError: for an empty reason, what is no stored plan, a plan that nothing speaks
            against, and a finding that is never waived.
        NotEntitledError: for a key that does not answer for students.
    """
    if not reason.strip():
        raise LineageError("a waiver needs a reason: those who come later have nothing else")
    plan, artifact = read_plan(bench, digest)
    findings = refused(plan, Level.WARNING)
    if not findings:
        raise LineageError(f"nothing speaks against the plan {artifact.digest}: it needs no waiver")
    waiver = Waiver(
        plan=artifact.digest,
        findings=tuple(Accepted(code=note.code, subject=note.subject) for note in findings),
        reason=reason,
        at=now(),
    )
    return SignedWaiver(sign_waiver(bench.store, waiver, artifact), artifact, findings)


def read_plan(bench: Bench, digest: str) -> tuple[Plan, Artifact]:
    """Return a stored plan by its digest, and where it stands.

    Raises:
        LineageError: for what is no plan of this store.
    """
    record = Lineage(bench.store).find(digest)
    made = bench.records.output(record)
    if made is None or made.output_kind != "plan":
        kind = "nothing that is kept" if made is None else f"a {made.output_kind}"
        raise LineageError(
            f"{digest} is {kind}, not a plan: give the digest that a consolidation printed as "
            "its plan"
        )
    try:
        plan = Plan.model_validate(json.loads(bench.store.get_bytes(made.output)))
    except (ValidationError, ValueError) as error:
        raise LineageError(f"{digest} is no plan that can be read: {error}") from error
    artifact = Artifact(kind="plan", digest=made.output, record=record, uri=bench.store.uri)
    return plan.model_copy(update={"artifact": artifact}), artifact
