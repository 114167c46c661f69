"""What became of a merge: the student's score, as a share of what there was to gain."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.gate.mismatch import Family
from lineage.artifacts import Artifact
from tasks.contracts.handover import PlannedTeacher
from tasks.evaluate.measure import Examiner, read_measured
from tasks.evaluate.settings import EvaluationSettings
from tasks.ledger.schema import LedgerSettings
from tasks.mopd.round import distil_round
from tasks.mopd.settings import DistilSettings, RoundSettings
from tasks.onpolicy.run_monitor import TrainingAbortedError
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.settings import SamplingSettings

LOOP = LoopSettings(num_steps=60, learning_rate=5e-4)
PROMPTS = 12
SAMPLING = SamplingSettings()
LEAST_GAIN = 0.1
"""A teacher that beats the student by less has nothing of its own to be measured by."""


@dataclass(frozen=True)
class Outcome:
    """Scores on the case's domain, and what they come to."""

    start: float
    teacher: float
    reference: float
    """The domain's own released teacher."""
    student: float
    normalized: float
    """(student - start) / (the teacher's gain, or the reference's where the teacher has none)."""
    other_domain: float
    """The same of the domain beside it, whose teacher fits."""
    stopped: str = ""
    """Why the round itself refused to go on: there is no student then, and nobody gained."""


@dataclass(frozen=True)
class Otherwise:
    """What a merge does otherwise than the others."""

    student: Artifact | None = None
    """Where it starts, if not from the fork point."""
    objective: Mapping[str, object] = field(default_factory=dict)
    stages: int = 1
    """Of the ladder, which the teacher then has."""
    seed: int = 0
    sampling: SamplingSettings = SAMPLING
    """Of the merge and of the grading."""
    loop: LoopSettings = LOOP
    prompts: int = PROMPTS


AS_EVER = Otherwise()


def merged(
    family: Family, own: PlannedTeacher, checkpoint: Artifact, otherwise: Otherwise = AS_EVER
) -> Outcome:
    """Merge a checkpoint in a teacher's place beside the next domain's own teacher, and grade.

    Args:
        family: Whose student and teachers.
        own: The teacher whose place is taken.
        checkpoint: By what.
        otherwise: What is not as in the other merges.
    """
    beside, sampling = beside_of(family, own), otherwise.sampling
    plan = family.plan.model_copy(
        update={
            "student": otherwise.student or family.plan.student,
            "teachers": [own.model_copy(update={"checkpoint": checkpoint}), beside],
        }
    )
    settings = RoundSettings(
        loop=otherwise.loop,
        distil=DistilSettings.model_validate(otherwise.objective),
        ledger=LedgerSettings(displacements=False),
        sampling=sampling,
        prompts_per_domain=otherwise.prompts,
        ladder_stages=otherwise.stages,
    )
    start, reference = reference_scores(family, own, sampling)
    teacher = score(family, checkpoint, own, sampling)
    try:
        made = distil_round(family.runner, plan, settings, otherwise.seed)
    except TrainingAbortedError as illness:
        return Outcome(start, teacher, reference, start, 0.0, 0.0, str(illness))
    after = score(family, made, own, sampling)
    before, best = reference_scores(family, beside, sampling)
    return Outcome(
        start=start,
        teacher=teacher,
        reference=reference,
        student=after,
        normalized=share_of(after - start, gain_of(start, teacher, reference)),
        other_domain=share_of(score(family, made, beside, sampling) - before, best - before),
    )


def beside_of(family: Family, own: PlannedTeacher) -> PlannedTeacher:
    """Return the teacher of the next domain."""
    places = [t.domain for t in family.plan.teachers]
    return family.plan.teachers[(places.index(own.domain) + 1) % len(places)]


def gain_of(start: float, teacher: float, reference: float) -> float:
    """Return what there was to gain: the teacher's lead, or the reference's if that is small."""
    return teacher - start if teacher - start >= LEAST_GAIN else reference - start


def share_of(risen: float, gain: float) -> float:
    """Return the share of a gain; NaN where there was nothing to gain."""
    return risen / gain if gain else math.nan


def reference_scores(
    family: Family, teacher: PlannedTeacher, sampling: SamplingSettings = SAMPLING
) -> tuple[float, float]:
    """Return what start and released teacher score in a domain; measured once, then found."""
    checkpoints = (family.plan.student, teacher.checkpoint)
    start, best = (score(family, checkpoint, teacher, sampling) for checkpoint in checkpoints)
    return start, best


def score(
    family: Family, checkpoint: Artifact, of: PlannedTeacher, sampling: SamplingSettings
) -> float:
    """Return a checkpoint's mean score on a domain's held-out prompts."""
    examiner = Examiner(family.runner, checkpoint, EvaluationSettings(sampling=sampling))
    return read_measured(
        family.runner, examiner.measure(of.domain, of.environment, of.evaluation)
    ).mean
