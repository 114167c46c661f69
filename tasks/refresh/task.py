"""Flyte tasks that have teachers climb again between two rounds."""

from typing import NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.refresh.order_form import ClimbOrder


class NextRound(NamedTuple):
    """Inputs of the launch form for the round after the climbs."""

    student: str
    teachers: list[str]


@hosted(Stage.PLAN)
def check_refresh(teachers: list[str]) -> list[str]:
    """Return the teachers, if they can climb again; before any round."""
    from tasks.platform.step_runner import StepRunner
    from tasks.refresh import climb_again as step

    return step.check_refresh(StepRunner(), teachers)


@hosted(Stage.PLAN)
def climbs_again(teachers: list[str], student: Artifact) -> list[ClimbOrder]:
    """Plan the climbs from a published student that repeat those of the teachers."""
    from tasks.platform.step_runner import StepRunner
    from tasks.refresh import climb_again as step

    return step.climbs_again(StepRunner(), teachers, student)


@hosted(Stage.SFT)
def learn_again(order: ClimbOrder) -> Artifact:
    """Repeat a team's supervised stage from the student, if the team had one."""
    from tasks.platform.step_runner import StepRunner
    from tasks.refresh import climb_again as step

    return step.learn_again(StepRunner(), order)


@hosted(Stage.CLIMB)
def climb_again(order: ClimbOrder, start: Artifact) -> list[Rung]:
    """Repeat a climb from what the student learned; return the ladder."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rl import climb as step

    return step.climb(StepRunner(), start, order.domain, order.rl, order.seed)


@hosted(Stage.EVALUATION)
def release_again(order: ClimbOrder, ladder: list[Rung]) -> Artifact:
    """Score a ladder beside the student, and release its last rung."""
    from tasks.platform.step_runner import StepRunner
    from tasks.refresh import climb_again as step

    return step.release_again(StepRunner(), order, ladder)


@hosted(Stage.PLAN)
def next_round(teachers: list[str], releases: list[Artifact], student: Artifact) -> NextRound:
    """Return student and teachers of the round after the climbs."""
    from tasks.refresh import climb_again as step

    return NextRound(student.digest, step.next_teachers(teachers, releases))
