"""The checkpoints that a round asks: its teachers, and what their deltas and the reference need."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.record import Input
from lineage.store import Store
from tasks.handover import Plan, PlannedTeacher
from tasks.mopd.settings import DistilSettings, RoundSettings
from tasks.onpolicy.ladder import earlier_rungs


@dataclass(frozen=True)
class Cast:
    """Every checkpoint of a round."""

    plan: Plan
    precursors: Mapping[str, Artifact]
    """By teacher, of those that teach by their delta: what they were trained from."""

    @property
    def start(self) -> Artifact:
        """What the student begins as."""
        return self.plan.student


def cast_of(store: Store, plan: Plan, settings: RoundSettings) -> Cast:
    """Return the cast of a round; a precursor is the one that the teacher's release names.

    Raises:
        ValueError: for settings of a teacher that is not there; for a delta teacher that has no
            delta, or whose delta on the start is the teacher itself; for a reference that says
            nothing new; where all teachers are masked.
    """
    planned = {teacher.name: teacher for teacher in plan.teachers}
    _refuse_names(settings.distil, set(planned))
    if settings.distil.reference_weight > 0 and all(t.is_self for t in plan.teachers):
        raise ValueError(
            f"reference_weight is {settings.distil.reference_weight}, but the only teacher is the "
            "student itself, from which it is kept anyway: set reference_weight to 0"
        )
    if set(planned) <= set(settings.distil.masked):
        raise ValueError(
            f"every teacher is masked ({sorted(planned)}), so nothing is left to learn from: "
            "unmask one"
        )
    chosen = [planned[name] for name in settings.distil.delta_teachers]
    return Cast(plan, {t.name: _precursor(store, t, plan.student) for t in chosen})


def _refuse_names(settings: DistilSettings, planned: Set[str]) -> None:
    weights = settings.balance.weights
    for what, named in (
        ("masked", settings.masked),
        ("delta", settings.delta_teachers),
        ("weighted", tuple(weights)),
    ):
        unknown = sorted(set(named) - planned)
        if unknown:
            raise ValueError(
                f"{what} teachers {unknown} are none of this round's ({sorted(planned)}): correct "
                "their names"
            )
    if weights and planned - set(weights):
        raise ValueError(
            f"the balance gives fixed weights to {sorted(weights)} and none to "
            f"{sorted(planned - set(weights))}: give each teacher its weight"
        )


def _precursor(store: Store, teacher: PlannedTeacher, start: Artifact) -> Artifact:
    if teacher.is_self:
        raise ValueError(
            f"the teacher {teacher.name!r} is the student itself, which has learned nothing since "
            "its start: leave it out of delta_teachers"
        )
    precursor = read_manifest(store, teacher.release.digest, Release).precursor
    if precursor.digest == start.digest:
        raise ValueError(
            f"the teacher {teacher.name!r} was trained from what the student starts as, so its "
            "delta on that is the teacher itself: leave it out of delta_teachers"
        )
    return precursor


def inputs_of(cast: Cast, settings: RoundSettings) -> Iterator[Input]:
    """Yield everything that a round's student depends on, each with its role."""
    plan = cast.plan
    yield Input(role="student", artifact=plan.student.digest, record=plan.student.record)
    for teacher in plan.teachers:
        yield Input(
            role="teacher",
            artifact=teacher.checkpoint.digest,
            record=teacher.checkpoint.record,
            # Every domain has as many prompts in a step.
            weight=teacher.share / len(plan.leads),
            name=teacher.name,
        )
        # As they were chosen, in the order of the stages: the choice is part of what was done.
        for staged in earlier_rungs(teacher, settings.ladder_stages):
            rung = staged.rung.checkpoint
            yield Input(role="rung", artifact=rung.digest, record=rung.record, name=teacher.name)
        if teacher.name in cast.precursors:
            before = cast.precursors[teacher.name]
            yield Input(
                role="precursor", artifact=before.digest, record=before.record, name=teacher.name
            )
    for lead in plan.leads:
        for role, part in (("prompts", lead.train), ("environment", lead.environment)):
            yield Input(role=role, artifact=part.digest, record=part.record, name=lead.domain)
