"""What commands print with ``--json``: the fields, as docs/guides/json.md documents them."""

from pydantic import Field

from lineage.frozen import Frozen
from lineage.launches.launch import Launch
from lineage.records.derivation import FlyteRun
from lineage.view.summary import Summary


class Document(Frozen):
    """A document of a command."""

    problems: list[str] = Field(default_factory=list)
    """What could not be read, and is missing because of it; the exit status is 1 then."""


class Plans(Document):
    """``provost plans``."""

    plans: list[Launch]


class TeacherVersion(Frozen):
    """One version of a teacher."""

    reference: str
    """``teacher.math@3``."""
    digest: str
    aliases: list[str]
    owner: str
    kind: str
    fork_point: str
    released: str
    """ISO 8601, UTC."""
    status: str
    """active, retired, recalled or unknown."""


class Teachers(Document):
    """``provost teacher list``."""

    teachers: list[TeacherVersion]


class StudentVersion(Frozen):
    """One version of a student."""

    reference: str
    digest: str
    aliases: list[str]
    teachers: list[str]
    waivers: list[str]
    published: str
    status: str
    recalled_teachers: list[str]
    """Teachers of it that were recalled since."""


class Students(Document):
    """``provost student list``."""

    students: list[StudentVersion]


class AliasMove(Frozen):
    """One move of an alias."""

    at: str
    alias: str
    version: int
    by: str
    reason: str


class Moves(Document):
    """``provost student moves``."""

    name: str
    moves: list[AliasMove]


class Record(Frozen):
    """One record of a lineage."""

    record: str
    kind: str
    label: str
    output: str
    """Digest of what came out; "" where nothing is attested."""
    owner: str
    aliases: list[str]
    status: str
    unknown: list[str] = Field(default_factory=list)
    """Facts of an imported checkpoint that its team did not state."""
    packages: list[str] = Field(default_factory=list)
    """Packages that an environment carries, each with version and license."""
    system_prompt: str = ""
    """System prompt that the teacher of a release alone sees; "" for none."""


class RecordList(Document):
    """``provost lineage ancestors`` and ``descendants``."""

    records: list[Record]


class DiffLine(Frozen):
    """One difference in the making."""

    where: str
    what: str
    before: str
    after: str


class Differences(Document):
    """``provost lineage diff``."""

    differences: list[DiffLine]


class Blob(Frozen):
    """A blob that nothing reaches."""

    digest: str
    bytes: int
    age_hours: float


class Garbage(Document):
    """``provost lineage gc``."""

    deleted: bool
    kept: int
    """Blobs."""
    young: int
    """Kept blobs that nothing names yet: younger than the grace period, or named by such a one."""
    young_bytes: int
    blobs: list[Blob]
    damaged: list[str]
    """Blobs with other bytes than their digest says, on which nothing rests."""


class Exported(Document):
    """``provost student export``, ``teacher export`` and ``lineage export``."""

    name: str
    """Registry version; "" for a checkpoint without one."""
    checkpoint: str
    folder: str
    license: str
    license_name: str
    recalled: list[str]
    files: list[str]


class Weights(Frozen):
    """``provost student weights``."""

    name: str
    folder: str
    serve: str
    """A command line for vLLM."""


FAILED = {"FAILED", "ABORTED", "TIMED_OUT"}
"""Phases of an execution that ended without its result, as Flyte calls them."""


class Run(Frozen):
    """One execution of a workflow in Flyte."""

    project: str
    domain: str
    execution: str
    workflow: str
    version: str
    phase: str
    """Flyte's phase: RUNNING, SUCCEEDED, FAILED, ABORTED, TIMED_OUT ..."""
    created: str
    """ISO 8601, UTC; "" where Flyte does not say."""
    launched_by: str
    """"" without a login."""
    reason: str = ""
    """Why it failed or was aborted, in one line."""
    error_type: str = ""
    record: str = ""
    """Record of the failure; "" without a failure or a record."""

    @property
    def flyte_run(self) -> FlyteRun:
        """The execution as records name it."""
        return FlyteRun(
            project=self.project,
            domain=self.domain,
            execution=self.execution,
            workflow=self.workflow,
            version=self.version,
        )

    @property
    def has_failed(self) -> bool:
        """Whether it ended without its result."""
        return self.phase in FAILED

    @property
    def lacks_record(self) -> bool:
        """Whether it failed and the store says nothing of it."""
        return self.has_failed and not self.record


class Runs(Document):
    """``provost runs``."""

    runs: list[Run] = Field(default_factory=list)
    unrecorded: int = 0
    """How many failed without a record."""


class PlanFinding(Frozen):
    """What the records say against a plan."""

    subject: str
    code: str
    severity: str
    """note, warning or refusal."""
    evidence: str
    next_step: str


class EstimateLine(Frozen):
    """One part of a plan's cost, in words."""

    name: str
    value: str


class DryRun(Frozen):
    """``provost run consolidation --dry-run``."""

    plan: str
    """Digest of the plan."""
    student: str
    """Digest of the checkpoint that the student starts from."""
    teachers: dict[str, str]
    """Reference of each teacher, by name."""
    findings: list[PlanFinding]
    estimates: list[EstimateLine]
    refusal: str
    """Why it cannot be launched as it is; "" where it can. The exit status is 1 then."""


DOCUMENTS: dict[str, type[Frozen]] = {
    "plans": Plans,
    "runs": Runs,
    "teacher list": Teachers,
    "student list": Students,
    "student moves": Moves,
    "student show": Summary,
    "student weights": Weights,
    "teacher show": Summary,
    "run teacher": Summary,
    "teacher import": Summary,
    "run consolidation": Summary,
    "run consolidation --dry-run": DryRun,
    "gate": Summary,
    "audit": Summary,
    "surgery": Summary,
    "demo": Summary,
    "lineage ancestors": RecordList,
    "lineage descendants": RecordList,
    "lineage diff": Differences,
    "lineage gc": Garbage,
    "student export": Exported,
    "teacher export": Exported,
    "lineage export": Exported,
}
"""JSON document by command."""
