"""Settings of supervised stages. No torch: workflows import them."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tasks.contracts.handover import BlendSettings, DomainSettings
from tasks.contracts.scale import Scale
from tasks.model.settings import ScratchSettings
from tasks.supervised.settings import TrainingSettings


class LossMean(StrEnum):
    """What the loss of a batch is the mean of; Nemotron 3 Super trains by one, then the other."""

    TOKENS = "tokens"
    """All learned tokens of the batch: a long response counts more."""
    ROWS = "rows"
    """The rows' own means: each response counts the same."""


class TextMix(BaseModel):
    """Pre-training text among the demonstrations of a supervised stage (InstructGPT C.3: 10 %)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, lt=1)
    """Share of the rows that are text."""
    row_tokens: int = Field(default=64, ge=2)
    """Number of tokens per row of text; documents follow one another, each with its end."""


class SftSettings(TrainingSettings):
    """Length, learning rate, optimizer and loss of a supervised stage."""

    loss_mean: LossMean = Field(
        default=LossMean.TOKENS, exclude_if=lambda value: value == LossMean.TOKENS
    )
    """What the loss of a batch is the mean of."""
    dropout: float = Field(default=0.0, ge=0, lt=1, exclude_if=lambda value: value == 0)
    """Share of the numbers that each attention and MLP adds that is dropped."""
    text: TextMix | None = Field(default=None, exclude_if=lambda value: value is None)
    """Pre-training text among the demonstrations; None for none."""


class BaseSettings(BaseModel):
    """Training of a base from scratch; unused if a Hugging Face model is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scratch: ScratchSettings = ScratchSettings()
    num_documents: int = Field(default=80_000, ge=1)
    row_tokens: int = Field(default=64, ge=2)
    """Number of tokens per row; documents are packed into rows."""
    reads_demonstrations: bool = False
    """Whether the base reads the demonstrations, as chats, beside the documents. It can answer
    then. Chats and documents are packed whole, so ``row_tokens`` must hold the longest chat."""
    training: SftSettings = SftSettings(
        num_steps=2000, batch_size=16, learning_rate=1e-2, muon=True
    )


class TowerSettings(BaseModel):
    """Shape of a vision tower; by default of images of 3 x 3 patches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = 12
    """Width and height of an image in pixels."""
    patch_size: int = 4
    """Width and height of a patch, which becomes a token."""
    hidden_size: int = 32
    num_layers: int = 1
    num_heads: int = 2
    feed_forward_size: int = 64


class ImageBaseSettings(BaseModel):
    """A vision tower for a text model, and their training together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tower: TowerSettings = TowerSettings()
    training: SftSettings


class BedSettings(BaseModel):
    """The testbed at one scale: its base, the examples that the base reads, and its domains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Scale
    source: str = ""
    """Path or id of a Hugging Face model to take as the base; "" trains one from scratch."""
    base: BaseSettings
    blend: BlendSettings
    domains: list[DomainSettings]


class FoundationPreset(StrEnum):
    """Numbers of the shared supervised stage, by what it starts from."""

    FROM_SCRATCH = "from-scratch"
    """The demo's small model, which learns to answer here."""
    INSTRUCT = "instruct"
    """A pre-trained model that follows instructions already, and must not forget it."""


SHARED_STAGE = {
    FoundationPreset.FROM_SCRATCH: SftSettings(
        num_steps=1500, batch_size=32, learning_rate=5e-3, muon=True
    ),
    # ours: a hundredth of a usual peak for pre-training, as SFT of released models uses, with a
    # tenth of the steps to reach it; decay would pull pre-trained weights to zero.
    FoundationPreset.INSTRUCT: SftSettings(
        num_steps=200, batch_size=16, learning_rate=1e-5, warmup_steps=20, weight_decay=0.0
    ),
}


def at_scale(scale: Scale, beds: Sequence[BedSettings]) -> BedSettings:
    """Return the testbed of a scale; there is one for each."""
    (found,) = (bed for bed in beds if bed.scale is scale)
    return found
