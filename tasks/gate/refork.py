"""Re-fork: what the gate asks of a teacher's owner, so exactly that it can be launched.

The request names the climb's workflow and its inputs, the student's start among them, and what the
teacher was trained with by record, for the owner to see whether that is still what would run.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.compatibility import Finding
from lineage.digest import canonical_json
from lineage.errors import LineageError, UnknownReferenceError
from lineage.named import students_of
from lineage.record import Derivation, Input
from lineage.registry import Registry
from tasks.gate.measured import GateDocument
from tasks.gate.probed import asked
from tasks.gate.verdict import Judged
from tasks.handover import Plan, PlannedTeacher, Verdict
from tasks.measurements import Measurements
from tasks.provenance import source_digest
from tasks.step_runner import StepRunner

KIND = "refork"
_BEGAN_ELSEWHERE = {"contradicted-ancestry", "contradicted-fork-point"}
"""Findings that the weights began elsewhere than the release says."""
_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_OF_ONE_RUNG = {"domain", "stop_at"}
"""In a rung's settings, and none of the team's."""


class Trained(GateDocument):
    """One stage of the teacher's training, by record."""

    kind: str
    """sft, rl ..."""
    record: str
    seed: int
    settings: dict[str, JsonValue]


class Refork(GateDocument):
    """A request to a teacher's owner: climb again, from where the student starts."""

    teacher: str
    """The release that does not fit, such as teacher.math@3."""
    domain: str
    owner: str
    reasons: list[str] = Field(min_length=1)
    """Findings, each with its code."""
    team: str = Field(pattern=r"^[a-z0-9A-Z_]+([.-][a-z0-9A-Z_]+)*$")
    """The package of the team's folder where the records say it, else the domain."""
    launch_plan: str
    """Of the owner's Flyte project: the climb's own, under the workflow's name."""
    inputs: dict[str, JsonValue]
    """The launch plan's."""
    trained: list[Trained]
    """How the release was made, from the fork point on; empty where no record says."""

    @property
    def given(self) -> str:
        """Return the inputs as options of a command line, quoted for a shell."""
        options = ((f"--{name.replace('_', '-')}", str(v)) for name, v in self.inputs.items())
        return shlex.join(word for option in options for word in option)

    def launched_by(self, digest: str) -> str:
        """Return the command line of the request with that digest, quoted for a shell."""
        return shlex.join(["provost", "run", "teacher", self.team, "--request", digest])


@dataclass(frozen=True)
class Requested:
    """A request as it lies in the store."""

    refork: Refork
    stored: Artifact

    @property
    def text(self) -> str:
        """Return the request as a file."""
        return self.refork.model_dump_json(indent=1) + "\n"

    @property
    def command(self) -> str:
        """Return what launches it on a machine that has the team's folder."""
        return self.refork.launched_by(self.stored.digest)


def would_help(runner: StepRunner, plan: Plan, teacher: PlannedTeacher, judged: Judged) -> bool:
    """Return whether to ask for another climb: of a teacher that does not fit and began elsewhere.

    One that did climb from the student's start would come out as it is.
    """
    if judged.verdict is Verdict.FITS:
        return False
    release = read_manifest(runner.store, teacher.release.digest, Release)
    elsewhere = release.fork_point.digest != plan.student.digest
    return elsewhere or any(note.code in _BEGAN_ELSEWHERE for note in judged.reasons)


def request_refork(
    runner: StepRunner,
    plan: Plan,
    teacher: PlannedTeacher,
    notes: Sequence[Finding],
    came_from: tuple[Input, ...],
) -> Requested:
    """Store the request to climb a teacher again, as a record of its own, its owner's."""
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
        inputs=(*came_from, asked("release", teacher.release, teacher.name)),
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
        LineageError: for what is no request.
    """
    try:
        return Refork.model_validate_json(data)
    except ValidationError as error:
        raise LineageError(
            "this is no request to climb again: give the digest that the gate's page names, or the "
            f"refork file beside it ({error.error_count()} faults, the first: "
            f"{error.errors()[0]['msg']})"
        ) from error


def _trained(runner: StepRunner, release: Release) -> Iterator[Trained]:
    """Yield the stages between fork point and teacher, the first of them first."""
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
    """Return the package that the domain was collected from, "" where none was attested.

    Only a dotted name of Python is one: the team wrote it, and it becomes part of commands.
    """
    made = runner.records.output(release.environment.record) if release.environment.record else None
    package = str(made.notes.get("package", "")) if made else ""
    return package if _PACKAGE.fullmatch(package) else ""


def _reference(runner: StepRunner, student: Artifact) -> str:
    """Return what a climb can start from: a registered checkpoint, or a student."""
    try:
        return Registry(runner.store).resolve(student.digest, allow_recalled=True).digest
    except UnknownReferenceError:
        published = students_of(runner.store, student)
        return published[0].digest if published else student.digest
