"""The documents of a ledger. Losses and advantages are in nats.

No torch: workflows import it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lineage.records.record import Derivation


class StoredPrecision(StrEnum):
    """Precision in which displacements are stored; they are summed in fp32 in either case."""

    FP32 = "fp32"
    BF16 = "bf16"
    """Half the storage; the manifest holds the measured loss."""


class LedgerSettings(BaseModel):
    """Settings of the ledger, which splits each change of the weights by source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    displacements: bool = True
    """Whether to sum each source's part of the updates. Without it there is only the token ledger,
    and a behavior is audited by replaying the stored rollouts, which is approximate."""
    segment_steps: int = Field(default=10, ge=1)
    """Number of steps per set of displacements, which is the resolution of the integral along
    training."""
    precision: StoredPrecision = StoredPrecision.FP32
    rollouts_per_teacher: int = Field(default=4, ge=0)
    """Number of each teacher's rollouts that are kept per step, drawn by the run's seed, with their
    token ids and every source's advantage of each token."""


SCHEMA: Literal["provost.ledger/2"] = "provost.ledger/2"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRow(_Entry):
    """One source in one step: a line of ``sources.jsonl``."""

    step: int
    source: str
    tokens: int
    """Number of response tokens with a loss from the source."""
    advantage_mean: float
    advantage_deviation: float
    gradient_norm: float
    """Norm of the source's part of the gradient, before clipping; the mean over inner updates."""
    gradient_cosine: float
    """Cosine of the source's part with the whole gradient; the mean over inner updates."""
    kl_before: float | None
    """Mean reverse KL of the student to it over the tokens of one kept rollout, before the
    update."""
    kl_after: float | None
    """The same after the step; None for other sources than teachers, or without a kept rollout."""


class KeptRollout(_Entry):
    """One rollout of the seeded sample: a line of ``rollouts.jsonl``."""

    step: int
    teacher: str
    domain: str
    prompt: str
    score: float
    ids: tuple[int, ...]
    response: tuple[int, ...]
    """Places of the student's own tokens; the lists below refer to them."""
    weight: float
    """Share of each of these tokens in the step's loss."""
    sampler_log_probs: tuple[float, ...]
    advantages: Mapping[str, tuple[float, ...]]
    """Advantages of these tokens, by source."""
    teacher_prompt: tuple[int, ...] = Field(default=(), exclude_if=lambda ids: not ids)
    """Prompt that the teacher read in the place of the student's; () for the student's own."""
    staleness: int = Field(default=0, exclude_if=lambda updates: updates == 0)
    """Number of updates between the policy that sampled these tokens and the one that learned."""


class Segment(_Entry):
    """A stretch of training with its change of the weights split by source."""

    first_step: int
    last_step: int
    file: str
    """safetensors in the format of ``segment_file``; a part is a source, decay or rounding."""
    start: str
    """Digest of the weights before the segment."""
    end: str
    norms: Mapping[str, float]
    """Norm of each part's displacement."""
    change: float
    """Norm of the whole change."""
    lost: float
    """Norm of the loss over all parts by storing them in less than fp32; 0 for fp32."""
    updates: int | None = None
    """Number of updates of each weight; None in an older ledger, and in a replayed one."""
    farthest: float = 0.0
    """Largest displacement of a weight by a source."""


class LedgerCheckpoint(_Entry):
    """The weights at a segment's end, in a run without a split: replays start there."""

    step: int
    file: str
    """safetensors, by parameter."""
    digest: str
    """Digest of the original weights, before they were stored in another precision."""


class SavedWeights(_Entry):
    """The student's weights, where they were saved in less precision than they were trained in."""

    precision: StoredPrecision
    digest: str
    """Digest of the weights as they were saved."""
    lost: float
    """Norm of what saving rounded away."""


class Manifest(_Entry):
    """``ledger.json``: the run of a ledger, and how far it was written."""

    schema_: Literal["provost.ledger/1", "provost.ledger/2"] = SCHEMA
    """Version 1 stores every part as it is, and does not count updates."""
    settings: LedgerSettings
    seed: int
    sources: tuple[str, ...]
    start: str
    """Digest of the run's initial weights."""
    end: str
    """Digest of the weights after ``last_step``, as they were trained."""
    saved: SavedWeights | None = None
    """None if the student was saved as it was trained."""
    last_step: int
    segments: tuple[Segment, ...]
    checkpoints: tuple[LedgerCheckpoint, ...] = ()
    """Checkpoints, if displacements are off; a ledger holds segments or these."""


def ledger_derivation(of: Derivation) -> Derivation:
    """Return the derivation of the ledger that the run ``of`` wrote beside its student.

    One run made both, so they differ only in their kind.
    """
    return of.model_copy(update={"kind": "ledger"})
