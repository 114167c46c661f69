"""The size of a model made from scratch."""

from pydantic import BaseModel, ConfigDict


class ScratchSettings(BaseModel):
    """The shape of the model; the defaults are about 0.5 million parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary_size: int = 384
    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 2
    head_size: int = 32
    feed_forward_size: int = 288
    max_positions: int = 512
    rope_theta: float = 100.0
    """Wavelengths for contexts of a hundred tokens; 10,000 learned to copy more slowly."""
    weight_deviation: float = 0.06
    """Standard deviation of the first weights; the library's 0.02 suits larger models."""
