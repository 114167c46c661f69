"""A question about a student in, a report out: which teacher shaped what it says."""

from typing import cast

from flytekit import map_task, workflow
from flytekit.core.promise import Promise

from tasks.attribution.task import (
    Audited,
    Operated,
    gather_behaviours,
    run_audit,
    scale_teachers,
)
from tasks.mopd.task import (
    Rehearsed,
    plan_replay,
    plan_retrains,
    rehearse_round,
    replay_round,
    retrain,
)
from tasks.resources import Stage
from workflows.nodes import attempted, named


@workflow
def audit(  # noqa: PLR0917 - one for each input of the launch form
    behaviours: str = "",
    contrast: str = "",
    prompt: str = "",
    replay: bool = False,
    response: str = "",
    sample: int = 0,
    seed: int = 0,
    student: str = "student@released",
    system: str = "",
    verify_seeds: int = 0,
    verify_subsets: int = 0,
) -> Audited:
    """Say through whose updates behaviours came, and what a retrain without each teacher changes.

    Give a prompt with its response, or behaviours, or a sample; with none of them the whole student
    is asked about, domain by domain.

    Args:
        behaviours: JSON lines, each a prompt (messages) and a response; or the digest of a stored
            data set of them.
        contrast: Explain the log-odds of the response over this one.
        prompt: What a user says to the student.
        replay: Where the student's ledger holds no displacements, make approximate ones from the
            rollouts that it kept; that takes less than the student's own round, and once.
        response: What the student says then.
        sample: So many of the student's own answers in each domain.
        seed: Of what is drawn, and of the intervals.
        student: A published student, by name or digest.
        system: The system prompt before the prompt.
        verify_seeds: Retrain without each teacher, with so many seeds; each retrain takes as long
            as the student's own round.
        verify_subsets: Also without so many random sets of several teachers.
    """
    asked = gather_behaviours(
        student=student,
        system=system,
        prompt=prompt,
        response=response,
        contrast=contrast,
        behaviours=behaviours,
        sample=sample,
        seed=seed,
        replay=replay,
    )
    replays = plan_replay(student=student, wanted=replay)
    retrains = plan_retrains(student=student, num_seeds=verify_seeds, num_subsets=verify_subsets)
    # A question that cannot be asked is refused before anything is trained for it.
    cast("Promise", asked) >> replays
    cast("Promise", asked) >> retrains
    replayed = attempted(Stage.AUDIT, named("replay", map_task(replay_round)(spec=replays)))
    retrained = attempted(Stage.MOPD_ROUND, named("retrain", map_task(retrain)(spec=retrains)))
    made = run_audit(
        student=student, behaviours=asked, replayed=replayed, retrained=retrained, seed=seed
    )
    return Audited(made.summary, made.report)


@workflow
def surgery(weights: list[str], student: str = "student@released") -> Operated:
    """Make a student without a teacher, or with another weight of it, from its ledger.

    Args:
        weights: Sources with their weights, such as math=0 to leave math out.
        student: A student with a ledger, by name or digest.
    """
    made = scale_teachers(student=student, weights=weights)
    return Operated(made.summary, made.student)


@workflow
def rehearsal(without: list[str], student: str = "student@released") -> Rehearsed:
    """Make a student's round again without some teachers, from the rollouts its ledger kept.

    It samples nothing, so it takes less than a retrain, and comes nearer to one than surgery does.

    Args:
        without: Teachers to leave out.
        student: A published student with a ledger, by name or digest.
    """
    made = rehearse_round(student=student, without=without)
    return Rehearsed(made.summary, made.student)
