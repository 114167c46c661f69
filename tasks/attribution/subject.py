"""The student that is asked about: who made it of what, and whether its ledger is its own."""

import json
from dataclasses import dataclass
from datetime import datetime

from lineage.artifacts import Artifact, Student, parse_manifest
from lineage.named import checkpoint_named, students_of
from lineage.record import Attestation, Derivation
from tasks.attribution.course import Weights
from tasks.handover import Plan, PlannedTeacher
from tasks.ledger.naming import ledger_derivation
from tasks.ledger.read import Completeness, Ledger
from tasks.model.files import Policy, load_model, load_policy
from tasks.progress import format_seconds
from tasks.step import Bench


@dataclass(frozen=True)
class Teacher:
    """A teacher as an audit names it."""

    name: str
    """As ledger and routing call it."""
    checkpoint: Artifact
    planned: PlannedTeacher | None
    """What its release says; None where no published student tells the plan."""


@dataclass(frozen=True)
class Subject:
    """A student with all that its records say of its making."""

    reference: str
    checkpoint: Artifact
    derivation: Derivation
    start: Artifact
    """The checkpoint that its round began with."""
    ledger_artifact: Artifact
    ledger: Ledger
    teachers: tuple[Teacher, ...]
    published: Student | None
    manifest: Artifact | None
    """Of the published student; None where nobody published it."""

    @property
    def owners(self) -> dict[str, str]:
        """Domain to its one teacher; a domain that several share has no owner to guess."""
        domains: dict[str, list[str]] = {}
        for teacher in self.teachers:
            domain = teacher.planned.domain if teacher.planned else teacher.name
            domains.setdefault(domain, []).append(teacher.name)
        return {domain: names[0] for domain, names in domains.items() if len(names) == 1}


def find_subject(bench: Bench, reference: str) -> Subject:
    """Return the student that a reference (a name, a digest) is about, with its ledger.

    Raises:
        LineageError: for a reference that nothing answers to, or that is about no model.
        ValueError: for a model that multi-teacher distillation did not make, or whose ledger is
            missing or holds no displacements; the message says what is possible and its cost.
    """
    checkpoint = checkpoint_named(bench.store, reference)
    derivation = bench.records.read(checkpoint.record)
    made = bench.records.output(checkpoint.record)
    assert made is not None, "the record gave the checkpoint that was found through it"
    _refuse_unfit(reference, derivation)
    ledger_record = ledger_derivation(derivation).digest()
    stored = bench.records.output(ledger_record)
    if stored is None:
        raise ValueError(_no_ledger(reference, "it has no ledger in this store", made))
    ledger = Ledger.open(bench.store.tree(stored.output))
    if not ledger.manifest.segments:
        kept = sum(1 for _ in ledger.rollouts())
        why = (
            f"its ledger holds no displacements. It keeps {kept} rollouts, of which "
            "tasks.attribution.replay makes approximate displacements from Python, in less time "
            "than the round took"
        )
        raise ValueError(_no_ledger(reference, why, made))
    manifests = students_of(bench.store, checkpoint)
    manifest = manifests[0] if manifests else None
    published = (
        parse_manifest(bench.store.get_bytes(manifest.digest), Student) if manifest else None
    )
    starts = [item for item in derivation.inputs if item.role == "student"]
    return Subject(
        reference=reference,
        checkpoint=checkpoint,
        derivation=derivation,
        start=_artifact(bench, "checkpoint", starts[0].artifact, starts[0].record),
        ledger_artifact=_artifact(bench, "ledger", stored.output, ledger_record),
        ledger=ledger,
        teachers=_teachers(bench, derivation, published),
        published=published,
        manifest=manifest,
    )


def _refuse_unfit(reference: str, derivation: Derivation) -> None:
    if derivation.kind != "mopd":
        raise ValueError(
            f"{reference!r} was made by {derivation.kind}, not by multi-teacher distillation, so "
            "there are no teachers' updates to tell apart: audit a student, such as "
            "student@released; `provost lineage show` says what this one is made of"
        )
    loop = derivation.settings.get("loop")
    if isinstance(loop, dict) and loop.get("adapter"):
        raise ValueError(
            f"{reference!r} learned by adapters, and its ledger is of these and not of its whole "
            "weights: an audit of adapters is not built. A retrain with each teacher masked in "
            "turn answers for its absence"
        )


def _no_ledger(reference: str, why: str, made: Attestation) -> str:
    took = _seconds(made)
    again = f"about {format_seconds(took)}, as it took then" if took else "as long as it took then"
    return (
        f"{reference!r} cannot be audited: {why}. What is possible, and what it costs: (1) run "
        f"its consolidation again with the ledger's displacements on: {again}; the records give "
        "the same student, and then everything can be asked; (2) retrain it with each teacher "
        "masked in turn (mopd settings, distil.masked): as long for each teacher, and it answers "
        "for absence alone; (3) compare what teachers and student say by their log-probabilities: "
        "seconds, but it knows nothing of the training"
    )


def _seconds(made: Attestation) -> float:
    if not made.started or not made.finished:
        return 0.0
    begun, ended = map(datetime.fromisoformat, (made.started, made.finished))
    return max(0.0, (ended - begun).total_seconds())


def plan_of(bench: Bench, published: Student) -> Plan:
    """Return the plan that a published student came of."""
    return Plan.model_validate(json.loads(bench.store.get_bytes(published.plan)))


def _teachers(
    bench: Bench, derivation: Derivation, published: Student | None
) -> tuple[Teacher, ...]:
    planned = {t.name: t for t in plan_of(bench, published).teachers} if published else {}
    return tuple(
        Teacher(
            item.name,
            _artifact(bench, "checkpoint", item.artifact, item.record),
            planned.get(item.name),
        )
        for item in derivation.inputs
        if item.role == "teacher"
    )


def _artifact(bench: Bench, kind: str, digest: str, record: str) -> Artifact:
    return Artifact(kind=kind, digest=digest, record=record, uri=bench.store.uri)


@dataclass(frozen=True)
class Opened:
    """A subject's models in memory."""

    policy: Policy
    """Architecture and tokenizer, with the student's weights."""
    start: Weights
    end: Weights
    completeness: Completeness


def open_models(bench: Bench, subject: Subject) -> Opened:
    """Load what the round began and ended with, after checking that the ledger is of these.

    Raises:
        ValueError: if the ledger is of other weights, or does not add up.
    """
    policy = load_policy(bench.store.tree(subject.checkpoint.digest))
    start = load_weights(bench, subject.start)
    end = {name: tensor.detach() for name, tensor in policy.model.named_parameters()}
    completeness = subject.ledger.check(start, end)
    # The model lends its architecture to whoever scores; what it holds must not change with them.
    return Opened(policy, start, {n: t.clone().float() for n, t in end.items()}, completeness)


def load_weights(bench: Bench, checkpoint: Artifact) -> Weights:
    """Return a checkpoint's parameters by name."""
    model = load_model(bench.store.tree(checkpoint.digest))
    return {name: tensor.detach() for name, tensor in model.named_parameters()}
