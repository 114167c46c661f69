"""Settings of a MOPD round. No torch: workflows import them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.ledger.schema import LedgerSettings
from tasks.onpolicy.settings import HealthSettings, ImportanceMask, LoopSettings, Normalisation
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


class Balance(StrEnum):
    """How teachers weigh beside each other."""

    NONE = "none"
    """As the normalisation has it."""
    FIXED = "fixed"
    """By the weights that are given."""
    TOKEN_SHARE = "token_share"
    """Each teacher the same share of the loss, however long its domain's answers
    (Open-MOPD, 2608.19098)."""
    GAP = "gap"
    """Also more to a teacher from whom the student is farther (Open-MOPD)."""
    DISPERSION = "dispersion"
    """Less to a teacher whose log-ratios scatter more (DN-MOPD, 2609.35347)."""


class BalanceSettings(BaseModel):
    """The balance between teachers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Balance = Balance.NONE
    weights: dict[str, float] = Field(default_factory=dict)
    """By teacher, for fixed weights alone; only ratios matter."""

    @model_validator(mode="after")
    def _weights_go_with_fixed(self) -> "BalanceSettings":
        if (self.rule is Balance.FIXED) != bool(self.weights):
            raise ValueError(
                f"the balance is {self.rule.value} and the weights are {self.weights}: give "
                "weights with the rule fixed, and only with it"
            )
        if self.weights and (
            min(self.weights.values()) <= 0 or len(set(self.weights.values())) < 2
        ):
            raise ValueError(
                f"fixed weights {self.weights} must be above 0 and not all the same, or they "
                "balance nothing: change them, or choose none"
            )
        return self


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
    balance: BalanceSettings = BalanceSettings()
    reference_weight: float = Field(default=0.0, ge=0)
    """Adds so much of KL(student || the student as it started), exact, at every visited token: the
    reference KL of RLHF, against drift. It costs one more backward and one more model to ask."""
    delta_teachers: list[str] = Field(default_factory=list)
    """Teachers of whom the student learns what they learned themselves: the target is the student's
    start plus teacher minus its precursor, in logits (ShiftMOPD, 2610.10460)."""
    masked: list[str] = Field(default_factory=list)
    """Teachers whose rollouts are played and counted and give no gradient: the counterfactual of a
    student without them, with all else the same."""

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
    placement: TeacherPlacement = TeacherPlacement.DISK
    ladder_stages: int = Field(default=1, ge=1)
    """Above 1, each teacher's climb is distilled in so many stages, earlier rungs first; the last
    stage is the teacher itself."""
    health: HealthSettings = HealthSettings()
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

    @model_validator(mode="after")
    def _balance_has_something_to_do(self) -> "RoundSettings":
        rule, normalisation = self.distil.balance.rule, self.loop.normalisation
        if rule is Balance.TOKEN_SHARE and normalisation is Normalisation.SEQUENCE_MEAN:
            raise ValueError(
                "the balance token_share makes every teacher's share of the loss the same, and "
                "with the normalisation sequence_mean it is so already: choose token_mean with "
                "it, or another balance"
            )
        return self

    @model_validator(mode="after")
    def _rollouts_for_each_update(self) -> "RoundSettings":
        rollouts = self.prompts_per_domain * self.rollouts_per_prompt
        if self.loop.inner_updates > rollouts:
            raise ValueError(
                f"a step has {rollouts} rollouts of each domain, fewer than its "
                f"{self.loop.inner_updates} inner updates, so that some would leave teachers out: "
                "raise prompts_per_domain, or lower inner_updates"
            )
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> "RoundSettings":
        if self.ladder_stages > self.loop.num_steps:
            raise ValueError(
                f"{self.ladder_stages} ladder stages do not fit into {self.loop.num_steps} steps: "
                "each takes at least one; lower ladder_stages, or raise num_steps"
            )
        return self
