"""Declared parents of the fresh family, without the true parent among the candidates, and with it.

Beside the gate's check are two published methods of weight forensics (``fingerprints``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gate.ancestry import Declaration, Made, checked, declarations
from benchmarks.gate.fresh.fingerprints import (
    Vector,
    fingerprint,
    kinship,
    most,
    spectra,
    spectral_likeness,
)
from benchmarks.gate.mismatch import Family


@dataclass(frozen=True)
class Method:
    """A method of weight forensics, and how a row calls its findings."""

    vector: Callable[[Path], Vector]
    likeness: Callable[[Vector, Vector], float]
    declared: str
    """Key of the likeness with the declared parent."""
    nearer: str
    """Start of the keys that say whether another candidate is nearer."""


METHODS = (
    Method(fingerprint, kinship, "kinship", "nearer"),
    Method(spectra, spectral_likeness, "spectral_likeness", "spectrally_nearer"),
)


def ancestry_rows(family: Family, seed: int) -> list[dict[str, Any]]:
    """Return a row for each declaration that the family's checkpoints might make."""
    store, known = family.runner.store, dict[tuple[str, str], Vector]()

    def of(made: Made, method: Method) -> Vector:
        key = (made.output, method.declared)
        if key not in known:
            known[key] = method.vector(store.tree(made.output))
        return known[key]

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
                **{name: value for m in METHODS for name, value in by(m, each, of).items()},
            }
        )
    return rows


def by(
    method: Method, each: Declaration, of: Callable[[Made, Method], Vector]
) -> dict[str, float | bool]:
    """Return a method's likeness with the declared parent, and whether another one is nearer."""
    child = of(each.child, method)

    def like(made: Made) -> float:
        return method.likeness(child, of(made, method))

    declared = like(each.declared)
    others = [made for made in each.strangers if made.output != each.declared.output]
    best = most(map(like, others))
    return {
        method.declared: float(f"{declared:.6g}"),
        f"{method.nearer}_without": best > declared,
        f"{method.nearer}_with": max(best, most([like(each.parent)])) > declared,
    }
