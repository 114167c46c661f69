"""Settings of reinforcement learning with verifiable rewards. No torch: workflows import them."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.onpolicy.settings import ImportanceMask, LoopSettings
from tasks.rollout.settings import SamplingSettings


class RlSettings(BaseModel):
    """The RL stage of a climb: GRPO on one domain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    """Length, learning rate and optimization."""
    sampling: SamplingSettings = SamplingSettings()
    """Sampling of the rollouts."""
    prompts_per_step: int = Field(default=16, ge=1)
    """Number of prompts per step."""
    rollouts_per_prompt: int = Field(default=8, ge=2)
    """Size of the group over which advantages are normalized."""
    importance: ImportanceMask = ImportanceMask()
    """Correction of the mismatch between trainer and sampler."""
