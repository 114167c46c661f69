"""Settings of supervised stages. No torch: workflows import them."""

from pydantic import BaseModel, ConfigDict, Field


class SftSettings(BaseModel):
    """How long and how fast a supervised stage learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(gt=0)
    """Peak, of AdamW; of Muon where ``muon`` is set."""
    warmup_steps: int = Field(default=40, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    muon: bool = False
    """Muon for the hidden matrices: for training from scratch."""
