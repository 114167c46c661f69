"""How checkpoints are evaluated. No torch: workflows import it."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.rollout.settings import SamplingSettings


class EvaluationSettings(BaseModel):
    """One sample for each held-out prompt, as the policy is trained to be sampled.

    Every checkpoint gets the same noise at the same prompt, so differences are paired.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    seed: int = 20261121


class ReleaseConditions(BaseModel):
    """When the alias ``released`` moves to a student by itself; a person may move it otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_normalised: float = Field(default=0.5, ge=0)
    """Share of the teacher's gain that the student has in each domain. Ours: the testbed's students
    have 0.9 or more in every domain, and its cheap merges mostly less than a half."""
    least_overall: float = Field(default=0.8, ge=0)
    """The same as the mean over domains. Ours: the testbed's students have about 0.95."""
    keep_domains: bool = True
    """Whether every domain of the student released before must be among its own."""
