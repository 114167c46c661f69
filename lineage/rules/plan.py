"""Rules of a plan: does it agree with the releases that it names?"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lineage.artifacts import Artifact, Release, Rung, parse_manifest
from lineage.errors import LineageError
from lineage.records.record import Derivation
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken

RULES = {
    "releases": "Each planned teacher has the checkpoint, ladder, prompts and environment of its "
    "release, and the releases and the start are inputs of the plan's record.",
}


class _Loose(BaseModel):
    """A part of a stored plan; what else it says is of no concern here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StoredTeacher(_Loose):
    """A teacher as stored in a plan."""

    name: str
    domain: str
    share: float
    is_self: bool = False
    reference: str
    owner: str
    release: Artifact
    checkpoint: Artifact
    ladder: list[Rung]
    environment: Artifact
    system_prompt: str = ""
    train: Artifact
    validation: Artifact
    evaluation: Artifact


class StoredFinding(_Loose):
    """A finding as stored in a plan."""

    code: str
    severity: str
    subject: str


class _Document(_Loose):
    fork_point: Artifact
    student: Artifact
    teachers: list[StoredTeacher] = Field(min_length=1)
    notes: list[StoredFinding] = []
    reviewed: bool | None = None


@dataclass(frozen=True)
class Planned:
    """A stored plan with its record."""

    artifact: Artifact
    made: Derivation
    fork_point: Artifact
    student: Artifact
    """Checkpoint from which the student starts, before any warm-up."""
    teachers: tuple[StoredTeacher, ...]
    findings: tuple[StoredFinding, ...]
    is_reviewed: bool | None
    """Whether it needs a person's approval; None if an older version did not record that."""
    breaches: tuple[Breach, ...] = field(default=())

    @property
    def before(self) -> Artifact | None:
        """The plan that the gate made this one of; None for a plan before the gate."""
        found = taken(self.made, "plan")
        return artifact_of(found[0], "plan") if len(found) == 1 else None

    @property
    def leads(self) -> dict[str, StoredTeacher]:
        """Each domain's teacher with the largest share; its prompts are played."""
        leads: dict[str, StoredTeacher] = {}
        for teacher in self.teachers:
            if teacher.domain not in leads or teacher.share > leads[teacher.domain].share:
                leads[teacher.domain] = teacher
        return leads


def planned(evidence: Evidence, artifact: Artifact) -> Planned:
    """Return a stored plan, with what its own records say against it.

    Raises:
        LineageError: if the artifact is not a plan.
    """
    try:
        document = _Document.model_validate(evidence.document(artifact.digest))
    except ValidationError as error:
        raise LineageError(f"{artifact.digest} is not a valid plan: {error}") from error
    made = evidence.made(artifact.record)
    return Planned(
        artifact=artifact,
        made=made,
        fork_point=document.fork_point,
        student=document.student,
        teachers=tuple(document.teachers),
        findings=tuple(document.notes),
        is_reviewed=document.reviewed,
        breaches=tuple(_breaches(evidence, made, document)),
    )


def check_plan(evidence: Evidence, artifact: Artifact) -> Iterator[Breach]:
    """Yield the rules that a plan breaks by its records."""
    for breach in planned(evidence, artifact).breaches:
        yield Breach("releases", breach.what, breach.is_unknown)


def _breaches(evidence: Evidence, made: Derivation, plan: _Document) -> Iterator[Breach]:
    if made.kind != "plan":
        yield Breach("plan", f"its plan is made by a record of kind {made.kind}")
    if not any(same(item, plan.student) for item in taken(made, "student")):
        yield Breach("plan", "the plan's record does not take the plan's start")
    told = sorted((i.name, i.artifact, i.record) for i in taken(made, "release"))
    if told != sorted((t.name, t.release.digest, t.release.record) for t in plan.teachers):
        yield Breach("plan", "the plan's record takes other releases than the plan names")
    for teacher in plan.teachers:
        yield from _teacher(evidence, teacher, plan)


def _teacher(evidence: Evidence, teacher: StoredTeacher, plan: _Document) -> Iterator[Breach]:
    release = parse_manifest(evidence.bytes(teacher.release.digest), Release)
    checkpoint = plan.student if teacher.is_self else release.checkpoint
    for part, is_now, wanted in (
        ("checkpoint", teacher.checkpoint, checkpoint),
        ("environment", teacher.environment, release.environment),
        ("train", teacher.train, release.prompts.train),
        ("validation", teacher.validation, release.prompts.validation),
        ("evaluation", teacher.evaluation, release.evaluation),
    ):
        if not same(is_now, wanted):
            yield Breach("plan", f"the {part} of {teacher.name} is not that of its release")
    rungs = [] if teacher.is_self else [(r.step, r.checkpoint.digest) for r in release.ladder]
    if [(r.step, r.checkpoint.digest) for r in teacher.ladder] != rungs:
        yield Breach("plan", f"the ladder of {teacher.name} is not that of its release")
    if teacher.system_prompt != ("" if teacher.is_self else release.system_prompt):
        yield Breach("plan", f"the system prompt of {teacher.name} is not that of its release")
    if (teacher.domain, teacher.owner) != (release.domain, release.owner):
        yield Breach("plan", f"domain or owner of {teacher.name} are not those of its release")
