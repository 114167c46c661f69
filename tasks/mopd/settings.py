"""Settings of a MOPD round. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tasks.onpolicy.settings import ImportanceMask


class Divergence(StrEnum):
    """How the student is told what the teacher would have done."""

    FULL_VOCABULARY = "full_vocabulary"
    """The exact reverse KL at every visited token."""
    SAMPLED_TOKEN = "sampled_token"  # noqa: S105
    """A policy gradient with the log-ratio of the sampled token as its advantage."""


class DistilSettings(BaseModel):
    """The objective of one MOPD round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = Divergence.FULL_VOCABULARY
    advantage_clip: float = Field(default=5.0, gt=0)
    """A_max in nats; binds in the sampled-token form only."""
    importance: ImportanceMask = ImportanceMask()
    outcome_weight: float = Field(default=0.0, ge=0)
    """Alpha of MiMo-V2-Flash eq. 9: adds alpha times the group-normalised outcome advantage."""
