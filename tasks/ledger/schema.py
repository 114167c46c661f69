"""What a ledger keeps, as it is written. Losses and advantages are in nats.

No torch: workflows import it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lineage.record import Derivation


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


SCHEMA: Literal["provost.ledger/1"] = "provost.ledger/1"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRow(_Entry):
    """One source in one step: a line of ``sources.jsonl``."""

    step: int
    source: str
    tokens: int
    """Response tokens that it spoke to."""
    advantage_mean: float
    advantage_deviation: float
    gradient_norm: float
    """Of its part, before clipping; the mean over inner updates."""
    gradient_cosine: float
    """Between its part and the sum of all; the mean over inner updates."""
    kl_before: float | None
    """Mean reverse KL of the student to it over the tokens of one kept rollout, as its update
    began ..."""
    kl_after: float | None
    """... and after the step; None for what is no teacher, or where no rollout is kept."""


class KeptRollout(_Entry):
    """One rollout of the seeded sample: a line of ``rollouts.jsonl``."""

    step: int
    teacher: str
    domain: str
    prompt: str
    score: float
    ids: tuple[int, ...]
    response: tuple[int, ...]
    """Places of the tokens that the student wrote; the lists below go with them."""
    weight: float
    """Share of the step's loss that each of these tokens had."""
    sampler_log_probs: tuple[float, ...]
    advantages: Mapping[str, tuple[float, ...]]
    """By source."""


class Segment(_Entry):
    """A stretch of training whose change of the weights is split by source."""

    first_step: int
    last_step: int
    file: str
    """safetensors: ``<part>/<parameter>``, where a part is a source, decay or rounding."""
    start: str
    """Digest of the weights before the segment."""
    end: str
    norms: Mapping[str, float]
    """Of each part's displacement."""
    change: float
    """Norm of the whole change."""
    lost: float
    """Norm of what was lost over all parts by storing them in less than fp32; 0 for fp32."""


class LedgerCheckpoint(_Entry):
    """The weights at a segment's end, of a run whose change is not split: replays begin there."""

    step: int
    file: str
    """safetensors, by parameter."""
    digest: str
    """Of the weights as they were, before they were stored in any other precision."""


class Manifest(_Entry):
    """``ledger.json``: what a ledger is of, and how far it was written."""

    schema_: Literal["provost.ledger/1"] = SCHEMA
    settings: LedgerSettings
    seed: int
    sources: tuple[str, ...]
    start: str
    """Digest of the weights that the run began with."""
    end: str
    """Digest of the weights after ``last_step``: the student's."""
    last_step: int
    segments: tuple[Segment, ...]
    checkpoints: tuple[LedgerCheckpoint, ...] = ()
    """Where displacements are off; a ledger holds segments or these."""


def ledger_derivation(of: Derivation) -> Derivation:
    """Return the derivation of the ledger that the run ``of`` wrote beside its student.

    One run made both, so they differ in their kind alone.
    """
    return of.model_copy(update={"kind": "ledger"})
