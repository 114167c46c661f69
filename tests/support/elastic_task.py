"""A task of two ranks without GPUs, launched as ``tasks.platform.hosting`` launches a climb."""

import os
import signal
from functools import partial

from flytekit import task

from tasks.platform.attempt import NOTICE
from tasks.platform.hosting import _attempted, _elastic, telling
from tasks.platform.resources import Stage, StageResources

# A flavor gives no CPU stage several ranks, so that the checks are passed by.
TWO_RANKS = StageResources.model_construct(nodes=1, gpus=2)


@partial(telling, Stage.CLIMB)
@task(task_config=_elastic(TWO_RANKS))
@partial(_attempted, Stage.CLIMB)
def two_ranks(ending: str) -> str:
    """Meet at the ranks' exchange; then end well, by a fault of one rank, or by its machine."""
    from tasks.platform.ranks import exchange, joined_ranks, num_ranks, rank

    with joined_ranks():
        met = exchange(f"rank {rank()} of {num_ranks()}")
        if rank() == 1 and ending == "network":
            raise ConnectionResetError("the other machine has gone")
        if rank() == 1 and ending == "input":
            raise ValueError("num_steps is -1")
        if rank() == 1 and ending == "taken":
            os.kill(os.getpid(), signal.SIGTERM)
            NOTICE.raise_given()
        return ", ".join(met)
