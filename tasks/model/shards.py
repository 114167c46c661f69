"""Tensors of which every rank holds a part (DTensor), and the same calls for whole tensors.

Functions marked as collective must be called by all ranks, in the same order.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial, distribute_tensor

from tasks.platform.ranks import rank

_PRECISION: WeakKeyDictionary[nn.Module, torch.dtype] = WeakKeyDictionary()


def remember_precision(model: nn.Module, precision: torch.dtype) -> None:
    """Note that a sharded model computes in ``precision``, whatever its shards are."""
    _PRECISION[model] = precision


def precision_of(model: nn.Module) -> torch.dtype | None:
    """Return the precision that a sharded model computes in; None for a model that is whole."""
    return _PRECISION.get(model)


def local(tensor: Tensor) -> Tensor:
    """Return a tensor, or this rank's part of it; both share memory with the input."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor, or all its parts put together, without gradient. Collective."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def collected(tensors: Mapping[str, Tensor], ranks: Collection[int] = (0,)) -> dict[str, Tensor]:
    """Return whole tensors by name, on the host of some ranks; on others nothing. Collective.

    They are put together one by one, so a device holds no more than one of them whole.
    """
    found = {}
    for name, tensor in tensors.items():
        one = whole(tensor)
        if rank() in ranks:
            found[name] = one.cpu().contiguous()
    return found


def as_part_of(part: Tensor, tensor: Tensor) -> Tensor:
    """Return this rank's ``part`` as a tensor that is sharded like another; it shares memory."""
    if not isinstance(tensor, DTensor):
        return part
    return DTensor.from_local(
        part,
        tensor.device_mesh,
        tensor.placements,
        run_check=False,
        shape=tensor.shape,
        stride=tensor.stride(),
    )


def part_like(value: Tensor, tensor: Tensor) -> Tensor:
    """Return this rank's part of a ``value`` that is whole, or sharded like ``tensor`` already."""
    if isinstance(tensor, DTensor) and not isinstance(value, DTensor):
        # Without a source rank: all ranks have the value, so nothing is sent.
        on_device = value.to(tensor.device)
        value = distribute_tensor(
            on_device, tensor.device_mesh, tensor.placements, src_data_rank=None
        )
    return local(value)


def sum_into_part(value: Tensor, tensor: Tensor) -> Tensor:
    """Return this rank's part of the sum of all ranks' whole ``value``. Collective.

    ``tensor`` says how it is sharded.
    """
    if not isinstance(tensor, DTensor):
        raise TypeError(
            "only a sharded tensor has parts to sum into: leave a whole tensor as it is"
        )
    mesh = tensor.device_mesh
    summed = DTensor.from_local(value, mesh, [Partial()], run_check=False)
    return local(summed.redistribute(placements=tensor.placements))


def sum_over_parts(numbers: Tensor, tensors: Iterable[Tensor]) -> Tensor:
    """Return sums over this rank's parts of ``tensors`` as sums over all parts. Collective."""
    meshes = {tensor.device_mesh for tensor in tensors if isinstance(tensor, DTensor)}
    for mesh in meshes:
        dist.all_reduce(numbers, group=mesh.get_group())
    return numbers


def refuse_mixed(tensors: Iterable[Tensor]) -> None:
    """Raise ValueError if some tensors are sharded and others are not, or over other ranks."""
    meshes = {t.device_mesh if isinstance(t, DTensor) else None for t in tensors}
    if len(meshes) > 1:
        raise ValueError(
            "some trained parameters are sharded and others are not, or over other ranks, so a "
            "norm over all of them would count some twice: shard the whole model"
        )


def to_fp32(tensor: Tensor) -> Tensor:
    """Return a tensor in fp32, or in fp64 where it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@contextmanager
def holding(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Replace a module's parameters for the context; other holders of its own keep them."""
    own = {name: getattr(module, name) for name in parameters}
    for name, parameter in parameters.items():
        setattr(module, name, parameter)
    try:
        yield
    finally:
        for name, parameter in own.items():
            setattr(module, name, parameter)
