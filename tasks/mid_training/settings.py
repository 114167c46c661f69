"""Settings of mid-training. No torch: workflows import them."""

from typing import Self

from pydantic import Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.supervised.settings import TrainingSettings


class MidTrainingSettings(TrainingSettings):
    """Length, learning rate, optimizer, mixture and packing of mid-training."""

    row_tokens: int = Field(default=64, ge=2)
    """Number of tokens per row. A step reads ``batch_size`` rows."""
    isolated: bool = False
    """Whether attention and positions start anew at each document of a row. Else documents follow
    one another, each with its end, and a document sees those before it in its row."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Share of the tokens of each source, relative to the others; 0 leaves a source out. Without
    weights, each source has the share that it has in the data."""

    @model_validator(mode="after")
    def _weights_make_a_mixture(self) -> Self:
        if self.weights and (min(self.weights.values()) < 0 or not sum(self.weights.values())):
            raise RefusedError(
                "no-mixture",
                f"the weights {self.weights} make no mixture: give numbers from 0 on, at least one "
                "above 0",
            )
        return self
