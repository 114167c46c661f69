"""Precision, sizes of models trained from scratch, and adapters. No torch: workflows import it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Precision(StrEnum):
    """Floating-point format, of the computation or of saved weights.

    Weights in training, optimizer moments and ledger are fp32 in either case.
    """

    FP32 = "fp32"
    BF16 = "bf16"


class StoredAs(StrEnum):
    """Floating-point format in which a model of others is stored."""

    AUTO = "auto"
    """bf16 where all of its weights are bf16, which loses nothing, else fp32."""
    FP32 = "fp32"
    BF16 = "bf16"

    def of(self, *, is_bf16: bool) -> Precision:
        """Return the format for a model, which is or is not in bf16."""
        if self is StoredAs.AUTO:
            return Precision.BF16 if is_bf16 else Precision.FP32
        return Precision(self.value)


def saved_as(precision: Precision | StoredAs) -> dict[str, JsonValue]:
    """Return a saved precision as a setting; fp32 is left out, so that older records are found."""
    return {} if precision.value == Precision.FP32.value else {"saved_precision": precision.value}


class ScratchSettings(BaseModel):
    """Shape of the model; the defaults give about 0.5 million parameters."""

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
    """RoPE base, chosen for contexts of about 100 tokens; 10,000 learned to copy more slowly."""
    thinking: bool = False
    """Whether the tokenizer has tokens around a thinking block, and the chat template the modes
    "on" and "off"."""
    weight_deviation: float = 0.06
    """Standard deviation of the initial weights; the library's 0.02 suits larger models."""


class AdapterSettings(BaseModel):
    """LoRA adapters on the projections of attention and MLP (2106.09685)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    """Scale of the adapters: their output is multiplied by alpha / rank."""
    seed: int = 0
    """Seed for the initial values of A; B starts at zero."""
