"""A key-value cache with columns that are allocated ahead and written in place.

Shapes: B rows, H key-value heads, L columns of the allocation, D head size.
A column is a place in the cache, not a position. The model gets positions as an input, and masks
say which columns a row sees, so a row can have padding between its context and generated tokens.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional
from transformers import Cache, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from tasks.model.architecture import attends_to_all
from tasks.model.kernels.cpu import ONE_TOKEN

_UNDER_MASKS = {"sdpa", ONE_TOKEN}
"""Attention implementations that take a boolean mask."""


@dataclass
class Window:
    """Which part of the cache the next pass writes and reads; all layers share it."""

    num_rows: int
    num_columns: int
    """Number of columns of the allocation."""
    rows: slice
    columns: slice | Tensor
    """Columns that the pass writes; a recorded pass reads them from a tensor [1] on the device."""
    width: int
    """Number of columns that attention reads, from the first."""


class _Layer(DynamicLayer):
    """One layer's keys and values, each [B, H, L, D]."""

    def __init__(self, window: Window) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._window = window
        self._held: list[Tensor] = []

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Write a pass's keys and values, and return all that it attends to."""
        window = self._window
        if not self._held:
            self._held = [self._room_for(key_states), self._room_for(value_states)]
        keys, values = (held[window.rows] for held in self._held)
        if isinstance(window.columns, slice):
            keys[:, :, window.columns], values[:, :, window.columns] = key_states, value_states
        else:
            keys.index_copy_(2, window.columns, key_states)
            values.index_copy_(2, window.columns, value_states)
        return keys[:, :, : window.width], values[:, :, : window.width]

    def _room_for(self, states: Tensor) -> Tensor:
        _, num_heads, _, size = states.shape
        # Zeros, not whatever was in memory: what is masked is still multiplied, and NaN stays NaN.
        return states.new_zeros(self._window.num_rows, num_heads, self._window.num_columns, size)

    def widen(self, num_columns: int) -> None:
        """Move to an allocation of more columns."""
        more = num_columns - self._held[0].shape[2]
        self._held = [functional.pad(held, (0, 0, 0, more)) for held in self._held]

    def share(self, num_columns: int) -> None:
        """Give all rows the first columns of the first."""
        for held in self._held:
            held[1:, :, :num_columns] = held[:1, :, :num_columns]

    def select(self, rows_B: Tensor) -> None:
        """Keep these rows, each as often as it is named."""
        self._held = [held[rows_B] for held in self._held]

    def get_seq_length(self) -> int:
        """Return the number of columns before those that a pass over contexts writes."""
        columns = self._window.columns
        return int(columns.start) if isinstance(columns, slice) else self._window.width - 1


class ColumnCache(Cache):
    """The caches of all layers of a model."""

    def __init__(self, model: PreTrainedModel, num_rows: int, num_columns: int) -> None:
        """Allocate nothing yet: each layer does at its first pass, when it knows its shapes."""
        self.window = Window(num_rows, num_columns, slice(None), slice(0, 0), 0)
        self._own = [_Layer(self.window) for _ in range(_num_layers(model.config))]
        super().__init__(layers=list(self._own))

    def write_to(self, columns: slice | Tensor, width: int, rows: slice = slice(None)) -> None:
        """Say where the next pass writes and how far it reads."""
        self.window.columns, self.window.width, self.window.rows = columns, width, rows

    def share(self, num_columns: int) -> None:
        """Give all rows the first columns of the first."""
        for layer in self._own:
            layer.share(num_columns)

    def widen(self, num_columns: int) -> None:
        """Move to an allocation of more columns, layer by layer: twice one layer at the most."""
        self.window.num_columns = num_columns
        for layer in self._own:
            layer.widen(num_columns)

    def select(self, rows_B: Tensor) -> None:
        """Keep these rows, each as often as it is named."""
        self.window.num_rows = len(rows_B)
        for layer in self._own:
            layer.select(rows_B)


def fits(model: PreTrainedModel, num_columns: int) -> bool:
    """Return whether each layer of a model attends to all of ``num_columns``, as masks say."""
    return attends_to_all(model, num_columns, _UNDER_MASKS)


def _num_layers(config: PretrainedConfig) -> int:
    return int(config.get_text_config(decoder=True).num_hidden_layers)
