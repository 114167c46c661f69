"""What the report is made of, besides the scorecard: curves, rollouts, lineage, provenance."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from lineage.artifacts import Frozen
from tasks.evaluate.outcomes import STUDENT
from tasks.evaluate.scorecard import Scorecard
from tasks.reports.curves import CurveGroup


class Speech(Frozen):
    """One message or turn: who spoke, and what."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class SampleResponse(Frozen):
    """What one method answered, with its grade."""

    turns: tuple[Speech, ...]
    score: float = Field(ge=0, le=1)
    reason: str = ""
    """The grader's words, why it is not 1."""


class SampleRollout(Frozen):
    """One prompt and how several methods answered it."""

    domain: str
    messages: tuple[Speech, ...]
    """What the model saw."""
    responses: Mapping[str, SampleResponse]
    """method -> response, in the order in which to show them."""


class Provenance(Frozen):
    """Where the numbers come from, so that another person can make them again."""

    records: Mapping[str, str]
    """What it is -> the digest of its record, such as "student" -> "sha256:..."."""
    commit: str
    dirty: bool = False
    """Whether the code differed from the commit."""
    seeds: Mapping[str, int]
    machine: Mapping[str, str]
    """Facts such as the processor, the number of cores, package versions, wall-clock time."""
    not_run: tuple[str, ...] = ()
    """What was not run, each with its reason."""


class ReportInput(Frozen):
    """Everything on the page. The same input gives the same bytes."""

    title: str = "Consolidation report"
    created: str = ""
    """When the consolidation ended, for people; nothing is computed from it."""
    scorecard: Scorecard
    curves: tuple[CurveGroup, ...] = ()
    rollouts: tuple[SampleRollout, ...] = ()
    lineage: str = ""
    """An SVG from base to student; empty leaves the section out."""
    lineage_narrow: str = ""
    """The same for a screen of 390 pixels; empty shrinks the wide one."""
    provenance: Provenance
    left_out: tuple[str, ...] = ()
    """What is not on the page although it was measured, in sentences."""

    @model_validator(mode="after")
    def _check(self) -> "ReportInput":
        if STUDENT not in self.scorecard.methods():
            raise ValueError("the scorecard has no student: a report is about a consolidation")
        return self
