"""Settings of the on-policy loop, and the work that they give. No torch: workflows import them."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from lineage.digest import canonical_json
from lineage.frozen import respelled
from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import LedgerSettings
from tasks.model.settings import AdapterSettings, Precision
from tasks.rollout.settings import SamplingEngine, SamplingSettings


class Correction(StrEnum):
    """Treatment of tokens with a trainer/sampler probability ratio out of bounds."""

    MASK = "mask"
    """Drop tokens below ``low`` and above ``high``: MiMo-V2-Flash (2601.02780) eq. 8, IcePop."""
    TRUNCATE = "truncate"
    """Cap the weight at ``high`` and drop no token: truncated importance sampling (TIS)."""
    NONE = "none"
    """Give each token the weight 1."""


class ImportanceMask(BaseModel):
    """Importance weights that correct the mismatch between trainer and sampler.

    The default window is that of Nemotron 3 Ultra (2606.15007).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = 0.2
    """Lower bound of the trainer/sampler probability ratio."""
    high: float = 5.0
    """Upper bound of the ratio."""
    correction: Correction = Correction.MASK
    """Treatment of tokens out of bounds: drop them, or cap their weight."""

    @model_validator(mode="after")
    def _contains_one(self) -> "ImportanceMask":
        if not 0 < self.low <= 1 <= self.high:
            raise RefusedError(
                "window-without-one",
                f"importance window [{self.low}, {self.high}] does not contain 1, so every "
                "on-policy token would be dropped: choose low <= 1 <= high",
            )
        return self

    @model_validator(mode="after")
    def _no_bound_in_vain(self) -> "ImportanceMask":
        idle = {
            Correction.MASK: (),
            Correction.TRUNCATE: ("low",),
            Correction.NONE: ("low", "high"),
        }
        for name in idle[self.correction]:
            given = getattr(self, name)
            if given != type(self).model_fields[name].default:
                raise RefusedError(
                    "no-effect",
                    f"{name} is set to {given}, but it has no effect with the correction "
                    f"{self.correction.value}: remove {name}, or set correction to mask",
                )
        return self


class Normalization(StrEnum):
    """Loss aggregation within one step."""

    SEQUENCE_MEAN = "sequence_mean"
    """Mean over the tokens of each rollout, then over rollouts (MiMo-V2-Flash eq. 7)."""
    TOKEN_MEAN = "token_mean"
    """Mean over all response tokens of the step; domains with longer responses weigh more."""
    GLOBAL_BATCH = "global_batch"
    """The same with several inner updates: each token of a step weighs alike, whichever update it
    is in (MAI-Thinking-1 section 3.1.1)."""


class LoopSettings(BaseModel):
    """Length, learning rate and optimization of a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _with_present_names(cls, data: object) -> object:
        return respelled(data)

    num_steps: int = Field(ge=1)
    """Number of sampling steps."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = Field(default=5, ge=0)
    """Number of steps over which the learning rate rises to its peak."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of AdamW."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradient of one optimizer step."""
    normalization: Normalization = Normalization.SEQUENCE_MEAN
    """Loss aggregation: mean over rollouts, or over tokens of an update or of the step."""
    microbatch_tokens: int | None = Field(default=None, ge=1)
    """Number of tokens per microbatch, including padding. None takes 2048 on a CPU, where a layer's
    activations then fit into the caches and which was the fastest, and 8192 on a GPU."""
    adapter: AdapterSettings | None = None
    """LoRA adapters to train instead of the weights; None trains all weights. Experts of a mixture
    get no adapters, so they stay as they are."""
    precision: Precision = Precision.FP32
    """Floating-point format of the computation; weights stay fp32."""
    saved_precision: Precision = Precision.FP32
    """Floating-point format of saved checkpoints. bf16 takes half the disk and rounds each weight
    by up to 0.4 %, more than a small learning rate changes it; the record holds the rounding."""
    activation_checkpointing: bool = False
    """Whether to store only each layer's input and recompute the rest in the backward pass. It
    costs a third more computation and allows larger microbatches."""
    inner_updates: int = Field(default=1, ge=1)
    """Number of optimizer steps per sampling step, each on its own part of the rollouts (K of
    Open-MOPD, 2608.19098 section 3). Above 1, all but the first are off-policy."""
    inner_epochs: int = Field(default=1, ge=1, exclude_if=lambda value: value == 1)
    """Number of passes of the inner updates over a step's rollouts, each in a new order."""
    staleness: int = Field(default=0, ge=0, le=1, exclude_if=lambda value: value == 0)
    """Number of updates between the policy that samples a step's rollouts and the one that learns
    from them. With 1, servers sample the next step's while this one trains."""
    rung_every: int = Field(default=0, ge=0)
    """Number of steps between checkpoints; 0 keeps only the last one."""

    @property
    def updates_per_step(self) -> int:
        """Number of optimizer steps per sampling step."""
        return self.inner_updates * self.inner_epochs

    @model_validator(mode="after")
    def _global_batch_of_several_updates(self) -> "LoopSettings":
        if self.normalization is Normalization.GLOBAL_BATCH and self.inner_updates == 1:
            raise RefusedError(
                "no-effect",
                "normalization global_batch is the same as token_mean with a single inner update: "
                "set normalization to token_mean, or inner_updates above 1",
            )
        return self

    def rung_steps(self) -> list[int]:
        """Return the steps after which a checkpoint is kept; the last one is the result."""
        every = self.rung_every or self.num_steps
        return sorted({*range(every, self.num_steps + 1, every), self.num_steps})


def refuse_staleness(
    loop: LoopSettings, sampling: SamplingSettings, importance: ImportanceMask
) -> None:
    """Raise RefusedError for a staleness that could not work, or would not be corrected."""
    if not loop.staleness:
        return
    if sampling.engine is not SamplingEngine.VLLM:
        raise RefusedError(
            "staleness-without-server",
            f"loop.staleness is 1, but the engine {sampling.engine.value} samples with the weights "
            "that are being trained, on the same cores or GPU, so nothing could overlap: sample "
            "with vLLM servers, or set loop.staleness to 0",
        )
    if loop.updates_per_step > 1:
        raise RefusedError(
            "more-than-one-update-stale",
            f"loop.staleness is 1, but a step has {loop.updates_per_step} updates, so the next "
            "step's rollouts would be that many updates stale: set loop.inner_updates and "
            "loop.inner_epochs to 1, or loop.staleness to 0",
        )
    if importance.correction is Correction.NONE:
        raise RefusedError(
            "staleness-uncorrected",
            "loop.staleness is 1, but importance.correction is none, so stale tokens would count "
            "as if the present policy had sampled them: set importance.correction to mask or "
            "truncate, or loop.staleness to 0",
        )
    if loop.num_steps == 1:
        raise RefusedError(
            "no-effect",
            "loop.staleness has no effect in a run of one step, which the first policy samples: "
            "set it to 0, or raise loop.num_steps",
        )


def microbatch_tokens_on(*, on_gpu: bool) -> int:
    """Return the tokens of a microbatch, padding included, where the settings name none."""
    return 8192 if on_gpu else 2048


class Reaction(StrEnum):
    """What a monitor does when its threshold is exceeded."""

    STOP = "stop"
    WARN = "warn"


class HealthSettings(BaseModel):
    """Training monitors, each with its threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uniform_teacher: Reaction = Reaction.STOP
    least_from_uniform: float = Field(default=0.05, ge=0)
    """Minimum of a teacher's mean |log p + ln V| at the sampled tokens, in nats. Near 0 the teacher
    is uniform because its weights are lost (Relax issue 287: after its first sleep and wake)."""
    student_collapse: Reaction = Reaction.STOP
    collapse_share: float = Field(default=0.9, gt=0, le=1)
    """Maximum of the student's mean entropy divided by ln V; healthy policies stay far below."""
    runaway: Reaction = Reaction.WARN
    most_truncated: float = Field(default=0.9, gt=0, le=1)
    most_repeated: float = Field(default=0.5, gt=0, le=1)
    """Maximum share of a domain's repeated 4-grams; ``most_truncated`` limits the share of its
    truncated rollouts. In runaways they reached 0.3-0.6 and 1 within 30 steps (2604.08527)."""
    runaway_steps: int = Field(default=3, ge=1)
    """Number of consecutive steps over a limit; a single early step can exceed it by chance."""
    unsteady_scorer: Reaction = Reaction.STOP
    most_unsteady: float = Field(default=1e-3, gt=0)
    """Maximum difference in nats between two calls of one teacher on one sequence. Served replicas
    have differed by more than the signal (SkyRL pull request 2256)."""
    recheck_every: int = Field(default=50, ge=1)
    """Number of steps between two checks of each scorer, starting at the first step."""
    sampler_gap: Reaction = Reaction.STOP
    most_sampler_gap: float = Field(default=0.1, gt=0)
    """Maximum mean |difference| between the sampler's and the trainer's log-probabilities of a
    step's tokens, in nats. In fp32 it is 1e-5, and a bf16 server's noise is about 0.01."""
    stale_gap: Reaction = Reaction.STOP
    most_stale_gap: float = Field(default=0.3, gt=0)
    """The same maximum for tokens that were sampled one update before (``loop.staleness``). They
    also hold what that update changed: 0.1 as above, and 0.2 for an update, which is PPO's clip
    (ln 1.2)."""
    teacher_jump: Reaction = Reaction.WARN
    most_kl_growth: float = Field(default=3.0, gt=1)
    """Maximum ratio of a teacher's KL to its largest of the last ten steps. A frozen teacher's KL
    grows slowly; a larger jump means that its weights, or the student, changed at once."""


_NO_PART_OF_A_RECIPE = ("ledger", "placement", "health")


def recipe(settings: Mapping[str, JsonValue], rounds: int) -> str:
    """Return all settings that the transferred gain may depend on, besides plan and seed, as text.

    Args:
        settings: Settings of a round, as in its record.
        rounds: Number of rounds.
    """
    kept = {name: value for name, value in settings.items() if name not in _NO_PART_OF_A_RECIPE}
    sampling = kept.get("sampling")
    if isinstance(sampling, dict):
        # What an unconfined environment could reach changes no answer.
        kept["sampling"] = {k: v for k, v in sampling.items() if k != "allow_unconfined"}
    return canonical_json({**kept, "rounds": rounds}).decode()


class Workload(BaseModel):
    """The inputs of a plan's cost estimate, besides the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    ledger: LedgerSettings
    rounds: int = Field(ge=1)
    prompts_per_domain: int = Field(ge=1)
    rollouts_per_prompt: int = Field(ge=1)
    max_new_tokens: int = Field(ge=1)
    """Maximum tokens of a response."""
    has_outcome: bool
    """Whether the outcome reward is a source beside the teachers."""
    has_reference: bool = False
    """Whether the initial student is a source beside the teachers."""
    teachers_on_device: bool = False
    """Whether all teachers stay on the device, and not one at a time."""
    teachers_in_host_memory: bool = False
    """Whether idle teachers are kept in host memory, pinned."""
    teachers_sharded: bool = False
    """Whether several ranks share the teacher that scores."""
    servers: int = Field(default=0, ge=0)
    """Number of vLLM servers that sample; 0 where the trainer's own model does."""
    weights_in_memory: bool = False
    """Whether the servers' weights pass through a file system in memory."""
    merged_controls: int = Field(default=0, ge=0)
    """Number of merges that are stored beside the student."""
    trained_controls: int = Field(default=0, ge=0)
    """Number of controls that train for as long as the rounds."""

    @property
    def rollouts_per_step(self) -> int:
        """Rollouts of one domain per step."""
        return self.prompts_per_domain * self.rollouts_per_prompt
