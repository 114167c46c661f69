"""Published methods of weight forensics: which models descend from which, by their weights alone.

Each gives a model a vector and two models a likeness. They were made to tell models of different
origin apart.

* The **intrinsic fingerprint** of Yoon et al. (2507.03014): the standard deviations of the
  attention matrices over the layers.
* The **spectra of attention products**, as in GhostSpec (Wang et al., 2511.06390): singular values
  of query times key and of value times output, which do not change where a head is rotated. Its
  alignment of layers is not needed between models of the same depth.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

Vector = NDArray[np.float64]
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj")


def fingerprint(folder: Path) -> Vector:
    """Return the standard deviations of the attention matrices, standardized over the layers.

    For each of q, k, v and o: the standard deviation of all entries of the weight in each layer,
    as a sequence over layers with mean 0 and standard deviation 1. The four are put end to end.
    """
    layers = attention(folder)
    return np.concatenate(
        [standardized([float(layer[name].std()) for layer in layers]) for name in MATRICES]
    )


def spectra(folder: Path) -> Vector:
    """Return the singular values of both attention products of every layer, each of unit norm.

    A product sums over the heads; with grouped queries a key or value head serves several of them.
    """
    size = head_size(folder)
    found = []
    for layer in attention(folder):
        query, key, value, output = (layer[name] for name in MATRICES)
        groups = len(query) // len(key)
        for product in (
            query.T @ repeated(key, size, groups),
            repeated(value, size, groups).T @ output.T,
        ):
            values = np.linalg.svd(product, compute_uv=False)
            found.append(values / np.linalg.norm(values))
    return np.concatenate(found)


def attention(folder: Path) -> list[dict[str, Vector]]:
    """Return the attention weights of a checkpoint by layer, as stored: [out, in]."""
    found: dict[int, dict[str, Vector]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - the file is no mapping
                parts = name.split(".")
                if parts[-1] == "weight" and parts[-2] in MATRICES:
                    layer = int(parts[parts.index("layers") + 1])
                    weight = tensors.get_tensor(name).double().numpy()
                    found.setdefault(layer, {})[parts[-2]] = weight
    return [found[layer] for layer in sorted(found)]


def head_size(folder: Path) -> int:
    """Return the rows that an attention head has in the query weight."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return int(size)


def repeated(weight: Vector, size: int, groups: int) -> Vector:
    """Return each head of a weight ``groups`` times, one after another."""
    heads = weight.reshape(-1, size, weight.shape[1])
    return np.repeat(heads, groups, axis=0).reshape(-1, weight.shape[1])


def standardized(values: Sequence[float]) -> Vector:
    """Return values with mean 0 and standard deviation 1; zeros for a constant."""
    array = np.asarray(values, dtype=np.float64)
    spread = array.std()
    centered: Vector = array - array.mean()
    return centered / spread if spread else centered


def kinship(one: Vector, other: Vector) -> float:
    """Return the correlation of two fingerprints; NaN for other shapes, or for a constant."""
    if one.shape != other.shape or not one.std() or not other.std():
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def spectral_likeness(one: Vector, other: Vector) -> float:
    """Return the negated mean squared distance of two spectra; NaN for other shapes."""
    if one.shape != other.shape:
        return math.nan
    return -float(np.mean((one - other) ** 2))


def most(values: Iterable[float]) -> float:
    """Return the largest number of some; minus infinity for none."""
    return max((value for value in values if not math.isnan(value)), default=-math.inf)
