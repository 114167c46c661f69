"""Read contexts, then one token at a time, with a key-value cache.

``Columns`` keeps the cache in columns that are allocated ahead. Contexts are aligned at their first
token, so the pass over them needs the causal mask only. Generated tokens go to the columns from P
on, one column for all rows; the columns between a context's end and P are masked.

``Padded`` runs a causal LM with the cache of transformers. It serves the layers that ``cache.fits``
refuses: recurrent states, sliding windows, shared keys, distance biases. Padding is at the left,
and a mask [B, P] tells the model where.

``Whole`` runs any causal LM without a cache: all tokens of a row for each new one. ``verified``
takes it where the other two do not give the model's own numbers.

Shapes: B rows, U different contexts, S tokens of the next pass, P columns of the contexts, D hidden
size, L columns of the allocated cache.
"""

import inspect
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tasks.model.architecture import body_of
from tasks.model.images import embedded
from tasks.model.kernels.unread_tokens import last_mlp_only_at
from tasks.rollout.sampling.transformers.cache import ColumnCache
from tasks.rollout.sampling.transformers.pace import Pace


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


class Columns:
    """Rows that are being generated, and their cache of columns."""

    def __init__(
        self, model: PreTrainedModel, contexts: Sequence[Sequence[int]], num_new: int, pace: Pace
    ) -> None:
        """Take contexts; where they are sorted by length little padding is computed."""
        self._model, self._contexts, self._pace = model, contexts, pace
        self._different = _without_repeats(contexts, pace.repeated_tokens)
        lengths = [len(context) for context in contexts]
        self._first_new, self._num_new = max(lengths), num_new
        self._device = model.device
        self._cache = ColumnCache(model, len(self._different), self._room(self._first_new))
        self._positions_B1 = torch.tensor(lengths, device=self._device)[:, None]
        self._column_1 = torch.tensor([self._first_new], device=self._device)
        self._num_written = 0
        columns_L = torch.arange(self._cache.window.num_columns, device=self._device)
        self._visible_BL = columns_L < self._positions_B1

    def read_contexts(self) -> Tensor:
        """Run the contexts; return the hidden states [B, D] that predict each row's first token."""
        different = self._different
        shared = self._shared()
        if shared:
            self._run(torch.tensor([different[0][:shared]]), 0, slice(0, 1))
            self._cache.share(shared)
        hidden = [
            self._read([context[shared:] for context in different[rows]], shared, rows)
            for rows in self._portions(shared)
        ]
        hidden_UD = torch.cat(hidden)
        if len(different) == len(self._contexts):
            return hidden_UD
        places = {context: place for place, context in enumerate(different)}
        rows_B = torch.tensor([places[tuple(one)] for one in self._contexts], device=self._device)
        self._cache.select(rows_B)
        return hidden_UD[rows_B]

    def read(self, tokens_B: Tensor) -> Tensor:
        """Run a token for each row; return the hidden states [B, D] that predict the next.

        It may be recorded and repeated: whatever changes from token to token is on the device.
        """
        self._visible_BL.index_fill_(1, self._column_1, value=True)
        where = self._column_1 if self._pace.is_recorded else slice(self._width - 1, self._width)
        self._cache.write_to(where, self._cache.window.num_columns)
        mask_B11L = self._visible_BL[:, None, None]
        hidden_B1D = self._body(tokens_B[:, None], self._positions_B1, mask_B11L)
        self._column_1 += 1
        self._positions_B1 += 1
        return hidden_B1D[:, -1]

    def make_room(self) -> bool:
        """Count a token and see to its column; say whether the cache has moved to get one."""
        self._num_written += 1
        if self._width <= self._cache.window.num_columns:
            return False
        num_columns = self._room(self._cache.window.num_columns)
        more = num_columns - self._cache.window.num_columns
        self._visible_BL = torch.nn.functional.pad(self._visible_BL, (0, more))
        self._cache.widen(num_columns)
        return True

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone."""
        self._cache.select(rows)
        self._positions_B1 = self._positions_B1[rows]
        self._visible_BL = self._visible_BL[rows]

    @property
    def _width(self) -> int:
        return self._first_new + self._num_written

    def _room(self, num_columns: int) -> int:
        return min(num_columns + self._pace.more_columns, self._first_new + self._num_new)

    def _shared(self) -> int:
        """Return how many first tokens all contexts have in common; each keeps one of its own."""
        first, last = min(self._different), max(self._different)
        most = min(len(context) for context in self._different) - 1
        count = next((at for at in range(most) if first[at] != last[at]), most)
        return count if count * (len(self._different) - 1) >= self._pace.shared_tokens else 0

    def _portions(self, shared: int) -> list[slice]:
        """Return runs of contexts of at most so many tokens, padding included."""
        portions, begin, longest = [], 0, 0
        for place, context in enumerate(self._different):
            longest = max(longest, len(context) - shared)
            if longest * (place + 1 - begin) > self._pace.context_tokens and place > begin:
                portions.append(slice(begin, place))
                begin, longest = place, len(context) - shared
        return [*portions, slice(begin, len(self._different))]

    def _read(self, contexts: Sequence[Sequence[int]], shared: int, rows: slice) -> Tensor:
        lengths = torch.tensor([len(context) for context in contexts])
        ids_US = torch.zeros(len(contexts), int(lengths.max()), dtype=torch.long)
        for place, context in enumerate(contexts):
            ids_US[place, : len(context)] = torch.tensor(context)
        rows_U = torch.arange(len(contexts))
        places_U = (rows_U * ids_US.shape[1] + lengths - 1).to(self._device)
        with last_mlp_only_at(self._model, places_U):
            hidden_USD = self._run(ids_US, shared, rows)
        return hidden_USD.flatten(0, 1)[places_U]

    def _run(self, ids_US: Tensor, first: int, rows: slice) -> Tensor:
        """Run tokens in the columns from ``first`` on; return their hidden states."""
        num_tokens = ids_US.shape[1]
        self._cache.write_to(slice(first, first + num_tokens), first + num_tokens, rows)
        columns_S = torch.arange(first, first + num_tokens, device=self._device)
        mask_11SP = None
        if first:
            every_P = torch.arange(first + num_tokens, device=self._device)
            mask_11SP = (every_P <= columns_S[:, None])[None, None]
        positions_US = columns_S.expand(len(ids_US), -1)
        return self._body(ids_US.to(self._device), positions_US, mask_11SP)

    def _body(self, ids_BS: Tensor, positions_BS: Tensor, mask: Tensor | None) -> Tensor:
        output = body_of(self._model)(
            input_ids=ids_BS,
            attention_mask=mask,
            position_ids=positions_BS,
            past_key_values=self._cache,
            use_cache=True,
        )
        return output.last_hidden_state  # type: ignore[no-any-return]


class Padded:
    """Rows that are being generated, and their left-padded cache."""

    def __init__(
        self,
        model: PreTrainedModel,
        contexts: Sequence[Sequence[int]],
        pad_id: int,
        pixels: Sequence[Tensor | None] = (),
    ) -> None:
        """Take contexts, and the pixels of each one's images."""
        self._pixels = pixels
        longest = max(len(context) for context in contexts)
        self._model, self._cache = model, DynamicCache(config=model.config)
        self._contexts_BS = torch.full((len(contexts), longest), pad_id, dtype=torch.long)
        self._mask_BP = torch.zeros((len(contexts), longest), dtype=torch.long)
        for row, context in enumerate(contexts):
            self._contexts_BS[row, longest - len(context) :] = torch.tensor(context)
            self._mask_BP[row, longest - len(context) :] = 1
        self._mask_BP = self._mask_BP.to(model.device)
        accepted = inspect.signature(body_of(model).forward).parameters
        self._is_told_positions = "position_ids" in accepted

    def read_contexts(self) -> Tensor:
        """Run the contexts; return the hidden states [B, D] that predict each row's first token."""
        ids_BS = self._contexts_BS.to(self._model.device)
        return self._run(
            ids_BS, embedded(self._model, ids_BS, self._pixels) if self._pixels else None
        )

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

    def _run(self, ids_BS: Tensor, embeddings_BSD: Tensor | None = None) -> Tensor:
        given = {"input_ids": ids_BS}
        if embeddings_BSD is not None:
            given = {"inputs_embeds": embeddings_BSD}
        positions_BP = (self._mask_BP.cumsum(-1) - 1).clamp(min=0)
        positions_BS = positions_BP[:, -ids_BS.shape[1] :]
        output = body_of(self._model)(
            **given,
            attention_mask=self._mask_BP,
            past_key_values=self._cache,
            use_cache=True,
            **({"position_ids": positions_BS} if self._is_told_positions else {}),
        )
        return output.last_hidden_state[:, -1]  # type: ignore[no-any-return]


class Whole:
    """Rows that are being generated, read from their first token on each time."""

    def __init__(self, model: PreTrainedModel, contexts: Sequence[Sequence[int]]) -> None:
        """Take contexts; padding is at the right, where a causal model does not look."""
        self._model = model
        lengths = [len(context) for context in contexts]
        self._lengths_B = torch.tensor(lengths, device=model.device)
        ids_BS = torch.zeros((len(contexts), max(lengths)), dtype=torch.long)
        for row, context in enumerate(contexts):
            ids_BS[row, : len(context)] = torch.tensor(context)
        self._ids_BS = ids_BS.to(model.device)

    def read_contexts(self) -> Tensor:
        """Run the contexts; return the hidden states [B, D] that predict each row's first token."""
        hidden_BSD = body_of(self._model)(input_ids=self._ids_BS, use_cache=False).last_hidden_state
        rows_B = torch.arange(len(hidden_BSD), device=hidden_BSD.device)
        return hidden_BSD[rows_B, self._lengths_B - 1]  # type: ignore[no-any-return]

    def read(self, tokens_B: Tensor) -> Tensor:
        """Add a token to each row; return the hidden states [B, D] that predict the next."""
        self._ids_BS = torch.nn.functional.pad(self._ids_BS, (0, 1))
        self._ids_BS.scatter_(1, self._lengths_B[:, None], tokens_B[:, None])
        self._lengths_B = self._lengths_B + 1
        return self.read_contexts()

    def make_room(self) -> bool:
        """Say that buffers have moved: the rows grow with every token."""
        return True

    def keep(self, rows_B: Tensor) -> None:
        """Go on with these rows alone."""
        self._ids_BS, self._lengths_B = self._ids_BS[rows_B], self._lengths_B[rows_B]


def _without_repeats(contexts: Sequence[Sequence[int]], least_tokens: int) -> list[tuple[int, ...]]:
    """Return the different contexts in order, or all where that saves fewer tokens."""
    every = [tuple(context) for context in contexts]
    different = list(dict.fromkeys(every))
    saved = sum(map(len, every)) - sum(map(len, different))
    return different if saved >= least_tokens else every
