"""Settings that every stage on a trainer of TRL has. No torch: workflows import them."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.model.settings import Precision


class Schedule(StrEnum):
    """Course of the learning rate behind the warm-up."""

    LINEAR = "linear"
    """A straight line to 0 at the last step."""
    COSINE = "cosine"
    """Half a cosine, to ``final_share`` of the peak."""
    CONSTANT = "constant"
    """The peak."""


class TrainingSettings(BaseModel):
    """Length, learning rate and optimizer of a stage on a trainer of TRL.

    A setting that came later is left out of records where it has its default, so that the same run
    keeps its identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(ge=1)
    """Number of optimizer steps."""
    batch_size: int = Field(default=32, ge=1)
    """Number of rows per optimizer step."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW, or of Muon if ``muon`` is set."""
    warmup_steps: int = Field(default=40, ge=0)
    """Number of steps over which the learning rate rises to its peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of AdamW."""
    muon: bool = False
    """Whether to train the hidden matrices with Muon; meant for training from scratch."""
    schedule: Schedule = Field(
        default=Schedule.LINEAR, exclude_if=lambda value: value == Schedule.LINEAR
    )
    """Course of the learning rate behind the warm-up."""
    final_share: float = Field(default=0.0, ge=0, le=1, exclude_if=lambda value: value == 0)
    """Learning rate of a cosine's end, as a share of the peak."""
    saved_precision: Precision = Field(
        default=Precision.FP32, exclude_if=lambda value: value == Precision.FP32
    )
    """Floating-point format of the saved checkpoint. bf16 takes half the disk and rounds each
    weight by up to 0.4 %; the record holds the rounding. Training is in fp32 in either case."""

    @model_validator(mode="after")
    def _only_a_cosine_ends_above_zero(self) -> Self:
        if self.final_share and self.schedule is not Schedule.COSINE:
            raise RefusedError(
                "no-effect",
                f"final_share is {self.final_share}, but a {self.schedule} schedule has none: set "
                "schedule to cosine, or leave final_share out",
            )
        return self
