"""Re-fork: the gate's request to a teacher's owner, in a form that can be launched.

The request names the climb's workflow and its inputs, with the student's start among them. It also
lists the recorded settings of the teacher's training, so that the owner sees whether a new run
would still use them.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.compatibility.checks import Finding
from lineage.digest import canonical_json
from lineage.errors import LineageError, UnknownReferenceError
from lineage.graph.graph import students_of
from lineage.records.record import Derivation, Input
from lineage.registry.registry import Registry
from tasks.contracts.handover import Plan, PlannedTeacher, Verdict
from tasks.gate.measured import GateDocument
from tasks.gate.verdict import Judged
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner

KIND = "refork"
_BEGAN_ELSEWHERE = {"contradicted-ancestry", "contradicted-fork-point"}
"""Findings that the weights started from another checkpoint than the release declares."""
_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_OF_ONE_RUNG = {"domain", "stop_at"}
"""Settings of a rung's record that are not the team's."""


class Trained(GateDocument):
    """One stage of the teacher's training, by record."""

    kind: str
    """Kind of the stage's record: sft, rl ..."""
    record: str
    seed: int
    settings: dict[str, JsonValue]


class Refork(GateDocument):
    """A request to a teacher's owner to climb again from the student's start."""

    teacher: str
    """The release that does not fit, such as teacher.math@3."""
    domain: str
    owner: str
    reasons: list[str] = Field(min_length=1)
    """Findings, each with its code."""
    team: str = Field(pattern=r"^[a-z0-9A-Z_]+([.-][a-z0-9A-Z_]+)*$")
    """Package of the team's folder if the records give it, else the domain."""
    launch_plan: str
    """Launch plan in the owner's Flyte project: the climb's default one, named like its
    workflow."""
    inputs: dict[str, JsonValue]
    """Inputs of the launch plan."""
    trained: list[Trained]
    """Stages of the teacher's training from the fork point on; empty without records."""

    @property
    def given(self) -> str:
        """Return the inputs as options of a command line, quoted for a shell."""
        options = ((f"--{name.replace('_', '-')}", str(v)) for name, v in self.inputs.items())
        return shlex.join(word for option in options for word in option)

    def launched_by(self, digest: str) -> str:
        """Return the command that launches the request with that digest, quoted for a shell."""
        return shlex.join(["provost", "run", "teacher", self.team, "--request", digest])


@dataclass(frozen=True)
class Requested:
    """A stored request."""

    refork: Refork
    stored: Artifact

    @property
    def text(self) -> str:
        """Return the request as JSON text."""
        return self.refork.model_dump_json(indent=1) + "\n"

    @property
    def command(self) -> str:
        """Return the command that launches it on a machine with the team's folder."""
        return self.refork.launched_by(self.stored.digest)


def would_help(runner: StepRunner, plan: Plan, teacher: PlannedTeacher, judged: Judged) -> bool:
    """Return whether to request another climb: the teacher does not fit and started elsewhere.

    A teacher that climbed from the student's start would come out the same.
    """
    if judged.verdict is Verdict.FITS:
        return False
    release = read_manifest(runner.store, teacher.release.digest, Release)
    if release.kind == "imported":
        return False  # its owner has no climb here that could be launched
    elsewhere = release.fork_point.digest != plan.student.digest
    return elsewhere or any(note.code in _BEGAN_ELSEWHERE for note in judged.reasons)


def request_refork(
    runner: StepRunner,
    plan: Plan,
    teacher: PlannedTeacher,
    notes: Sequence[Finding],
    came_from: tuple[Input, ...],
) -> Requested:
    """Store the request to climb a teacher again, as a record of its owner's project."""
    release = read_manifest(runner.store, teacher.release.digest, Release)
    trained = list(_trained(runner, release))
    package = _package(runner, release)
    request = Refork(
        teacher=teacher.reference,
        domain=teacher.domain,
        owner=release.owner,
        reasons=[f"[{note.code}] {note.evidence}" for note in notes],
        team=package or teacher.domain,
        launch_plan=f"{package or f'workflows.teachers.{teacher.domain}'}.workflow.climb",
        inputs={
            "fork_point": _reference(runner, plan.student),
            "seed": trained[-1].seed if trained else 0,
        },
        trained=trained,
    )
    derivation = Derivation(
        project=runner.project,
        kind=KIND,
        inputs=(*came_from, Input.of("release", teacher.release, teacher.name)),
        source=source_digest("gate"),
        settings=request.model_dump(mode="json"),
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        path = folder / "refork.json"
        path.write_bytes(canonical_json(request.model_dump(mode="json")))
        return path

    stored = runner.find_or_make(derivation, "request", make, owner=release.owner)
    return Requested(request, stored)


def read_refork(data: bytes) -> Refork:
    """Return a request from its bytes.

    Raises:
        LineageError: for bytes that are not a request.
    """
    try:
        return Refork.model_validate_json(data)
    except ValidationError as error:
        raise LineageError(
            "this is not a request to climb again: give the digest on the gate's page, or the "
            f"refork file beside the page ({error.error_count()} faults, the first: "
            f"{error.errors()[0]['msg']})",
            code="not-a-request",
        ) from error


def _trained(runner: StepRunner, release: Release) -> Iterator[Trained]:
    """Yield the stages between fork point and teacher, in order."""
    stages: list[Trained] = []
    record = release.checkpoint.record
    while record and record != release.fork_point.record:
        derivation = runner.records.read(record)
        settings = {k: v for k, v in derivation.settings.items() if k not in _OF_ONE_RUNG}
        kind, seed = derivation.kind, derivation.seed
        stages.append(Trained(kind=kind, record=record, seed=seed, settings=settings))
        starts = [item.record for item in derivation.inputs if item.role == "start"]
        record = starts[0] if starts else ""
    yield from reversed(stages)


def _package(runner: StepRunner, release: Release) -> str:
    """Return the package that the domain was collected from; "" if none was attested.

    Only a dotted Python name is accepted, because the team wrote it and it becomes part of
    commands.
    """
    made = runner.records.output(release.environment.record) if release.environment.record else None
    package = str(made.notes.get("package", "")) if made else ""
    return package if _PACKAGE.fullmatch(package) else ""


def _reference(runner: StepRunner, student: Artifact) -> str:
    """Return a reference that a climb can start from: a registered checkpoint, or a student."""
    try:
        return Registry(runner.store).resolve(student.digest, allow_recalled=True).digest
    except UnknownReferenceError:
        published = students_of(runner.store, student)
        return published[0].digest if published else student.digest
