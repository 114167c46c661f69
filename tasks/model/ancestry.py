"""Checkpoints as vectors: displacements, cosines, and a check of the declared ancestry.

Checkpoints are read tensor by tensor from their safetensors, so memory never holds a whole one;
sums are in double precision.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from tasks.model.relation import Ancestry, Displacement

LEAST_PROJECTION = 0.5
"""Halfway between a child (1) and an unrelated checkpoint (0); see ``benchmarks/gate/
ancestry``."""
LEAST_COSINE = 0.64
"""Halfway between children and siblings of the parent, of which the closest have 0.71 and 0.57 in
the demo with seed 3. A child that moved as far as its parent did, in a direction of its own, has
0.71."""
WHOLE_PROJECTION = 0.95
"""A child that moved further has a lower cosine and still at least this projection; siblings that
learned the same from the same data have at most 0.94."""
CLEARLY_NEARER = 0.9
"""Share of the distance to the declared parent below which another checkpoint is clearly nearer."""


@dataclass(frozen=True)
class CheckpointTensors:
    """A checkpoint's folder, with its name in findings."""

    name: str
    folder: Path


def displacements(start: Path, teachers: Mapping[str, Path]) -> dict[str, Displacement | None]:
    """Return each teacher's distance from ``start``, and its direction relative to the others.

    None for a teacher with other tensor names or shapes.
    """
    comparable = {n: f for n, f in teachers.items() if shapes_of(f) == shapes_of(start)}
    names = list(comparable)
    products = torch.zeros(len(names), len(names), dtype=torch.float64)
    of_start = 0.0
    for parts in _parts([start, *comparable.values()]):
        first, *others = (part.flatten() for part in parts)
        of_start += float(first @ first)
        moved = torch.stack([other - first for other in others]) if others else first[None, :0]
        products += moved @ moved.T if others else 0.0
    norms = products.diagonal().sqrt().tolist()

    def one(place: int, name: str) -> Displacement:
        cosines = {
            other: _cosine(float(products[place, at]), norms[place], norms[at])
            for at, other in enumerate(names)
            if other != name
        }
        return Displacement(relative=norms[place] / math.sqrt(of_start), cosines=cosines)

    found = {name: one(place, name) for place, name in enumerate(names)}
    return {name: found.get(name) for name in teachers}


def ancestry(
    child: Path,
    parent: CheckpointTensors,
    grandparent: Path | None,
    candidates: Sequence[CheckpointTensors],
) -> Ancestry | None:
    """Check a declared parent against the weights; None if the tensors cannot be compared.

    A child keeps what its parent learned: its displacement from the grandparent, projected on the
    parent's, is near 1. An unrelated checkpoint has no reason to point there; a sibling of the
    parent does in part, and went elsewhere with the rest, so that its cosine is low. And no other
    checkpoint, except descendants of the child, should be nearer than the parent. Without a
    grandparent, matrices are projected as they are; see ``Ancestry.projection``.

    Args:
        child: The checkpoint with the declared ancestry.
        parent: The declared parent.
        grandparent: The checkpoint that the parent was trained from, by its record.
        candidates: Other possible parents, such as other teams' precursors.
    """
    comparable = [c for c in candidates if shapes_of(c.folder) == shapes_of(child)]
    if shapes_of(parent.folder) != shapes_of(child):
        return None
    if grandparent is not None and shapes_of(grandparent) != shapes_of(child):
        grandparent = None
    others = [c for c in comparable if c.folder != parent.folder]
    folders = [child, parent.folder, *([grandparent] if grandparent else [])]
    folders += [c.folder for c in others]
    sums = _sums(folders, len(others), from_origin=grandparent is None)
    size, far = sums.size, sums.far
    projection = sums.inner / sums.length if sums.length > 0 else None
    cosine = None
    if grandparent and sums.length > 0:
        cosine = _cosine(sums.inner, math.sqrt(sums.moved), math.sqrt(sums.length))
    distance = math.sqrt(far / size)
    nearest, least = parent.name, far
    for candidate, squared in zip(others, sums.distances, strict=True):
        if squared < least:
            nearest, least = candidate.name, squared
    return Ancestry(
        declared=parent.name,
        distance=distance,
        projection=projection,
        cosine=cosine,
        nearest=nearest,
        nearest_distance=math.sqrt(least / size),
        contradicted=(projection is not None and not projection >= LEAST_PROJECTION)
        or math.sqrt(least) < CLEARLY_NEARER * math.sqrt(far),
        doubtful=_like_a_sibling(projection, cosine),
    )


@dataclass
class _Sums:
    """Sums of squares and products over all weights."""

    distances: list[float]
    """Squared distances of the candidates."""
    size: float = 0.0
    """Square of the declared parent."""
    far: float = 0.0
    """Square of the child's distance from the declared parent."""
    inner: float = 0.0
    """Product of the child's and the parent's moves from the grandparent."""
    length: float = 0.0
    """Square of the parent's move."""
    moved: float = 0.0
    """Square of the child's move."""


def _sums(folders: Sequence[Path], num_others: int, *, from_origin: bool) -> _Sums:
    """Return the sums over child, parent, grandparent if known, and the candidates."""
    sums = _Sums([0.0] * num_others)
    for of_child, of_parent, *rest in _parts(folders):
        sums.size += float(of_parent.square().sum())
        sums.far += float((of_child - of_parent).square().sum())
        if not from_origin or of_parent.dim() > 1:
            before = torch.zeros_like(of_parent) if from_origin else rest.pop(0)
            step, way = of_parent - before, of_child - before
            sums.inner += float((way * step).sum())
            sums.length += float(step.square().sum())
            sums.moved += float(way.square().sum())
        for place, other in enumerate(rest):
            sums.distances[place] += float((of_child - other).square().sum())
    return sums


def _like_a_sibling(projection: float | None, cosine: float | None) -> bool:
    """Return whether the child went another way, and does not keep all that the parent learned."""
    if projection is None or cosine is None:
        return False
    return cosine < LEAST_COSINE and projection < WHOLE_PROJECTION


def _cosine(product: float, one: float, two: float) -> float:
    return product / (one * two) if one > 0 and two > 0 else 0.0


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a checkpoint, by name; only headers are read."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return found


def _parts(folders: Sequence[Path]) -> Iterator[list[Tensor]]:
    """Yield the same tensor of every folder, in double precision, one name at a time."""
    readers = [_TensorReader(folder) for folder in folders]
    for name in readers[0].names:
        yield [reader.read(name) for reader in readers]


class _TensorReader:
    """The tensors of a folder by name, each read on demand."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def read(self, name: str) -> Tensor:
        with safe_open(self._files[name], framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor.double()
