"""Samples one model turn for a batch of contexts, with a key-value cache.

Shapes: B rows still being written, P padded context length, V vocabulary. Noise is drawn for every
row before anything is sampled, one uniform number a token, so a row's text depends on its own
context and noise and not on who shares its batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tasks.rollout.settings import SamplingSettings

_COMPACT_BELOW = 0.75
"""Finished rows are cut out of the cache once fewer than this share of rows is still writing."""


@dataclass(frozen=True)
class ModelTurn:
    """What the policy wrote: ids with the end token, and their log-probabilities in nats."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    ended: bool
    """False where the turn was cut at ``max_new_tokens``."""


class Sampler(Protocol):
    """Writes the next model turn for each context."""

    def sample(self, contexts: Sequence[Sequence[int]], noise: Tensor) -> list[ModelTurn]:
        """Return a turn for each context; ``noise`` is uniform in [0, 1), [contexts, tokens]."""


class TransformersSampler:
    """Samples with a Hugging Face model in this process."""

    def __init__(
        self, model: PreTrainedModel, end_id: int, pad_id: int, settings: SamplingSettings
    ) -> None:
        """Take the model as it is; its weights may change between calls."""
        self._model, self._end_id, self._pad_id = model, end_id, pad_id
        self._settings = settings

    @torch.no_grad()
    def sample(self, contexts: Sequence[Sequence[int]], noise: Tensor) -> list[ModelTurn]:
        """Return one turn for each context, in the order of the contexts."""
        self._refuse_too_long(contexts)
        was_training = self._model.training
        self._model.eval()
        try:
            return self._sample(contexts, noise)
        finally:
            self._model.train(was_training)

    def _sample(self, contexts: Sequence[Sequence[int]], noise: Tensor) -> list[ModelTurn]:
        state = _Decoding(contexts, self._pad_id, self._model.device)
        for step in range(self._settings.max_new_tokens):
            logits_BV = state.next_logits(self._model) / self._settings.temperature
            log_probs_BV = torch.log_softmax(logits_BV, dim=-1)
            tokens_B = _inverse_cdf(log_probs_BV, noise[state.rows, step].to(logits_BV.device))
            state.append(tokens_B, log_probs_BV.gather(1, tokens_B[:, None])[:, 0], self._end_id)
            if state.finished():
                break
        return state.turns(self._end_id)

    def _refuse_too_long(self, contexts: Sequence[Sequence[int]]) -> None:
        limit = getattr(self._model.config, "max_position_embeddings", None)
        longest = max(len(context) for context in contexts)
        if limit is not None and longest + self._settings.max_new_tokens > limit:
            raise ValueError(
                f"a context of {longest} tokens and {self._settings.max_new_tokens} new ones do "
                f"not fit into the model's {limit} positions: shorten the prompt or lower "
                "max_new_tokens"
            )


class _Decoding:
    """Rows being written: left-padded contexts, their cache, and what each has so far."""

    def __init__(
        self, contexts: Sequence[Sequence[int]], pad_id: int, device: torch.device
    ) -> None:
        longest = max(len(context) for context in contexts)
        self._next_BS = torch.full((len(contexts), longest), pad_id, dtype=torch.long)
        self._attention_BP = torch.zeros((len(contexts), longest), dtype=torch.long)
        for row, context in enumerate(contexts):
            self._next_BS[row, longest - len(context) :] = torch.tensor(context)
            self._attention_BP[row, longest - len(context) :] = 1
        self._next_BS = self._next_BS.to(device)
        self._attention_BP = self._attention_BP.to(device)
        self._cache = DynamicCache()
        self.rows = torch.arange(len(contexts))
        """Which context each row of the batch belongs to."""
        self._writing_B = torch.ones(len(contexts), dtype=torch.bool)
        self._ids: list[list[int]] = [[] for _ in contexts]
        self._log_probs: list[list[float]] = [[] for _ in contexts]

    def next_logits(self, model: PreTrainedModel) -> Tensor:
        """Run the tokens that the cache does not hold yet; return logits [B, V] in fp32."""
        positions_BP = (self._attention_BP.cumsum(-1) - 1).clamp(min=0)
        output = model(
            input_ids=self._next_BS,
            attention_mask=self._attention_BP,
            position_ids=positions_BP[:, -self._next_BS.shape[1] :],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()  # type: ignore[no-any-return]

    def append(self, tokens_B: Tensor, log_probs_B: Tensor, end_id: int) -> None:
        """Add a token to each row that is still writing, and cut out finished rows in time."""
        tokens, log_probs = tokens_B.tolist(), log_probs_B.tolist()
        for place, row in enumerate(self.rows.tolist()):
            if self._writing_B[place]:
                self._ids[row].append(tokens[place])
                self._log_probs[row].append(log_probs[place])
        self._writing_B &= tokens_B.cpu() != end_id
        self._next_BS = tokens_B[:, None]
        ones_B1 = torch.ones_like(self._next_BS)
        self._attention_BP = torch.cat([self._attention_BP, ones_B1], dim=1)
        if 0 < int(self._writing_B.sum()) < _COMPACT_BELOW * len(self._writing_B):
            self._compact()

    def _compact(self) -> None:
        kept = self._writing_B.nonzero()[:, 0]
        on_device = kept.to(self._next_BS.device)
        self._cache.batch_select_indices(on_device)
        self._next_BS, self._attention_BP = self._next_BS[on_device], self._attention_BP[on_device]
        self.rows, self._writing_B = self.rows[kept], self._writing_B[kept]

    def finished(self) -> bool:
        """Say whether every row has written its end token."""
        return not bool(self._writing_B.any())

    def turns(self, end_id: int) -> list[ModelTurn]:
        """Return what was written, in the order of the contexts."""
        return [
            ModelTurn(tuple(ids), tuple(log_probs), ended=ids[-1] == end_id)
            for ids, log_probs in zip(self._ids, self._log_probs, strict=True)
        ]


def _inverse_cdf(log_probs_BV: Tensor, noise_B: Tensor) -> Tensor:
    """Return the token at which the cumulative probability passes the noise, for each row."""
    cumulative_BV = log_probs_BV.double().exp().cumsum(-1)
    # Rounding leaves the last sum a hair from 1; noise above it must not fall off the end.
    target_B1 = noise_B.double()[:, None] * cumulative_BV[:, -1:]
    tokens_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True)
    return tokens_B1[:, 0].clamp(max=log_probs_BV.shape[-1] - 1)
