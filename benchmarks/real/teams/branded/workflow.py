"""The branded team's climb, from the fork point to a released teacher."""

from flytekit import workflow

from benchmarks.real.teams.branded.settings import DOMAIN, RL, SFT
from workflows.climb import Climbed, climb_and_release


@workflow  # type: ignore[untyped-decorator]
def climb(fork_point: str = "fork-point@released", seed: int = 0) -> Climbed:
    """Climb and release the branded teacher.

    Args:
        fork_point: The registered checkpoint to start from.
        seed: Of data, supervised stage and reinforcement learning.
    """
    return climb_and_release(
        package="benchmarks.real.teams.branded",
        domain=DOMAIN,
        sft=SFT,
        rl=RL,
        fork_point=fork_point,
        seed=seed,
    )
