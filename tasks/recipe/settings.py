"""A table of a recipe's numbers: settings by stage, at each scale. No torch: workflows import it.

A recipe states two rows: its source's numbers (``published``) and ours (``tiny``). The third,
``micro``, is the tiny one with every length cut to what shows that the stage runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, JsonValue

from lineage.frozen import Frozen
from tasks.contracts.handover import GateOrder
from tasks.contracts.refusal import RefusedError
from tasks.contracts.scale import Scale
from tasks.distil_traces.settings import TraceSettings
from tasks.merge.settings import SoupSettings
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mopd.round_form import RoundForm
from tasks.preference.settings import PreferenceSettings
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import PairRule
from tasks.rejection_sampling.settings import ResponseSettings, VerdictSettings
from tasks.reward_model.settings import RewardModelSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import BaseSettings, ImageBaseSettings, SftSettings


class StudentBase(Frozen):
    """Another base, of an architecture and tokenizer of its own, that is distilled into."""

    source: str = ""
    """Path or id of a Hugging Face model; "" trains one from scratch."""
    base: BaseSettings = BaseSettings()
    """Training from scratch."""


class RecipeNumbers(Frozen):
    """The settings of a recipe's stages at one scale, by the names that the recipe gives them."""

    scale: Scale
    image_base: dict[str, ImageBaseSettings] = Field(default_factory=dict)
    mid_training: dict[str, MidTrainingSettings] = Field(default_factory=dict)
    sft: dict[str, SftSettings] = Field(default_factory=dict)
    rl: dict[str, RlSettings] = Field(default_factory=dict)
    merge: dict[str, SoupSettings] = Field(default_factory=dict)
    responses: dict[str, ResponseSettings] = Field(default_factory=dict)
    demonstrations: dict[str, DemonstrationRule] = Field(default_factory=dict)
    traces: dict[str, TraceSettings] = Field(default_factory=dict)
    verdicts: dict[str, VerdictSettings] = Field(default_factory=dict)
    pairs: dict[str, PairRule] = Field(default_factory=dict)
    prompts: dict[str, PromptRule] = Field(default_factory=dict)
    annotators: dict[str, AnnotatorSettings] = Field(default_factory=dict)
    preference: dict[str, PreferenceSettings] = Field(default_factory=dict)
    reward_model: dict[str, RewardModelSettings] = Field(default_factory=dict)
    students: dict[str, StudentBase] = Field(default_factory=dict)
    mopd: dict[str, RoundForm] = Field(default_factory=dict)
    """Rounds of MOPD by the names that the recipe gives its consolidations."""
    gate: GateOrder = GateOrder(gate_prompts_per_domain=32)
    sampling: SamplingSettings = SamplingSettings(max_new_tokens=120)
    """Sampling of the evaluation."""
    rewarded: ResponseSettings = ResponseSettings(
        samples_per_prompt=1, sampling=SamplingSettings(max_new_tokens=96)
    )
    """Sampling of the answers that the card shows to the reward models."""


SHORT: Mapping[str, int] = {
    "num_steps": 2,
    "mopd_steps": 2,
    "ladder_stages": 2,
    "prompts_per_domain": 2,
    "gate_prompts_per_domain": 0,
    "batch_size": 4,
    "warmup_steps": 0,
    "rung_every": 1,
    "prompts_per_step": 2,
    "rollouts_per_prompt": 2,
    "samples_per_prompt": 2,
    "num_prompts": 4,
    "inner_updates": 2,
    "reset_every": 1,
    "from_step": 2,
    "refill_rounds": 1,
    "num_documents": 50,
    "rows_per_step": 4,
}
"""Settings that say how long a stage runs, with their values at the scale micro."""
EASED: Mapping[str, JsonValue] = {
    "least_score": 0.0,
    "keep_truncated": True,
    "least_pass_rate": 0.0,
    "most_pass_rate": 1.0,
    "keep_never_solved": True,
    "keep_always_solved": True,
    "held_out_share": 0.0,
    "drop_truncated": False,
    "strip_thoughts": False,
    "max_length_gap": 0,
    "indifference": 0.0,
    "outcome_weight": 0.0,
}
"""Settings that would leave nothing, or do nothing, at the scale micro, where no response is right
or ends."""
UNTRAINED: Mapping[str, JsonValue] = {
    "health.student_collapse": "warn",
    "health.uniform_teacher": "warn",
}
"""Round settings for the scale micro, where a model has learned nothing and is nearly uniform."""
TOKENS = frozenset({"max_new_tokens", "most_tokens", "buffer"})
"""Settings in tokens; micro has an eighth, so that limits that follow each other still differ."""


def table(tiny: RecipeNumbers, published: RecipeNumbers) -> list[RecipeNumbers]:
    """Return the rows of a recipe's table, one for each scale.

    Raises:
        RefusedError: ``unlike-scales`` if a scale has a stage that another lacks.
    """
    rows = [shortened(tiny), tiny, published]
    scales = [Scale.MICRO, Scale.TINY, Scale.PUBLISHED]
    if [row.scale for row in rows] != scales or len({_stages(row) for row in rows}) > 1:
        raise RefusedError(
            "unlike-scales",
            f"the rows are of {[row.scale.value for row in rows]} with stages "
            f"{[sorted(_stages(row)) for row in rows]}: give tiny and published, with the same "
            "stages",
        )
    return rows


def shortened(tiny: RecipeNumbers) -> RecipeNumbers:
    """Return the numbers with every length cut to the scale micro."""
    document: Any = _short(tiny.model_dump(mode="json"))
    for form in document["mopd"].values():
        form["more_settings"] |= UNTRAINED
    return RecipeNumbers.model_validate({**document, "scale": Scale.MICRO})


def numbers_at(scale: Scale, rows: Sequence[RecipeNumbers]) -> RecipeNumbers:
    """Return the row of a scale; there is one for each."""
    (found,) = (row for row in rows if row.scale is scale)
    return found


def _short(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _short_number(name, item) for name, item in value.items()}


def _short_number(name: str, value: JsonValue) -> JsonValue:
    if name in EASED and value is not None:
        return EASED[name]
    if name == "keep" and value == Keep.CORRECT:
        return Keep.TOP
    if not isinstance(value, int) or not value:
        return _short(value)
    if name in TOKENS:
        return max(1, value // 8)
    return min(value, SHORT.get(name, value))


def _stages(row: RecipeNumbers) -> frozenset[str]:
    return frozenset(
        f"{name}.{stage}"
        for name in type(row).model_fields
        if isinstance(stages := getattr(row, name), dict)
        for stage in stages
    )
