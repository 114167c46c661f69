"""The adapter of the teacher that scores, on a module that teachers share."""

import torch
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from tasks.model.lora_factors import LoraAdapter


class AdapterSwitch:
    """Applies one teacher's adapter at a time."""

    def __init__(self, device: torch.device) -> None:
        """Apply adapters on a device; none is applied yet."""
        self._device = device
        self._now: tuple[LoraAdapter | None, PreTrainedModel] | None = None
        self._handles: list[RemovableHandle] = []

    def apply(self, adapter: LoraAdapter | None, model: PreTrainedModel) -> None:
        """Apply an adapter to a model, or none, and remove the last one."""
        if self._now is not None and self._now[0] is adapter and self._now[1] is model:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = [] if adapter is None else adapter.apply_to(model, self._device)
        self._now = adapter, model
