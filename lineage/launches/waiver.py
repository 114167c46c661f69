"""Waivers: a person's signed statement that a plan's findings are accepted, and why.

An in-toto statement in a DSSE envelope, ed25519, like the signature of a release, and a record of
its own that descends from the plan. It names the plan by digest, and a plan's digest covers its
findings: where anything about the teachers changes, the waiver is of another plan.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import Field, JsonValue

from lineage.artifacts import Artifact, Digest
from lineage.digest import canonical_json, hex_of, parse_json
from lineage.dsse import PAYLOAD_TYPE, Envelope, parse_envelope, sign
from lineage.errors import LineageError, NotEntitledError, NoTrustRootError, NotWaivableError
from lineage.frozen import Frozen
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.store.store import Store
from lineage.trust.root import TrustRoot
from lineage.trust.statement import STATEMENT_TYPE

PREDICATE_TYPE = "urn:provost:waiver:2"
PUBLISHES = "student."
"""Name prefix of students: a team that may sign such a name may accept findings."""

NEVER_WAIVED = {
    "false-ancestry": "what the release says of itself is not true",
    "false-identity": "what the release says of itself is not true",
    "other-tokenizer": "ids that mean different words cannot be compared",
    "unproven-ancestry": "`provost teacher import` checks its declared fork point and records it",
    "recalled-input": "the recall holds until the owner releases a new version",
    "teacher-not-finite": "its outputs are NaN or infinite",
    "teacher-uniform": "its weights are lost, so there is nothing to accept",
    "prompt-too-long": "a round refuses the prompt, whatever was accepted",
    "swapped-domain": "the routing would send prompts to the wrong teacher",
}
"""Findings that no waiver accepts, and why."""


class Accepted(Frozen):
    """One finding that is accepted."""

    code: str
    subject: str


class Waiver(Frozen):
    """The findings that a person accepts, and the reason."""

    plan: Digest
    findings: tuple[Accepted, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: str
    """ISO 8601, in UTC."""


@dataclass(frozen=True)
class Signed:
    """A valid waiver with its signer."""

    artifact: Artifact
    waiver: Waiver
    team: str
    """Team of the key that signed it."""


def sign_waiver(store: Store, waiver: Waiver, plan: Artifact) -> Artifact:
    """Sign a waiver of a stored plan and append its record; return the envelope as an artifact.

    Raises:
        NotWaivableError: for a finding that is never waived.
        NotEntitledError: if the team of the key may not sign students.
    """
    check_waivable(waiver)
    records = Records(store)
    author, trust = records.journal.author, records.journal.trust
    assert trust is not None
    if problem := _may_not(author.team, trust):
        raise NotEntitledError(f"this waiver would not be valid: {problem}")
    envelope = sign(canonical_json(_statement(waiver, trust.store)), author.key)
    digest = store.put_bytes(envelope.to_bytes())
    derivation = _derivation(waiver, digest, plan.record, author.project)
    attestation = Attestation(
        derivation=derivation.digest(),
        output=digest,
        output_kind="waiver",
        started=waiver.at,
        finished=waiver.at,
    )
    record = records.write(derivation, attestation)
    return Artifact(kind="waiver", digest=digest, record=record, uri=store.uri)


def check_waivable(waiver: Waiver) -> None:
    """Raise NotWaivableError for a finding that no waiver accepts."""
    for finding in waiver.findings:
        if finding.code in NEVER_WAIVED:
            raise NotWaivableError(
                f"{finding.subject} [{finding.code}] is never waived: "
                f"{NEVER_WAIVED[finding.code]}. Leave the teacher out, or have its owner release "
                "it again"
            )


def read_waiver(store: Store, digest: str, plan: Artifact) -> Signed:
    """Return the waiver of a plan if it is valid.

    Raises:
        LineageError: if the artifact is not a waiver, or of another plan or store.
        NotEntitledError: if the signer may not sign students.
        NotWaivableError: for a finding that can never be waived.
    """
    records = Records(store)
    trust = records.journal.trust
    if trust is None:
        raise NoTrustRootError(
            f"{store.uri} has no trust root, so the signer of the waiver {digest} cannot be "
            "checked: add a trust root with `provost lineage adopt`"
        )
    envelope, waiver = _parse(digest, store.get_bytes(digest), trust.store)
    check_waivable(waiver)
    if waiver.plan != plan.digest:
        raise LineageError(
            f"the waiver {digest} is for plan {waiver.plan}, but this plan is {plan.digest}: "
            "teachers, student or findings have changed since. Read the new findings, then run "
            f"provost waive {plan.digest} --reason '...'",
            code="plan-changed",
        )
    team = _signed_by(digest, envelope, trust)
    record = _derivation(waiver, digest, plan.record, trust.project_of(team)).digest()
    records.read(record)
    artifact = Artifact(kind="waiver", digest=digest, record=record, uri=store.uri)
    return Signed(artifact, waiver, team)


def parse_waiver(digest: str, data: bytes) -> Waiver:
    """Return the content of a waiver, without checking its signer or store.

    Raises:
        LineageError: if the artifact is not a waiver.
    """
    try:
        said: Any = parse_json(parse_envelope(data, digest).payload)
        predicate = said["predicate"]
        return Waiver.model_validate({name: predicate[name] for name in Waiver.model_fields})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_waiver(digest, error) from error


def _parse(digest: str, data: bytes, store_id: str) -> tuple[Envelope, Waiver]:
    waiver = parse_waiver(digest, data)
    envelope = parse_envelope(data, digest)
    if envelope.payload_type != PAYLOAD_TYPE or json.loads(envelope.payload) != _statement(
        waiver, store_id
    ):
        raise _no_waiver(digest, "its type, subject or store is not that of a waiver here")
    return envelope, waiver


def _no_waiver(digest: str, why: object) -> LineageError:
    return LineageError(
        f"{digest} is not a valid waiver: {why}. Give the digest that `provost waive` printed"
    )


def _statement(waiver: Waiver, store_id: str) -> dict[str, JsonValue]:
    """Return the in-toto statement of a waiver: the plan is its subject."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "plan", "digest": {"sha256": hex_of(waiver.plan)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"store": store_id, **waiver.model_dump(mode="json")},
    }


def _signed_by(digest: str, envelope: Envelope, trust: TrustRoot) -> str:
    """Return the team that signed, if its key is in effect and it answers for students."""
    why = "it carries no signature"
    for keyid in envelope.signatures:
        known = trust.team_of_key(keyid)
        if known is None:
            why = f"key {keyid[:16]} is not in the trust root"
            continue
        team, key = known
        why = key.why_not() or _may_not(team, trust)
        if not why and not envelope.is_signed_by(key.public):
            why = f"the signature of {team} does not match its content"
        if not why:
            return team
    raise NotEntitledError(
        f"the waiver {digest} is not valid: {why}. Have a team that may sign students sign it: "
        "provost waive PLAN --reason '...'"
    )


def projects_that_waive(trust: TrustRoot | None) -> set[str]:
    """Return the projects of the teams that may sign waivers."""
    teams = trust.teams if trust else {}
    return {trust.project_of(team) for team in teams if trust and not _may_not(team, trust)}


def _may_not(team: str, trust: TrustRoot) -> str:
    names = trust.teams[team].names
    if any(name.startswith(PUBLISHES) or name == "*" for name in names):
        return ""
    return f"its signer {team} owns no {PUBLISHES}* name, so it may not sign students"


def _derivation(waiver: Waiver, envelope: str, plan_record: str, project: str) -> Derivation:
    return Derivation(
        project=project,
        kind="waiver",
        inputs=(Input(role="plan", artifact=waiver.plan, record=plan_record),),
        source=PREDICATE_TYPE,
        settings={"envelope": envelope, **waiver.model_dump(mode="json")},
        seed=0,
    )
