"""Rounds of MOPD one after the other: each starts from the student of the round before."""

from lineage.artifacts import Artifact
from tasks.handover import Plan
from tasks.mopd.round import distil_round
from tasks.mopd.settings import RoundSettings
from tasks.ranks import joined_ranks
from tasks.step import Bench


def distil_rounds(
    bench: Bench, plan: Plan, settings: RoundSettings, rounds: int, seed: int
) -> Artifact:
    """Return the student that the last round ends with; finished rounds are found.

    Round r (from 0) draws its prompts and samples from ``seed`` + r and has an optimizer of its
    own. Teachers that a team refreshed in between are a new launch, from the published student.

    Raises:
        ValueError: for no round at all.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}: a consolidation has at least one; set it to 1")
    student = plan.student
    with joined_ranks():  # once for all rounds
        for number in range(rounds):
            student = distil_round(bench, starting_from(plan, student), settings, seed + number)
    return student


def starting_from(plan: Plan, student: Artifact) -> Plan:
    """Return the plan of a round that starts from ``student``, which also is its own teacher."""
    teachers = [
        teacher.model_copy(update={"checkpoint": student}) if teacher.is_self else teacher
        for teacher in plan.teachers
    ]
    return plan.model_copy(update={"student": student, "teachers": teachers})
