"""Waivers: a person's signed statement that a plan's findings are accepted, and why.

An in-toto statement in a DSSE envelope, ed25519, like the signature of a release, and a record of
its own that descends from the plan. It names the plan by digest, and a plan's digest covers its
findings: where anything about the teachers changes, the waiver is of another plan.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue

from lineage.artifacts import Artifact, Digest, Frozen
from lineage.digest import canonical_json, hex_of
from lineage.documents import to_json
from lineage.errors import LineageError, NotWaivableError
from lineage.record import Attestation, Derivation, Input, Records
from lineage.signing import PAYLOAD_TYPE, STATEMENT_TYPE, fits, signer_of
from lineage.store import Store
from lineage.trust import TrustRoot

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope

PREDICATE_TYPE = "urn:provost:waiver:1"
PUBLISHES = "student."
"""Whoever may sign a name that begins so answers for students, and may accept findings."""

NEVER_WAIVED = {
    "bad-signature": "a signature that does not hold is a fault or a forgery",
    "false-ancestry": "what the release says of itself is not true",
    "other-tokenizer": "ids that mean different words cannot be compared",
    "recalled-input": "the owner's recall stands until a new version is released",
    "teacher-not-finite": "its answers are no numbers",
    "teacher-uniform": "its weights are lost, so there is nothing to accept",
    "swapped-domain": "the routing would send prompts to the wrong teacher",
}
"""Findings that no waiver accepts, and why."""


class Accepted(Frozen):
    """One finding that is accepted."""

    code: str
    subject: str


class Waiver(Frozen):
    """What a person accepts, and why."""

    plan: Digest
    findings: tuple[Accepted, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: str
    """ISO 8601, in UTC."""


@dataclass(frozen=True)
class Signed:
    """A waiver that holds."""

    artifact: Artifact
    waiver: Waiver
    team: str
    """Whose key signed it."""


def sign_waiver(store: Store, waiver: Waiver, plan: Artifact, private_pem: str) -> Artifact:
    """Sign a waiver of a stored plan and append its record; return the envelope as an artifact.

    Raises:
        NotWaivableError: for a finding that is never waived.
        LineageError: for a key that is none.
    """
    from securesystemslib.dsse import Envelope  # noqa: PLC0415 - it imports boto3 where there is

    check_waivable(waiver)
    envelope = Envelope(canonical_json(_statement(waiver)), PAYLOAD_TYPE, {})
    envelope.sign(signer_of(private_pem))
    digest = store.put_bytes(canonical_json(envelope.to_dict()))
    derivation = _derivation(waiver, digest, plan.record)
    attestation = Attestation(
        derivation=derivation.digest(),
        output=digest,
        output_kind="waiver",
        started=waiver.at,
        finished=waiver.at,
    )
    record = Records(store).write(derivation, attestation)
    return Artifact(kind="waiver", digest=digest, record=record, uri=store.uri)


def check_waivable(waiver: Waiver) -> None:
    """Raise NotWaivableError for a finding that no waiver accepts."""
    for finding in waiver.findings:
        if finding.code in NEVER_WAIVED:
            raise NotWaivableError(
                f"{finding.subject} [{finding.code}] is never waived: {NEVER_WAIVED[finding.code]}."
                " Leave the teacher out, or have its owner release it anew"
            )


def read_waiver(store: Store, digest: str, plan: Artifact, trust: TrustRoot | None) -> Signed:
    """Return the waiver of a plan, if its signature holds.

    Raises:
        LineageError: for what is no waiver, one of another plan, one that no team with students
            has signed, and where there is no trust root to tell.
        NotWaivableError: for a finding that is never waived, whoever signed it.
    """
    envelope, waiver = _parse(digest, store.get_bytes(digest))
    check_waivable(waiver)
    if waiver.plan != plan.digest:
        raise LineageError(
            f"the waiver {digest} is of the plan {waiver.plan}, this plan is {plan.digest}: "
            "teachers, student or findings have changed since. Read the new findings, then "
            f"provost waive {plan.digest} --reason '...'"
        )
    team = _signed_by(digest, envelope, waiver, trust)
    record = _derivation(waiver, digest, plan.record).digest()
    Records(store).read(record)
    return Signed(
        Artifact(kind="waiver", digest=digest, record=record, uri=store.uri), waiver, team
    )


def _parse(digest: str, data: bytes) -> tuple["Envelope", Waiver]:
    from securesystemslib.dsse import Envelope  # noqa: PLC0415

    try:
        envelope = Envelope.from_dict(json.loads(data))
        document = json.loads(envelope.payload)
        waiver = Waiver.model_validate(document["predicate"])
        if envelope.payload_type != PAYLOAD_TYPE or document != _statement(waiver):
            raise ValueError("its type or its subject is not that of a waiver")  # noqa: TRY301
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LineageError(
            f"{digest} is no waiver: {error}. Give the digest that `provost waive` printed"
        ) from error
    return envelope, waiver


def _statement(waiver: Waiver) -> dict[str, JsonValue]:
    """Return the in-toto statement of a waiver: the plan is its subject."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "plan", "digest": {"sha256": hex_of(waiver.plan)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": to_json(waiver),
    }


def _signed_by(digest: str, envelope: "Envelope", waiver: Waiver, trust: TrustRoot | None) -> str:
    """Return the team that signed, if its key is believed and it answers for students."""
    if trust is None:
        raise LineageError(
            f"there is no trust root here, so nobody can tell who signed the waiver {digest}: name "
            "the file with $PROVOST_TRUST, such as infra/trust.toml"
        )
    why = "it carries no signature"
    for keyid in envelope.signatures:
        known = trust.team_of_key(keyid)
        if known is None:
            why = f"key {keyid[:16]} is not in the trust root"
            continue
        team, key = known
        why = key.why_not(waiver.at) or _may_not(team, trust)
        if not why and not fits(envelope, key):
            why = f"the signature of {team} does not fit what it says"
        if not why:
            return team
    raise LineageError(
        f"the waiver {digest} does not hold: {why}. Have somebody sign it who answers for the "
        "student: provost waive PLAN --reason '...'"
    )


def _may_not(team: str, trust: TrustRoot) -> str:
    if any(name.startswith(PUBLISHES) for name in trust.teams[team].names):
        return ""
    return f"{team} signed it, which owns no {PUBLISHES}* name and does not answer for students"


def _derivation(waiver: Waiver, envelope: str, plan_record: str) -> Derivation:
    return Derivation(
        kind="waiver",
        inputs=(Input(role="plan", artifact=waiver.plan, record=plan_record),),
        source=PREDICATE_TYPE,
        settings={"envelope": envelope, **waiver.model_dump(mode="json")},
        seed=0,
    )
