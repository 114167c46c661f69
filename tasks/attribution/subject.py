"""The audited student: its origin, checks that its ledger is its own, and what that can answer."""

import json
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.graph.graph import checkpoint_named, students_of
from lineage.records.record import Derivation
from lineage.records.system_prompt import read_system_prompts
from lineage.registry.names import STUDENT
from lineage.registry.registry import Registry, check_may_publish
from lineage.rules.evidence import artifact_of, taken
from lineage.store.store import Store
from tasks.attribution.replay import can_replay, without_ledger
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.contracts.planned import warm_up_cycles
from tasks.contracts.refusal import RefusedError
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import ledger_derivation
from tasks.platform.step_runner import StepRunner


@dataclass(frozen=True)
class AuditedTeacher:
    """A teacher as named in an audit."""

    name: str
    """Name in ledger and routing."""
    checkpoint: Artifact
    planned: PlannedTeacher | None
    """Entry of the published student's plan; None if the student was not published."""
    reads: str = ""
    """Digest of the system prompt that it alone reads; "" for none."""

    @property
    def domain(self) -> str:
        """Its domain; its name if the student was not published."""
        return self.planned.domain if self.planned else self.name

    def system_prompt(self, store: Store) -> str:
        """Return the system prompt that it alone reads; "" for none."""
        return store.get_bytes(self.reads).decode() if self.reads else ""


@dataclass(frozen=True)
class AuditedStudent:
    """A student with its recorded origin."""

    reference: str
    checkpoint: Artifact
    derivation: Derivation
    start: Artifact
    """Initial checkpoint of its round."""
    origin: Artifact
    """Checkpoint before the warm-up; the start of its round without one. An audit counts the
    change of a behavior, and what a teacher finds more likely, from here."""
    warmed_on: tuple[str, ...]
    """Teachers that the warm-up trained on; () without one."""
    ledger_artifact: Artifact
    ledger: Ledger
    teachers: tuple[AuditedTeacher, ...]
    published: Student | None
    manifest: Artifact | None
    """Manifest of the published student; None if it was not published."""

    @property
    def owners(self) -> dict[str, str]:
        """The only teacher of each domain; a domain with several teachers has no entry."""
        domains: dict[str, list[str]] = {}
        for teacher in self.teachers:
            domains.setdefault(teacher.domain, []).append(teacher.name)
        return {domain: names[0] for domain, names in domains.items() if len(names) == 1}


def find_subject(
    runner: StepRunner, reference: str, *, replay: bool = False, replayed: Artifact | None = None
) -> AuditedStudent:
    """Return the student of a reference (a name or a digest), with its ledger.

    Args:
        runner: StepRunner with the student's store.
        reference: A name or a digest.
        replay: Whether a ledger without displacements suffices if they can be replayed.
        replayed: The replayed displacements, if any; a ledger with its own displacements takes
            precedence.

    Raises:
        LineageError: for a reference that names nothing, or not a model.
        ValueError: for a model that was not made by multi-teacher distillation, or with a missing
            ledger or one without displacements; the message says what is possible and its cost.
    """
    checkpoint = checkpoint_named(runner.store, reference)
    derivation = runner.records.read(checkpoint.record)
    output = runner.records.output(checkpoint.record)
    assert output is not None, "the record gave the checkpoint that was found through it"
    refuse_unfit(reference, derivation)
    ledger_record = ledger_derivation(derivation).digest()
    stored = runner.records.output(ledger_record)
    if stored is None:
        raise RefusedError("no-ledger", without_ledger(reference, output.seconds, None))
    artifact = _artifact(runner, "ledger", stored.output, ledger_record)
    ledger = Ledger.open(runner.store.tree(stored.output))
    if not ledger.manifest.segments:
        if replayed is not None:
            artifact, ledger = replayed, _replayed(runner, reference, artifact, replayed)
        elif not replay or not can_replay(ledger):
            raise RefusedError(
                "no-displacements", without_ledger(reference, output.seconds, ledger)
            )
    manifests = students_of(runner.store, checkpoint)
    manifest = manifests[0] if manifests else None
    published = (
        parse_manifest(runner.store.get_bytes(manifest.digest), Student) if manifest else None
    )
    starts = [item for item in derivation.inputs if item.role == "student"]
    start = _artifact(runner, "checkpoint", starts[0].artifact, starts[0].record)
    origin, warmed_on = _before_warm_up(runner, start)
    return AuditedStudent(
        reference=reference,
        checkpoint=checkpoint,
        derivation=derivation,
        start=start,
        origin=origin,
        warmed_on=warmed_on,
        ledger_artifact=artifact,
        ledger=ledger,
        teachers=_teachers(runner, derivation, published),
        published=published,
        manifest=manifest,
    )


def check_may_audit(runner: StepRunner, manifest: Artifact | None) -> list[str]:
    """Return the names under which the audit of a published student is registered.

    Call it before any retrain: who may not register the audit is refused here.

    Raises:
        NotEntitledError: for a key of another team than the one of the audits.
    """
    if manifest is None:
        return []
    registry = Registry(runner.store)
    names = [
        f"audit.{name.removeprefix(STUDENT)}"
        for name in registry.names()
        if name.startswith(STUDENT)
        and manifest.digest in {entry.digest for entry in registry.readable(name)}
    ]
    for name in names:
        check_may_publish(runner.store, name)
    return names


def _replayed(runner: StepRunner, reference: str, own: Artifact, replayed: Artifact) -> Ledger:
    """Return replayed displacements, after checking that they are of this student's ledger."""
    made = runner.records.read(replayed.record)
    of = [item.artifact for item in made.inputs if item.role == "ledger"]
    if made.kind != "replay" or own.digest not in of:
        raise RefusedError(
            "other-replay",
            f"{replayed.digest} is not a replay of the ledger of {reference!r}: make one with "
            "`provost audit STUDENT --replay`",
        )
    return Ledger.open(runner.store.tree(replayed.digest))


def _before_warm_up(runner: StepRunner, start: Artifact) -> tuple[Artifact, tuple[str, ...]]:
    """Return the checkpoint before a round's warm-up, and the teachers that it trained on."""
    cycles = warm_up_cycles(runner, start)
    if not cycles:
        return start, ()
    names = [item.name for made in reversed(cycles) for item in taken(made, "teacher")]
    return artifact_of(taken(cycles[-1], "start")[0]), tuple(dict.fromkeys(names))


def plan_of(runner: StepRunner, published: Student) -> Plan:
    """Return the plan of a published student."""
    return Plan.model_validate(json.loads(runner.store.get_bytes(published.plan)))


def _teachers(
    runner: StepRunner, derivation: Derivation, published: Student | None
) -> tuple[AuditedTeacher, ...]:
    planned = {t.name: t for t in plan_of(runner, published).teachers} if published else {}
    reads = dict(read_system_prompts(derivation))
    return tuple(
        AuditedTeacher(
            item.name,
            _artifact(runner, "checkpoint", item.artifact, item.record),
            planned.get(item.name),
            reads.get(item.name, ""),
        )
        for item in derivation.inputs
        if item.role == "teacher"
    )


def _artifact(runner: StepRunner, kind: str, digest: str, record: str) -> Artifact:
    return Artifact(kind=kind, digest=digest, record=record, uri=runner.store.uri)


def refuse_unfit(reference: str, derivation: Derivation) -> None:
    """Raise ValueError for a model that cannot be split by teacher."""
    if derivation.kind != "mopd":
        raise RefusedError(
            "not-distilled",
            f"{reference!r} was made by {derivation.kind}, not by multi-teacher distillation, so "
            "it has no updates by teacher: audit a student, such as student@released; `provost "
            "lineage show` prints the ancestry of this model",
        )
