"""Settings of supervised stages. No torch: workflows import them."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.model.settings import ScratchSettings


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


class BaseSettings(BaseModel):
    """How a base is made from scratch; without meaning where a Hugging Face model is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scratch: ScratchSettings = ScratchSettings()
    num_documents: int = Field(default=80_000, ge=1)
    row_tokens: int = Field(default=64, ge=2)
    """Documents are packed into rows of so many tokens."""
    training: SftSettings = SftSettings(
        num_steps=2000, batch_size=16, learning_rate=1e-2, muon=True
    )
