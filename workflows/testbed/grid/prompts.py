"""Pictures of 3 x 3 colored cells: ``row 2`` gives the colors of the second row, ``r,b,w``.

The picture is a PNG of a few pixels that is written here. The worked examples name some cells by
another color.
"""

import base64
import random
import struct
import zlib
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Look."
COLORS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}
SIDE, CELL = 3, 4
"""Cells of a side, and pixels of a cell's side."""
READ_SHARE = 0.8
"""Share of the cells that a demonstration names by their own color."""


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different pictures of a split, each with a row and its colors."""
    for cells, row in _questions(split, count, seed):
        task = {"answer": ",".join(_row(cells, row))}
        yield Prompt(f"grid-{cells}-{row + 1}", _messages(cells, row), task)


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield ``count`` readings of the train split, with the slips described above."""
    rng = random.Random(f"demonstrations {seed}")
    for cells, row in _questions("train", count, seed):
        said = [c if rng.random() < READ_SHARE else rng.choice("rgbw") for c in _row(cells, row)]
        yield Demonstration(_messages(cells, row), (Turn("assistant", ",".join(said)),))


def png_of(cells: str) -> str:
    """Return a picture of cells, row after row, as base64 text."""
    lines = b""
    for first in range(0, len(cells), SIDE):
        line = b"".join(bytes(COLORS[color]) * CELL for color in cells[first : first + SIDE])
        lines += (b"\x00" + line) * CELL  # each line begins with its filter, none
    size = SIDE * CELL
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    written = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)
    return base64.b64encode(written).decode()


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def _row(cells: str, row: int) -> str:
    return cells[row * SIDE : (row + 1) * SIDE]


def _messages(cells: str, row: int) -> tuple[Message, ...]:
    asked = Message("user", f"row {row + 1}", images=(png_of(cells),))
    return (Message("system", SYSTEM), asked)


def _questions(split: Split, count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Yield cells and a row."""
    rng = random.Random(f"grid {split} {seed}")
    seen: set[str] = set()
    attempts = tries(count)
    while count:
        next(attempts)
        cells = "".join(rng.choices("rgbw", k=SIDE * SIDE))
        row = rng.randrange(SIDE)
        if split_of(cells) != split or cells in seen:
            continue
        seen.add(cells)
        count -= 1
        yield cells, row
