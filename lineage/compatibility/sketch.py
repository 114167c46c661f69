"""Sketches of a data set: the overlap of two sets, computed without the data.

Made once, when the data are made, and kept beside them by digest. Row digests show exactly which
rows two sets share; the MinHash signature shows how similar their texts are if rows were reworded
or cut. Rows are compared with white space and case normalized.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from lineage.artifacts import Digest
from lineage.digest import canonical_json, digest_bytes, hex_of
from lineage.errors import LineageError
from lineage.frozen import Frozen
from lineage.store.documents import to_json
from lineage.store.store import Store

Hashes = npt.NDArray[np.uint64]

NUM_HASHES = 128
"""The standard error of the estimated likeness is about 1 / sqrt(128) = 0.09."""
SHINGLE_WORDS = 5
_ROW_HEX = 20
"""80 bits of each row's digest: among a million rows two collide with probability 4e-13."""


class Sketch(Frozen):
    """The sketch of one data set: its digest, row digests and MinHash signature."""

    digest: Digest
    """Digest of all rows, unchanged and in order; it identifies the data set."""
    num_rows: int = Field(ge=0)
    rows: tuple[str, ...]
    """The first 80 bits of the digest of each distinct row, sorted."""
    minhash: tuple[int, ...]
    """The smallest value of each of 128 hashes over all runs of five words; empty without words."""


@dataclass(frozen=True)
class Overlap:
    """How much of one data set is in another."""

    rows: int
    """Distinct rows that both have."""
    share: float
    """Share of the first set's distinct rows, in [0, 1]."""
    likeness: float
    """Estimated Jaccard index of the five-word runs, in [0, 1]."""


def sketch(rows: Iterable[str]) -> Sketch:
    """Return the sketch of the rows of a data set, in one pass over them."""
    digests: list[str] = []
    distinct: set[str] = set()
    least = np.full(NUM_HASHES, np.iinfo(np.uint64).max, dtype=np.uint64)
    seen_words = False
    for row in rows:
        digests.append(digest_bytes(row.encode("utf-8", "surrogatepass")))
        even = " ".join(row.lower().split())
        distinct.add(hex_of(digest_bytes(even.encode("utf-8", "surrogatepass")))[:_ROW_HEX])
        shingles = _shingles(even.split())
        if shingles.size:
            seen_words = True
            least = np.minimum(least, _mixed(shingles).min(axis=1))
    return Sketch(
        digest=digest_bytes("\n".join(digests).encode()),
        num_rows=len(digests),
        rows=tuple(sorted(distinct)),
        minhash=tuple(int(value) for value in least) if seen_words else (),
    )


def overlap(one: Sketch, two: Sketch) -> Overlap:
    """Return how much of ``one`` is in ``two``."""
    shared = len(set(one.rows) & set(two.rows))
    pairs = zip(one.minhash, two.minhash, strict=False)
    equal = sum(first == second for first, second in pairs)
    return Overlap(
        rows=shared,
        share=shared / len(one.rows) if one.rows else 0.0,
        likeness=equal / NUM_HASHES,
    )


def put_sketch(store: Store, made: Sketch) -> str:
    """Store a sketch; return its digest, which a release names."""
    return store.put_bytes(canonical_json(to_json(made)))


def read_sketch(store: Store, digest: str) -> Sketch:
    """Return a stored sketch. Raises LineageError if the bytes are not a sketch."""
    try:
        return Sketch.model_validate(json.loads(store.get_bytes(digest)))
    except (ValidationError, ValueError, RecursionError) as error:
        if isinstance(error, LineageError):
            raise
        raise LineageError(
            f"{digest} is not a data set sketch ({error}): make one with "
            "lineage.compatibility.sketch.sketch"
        ) from error


def _shingles(words: list[str]) -> Hashes:
    """Return a 64-bit hash of each run of five words; a shorter row is one run."""
    if not words:
        return np.empty(0, dtype=np.uint64)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    runs = (" ".join(words[start : start + SHINGLE_WORDS]) for start in starts)
    hashes = [
        int(hex_of(digest_bytes(run.encode("utf-8", "surrogatepass")))[:16], 16) for run in runs
    ]
    return np.array(hashes, dtype=np.uint64)


def _mixed(
    shingles: Hashes,
) -> Hashes:
    """Return each shingle under each of the 128 hash functions: splitmix64 from 128 seeds."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    seeds = (np.arange(1, NUM_HASHES + 1, dtype=np.uint64) * golden)[:, None]
    mixed = shingles[None, :] + seeds
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    finished: Hashes = mixed ^ (mixed >> np.uint64(31))
    return finished
