"""How checkpoints are evaluated. No torch: workflows import it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from lineage.frozen import Frozen
from tasks.contracts.scale import Scale
from tasks.rollout.settings import SamplingSettings


class EvaluationSettings(BaseModel):
    """One response per held-out prompt, sampled as in training.

    Every checkpoint gets the same random numbers for the same prompt, so differences are paired.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingSettings = SamplingSettings()
    seed: int = 20261121


class CardSettings(Frozen):
    """What the record of a scorecard says of it: how all were measured, and what is missing."""

    sampling: SamplingSettings
    seed: int
    left_out: Mapping[str, str] = Field(default={}, exclude_if=lambda value: not value)
    """control -> why it could not be made."""

    @property
    def evaluation(self) -> EvaluationSettings:
        """The settings of its measurements."""
        return EvaluationSettings(sampling=self.sampling, seed=self.seed)


class RecipeLabel(Frozen):
    """Which recipe a card is of."""

    system: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the recipe's file, such as ``instruct_gpt``."""
    scale: Scale
    seed: int = Field(ge=0)
