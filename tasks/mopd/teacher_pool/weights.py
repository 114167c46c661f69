"""The weights of teachers, in files or in memory, and the module that holds them in turn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.model.files import load_model
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.mopd.teacher_pool.checkpoint import CheckpointFiles
from tasks.mopd.teacher_pool.opening import OpenedTeacher

Weights = Mapping[str, Tensor]
"""Every parameter and saved buffer of an architecture by name; tied ones are the same tensor."""


class ModuleTemplate:
    """The module that runs all teachers of one architecture, in turn."""

    def __init__(self, first: CheckpointFiles, device: torch.device) -> None:
        """Load one teacher with transformers, learn how files map to weights, and drop it.

        Raises:
            ValueError: if the folder's model cannot be loaded completely, or needs its own code.
        """
        self.model: PreTrainedModel = load_model(first.folder).requires_grad_(requires_grad=False)
        write_norms_by_hand(self.model)
        self.model.eval()
        places = _places(self.model)
        loaded = {name: _tensor_at(*place) for name, place in places.items()}
        self._file_names = _file_names(loaded, first.tensors())
        self._places = places
        self._empty = {name: torch.empty_like(t, device="meta") for name, t in loaded.items()}
        inside = set(self.model.get_output_embeddings().modules())
        self.head_names = frozenset(n for n, (owner, _) in places.items() if owner in inside)
        self.body_names = frozenset(places) - self.head_names
        self.head_bytes = sum(loaded[name].nbytes for name in self.head_names)
        self.hidden_bytes: int = self.model.config.hidden_size * self.model.dtype.itemsize
        self.clear_weights()
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                if not buffer.is_meta:
                    setattr(module, name, buffer.to(device))

    @property
    def maps_files(self) -> bool:
        """Whether the files hold the weights as they are used, so that none has to be copied."""
        return self._file_names is not None

    def read(self, checkpoint: CheckpointFiles) -> Weights:
        """Return a checkpoint's weights on the host, as views of its files if possible.

        Some architectures (most mixtures of experts) are saved in other pieces than they use;
        transformers then assembles them in memory.
        """
        if self._file_names is None:
            model = load_model(checkpoint.folder)
            return {n: _tensor_at(*p).detach() for n, p in _places(model).items()}
        tensors = checkpoint.tensors()
        return {name: tensors[in_file] for name, in_file in self._file_names.items()}

    def set_weights(self, weights: Weights) -> None:
        """Make these tensors, not copies of them, the module's weights."""
        for name, tensor in weights.items():
            owner, leaf = self._places[name]
            is_parameter = leaf in owner._parameters
            value = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
            setattr(owner, leaf, value)

    def clear_weights(self, names: Iterable[str] | None = None) -> None:
        """Take the weights out of the module, so that their memory or mapping can be freed."""
        self.set_weights({name: self._empty[name] for name in names or self._empty})

    def empty_weights(self, names: Iterable[str], device: torch.device) -> Weights:
        """Return tensors on a device that these weights can be copied into."""
        wanted = {name: self._empty[name] for name in names}
        return {n: torch.empty(t.shape, dtype=t.dtype, device=device) for n, t in wanted.items()}


def _places(model: PreTrainedModel) -> dict[str, tuple[nn.Module, str]]:
    """Return the place of each parameter and saved buffer, tied ones under each of their names."""
    places = {}
    for name in model.state_dict():
        owner, _, leaf = name.rpartition(".")
        places[name] = (model.get_submodule(owner), leaf)
    return places


def _tensor_at(owner: nn.Module, leaf: str) -> Tensor:
    tensor: Tensor = getattr(owner, leaf)
    return tensor


def _file_names(loaded: Weights, in_file: Mapping[str, Tensor]) -> dict[str, str] | None:
    """Return for each weight the tensor of the file with the same bits, or None if one has none.

    A tied weight may have the name of its twin in the file.
    """
    by_address = {tensor.data_ptr(): name for name, tensor in loaded.items() if name in in_file}
    sources = {
        name: name if name in in_file else by_address.get(tensor.data_ptr(), "")
        for name, tensor in loaded.items()
    }
    for name, source in sources.items():
        if not source or loaded[name].dtype != in_file[source].dtype:
            return None
        if not torch.equal(loaded[name], in_file[source]):
            return None
    return sources


PooledTeacher = OpenedTeacher[ModuleTemplate]
"""A teacher that fits into the memory of one process."""


class WeightSource(Protocol):
    """A source of teachers' weights."""

    @property
    def in_memory(self) -> bool:
        """Whether the weights are in memory, so that nothing is read later."""

    def weights(self, teacher: PooledTeacher) -> Weights:
        """Return the weights; they live as long as this source or the caller keeps them."""

    def read_ahead(self, teacher: PooledTeacher) -> None:
        """Prepare the next ``weights`` call for this teacher."""


class FileWeights:
    """Weights stay in their files, which are mapped while they are used."""

    in_memory = False

    def weights(self, teacher: PooledTeacher) -> Weights:
        """Return the weights, as views of the files if possible."""
        return teacher.template.read(teacher.checkpoint)

    def read_ahead(self, teacher: PooledTeacher) -> None:
        """Ask the kernel to read the files into its page cache."""
        teacher.checkpoint.read_ahead()


class MemoryWeights:
    """Weights are held in memory, those of one digest once."""

    in_memory = True

    def __init__(
        self, teachers: Sequence[PooledTeacher], place: Callable[[Tensor], Tensor]
    ) -> None:
        """Copy every teacher's weights with ``place``: to the device, or into pinned memory."""
        self._kept: dict[str, Weights] = {}
        for teacher in teachers:
            if teacher.digest not in self._kept:
                weights = teacher.template.read(teacher.checkpoint)
                self._kept[teacher.digest] = _copies(weights, place)

    def weights(self, teacher: PooledTeacher) -> Weights:
        """Return the weights that are held."""
        return self._kept[teacher.digest]

    def read_ahead(self, teacher: PooledTeacher) -> None:
        """Do nothing: the weights are in memory."""


def _copies(weights: Weights, place: Callable[[Tensor], Tensor]) -> Weights:
    """Return copies of all tensors; tied tensors stay tied."""
    by_address: dict[int, Tensor] = {}
    for tensor in weights.values():
        if tensor.data_ptr() not in by_address:
            by_address[tensor.data_ptr()] = place(tensor)
    return {name: by_address[tensor.data_ptr()] for name, tensor in weights.items()}


def num_bytes(weights: Mapping[str, Tensor]) -> int:
    """Return the bytes of the tensors, tied ones once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in weights.values()}.values())
