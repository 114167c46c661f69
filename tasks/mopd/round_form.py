"""The round inputs of the launch form, and the specifications that tasks pass to each other.

No torch: workflows import it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.conditions import ReleaseConditions
from tasks.contracts.controls import ControlOrder
from tasks.contracts.handover import Plan
from tasks.contracts.inputs import documented
from tasks.contracts.refusal import RefusedError
from tasks.contracts.remedies import WarmUpSettings
from tasks.ledger.schema import StoredPrecision
from tasks.model.settings import Precision
from tasks.mopd.settings import Balance, Divergence, RoundSettings, TopK
from tasks.onpolicy.settings import Normalization, Workload, recipe
from tasks.rollout.settings import SamplingSettings


class ConsolidationSpec(Frozen):
    """A validated consolidation: everything that its tasks need besides the plan."""

    settings: RoundSettings
    sampling: SamplingSettings
    """Sampling outside the rounds: in the gate, the warm-up and the evaluation."""
    rounds: int
    seed: int
    publish_as: str
    warm_up: WarmUpSettings = WarmUpSettings()
    conditions: ReleaseConditions = ReleaseConditions()
    """Conditions under which the student is released automatically."""
    controls: ControlOrder = ControlOrder()
    """What the student is compared with."""


class RetrainSpec(Frozen):
    """One retrain: the student's round repeated with some teachers masked."""

    plan: Plan
    settings: RoundSettings
    seed: int
    run_index: int
    """1-based index of this retrain, for progress display."""
    num_runs: int
    """Total number of retrains."""


class RecomputeSpec(Frozen):
    """Recomputation of a round's displacements from the rollouts in its ledger."""

    plan: Plan
    settings: RoundSettings
    seed: int
    student: Artifact
    ledger: Artifact
    """The round's ledger, without displacements."""


INPUTS = {
    "distil.balance.rule": "balance",
    "distil.balance.weights": "balance_weights",
    "distil.delta_teachers": "delta_teachers",
    "distil.divergence": "divergence",
    "distil.outcome_weight": "outcome_weight",
    "distil.reference_weight": "reference_weight",
    "distil.top_k.k": "divergence_top_k",
    "ledger.displacements": "ledger_displacements",
    "ledger.precision": "ledger_precision",
    "loop.adapter": "student_adapter_rank",
    "loop.inner_updates": "inner_updates",
    "loop.learning_rate": "learning_rate",
    "loop.normalization": "normalization",
    "loop.num_steps": "mopd_steps",
    "loop.precision": "student_precision",
    "sampling.max_new_tokens": "max_new_tokens",
}
"""Input of the form by setting path; any other setting has an input of the same name or none."""
LARGEST_SEED = 2**32 - 1
"""Largest seed that numpy's generator accepts; the supervised stages seed it."""
_MAX_NEW_TOKENS: int = SamplingSettings.model_fields["max_new_tokens"].default


@documented
class RoundForm(BaseModel):
    """The round inputs of the launch form, as a flat model.

    The form sorts inputs by name, so related inputs begin with the same word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    balance: Balance = Balance.NONE
    """Rule that balances the teachers' weights in the loss."""
    balance_weights: dict[str, float] = Field(default_factory=dict)
    """Weight per teacher, such as balance_weights.math=2; only with balance=fixed."""
    delta_teachers: list[str] = Field(default_factory=list)
    """Teachers, such as math,code, that teach only their logit change from their precursor."""
    divergence: Divergence = Divergence.FULL_VOCABULARY
    """Divergence between student and teacher: exact, on the top k tokens, or sampled-token."""
    divergence_top_k: int = TopK().k
    """Number of tokens that divergence=top_k compares."""
    inner_updates: int = 1
    """Number of optimizer steps on the rollouts of each sampling step."""
    ladder_stages: int = 1
    """Number of stages per round; above 1, teachers start as earlier rungs of their climbs."""
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW, reached after warm-up."""
    ledger_displacements: bool = True
    """Whether the ledger stores each source's part of every update; audits need it or a replay."""
    ledger_precision: StoredPrecision = StoredPrecision.FP32
    """Floating-point format in which the ledger stores each source's part of an update."""
    max_new_tokens: int = _MAX_NEW_TOKENS
    """Maximum number of tokens per response, including the end token; longer ones are truncated."""
    mopd_steps: int = 120
    """Number of sampling steps per round; each makes inner_updates optimizer steps."""
    more_settings: dict[str, str] = Field(default_factory=dict)
    """Other round settings by their path in ``RoundSettings``, such as
    ``{"health.runaway": "stop"}``. A setting that has its own input is refused here."""
    normalization: Normalization = Normalization.SEQUENCE_MEAN
    """Loss aggregation: mean over rollouts (sequence_mean) or over tokens (token_mean)."""
    outcome_weight: float = 0.0
    """Weight of the outcome advantage; 0 disables it, above 0 needs rollouts_per_prompt >= 2."""
    prompts_per_domain: int = 16
    """Number of prompts sampled from each domain per step."""
    reference_weight: float = 0.0
    """Weight of the KL penalty toward the initial student; 0 disables it."""
    rollouts_per_prompt: int = 1
    """Number of rollouts per prompt; must be above 1 if outcome_weight is above 0."""
    rounds: int = 1
    """Number of rounds; each starts from the student of the previous round."""
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    """Random seed for prompt order and sampling."""
    student_adapter_rank: int = Field(default=0, ge=0)
    """Rank of the student's LoRA adapters; 0 trains all weights. Experts get no adapters."""
    student_precision: Precision = Precision.FP32
    """Floating-point format of the student's forward and backward pass; weights stay fp32."""

    def sampling(self) -> SamplingSettings:
        """Return the sampling settings outside the rounds, which never use a vLLM server.

        A vLLM server serves only the round's policy.
        """
        settings = self.settings().sampling
        return SamplingSettings(
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            allow_unconfined=settings.allow_unconfined,
        )

    def recipe(self) -> str:
        """Return everything except plan and seed that can affect gain transfer, as one text.

        The gate learns from earlier consolidations with the same recipe.
        """
        return recipe(self.settings().model_dump(mode="json"), self.rounds)

    def workload(self) -> Workload:
        """Return the amount of work, for the plan's cost estimate.

        Raises:
            pydantic.ValidationError: as ``settings`` does, or with fewer than one round.
        """
        return self.settings().workload(self.rounds)

    def settings(self) -> RoundSettings:
        """Return the validated settings of the round.

        Raises:
            pydantic.ValidationError: a value is invalid or would have no effect.
        """
        rank = self.student_adapter_rank
        own: dict[str, Any] = {
            "loop": {
                "num_steps": self.mopd_steps,
                "learning_rate": self.learning_rate,
                "normalization": self.normalization,
                "inner_updates": self.inner_updates,
                "precision": self.student_precision,
                "adapter": {"rank": rank, "alpha": 2 * rank} if rank else None,
            },
            "distil": {
                "divergence": self.divergence,
                "top_k": {"k": self.divergence_top_k},
                "balance": {"rule": self.balance, "weights": self.balance_weights},
                "outcome_weight": self.outcome_weight,
                "reference_weight": self.reference_weight,
                "delta_teachers": self.delta_teachers,
            },
            "ledger": {
                "displacements": self.ledger_displacements,
                "precision": self.ledger_precision,
            },
            "sampling": {"max_new_tokens": self.max_new_tokens},
            "ladder_stages": self.ladder_stages,
            "prompts_per_domain": self.prompts_per_domain,
            "rollouts_per_prompt": self.rollouts_per_prompt,
        }
        for path, text in self.more_settings.items():
            _add(own, path, text)
        return RoundSettings.model_validate(own)


def _add(settings: dict[str, Any], path: str, text: str) -> None:
    """Add a setting at its path as text; pydantic converts it to the type of the field.

    Raises:
        ValueError: the form or another path already sets it.
    """
    *folders, name = path.split(".")
    run_index: Any = settings
    for folder in folders:
        run_index = run_index.setdefault(folder, {}) if isinstance(run_index, dict) else None
    if not isinstance(run_index, dict) or name in run_index:
        raise RefusedError(
            "set-twice",
            f"more_settings sets {path!r} a second time: the launch form has its own input for it, "
            "or two paths overlap; set it in one place",
        )
    run_index[name] = text
