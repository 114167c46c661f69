"""Runs any causal LM over contexts and then token by token, with transformers' own cache.

For layers that ``sampler_cache.fits`` does not take: states of a recurrence, sliding windows,
shared keys, biases by distance. Padding stands to the left and is told by a mask [B, P], from which
the model makes what each of its layers needs.

Shapes: B rows, P columns so far, S of the next pass, D hidden size.
"""

import inspect
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class Padded:
    """Rows being written and their cache."""

    def __init__(
        self, model: PreTrainedModel, contexts: Sequence[Sequence[int]], pad_id: int
    ) -> None:
        """Take contexts."""
        longest = max(len(context) for context in contexts)
        self._model, self._cache = model, DynamicCache(config=model.config)
        self._contexts_BS = torch.full((len(contexts), longest), pad_id, dtype=torch.long)
        self._mask_BP = torch.zeros((len(contexts), longest), dtype=torch.long)
        for row, context in enumerate(contexts):
            self._contexts_BS[row, longest - len(context) :] = torch.tensor(context)
            self._mask_BP[row, longest - len(context) :] = 1
        self._mask_BP = self._mask_BP.to(model.device)
        accepted = inspect.signature(model.base_model.forward).parameters
        self._is_told_positions = "position_ids" in accepted

    def read_contexts(self) -> Tensor:
        """Run the contexts; return the hidden states [B, D] that predict each row's first token."""
        return self._run(self._contexts_BS.to(self._model.device))

    def read(self, tokens_B: Tensor) -> Tensor:
        """Run a token for each row; return the hidden states [B, D] that predict the next."""
        ones_B1 = torch.ones_like(self._mask_BP[:, :1])
        self._mask_BP = torch.cat([self._mask_BP, ones_B1], dim=1)
        return self._run(tokens_B[:, None])

    def make_room(self) -> bool:
        """Say that buffers have moved: this cache grows with every token."""
        return True

    def keep(self, rows_B: Tensor) -> None:
        """Go on with these rows alone."""
        self._cache.reorder_cache(cast("torch.LongTensor", rows_B))
        self._mask_BP = self._mask_BP[rows_B]

    def _run(self, ids_BS: Tensor) -> Tensor:
        positions_BP = (self._mask_BP.cumsum(-1) - 1).clamp(min=0)
        positions_BS = positions_BP[:, -ids_BS.shape[1] :]
        output = self._model.base_model(
            input_ids=ids_BS,
            attention_mask=self._mask_BP,
            past_key_values=self._cache,
            use_cache=True,
            **({"position_ids": positions_BS} if self._is_told_positions else {}),
        )
        return output.last_hidden_state[:, -1]  # type: ignore[no-any-return]
