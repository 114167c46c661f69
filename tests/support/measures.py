"""A teacher's measurements, as a test wants them."""

from tasks.gate.measured import Scores, SwapRow, TeacherMeasure, TeacherReading

READING = TeacherReading(
    tokens=500,
    kl=0.2,
    forward_kl=0.1,
    kl_course=(0.0, 0.1, 0.2, 0.3, 0.4),
    overlap=0.75,
    mass=0.99,
    rare=0.02,
    student_entropy=0.2,
    teacher_entropy=0.1,
    from_uniform=5.0,
    finite=True,
    unsteady=0.0,
)
SCORES = Scores(prompts=64, student=0.4, teacher=0.9, difference=0.5, error=0.05)
SWAP = SwapRow(tokens=99, log_likelihood={"math": -0.1, "code": -0.9}, errors={"math": 0.0})


def measured(reading=None, scores=None, **more):
    """Return a teacher that fits, but for what is changed."""
    fields = {"displacement": None, "ancestry": None, "swap": SWAP, **more}
    return TeacherMeasure(
        name="math",
        domain="math",
        reading=READING.model_copy(update=reading or {}),
        scores=SCORES.model_copy(update=scores or {}),
        **fields,
    )


OTHER_WORDS = SWAP.model_copy(update={"suspect": "code"})
"""Another teacher explains the answers better."""
