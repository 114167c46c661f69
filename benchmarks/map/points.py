"""The points of the map: a center, and from it one axis at a time, three values each.

All points share the base, the families of domains, the numbers of ``case.FULL`` and the budget of
the merge. Two have a fork point that trained for longer (``case.LONGER``), because their teachers
had nothing to climb from. So they differ from the center in two things; ``REFERENCE``, the center
with such a fork point, differs from them in one. This is how each axis is made:

``length``
    Worked steps of an answer: 3, 6 or 9 columns or pairs, so that right answers have 34, 64 or
    94 tokens. As many demonstrations are right at each length, so a single step is right more
    often where there are more of them. With 12 steps, tried first, no teacher of this base learned
    to answer. Not covered: answers of thousands of tokens, several turns, and answers that could be
    shorter than they are.
``gap``
    RL steps of each teacher's climb: 6, 12 or 24. The teachers of a point are of one pipeline, and
    a longer climb takes a teacher further in the same direction. Not covered: teachers of another
    base, size or tokenizer, and teachers that no student of the fork point can follow.
``conflict``
    How far the two domains of a family contradict each other. Both have the same questions, and
    only the system prompt says which is which. ``none``: the same answers. ``answer``: the second
    ends its final answer with a mark. ``steps``: it also writes each step of the work with other
    marks. What is right in one is wrong in the other, but by its form alone: a fork point of a few
    minutes learns no convention that moves the parts of an answer. Not covered: contradictions that
    no prompt tells apart, and conflicts of content or values.
``error``
    Share of the questions that each teacher learned wrong on purpose, in percent: 0, 20 or 40. Its
    own supervised stage shows it a wrong first step wherever a question begins with one of so many
    digits or letters. The grader is right, and RL goes on after it, so what is left of the error is
    measured. Not covered: errors without a pattern, and errors that the grader makes too.
``teachers``
    Number of domains, each with its teacher: 2, 4 or 12, in families of two. The fork point learned
    all twelve domains at every point. The merge has as many rollouts a step for two as for twelve,
    so each of twelve has a sixth of them. Not covered: domains that have nothing in common.

At the center the staged ladder is measured too: MOPD in three stages, the first two from earlier
checkpoints of each climb. The rungs are evenly spaced in steps, not by a measured distance.
"""

from collections.abc import Mapping
from enum import StrEnum

from lineage.frozen import Frozen
from tasks.contracts.controls import Control
from tasks.evaluate.scores import STUDENT

OFF_POLICY, MIX_RL = Control.OFF_POLICY_SFT, Control.MIX_RL
COMPARED = (STUDENT, OFF_POLICY.value, MIX_RL.value)
"""The methods of every point; the student is MOPD's."""
LADDER = "staged_ladder"
"""Name of the method that is measured at the center alone."""


class Conflict(StrEnum):
    """How far the second domain of a family contradicts the first."""

    NONE = "none"
    ANSWER = "answer"
    STEPS = "steps"


class Point(Frozen):
    """One value of each axis."""

    length: int = 6
    """Worked steps of an answer."""
    gap: int = 12
    """RL steps of a climb."""
    conflict: Conflict = Conflict.ANSWER
    error: int = 0
    """Share of the questions that a teacher learned wrong on purpose, in percent."""
    teachers: int = 4
    longer: bool = False
    """Whether the fork point trains ``case.LONGER`` times as many steps."""


CENTER = "center"
REFERENCE = "center-longer"
"""The center with a fork point that trained for longer, on no axis."""
_LONGER = (("length", 9), ("conflict", Conflict.STEPS))
"""Where the usual steps left a fork point that answered nothing right."""
AXES: dict[str, tuple[int | Conflict, ...]] = {
    "length": (3, 6, 9),
    "gap": (6, 12, 24),
    "conflict": (Conflict.NONE, Conflict.ANSWER, Conflict.STEPS),
    "error": (0, 20, 40),
    "teachers": (2, 4, 12),
}
"""Values of each axis, in order; one of them is the center's."""
SEEDS = (0, 1)


def name_of(axis: str, value: int | Conflict) -> str:
    """Return the name of the point with this value on an axis and the center's on all others."""
    is_center = getattr(Point(), axis) == value
    return CENTER if is_center else f"{axis}-{value}"


def points() -> Mapping[str, Point]:
    """Return all points by name, the center first and the reference last."""
    around = {
        name_of(axis, value): _point(axis, value)
        for axis, values in AXES.items()
        for value in values
    }
    return {CENTER: Point(), **around, REFERENCE: Point(longer=True)}


def _point(axis: str, value: int | Conflict) -> Point:
    return Point().model_copy(update={axis: value, "longer": (axis, value) in _LONGER})


def shares_mix_rl(point: Point) -> bool:
    """Return whether Mix-RL is the center's run of the same seed.

    It has no teachers: it starts at the same fork point and asks the same prompts, whatever the
    teachers learned. A run of its own would only add the noise of its number of steps.
    """
    center = Point()
    seen = point.model_copy(update={"gap": center.gap, "error": center.error})
    return seen == center != point
