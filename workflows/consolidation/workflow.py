"""Collect released teachers, check that they fit, distil, evaluate beside controls, publish."""

from flytekit import workflow

from tasks.gate.settings import Level
from tasks.handover import OnMisfit
from tasks.ledger.settings import StoredPrecision
from tasks.mopd.settings import Balance, Divergence
from tasks.onpolicy.settings import Normalisation, Precision
from workflows.consolidation.stages import Consolidated, approved, carry_out, prepare

TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]
EVEN: dict[str, float] = {}
NO_MORE: dict[str, str] = {}
NONE: list[str] = []


@workflow
def consolidate(
    balance: Balance = Balance.NONE,
    balance_weights: dict[str, float] = EVEN,
    delta_teachers: list[str] = NONE,
    divergence: Divergence = Divergence.FULL_VOCABULARY,
    divergence_top_k: int = 64,
    gate_least_predicted: float = 0.85,
    gate_prompts_per_domain: int = 64,
    inner_updates: int = 1,
    ladder_stages: int = 1,
    learning_rate: float = 3e-4,
    ledger_displacements: bool = True,
    ledger_precision: StoredPrecision = StoredPrecision.FP32,
    max_new_tokens: int = 24,
    mopd_steps: int = 120,
    more_settings: dict[str, str] = NO_MORE,
    normalisation: Normalisation = Normalisation.SEQUENCE_MEAN,
    on_misfit: OnMisfit = OnMisfit.REFUSE,
    outcome_weight: float = 0.0,
    prompts_per_domain: int = 16,
    publish_as: str = "general",
    reference_weight: float = 0.0,
    refuse_findings_from: Level = Level.REFUSAL,
    rollouts_per_prompt: int = 1,
    rounds: int = 1,
    seed: int = 0,
    student: str = "fork-point@released",
    student_adapter_rank: int = 0,
    student_precision: Precision = Precision.FP32,
    teachers: list[str] = TEACHERS,
    waivers: list[str] = NONE,
) -> Consolidated:
    """Merge released teachers into one student by multi-teacher on-policy distillation.

    Args:
        balance: How teachers weigh beside each other.
        balance_weights: By teacher, such as math=2; for the balance "fixed" alone.
        delta_teachers: Such as math; they teach what they learned since their own precursor.
        divergence: Exact KL over the vocabulary, over a few words, or the sampled-token gradient.
        divergence_top_k: How many words the divergence "top_k" looks at.
        gate_least_predicted: Of what a fitting teacher passes on, what each must be expected to.
        gate_prompts_per_domain: What the gate measures teachers on; 0 leaves them unmeasured.
        inner_updates: Optimizer updates on each step's rollouts.
        ladder_stages: Above 1, teachers begin as earlier rungs of their climbs.
        learning_rate: Of AdamW, after warm-up.
        ledger_displacements: Keep each teacher's part of every update, for exact audits.
        ledger_precision: In which precision these parts are stored.
        max_new_tokens: Of each response while it is distilled; a longer one is cut.
        mopd_steps: Optimizer steps of a round, times inner_updates.
        more_settings: Any other of a round, such as health.runaway=stop; see docs/mopd.md.
        normalisation: What a step's loss is a mean of: rollouts, or tokens.
        on_misfit: What becomes of a teacher that does not fit: refuse, remedy, or drop it.
        outcome_weight: Of the outcome advantage in the sum; 0 distils alone.
        prompts_per_domain: In every step.
        publish_as: The student is registered under student.<this name>.
        reference_weight: Of the KL to the student as it started, against drift.
        refuse_findings_from: The least severe finding that ends the run, unless it is waived.
        rollouts_per_prompt: Above 1 where the outcome counts.
        rounds: Each starts from the student of the round before.
        seed: Of prompts and sampling.
        student: The registered checkpoint, or published student, that the student starts from.
        student_adapter_rank: Train LoRA adapters of this rank; 0 trains all weights.
        student_precision: In which the student computes; its weights are fp32 in either case.
        teachers: Such as math@released, math@7, math@3=0.7 with its share, or instruct@2=self.
        waivers: Digests that `provost waive` printed.
    """
    prepared = prepare(locals())  # at the first line there is nothing but the inputs
    return carry_out(**prepared)


@workflow
def consolidate_reviewed(
    balance: Balance = Balance.NONE,
    balance_weights: dict[str, float] = EVEN,
    delta_teachers: list[str] = NONE,
    divergence: Divergence = Divergence.FULL_VOCABULARY,
    divergence_top_k: int = 64,
    gate_least_predicted: float = 0.85,
    gate_prompts_per_domain: int = 64,
    inner_updates: int = 1,
    ladder_stages: int = 1,
    learning_rate: float = 3e-4,
    ledger_displacements: bool = True,
    ledger_precision: StoredPrecision = StoredPrecision.FP32,
    max_new_tokens: int = 24,
    mopd_steps: int = 120,
    more_settings: dict[str, str] = NO_MORE,
    normalisation: Normalisation = Normalisation.SEQUENCE_MEAN,
    on_misfit: OnMisfit = OnMisfit.REFUSE,
    outcome_weight: float = 0.0,
    prompts_per_domain: int = 16,
    publish_as: str = "general",
    reference_weight: float = 0.0,
    refuse_findings_from: Level = Level.REFUSAL,
    rollouts_per_prompt: int = 1,
    rounds: int = 1,
    seed: int = 0,
    student: str = "fork-point@released",
    student_adapter_rank: int = 0,
    student_precision: Precision = Precision.FP32,
    teachers: list[str] = TEACHERS,
    waivers: list[str] = NONE,
) -> Consolidated:
    """Do what ``consolidate`` does, after a person has read plan and findings and approved.

    The one approval always comes, before anything is spent; the inputs are those of consolidate.
    """
    prepared = prepare(locals())
    return carry_out(**approved(prepared))
