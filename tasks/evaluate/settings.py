"""How checkpoints are evaluated. No torch: workflows import it."""

from pydantic import BaseModel, ConfigDict

from tasks.rollout.settings import SamplingSettings


class EvaluationSettings(BaseModel):
    """One sample for each held-out prompt, as the policy is trained to be sampled.

    Every checkpoint gets the same noise at the same prompt, so differences are paired.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    seed: int = 20261121
