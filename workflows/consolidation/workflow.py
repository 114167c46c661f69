"""The consolidation: collect teachers, gate, distill, evaluate against controls, publish."""

from typing import Any

from flytekit import workflow

from tasks.mopd.launch_form import MORE, LaunchForm
from tasks.mopd.task import record_end
from workflows.consolidation.stages import Consolidated, approved, as_node, carry_out, prepare
from workflows.form import inputs_of

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
