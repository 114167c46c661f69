"""The controls of a consolidation: what its student is compared with. No torch.

A merge without controls says nothing: the same teachers, prompts and processor time give a good
student by other ways too. Every trained control takes about the processor time of the student's
own rounds, and starts where they started.
"""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.inputs import documented
from tasks.contracts.named import NamedArtifact
from tasks.contracts.refusal import RefusedError


class Control(StrEnum):
    """A way to get a student from the same teachers and prompts, or without them."""

    PARAMETER_AVERAGE = "parameter_average"
    """Mean of the teachers' weights."""
    TASK_ARITHMETIC = "task_arithmetic"
    """Start plus a multiple of the summed task vectors (2212.04089)."""
    TIES = "ties"
    """The same with trimmed vectors and elected signs (2306.01708)."""
    DARE = "dare"
    """The same with randomly thinned vectors (2311.03099)."""
    OFF_POLICY_SFT = "off_policy_sft"
    """SFT on the teachers' graded answers."""
    OFF_POLICY_KD = "off_policy_kd"
    """The teachers' exact divergence on rollouts of the start, which never change."""
    MIX_RL = "mix_rl"
    """RL on all domains at once, without teachers (2606.30406)."""
    CASCADE_RL = "cascade_rl"
    """RL on one domain after another, without teachers (2606.30406)."""
    TEACHER_FREE = "teacher_free"
    """A fixed negative advantage of unlikely tokens, without teachers and grades (2608.31046)."""
    SHUFFLED_TEACHERS = "shuffled_teachers"
    """MOPD in which each domain has the next domain's teacher."""
    MOPD_AFTER_SFT = "mopd_after_sft"
    """SFT on the teachers' graded answers for half of the time, then MOPD."""
    MOPD_WITH_OUTCOME = "mopd_with_outcome"
    """MOPD with the outcome advantage beside the teachers (MiMo-V2-Flash, 2601.02780 eq. 9)."""


MERGED = (Control.PARAMETER_AVERAGE, Control.TASK_ARITHMETIC, Control.TIES, Control.DARE)
"""Controls that train nothing."""
OFF_POLICY = (Control.OFF_POLICY_SFT, Control.MOPD_AFTER_SFT)
"""Controls that learn from answers of the teachers."""
ARMS = (
    Control.OFF_POLICY_KD,
    Control.MIX_RL,
    Control.CASCADE_RL,
    Control.TEACHER_FREE,
    Control.SHUFFLED_TEACHERS,
    Control.MOPD_AFTER_SFT,
    Control.MOPD_WITH_OUTCOME,
)
"""Controls that learn on rollouts of their own."""
DEFAULT = (Control.PARAMETER_AVERAGE, Control.TASK_ARITHMETIC, Control.OFF_POLICY_SFT)


@documented
class ControlOrder(Frozen):
    """Inputs of the launch form that concern the controls."""

    control_sft_learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Peak learning rate of SFT on the teachers' answers. A pre-trained model needs a twentieth of
    the default, as the preset instruct sets it."""
    control_rl_learning_rate: float = Field(default=3e-4, gt=0, allow_inf_nan=False)
    """Peak learning rate of the controls that learn by RL."""
    controls: list[Control] = Field(default=list(DEFAULT))
    """What the student is compared with, at about equal processor time, such as
    controls=off_policy_sft,mix_rl. The word none leaves all out."""

    @field_validator("controls", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        """Take names in one text, as the launch form has them; "none" and "" give an empty list."""
        if not isinstance(given, str):
            return given
        names = [name.strip() for name in given.split(",") if name.strip()]
        return [] if names == ["none"] else names

    @field_validator("controls")
    @classmethod
    def _each_once(cls, given: list[Control]) -> list[Control]:
        if len(set(given)) < len(given):
            raise ValueError(f"a control is named twice in {[each.value for each in given]}")
        return given

    def chosen(self, of: tuple[Control, ...]) -> list[Control]:
        """Return which of these controls are wanted, in their own order."""
        return [control for control in of if control in self.controls]


class TrainedControl(Frozen):
    """The student of a control, or the reason of its data for which the control was left out."""

    control: Control
    checkpoint: Artifact | None
    """The student; None if the control was left out."""
    seconds: float
    """Processor seconds that the student took; 0 without one."""
    reason: str = ""
    """Why the control was left out, as a sentence; "" if it was trained."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "TrainedControl":
        if (self.checkpoint is None) != bool(self.reason):
            raise RefusedError(
                "trained-or-left-out",
                f"{self.control.value} has {'no' if self.checkpoint is None else 'a'} checkpoint "
                f"and the reason {self.reason!r}: give the one or the other",
            )
        return self


def without(control: Control, reason: str) -> TrainedControl:
    """Return a control that is left out."""
    return TrainedControl(control=control, checkpoint=None, seconds=0.0, reason=reason)


def compared_controls(
    merged: Sequence[NamedArtifact],
    off_policy: Sequence[TrainedControl],
    arms: Sequence[TrainedControl],
) -> dict[str, Artifact]:
    """Return every control that was made, by name, but for SFT from which MOPD went on."""
    alone = [each for each in off_policy if each.control not in ARMS]
    return {
        **{each.name: each.artifact for each in merged},
        **{
            each.control.value: each.checkpoint
            for each in (*alone, *arms)
            if each.checkpoint is not None
        },
    }


def controls_left_out(
    off_policy: Sequence[TrainedControl], arms: Sequence[TrainedControl]
) -> dict[str, str]:
    """Return why each control was left out, by name: MOPD after SFT also for want of the SFT."""
    return {each.control.value: each.reason for each in (*off_policy, *arms) if each.reason}
