"""Which rank does which microbatch: all are on the same teacher, and do as many passes of it."""

from collections.abc import Sequence
from itertools import groupby

import torch

from tasks.model.log_probs import TokenBatch
from tasks.onpolicy.microbatch import Microbatch


def deal(plan: Sequence[Microbatch], rank: int, num_ranks: int) -> list[Microbatch | None]:
    """Return a rank's microbatches of an update, teacher by teacher.

    None stands for a pass in which other ranks have a microbatch of the teacher and this one has
    none left: it joins with ``idle_tokens`` and no loss, because every pass over a sharded model
    takes all ranks. A plan's weights are of the whole update, so gradients are summed over ranks.
    """
    dealt: list[Microbatch | None] = []
    for _, group in groupby(plan, key=lambda microbatch: microbatch.teacher):
        microbatches = list(group)
        for first in range(0, len(microbatches), num_ranks):
            turn = microbatches[first : first + num_ranks]
            dealt.append(turn[rank] if rank < len(turn) else None)
    return dealt


def idle_tokens(pad_id: int) -> TokenBatch:
    """Return the smallest batch that a model can be run on."""
    zero_1, one_1 = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    return TokenBatch(torch.full((1, 2), pad_id, dtype=torch.long), zero_1, one_1)
