"""Settings of a MOPD round. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import LedgerSettings
from tasks.onpolicy.settings import (
    Correction,
    HealthSettings,
    ImportanceMask,
    LoopSettings,
    Normalization,
    Workload,
    refuse_staleness,
)
from tasks.rollout.settings import SamplingEngine, SamplingSettings


class Divergence(StrEnum):
    """Token-level divergence that the student minimizes."""

    FULL_VOCABULARY = "full_vocabulary"
    """Exact reverse KL at every sampled token."""
    FORWARD = "forward"
    """Exact forward KL at every sampled token, which is mode-covering."""
    TOP_K = "top_k"
    """Reverse KL on the top k tokens, corrected so that the teacher remains the minimizer."""
    SAMPLED_TOKEN = "sampled_token"
    """Policy gradient with the sampled token's log-ratio as advantage."""


class Support(StrEnum):
    """Model that selects the tokens of a top-k divergence."""

    TEACHER = "teacher"
    """The teacher's k most likely tokens, as in MOPD (2606.30406) eq. 5."""
    STUDENT = "student"
    """The student's k most likely tokens, as in Open-MOPD (2608.19098)."""
    UNION = "union"
    """The union of both, up to 2k tokens."""


class TopK(BaseModel):
    """The tokens of a top-k divergence; control tokens are always included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(default=64, ge=1)
    """Number of tokens per model; the default is that of MOPD (2606.30406)."""
    support: Support = Support.TEACHER


class TeacherPlacement(StrEnum):
    """Where the weights of idle teachers are kept. It does not affect results."""

    RESIDENT = "resident"
    """All teachers stay on the device."""
    HOST = "host"
    """Host memory, pinned for a CUDA device; one teacher at a time is on the device."""
    DISK = "disk"
    """Checkpoint files, memory-mapped while in use; one teacher at a time is on the device."""
    SHARDED = "sharded"
    """Checkpoint files as well, and each of several ranks holds its shard of one teacher at a time.
    A teacher may be larger than a device. On one rank it is the same as disk."""


class Balance(StrEnum):
    """Rule that balances the teachers' weights in the loss."""

    NONE = "none"
    """No reweighting: the loss aggregation alone decides."""
    FIXED = "fixed"
    """Fixed weight per teacher."""
    TOKEN_SHARE = "token_share"
    """Equal share of the loss for each teacher, regardless of response length
    (Open-MOPD, 2608.19098)."""
    GAP = "gap"
    """Equal shares, then larger weights for teachers with a larger KL gap (Open-MOPD)."""
    DISPERSION = "dispersion"
    """Smaller weights for teachers with more dispersed log-ratios (DN-MOPD, 2609.35347)."""


class BalanceSettings(BaseModel):
    """The balance between teachers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Balance = Balance.NONE
    weights: dict[str, float] = Field(default_factory=dict)
    """Weight per teacher, only for the rule fixed; only their ratios matter."""

    @model_validator(mode="after")
    def _weights_go_with_fixed(self) -> "BalanceSettings":
        if (self.rule is Balance.FIXED) != bool(self.weights):
            raise RefusedError(
                "weights-of-other-rule",
                f"balance {self.rule.value} does not go with the weights {self.weights}: the "
                "balance fixed needs weights, and no other rule accepts them",
            )
        if self.weights and (
            min(self.weights.values()) <= 0 or len(set(self.weights.values())) < 2
        ):
            raise RefusedError(
                "no-effect",
                f"fixed weights {self.weights} have no effect or are not positive: give weights "
                "above 0 that differ, or set balance to none",
            )
        return self


class DistilSettings(BaseModel):
    """The objective of one MOPD round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = Divergence.FULL_VOCABULARY
    advantage_clip: float = Field(default=5.0, gt=0)
    """Bound A_max on the advantage in nats; only for the sampled-token divergence."""
    top_k: TopK = TopK()
    """Token selection; only for the top-k divergence."""
    importance: ImportanceMask = ImportanceMask()
    outcome_weight: float = Field(default=0.0, ge=0)
    """Weight of the group-normalized outcome advantage: alpha in MiMo-V2-Flash eq. 9."""
    balance: BalanceSettings = BalanceSettings()
    reference_weight: float = Field(default=0.0, ge=0)
    """Weight of the exact KL(student || initial student) at every sampled token, the reference KL
    of RLHF. Above 0 it costs one more backward pass and one more model."""
    delta_teachers: list[str] = Field(default_factory=list)
    """Teachers that teach only their own change. The target logits are those of the initial
    student plus the teacher minus its precursor (ShiftMOPD, 2610.10460)."""
    masked: list[str] = Field(default_factory=list)
    """Teachers that are masked: their rollouts are sampled and counted but give no gradient. The
    result is the counterfactual student without them, all else equal."""

    @model_validator(mode="after")
    def _nothing_set_in_vain(self) -> "DistilSettings":
        fields = type(self).model_fields
        for name, form in (
            ("advantage_clip", Divergence.SAMPLED_TOKEN),
            ("top_k", Divergence.TOP_K),
        ):
            if self.divergence is not form and getattr(self, name) != fields[name].default:
                raise RefusedError(
                    "no-effect",
                    f"{name} is set to {getattr(self, name)!r}, but it has no effect with the "
                    f"divergence {self.divergence.value}: remove {name}, or set divergence to "
                    f"{form.value}",
                )
        return self


class RoundSettings(BaseModel):
    """One MOPD round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    distil: DistilSettings = DistilSettings()
    ledger: LedgerSettings = LedgerSettings()
    sampling: SamplingSettings = SamplingSettings()
    placement: TeacherPlacement = TeacherPlacement.DISK
    ladder_stages: int = Field(default=1, ge=1)
    """Number of stages in which each teacher's climb is distilled, earlier rungs first. The last
    stage uses the teacher itself."""
    health: HealthSettings = HealthSettings()
    prompts_per_domain: int = Field(default=16, ge=1)
    """Number of prompts sampled from each domain per step."""
    rollouts_per_prompt: int = Field(default=1, ge=1)
    """Number of rollouts per prompt. Every published system uses one; an outcome advantage needs a
    group of at least two."""
    frozen_rollouts: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether the initial student samples every step's rollouts, which makes the round off-policy
    distillation: a control of what the student's own rollouts bring."""

    def workload(self, rounds: int) -> Workload:
        """Return the amount of work of some rounds, for estimates.

        Raises:
            pydantic.ValidationError: for fewer than one round.
        """
        vllm = self.sampling.vllm
        return Workload(
            loop=self.loop,
            ledger=self.ledger,
            rounds=rounds,
            prompts_per_domain=self.prompts_per_domain,
            rollouts_per_prompt=self.rollouts_per_prompt,
            max_new_tokens=self.sampling.max_new_tokens,
            has_outcome=self.distil.outcome_weight > 0,
            has_reference=self.distil.reference_weight > 0,
            teachers_on_device=self.placement is TeacherPlacement.RESIDENT,
            teachers_in_host_memory=self.placement is TeacherPlacement.HOST,
            teachers_sharded=self.placement is TeacherPlacement.SHARDED,
            servers=len(vllm.urls) if vllm else 0,
            weights_in_memory=vllm is not None and vllm.is_in_memory,
        )

    @model_validator(mode="after")
    def _group_for_outcome(self) -> "RoundSettings":
        if self.distil.outcome_weight > 0 and self.rollouts_per_prompt == 1:
            raise RefusedError(
                "no-effect",
                f"outcome_weight is {self.distil.outcome_weight}, but each prompt has one rollout, "
                "so every group advantage is 0 and the weight has no effect: set "
                "rollouts_per_prompt to 2 or more, or outcome_weight to 0",
            )
        return self

    @model_validator(mode="after")
    def _frozen_rollouts_need_no_ratio(self) -> "RoundSettings":
        weighted = {
            "distil.divergence": self.distil.divergence is Divergence.SAMPLED_TOKEN,
            "distil.outcome_weight": self.distil.outcome_weight > 0,
            "distil.importance.correction": self.distil.importance.correction
            is not Correction.NONE,
            "sampling.engine": self.sampling.engine is not SamplingEngine.TRANSFORMERS,
        }
        if self.frozen_rollouts and any(weighted.values()):
            raise RefusedError(
                "not-for-frozen-rollouts",
                f"{[name for name in weighted if weighted[name]]} do not go with frozen_rollouts: "
                "rollouts of the initial student need an exact divergence without importance "
                "weights (distil.importance.correction=none), no outcome, and the engine "
                "transformers, because a server has the student's present weights",
            )
        return self

    @model_validator(mode="after")
    def _staleness_is_corrected(self) -> "RoundSettings":
        refuse_staleness(self.loop, self.sampling, self.distil.importance)
        return self

    @model_validator(mode="after")
    def _balance_has_something_to_do(self) -> "RoundSettings":
        rule, normalization = self.distil.balance.rule, self.loop.normalization
        if rule is Balance.TOKEN_SHARE and normalization is Normalization.SEQUENCE_MEAN:
            raise RefusedError(
                "no-effect",
                "balance token_share has no effect with normalization sequence_mean, which "
                "already gives every teacher the same share of the loss: set normalization to "
                "token_mean, or choose another balance",
            )
        return self

    @model_validator(mode="after")
    def _rollouts_for_each_update(self) -> "RoundSettings":
        rollouts = self.prompts_per_domain * self.rollouts_per_prompt
        if self.loop.inner_updates > rollouts:
            raise RefusedError(
                "too-few-rollouts",
                f"a step has {rollouts} rollouts of each domain but {self.loop.inner_updates} "
                "inner updates, so some updates would have no rollouts of a domain: raise "
                "prompts_per_domain, or lower inner_updates",
            )
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> "RoundSettings":
        if self.ladder_stages > self.loop.num_steps:
            raise RefusedError(
                "too-few-steps",
                f"{self.ladder_stages} ladder stages do not fit into {self.loop.num_steps} steps, "
                "because each stage needs at least one: lower ladder_stages, or raise num_steps",
            )
        return self
