"""What a person chooses of a round, as flat as the launch form, and what tasks hand each other.

No torch: workflows import it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lineage.artifacts import Artifact, Frozen
from tasks.documented import documented
from tasks.handover import Plan, ReleaseConditions
from tasks.ledger.schema import StoredPrecision
from tasks.mopd.settings import Balance, Divergence, RoundSettings, TopK
from tasks.onpolicy.settings import Normalisation, Precision
from tasks.onpolicy.workload import Workload, recipe
from tasks.rollout.settings import SamplingSettings


class ConsolidationSpec(Frozen):
    """A checked consolidation: all that its tasks need besides the plan."""

    settings: RoundSettings
    sampling: SamplingSettings
    """For all that is sampled around the rounds: the gate, the warm-up, the scores."""
    rounds: int
    seed: int
    publish_as: str
    conditions: ReleaseConditions = ReleaseConditions()
    """When its student is released by itself."""


class RetrainSpec(Frozen):
    """One retrain: a student's round again, with some teachers masked."""

    plan: Plan
    settings: RoundSettings
    seed: int
    run_index: int
    """1-based index of this retrain, for progress display."""
    num_runs: int
    """Total number of retrains."""


class RecomputeSpec(Frozen):
    """A round whose displacements are recomputed from the rollouts that its ledger kept."""

    plan: Plan
    settings: RoundSettings
    seed: int
    student: Artifact
    ledger: Artifact
    """The round's ledger, which holds no displacements."""


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
    "loop.normalisation": "normalisation",
    "loop.num_steps": "mopd_steps",
    "loop.precision": "student_precision",
    "sampling.max_new_tokens": "max_new_tokens",
}
"""The form's inputs by the setting's path; what is not here has the same name, or none."""
LARGEST_SEED = 2**32 - 1
"""What numpy's generator takes, which the supervised stages seed."""
_MAX_NEW_TOKENS: int = SamplingSettings.model_fields["max_new_tokens"].default


@documented
class RoundForm(BaseModel):
    """What a person chooses of a round in the launch form, as flat as the form.

    The names stand in the form sorted, so what belongs together begins with the same word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    balance: Balance = Balance.NONE
    """How teachers weigh beside each other."""
    balance_weights: dict[str, float] = Field(default_factory=dict)
    """Weight of a teacher, such as balance_weights.math=2; for the balance "fixed" alone."""
    delta_teachers: list[str] = Field(default_factory=list)
    """Teachers, such as math,code, that teach what they learned since their own precursor."""
    divergence: Divergence = Divergence.FULL_VOCABULARY
    """Exact KL over the vocabulary, over a few tokens, or the sampled-token gradient."""
    divergence_top_k: int = TopK().k
    """Tokens that the divergence "top_k" looks at."""
    inner_updates: int = 1
    """Optimizer updates on each step's rollouts."""
    ladder_stages: int = 1
    """Stages of a round; above 1, teachers begin as earlier rungs of their climbs."""
    learning_rate: float = 3e-4
    """Of AdamW, after warm-up."""
    ledger_displacements: bool = True
    """Keep each source's part of every update; without it audits replay rollouts."""
    ledger_precision: StoredPrecision = StoredPrecision.FP32
    """Precision in which the ledger stores each source's part of an update."""
    max_new_tokens: int = _MAX_NEW_TOKENS
    """Tokens of each response, its end token included; a longer one is cut."""
    mopd_steps: int = 120
    """Optimizer steps of a round, times inner_updates."""
    more_settings: dict[str, str] = Field(default_factory=dict)
    """Anything else of a round by its path in ``RoundSettings``, such as
    ``{"health.runaway": "stop"}``; what has an input of its own is set there alone."""
    normalisation: Normalisation = Normalisation.SEQUENCE_MEAN
    """What a step's loss is a mean of: rollouts, or tokens."""
    outcome_weight: float = 0.0
    """Weight of the outcome advantage; above 0 it needs several rollouts of each prompt."""
    prompts_per_domain: int = 16
    """Prompts of each domain in every step."""
    reference_weight: float = 0.0
    """Weight of the KL to the student as it started, against drift."""
    rollouts_per_prompt: int = 1
    """Rollouts of each prompt; above 1 where the outcome counts."""
    rounds: int = 1
    """Each starts from the student of the round before."""
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    """Of prompts and sampling: no setting of a round, and checked with them."""
    student_adapter_rank: int = Field(default=0, ge=0)
    """Rank of LoRA adapters; 0 trains all weights."""
    student_precision: Precision = Precision.FP32
    """Precision in which the student computes; its weights are fp32 in either case."""

    def sampling(self) -> SamplingSettings:
        """Return how text is drawn around the rounds: as in them, but in the step's own process.

        A vLLM server serves the round's policy alone.
        """
        settings = self.settings().sampling
        return SamplingSettings(
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            allow_unconfined=settings.allow_unconfined,
        )

    def recipe(self) -> str:
        """Return all that how much arrives may depend on, besides plan and seed, as one text.

        Outcomes of earlier consolidations tell something of a next one where it is the same.
        """
        return recipe(self.settings().model_dump(mode="json"), self.rounds)

    def workload(self) -> Workload:
        """Return how much work it is, for the plan's estimate.

        Raises:
            pydantic.ValidationError: as ``settings`` does, and for no round at all.
        """
        settings = self.settings()
        return Workload(
            loop=settings.loop,
            ledger=settings.ledger,
            rounds=self.rounds,
            prompts_per_domain=settings.prompts_per_domain,
            rollouts_per_prompt=settings.rollouts_per_prompt,
            max_new_tokens=settings.sampling.max_new_tokens,
            has_outcome=settings.distil.outcome_weight > 0,
        )

    def settings(self) -> RoundSettings:
        """Return the round's settings, checked.

        Raises:
            pydantic.ValidationError: for values that could not do what they say.
        """
        rank = self.student_adapter_rank
        own: dict[str, Any] = {
            "loop": {
                "num_steps": self.mopd_steps,
                "learning_rate": self.learning_rate,
                "normalisation": self.normalisation,
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
    """Put one more setting where its path leads; pydantic makes of the text what belongs there.

    Raises:
        ValueError: for a path to something that is set already, by the form or another path.
    """
    *folders, name = path.split(".")
    run_index: Any = settings
    for folder in folders:
        run_index = run_index.setdefault(folder, {}) if isinstance(run_index, dict) else None
    if not isinstance(run_index, dict) or name in run_index:
        raise ValueError(
            f"more_settings names {path!r}, which is set already: the launch form has an input of "
            "its own for it, or two paths contradict each other; set it in one place"
        )
    run_index[name] = text
