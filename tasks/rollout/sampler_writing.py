"""Rows that are being written: draws a token for each, hands it to the model, until all have ended.

Shapes: R rows at first, B still here, T tokens a turn at most, V vocabulary, D hidden size.
"""

from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.log_probs import head_logits
from tasks.rollout.sampler_draw import draw
from tasks.rollout.sampler_graph import Recorded
from tasks.rollout.sampler_pace import Pace

Line = tuple[list[int], list[float]]
"""A row's T tokens and their log-probabilities; what stands behind its end token means nothing."""


class Reader(Protocol):
    """Runs the model over contexts and then token by token."""

    def read_contexts(self) -> Tensor:
        """Return the hidden states [B, D] that predict each row's first token."""

    def read(self, tokens_B: Tensor) -> Tensor:
        """Run a token for each row; return the hidden states [B, D] that predict the next."""

    def make_room(self) -> bool:
        """Count a token that is about to be read; say whether buffers have moved for it."""

    def keep(self, rows_B: Tensor) -> None:
        """Go on with these rows alone."""


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
        end_id: int,
        temperature: float,
    ) -> None:
        """Take the noise of each row in the reader's order."""
        self._model, self._reader = model, reader
        self._end_id, self._temperature = end_id, temperature
        num_rows, device = len(noise_RT), model.device
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
        self._is_writing_B &= tokens_B != self._end_id
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
