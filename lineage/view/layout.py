"""Place the boxes of a layered graph: every line goes down, and few lines cross.

The usual four steps: layers by longest path, a dummy node in each layer that a long line passes,
order within layers by the neighbors' mean place, then x so that boxes are near their neighbors.
Deterministic: the same graph gives the same picture.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8


@dataclass(frozen=True)
class Sizes:
    """Sizes in pixels."""

    box_width: int = 176
    box_height: int = 74
    gap: int = 22
    layer_gap: int = 58
    stand_in_width: int = 130
    """Room for a line that passes a layer, and for its label."""


@dataclass(frozen=True)
class Placed:
    """A layout: box centers by id, and for each line the points that it passes."""

    boxes: dict[str, tuple[float, float]]
    lines: list[list[tuple[float, float]]]
    width: float
    height: float


def place(boxes: Sequence[str], lines: Sequence[tuple[str, str]], sizes: Sizes) -> Placed:
    """Return the layout of ``boxes`` (parents first) and ``lines`` (parent, child)."""
    layer_of = _layers(boxes, lines)
    layers: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for box in boxes:
        layers[layer_of[box]].append(box)
    chains = []
    for number, (parent, child) in enumerate(lines):
        chain = [parent]
        for layer in range(layer_of[parent] + 1, layer_of[child]):
            chain.append(f"\0{number}/{layer}")  # no digest begins so
            layers[layer].append(chain[-1])
        chains.append([*chain, child])
    near = _neighbors(chains)
    _order(layers, near)
    xs = _across(layers, near, sizes)
    step = sizes.box_height + sizes.layer_gap
    points = {
        item: (xs[item], sizes.gap + sizes.box_height / 2 + number * step)
        for number, layer in enumerate(layers)
        for item in layer
    }
    width = max((xs[box] for box in boxes), default=0) + sizes.box_width / 2 + sizes.gap
    height = len(layers) * step - sizes.layer_gap + 2 * sizes.gap
    routes = [[points[item] for item in chain] for chain in chains]
    passing = [x + sizes.stand_in_width / 2 for route in routes for x, _ in route[1:-1]]
    width = max([width, *(x + sizes.gap for x in passing)])
    return Placed({box: points[box] for box in boxes}, routes, width, height)


def _layers(boxes: Sequence[str], lines: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return each box's layer: one below its lowest parent."""
    parents: dict[str, list[str]] = defaultdict(list)
    for parent, child in lines:
        parents[child].append(parent)
    layer: dict[str, int] = {}
    for box in boxes:
        layer[box] = max((layer[parent] + 1 for parent in parents[box]), default=0)
    return layer


def _neighbors(chains: list[list[str]]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for upper, lower in pairwise(chain):
            near[upper].append(lower)
            near[lower].append(upper)
    return near


def _order(layers: list[list[str]], near: dict[str, list[str]]) -> None:
    """Order each layer, down and up in turn, by the mean place of the neighbors beyond it."""
    for sweep in range(_SWEEPS):
        numbers = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for number in numbers:
            beyond = layers[number - 1 if sweep % 2 == 0 else number + 1]
            place_of = {item: place for place, item in enumerate(beyond)}
            current = {item: place for place, item in enumerate(layers[number])}
            means = {
                item: _mean([place_of[other] for other in near[item] if other in place_of])
                for item in layers[number]
            }
            layers[number].sort(
                key=lambda item: (
                    means[item] if means[item] is not None else current[item],
                    current[item],
                )
            )


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _across(layers: list[list[str]], near: dict[str, list[str]], sizes: Sizes) -> dict[str, float]:
    """Return each item's x: near its neighbors, in order, without overlap, from the left edge."""
    xs: dict[str, float] = {}
    for layer in layers:
        wished = [0.0] * len(layer)
        _spread(layer, wished, xs, sizes)
    for sweep in range(2 * _SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wished = [
                sum(xs[other] for other in near[item]) / len(near[item]) if near[item] else xs[item]
                for item in layer
            ]
            _spread(layer, wished, xs, sizes)
    shift = min((xs[item] - _width(item, sizes) / 2 for item in xs), default=0) - sizes.gap
    return {item: x - shift for item, x in xs.items()}


def _spread(layer: list[str], wished: list[float], xs: dict[str, float], sizes: Sizes) -> None:
    """Put a layer's items as near to their wishes as order and width allow.

    Items that would overlap join into a block at the mean of its members' wishes.
    """
    blocks: list[tuple[list[str], list[float], float]] = []  # items, offsets, sum of wish - offset
    for item, wish in zip(layer, wished, strict=True):
        blocks.append(([item], [0.0], wish))
        while len(blocks) > 1 and _start(blocks[-2]) + _span(blocks[-2], blocks[-1], sizes) > (
            _start(blocks[-1])
        ):
            right, left = blocks.pop(), blocks.pop()
            shift = _span(left, right, sizes)
            offsets = left[1] + [offset + shift for offset in right[1]]
            total = left[2] + right[2] - shift * len(right[0])
            blocks.append((left[0] + right[0], offsets, total))
    for block in blocks:
        for item, offset in zip(block[0], block[1], strict=True):
            xs[item] = _start(block) + offset


def _start(block: tuple[list[str], list[float], float]) -> float:
    return block[2] / len(block[0])


def _span(
    left: tuple[list[str], list[float], float],
    right: tuple[list[str], list[float], float],
    sizes: Sizes,
) -> float:
    """Return the least distance between the first items of two blocks side by side."""
    widths = _width(left[0][-1], sizes) + _width(right[0][0], sizes)
    return left[1][-1] + widths / 2 + sizes.gap


def _width(item: str, sizes: Sizes) -> int:
    return sizes.stand_in_width if item.startswith("\0") else sizes.box_width
