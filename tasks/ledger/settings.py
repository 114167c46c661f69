"""What a ledger keeps. No torch: workflows import it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class StoredPrecision(StrEnum):
    """In which precision displacements are stored; they are summed in fp32 in either case."""

    FP32 = "fp32"
    BF16 = "bf16"
    """Half the storage; what it loses is measured and stands in the manifest."""


class LedgerSettings(BaseModel):
    """What is written while MOPD trains, so that each change of the weights has a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    displacements: bool = True
    """Sum each source's part of the updates. Without it there is the token ledger alone, and a
    behaviour is traced by replaying the stored rollouts, which is approximate."""
    segment_steps: int = Field(default=10, ge=1)
    """Steps that one set of displacements covers; the integral along training is that fine."""
    precision: StoredPrecision = StoredPrecision.FP32
    rollouts_per_teacher: int = Field(default=4, ge=0)
    """How many of each teacher's rollouts are kept a step, drawn from the run's seed, with their
    token ids and what every source made of every token."""
