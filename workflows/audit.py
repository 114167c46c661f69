"""The audit of a student: which teacher shaped its behavior."""

from typing import cast

from flytekit import map_task, workflow
from flytekit.core.promise import Promise

from tasks.attribution.task import (
    Audited,
    Operated,
    gather_behaviors,
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
from tasks.platform.resources import Stage
from workflows.graph import attempted, named


@workflow
def audit(  # noqa: PLR0917 - one for each input of the launch form
    behaviors: str = "",
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
    """Attribute behaviors to teachers, and optionally verify with retrains without each teacher.

    Give a prompt with its response, a file of behaviors, or a sample size. Without any of them the
    audit covers the whole student, domain by domain.

    Args:
        behaviors: JSON lines, each with a prompt (messages) and a response, or the digest of a
            stored data set of them.
        contrast: Response to contrast: explain the log-odds of the response over this one.
        prompt: User message to the student.
        replay: Whether to compute approximate displacements from the ledger's rollouts if the
            ledger has none. It runs once and takes less time than the student's own round.
        response: The student's response to the prompt.
        sample: Number of the student's own responses to audit in each domain.
        seed: Random seed for samples and intervals.
        student: Published student, by name or digest.
        system: System prompt before the user message.
        verify_seeds: Number of seeds for retrains without each teacher; each retrain takes as long
            as the student's own round.
        verify_subsets: Number of random sets of several teachers to retrain without.
    """
    asked = gather_behaviors(
        student=student,
        system=system,
        prompt=prompt,
        response=response,
        contrast=contrast,
        behaviors=behaviors,
        sample=sample,
        seed=seed,
        replay=replay,
    )
    replays = plan_replay(student=student, wanted=replay)
    retrains = plan_retrains(student=student, num_seeds=verify_seeds, num_subsets=verify_subsets)
    asked, replays, retrains = (
        named("question", asked),
        named("plan-replay", replays),
        named("plan-retrains", retrains),
    )
    # An invalid question is refused before any retrain starts.
    cast("Promise", asked) >> replays
    cast("Promise", asked) >> retrains
    replayed = attempted(Stage.AUDIT, named("replay", map_task(replay_round)(spec=replays)))
    retrained = attempted(Stage.MOPD_ROUND, named("retrain", map_task(retrain)(spec=retrains)))
    made = run_audit(
        student=student, behaviors=asked, replayed=replayed, retrained=retrained, seed=seed
    )
    return Audited(named("audit", made.summary), made.report)


@workflow
def surgery(weights: list[str], student: str = "student@released") -> Operated:
    """Remove or reweight a teacher's updates in a student, using its ledger.

    Args:
        weights: Weight per source, such as math=0 to remove math.
        student: Student with a ledger, by name or digest.
    """
    made = scale_teachers(student=student, weights=weights)
    return Operated(named("scale", made.summary), made.student)


@workflow
def rehearsal(without: list[str], student: str = "student@released") -> Rehearsed:
    """Repeat a student's round without some teachers, on the rollouts in its ledger.

    It does not sample, so it is faster than a retrain. It approximates one better than surgery.

    Args:
        without: Teachers to leave out.
        student: Published student with a ledger, by name or digest.
    """
    made = rehearse_round(student=student, without=without)
    return Rehearsed(named("rehearse", made.summary), made.student)
