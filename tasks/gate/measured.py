"""The gate's measurements as documents in the store, and the statistics in them.

No torch: workflows import it.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from pydantic import ConfigDict, Field

from lineage.frozen import Frozen
from tasks.model.relation import Ancestry, Displacement
from tasks.rollout.settings import SamplingSettings

_CLEARLY = 2.0
"""Standard errors by which another teacher must explain a domain better to be suspected."""
_LEAST_GAIN = 0.02
"""Nats per token by which it must explain the domain better, too."""
LEAST_ROLLOUTS = 8
"""Minimum number of answers, or of prompts, for a measurement."""


class GateDocument(Frozen):
    """A document of the gate; a measurement in it may be infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")


class ProbeSettings(GateDocument):
    """Size of the measurement; a few hundred rollouts suffice."""

    prompts_per_domain: int = Field(default=64, ge=8)
    sampling: SamplingSettings = SamplingSettings()
    top_k: int = Field(default=16, ge=2)
    rare: float = Field(default=0.01, gt=0, lt=1)
    """A token with a lower probability under the teacher is out of its distribution."""
    worst_tokens: int = Field(default=8, ge=0)
    ladder_stages: int = Field(default=1, ge=1)
    """Number of stages; above 1, the rungs of each climb are measured too, to choose the stages."""
    seed: int = 0


class WorstToken(GateDocument):
    """A token of the student's at which a teacher differs most, in its context."""

    before: str
    token: str
    after: str
    kl: float
    """Reverse KL at the token, in nats."""
    teacher_log_prob: float
    student_log_prob: float


class TeacherReading(GateDocument):
    """One teacher on the student's own rollouts in one domain; means over response tokens."""

    tokens: int
    kl: float
    """KL(student || teacher) in nats per token."""
    forward_kl: float
    kl_course: tuple[float, ...]
    """The reverse KL in each fifth of the answer, from its beginning to its end."""
    overlap: float
    """Share of the teacher's top k tokens that are in the student's top k."""
    mass: float
    """The student's probability on the teacher's top k."""
    rare: float
    """Share of the student's tokens that are out of the teacher's distribution."""
    student_entropy: float
    teacher_entropy: float
    from_uniform: float
    """Mean |log p + ln V| of the teacher at the sampled tokens; near 0, its weights are lost."""
    finite: bool
    unsteady: float
    """Difference in nats between two calls on the same tokens."""
    worst: tuple[WorstToken, ...] = ()


class Scores(GateDocument):
    """Scores of student and teacher on the same prompts with the same noise."""

    prompts: int
    student: float
    teacher: float
    difference: float
    error: float
    """Standard error of the difference, paired by prompt."""


class SwapRow(GateDocument):
    """Well-graded answers of one domain, scored by every teacher."""

    tokens: int
    log_likelihood: dict[str, float]
    """Mean log-likelihood in nats per token, by teacher."""
    errors: dict[str, float]
    """Standard error of the difference to the domain's own teacher, by teacher."""
    suspect: str = ""
    """The teacher that explains this domain's answers better than the domain's own teacher."""


class RungReading(GateDocument):
    """Distance of the student from an earlier rung of a teacher's climb."""

    step: int
    kl: float
    """KL(student || rung) in nats per token; NaN for a rung with non-finite probabilities."""


class TeacherMeasure(GateDocument):
    """All measurements of one teacher."""

    name: str
    domain: str
    reading: TeacherReading
    scores: Scores
    displacement: Displacement | None
    """None if the architectures differ, so that weights cannot be compared."""
    ancestry: Ancestry | None
    swap: SwapRow | None
    fork_point: Ancestry | None = None
    """The declared fork point, checked against the weights of the declared precursor."""
    ladder: tuple[RungReading, ...] = ()
    """Rungs of a staged ladder, in the order of the climb, without the teacher itself."""


class ProbeResult(GateDocument):
    """One probe: a student against the teachers of a plan."""

    settings: ProbeSettings
    teachers: tuple[TeacherMeasure, ...]
    seconds: float


def paired(student: Sequence[float], teacher: Sequence[float]) -> Scores:
    """Return the scores of two policies on the same prompts, and the error of their difference."""
    differences = [two - one for one, two in zip(student, teacher, strict=True)]
    return Scores(
        prompts=len(differences),
        student=fmean(student),
        teacher=fmean(teacher),
        difference=fmean(differences),
        error=_error(differences),
    )


def _error(values: Sequence[float]) -> float:
    """Return the standard error of a mean; NaN where a value is not finite."""
    known = all(math.isfinite(value) for value in values)
    return stdev(values) / len(values) ** 0.5 if known else math.nan


def explained(own: str, readings: Mapping[str, Sequence[tuple[float, int]]]) -> SwapRow | None:
    """Find the teacher that explains a domain's well-graded answers best; None if too few.

    Args:
        own: The teacher of the domain.
        readings: Log-likelihood and number of tokens of each answer, by teacher.
    """
    own_rows = readings[own]
    if len(own_rows) < LEAST_ROLLOUTS:
        return None
    tokens = sum(count for _, count in own_rows)
    means, errors, gains = {}, {}, {}
    for name, rows in readings.items():
        means[name] = sum(total for total, _ in rows) / tokens
        gained = [(a - b) / count for (a, count), (b, _) in zip(rows, own_rows, strict=True)]
        gains[name], errors[name] = fmean(gained), _error(gained)
    # A teacher with lost weights explains nothing, and must not hide one that does.
    finite = [name for name in gains if math.isfinite(gains[name])]
    best = max(finite, key=lambda name: gains[name], default=own)
    suspected = best != own and gains[best] > max(_LEAST_GAIN, _CLEARLY * errors[best])
    return SwapRow(
        tokens=tokens, log_likelihood=means, errors=errors, suspect=best if suspected else ""
    )
