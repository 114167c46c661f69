"""Remedies: how the student is warmed up on a teacher, and what that was measured to bring."""

from pydantic import Field

from lineage.frozen import Frozen
from tasks.contracts.handover import Gated, PlannedTeacher, Remedy, Verdict
from tasks.contracts.inputs import documented

LEAST_AFTER_REMEDY = 0.5
"""Minimum share of the teacher's gain that a remedied student must have on validation prompts.

It is the share that a release requires after the merge. Distillation teaches on the student's own
answers: with half of the gain, half of what the teacher solves is among them.
"""
SCORES = ("score.start", "score.student", "score.teacher")
"""Roles of the measurements in the record of a remedy."""


class WarmUpSettings(Frozen):
    """SFT of the student on a teacher's responses before the merge, in cycles.

    After each cycle the student answers validation prompts. The warm-up ends once it scores as well
    as the teacher, or stops rising above half of the teacher's gain, or has spent all cycles.

    A cycle must be long enough for the student to adopt the teacher's phrasing completely. After 40
    steps at 5e-4 the demo's student mixed both conventions, and every grader scored that as wrong.
    """

    prompts_per_teacher: int = Field(default=384, ge=1)
    """Number of prompts that each teacher answers for a cycle; the next cycle takes others."""
    steps_per_teacher: int = Field(default=120, ge=1)
    most_cycles: int = Field(default=5, ge=1)
    """Maximum number of cycles: the budget is this many times ``steps_per_teacher``."""
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=5, ge=0)


@documented
class WarmUpOrder(Frozen):
    """Inputs of the launch form that concern the warm-up, which ``on_misfit=remedy`` applies."""

    warm_up_cycles: int = Field(default=5, ge=1)
    """Maximum number of cycles of the warm-up. It ends earlier if the validation score is as high
    as the teacher's, or stops rising above half of its gain."""
    warm_up_prompts: int = Field(default=384, ge=1)
    """Number of prompts that each teacher answers for each cycle of the warm-up."""
    warm_up_steps: int = Field(default=120, ge=1)
    """Number of SFT steps per teacher in each cycle of the warm-up."""
    warm_up_learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Peak learning rate of the warm-up. A pre-trained model needs a twentieth of the default, as
    the preset instruct sets it."""

    def settings(self) -> WarmUpSettings:
        """Return the settings of the stage."""
        return WarmUpSettings(
            prompts_per_teacher=self.warm_up_prompts,
            steps_per_teacher=self.warm_up_steps,
            most_cycles=self.warm_up_cycles,
            learning_rate=self.warm_up_learning_rate,
        )


class RemedyOutcome(Frozen):
    """A remedied student on one teacher's validation prompts, beside the teacher."""

    name: str
    """Name of the teacher in the plan."""
    domain: str
    done: Remedy
    prompts: int = Field(ge=1)
    """Number of validation prompts."""
    start: float
    """Mean score of the student before the remedy."""
    student: float
    """Mean score of the student after it."""
    teacher: float
    share: float | None
    """Share of the teacher's gain over ``start`` that the student has; None without a gain."""
    low: float | None
    high: float | None
    """Upper end of the share's 95 % interval; the gain itself is taken as exact."""
    verdict: Verdict
    """The verdict by this measurement."""


def warmed_teachers(gated: Gated) -> list[PlannedTeacher]:
    """Return the teachers of a plan on which its student is warmed up."""
    names = {each.name for each in gated.teachers if each.done is Remedy.WARM_UP}
    return [teacher for teacher in gated.plan.teachers if teacher.name in names]
