"""How checkpoints are evaluated. No torch: workflows import it."""

from pydantic import BaseModel, ConfigDict

from tasks.rollout.settings import SamplingSettings


class EvaluationSettings(BaseModel):
    """One response per held-out prompt, sampled as in training.

    Every checkpoint gets the same random numbers for the same prompt, so differences are paired.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    seed: int = 20261121
