"""A teacher's measurements, as a test wants them."""

from tasks.gate.measured import Scores, SwapRow, TeacherMeasure, TeacherReading
from tasks.gate.prediction import Calibration, features

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


def calibration(bias=3.0, weight=0.0):
    """Return one whose answer is the logistic of ``bias`` for the teacher above."""
    here = features(measured())
    return Calibration(
        centers=here,
        scales=dict.fromkeys(here, 1.0),
        weights=dict.fromkeys(here, 0.0) | {"log_kl": weight},
        bias=bias,
        spread=0.1,
        least={name: value - 1 for name, value in here.items()},
        most={name: value + 1 for name, value in here.items()},
        provenance={},
    )
