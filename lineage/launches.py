"""Every plan of a consolidation with what came of it, from the records alone.

A plan is written once for the same inputs: a launch that repeats another finds its records, and
both are one row here. What no record says is None, never a guess.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from lineage.approval import KIND, Decision, decided
from lineage.artifacts import Frozen, Student, parse_manifest
from lineage.errors import LineageError
from lineage.export.subject import Made
from lineage.index import Index
from lineage.record import Records
from lineage.store import Store
from lineage.survey import survey
from lineage.waiver import NEVER_WAIVED

Outcome = Literal["published", "failed", "refused", "open"]


class _Lenient(BaseModel):
    """A part of a stored document: other fields are for other readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Teacher(_Lenient):
    """A teacher of a plan."""

    reference: str
    """As it was resolved: ``teacher.math@3``."""
    domain: str
    owner: str
    share: float
    """Of its domain's rollouts."""


class Finding(_Lenient):
    """What the records or the gate say against a teacher."""

    code: str
    severity: str
    """refusal, warning or note."""
    subject: str


class Verdict(_Lenient):
    """What the gate measured of a teacher."""

    name: str
    verdict: str
    predicted: float | None = None
    """The share of its gain that the student should have; None where it was not predicted."""


class Waived(_Lenient):
    """A signed statement that findings are accepted."""

    digest: str
    reason: str
    at: str
    findings: list[dict[str, str]]
    """Each a code and a subject."""


class Result(_Lenient):
    """A student that came of a plan."""

    digest: str
    names: list[str]
    """Registry versions, such as ``student.general@4``."""


class Launch(Frozen):
    """One plan of a consolidation."""

    plan: str
    """Its digest; behind the gate where it went through one."""
    at: str
    """When the plan was written: ISO 8601, UTC; "" where that is not recorded."""
    student: str
    """Digest of the checkpoint that the student starts from."""
    teachers: list[Teacher]
    settings: dict[str, JsonValue] | None
    """Of the round; None where none was begun."""
    preset: str | None
    preset_version: str | None
    launcher: str | None
    """Who asked for it."""
    approver: str | None
    """Of the last approval; "" where it was given in the console, None where there is none."""
    decisions: list[Decision]
    """Of every execution that came through the review, oldest first."""
    execution: str | None
    """Flyte's id; None for a run on one machine."""
    execution_url: str | None
    findings: list[Finding]
    verdicts: list[Verdict]
    waivers: list[Waived]
    outcome: Outcome
    """published, failed after its plan, refused, or open: nothing of it is recorded yet."""
    students: list[Result]
    error: str = ""
    """Of the newest failure; "" where none is recorded."""


class _Plan(_Lenient):
    teachers: list[Teacher]
    notes: list[Finding] = Field(default_factory=list)


def launches(store: Store) -> tuple[list[Launch], list[str]]:
    """Return every plan with its outcome, oldest first, and what could not be read."""
    reader = _Reader(store)
    found = []
    for record in reader.plans():
        try:
            found.append(reader.launch(record))
        except (LineageError, ValidationError, ValueError, KeyError) as error:
            reader.problems.append(f"plan {record}: {error}")
    return sorted(found, key=lambda launch: (launch.at, launch.plan)), reader.problems


def of_team(launch: Launch, team: str) -> bool:
    """Return whether a team's teacher is among a plan's: by its owner, or its domain."""
    return any(team in {t.owner, t.owner.removeprefix("team-"), t.domain} for t in launch.teachers)


class _Reader:
    def __init__(self, store: Store) -> None:
        self._store, self._records, self._index = store, Records(store), Index(store)
        known = survey(store)
        self._names = {
            digest: [f"{entry.name}@{entry.version}" for entry in entries]
            for digest, entries in known.by_digest().items()
        }
        self.problems = [*known.problems, *(f"{i.key}: {i.why}" for i in self._index.left_out)]

    def plans(self) -> list[str]:
        """Return the records of plans from which no later plan was made."""
        records = self._index.of_kind("plan")
        earlier = {edge.parent for edge in self._index.edges_into(records) if edge.role == "plan"}
        return [record for record in records if record not in earlier]

    def launch(self, record: str) -> Launch:
        chain = list(self._chain(record))
        last = chain[0]
        plan = _Plan.model_validate(json.loads(self._store.get_bytes(last.attestation.output)))
        users = list(self._users(made.attestation.output for made in chain))
        students = [made for made in users if made.derivation.kind == "student"]
        failures = sorted(
            (made for made in users if made.derivation.kind == "failure"),
            key=lambda made: made.attestation.finished,
        )
        decisions = self._decisions(users)
        approved = [each for each in decisions if each.decision == "approved"]
        waivers = [_waived(made) for made in users if made.derivation.kind == "waiver"]
        verdicts = [
            verdict
            for made in users
            if made.derivation.kind == "gate"
            for verdict in _verdicts(made)
        ]
        notes: dict[str, JsonValue] = {}
        for made in reversed(chain):
            notes |= made.attestation.notes
        attested = last.attestation
        return Launch(
            plan=attested.output,
            at=attested.finished,
            student=_start(last),
            teachers=plan.teachers,
            settings=self._settings(students, failures),
            preset=_text(notes, "preset"),
            preset_version=_text(notes, "preset_version"),
            launcher=_text(notes, "launcher"),
            approver=approved[-1].by if approved else None,
            decisions=decisions,
            execution=attested.execution or None,
            execution_url=(attested.flyte.url or None) if attested.flyte else None,
            findings=plan.notes,
            verdicts=verdicts,
            waivers=waivers,
            outcome=_outcome(plan.notes, waivers, students, failures),
            students=[
                Result(digest=d, names=self._names.get(d, []))
                for d in dict.fromkeys(made.attestation.output for made in students)
            ],
            error=str(failures[-1].derivation.settings.get("error", "")) if failures else "",
        )

    def _chain(self, record: str) -> Iterator[Made]:
        """Yield a plan and those that it was made of, newest first."""
        while record:
            attestation = self._records.output(record)
            if attestation is None:
                raise LineageError(f"the plan of record {record} is not in this store any more")
            made = Made(record, self._records.read(record), attestation)
            yield made
            before = [item.record for item in made.derivation.inputs if item.role == "plan"]
            record = before[0] if before else ""

    def _users(self, artifacts: Iterable[str]) -> Iterator[Made]:
        users = {user for artifact in artifacts for user in self._index.users(artifact)}
        for user in sorted(users):
            attestation = self._records.output(user)
            if attestation is not None:
                yield Made(user, self._records.read(user), attestation)

    def _settings(self, students: list[Made], failures: list[Made]) -> dict[str, JsonValue] | None:
        """Return the settings of the round that a plan led to."""
        if students:
            data = self._store.get_bytes(students[-1].attestation.output)
            return parse_manifest(data, Student).settings
        settings = failures[-1].derivation.settings.get("round") if failures else None
        return settings if isinstance(settings, dict) else None

    def _decisions(self, users: list[Made]) -> list[Decision]:
        """Return what was decided on a plan, in the order of time."""
        found = [
            (attestation.finished, decision)
            for made in users
            if made.derivation.kind == KIND
            for attestation in self._records.attestations(made.record)
            for decision in decided(made.derivation, [attestation])
        ]
        return [decision for _, decision in sorted(found, key=lambda row: row[0])]


def _start(plan: Made) -> str:
    return next(item.artifact for item in plan.derivation.inputs if item.role == "student")


def _waived(made: Made) -> Waived:
    return Waived.model_validate({**made.derivation.settings, "digest": made.attestation.output})


def _verdicts(made: Made) -> list[Verdict]:
    teachers = made.derivation.settings.get("teachers")
    return [Verdict.model_validate(each) for each in teachers] if isinstance(teachers, list) else []


def _outcome(
    findings: list[Finding],
    waivers: list[Waived],
    students: list[Made],
    failures: list[Made],
) -> Outcome:
    if students:
        return "published"
    if failures:
        return "failed"
    accepted = {(each["code"], each["subject"]) for w in waivers for each in w.findings}
    counting = [f for f in findings if f.severity == "refusal"]
    left = [f for f in counting if f.code in NEVER_WAIVED or (f.code, f.subject) not in accepted]
    return "refused" if left else "open"


def _text(notes: dict[str, JsonValue], name: str) -> str | None:
    value = notes.get(name)
    return value if isinstance(value, str) and value else None
