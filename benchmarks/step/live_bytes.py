"""Count what tensors without numbers would take, and answer for their numbers."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

_SCALAR = torch.ops.aten._local_scalar_dense.default
_SAME = (torch.ops.aten.allclose.default, torch.ops.aten.equal.default)


class Answers(TorchDispatchMode):
    """Answers with a number where code looks at a tensor's content."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_off = False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if not self.is_off and func is _SCALAR:
            dtype = args[0].dtype
            return True if dtype is torch.bool else (1.0 if dtype.is_floating_point else 1)
        if not self.is_off and func in _SAME:
            return True
        return func(*args, **(kwargs or {}))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that were made within and are still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: weakref.WeakKeyDictionary[Any, list[int]] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return made

    def take(self) -> int:
        """Return the most bytes since the last call."""
        peak, self.peak = self.peak, self.now
        return peak

    @contextmanager
    def resizes_counted(self) -> Iterator[None]:
        """Count storages that FSDP empties and fills again, which is no operation of torch's."""
        own = torch.UntypedStorage.resize_

        def resize_(storage: torch.UntypedStorage, size: int) -> Any:  # noqa: ANN401
            result = own(storage, size)
            if (box := self._seen.get(storage)) is not None:
                self._change(size - box[0])
                box[0] = size
            return result

        with mock.patch.object(torch.UntypedStorage, "resize_", resize_):
            yield

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        box = [storage.nbytes()]
        self._seen[storage] = box
        self._change(box[0])
        weakref.finalize(storage, self._let_go, box)

    def _let_go(self, box: list[int]) -> None:
        self._change(-box[0])
        box[0] = 0

    def _change(self, more: int) -> None:
        self.now += more
        self.peak = max(self.peak, self.now)
