"""Settings of sampling. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.handover import Domain
from tasks.rejection_sampling.pairs import StrengthCuts
from tasks.rollout.responses import GRADE
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.settings import JudgeSettings


class PromptSplit(StrEnum):
    """Which prompts of a domain are sampled."""

    TRAIN = "train"
    VALIDATION = "validation"
    EVALUATION = "evaluation"


class DomainPrompts(Frozen):
    """Prompts of one domain, with the environment that answers and grades."""

    domain: str
    prompts: Artifact
    environment: Artifact | None
    """The environment's bundle. Sampling refuses a domain without one."""
    system_prompt: str = ""
    """System prompt that only the samplers read, as a teacher does; responses hold the prompts
    without it."""

    @classmethod
    def of(cls, domain: Domain, split: PromptSplit) -> "DomainPrompts":
        """Return the prompts of a split of a collected domain."""
        prompts = {
            PromptSplit.TRAIN: domain.train,
            PromptSplit.VALIDATION: domain.validation,
            PromptSplit.EVALUATION: domain.evaluation,
        }
        return cls(
            domain=domain.settings.name, prompts=prompts[split], environment=domain.environment
        )


class ResponseSettings(BaseModel):
    """How many responses are sampled to which prompts, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples_per_prompt: int = 8
    """Number of responses of each checkpoint to each prompt (K)."""
    num_prompts: int = Field(default=0, ge=0)
    """Number of prompts of each domain, from the start of its set; 0 takes all."""
    mode: str = ""
    """Template mode of all prompts; "" leaves each prompt its own."""
    sampling: SamplingSettings = SamplingSettings()


class ComparisonSettings(BaseModel):
    """Which pairs a judge compares, and how its preference becomes a strength."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs_per_prompt: int = Field(default=1, ge=1)
    """Number of a prompt's pairs, drawn at random."""
    cuts: StrengthCuts = StrengthCuts()
    """Strength labels by the absolute preference, which is 1 if all verdicts agree."""


class VerdictSettings(BaseModel):
    """Verdicts on responses that exist, from which a model learns to judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judging: JudgeSettings
    """Rubric, prompt and scale, which the judge has to be run with."""
    scorer: str = GRADE
    """Name of the gold score, from 0 to 1."""
    noise: float = Field(default=0.1, ge=0)
    """Standard deviation of what an annotator perceives around the gold score."""
