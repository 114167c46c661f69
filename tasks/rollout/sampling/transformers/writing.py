"""Generate: draw a token for each row, give it to the model, repeat until all rows have ended.

Tokens are drawn with given noise, by the inverse of the cumulative distribution.

Shapes: R rows at first, B rows still generating, T tokens a turn at most, V vocabulary, D hidden
size, K blocks of the vocabulary, W tokens of a block, E tokens that end a turn.
"""

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from tasks.model.kernels.cuda_graph import Recorded
from tasks.model.log_probs import head_logits
from tasks.rollout.sampling.transformers.pace import Pace
from tasks.rollout.sampling.transformers.readers import Reader

_BLOCK = 128
"""Tokens per block. A row's block is found from the blocks' sums, so that only one block is summed
by token in fp64, for any vocabulary."""
_BELOW_ONE = 1 - 2**-52

Line = tuple[list[int], list[float]]
"""A row's T tokens and their log-probabilities; entries after its end token have no meaning."""


class Writing:
    """Rows, what they have written, and which are still writing.

    Whatever changes from token to token is on the device and changed in place, so that a step can
    be recorded and repeated.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        reader: Reader,
        noise_RT: Tensor,
        end_ids: Collection[int],
        temperature: float,
    ) -> None:
        """Take the noise of each row in the reader's order."""
        self._model, self._reader = model, reader
        self._temperature = temperature
        num_rows, device = len(noise_RT), model.device
        self._ends_E = torch.tensor(sorted(end_ids), dtype=torch.long, device=device)
        self._noise_TB = noise_RT.double().T.contiguous().to(device)
        self._tokens_TB = torch.zeros_like(self._noise_TB, dtype=torch.long)
        self._log_probs_TB = torch.zeros_like(self._noise_TB, dtype=torch.float32)
        self._last_B = torch.zeros(num_rows, dtype=torch.long, device=device)
        self._is_writing_B = torch.ones(num_rows, dtype=torch.bool, device=device)
        self._time_1 = torch.zeros(1, dtype=torch.long, device=device)
        self._rows = list(range(num_rows))
        self._lines: dict[int, Line] = {}

    def run(self, pace: Pace) -> dict[int, Line]:
        """Write all rows to their end; return the line of each row."""
        recorded = Recorded(self._step) if pace.is_recorded else None
        step = recorded or self._step
        self._draw(self._reader.read_contexts())
        for time in range(1, len(self._noise_TB)):
            moved = False
            if time % pace.look_every == 0:
                num_writing = int(self._is_writing_B.sum())
                if num_writing == 0:
                    break
                if num_writing < pace.compact_below * len(self._rows):
                    self._compact()
                    moved = True
            moved |= self._reader.make_room()
            if moved and recorded is not None:
                recorded.forget()
            step()
        self._file(list(range(len(self._rows))))
        return self._lines

    def _step(self) -> None:
        self._draw(self._reader.read(self._last_B))

    def _draw(self, hidden_BD: Tensor) -> None:
        logits_BV = head_logits(self._model, hidden_BD, self._temperature)
        noise_B = self._noise_TB.index_select(0, self._time_1)[0]
        tokens_B, log_probs_B = draw(logits_BV, noise_B)
        self._tokens_TB.index_copy_(0, self._time_1, tokens_B[None])
        self._log_probs_TB.index_copy_(0, self._time_1, log_probs_B[None])
        self._is_writing_B &= (tokens_B[:, None] != self._ends_E).all(-1)
        self._last_B.copy_(tokens_B)
        self._time_1 += 1

    def _compact(self) -> None:
        """Go on with the rows that are still writing."""
        is_writing = self._is_writing_B.tolist()
        self._file([place for place, writes in enumerate(is_writing) if not writes])
        kept_B = self._is_writing_B.nonzero()[:, 0]
        self._reader.keep(kept_B)
        self._noise_TB = self._noise_TB[:, kept_B]
        self._tokens_TB = self._tokens_TB[:, kept_B]
        self._log_probs_TB = self._log_probs_TB[:, kept_B]
        self._last_B, self._is_writing_B = self._last_B[kept_B], self._is_writing_B[kept_B]
        self._rows = [row for row, writes in zip(self._rows, is_writing, strict=True) if writes]

    def _file(self, places: list[int]) -> None:
        """Put away the lines of some of the rows that are here."""
        tokens, log_probs = self._tokens_TB[:, places].T, self._log_probs_TB[:, places].T
        for place, ids, nats in zip(places, tokens.tolist(), log_probs.tolist(), strict=True):
            self._lines[self._rows[place]] = (ids, nats)


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
    return places_B1.clamp(max=upto_BK.shape[-1] - 1)  # NaN sums have no place
