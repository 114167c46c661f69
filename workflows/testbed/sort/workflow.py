"""Team sort's climb, from the base of the testbed to a released teacher."""

from flytekit import workflow

from workflows.climb import Climbed, climb_and_release
from workflows.testbed.sort.settings import DOMAIN, RL, SFT


@workflow
def climb(fork_point: str = "testbed@released", seed: int = 0) -> Climbed:
    """Climb and release the teacher of sort.

    Args:
        fork_point: The registered checkpoint to start from.
        seed: Of data, supervised stage and reinforcement learning.
    """
    return climb_and_release(
        package="workflows.testbed.sort",
        domain=DOMAIN,
        sft=SFT,
        rl=RL,
        fork_point=fork_point,
        seed=seed,
    )
