"""Settings of a reward model's training. No torch: workflows import them."""

from enum import StrEnum

from pydantic import Field

from tasks.rollout.responses import Strength
from tasks.supervised.settings import TrainingSettings


class Margin(StrEnum):
    """The lead that the chosen response's score must have, by strength: Llama 2, table 27."""

    NONE = "none"
    SMALL = "small"
    """1, 2/3, 1/3 and 0."""
    LARGE = "large"
    """3, 2, 1 and 0. Helps where responses differ clearly, hurts where they hardly differ."""


class RewardModelSettings(TrainingSettings):
    """Length, learning rate, optimizer and loss of a reward model's training."""

    batch_size: int = Field(default=16, ge=1)
    """Number of prompts per optimizer step, each with all of its comparisons."""
    margin: Margin = Margin.NONE
    """The lead that the chosen response's score must have, by strength."""
    least_strength: Strength = Strength.NEGLIGIBLY
    """Weakest comparison that trains the model; Llama 3 trains from ``better`` on."""
    held_out_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the prompts, by the hash of their ids, that only measure the accuracy."""
