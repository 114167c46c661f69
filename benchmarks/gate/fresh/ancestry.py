"""Declared parents of the fresh family, without the true parent among the candidates, and with it.

Beside the gate's check is a published method of weight forensics, the intrinsic fingerprint of
Yoon et al. (2507.03014), in the form stated in ``fingerprint``.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from benchmarks.gate.ancestry import Declaration, Made, checked, declarations
from benchmarks.gate.mismatch import Family

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj")


def fingerprint(folder: Path) -> NDArray[np.float64]:
    """Return the standard deviations of the attention matrices, standardized over the layers.

    For each of q, k, v and o: the standard deviation of all entries of the weight in each layer,
    as a sequence over layers with mean 0 and standard deviation 1. The four are put end to end.
    """
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in MATRICES}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                parts = name.split(".")
                if parts[-1] == "weight" and parts[-2] in found:
                    deviation = float(tensors.get_tensor(name).double().std(correction=0))
                    found[parts[-2]].append((int(parts[parts.index("layers") + 1]), deviation))
    return np.concatenate(
        [standardized([value for _, value in sorted(rows)]) for rows in found.values()]
    )


def standardized(values: Sequence[float]) -> NDArray[np.float64]:
    """Return values with mean 0 and standard deviation 1; zeros for a constant."""
    array = np.asarray(values, dtype=np.float64)
    spread = array.std()
    centered: NDArray[np.float64] = array - array.mean()
    return centered / spread if spread else centered


def kinship(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the correlation of two fingerprints; NaN for other shapes, or for a constant."""
    if one.shape != other.shape or not one.std() or not other.std():
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def ancestry_rows(family: Family, seed: int) -> list[dict[str, Any]]:
    """Return a row for each declaration that the family's checkpoints might make."""
    store, prints = family.runner.store, dict[str, NDArray[np.float64]]()

    def of(made: Made) -> NDArray[np.float64]:
        if made.output not in prints:
            prints[made.output] = fingerprint(store.tree(made.output))
        return prints[made.output]

    rows = []
    for each in declarations(family, seed):
        without = checked(family, each, each.strangers)
        if without is None or without.projection is None:
            continue
        with_it = checked(family, each, (each.parent, *each.strangers))
        assert with_it is not None
        rows.append(
            {
                "child": each.child.record[:19],
                "kind": each.child.kind,
                "true": each.is_true,
                "projection": round(without.projection, 4),
                "cosine": None if without.cosine is None else round(without.cosine, 4),
                "distance": round(without.distance, 5),
                "contradicted_without": without.contradicted,
                "contradicted_with": with_it.contradicted,
                "doubtful": without.doubtful,
                **_by_fingerprint(each, of),
            }
        )
    return rows


def _by_fingerprint(each: Declaration, of: Any) -> dict[str, Any]:  # noqa: ANN401 - local function
    """Return the correlation with the declared parent, and whether another one is nearer."""
    child = of(each.child)
    declared = kinship(child, of(each.declared))
    others = [m for m in each.strangers if m.output != each.declared.output]
    best = most(kinship(child, of(other)) for other in others)
    with_it = max(best, most([kinship(child, of(each.parent))]))
    return {
        "kinship": round(declared, 6),
        "nearer_without": best > declared,
        "nearer_with": with_it > declared,
    }


def most(values: Iterable[float]) -> float:
    """Return the largest number of some; minus infinity for none."""
    return max((value for value in values if not math.isnan(value)), default=-math.inf)
