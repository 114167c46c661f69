"""The gate on its own: measures whether teachers fit a student, without a consolidation."""

from flytekit import workflow

from tasks.gate.task import Looked, probe_teachers
from tasks.mopd.round_form import RoundForm
from workflows.graph import named

RECIPE = RoundForm().recipe()
"""Recipe of a consolidation with default inputs; its outcomes are shown."""
TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]


@workflow
def gate(
    gate_prompts_per_domain: int = 64,
    ladder_stages: int = 1,
    max_new_tokens: int = 24,
    student: str = "fork-point@released",
    teachers: list[str] = TEACHERS,
) -> Looked:
    """Measure whether released teachers fit a student, and report why.

    Args:
        gate_prompts_per_domain: Number of prompts per domain on which teachers are measured.
        ladder_stages: Number of stages of the merge; above 1, rungs are measured too.
        max_new_tokens: Maximum number of tokens per response; longer ones are truncated.
        student: Initial student of the merge: a registered checkpoint or a published student.
        teachers: Teacher releases, such as math@released or math@7.
    """
    made = probe_teachers(
        teachers=teachers,
        student=student,
        prompts_per_domain=gate_prompts_per_domain,
        max_new_tokens=max_new_tokens,
        ladder_stages=ladder_stages,
        recipe=RECIPE,
    )
    return Looked(named("measure", made.summary), made.gated, made.outcomes)
