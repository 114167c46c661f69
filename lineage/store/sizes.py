"""Check that a config describes a model that its weights can fill, before memory is allocated.

A loader builds what the config says and reads the weights afterwards. So the sizes in the config
are compared with the shapes in the headers of the weights beside it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from lineage.errors import RefusedFileError

MAX_HEADER_BYTES = 16 << 20
"""Enough for 100,000 tensors. The library's limit of 100 MB takes 2.5 GiB of memory to parse."""
_LAYERS = frozenset(
    {
        "num_hidden_layers",
        "num_layers",
        "n_layer",
        "n_layers",
        "num_encoder_layers",
        "num_decoder_layers",
        "encoder_layers",
        "decoder_layers",
        "depth",
        "num_nextn_predict_layers",
    }
)
_WIDTHS = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "moe_intermediate_size",
        "shared_expert_intermediate_size",
        "n_embd",
        "n_inner",
        "d_model",
        "d_ff",
        "dim",
        "ffn_dim",
        "head_dim",
        "embedding_size",
        "num_attention_heads",
        "num_key_value_heads",
        "n_head",
        "num_experts",
        "num_local_experts",
        "n_routed_experts",
        "kv_lora_rank",
        "q_lora_rank",
    }
)
_PACKED = 8
"""Most numbers that quantized weights pack into one element."""


@dataclass(frozen=True)
class WeightHeaders:
    """Totals over the headers of safetensors files."""

    tensors: int
    widest: int
    """The longest dimension."""
    elements: int


def read_header(file: Path) -> tuple[dict[str, Any], int]:
    """Return a safetensors header, its metadata left out, and the bytes that it takes.

    Raises ValueError for one that is too long or is not JSON, OSError for a file not readable.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        size = file.stat().st_size
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"a header of {length} bytes does not fit")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")  # noqa: TRY004 - the file is wrong, not the caller
    header.pop("__metadata__", None)
    return header, length


def check_shape(entry: Any) -> tuple[int, int]:  # noqa: ANN401 - JSON of a stranger
    """Return the number of elements of a header's tensor, and its longest dimension.

    Raises ValueError, TypeError, KeyError or IndexError where shape and place contradict.
    """
    start, end = entry["data_offsets"]
    shape = entry["shape"]
    if not all(type(number) is int and number >= 0 for number in (start, end, *shape)):
        raise ValueError("a shape or an offset is not a non-negative integer")
    elements = prod(shape)
    if elements > 2 * (end - start):  # the smallest type has half a byte
        raise ValueError(f"a shape of {elements} elements does not fit in {end - start} bytes")
    return elements, max(shape, default=1) if elements else 0


def weights_in(folder: Path) -> WeightHeaders:
    """Return the totals of the weights directly in a folder; unreadable files count nothing."""
    found: list[tuple[int, int]] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            header, _ = read_header(file)
            found += [check_shape(entry) for entry in header.values()]
        except (ValueError, RecursionError, TypeError, KeyError, IndexError):
            continue  # refused for itself, by name
    widest = max((dimension for _, dimension in found), default=0)
    return WeightHeaders(len(found), widest, sum(elements for elements, _ in found))


def check_sizes(path: str, config: JsonValue, weights: WeightHeaders) -> None:
    """Refuse a config, or a nested one, with sizes that its weights do not have."""
    for settings in _objects(config):
        for key, value in settings.items():
            if not _is_size(key, value):
                continue
            limit = weights.tensors
            if key in _WIDTHS:
                limit = max(limit, _PACKED * weights.widest)
            if value < 0 or value > limit:
                raise RefusedFileError(
                    f"{path!r} says {key} = {value}, but the weights beside it are "
                    f"{weights.tensors} tensors, {weights.widest} wide at most: the config "
                    "belongs to another model; save config and weights together"
                )
        rows, width = settings.get("vocab_size"), settings.get("hidden_size")
        if not (isinstance(rows, int) and isinstance(width, int)):
            continue
        if rows * width > _PACKED * weights.elements:
            raise RefusedFileError(
                f"{path!r} asks for {rows} x {width} embeddings, but the weights beside it have "
                f"{weights.elements} elements in all; save config and weights together"
            )


def _is_size(key: str, value: JsonValue) -> bool:
    return key in _LAYERS | _WIDTHS and type(value) is int


def _objects(value: JsonValue) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
