"""The module of teachers larger than a rank: each rank holds its shard of one at a time.

The body is sharded as the student's is (FSDP2): each rank holds its part of every parameter, and a
layer is gathered while it computes. The next teacher's weights overwrite the shards in place. They
are read layer by layer from mapped files, of which a rank reads its own part. The output head is
whole on every rank, because ranks call it a different number of times; each rank reads it from the
files.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from tasks.model.architecture import blocks, body_of
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.layers import HEAD, LayerReader, empty_model
from tasks.mopd.teacher_pool.checkpoint import CheckpointFiles
from tasks.platform.ranks import num_ranks, rank


class ShardedModule:
    """The module that runs all teachers of one architecture, in turn; a rank holds its shards."""

    def __init__(self, first: CheckpointFiles, device: torch.device) -> None:
        """Make the module without weights. Collective.

        Raises:
            RefusedError: if the folder's model cannot be read in parts, or needs its own code.
        """
        dtype = next(iter(first.tensors().values())).dtype
        self._reader = LayerReader(empty_model(first.folder, dtype), tuple(first.header))
        self.model = empty_model(first.folder, dtype)
        self._device = device
        self._parts = [part for part in self._reader.parts if part != HEAD]
        _norms_by_hand(self.model)
        _shard(self.model, device)
        self._places = dict(self.model.state_dict(keep_vars=True))
        self._storages = [
            (storage, storage.nbytes())
            for place in self._places.values()
            if isinstance(place, DTensor)
            for storage in [place.to_local().untyped_storage()]
        ]
        self.hidden_bytes: int = self.model.config.hidden_size * self.model.dtype.itemsize

    @torch.no_grad()
    def load_body(self, checkpoint: CheckpointFiles) -> int:
        """Overwrite the shards with a checkpoint's; return how many bytes this rank holds."""
        tensors, num_bytes = checkpoint.tensors(), 0
        for storage, size in self._storages:
            if storage.nbytes() != size:
                storage.resize_(size)
        for part in self._parts:
            for name, value in self._reader.read(tensors, part).items():
                place = self._places[name]
                own = place.to_local() if isinstance(place, DTensor) else place
                own.copy_(_part_of(value) if isinstance(place, DTensor) else value)
                num_bytes += own.nbytes
        return num_bytes

    def free_body(self) -> None:
        """Free the shards' memory until the next load."""
        for storage, _ in self._storages:
            storage.resize_(0)

    def free_head(self) -> None:
        """Take the output head out of the module."""
        head = self.model.get_output_embeddings()
        for name, parameter in list(head.named_parameters(recurse=False)):
            empty = torch.empty_like(parameter, device="meta")
            setattr(head, name, nn.Parameter(empty, requires_grad=False))

    def load_head(self, checkpoint: CheckpointFiles) -> None:
        """Replace the output head; on the CPU it stays a view of the mapped file."""
        head = self.model.get_output_embeddings()
        for name, value in self._reader.read(checkpoint.tensors(), HEAD).items():
            leaf = name.rpartition(".")[2]
            setattr(head, leaf, nn.Parameter(value.to(self._device), requires_grad=False))


def _part_of(value: Tensor) -> Tensor:
    """Return this rank's part of a whole tensor, as FSDP2 cuts it: along the first dimension."""
    parts = value.chunk(num_ranks())
    return parts[rank()] if rank() < len(parts) else value[:0]


def _norms_by_hand(model: PreTrainedModel) -> None:
    """Compute norms as elsewhere; they are tried, which needs weights for a moment."""
    vectors = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() == 1
    ]
    for module, name, parameter in vectors:
        ones = torch.ones(parameter.shape, dtype=parameter.dtype)
        setattr(module, name, nn.Parameter(ones, requires_grad=False))
    write_norms_by_hand(model)
    for module, name, parameter in vectors:
        setattr(module, name, parameter)


def _shard(model: PreTrainedModel, device: torch.device) -> None:
    """Shard a model without weights, and allocate this rank's part of its body."""
    body, head = body_of(model), model.get_output_embeddings()
    for name, parameter in list(head.named_parameters(recurse=False)):  # tied ones part here
        setattr(head, name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
    buffers = list(_buffers(body))
    mesh = init_device_mesh(device.type, (num_ranks(),))
    for module in (*blocks(model), body):
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
    nn.Module.to_empty(body, device=device)
    for owner, name, buffer in buffers:
        setattr(owner, name, buffer.to(device))


def _buffers(model: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            yield module, name, buffer
