"""Settings of the merges. No torch: workflows import them."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.rollout.settings import SamplingSettings


class MergeMethod(StrEnum):
    """Rule by which the weights of several models become one."""

    AVERAGE = "average"
    """Weighted mean of the weights: a model soup (2203.05482)."""
    TASK_ARITHMETIC = "task_arithmetic"
    """Start plus a multiple of the summed task vectors (2212.04089)."""
    TIES = "ties"
    """Trimmed task vectors, averaged where their signs agree (TIES-Merging, 2306.01708)."""
    DARE = "dare"
    """Task vectors thinned at random and scaled up, then summed (2311.03099)."""


SPARSE = frozenset({MergeMethod.TIES, MergeMethod.DARE})
"""Methods that keep only a share of each task vector."""


class MergeSettings(BaseModel):
    """What a merge of a plan's teachers tries, on validation prompts and never on evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: list[float] = Field(default=[0.3, 0.5, 0.7, 0.85, 1.0], min_length=1)
    """Multiples of the merged task vector."""
    sampling: SamplingSettings = SamplingSettings()
    validation_seed: int = 11


class SparseMergeSettings(MergeSettings):
    """The same for TIES and DARE."""

    densities: list[float] = Field(default=[0.2, 0.5], min_length=1)
    """Shares of each task vector that are kept."""


class WeightedCheckpoint(Frozen):
    """A checkpoint that is merged with others."""

    name: str
    """Name in the record, such as ``lr-5e-5``."""
    checkpoint: Artifact
    share: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Relative weight; of an average they are divided by their sum."""


class SoupSettings(Frozen):
    """A merge of checkpoints over learning rates, data or stages."""

    method: MergeMethod = MergeMethod.AVERAGE
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Multiple of the merged task vector that is added to the start."""
    density: float = Field(default=1.0, gt=0, le=1)
    """Share of each task vector that TIES and DARE keep; 0.2 in TIES-Merging."""

    @model_validator(mode="after")
    def _acts(self) -> Self:
        """Refuse a number that the method does not use, and a sparse method that drops nothing."""
        if self.method is MergeMethod.AVERAGE and self.weight != 1:
            raise ValueError(
                f"weight is {self.weight}, but an average has no start to add to: remove weight, "
                "or choose task_arithmetic"
            )
        if (self.method in SPARSE) is (self.density == 1):
            raise ValueError(
                f"density is {self.density:g} with the method {self.method.value}: ties and dare "
                "need a density below 1, and the other methods use none"
            )
        return self
