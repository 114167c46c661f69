"""Do teachers fit a student? Measured and judged, without a consolidation."""

from flytekit import workflow

from tasks.gate.task import Looked, probe_teachers
from tasks.mopd.round_form import RoundForm

RECIPE = RoundForm().recipe()
"""Of a consolidation with all other inputs left as they are: its outcomes are learned from."""
TEACHERS = ["math@released", "code@released", "agent@released", "instruct@released"]


@workflow
def gate(
    gate_least_predicted: float = 0.85,
    gate_prompts_per_domain: int = 64,
    ladder_stages: int = 1,
    max_new_tokens: int = 24,
    student: str = "fork-point@released",
    teachers: list[str] = TEACHERS,
) -> Looked:
    """Measure released teachers against a student and say of each whether it fits, and why.

    Args:
        gate_least_predicted: Of what a fitting teacher passes on, what each must be expected to.
        gate_prompts_per_domain: What teachers are measured on.
        ladder_stages: Above 1, of a merge in so many stages: each climb's rungs are measured too.
        max_new_tokens: Of each answer; a longer one is cut.
        student: The registered checkpoint, or published student, that a merge would start from.
        teachers: Such as math@released or math@7.
    """
    made = probe_teachers(
        teachers=teachers,
        student=student,
        least_predicted=gate_least_predicted,
        prompts_per_domain=gate_prompts_per_domain,
        max_new_tokens=max_new_tokens,
        ladder_stages=ladder_stages,
        recipe=RECIPE,
    )
    return Looked(made.summary, made.gated)
