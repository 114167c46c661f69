"""A behavior's change counted from before a warm-up: the warm-up is its first part.

A warm-up trains the student on its teachers' answers before the round. It keeps no ledger, so what
it brought to a behavior is one amount: the log-probability behind it minus that before it. Without
this part an audit would look for behaviors in the round that came before it.

Shapes: N response tokens of the behaviors.
"""

from dataclasses import replace

import torch
from torch import Tensor

from tasks.attribution.path_integral import Allocation, SegmentAllocation, Split
from tasks.attribution.trajectory import Weights

WARM_UP = "warm-up"
"""Name of the part. It is a source without a team; no domain can have this name."""


def with_warm_up(split: Split, before: Weights) -> Split:
    """Return a split with the warm-up as its first stretch and its first part.

    Args:
        split: The round's, from its start.
        before: All weights of the model before the warm-up.
    """
    return replace(
        split,
        allocations=tuple(
            _with_warm_up(allocation, batch.scorer.log_probs_of(before))
            for allocation, batch in zip(split.allocations, split.batches, strict=True)
        ),
    )


def _with_warm_up(allocation: Allocation, before_N: Tensor) -> Allocation:
    still_N = torch.zeros_like(before_N)
    warm_up = SegmentAllocation(
        first_step=1,
        last_step=0,  # no step of the round
        points=0,
        by_part={
            WARM_UP: allocation.start_N - before_N,
            **dict.fromkeys(allocation.parts, still_N),
        },
    )
    round_ = (
        replace(segment, by_part={WARM_UP: still_N, **segment.by_part})
        for segment in allocation.segments
    )
    return replace(allocation, start_N=before_N, segments=(warm_up, *round_))
