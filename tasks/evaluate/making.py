"""How a student was made, for its report: teachers, verdicts, settings, time and weights."""

from collections.abc import Mapping

from lineage.artifacts import Artifact, Frozen, Student
from lineage.launches.history import launch_of
from lineage.records.derivation import flatten
from tasks.contracts.handover import Plan
from tasks.platform.progress import format_seconds
from tasks.platform.step_runner import StepRunner

NOT_MEASURED = "not measured"


class TeacherRow(Frozen):
    """One teacher of a round."""

    reference: str
    """Version of the release, such as ``teacher.math@3``."""
    domain: str
    owner: str
    tokens: int
    """Tokens of the student's rollouts that it scored."""
    share: float
    """Its share of all such tokens."""
    verdict: str
    """The gate's verdict, with the predicted share of its gain."""


class Making(Frozen):
    """The round that made a student."""

    teachers: tuple[TeacherRow, ...]
    settings: Mapping[str, str]
    """Settings of the round by dotted name."""
    facts: Mapping[str, str]
    """Time, weights and the commands that show them."""


def making_of(runner: StepRunner, plan: Plan, manifest: Student, student: Artifact) -> Making:
    """Return how a published student was made, from its manifest and its records."""
    total = sum(each.tokens_routed for each in manifest.teachers) or 1
    planned = {teacher.reference: teacher for teacher in plan.teachers}
    verdicts = _verdicts(runner, student)
    attested = runner.records.output(manifest.checkpoint.record)
    seconds = attested.seconds if attested else None
    return Making(
        teachers=tuple(
            TeacherRow(
                reference=each.reference,
                domain=each.domain,
                owner=planned[each.reference].owner,
                tokens=each.tokens_routed,
                share=each.tokens_routed / total,
                verdict=verdicts.get(planned[each.reference].name, NOT_MEASURED),
            )
            for each in manifest.teachers
        ),
        settings=dict(flatten(dict(manifest.settings))),
        facts={
            **({"time of the round": format_seconds(seconds)} if seconds else {}),
            "weights": manifest.checkpoint.digest,
            "folder of the weights": f"provost student weights {student.digest}",
        },
    )


def _verdicts(runner: StepRunner, student: Artifact) -> dict[str, str]:
    """Return the gate's verdict on each teacher, by its name in the plan."""
    launch = launch_of(runner.store, student.digest)
    return {
        each.name: each.verdict
        + (f", {each.predicted:.0%} of its gain expected" if each.predicted is not None else "")
        for each in (launch.verdicts if launch else ())
    }
