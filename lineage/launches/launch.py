"""A launch of a consolidation and the review of its plan: records, and how people read them.

A plan with the gate's report on it has one record for each decision. Every execution that came
through adds an attestation, in which it says how.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from lineage.digest import digest_json
from lineage.errors import CorruptError
from lineage.frozen import Frozen
from lineage.records.derivation import Attestation, Derivation

FITS, FITS_AFTER_REMEDY, UNKNOWN = "fits", "fits after remedy", "unknown"
"""Verdicts of the gate that a launch is read by."""
APPROVAL = "approval"
REVIEW = "review"
"""The note of an attestation that holds the decision in its execution."""


DECISION_SOURCE = digest_json("a person's decision")
"""Placeholder for the code digest in the record: a person decided, not code."""


class Decision(Frozen):
    """What was decided on a plan in one execution."""

    decision: Literal["approved", "rejected"]
    by: str = ""
    """Name of the person who decided; "" if the backend does not report it."""
    way: Literal["command", "console", "terminal", "recipe"]
    """``provost approve``, the console's button (or its API), the question of a local run, or a
    recipe, which waits for no person."""
    reason: str = ""

    def words(self) -> str:
        """Return who decided, how and why, as ``ann, by provost approve: they fit``."""
        ways = {
            "command": "by provost approve",
            "console": "by the console",
            "terminal": "at a terminal",
            "recipe": "automatically",
        }
        who = f"{self.by}, {ways[self.way]}" if self.by else f"{ways[self.way]}, identity unknown"
        return f"{who}: {self.reason}" if self.reason else who


def decided(made: Derivation, attestations: Iterable[Attestation]) -> list[Decision]:
    """Return what was decided in each execution, in the order of the attestations.

    Raises:
        CorruptError: for a decision in an unknown form.
    """
    if "by" in made.settings:  # of an older version: one record for each decision
        return [_read({**made.settings, "way": "command"})]
    return [_read(item.notes[REVIEW]) for item in attestations if REVIEW in item.notes]


def _read(said: JsonValue) -> Decision:
    try:
        known = Decision.model_fields
        fields = {n: v for n, v in said.items() if n in known} if isinstance(said, dict) else said
        return Decision.model_validate(fields)
    except ValidationError as error:
        raise CorruptError(
            f"a decision on a plan cannot be read ({error}): restore its attestation from a copy "
            "of the store"
        ) from error


Outcome = Literal["published", "failed", "refused", "rejected", "open", "proposed"]
LAUNCH = "launch"
LAUNCHER = "launcher"
"""The note of an attestation that names who launched, where that is known."""
REPORT = "gate"
"""The note of an attestation that names the gate's report on the plan, by artifact and record."""
LAUNCH_SOURCE = digest_json("a person's launch")
"""Placeholder for the code digest in the record: a person launched it, not code."""


class Launched(Frozen):
    """A launch form as it was filled in, with the settings of its rounds."""

    inputs: dict[str, JsonValue]
    """Every input of the form."""
    preset: str = ""
    """Preset that filled the form; "" for the form's own defaults."""
    round: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of each round."""
    rounds: int = 1
    seed: int = 0

    def led_to(self, student: dict[str, JsonValue]) -> bool:
        """Return whether a student's settings are those of the last round in the launch."""
        wanted = {**self.round, "seed": self.seed + self.rounds - 1}
        return all(student.get(name) == value for name, value in wanted.items())


class Lenient(BaseModel):
    """A part of a stored document; fields that it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlannedTeacherSummary(Lenient):
    """A teacher of a plan."""

    reference: str
    """Resolved reference, such as ``teacher.math@3``."""
    domain: str
    owner: str
    share: float
    """Share of its domain's rollouts, in [0, 1]."""


class LaunchFinding(Lenient):
    """A finding of the record check or the gate against a teacher."""

    code: str
    severity: str
    """refusal, warning or note."""
    subject: str


class LaunchRemedy(Lenient):
    """What a remedy was measured to bring, on validation prompts."""

    name: str
    done: str
    start: float
    student: float
    """Score of the student after the remedy; ``start`` is the one before it."""
    teacher: float
    share: float | None = None
    """Share of the teacher's gain that the student has; None if the teacher has no gain."""
    verdict: str


class LaunchVerdict(Lenient):
    """The gate's verdict on a teacher."""

    name: str
    verdict: str
    predicted: float | None = None
    """Predicted share of the teacher's gain, by a gate of before; None without a prediction."""
    proposed: str = "none"
    """Remedy that the gate proposed."""
    done: str = "none"
    """Remedy that the run applied."""
    remedied: LaunchRemedy | None = None
    """Measurement after the remedy; None without one."""

    @property
    def fits(self) -> bool:
        """Whether the teacher fits, at once or by what was measured after its remedy."""
        return self.verdict == FITS or (
            self.remedied is not None and self.remedied.verdict == FITS_AFTER_REMEDY
        )

    def words(self) -> str:
        """Return the verdict with its basis: a measurement, or an earlier gate's prediction."""
        after = self.remedied
        if after is not None:
            share = "no" if after.share is None else f"{after.share:.2f} of its"
            return f"{after.verdict} ({share} gain measured after the {after.done})"
        if self.done == "drop":
            return f"{self.verdict}, left out"
        if self.done != "none":
            return f"{self.verdict} (not measured after the {self.done})"
        if self.verdict == UNKNOWN:
            basis = f" (not to be tested before the {self.proposed})"
            return self.verdict + (basis if self.proposed != "none" else "")
        if self.predicted is not None:
            return f"{self.verdict} ({self.predicted:.2f} of its gain predicted)"
        return self.verdict


class Waived(Lenient):
    """A signed statement that findings are accepted."""

    digest: str
    reason: str
    at: str
    findings: list[dict[str, str]]
    """Each a code and a subject."""


class Result(Lenient):
    """A student that a plan produced."""

    digest: str
    names: list[str]
    """Registry versions, such as ``student.general@4``."""


class Launch(Frozen):
    """One plan of a consolidation."""

    plan: str
    """Digest of the plan; of the one after the gate if it went through the gate."""
    at: str
    """When the plan was written: ISO 8601, UTC; "" if not recorded."""
    student: str
    """Digest of the checkpoint that the student starts from."""
    teachers: list[PlannedTeacherSummary]
    inputs: dict[str, JsonValue] | None
    """The form as it was filled in; None for an older launch."""
    settings: dict[str, JsonValue] | None
    """Settings of the round; None if no round began."""
    preset: str | None
    """Preset that filled the form; "" for the form's own defaults, None if not recorded."""
    preset_version: str | None
    """The version under which the presets were registered, or the commit that ran."""
    launcher: str | None
    """Name of the person who launched it, in Flyte the principal; None if unknown."""
    approver: str | None
    """Name of the last approver; "" if approved in the console, None without an approval."""
    decisions: list[Decision]
    """Decisions of every execution that passed the review, oldest first."""
    execution: str | None
    """Flyte's name, as project/domain/name; None for a run on one machine."""
    execution_url: str | None
    findings: list[LaunchFinding]
    verdicts: list[LaunchVerdict]
    waivers: list[Waived]
    outcome: Outcome
    """published, failed after its plan, refused for its findings, rejected at its review, open
    (launched, and nothing of it is recorded yet), or proposed: a plan without a launch, such as
    that of a dry run or of `provost gate`."""
    students: list[Result]
    error: str = ""
    """Message of the newest failure; "" if none is recorded."""
