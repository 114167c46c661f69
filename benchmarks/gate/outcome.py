"""What became of a merge: the student's score, as a share of what there was to gain."""

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

STEPS = 60
PROMPTS = 12
LEARNING_RATE = 5e-4
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
    places = [t.domain for t in family.plan.teachers]
    beside = family.plan.teachers[(places.index(own.domain) + 1) % len(places)]
    plan = family.plan.model_copy(
        update={
            "student": otherwise.student or family.plan.student,
            "teachers": [own.model_copy(update={"checkpoint": checkpoint}), beside],
        }
    )
    settings = RoundSettings(
        loop=LoopSettings(num_steps=STEPS, learning_rate=LEARNING_RATE),
        distil=DistilSettings.model_validate(otherwise.objective),
        ledger=LedgerSettings(displacements=False),
        prompts_per_domain=PROMPTS,
        ladder_stages=otherwise.stages,
    )
    start, reference = reference_scores(family, own)
    teacher = _score(family, checkpoint, own)
    try:
        made = distil_round(family.runner, plan, settings, 0)
    except TrainingAbortedError as illness:
        return Outcome(start, teacher, reference, start, 0.0, 0.0, str(illness))
    after = _score(family, made, own)
    before, best = reference_scores(family, beside)
    gain = teacher - start if teacher - start >= LEAST_GAIN else reference - start
    return Outcome(
        start=start,
        teacher=teacher,
        reference=reference,
        student=after,
        normalized=(after - start) / gain,
        other_domain=(_score(family, made, beside) - before) / (best - before),
    )


def reference_scores(family: Family, teacher: PlannedTeacher) -> tuple[float, float]:
    """Return what start and released teacher score in a domain; measured once, then found."""
    student = family.plan.student
    return _score(family, student, teacher), _score(family, teacher.checkpoint, teacher)


def _score(family: Family, checkpoint: Artifact, of: PlannedTeacher) -> float:
    examiner = Examiner(family.runner, checkpoint, EvaluationSettings())
    return read_measured(
        family.runner, examiner.measure(of.domain, of.environment, of.evaluation)
    ).mean
