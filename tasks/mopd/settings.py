"""Settings of a MOPD round. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.ledger.settings import LedgerSettings
from tasks.onpolicy.settings import ImportanceMask, LoopSettings
from tasks.rollout.settings import SamplingSettings


class Divergence(StrEnum):
    """How the student is told what the teacher would have done."""

    FULL_VOCABULARY = "full_vocabulary"
    """The exact reverse KL at every visited token."""
    FORWARD = "forward"
    """The exact forward KL, which covers whatever the teacher may do."""
    TOP_K = "top_k"
    """The reverse KL on a few words, corrected so that the teacher stays its minimiser."""
    SAMPLED_TOKEN = "sampled_token"
    """A policy gradient with the log-ratio of the sampled token as its advantage."""


class Support(StrEnum):
    """Whose likeliest words a top-k divergence looks at."""

    TEACHER = "teacher"
    """As in MOPD (2606.30406) eq. 5."""
    STUDENT = "student"
    """As in Open-MOPD (2608.19098)."""
    UNION = "union"
    """Both, up to twice as many."""


class TopK(BaseModel):
    """The words of a top-k divergence; control tokens are among them always."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(default=64, ge=1)
    """As in MOPD (2606.30406)."""
    support: Support = Support.TEACHER


class TeacherPlacement(StrEnum):
    """Where the weights of teachers are that are not being asked. It changes no number."""

    RESIDENT = "resident"
    """On the device, all of them."""
    HOST = "host"
    """In host memory, pinned for a CUDA device; one teacher at a time on the device."""
    DISK = "disk"
    """In their files, mapped while they are asked; one teacher at a time on the device."""


class DistilSettings(BaseModel):
    """The objective of one MOPD round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = Divergence.FULL_VOCABULARY
    advantage_clip: float = Field(default=5.0, gt=0)
    """A_max in nats, of the sampled-token form alone."""
    top_k: TopK = TopK()
    """Of the top-k form alone."""
    importance: ImportanceMask = ImportanceMask()
    outcome_weight: float = Field(default=0.0, ge=0)
    """Alpha of MiMo-V2-Flash eq. 9: adds alpha times the group-normalised outcome advantage."""

    @model_validator(mode="after")
    def _nothing_set_in_vain(self) -> "DistilSettings":
        fields = type(self).model_fields
        for name, form in (
            ("advantage_clip", Divergence.SAMPLED_TOKEN),
            ("top_k", Divergence.TOP_K),
        ):
            if self.divergence is not form and getattr(self, name) != fields[name].default:
                raise ValueError(
                    f"{name} is set to {getattr(self, name)!r}, but it counts in the divergence "
                    f"{form.value} alone and this is {self.divergence.value}: leave {name} out, "
                    f"or choose {form.value}"
                )
        return self


class RoundSettings(BaseModel):
    """One MOPD round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    distil: DistilSettings = DistilSettings()
    ledger: LedgerSettings = LedgerSettings()
    sampling: SamplingSettings = SamplingSettings()
    prompts_per_domain: int = Field(default=16, ge=1)
    """Prompts of each domain in every step."""
    rollouts_per_prompt: int = Field(default=1, ge=1)
    """One is what every published system uses; an outcome advantage needs a group of several."""

    @model_validator(mode="after")
    def _group_for_outcome(self) -> "RoundSettings":
        if self.distil.outcome_weight > 0 and self.rollouts_per_prompt == 1:
            raise ValueError(
                f"outcome_weight is {self.distil.outcome_weight} but each prompt is played once, "
                "so every group advantage is 0 and the outcome would never count: set "
                "rollouts_per_prompt to 2 or more, or outcome_weight to 0"
            )
        return self
