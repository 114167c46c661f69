"""The audited student: what made it, and whether its ledger is its own."""

import json
from dataclasses import dataclass

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.named import checkpoint_named, students_of
from lineage.record import Derivation
from tasks.attribution.ledger_access import can_replay, refuse_unfit, without_ledger
from tasks.attribution.trajectory import Weights
from tasks.handover import Plan, PlannedTeacher
from tasks.ledger.reader import Completeness, Ledger
from tasks.ledger.schema import ledger_derivation
from tasks.model.files import Policy, load_model, load_policy
from tasks.step_runner import StepRunner


@dataclass(frozen=True)
class AuditedTeacher:
    """A teacher as an audit names it."""

    name: str
    """As ledger and routing call it."""
    checkpoint: Artifact
    planned: PlannedTeacher | None
    """What its release says; None where no published student tells the plan."""


@dataclass(frozen=True)
class AuditedStudent:
    """A student with all that its records say of its making."""

    reference: str
    checkpoint: Artifact
    derivation: Derivation
    start: Artifact
    """The checkpoint that its round began with."""
    ledger_artifact: Artifact
    ledger: Ledger
    teachers: tuple[AuditedTeacher, ...]
    published: Student | None
    manifest: Artifact | None
    """Of the published student; None where it was not published."""

    @property
    def owners(self) -> dict[str, str]:
        """Domain to its one teacher; a domain that several share has no owner to guess."""
        domains: dict[str, list[str]] = {}
        for teacher in self.teachers:
            domain = teacher.planned.domain if teacher.planned else teacher.name
            domains.setdefault(domain, []).append(teacher.name)
        return {domain: names[0] for domain, names in domains.items() if len(names) == 1}


def find_subject(
    runner: StepRunner, reference: str, *, replay: bool = False, replayed: Artifact | None = None
) -> AuditedStudent:
    """Return the student that a reference (a name, a digest) is about, with its ledger.

    Args:
        runner: Where it lies.
        reference: A name or a digest.
        replay: Whether a ledger without displacements will do, as long as they can be replayed.
        replayed: They, where they were; a ledger that holds them itself is taken instead.

    Raises:
        LineageError: for a reference that nothing answers to, or that is about no model.
        ValueError: for a model that multi-teacher distillation did not make, or with a ledger that
            is missing or holds no displacements; the message says what is possible and its cost.
    """
    checkpoint = checkpoint_named(runner.store, reference)
    derivation = runner.records.read(checkpoint.record)
    output = runner.records.output(checkpoint.record)
    assert output is not None, "the record gave the checkpoint that was found through it"
    refuse_unfit(reference, derivation)
    ledger_record = ledger_derivation(derivation).digest()
    stored = runner.records.output(ledger_record)
    if stored is None:
        raise ValueError(without_ledger(reference, output.seconds, None))
    artifact = _artifact(runner, "ledger", stored.output, ledger_record)
    ledger = Ledger.open(runner.store.tree(stored.output))
    if not ledger.manifest.segments:
        if replayed is not None:
            artifact, ledger = replayed, _replayed(runner, reference, artifact, replayed)
        elif not replay or not can_replay(ledger):
            raise ValueError(without_ledger(reference, output.seconds, ledger))
    manifests = students_of(runner.store, checkpoint)
    manifest = manifests[0] if manifests else None
    published = (
        parse_manifest(runner.store.get_bytes(manifest.digest), Student) if manifest else None
    )
    starts = [item for item in derivation.inputs if item.role == "student"]
    return AuditedStudent(
        reference=reference,
        checkpoint=checkpoint,
        derivation=derivation,
        start=_artifact(runner, "checkpoint", starts[0].artifact, starts[0].record),
        ledger_artifact=artifact,
        ledger=ledger,
        teachers=_teachers(runner, derivation, published),
        published=published,
        manifest=manifest,
    )


def _replayed(runner: StepRunner, reference: str, own: Artifact, replayed: Artifact) -> Ledger:
    """Return replayed displacements, after checking that they are of this student's ledger."""
    made = runner.records.read(replayed.record)
    of = [item.artifact for item in made.inputs if item.role == "ledger"]
    if made.kind != "replay" or own.digest not in of:
        raise ValueError(
            f"{replayed.digest} is no replay of the ledger of {reference!r}: make one with "
            "`provost audit STUDENT --replay`"
        )
    return Ledger.open(runner.store.tree(replayed.digest))


def plan_of(runner: StepRunner, published: Student) -> Plan:
    """Return the plan that a published student came of."""
    return Plan.model_validate(json.loads(runner.store.get_bytes(published.plan)))


def _teachers(
    runner: StepRunner, derivation: Derivation, published: Student | None
) -> tuple[AuditedTeacher, ...]:
    planned = {t.name: t for t in plan_of(runner, published).teachers} if published else {}
    return tuple(
        AuditedTeacher(
            item.name,
            _artifact(runner, "checkpoint", item.artifact, item.record),
            planned.get(item.name),
        )
        for item in derivation.inputs
        if item.role == "teacher"
    )


def _artifact(runner: StepRunner, kind: str, digest: str, record: str) -> Artifact:
    return Artifact(kind=kind, digest=digest, record=record, uri=runner.store.uri)


@dataclass(frozen=True)
class Opened:
    """A subject's models in memory."""

    policy: Policy
    """Architecture and tokenizer, with the student's weights."""
    start: Weights
    end: Weights
    completeness: Completeness


def open_models(runner: StepRunner, subject: AuditedStudent) -> Opened:
    """Load what the round began and ended with, after checking that the ledger is of these.

    Raises:
        ValueError: if the ledger is of other weights, or does not add up.
    """
    policy = load_policy(runner.store.tree(subject.checkpoint.digest))
    start = load_weights(runner, subject.start)
    end = {name: tensor.detach() for name, tensor in policy.model.named_parameters()}
    completeness = subject.ledger.check(start, end)
    # The model lends its architecture to the scorers; what it holds must not change with them.
    return Opened(policy, start, {n: t.clone().float() for n, t in end.items()}, completeness)


def own_policy(runner: StepRunner, subject: AuditedStudent) -> Policy:
    """Return the student, after checking that its ledger is of it and of what it started from.

    Raises:
        ValueError: if the ledger is of other weights.
    """
    policy = load_policy(runner.store.tree(subject.checkpoint.digest))
    end = {name: tensor.detach() for name, tensor in policy.model.named_parameters()}
    subject.ledger.check_weights(load_weights(runner, subject.start), end)
    return policy


def load_weights(runner: StepRunner, checkpoint: Artifact) -> Weights:
    """Return a checkpoint's parameters by name."""
    model = load_model(runner.store.tree(checkpoint.digest))
    return {name: tensor.detach() for name, tensor in model.named_parameters()}
