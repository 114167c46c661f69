"""A teacher that was trained elsewhere: checked against its fork point, evaluated, released."""

from flytekit import workflow

from tasks.contracts.handover import DomainSettings
from tasks.evaluate.settings import EvaluationSettings
from tasks.evaluate.task import score_teacher
from tasks.release.settings import ImportSettings
from tasks.release.task import (
    check_climb,
    collect_domain,
    import_teacher,
    release_teacher,
    resolve_checkpoint,
    summarize,
)
from workflows.climb import Climbed
from workflows.graph import named


@workflow
def import_and_release(
    teacher: ImportSettings,
    package: str,
    domain: DomainSettings,
    evaluation: EvaluationSettings,
    fork_point: str = "fork-point@released",
    seed: int = 0,
) -> Climbed:
    """Release a teacher that was trained elsewhere.

    Args:
        teacher: The checkpoint, and what its team declares of it.
        package: Package or folder with the environment and the prompts.
        domain: Owner, license, version and prompt counts.
        evaluation: Sampling of the evaluation.
        fork_point: The registered checkpoint that the teacher was trained from.
        seed: Random seed for prompts and evaluation.
    """
    start = named("resolve-fork-point", resolve_checkpoint(reference=fork_point))
    imported = named("import", import_teacher(settings=teacher, fork_point=start))
    data = named("collect", collect_domain(package=package, settings=domain, seed=seed))
    checked = named(
        "check",
        check_climb(start=start, domain=data, sampling=evaluation.sampling, num_checkpoints=0),
    )
    card = score_teacher(
        fork_point=start,
        ladder=imported,
        domain=checked,
        settings=evaluation,
    )
    released = release_teacher(ladder=imported, domain=checked, scorecard=named("score", card))
    release = named("release", released)
    return Climbed(named("summary", summarize(made=release)), release)
