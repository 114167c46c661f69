"""Settings of the on-policy loop. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.model.settings import AdapterSettings


class Correction(StrEnum):
    """What becomes of a token whose trainer/sampler probability ratio is out of bounds."""

    MASK = "mask"
    """It is dropped below ``low`` and above ``high``: MiMo-V2-Flash (2601.02780) eq. 8, IcePop."""
    TRUNCATE = "truncate"
    """Its weight is cut to ``high``; none is dropped: truncated importance sampling, TIS."""


class ImportanceMask(BaseModel):
    """How tokens are weighed for the difference of trainer and sampler.

    The default window is that of Nemotron 3 Ultra (2606.15007).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = 0.2
    high: float = 5.0
    correction: Correction = Correction.MASK

    @model_validator(mode="after")
    def _contains_one(self) -> "ImportanceMask":
        if not 0 < self.low <= 1 <= self.high:
            raise ValueError(
                f"importance window [{self.low}, {self.high}] does not contain 1, so every "
                "on-policy token would be dropped: choose low <= 1 <= high"
            )
        return self

    @model_validator(mode="after")
    def _no_lower_bound_in_vain(self) -> "ImportanceMask":
        default = type(self).model_fields["low"].default
        if self.correction is Correction.TRUNCATE and self.low != default:
            raise ValueError(
                f"low is set to {self.low}, but truncation cuts weights to high and drops no "
                "token: leave low out, or choose the correction mask"
            )
        return self


class Normalisation(StrEnum):
    """What one step's loss is a mean of."""

    SEQUENCE_MEAN = "sequence_mean"
    """1/|y| for each rollout, then the mean over rollouts (MiMo-V2-Flash, eq. 7)."""
    TOKEN_MEAN = "token_mean"
    """The mean over all response tokens of the step; long domains weigh more."""


class Precision(StrEnum):
    """In which precision the student computes, in sampling and in learning.

    Its weights, the moments and the ledger are fp32 in either case, and so is what is saved.
    """

    FP32 = "fp32"
    BF16 = "bf16"


class LoopSettings(BaseModel):
    """How long and how fast to learn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=5, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    normalisation: Normalisation = Normalisation.SEQUENCE_MEAN
    microbatch_tokens: int | None = Field(default=None, ge=1)
    """How large a microbatch is with its padding. None takes what measures best: 2048 on a CPU,
    whose caches a layer's activations should not leave, and 8192 on a GPU."""
    adapter: AdapterSettings | None = None
    """Train LoRA adapters and nothing else; None trains all weights."""
    precision: Precision = Precision.FP32
    activation_checkpointing: bool = False
    """Keep of each layer its input alone and compute the rest again in backward: a third more
    work, and memory for many more tokens a microbatch."""
    inner_updates: int = Field(default=1, ge=1)
    """Updates on each step's rollouts, every one on its own part of them (K of Open-MOPD,
    2608.19098 section 3); above 1 the later ones learn from a policy that has moved."""
    rung_every: int = Field(default=0, ge=0)
    """Hand out a checkpoint each so many steps, besides the last; 0 for the last alone."""

    def rung_steps(self) -> list[int]:
        """Return the steps after which a checkpoint is handed out; the last one is the result."""
        every = self.rung_every or self.num_steps
        return sorted({*range(every, self.num_steps + 1, every), self.num_steps})


class Reaction(StrEnum):
    """What a sign of illness does to the run."""

    STOP = "stop"
    WARN = "warn"


class HealthSettings(BaseModel):
    """Signs of illness while a run trains, each with its threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uniform_teacher: Reaction = Reaction.STOP
    least_from_uniform: float = Field(default=0.05, ge=0)
    """Mean |log p + ln V| of a teacher at the sampled tokens, in nats: near 0 its weights are gone
    (Relax issue 287: lost on the first sleep and wake, and the student was driven to uniform)."""
    student_collapse: Reaction = Reaction.STOP
    collapse_share: float = Field(default=0.9, gt=0, le=1)
    """The student's mean entropy over ln V: an own answer is never that undecided."""
    runaway: Reaction = Reaction.WARN
    most_truncated: float = Field(default=0.9, gt=0, le=1)
    most_repeated: float = Field(default=0.5, gt=0, le=1)
    """Shares of a domain's rollouts that are cut, and of its 4-grams that came before: length and
    repetition blew up within 30 steps to 1 and 0.3-0.6 (2604.08527)."""
    runaway_steps: int = Field(default=3, ge=1)
    """In a row: a first step of an untrained student may look so."""
    unsteady_scorer: Reaction = Reaction.STOP
    most_unsteady: float = Field(default=1e-3, gt=0)
    """Nats by which two calls of one teacher on one sequence may differ: served replicas differed
    by more than the signal (SkyRL pull request 2256)."""
    recheck_every: int = Field(default=50, ge=1)
    """Steps between two checks of every scorer; the first step has one."""
