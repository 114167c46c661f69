"""The instruct team's climb, from the fork point to a released teacher."""

from flytekit import workflow

from workflows.climb import Climbed, climb_and_release
from workflows.teachers.instruct.settings import DOMAIN, RL, SFT


@workflow
def climb(fork_point: str = "fork-point@released", seed: int = 0) -> Climbed:
    """Climb and release the instruct teacher.

    Args:
        fork_point: The registered checkpoint to start from.
        seed: Of data, supervised stage and reinforcement learning.
    """
    return climb_and_release(
        package="workflows.teachers.instruct",
        domain=DOMAIN,
        sft=SFT,
        rl=RL,
        fork_point=fork_point,
        seed=seed,
    )
