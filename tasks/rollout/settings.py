"""How text is drawn from a policy. No torch: workflows import it."""

from pydantic import BaseModel, ConfigDict, Field


class SamplingSettings(BaseModel):
    """How text is drawn from a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=24, ge=1)
    """Per model turn, its end token included."""
