"""Settings of GRPO's published variants. No torch: workflows import them.

Each is off by default. A setting that could never act is refused in ``tasks.rl.settings``.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError


class AdvantageBaseline(StrEnum):
    """What a rollout's reward is compared with."""

    MEAN = "mean"
    """Mean of its group, the rollouts of the same prompt (DeepSeekMath, 2402.03300 section 4.1)."""
    LEAVE_ONE_OUT = "leave_one_out"
    """Mean of the other rollouts of its group (RLOO; Nemotron 3 Super)."""


class AdvantageScale(StrEnum):
    """What the difference to the baseline is divided by."""

    STD = "std"
    """Standard deviation of the group (DeepSeekMath; R1, V3, MAI-Thinking-1, GLM-5)."""
    NONE = "none"
    """Nothing (Dr. GRPO; OLMo 3 section 4.4.1, DeepSeek-V3.2 section 3.1, Kimi K2.5, Composer)."""


class AdvantageSettings(BaseModel):
    """The advantage of a rollout within its group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: AdvantageBaseline = AdvantageBaseline.MEAN
    """Value that the reward is compared with."""
    scale: AdvantageScale = AdvantageScale.STD
    """Divisor of the difference."""
    clip: float | None = Field(default=None, gt=0)
    """Bound of the advantage to both sides (Nemotron 3 Super: 50, and 100 for SWE)."""


class UnlikelySettings(BaseModel):
    """A fixed negative advantage of unlikely tokens, in the place of any reward (2608.31046)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    advantage: float = Field(default=-1.0, lt=0, allow_inf_nan=False)
    """Advantage of an unlikely token; every other token has none."""
    log_prob: float = Field(default=-1.6, lt=0, allow_inf_nan=False)
    """Bound in nats: a token is unlikely if the sampler gave it less than this. The default is a
    probability of 0.2, ours; the paper's is not known to us."""


class RatioBase(StrEnum):
    """What the policy's probability of a token is divided by."""

    SAMPLER = "sampler"
    """The sampler's probability: one ratio for stale weights and other numerics."""
    OLD = "old"
    """The trainer's own probability at the start of the step. ``importance`` then corrects the
    mismatch of trainer and sampler apart (GLM-5 equation 1, OLMo 3, Nemotron 3)."""


class ClipRule(StrEnum):
    """Which tokens outside the bounds give no gradient."""

    SIGNED = "signed"
    """Those that moved far enough in the direction of their advantage (PPO, 1707.06347 eq. 7)."""
    SIGN_FREE = "sign_free"
    """All of them, whatever the sign of the advantage (Kimi K2.5, 2602.02276 equation 1)."""


class AdaptiveClip(BaseModel):
    """An upper bound that follows the policy's entropy (MAI-Thinking-1 section 3.1.1).

    It is 1 / (1 - low) + k; k grows by ``step`` after a step with an entropy below the target, and
    shrinks after one above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entropy: float = Field(default=0.3, gt=0)
    """Target of the mean entropy of the policy's tokens, in nats."""
    step: float = Field(default=0.25, gt=0)
    """Change of k after a step."""
    most: float = Field(default=2.5, gt=0)
    """Upper bound of k."""


class ClipSettings(BaseModel):
    """The clip of the probability ratio to [1 - low, 1 + high]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(default=0.2, gt=0)
    """Distance of the lower bound from 1; from 1 on it never acts (R1 prints 10, section 3.2.1)."""
    high: float = Field(default=0.2, gt=0)
    """Distance of the upper bound from 1; above ``low`` for clip-higher (OLMo 3 0.272)."""
    rule: ClipRule = ClipRule.SIGNED
    """Choice of the tokens outside the bounds that give no gradient."""
    adaptive: AdaptiveClip | None = None
    """Upper bound by entropy, in the place of ``high``."""

    @model_validator(mode="after")
    def _no_bound_in_vain(self) -> "ClipSettings":
        default = type(self).model_fields["high"].default
        if self.adaptive is not None and (self.high != default or self.low >= 1):
            raise RefusedError(
                "adaptive-bound",
                f"the adaptive clip sets the upper bound to 1 / (1 - low) + k, but high is "
                f"{self.high} and low {self.low}: remove high, and choose low below 1",
            )
        return self


class RatioSettings(BaseModel):
    """The probability ratio of a token, and what bounds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: RatioBase = RatioBase.SAMPLER
    """Denominator of the ratio."""
    clip: ClipSettings | None = None
    """Clip of the ratio; None leaves bounds to ``importance``."""
    most: float | None = Field(default=None, gt=1)
    """Hard upper bound of the ratio on all branches (MAI-Thinking-1 section 3.1.1: 50)."""
    negative_mask: float | None = Field(default=None, gt=0)
    """Bound delta of the off-policy mask in nats. A rollout with a negative advantage is left out
    if its tokens' mean log(p_sampler / p_policy) is above it (DeepSeek-V3.2 section 3.1)."""
    squared_log: float = Field(default=0.0, ge=0)
    """Weight tau of the squared log-ratio, added to the loss (Kimi K2.5 equation 1)."""


class KlEstimator(StrEnum):
    """Estimator of KL(policy || reference) at a sampled token, with r = p_reference / p_policy."""

    K1 = "k1"
    """-log r. In the loss its gradient is the policy gradient of the KL, because its own has mean
    zero (Composer 2, 2603.24477; in the reward: InstructGPT C.4)."""
    K3 = "k3"
    """r - 1 - log r (DeepSeekMath equation 4; R1)."""
    CORRECTED_K3 = "corrected_k3"
    """k3 times the ratio of the policy and its base: unbiased (DeepSeek-V3.2 section 3.1)."""


class KlPlace(StrEnum):
    """Where the KL to the reference counts."""

    LOSS = "loss"
    """Added to the loss of each token (GRPO)."""
    REWARD = "reward"
    """Subtracted from the reward: of each token with a value network (InstructGPT C.4, Llama 2
    section 3.2.3), else of the rollout, as the sum over its tokens."""


class KlReference(StrEnum):
    """The reference policy."""

    START = "start"
    """The checkpoint that the run starts from."""
    GIVEN = "given"
    """A checkpoint of its own, the input of role ``reference``."""


class KlSettings(BaseModel):
    """KL to a frozen reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    coefficient: float = Field(gt=0)
    """Weight of the KL (R1 0.001, Nemotron 3 Super RLHF 1e-4; in the reward: InstructGPT 0.02)."""
    estimator: KlEstimator = KlEstimator.K3
    """Estimator of the KL."""
    place: KlPlace = KlPlace.LOSS
    """Place where it counts: the loss or the reward."""
    domains: dict[str, float] = Field(default_factory=dict)
    """Coefficient of a domain in the place of ``coefficient``; 0 for none (DeepSeek-V3.2: weak or
    zero for mathematics)."""
    reference: KlReference = KlReference.START
    """The reference."""
    reset_every: int = Field(default=0, ge=0)
    """Number of steps after which the policy becomes the reference; 0 never (R1-Zero: 400)."""

    def of(self, domain: str) -> float:
        """Return the coefficient of a domain."""
        return self.domains.get(domain, self.coefficient)

    @model_validator(mode="after")
    def _can_act(self) -> "KlSettings":
        if any(value < 0 for value in self.domains.values()):
            raise RefusedError(
                "negative", f"the coefficients {self.domains} must not be negative: use 0 for none"
            )
        corrected = self.estimator is KlEstimator.CORRECTED_K3
        if corrected and self.place is KlPlace.REWARD:
            raise RefusedError(
                "same-as-k3",
                "corrected_k3 in the reward is k3, because the ratio is 1 when the reward is "
                "computed: choose k3, or place the KL in the loss",
            )
        return self


class ZeroVariance(StrEnum):
    """What becomes of a group with equal rewards."""

    KEEP = "keep"
    """Its tokens count in every mean, and teach nothing."""
    DROP = "drop"
    """It is left out."""
    REFILL = "refill"
    """It is left out, and other prompts are sampled in its place (DAPO's dynamic sampling, OLMo 3's
    active sampling)."""


class OverlongRule(StrEnum):
    """What becomes of a rollout that was truncated or nearly so."""

    FILTER = "filter"
    """It is left out of the loss (DAPO; Nemotron 3 Super SWE-1)."""
    PENALTY = "penalty"
    """It loses reward: ``penalty`` if it was truncated (Tülu 3: 10, its penalty without an end
    token), and a share of it within ``buffer`` tokens of the limit (DAPO's soft punishment)."""


class OverlongSettings(BaseModel):
    """Treatment of truncated rollouts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: OverlongRule
    penalty: float = Field(default=1.0, gt=0)
    """Reward that a truncated rollout loses; only for the rule penalty."""
    buffer: int = Field(default=0, ge=0)
    """Number of tokens before the limit over which the penalty grows; only for the rule penalty."""

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> "OverlongSettings":
        fields = type(self).model_fields
        for name in ("penalty", "buffer"):
            given = getattr(self, name)
            if self.rule is OverlongRule.FILTER and given != fields[name].default:
                raise RefusedError(
                    "no-effect",
                    f"{name} is {given}, but the rule filter does not use it: remove it, or choose "
                    "the rule penalty",
                )
        return self


class GroupSettings(BaseModel):
    """Which groups and rollouts are learned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zero_variance: ZeroVariance = ZeroVariance.KEEP
    """Treatment of groups with equal rewards."""
    refill_rounds: int = Field(default=0, ge=0)
    """Most rounds of sampling in the place of such groups; only for refill, which needs a bound."""
    overlong: OverlongSettings | None = None
    """Treatment of truncated rollouts."""

    @model_validator(mode="after")
    def _refill_has_a_bound(self) -> "GroupSettings":
        if (self.zero_variance is ZeroVariance.REFILL) != (self.refill_rounds > 0):
            raise RefusedError(
                "refill-without-bound",
                f"zero_variance is {self.zero_variance.value} with {self.refill_rounds} "
                "refill_rounds: refill needs a bound above 0, and no other treatment takes one",
            )
        return self


class LengthStage(BaseModel):
    """A token limit that holds from a step on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_step: int = Field(ge=2)
    """First step with this limit."""
    max_new_tokens: int = Field(ge=1)
    """Most tokens of a model turn, in the place of the sampling's (R1-Zero section 2.2: 65,536 in
    the place of 32,768 from step 8,200 on)."""
