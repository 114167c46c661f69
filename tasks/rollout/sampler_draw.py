"""Draws tokens from logits with given noise: the inverse of the cumulative distribution.

Shapes: B rows, V vocabulary, K blocks of it, W tokens of a block.
"""

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK = 128
"""Tokens of a block. A row's block is found from the blocks' sums, so that only one block of it is
summed up token by token in fp64, whatever the vocabulary."""


def draw(logits_BV: Tensor, noise_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row the token at which the cumulative probability passes the noise.

    Args:
        logits_BV: fp32, already divided by the temperature.
        noise_B: fp64, uniform in [0, 1).

    Returns:
        The tokens [B], and their log-probabilities [B] in nats, fp32; NaN, beside any token, where
        the logits make no distribution.
    """
    top_B1 = logits_BV.amax(-1, keepdim=True)
    shares_BV = (logits_BV - top_B1).exp_()
    blocks_BKW = _in_blocks(shares_BV)
    blocks_BK = blocks_BKW.sum(-1).double()
    upto_BK = blocks_BK.cumsum(-1)
    total_B1 = upto_BK[:, -1:]
    target_B1 = noise_B[:, None] * total_B1
    block_B1 = _passing(upto_BK, target_B1)
    in_block_B1 = blocks_BK.gather(1, block_B1)
    rest_B1 = target_B1 - (upto_BK.gather(1, block_B1) - in_block_B1)
    index_B1W = block_B1[:, :, None].expand(-1, -1, blocks_BKW.shape[-1])
    upto_BW = blocks_BKW.gather(1, index_B1W)[:, 0].cumsum(-1, dtype=torch.float64)
    # Rounding leaves two sums of one block a hair apart; what is left must not fall off its end.
    rest_B1 = (rest_B1 / in_block_B1).clamp(0, _BELOW_ONE) * upto_BW[:, -1:]
    tokens_B1 = block_B1 * blocks_BKW.shape[-1] + _passing(upto_BW, rest_B1)
    tokens_B1 = tokens_B1.clamp(max=logits_BV.shape[-1] - 1)
    log_probs_B1 = (logits_BV.gather(1, tokens_B1) - top_B1).double() - total_B1.log()
    return tokens_B1[:, 0], log_probs_B1[:, 0].float()


_BELOW_ONE = 1 - 2**-52


def _in_blocks(shares_BV: Tensor) -> Tensor:
    """Return [B, K, W]; what fills up the last block is impossible."""
    size = shares_BV.shape[-1]
    width = min(_BLOCK, size)
    missing = -size % width
    if missing:
        shares_BV = functional.pad(shares_BV, (0, missing))
    return shares_BV.view(len(shares_BV), -1, width)


def _passing(upto_BK: Tensor, target_B1: Tensor) -> Tensor:
    """Return where the sums first exceed the target; at noise 1, where they reach their last."""
    last_B1 = torch.searchsorted(upto_BK, upto_BK[:, -1:].contiguous())
    places_B1 = torch.minimum(torch.searchsorted(upto_BK, target_B1, right=True), last_B1)
    return places_B1.clamp(max=upto_BK.shape[-1] - 1)  # sums that are no numbers have no place
