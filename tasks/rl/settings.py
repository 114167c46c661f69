"""Settings of reinforcement learning with verifiable rewards. No torch: workflows import them."""

from math import inf
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.contracts.refusal import RefusedError
from tasks.onpolicy.settings import (
    HealthSettings,
    ImportanceMask,
    LoopSettings,
    refuse_staleness,
)
from tasks.rl.actor_critic import PretrainingSettings, ValueSettings, ValueStart
from tasks.rl.hint_settings import HintSettings
from tasks.rl.variants import (
    AdvantageBaseline,
    AdvantageScale,
    AdvantageSettings,
    GroupSettings,
    KlReference,
    KlSettings,
    LengthStage,
    RatioBase,
    RatioSettings,
    UnlikelySettings,
    ZeroVariance,
)
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import RewardSettings

REFERENCE_MODEL = "reference"
"""Name of the model that is the reference of the KL."""
VALUE_MODEL = "value_start"
"""Name of the reward model from which the value network starts."""
PRETRAINING_ROWS = "pretraining"
"""Name of the text or demonstrations of the pretraining gradient."""


class RlSettings(BaseModel):
    """The RL stage of a climb: GRPO (DeepSeekMath, 2402.03300), on-policy and without KL.

    What the last fields change is a published variant. A field at its default is not recorded, so
    that a climb without variants has the identity that it had before there were any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: LoopSettings
    """Length, learning rate and optimization."""
    sampling: SamplingSettings = SamplingSettings()
    """Sampling of the rollouts."""
    prompts_per_step: int = Field(default=16, ge=1)
    """Number of prompts per step."""
    rollouts_per_prompt: int = Field(default=8, ge=1)
    """Size of the group over which advantages are normalized."""
    importance: ImportanceMask = ImportanceMask()
    """Correction of the mismatch between trainer and sampler."""
    health: HealthSettings = HealthSettings()
    """Training monitors."""
    advantage: AdvantageSettings = Field(
        default=AdvantageSettings(), exclude_if=lambda value: value == AdvantageSettings()
    )
    """Baseline, scale and clip of the advantage."""
    ratio: RatioSettings = Field(
        default=RatioSettings(), exclude_if=lambda value: value == RatioSettings()
    )
    """Probability ratio, and its bounds."""
    kl: KlSettings | None = Field(default=None, exclude_if=lambda value: value is None)
    """KL to a reference policy; None for none."""
    groups: GroupSettings = Field(
        default=GroupSettings(), exclude_if=lambda value: value == GroupSettings()
    )
    """Groups and rollouts that are left out or sampled again."""
    rewards: RewardSettings | None = Field(default=None, exclude_if=lambda value: value is None)
    """Terms of the reward; None takes the environment's grade."""
    value: ValueSettings | None = Field(default=None, exclude_if=lambda value: value is None)
    """Value network of PPO; None compares rollouts within their group."""
    pretraining: PretrainingSettings | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Gradient of log-likelihood beside the policy's; None for none."""
    hint: HintSettings | None = Field(default=None, exclude_if=lambda value: value is None)
    """Self-distillation of single turns with a hint; None for none."""
    unlikely: UnlikelySettings | None = Field(default=None, exclude_if=lambda value: value is None)
    """Fixed negative advantage of unlikely tokens, in the place of any reward; None for none."""
    average: float | None = Field(default=None, gt=0, lt=1, exclude_if=lambda value: value is None)
    """Decay of the average of the weights that is saved in their place (InstructGPT C.4: 0.992);
    None saves the weights themselves."""
    lengths: list[LengthStage] = Field(default_factory=list, exclude_if=lambda value: not value)
    """Limits of tokens that replace the sampling's from later steps on."""
    prompts_by_domain: dict[str, int] = Field(
        default_factory=dict, exclude_if=lambda value: not value
    )
    """Number of prompts per step of a domain, in the place of ``prompts_per_step``, where several
    domains share a run."""

    def prompts_of(self, domain: str) -> int:
        """Return the number of a domain's prompts per step."""
        return self.prompts_by_domain.get(domain, self.prompts_per_step)

    def models(self) -> dict[str, tuple[str, ...]]:
        """Return the models beside the start that the settings need: name to accepted kinds."""
        wanted: dict[str, tuple[str, ...]] = {}
        if self.kl is not None and self.kl.reference is KlReference.GIVEN:
            wanted[REFERENCE_MODEL] = ("checkpoint",)
        for term in self.rewards.scorers if self.rewards is not None else ():
            wanted[term.name] = ("reward_model",) if term.judge is None else ("checkpoint",)
        if self.value is not None and self.value.start is ValueStart.REWARD_MODEL:
            wanted[VALUE_MODEL] = ("reward_model",)
        if self.pretraining is not None:
            wanted[PRETRAINING_ROWS] = ("text", "dataset")
        return wanted

    def named_domains(self) -> set[str]:
        """Return every domain that the settings name."""
        named = {*self.prompts_by_domain, *(self.kl.domains if self.kl is not None else ())}
        named |= self.hint.domains if self.hint is not None else set()
        return named | (self.rewards.domains if self.rewards is not None else set())

    def max_new_tokens(self, step: int) -> int:
        """Return the most tokens of a model turn in a step."""
        caps = [stage.max_new_tokens for stage in self.lengths if stage.from_step <= step]
        return caps[-1] if caps else self.sampling.max_new_tokens

    @model_validator(mode="after")
    def _every_group_compares(self) -> Self:
        if self.value is not None or self.unlikely is not None:
            return self
        if self.rollouts_per_prompt < 2:
            raise RefusedError(
                "single-rollout",
                "rollouts_per_prompt is 1, so every group advantage is 0: set it to 2 or more, or "
                "give a value network",
            )
        bound, most = self.advantage.clip, self._most_advantage()
        if bound is not None and bound >= most:
            raise RefusedError(
                "never-acts",
                f"no advantage is beyond {most:.3g} in a group of {self.rollouts_per_prompt}, so "
                f"the clip {bound:g} can never act: lower it, or remove it",
            )
        return self

    def _most_advantage(self) -> float:
        """Return the largest advantage of a group, which only a scale bounds."""
        size = self.rollouts_per_prompt
        if self.advantage.scale is AdvantageScale.NONE:
            return inf
        others = size / (size - 1)
        alone = self.advantage.baseline is AdvantageBaseline.LEAVE_ONE_OUT
        return float((size - 1) ** 0.5) * (others if alone else 1.0)

    @model_validator(mode="after")
    def _staleness_is_corrected(self) -> Self:
        refuse_staleness(self.loop, self.sampling, self.importance)
        return self

    @model_validator(mode="after")
    def _ratio_can_move(self) -> Self:
        given = [name for name in ("clip", "squared_log", "most") if getattr(self.ratio, name)]
        if given and self.ratio.base is RatioBase.OLD and self.loop.updates_per_step == 1:
            raise RefusedError(
                "never-acts",
                f"{' and '.join(given)} of the ratio can never act: with one update a step the "
                "policy is the one that the step began with. Set inner_updates or inner_epochs "
                "above 1, take the sampler as the base, or remove them",
            )
        return self

    @model_validator(mode="after")
    def _value_replaces_groups(self) -> Self:
        if self.value is None:
            return self
        if self.advantage != AdvantageSettings():
            raise RefusedError(
                "advantage-of-groups",
                "advantage is of groups, but a value network gives it: remove advantage, or value",
            )
        alone = self.rollouts_per_prompt == 1
        if alone and self.groups.zero_variance is not ZeroVariance.KEEP:
            raise RefusedError(
                "single-rollout",
                f"zero_variance is {self.groups.zero_variance.value}, but a group of one rollout "
                "never differs, so all would be left out: keep them, or raise rollouts_per_prompt",
            )
        return self

    @model_validator(mode="after")
    def _unlikely_tokens_replace_rewards(self) -> Self:
        given: dict[str, object] = {"rewards": self.rewards, "value": self.value}
        given["advantage"] = self.advantage != AdvantageSettings()
        given["groups.zero_variance"] = self.groups.zero_variance is not ZeroVariance.KEEP
        if self.unlikely is not None and any(given.values()):
            raise RefusedError(
                "idle-beside-unlikely",
                f"{[name for name in given if given[name]]} would have no effect beside unlikely, "
                "which gives every token its advantage: remove one or the other",
            )
        return self

    @model_validator(mode="after")
    def _rows_for_each_update(self) -> Self:
        rows = self.pretraining.rows_per_step if self.pretraining is not None else inf
        if rows < self.loop.inner_updates:
            raise RefusedError(
                "too-few-rows",
                f"a step has {rows} pretraining rows but {self.loop.inner_updates} inner updates, "
                "so some would have none: raise rows_per_step, or lower inner_updates",
            )
        return self

    @model_validator(mode="after")
    def _terms_count(self) -> Self:
        if self.rewards is None:
            return self
        late = [t.name for t in self.rewards.terms if t.from_step > self.loop.num_steps]
        if late:
            raise RefusedError(
                "never-counts",
                f"the terms {late} begin after the last of {self.loop.num_steps} steps, so they "
                "never count: begin earlier, or remove them",
            )
        by_group = self.value is None and self.advantage.scale is AdvantageScale.STD
        if self.rewards.whiten and by_group:
            raise RefusedError(
                "never-acts",
                "whitened rewards change no advantage that is divided by its group's deviation: "
                "remove whiten, or set advantage.scale to none",
            )
        reserved = {REFERENCE_MODEL, VALUE_MODEL, PRETRAINING_ROWS}
        if taken := {term.name for term in self.rewards.scorers} & reserved:
            raise RefusedError("reserved-name", f"a scorer cannot be named {taken}: rename it")
        return self

    @model_validator(mode="after")
    def _changes_come_in_time(self) -> Self:
        last = self.loop.num_steps
        if self.kl is not None and self.kl.reset_every and self.loop.adapter is not None:
            raise RefusedError(
                "reference-of-adapters",
                "a reference cannot become a policy of adapters, which has other weights: set "
                "kl.reset_every to 0, or train all weights",
            )
        if self.kl is not None and self.kl.reset_every >= last:
            raise RefusedError(
                "never-acts",
                f"the reference is replaced every {self.kl.reset_every} steps, but the run has "
                f"{last}: lower reset_every, or set it to 0",
            )
        if any(count < 1 for count in self.prompts_by_domain.values()):
            raise RefusedError(
                "no-prompts", f"prompts_by_domain is {self.prompts_by_domain}: give 1 or more"
            )
        caps = [(1, self.sampling.max_new_tokens)]
        for stage in self.lengths:
            step, cap = caps[-1]
            if stage.from_step <= step or stage.from_step > last or stage.max_new_tokens == cap:
                raise RefusedError(
                    "never-acts",
                    f"the limit of {stage.max_new_tokens} tokens from step {stage.from_step} on "
                    f"never changes anything after {cap} tokens from step {step} on, in {last} "
                    "steps: give rising steps within the run, and another limit for each",
                )
            caps.append((stage.from_step, stage.max_new_tokens))
        return self
