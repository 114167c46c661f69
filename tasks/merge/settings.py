"""Settings of the merges. No torch: workflows import them."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.rollout.settings import SamplingSettings


class MergeSettings(BaseModel):
    """Selection of the task-arithmetic weight, on validation prompts and never on evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: list[float] = Field(default=[0.3, 0.5, 0.7, 0.85, 1.0], min_length=1)
    sampling: SamplingSettings = SamplingSettings()
    validation_seed: int = 11
