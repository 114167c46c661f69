"""Equal processor time: how many steps of a control take as long as the student's rounds.

Records attest what a step took. Two short runs of a control give its time for any length, as a
start and a time for each step. They are recorded steps, so the answer is the same when the work
goes on elsewhere.
"""

from collections.abc import Callable

from lineage.artifacts import Artifact
from tasks.contracts.refusal import RefusedError
from tasks.platform.step_runner import StepRunner

PILOTS = (2, 8)
"""Steps of the two short runs."""


def seconds_of(runner: StepRunner, made: Artifact) -> float:
    """Return the processor seconds that a record attests.

    Raises:
        RefusedError: ``no-recorded-cost`` for a record that attests none.
    """
    attested = runner.records.output(made.record) if made.record else None
    seconds = attested.notes.get("processor_seconds") if attested else None
    if not isinstance(seconds, int | float):
        raise RefusedError(
            "no-recorded-cost",
            f"no record says what {made.kind} {made.digest} took, so nothing can be trained for "
            "as long: make it again with this version, or leave trained controls out",
        )
    return float(seconds)


def round_seconds(runner: StepRunner, student: Artifact, start: Artifact) -> float:
    """Return the processor seconds of all rounds from a start to a student."""
    total, model = 0.0, student
    while model.digest != start.digest:
        total += seconds_of(runner, model)
        [before] = [i for i in runner.records.read(model.record).inputs if i.role == "student"]
        model = Artifact(kind="checkpoint", digest=before.artifact, record=before.record)
    return total


def steps_within(
    budget: float, seconds: Callable[[int], float], pilots: tuple[int, int] = PILOTS
) -> int:
    """Return the number of steps that take ``budget`` seconds, at least one.

    Args:
        budget: Processor seconds.
        seconds: Makes a run of so many steps, and returns what it took.
        pilots: Steps of the two runs from which the time of any number follows.
    """
    few, more = pilots
    first, second = seconds(few), seconds(more)
    each = (second - first) / (more - few)
    if each <= 0:  # a run so small that its start is all that it takes
        each = second / more
    begun = max(0.0, first - few * each)
    return max(1, round((budget - begun) / each))
