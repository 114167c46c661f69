"""Rollouts as one batch, in which the tokens that the policy generated are chosen."""

from collections.abc import Sequence

from tasks.model.log_probs import TokenBatch, pad_right
from tasks.rollout.collect import Rollout


def rollout_batch(rollouts: Sequence[Rollout], pad_id: int) -> TokenBatch:
    """Return the batch of rollouts, with the pixels of their prompts' images."""
    return pad_right(
        [rollout.ids for rollout in rollouts],
        [rollout.is_response for rollout in rollouts],
        pad_id,
        [rollout.pixels for rollout in rollouts],
    )
