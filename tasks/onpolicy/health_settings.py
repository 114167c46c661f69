"""When a run is ill, and whether that stops it. No torch: workflows import it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Reaction(StrEnum):
    """What a sign of illness does to the run."""

    STOP = "stop"
    WARN = "warn"


class HealthSettings(BaseModel):
    """Signs of illness while a run trains, each with its threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uniform_teacher: Reaction = Reaction.STOP
    least_from_uniform: float = Field(default=0.05, ge=0)
    """Mean |log p + ln V| of a teacher at the sampled tokens, in nats: near 0 its weights are gone
    (Relax issue 287: lost on the first sleep and wake, and the student was driven to uniform)."""
    student_collapse: Reaction = Reaction.STOP
    collapse_share: float = Field(default=0.9, gt=0, le=1)
    """The student's mean entropy over ln V: an own answer is never that undecided."""
    runaway: Reaction = Reaction.WARN
    most_truncated: float = Field(default=0.9, gt=0, le=1)
    most_repeated: float = Field(default=0.5, gt=0, le=1)
    """Shares of a domain's rollouts that are cut, and of its 4-grams that came before: length and
    repetition blew up within 30 steps to 1 and 0.3-0.6 (2604.08527)."""
    runaway_steps: int = Field(default=3, ge=1)
    """In a row: a first step of an untrained student may look so."""
    unsteady_scorer: Reaction = Reaction.STOP
    most_unsteady: float = Field(default=1e-3, gt=0)
    """Nats by which two calls of one teacher on one sequence may differ: served replicas differed
    by more than the signal (SkyRL pull request 2256)."""
    recheck_every: int = Field(default=50, ge=1)
    """Steps between two checks of every scorer; the first step has one."""
