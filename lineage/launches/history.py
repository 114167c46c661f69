"""Every launch of a consolidation with what came of it, from the records alone.

A plan is written once for the same inputs. Each launch of it is one row, even if it reused the
results of an earlier one. An unrecorded value is None, never a guess.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import Field, JsonValue, ValidationError

from lineage.artifacts import Student, parse_manifest
from lineage.errors import LineageError
from lineage.export.subject import NewestOutput
from lineage.graph.index import Index
from lineage.launches.launch import (
    APPROVAL,
    LAUNCH,
    LAUNCHER,
    Decision,
    Launch,
    Launched,
    LaunchFinding,
    LaunchVerdict,
    Lenient,
    Outcome,
    PlannedTeacherSummary,
    Result,
    Waived,
    decided,
)
from lineage.launches.verdicts import REMEDY, newest_verdicts, start_of_rounds
from lineage.launches.waiver import NEVER_WAIVED, projects_that_waive
from lineage.records.record import Attestation, Records
from lineage.registry.survey import overview
from lineage.store.store import Store


class _Plan(Lenient):
    teachers: list[PlannedTeacherSummary]
    notes: list[LaunchFinding] = Field(default_factory=list)


def launches(store: Store) -> tuple[list[Launch], list[str]]:
    """Return every launch with its outcome, oldest first, and what could not be read."""
    reader = _Reader(store)
    found: list[Launch] = []
    for record in reader.plans:
        try:
            found += reader.of_plan(record)
        except (LineageError, ValidationError, ValueError, KeyError) as error:
            reader.problems.append(f"plan {record}: {error}")
    return sorted(found, key=lambda launch: (launch.at, launch.plan)), reader.problems


def launch_of(store: Store, student: str) -> Launch | None:
    """Return the last launch that published a student, by its digest; None without a record."""
    found = [
        launch
        for launch in launches(store)[0]
        if any(result.digest == student for result in launch.students)
    ]
    return found[-1] if found else None


def of_team(launch: Launch, team: str) -> bool:
    """Return whether a plan has a teacher of this team, by owner or by domain."""
    return any(team in {t.owner, t.owner.removeprefix("team-"), t.domain} for t in launch.teachers)


class _Reader:
    def __init__(self, store: Store) -> None:
        self._store, self._records, self._index = store, Records(store), Index(store)
        known = overview(store)
        self._names = {
            digest: [f"{entry.name}@{entry.version}" for entry in entries]
            for digest, entries in known.by_digest().items()
        }
        self._waiving = projects_that_waive(self._records.journal.trust)
        self.plans = self._index.of_kind("plan")
        self._later: dict[str, list[str]] = {}
        for edge in self._index.edges_into(self.plans):
            if edge.role == "plan" and self._are_of_one(edge.parent, edge.child):
                self._later.setdefault(edge.parent, []).append(edge.child)
        self.problems = [*known.problems, *(f"{i.key}: {i.why}" for i in self._index.left_out)]

    def of_plan(self, record: str) -> list[Launch]:
        """Return the launches of a plan that went no further than to it.

        A plan of an older version, which recorded no launches, is one by itself.
        """
        chain = list(self._chain(record))
        project = chain[0].derivation.project
        facts = _Facts(chain, list(self._users((m.attestation.output for m in chain), project)))
        launched = list(self._launched(facts))
        if not launched and record not in self._later:
            return [self._row(facts, None, chain[0].attestation)]
        further = self._executions_beyond(record)
        return [
            self._row(facts, form, attested)
            for form, attested in launched
            if attested.flyte is None or attested.flyte.name not in further
        ]

    def _launched(self, facts: "_Facts") -> Iterator[tuple[Launched, Attestation]]:
        for made in facts.of_kind(LAUNCH):
            if [item.record for item in made.derivation.inputs] != [facts.chain[0].record]:
                continue
            form = Launched.model_validate(made.derivation.settings)
            for attestation in self._records.attestations(made.record):
                yield form, attestation

    def _executions_beyond(self, record: str) -> set[str]:
        """Return the executions that launched a plan which was made of this one."""
        found = set()
        for later in self._later.get(record, ()):
            output = self._records.output(later)
            project = self._records.read(later).project
            for user in self._users([output.output], project) if output else ():
                if user.derivation.kind == LAUNCH:
                    attested = self._records.attestations(user.record)
                    found |= {each.flyte.name for each in attested if each.flyte}
        return found

    def _row(self, facts: "_Facts", form: Launched | None, attested: Attestation) -> Launch:
        plan = _Plan.model_validate(
            json.loads(self._store.get_bytes(facts.chain[0].attestation.output))
        )
        students = [each for each in facts.of_kind("student") if self._is_of(form, each)]
        failures = [each for each in facts.of_kind("failure") if _failed(form, attested, each)]
        decisions = self._decisions(facts, attested if form else None)
        approved = [each for each in decisions if each.decision == "approved"]
        waivers = [_waived(made) for made in facts.of_kind("waiver")]
        run = attested.flyte
        return Launch(
            plan=facts.chain[0].attestation.output,
            at=attested.finished,
            student=_start(facts.chain[0]),
            teachers=plan.teachers,
            inputs=form.inputs if form else None,
            settings=form.round if form else self._settings(students, failures),
            preset=form.preset if form else None,
            preset_version=((run and run.version) or attested.commit or None) if form else None,
            launcher=_text(attested.notes, LAUNCHER),
            approver=approved[-1].by if approved else None,
            decisions=decisions,
            execution=run.name if run else attested.execution or None,
            execution_url=(run.url or None) if run else None,
            findings=plan.notes,
            verdicts=self._verdicts(facts, students),
            waivers=waivers,
            outcome=_outcome(form, plan.notes, waivers, decisions, students, failures),
            students=[
                Result(digest=d, names=self._names.get(d, []))
                for d in dict.fromkeys(made.attestation.output for made in students)
            ],
            error=str(failures[-1].derivation.settings.get("error", "")) if failures else "",
        )

    def _is_of(self, form: Launched | None, student: NewestOutput) -> bool:
        """Return whether a student of a plan is what a launch of it led to."""
        if form is None:
            return True
        return form.led_to(self._manifest(student).settings)

    def _manifest(self, student: NewestOutput) -> Student:
        return parse_manifest(self._store.get_bytes(student.attestation.output), Student)

    def _chain(self, record: str) -> Iterator[NewestOutput]:
        """Yield a plan and those that it was made of, newest first."""
        while record:
            attestation = self._records.output(record)
            if attestation is None:
                raise LineageError(f"the plan of record {record} is not in this store any more")
            made = NewestOutput(record, self._records.read(record), attestation)
            yield made
            before = [item.record for item in made.derivation.inputs if item.role == "plan"]
            record = before[0] if before else ""

    def _are_of_one(self, parent: str, child: str) -> bool:
        """Return whether one project made both records."""
        made = [self._records.read(record) for record in (parent, child) if record]
        return len(made) == 2 and made[0].project == made[1].project

    def _users(self, artifacts: Iterable[str], project: str) -> Iterator[NewestOutput]:
        """Yield what a plan's own project made of it, and waivers of who may sign them.

        Anybody else may attest that a plan was launched, approved or published.
        """
        users = {user for artifact in artifacts for user in self._index.users(artifact)}
        for user in sorted(users):
            derivation = self._records.read(user)
            waives = derivation.kind == "waiver" and derivation.project in self._waiving
            if derivation.project != project and not waives:
                continue
            attestation = self._records.output(user)
            if attestation is not None:
                yield NewestOutput(user, derivation, attestation)

    def _settings(
        self, students: list[NewestOutput], failures: list[NewestOutput]
    ) -> dict[str, JsonValue] | None:
        """Return the settings of the round that a plan of an older version led to."""
        if students:
            return self._manifest(students[-1]).settings
        settings = failures[-1].derivation.settings.get("round") if failures else None
        return settings if isinstance(settings, dict) else None

    def _verdicts(self, facts: "_Facts", students: list[NewestOutput]) -> list[LaunchVerdict]:
        """Return the last verdict on each teacher, with what its remedy brought to the students."""
        checkpoints = [self._manifest(student).checkpoint for student in students]
        starts = {start_of_rounds(self._records, checkpoint) for checkpoint in checkpoints}
        return newest_verdicts(facts.of_kind("gate"), facts.of_kind(REMEDY), starts)

    def _decisions(self, facts: "_Facts", launch: Attestation | None) -> list[Decision]:
        """Return what was decided on a plan, in a launch's execution or in all, oldest first."""
        found = [
            (attestation.finished, decision)
            for made in facts.of_kind(APPROVAL)
            for attestation in self._records.attestations(made.record)
            if launch is None or attestation.flyte is None or _in_one(attestation, launch)
            for decision in decided(made.derivation, [attestation])
        ]
        return [decision for _, decision in sorted(found, key=lambda row: row[0])]


@dataclass(frozen=True)
class _Facts:
    """A plan, those that it was made of, and every record that took one of them."""

    chain: list[NewestOutput]
    """Newest first."""
    users: list[NewestOutput]

    def of_kind(self, kind: str) -> list[NewestOutput]:
        """Return the users of a kind, the oldest first."""
        found = [made for made in self.users if made.derivation.kind == kind]
        return sorted(found, key=lambda made: made.attestation.finished)


def _in_one(one: Attestation, other: Attestation) -> bool:
    """Return whether two attestations are of one execution in Flyte."""
    names = {each.flyte.name if each.flyte else "" for each in (one, other)}
    return len(names) == 1


def _failed(form: Launched | None, launch: Attestation, failure: NewestOutput) -> bool:
    """Return whether a failure is that of a launch."""
    if form is None:
        return True
    if launch.flyte is not None:
        return _in_one(failure.attestation, launch)
    return failure.derivation.settings.get("round", form.round) == form.round


def _start(plan: NewestOutput) -> str:
    found = [item.artifact for item in plan.derivation.inputs if item.role == "student"]
    if not found:
        raise LineageError(f"the plan of record {plan.record} names no student to start from")
    return found[0]


def _waived(made: NewestOutput) -> Waived:
    return Waived.model_validate({**made.derivation.settings, "digest": made.attestation.output})


def _outcome(
    form: Launched | None,
    findings: list[LaunchFinding],
    waivers: list[Waived],
    decisions: list[Decision],
    students: list[NewestOutput],
    failures: list[NewestOutput],
) -> Outcome:
    if students:
        return "published"
    if failures:
        return "failed"
    if decisions and decisions[-1].decision == "rejected":
        return "rejected"
    accepted = {(each["code"], each["subject"]) for w in waivers for each in w.findings}
    counting = [f for f in findings if f.severity == "refusal"]
    left = [f for f in counting if f.code in NEVER_WAIVED or (f.code, f.subject) not in accepted]
    if left:
        return "refused"
    return "open" if form else "proposed"


def _text(notes: dict[str, JsonValue], name: str) -> str | None:
    value = notes.get(name)
    return value if isinstance(value, str) and value else None
