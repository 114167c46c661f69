"""A teacher's prompts, or an error that says whose they are."""

from lineage.artifacts import Artifact
from tasks.handover import PlannedTeacher
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Prompt
from tasks.step import Bench


def prompts_of(bench: Bench, teacher: PlannedTeacher, prompts: Artifact) -> list[Prompt]:
    """Return one of a teacher's prompt sets.

    Raises:
        ValueError: naming the release, for a set that is empty or cannot be read.
    """
    try:
        return stored_prompts(bench.store, prompts)
    except ValueError as error:
        raise ValueError(
            f"the prompts {prompts.digest[:19]} of {teacher.reference}, for the domain "
            f"{teacher.domain!r}, cannot be used, so {teacher.owner} must release it again, or it "
            f"is left out: {error}"
        ) from error
