"""The consolidation: collect teachers, gate, distill, evaluate against controls, publish.

Presets are named launch plans of each workflow, to choose from in the console. A preset only sets
defaults; every input can still be changed in the form.
"""

from typing import Any

from flytekit import LaunchPlan, map_task, workflow

from lineage.artifacts import Artifact
from tasks.mopd.launch_form import MORE, PRESET, LaunchForm
from tasks.mopd.settings import Divergence
from tasks.mopd.task import record_end
from tasks.platform.resources import Stage
from tasks.refresh.task import (
    check_refresh,
    climb_again,
    climbs_again,
    learn_again,
    next_round,
    release_again,
)
from workflows.consolidation.stages import Consolidated, approved, as_node, carry_out, prepare
from workflows.graph import attempted, inputs_of, named

FURTHER = {name: field.description or "" for name, field in MORE.items()}
"""Short names that the input ``settings`` accepts, with descriptions."""


@workflow
@inputs_of(LaunchForm, FURTHER)
def consolidate(**inputs: Any) -> Consolidated:  # noqa: ANN401 - the form gives each its type
    """Merge released teachers into one student by multi-teacher on-policy distillation."""
    return as_node(carry_out(**prepare(inputs, reviewed=False)))


@workflow(on_failure=record_end)
@inputs_of(LaunchForm, FURTHER)
def consolidate_reviewed(**inputs: Any) -> Consolidated:  # noqa: ANN401
    """Merge as ``consolidate`` does, after a person has approved the plan and its findings.

    The approval is always required, and comes before any training.
    """
    return as_node(carry_out(**approved(prepare(inputs, reviewed=True))))


@workflow
@inputs_of(LaunchForm, {})
def consolidate_once(**inputs: Any) -> Consolidated:  # noqa: ANN401
    """Consolidate as a part of ``consolidate_refreshed``."""
    return as_node(carry_out(**prepare(inputs, reviewed=False)))


@workflow
@inputs_of(LaunchForm, FURTHER)
def consolidate_refreshed(**inputs: Any) -> Consolidated:  # noqa: ANN401
    """Merge twice: in between, every teacher climbs again from the first student.

    Each climb repeats the stages of the teacher's own, from records alone, and is released. Both
    merges have the same settings; the second starts from the first student.
    """
    teachers = named("check-refresh", check_refresh(teachers=inputs["teachers"]))
    first = consolidate_once(**{**inputs, "teachers": teachers})
    named("first", first.summary)
    releases = climbed_again(teachers, first.student)
    following = next_round(teachers=teachers, releases=releases, student=first.student)
    changed = {**named("next-round", following)._asdict(), "waivers": []}
    second = consolidate_once(**{**inputs, **changed})
    named("second", second.summary)
    return second


def climbed_again(teachers: list[str], student: Artifact) -> list[Artifact]:
    """Wire a climb of each teacher from a published student: its own stages, its own release."""
    orders = named("plan-climbs", climbs_again(teachers=teachers, student=student))
    learned = attempted(Stage.SFT, named("learn-again", map_task(learn_again)(order=orders)))
    climbs = map_task(climb_again)(order=orders, start=learned)
    ladders = attempted(Stage.CLIMB, named("climb-again", climbs))
    releases = map_task(release_again)(order=orders, ladder=ladders)
    return attempted(Stage.EVALUATION, named("release-again", releases))


_CHANGED: dict[str, dict[str, Any]] = {
    # Does all of it run? Two steps of two prompts; a useless student, so without measurements
    # whether its teachers fit.
    "smoke": {
        "mopd_steps": 2,
        "publish_as": "smoke",
        "settings": [
            "gate_prompts_per_domain=0",
            "prompts_per_domain=2",
            "controls=parameter_average,task_arithmetic",
        ],
    },
    # The k = 64 likeliest words of the teacher, as in MOPD (2606.30406).
    "standard": {"divergence": Divergence.TOP_K},
    "full_vocabulary": {"divergence": Divergence.FULL_VOCABULARY},
    "two_rounds": {"rounds": 2},
    # A pre-trained student: lower learning rates, as models of billions of weights need them too,
    # and room for answers in sentences. The defaults are for the demo's model, from scratch.
    "instruct": {
        "learning_rate": 5e-5,
        "settings": [
            "max_new_tokens=256",
            "warm_up_learning_rate=5e-5",
            "control_sft_learning_rate=5e-5",
            "control_rl_learning_rate=1e-5",
        ],
    },
}

PRESETS: dict[str, dict[str, Any]] = {
    name: {**inputs, "settings": [f"{PRESET}={name}", *inputs.get("settings", [])]}
    for name, inputs in _CHANGED.items()
}
"""Each names itself among its settings, so that the record of a launch names it."""
FLOWS = {
    "consolidate": consolidate,
    "consolidate_reviewed": consolidate_reviewed,
    "consolidate_refreshed": consolidate_refreshed,
}
LAUNCH_PLANS = {
    f"{name}_{preset}": LaunchPlan.get_or_create(
        name=f"{name}_{preset}", workflow=flow, default_inputs=inputs
    )
    for name, flow in FLOWS.items()
    for preset, inputs in PRESETS.items()
}
