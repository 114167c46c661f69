"""Rounds of MOPD one after the other: each starts from the student of the round before."""

from pathlib import Path

from lineage.artifacts import Artifact
from lineage.recall import refuse_recalled_family
from lineage.store import Store
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

    A round lasts for days: recalls are asked for before each one, where one goes on, and whenever
    its state is put away.

    Raises:
        ValueError: for no round at all.
        RecalledError: where a teacher, or what it descends from, was recalled by now.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}: a consolidation has at least one; set it to 1")
    student = plan.student
    watch = RecallWatch(bench.store, plan)
    with joined_ranks():  # once for all rounds
        for number in range(rounds):
            watch.ask()
            own = starting_from(plan, student)
            student = distil_round(bench, own, settings, seed + number, {"recalls": watch})
    return student


class RecallWatch:
    """A part of a round's state that holds nothing: it asks for recalls where a state is touched.

    A retrain has none: what a recalled teacher did to a student must stay answerable.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        """Watch the releases of a plan, what they descend from, and what the student starts as."""
        self._store = store
        self._watched = [plan.student, *(teacher.release for teacher in plan.teachers)]

    def ask(self) -> None:
        """Raise RecalledError where anything watched was recalled by now."""
        refuse_recalled_family(self._store, self._watched)

    def save(self, folder: Path) -> None:
        """Ask; nothing is written."""
        self.ask()

    def load(self, folder: Path) -> None:
        """Ask; nothing is read."""
        self.ask()


def starting_from(plan: Plan, student: Artifact) -> Plan:
    """Return the plan of a round that starts from ``student``, which also is its own teacher."""
    teachers = [
        teacher.model_copy(update={"checkpoint": student}) if teacher.is_self else teacher
        for teacher in plan.teachers
    ]
    return plan.model_copy(update={"student": student, "teachers": teachers})
