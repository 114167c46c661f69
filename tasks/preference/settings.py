"""Settings of learning from preferences. No torch: workflows import them."""

from pydantic import Field

from tasks.rollout.responses import Strength
from tasks.supervised.settings import TrainingSettings


class PreferenceSettings(TrainingSettings):
    """Length, learning rate, optimizer and loss of DPO."""

    batch_size: int = Field(default=32, ge=1)
    """Number of comparisons per optimizer step."""
    beta: float = Field(default=0.1, gt=0)
    """Weight of the log-ratio to the reference. A length-normalized loss needs about fifty times
    as much: OLMo 3 and Tülu 3 use 5, Llama 3 uses 0.1 without normalization."""
    length_normalized: bool = False
    """Whether a response's log-ratio is divided by its number of tokens."""
    nll_weight: float = Field(default=0.0, ge=0)
    """Weight of the negative log-likelihood of the chosen response, per token; Llama 3: 0.2."""
    mask_control_tokens: bool = False
    """Whether control tokens, such as the end of a turn, are left out of the comparison on both
    sides, as in Llama 3. The likelihood of the chosen response keeps them."""
    least_strength: Strength = Strength.NEGLIGIBLY
    """Weakest comparison that trains the policy; Llama 3 trains from ``better`` on."""
