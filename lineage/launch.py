"""One launch of a consolidation, as people and scripts read it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from lineage.approval import Decision
from lineage.artifacts import Frozen

Outcome = Literal["published", "failed", "refused", "open"]


class Lenient(BaseModel):
    """A part of a stored document: other fields are for other readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlannedTeacherSummary(Lenient):
    """A teacher of a plan."""

    reference: str
    """As it was resolved: ``teacher.math@3``."""
    domain: str
    owner: str
    share: float
    """Of its domain's rollouts."""


class LaunchFinding(Lenient):
    """What the records or the gate say against a teacher."""

    code: str
    severity: str
    """refusal, warning or note."""
    subject: str


class LaunchVerdict(Lenient):
    """What the gate measured of a teacher."""

    name: str
    verdict: str
    predicted: float | None = None
    """The share of its gain that the student should have; None where it was not predicted."""


class Waived(Lenient):
    """A signed statement that findings are accepted."""

    digest: str
    reason: str
    at: str
    findings: list[dict[str, str]]
    """Each a code and a subject."""


class Result(Lenient):
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
    teachers: list[PlannedTeacherSummary]
    inputs: dict[str, JsonValue] | None
    """The form as it was filled in; None for an older launch."""
    settings: dict[str, JsonValue] | None
    """Of the round; None where none was begun."""
    preset: str | None
    """Whose defaults the form began with; "" for the form's own, None where it is not recorded."""
    preset_version: str | None
    """The version under which the presets were registered, or the commit that ran."""
    launcher: str | None
    """Who launched it; None where it is not known."""
    approver: str | None
    """Of the last approval; "" where it was given in the console, None where there is none."""
    decisions: list[Decision]
    """Of every execution that came through the review, oldest first."""
    execution: str | None
    """Flyte's name, as project/domain/name; None for a run on one machine."""
    execution_url: str | None
    findings: list[LaunchFinding]
    verdicts: list[LaunchVerdict]
    waivers: list[Waived]
    outcome: Outcome
    """published, failed after its plan, refused, or open: nothing of it is recorded yet."""
    students: list[Result]
    error: str = ""
    """Of the newest failure; "" where none is recorded."""
