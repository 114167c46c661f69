"""What a remedy brought, measured on validation prompts: the verdict after it.

The gate's tests are of the student from before the remedy. So a remedied teacher is measured again:
the student, as it was and as it is now, and the teacher answer the same validation prompts
of the domain; the share of the gain decides whether the merge begins.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.launches.verdicts import REMEDY
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Gated, Plan, PlannedTeacher, Remedy, Verdict
from tasks.contracts.planned import refuse_mixed
from tasks.contracts.refusal import RefusedError
from tasks.contracts.remedies import (
    LEAST_AFTER_REMEDY,
    SCORES,
    RemedyOutcome,
    warmed_teachers,
)
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.reports.rendering import render
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.validation import Validation, read_scores, validation_scores
from tasks.statistics import paired_difference


def measure_remedies(
    runner: StepRunner, gated: Gated, plan: Plan, sampling: SamplingSettings, seed: int
) -> list[RemedyOutcome]:
    """Return what the remedy brought for each teacher that had one, recorded; often none.

    ``plan`` is the gated plan with the remedied student.

    Raises:
        LineageError: for parts of two runs.
    """
    teachers = warmed_teachers(gated)
    if not teachers:
        return []
    refuse_mixed(runner, plan)
    assert plan.artifact is not None
    how = Validation(gated.plan.student, sampling, seed)
    inputs = [Input.of("plan", plan.artifact), Input.of("student", plan.student)]
    outcomes = []
    for teacher in teachers:
        compared = dict(
            zip(SCORES, (gated.plan.student, plan.student, teacher.checkpoint), strict=True)
        )
        scores = {
            role: validation_scores(runner, checkpoint, teacher, how)
            for role, checkpoint in compared.items()
        }
        inputs += [Input.of(role, each, teacher.name) for role, each in scores.items()]
        rows = [read_scores(runner, each) for each in scores.values()]
        outcomes.append(outcome_of(teacher, *rows))
    _record(runner, plan, inputs, outcomes)
    return outcomes


def outcome_of(
    teacher: PlannedTeacher,
    start: Sequence[float],
    student: Sequence[float],
    goal: Sequence[float],
) -> RemedyOutcome:
    """Return the comparison of scores on the same prompts, in the same order.

    Args:
        teacher: The teacher on which the student was warmed up.
        start: Scores of the student before the remedy.
        student: Scores of the student after it.
        goal: Scores of the teacher.
    """
    before, now, best = (sum(scores) / len(scores) for scores in (start, student, goal))
    gain = best - before
    risen = paired_difference([[each] for each in student], [[each] for each in start])
    shares = [each / gain for each in (risen.mean, risen.low, risen.high)] if gain > 0 else []
    share, low, high = shares or (None, None, None)
    return RemedyOutcome(
        name=teacher.name,
        domain=teacher.domain,
        done=Remedy.WARM_UP,
        prompts=len(student),
        start=before,
        student=now,
        teacher=best,
        share=share,
        low=low,
        high=high,
        verdict=Verdict.FITS_AFTER_REMEDY
        if now >= before + LEAST_AFTER_REMEDY * gain
        else Verdict.DOES_NOT_FIT,
    )


def refuse_failed(gated: Gated, outcomes: Sequence[RemedyOutcome]) -> None:
    """Refuse a merge with a teacher that does not fit after its remedy either.

    Raises:
        RefusedError: naming each teacher with what was measured, and what to do.
    """
    failed = [each for each in outcomes if each.verdict is not Verdict.FITS_AFTER_REMEDY]
    if not failed:
        return
    references = {teacher.name: teacher.reference for teacher in gated.plan.teachers}
    lines = "\n".join(
        f"- {references[each.name]}: after the {each.done} the student scores {each.student:.2f} "
        f"on {each.prompts} validation prompts of {each.domain}, from {each.start:.2f} before; the "
        f"teacher scores {each.teacher:.2f}"
        for each in failed
    )
    raise RefusedError(
        "remedy-failed",
        f"the remedy did not bring the student to {LEAST_AFTER_REMEDY:.0%} of these teachers' "
        f"gain, so the merge was not begun:\n{lines}\nRaise warm_up_cycles (what is finished is "
        "found), warm_up_prompts or warm_up_learning_rate, or leave the teacher out.",
    )


def remedies_page(outcomes: Sequence[RemedyOutcome]) -> str:
    """Return the measurements as a page, for the Flyte Deck."""
    return render("remedies.html.j2", title="Remedies, measured", outcomes=outcomes)


def _record(
    runner: StepRunner, plan: Plan, inputs: Sequence[Input], outcomes: Sequence[RemedyOutcome]
) -> Artifact:
    document: list[JsonValue] = [each.model_dump(mode="json") for each in outcomes]
    derivation = Derivation(
        project=runner.project,
        kind=REMEDY,
        inputs=tuple(inputs),
        source=source_digest("gate"),
        settings={"teachers": document},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        shares = {f"share/{each.name}": each.share for each in outcomes}
        measurements.add(0, {name: share for name, share in shares.items() if share is not None})
        path = folder / "remedies.json"
        path.write_bytes(canonical_json(document))
        return path

    return runner.find_or_make(derivation, REMEDY, make, owner="consolidation", notes=plan.made_for)
